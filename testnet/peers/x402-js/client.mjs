/*
 * Pays for a URL with the unmodified x402 JavaScript SDK and prints what it saw as one line of JSON.
 *
 *   KEY=0x… client.mjs URL --asset 0x… [--network eip155:31337] [--scheme exact|batch-settlement] [--rpc URL]
 *           [--deposit UNITS] [--times N] [--at-once N] [--method M] [--body TEXT]
 *
 * Printed: {payer, paid: [{status, body, settled, required, sent}]}, one entry per request. `settled` and `required` are
 * the decoded answer headers; `sent` is the payment header as it went out, so that a test can send it again.
 */
import { parseArgs } from "node:util";
import { decodePaymentRequiredHeader, decodePaymentResponseHeader } from "@x402/core/http";
import { wrapFetchWithPayment, x402Client } from "@x402/fetch";
import { toClientEvmSigner } from "@x402/evm";
import { BatchSettlementEvmScheme } from "@x402/evm/batch-settlement/client";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { createPublicClient, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";

const { values: asked, positionals: [url] } = parseArgs({
  allowPositionals: true,
  options: {
    asset: { type: "string" },
    network: { type: "string", default: "eip155:31337" },
    scheme: { type: "string", default: "exact" },
    rpc: { type: "string" },
    deposit: { type: "string", default: "1000000" },
    times: { type: "string", default: "1" },
    "at-once": { type: "string", default: "1" },
    method: { type: "string", default: "GET" },
    body: { type: "string" },
  },
});

const account = privateKeyToAccount(process.env.KEY);
const scheme = asked.scheme === "exact" ? new ExactEvmScheme(account) : channels();
const client = new x402Client().register(asked.network, scheme);
client.setSpendControls({ allowedAssets: [{ network: asked.network, asset: asked.asset }] });

function channels() {
  const chain = createPublicClient({ transport: http(asked.rpc), pollingInterval: 100 });
  return new BatchSettlementEvmScheme(toClientEvmSigner(account, chain), { depositStrategy: () => asked.deposit });
}

async function pay() {
  let sent;
  const watched = (input, init) => {
    const headers = new Headers(init?.headers ?? (input instanceof Request ? input.headers : {}));
    sent = headers.get("PAYMENT-SIGNATURE") ?? sent;
    return fetch(input, init);
  };
  const headers = asked.body ? { "content-type": "application/json" } : {};
  const answer = await wrapFetchWithPayment(watched, client)(url, { method: asked.method, body: asked.body, headers });
  const settled = answer.headers.get("PAYMENT-RESPONSE");
  const required = answer.headers.get("PAYMENT-REQUIRED");
  return {
    status: answer.status,
    body: await answer.text(),
    settled: settled && decodePaymentResponseHeader(settled),
    required: required && decodePaymentRequiredHeader(required),
    sent,
  };
}

const paid = [];
for (let left = Number(asked.times); left > 0; left -= Number(asked["at-once"])) {
  paid.push(...await Promise.all(Array.from({ length: Math.min(left, Number(asked["at-once"])) }, pay)));
}
console.log(JSON.stringify({ payer: account.address, paid }));
