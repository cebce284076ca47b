"""Pays an A2A agent inside its task with the unmodified A2A and x402 Python SDKs, which know nothing of each other.

    KEY=0x… a2a_client.py URL --asset 0x… --text X [--token T] [--network eip155:31337] [--scheme exact|batch-settlement]
            [--rpc URL] [--deposit UNITS] [--times N] [--uri URI] [--header NAME] [--streams]

URL is the agent's base URL. The extension is named in the header NAME. For each of N times the task is asked for, its offer
is paid by x402Client.create_payment_payload, and the payment is sent to the task. Printed is one line of JSON: `unnamed`,
the error without the extension; `extensions`, as the answer's header tells them; `paid`, for each time what the task told.
It needs the packages of requirements.txt and of ../a2a-python/requirements.txt.
"""

import argparse
import asyncio
import json
import os
import uuid

import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.helpers import new_text_message
from a2a.types import Role, SendMessageRequest
from eth_account import Account
from google.protobuf.json_format import MessageToDict
from x402 import x402Client
from x402.mechanisms.evm import EthAccountSigner, EthAccountSignerWithRPC
from x402.mechanisms.evm.batch_settlement.client import BatchSettlementEvmScheme, BatchSettlementEvmSchemeOptions
from x402.mechanisms.evm.exact.register import register_exact_evm_client
from x402.schemas import PaymentRequired, PaymentResponseContext, SettleResponse

STATUS, REQUIRED = "x402.payment.status", "x402.payment.required"
PAYLOAD, RECEIPTS = "x402.payment.payload", "x402.payment.receipts"


def whole(value):
    """Protobuf's Struct knows floating numbers only; what is whole is whole again."""
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def last_status(events):
    """The task's id and its newest status."""
    task, status = None, None
    for event in events:
        if "task" in event:
            task, status = event["task"]["id"], event["task"]["status"]
        if "statusUpdate" in event:
            task, status = event["statusUpdate"]["taskId"], event["statusUpdate"]["status"]
    return task, status


def payer(asked):
    """The x402 client of the key, able to pay one scheme."""
    account = Account.from_key(os.environ["KEY"])
    client = x402Client()
    if asked.scheme == "exact":
        register_exact_evm_client(client, EthAccountSigner(account))
    else:
        options = BatchSettlementEvmSchemeOptions(deposit_strategy=lambda _: asked.deposit)
        scheme = BatchSettlementEvmScheme(EthAccountSignerWithRPC(account, rpc_url=asked.rpc), options)
        client.register(asked.network, scheme)
    client.set_spend_controls({"allowed_assets": [{"network": asked.network, "asset": asked.asset}]})
    return client


async def main(asked):
    """Asks, pays, prints."""
    wallet, heard = payer(asked), {}

    async def note(answer):
        heard["extensions"] = answer.headers.get("X-A2A-Extensions")

    token = {"Authorization": f"Bearer {asked.token}"} if asked.token else {}
    async with httpx.AsyncClient(headers=token, timeout=60, event_hooks={"response": [note]}) as http:
        card = await A2ACardResolver(http, asked.url).get_agent_card()
        client = ClientFactory(ClientConfig(httpx_client=http, streaming=asked.streams)).create(card)

        async def say(text, task=None, metadata=None):
            message = new_text_message(text, role=Role.ROLE_USER)
            message.message_id = uuid.uuid4().hex
            if task:
                message.task_id = task
            if metadata:
                message.metadata.update(metadata)
            request = SendMessageRequest(message=message)
            return [MessageToDict(event) async for event in client.send_message(request)]

        try:
            await say(asked.text)
            unnamed = None
        except Exception as error:  # the SDK has an exception for each error of A2A
            unnamed = f"{type(error).__name__}: {error}"
        http.headers[asked.header] = asked.uri
        paid = []
        for _ in range(asked.times):
            task, status = last_status(await say(asked.text))
            told = whole(status["message"]["metadata"])
            assert told[STATUS] == "payment-required", told
            offer = PaymentRequired.model_validate(told[REQUIRED])
            payment = await wallet.create_payment_payload(offer, resource=offer.resource, extensions=offer.extensions)
            payload = payment.model_dump(by_alias=True, exclude_none=True)
            metadata = {STATUS: "payment-submitted", PAYLOAD: payload}
            events = await say("here is the payment", task, metadata)
            again = await say("here is the payment", task, metadata)
            _, done = last_status(events)
            settled = whole(done["message"]["metadata"])
            response = SettleResponse.model_validate(settled[RECEIPTS][-1])
            await wallet.handle_payment_response(PaymentResponseContext(payment, payment.accepted, response, offer))
            paid.append(
                {
                    "state": status["state"],
                    "done": done["state"],
                    "told": settled,
                    "events": events,
                    "same": last_status(again)[1] == done,
                }
            )
        print(json.dumps({"unnamed": unnamed, "extensions": heard.get("extensions"), "paid": paid}))


if __name__ == "__main__":
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("url")
    reader.add_argument("--asset", required=True)
    reader.add_argument("--text", required=True)
    reader.add_argument("--token")
    reader.add_argument("--network", default="eip155:31337")
    reader.add_argument("--scheme", default="exact")
    reader.add_argument("--rpc")
    reader.add_argument("--deposit", default="1000000")
    reader.add_argument("--times", type=int, default=1)
    reader.add_argument("--uri", default="https://github.com/google-agentic-commerce/a2a-x402/blob/main/spec/v0.2")
    reader.add_argument("--header", default="X-A2A-Extensions")
    reader.add_argument("--streams", action="store_true")
    asyncio.run(main(reader.parse_args()))
