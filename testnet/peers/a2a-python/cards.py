"""Signs and verifies agent cards with the unmodified A2A Python SDK.

    cards.py sign --secret HEX --kid KID [--jku URL] < CARD     (prints the signed card)
    cards.py verify --public BASE64URL --kid KID < CARD         (prints "verified"; exit 1 if it does not)
    cards.py fetch URL --token T --public BASE64URL --kid KID   (prints the agent's public and extended card, verified)

The card is JSON; keys are ed25519, the algorithm is EdDSA.
"""

import argparse
import asyncio
import base64
import json
import sys

import httpx
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types import AgentCard, GetExtendedAgentCardRequest
from a2a.utils.signing import SignatureVerificationError, create_agent_card_signer, create_signature_verifier
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.json_format import MessageToDict, ParseDict
from jwt.api_jwk import PyJWK


def read_card() -> AgentCard:
    # Whatever this SDK does not know, it does not sign or verify.
    return ParseDict(json.load(sys.stdin), AgentCard(), ignore_unknown_fields=True)


def sign(asked: argparse.Namespace) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(asked.secret))
    header = {"alg": "EdDSA", "kid": asked.kid, "typ": "JOSE"}
    if asked.jku:
        header["jku"] = asked.jku
    print(json.dumps(MessageToDict(create_agent_card_signer(key, header)(read_card()))))


def verifier(asked: argparse.Namespace):
    length = len(base64.urlsafe_b64decode(asked.public + "="))
    if length != 32:
        raise SystemExit("an ed25519 key has 32 bytes")
    key = PyJWK({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": asked.public})

    def known(kid: str | None, _jku: str | None) -> PyJWK:
        if kid != asked.kid:
            raise SystemExit(f"the card names another key: {kid}")
        return key

    return create_signature_verifier(known, ["EdDSA"])


def verify(asked: argparse.Namespace) -> None:
    try:
        verifier(asked)(read_card())
    except SignatureVerificationError as error:
        raise SystemExit(f"not verified: {error}") from None
    print("verified")


async def fetch_both(asked: argparse.Namespace) -> dict:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {asked.token}"}, timeout=60) as http:
        public = await A2ACardResolver(http, asked.url).get_agent_card(signature_verifier=verifier(asked))
        client = ClientFactory(ClientConfig(httpx_client=http)).create(public)
        request = GetExtendedAgentCardRequest()
        extended = await client.get_extended_agent_card(request, signature_verifier=verifier(asked))
        return {"public": MessageToDict(public), "extended": MessageToDict(extended)}


def fetch(asked: argparse.Namespace) -> None:
    print(json.dumps(asyncio.run(fetch_both(asked))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["sign", "verify", "fetch"])
    parser.add_argument("url", nargs="?")
    parser.add_argument("--token")
    parser.add_argument("--secret")
    parser.add_argument("--public")
    parser.add_argument("--kid", required=True)
    parser.add_argument("--jku")
    arguments = parser.parse_args()
    {"sign": sign, "verify": verify, "fetch": fetch}[arguments.action](arguments)
