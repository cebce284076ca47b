/*
 * A stranger's shop: express with the unmodified x402 JavaScript middleware, its facilitator in the same process.
 *
 *   KEY=0x… shop.mjs --rpc URL --asset 0x… --pay-to 0x… [--name N] [--version V] [--network eip155:31337]
 *           [--price UNITS] [--min-deposit UNITS] [--port N]
 *
 * KEY pays the gas and is the receiver's authorizer of channels. Prints its port once it can be called. Sold at /exact
 * (one EIP-3009 payment), /upfront (settled before the work), /channel (batch-settlement) and /any (both); each counts
 * how often its work ran. /claim collects from every channel. The facilitator also answers at /verify, /settle and
 * /supported.
 */
import { parseArgs } from "node:util";
import express from "express";
import { x402Facilitator } from "@x402/core/facilitator";
import { x402ResourceServer } from "@x402/core/server";
import { paymentMiddleware } from "@x402/express";
import { toFacilitatorEvmSigner } from "@x402/evm";
import { BatchSettlementEvmScheme as ChannelFacilitator } from "@x402/evm/batch-settlement/facilitator";
import { BatchSettlementEvmScheme as ChannelServer } from "@x402/evm/batch-settlement/server";
import { ExactEvmScheme as ExactFacilitator } from "@x402/evm/exact/facilitator";
import { ExactEvmScheme as ExactServer } from "@x402/evm/exact/server";
import { createWalletClient, defineChain, http, publicActions } from "viem";
import { nonceManager, privateKeyToAccount } from "viem/accounts";

const { values: asked } = parseArgs({
  options: {
    rpc: { type: "string" },
    asset: { type: "string" },
    "pay-to": { type: "string" },
    name: { type: "string", default: "USD Coin" },
    version: { type: "string", default: "2" },
    network: { type: "string", default: "eip155:31337" },
    price: { type: "string", default: "20000" },
    "min-deposit": { type: "string", default: "500000" },
    port: { type: "string", default: "0" },
  },
});

const account = privateKeyToAccount(process.env.KEY, { nonceManager });
const chain = defineChain({
  id: Number(asked.network.split(":")[1]),
  name: "local",
  nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [asked.rpc] } },
});
const wallet = createWalletClient({ account, chain, transport: http(asked.rpc), pollingInterval: 50 }).extend(publicActions);
const signer = toFacilitatorEvmSigner({ ...wallet, address: account.address });
const authorizer = { address: account.address, signTypedData: (data) => account.signTypedData(data) };

const facilitator = new x402Facilitator()
  .register(asked.network, new ExactFacilitator(signer))
  .register(asked.network, new ChannelFacilitator(signer, authorizer));
const inProcess = {
  verify: (payload, requirements) => facilitator.verify(payload, requirements),
  settle: (payload, requirements) => facilitator.settle(payload, requirements),
  getSupported: async () => facilitator.getSupported(),
};
const channels = new ChannelServer(asked["pay-to"], { receiverAuthorizerSigner: authorizer, withdrawDelay: 3600 });
const server = new x402ResourceServer(inProcess)
  .register(asked.network, new ExactServer())
  .register(asked.network, channels);

const domain = { name: asked.name, version: asked.version };
const option = (scheme, extra) => ({
  scheme,
  network: asked.network,
  payTo: asked["pay-to"],
  price: { amount: asked.price, asset: asked.asset, extra: { ...domain, ...extra } },
  extra: { ...domain, ...extra },
});
const exact = option("exact", {});
const channel = option("batch-settlement", { minDeposit: asked["min-deposit"] });
const sold = {
  "/exact": [exact],
  "/upfront": [option("exact", { paymentFlow: "upfront" })],
  "/channel": [channel],
  "/any": [channel, exact],
};

const app = express();
app.use(express.json({ limit: "1mb" }));
const manager = channels.createChannelManager(inProcess, asked.network, asked.asset);
app.post("/claim", async (_, answer) => answer.json(await manager.claimAndSettle()));
app.get("/supported", (_, answer) => answer.json(facilitator.getSupported()));
for (const [path, act] of [["/verify", "verify"], ["/settle", "settle"]]) {
  app.post(path, async ({ body }, answer) => {
    answer.json(await facilitator[act](body.paymentPayload, body.paymentRequirements));
  });
}
const routes = Object.entries(sold).map(([path, accepts]) => [path, { accepts, description: `what ${path} sells` }]);
app.use(paymentMiddleware(Object.fromEntries(routes), server));
const worked = Object.fromEntries(Object.keys(sold).map((path) => [path, 0]));
for (const path of Object.keys(sold)) {
  app.all(path, ({ body }, answer) => answer.json({ sold: path, worked: ++worked[path], asked: body ?? null }));
}

const listening = app.listen(Number(asked.port), "127.0.0.1", () => console.log(listening.address().port));
