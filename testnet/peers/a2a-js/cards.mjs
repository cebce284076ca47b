/*
 * Signs and verifies agent cards with the unmodified A2A JavaScript SDK.
 *
 *   cards.mjs sign --secret HEX --public BASE64URL --kid KID [--jku URL] < CARD
 *   cards.mjs verify --public BASE64URL --kid KID < CARD
 *   cards.mjs fetch URL --token T --public BASE64URL --kid KID
 *
 * The arguments, and what is printed, are those of ../a2a-python/cards.py. The SDK is given the JSON as it is: a card
 * that it has parsed already loses its security schemes when it is parsed again to be signed or verified.
 */
import { createPrivateKey, createPublicKey } from "node:crypto";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { AgentCard, generateAgentCardSignature, verifyAgentCardSignature } from "@a2a-js/sdk";
import {
  ClientFactory, ClientFactoryOptions, DefaultAgentCardResolver, JsonRpcTransportFactory, RestTransportFactory,
} from "@a2a-js/sdk/client";

const { values: asked, positionals: [action, url] } = parseArgs({
  allowPositionals: true,
  options: {
    secret: { type: "string" },
    public: { type: "string" },
    kid: { type: "string" },
    jku: { type: "string" },
    token: { type: "string" },
  },
});
const jwk = { kty: "OKP", crv: "Ed25519", x: asked.public };
console.debug = () => {};

const readCard = async () => JSON.parse(await text(process.stdin));

const verify = verifyAgentCardSignature(async (kid) => {
  if (kid !== asked.kid) throw new Error(`the card names another key: ${kid}`);
  return createPublicKey({ key: jwk, format: "jwk" });
});

const fetchImpl = (input, init = {}) => {
  const headers = new Headers(init.headers);
  headers.set("authorization", `Bearer ${asked.token}`);
  return fetch(input, { ...init, headers });
};

const actions = {
  async sign() {
    const d = Buffer.from(asked.secret, "hex").toString("base64url");
    const key = createPrivateKey({ key: { ...jwk, d }, format: "jwk" });
    const header = { alg: "EdDSA", kid: asked.kid, typ: "JOSE", ...(asked.jku ? { jku: asked.jku } : {}) };
    return JSON.stringify(await generateAgentCardSignature(key, header)(await readCard()));
  },
  async verify() {
    await verify(await readCard());
    return "verified";
  },
  async fetch() {
    const options = ClientFactoryOptions.createFrom(ClientFactoryOptions.default, {
      transports: [new JsonRpcTransportFactory({ fetchImpl }), new RestTransportFactory({ fetchImpl })],
      cardResolver: new DefaultAgentCardResolver({ fetchImpl }),
    });
    const client = await new ClientFactory(options).createFromUrl(`${url}/`, ".well-known/agent-card.json");
    const extended = AgentCard.toJSON(await client.getAgentCard());
    const headers = { "A2A-Version": "1.0" };
    const shown = await (await fetchImpl(`${url}/.well-known/agent-card.json`)).json();
    await verify(shown);
    await verify(await (await fetchImpl(`${url}/extendedAgentCard`, { headers })).json());
    return JSON.stringify({ public: shown, extended });
  },
};

try {
  console.log(await actions[action]());
} catch (error) {
  console.error(`not verified: ${error.message}`);
  process.exit(1);
}
