"""Pays for a URL with the unmodified x402 Python SDK and prints what it saw as one line of JSON.

    KEY=0x… client.py URL --asset 0x… [--network eip155:31337] [--scheme exact|batch-settlement] [--rpc URL]
            [--deposit UNITS] [--times N] [--at-once N] [--method M] [--body TEXT]

The arguments, and what is printed, are those of ../x402-js/client.mjs.
"""

import argparse
import asyncio
import json
import os
from base64 import b64decode

import httpx
from eth_account import Account
from x402 import x402Client
from x402.http.clients.httpx import x402AsyncTransport
from x402.mechanisms.evm import EthAccountSigner, EthAccountSignerWithRPC
from x402.mechanisms.evm.batch_settlement.client import BatchSettlementEvmScheme, BatchSettlementEvmSchemeOptions
from x402.mechanisms.evm.exact.register import register_exact_evm_client


def header(answer, name):
    """A decoded x402 header of an answer, or None."""
    value = answer.headers.get(name)
    return json.loads(b64decode(value)) if value else None


class Watched(httpx.AsyncHTTPTransport):
    """The wire below the SDK; remembers the payment header that went out."""

    async def handle_async_request(self, request):
        """One request as it goes out."""
        answer = await super().handle_async_request(request)
        answer.extensions["sent"] = request.headers.get("PAYMENT-SIGNATURE")
        return answer


async def pay(http, asked):
    """One paid request."""
    headers = {"content-type": "application/json"} if asked.body else {}
    answer = await http.request(asked.method, asked.url, content=asked.body, headers=headers)
    return {
        "status": answer.status_code,
        "body": answer.text,
        "settled": header(answer, "PAYMENT-RESPONSE"),
        "required": header(answer, "PAYMENT-REQUIRED"),
        "sent": answer.extensions.get("sent"),
    }


async def main():
    """Reads the arguments, pays, prints."""
    reader = argparse.ArgumentParser()
    reader.add_argument("url")
    reader.add_argument("--asset", required=True)
    reader.add_argument("--network", default="eip155:31337")
    reader.add_argument("--scheme", default="exact")
    reader.add_argument("--rpc")
    reader.add_argument("--deposit", default="1000000")
    reader.add_argument("--times", type=int, default=1)
    reader.add_argument("--at-once", type=int, default=1)
    reader.add_argument("--method", default="GET")
    reader.add_argument("--body")
    asked = reader.parse_args()

    account = Account.from_key(os.environ["KEY"])
    client = x402Client()
    if asked.scheme == "exact":
        register_exact_evm_client(client, EthAccountSigner(account))
    else:
        options = BatchSettlementEvmSchemeOptions(deposit_strategy=lambda _: asked.deposit)
        scheme = BatchSettlementEvmScheme(EthAccountSignerWithRPC(account, rpc_url=asked.rpc), options)
        client.register(asked.network, scheme)
    client.set_spend_controls({"allowed_assets": [{"network": asked.network, "asset": asked.asset}]})

    paid = []
    async with httpx.AsyncClient(transport=x402AsyncTransport(client, Watched()), timeout=60) as http:
        while len(paid) < asked.times:
            share = min(asked.at_once, asked.times - len(paid))
            paid.extend(await asyncio.gather(*(pay(http, asked) for _ in range(share))))
    print(json.dumps({"payer": account.address, "paid": paid}))


asyncio.run(main())
