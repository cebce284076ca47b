"""Checks the golden vectors with other libraries than ours.

cbor2 writes every accepted CBOR value again, pycose verifies the COSE signatures, blake3 makes the
ids anew; keys, DIDs and PeerIds follow from their definitions; eth-account makes the EIP-712 digests
and signatures anew; rfc8785 and cryptography make the signatures of cards anew.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt && venv/bin/python verify.py
"""

import base64
import binascii
import collections.abc
import hashlib
import hmac
import io
import ipaddress
import json
import pathlib
import struct
from decimal import Decimal

import cbor2
import rfc8785
from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from eth_abi import encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak
from pycose.headers import KID, Algorithm
from pycose.keys import OKPKey
from pycose.keys.curves import Ed25519
from pycose.messages import Sign1Message

from bodies import DAY, KINDS, fault, for_people, shard_of

HERE = pathlib.Path(__file__).parent
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
CHECKS = 0


def check(condition, what):
    """Counts a check and stops at the first that fails."""
    global CHECKS
    CHECKS += 1
    if not condition:
        raise SystemExit(f"FAILED: {what}")


def load(name):
    return json.loads((HERE / name).read_text())


def base58(data):
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def unbase58(text):
    number = 0
    for letter in text:
        number = number * 58 + BASE58.index(letter)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def did_of(public):
    return "did:key:z" + base58(b"\xed\x01" + public)


def key_of(did):
    data = unbase58(did.removeprefix("did:key:z"))
    check(data[:2] == b"\xed\x01" and len(data) == 34, f"{did} holds an ed25519 key")
    return data[2:]


def slip10(seed, path):
    """SLIP-0010 for ed25519; every step is hardened."""
    node = hmac.digest(b"ed25519 seed", seed, "sha512")
    for step in path.removeprefix("m/").split("/"):
        index = struct.pack(">I", int(step.removesuffix("'")) | 1 << 31)
        node = hmac.digest(node[32:], b"\0" + node[:32] + index, "sha512")
    return node[:32]


def ed25519_public(secret):
    key = Ed25519PrivateKey.from_private_bytes(secret)
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def canonical(data):
    """The gate by its definition: read one value, nothing after it, write it, compare."""
    stream = io.BytesIO(data)
    value = cbor2.load(stream)
    if stream.read() or not plain(value):
        return False
    if text_keys_only(value):
        # Here the length-first order of cbor2's canonical mode (RFC 7049) is the same order.
        check(cbor2.dumps(value, canonical=True) == cbor2.dumps(ordered(value)), "both orders agree")
    return cbor2.dumps(ordered(value)) == data


def ordered(value):
    """The same value with every map in the order of RFC 8949 section 4.2.1."""
    if isinstance(value, (list, tuple)):
        return [ordered(item) for item in value]
    if is_map(value):
        return {key: ordered(value[key]) for key in sorted(value, key=cbor2.dumps)}
    return value


def text_keys_only(value):
    if isinstance(value, (list, tuple)):
        return all(map(text_keys_only, value))
    if is_map(value):
        return all(isinstance(key, str) and text_keys_only(item) for key, item in value.items())
    return True


def is_map(value):
    return isinstance(value, collections.abc.Mapping)


def plain(value):
    """No floats, tags, bignums or odd simple values, at any depth."""
    if isinstance(value, (list, tuple)):
        return all(map(plain, value))
    if is_map(value):
        return all(plain(key) and plain(item) for key, item in value.items())
    if isinstance(value, bool) or value is None:
        return True
    if isinstance(value, int):
        return -(1 << 64) <= value < 1 << 64
    return isinstance(value, (str, bytes))


def verify_cbor():
    vectors = load("cbor.json")
    for row in vectors["accept"]:
        check(canonical(bytes.fromhex(row["hex"])), f"cbor accept: {row['name']}")
    for row in vectors["refuse"]:
        if row["code"] == "too_deep":
            continue  # our bound, not the format's
        try:
            accepted = canonical(bytes.fromhex(row["hex"]))
        except (cbor2.CBORDecodeError, EOFError, ValueError, TypeError):
            accepted = False
        check(not accepted, f"cbor refuse: {row['name']}")


def verify_keys():
    for row in load("keys.json")["seeds"]:
        seed = hashlib.pbkdf2_hmac("sha512", row["phrase"].encode(), b"mnemonic", 2048)
        for key in [row["node"], *row["agents"]]:
            secret = slip10(seed, key["path"])
            check(secret.hex() == key["secret"], f"secret at {key['path']}")
            check(ed25519_public(secret).hex() == key["public"], f"public key at {key['path']}")
        for agent in row["agents"]:
            check(did_of(bytes.fromhex(agent["public"])) == agent["did"], "did:key of an agent")
        multihash = bytes.fromhex("002408011220" + row["node"]["public"])
        check(base58(multihash) == row["node"]["peer_id"], "PeerId of a node")


def verify_records():
    vectors = load("records.json")
    for row in vectors["records"]:
        name, data = row["kind"], bytes.fromhex(row["hex"])
        check(canonical(data), f"{name}: canonical envelope")
        # The envelope is untagged, so the array is handed over instead of a tagged message.
        message = Sign1Message.from_cose_obj(cbor2.loads(data), True)
        message.external_aad = row["aad"].encode()
        author = key_of(row["author"])
        message.key = OKPKey(crv=Ed25519, x=author)
        check(message.verify_signature(), f"{name}: signature")
        check(message.phdr[KID] == row["author"].encode(), f"{name}: author in the header")
        check(len(message.phdr) == 2 and Algorithm in message.phdr, f"{name}: two protected fields")
        check(message.uhdr == {}, f"{name}: no unprotected field")
        check(message.payload.hex() == row["payload"], f"{name}: payload")
        check(canonical(message.payload), f"{name}: canonical payload")

        protected = cbor2.loads(data)[0]
        signed = cbor2.dumps(["Signature1", protected, row["aad"].encode(), message.payload])
        check(blake3(signed).hexdigest() == row["id"], f"{name}: id")
        check(blake3(data).digest()[:20].hex() == row["gossip_id"], f"{name}: gossip id")

        record = cbor2.loads(message.payload)
        fields = {"kind": name, "seq": row["seq"], "slot": row["slot"], "network": vectors["network"]}
        check(all(record[key] == value for key, value in fields.items()), f"{name}: common fields")
        if name == "pointer":
            parts = [b"haggle/pointer/v1\0", vectors["network"].encode(), b"\0", author]
            check(blake3(b"".join(parts)).hexdigest() == row["dht_key"], "pointer: its key in the DHT")
            card = row["body"]["card"] and bytes.fromhex(row["body"]["card"])
            check(record["body"] == row["body"] | {"card": card} and len(data) <= 1024, "pointer: body and size")

        message.external_aad = b"haggle/other/v1"
        check(not message.verify_signature(), f"{name}: another purpose does not verify")


def verify_bodies():
    vectors = load("catalog.json")
    author, now = vectors["author"], vectors["now"]
    for row in vectors["records"]:
        kind, (most, days) = row["kind"], KINDS[row["kind"]]
        record, name = opened(row["hex"], kind, author, most)
        check(name == row["id"], f"{kind}: id")
        check(blake3(bytes.fromhex(row["hex"])).digest()[:20].hex() == row["gossip_id"], f"{kind}: gossip id")
        check((record["kind"], record["slot"], record["network"]) == (kind, row["slot"], vectors["network"]), f"{kind}: place")
        check(record["created"] == now and record["expires"] - now == days * DAY * 1000, f"{kind}: life")
        body = record["body"]
        check(fault(kind, body) is None, f"{kind}: a body within its rules")
        check(for_people(body) == row["body"], f"{kind}: the same body")
        key = key_of(author) if kind == "card" else body["category"].encode()
        check(key.hex() == row["shard_key"] and shard_of(key, 64) == row["shard"], f"{kind}: shard")
        if kind == "card" and body["binding"]:
            bound = body["binding"]["expires"] // 1000
            types = {"DidBinding": [{"name": "network", "type": "string"}, {"name": "did", "type": "string"},
                                    {"name": "expires", "type": "uint40"}]}
            domain = {"name": "haggle", "version": "1", "chainId": 31337}
            message = {"network": vectors["network"], "did": author, "expires": bound}
            signed = encode_typed_data(domain, types, message)
            signer = Account.recover_message(signed, signature=body["binding"]["signature"])
            check(signer.lower() == "0x" + body["binding"]["address"].hex(), "card: the address signed the DID")
    for row in vectors["refused"]:
        record, _ = opened(row["hex"], "listing", author, 4096)
        check(fault("listing", record["body"]) == row["code"], f"refused: {row['what']}")
    for row in vectors["shards"]:
        check(shard_of(row["category"].encode(), row["shards"]) == row["shard"], f"the shard of {row['category']}")


def verify_terms():
    terms = load("statements.json")["terms"]
    halves = [bytes.fromhex(terms["parties"]), bytes.fromhex(terms["rest"])]
    both = b"".join(blake3(half).digest() for half in halves)
    check(blake3(both).hexdigest() == terms["hash"], "terms hash")
    check(canonical(halves[0]), "the parties document is canonical")


def typed(types, name, message):
    """The message with its numbers as numbers."""
    values = {}
    for field, kind in types[name].items():
        value = message[field]
        if kind.endswith("[]"):
            values[field] = [typed(types, kind[:-2], item) for item in value]
        else:
            values[field] = int(value) if "int" in kind else value
    return values


def signed(key, domain, types, name, message):
    """Digest and signature by eth-account."""
    listed = {kind: [{"name": field, "type": of} for field, of in fields.items()] for kind, fields in types.items()}
    domain = {**domain, "chainId": int(domain["chainId"])}
    made = Account.sign_typed_data(key, domain, listed, typed(types, name, message))
    return "0x" + bytes(made.message_hash).hex(), "0x" + bytes(made.signature).hex()


ORDER = dict.fromkeys("buyer provider validator arbitrator feeTo".split(), "address")
ORDER |= dict.fromkeys("amount bond stake".split(), "uint96") | {"feeBps": "uint16", "silentBps": "uint16"}
ORDER |= {"flags": "uint8", "fundBy": "uint40", "deliverBy": "uint40"}
ORDER |= dict.fromkeys("reviewSecs counterSecs ruleSecs".split(), "uint32") | {"terms": "bytes32", "salt": "uint256"}
PAYMENT = {"from": "address", "to": "address"}
PAYMENT |= dict.fromkeys("value validAfter validBefore".split(), "uint256") | {"nonce": "bytes32"}


def verify_orders():
    vectors = load("eip712-order.json")
    buyer, provider = vectors["buyerKey"], vectors["providerKey"]
    for row in vectors["cases"]:
        order, identity = row["order"], {"orderId": row["orderId"]}
        escrow = {"name": "haggle Escrow", "version": "1", "chainId": row["chainId"], "verifyingContract": row["escrow"]}
        token = {**escrow, "name": "USD Coin", "version": "2", "verifyingContract": row["token"]}
        fee = int(order["amount"]) * int(order["feeBps"]) // 10_000 if int(order["flags"]) & 1 else 0
        deposit = int(order["amount"]) + fee
        check(str(deposit) == row["deposit"], f"{row['name']}: deposit")
        payment = {"from": order["buyer"], "to": row["escrow"], "value": deposit, "validAfter": 0}
        payment |= {"validBefore": order["fundBy"], "nonce": row["orderId"]}
        for key, domain, name, fields, message, digest, signature in (
            (provider, escrow, "Order", ORDER, order, "orderId", "providerSig"),
            (buyer, escrow, "Release", {"orderId": "bytes32"}, identity, "releaseDigest", "releaseSig"),
            (provider, escrow, "Refund", {"orderId": "bytes32"}, identity, "refundDigest", "refundSig"),
            (buyer, token, "ReceiveWithAuthorization", PAYMENT, payment, "receiveWithAuthorizationDigest", "buyerAuth"),
        ):
            made = signed(key, domain, {name: fields}, name, message)
            check(made == (row[digest], row[signature]), f"{row['name']}: {name}")


def verify_contracts():
    vectors = load("eip712-contracts.json")
    for row in vectors["cases"]:
        made = signed(vectors["key"], row["domain"], row["types"], row["type"], row["message"])
        check(made == (row["digest"], row["signature"]), f"{row['type']}: {row['name']}")
    nonce = vectors["depositNonce"]
    content = encode(["bytes32", "uint256"], [bytes.fromhex(nonce["channelId"][2:]), int(nonce["salt"])])
    check("0x" + keccak(content).hex() == nonce["nonce"], "nonce of a deposit")


def verify_exact():
    vectors = load("x402-exact.json")
    payer, seller = vectors["payer_key"], vectors["seller_key"]
    payload, paid = vectors["payload"], vectors["settlement"]
    accepted, extra = payload["accepted"], payload["accepted"]["extra"]
    token = {"name": extra["name"], "version": extra["version"], "chainId": accepted["network"].split(":")[1]}
    token["verifyingContract"] = accepted["asset"]
    types = {"TransferWithAuthorization": PAYMENT}
    made = signed(payer, token, types, "TransferWithAuthorization", payload["payload"]["authorization"])
    check(made == (vectors["transfer_with_authorization_digest"], payload["payload"]["signature"]), "exact: the payment")
    texts = "resourceUrl scheme network asset payTo amount".split()
    offer = {"version": "uint256"} | dict.fromkeys(texts, "string") | {"validUntil": "uint256"}
    receipt = {"version": "uint256", "network": "string", "resourceUrl": "string", "payer": "string"}
    receipt |= {"issuedAt": "uint256", "transaction": "string"}
    offered = vectors["payment_required"]["extensions"]["offer-receipt"]["info"]["offers"][0]
    given = paid["extensions"]["offer-receipt"]["info"]["receipt"]
    for name, fields, statement, digest in (
        ("Offer", offer, offered, "offer_digest"),
        ("Receipt", receipt, given, "receipt_digest"),
    ):
        domain = {"name": f"x402 {name.lower()}", "version": "1", "chainId": 1}
        made = signed(seller, domain, {name: fields}, name, statement["payload"])
        check(made == (vectors[digest], statement["signature"]), f"exact: the {name.lower()}")
    for header, value in (("payment_required_header", "payment_required"), ("payload_header", "payload")):
        check(json.loads(base64.b64decode(vectors[header])) == vectors[value], f"exact: {header}")


def verify_channel_receipt():
    vectors = load("channel-receipt.json")
    file = vectors["file"]
    proof = file["proof"]
    terms, said = proof["channel"], proof["receipt"]
    deployed = {"version": "1", "chainId": proof["chain_id"], "verifyingContract": proof["contract"]}
    domain = {**deployed, "name": "x402 Batch Settlement"}
    names = "payer payerAuthorizer receiver receiverAuthorizer token".split()
    config = dict.fromkeys(names, "address") | {"withdrawDelay": "uint40", "salt": "bytes32"}
    snake = "payer payer_authorizer receiver receiver_authorizer token withdraw_delay salt".split()
    channel = dict(zip(config, (terms[name] for name in snake)))
    identity = signed(vectors["payer_secret"], domain, {"ChannelConfig": config}, "ChannelConfig", channel)[0]
    check(identity == file["channel"], "channel receipt: the channel's id")
    voucher = {"channelId": "bytes32", "maxClaimableAmount": "uint128"}
    message = {"channelId": identity, "maxClaimableAmount": said["charged"]}
    made = signed(vectors["payer_secret"], domain, {"Voucher": voucher}, "Voucher", message)
    check(made[1] == proof["voucher"], "channel receipt: the voucher")
    fields = {"channelId": "bytes32", "seller": "string", "charged": "uint128", "claimed": "uint128"}
    fields |= {"issuedAt": "uint256"}
    domain = {**deployed, "name": "haggle channel receipt"}
    message = {**said, "channelId": identity}
    made = signed(vectors["receiver_secret"], domain, {"ChannelReceipt": fields}, "ChannelReceipt", message)
    check(made[1] == said["signature"], "channel receipt: the receipt")


class Refused(Exception):
    """Why a card counts for nothing, as a code."""


def unique(pairs):
    """An object that names everything once."""
    if len(dict(pairs)) != len(pairs):
        raise Refused("card_not_json")
    return dict(pairs)


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64url(text):
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if b64url(data) != text:
        raise ValueError("padded, or with letters of another alphabet")
    return data


def full(value):
    """What the SDKs sign of a value: no null, no empty text, list or object at any depth; None for nothing."""
    if isinstance(value, dict):
        value = {name: inner for name, item in value.items() if (inner := full(item)) is not None}
    elif isinstance(value, list):
        value = [inner for item in value if (inner := full(item)) is not None]
    return None if value in ("", [], {}) else value


def without_signatures(card):
    return {name: value for name, value in card.items() if name != "signatures"}


def read_header(entry):
    try:
        header = json.loads(unb64url(entry["protected"]), object_pairs_hook=unique)
    except (KeyError, TypeError, ValueError, Refused):
        raise Refused("card_signature_malformed") from None
    if not isinstance(header.get("alg"), str) or not isinstance(header.get("kid"), str) or "crit" in header:
        raise Refused("card_signature_malformed")
    return header


def verify_entry(entry, card, did, forms):
    """The form that a signature covers; forms maps names to canonical bytes."""
    header = read_header(entry)
    if header["alg"] not in ("EdDSA", "Ed25519"):
        raise Refused("card_signature_algorithm")
    if header["kid"] not in (did, f"{did}#{did.removeprefix('did:key:')}"):
        raise Refused("card_signature_unknown_key")
    try:
        signature = unb64url(entry["signature"])
    except (binascii.Error, ValueError):
        raise Refused("card_signature_malformed") from None
    if len(signature) != 64:
        raise Refused("card_signature_malformed")
    for name, payload in forms.items():
        try:
            signed = f"{entry['protected']}.{b64url(payload)}".encode()
            Ed25519PublicKey.from_public_bytes(key_of(did)).verify(signature, signed)
            return name
        except InvalidSignature:
            continue
    raise Refused("bad_signature")


def verify_card(text, did):
    """The form in which the card's author signed it."""
    card = json.loads(text, object_pairs_hook=unique)
    entries = card.get("signatures", [])
    if not entries or len(entries) > 8:
        raise Refused("card_too_many_signatures" if entries else "card_unsigned")
    # These cards hold no default that only the standard's form leaves out.
    content = without_signatures(card)
    forms = {"spec": rfc8785.dumps(content), "sdk": rfc8785.dumps(full(content))}
    told = []
    for entry in entries:
        try:
            return verify_entry(entry, card, did, forms)
        except Refused as reason:
            told.append(str(reason))
    raise Refused(next((code for code in told if code != "card_signature_unknown_key"), told[0]))


def verify_cards():
    vectors = load("cards.json")
    author = vectors["author"]
    secret = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(author["secret"]))
    check(did_of(ed25519_public(bytes.fromhex(author["secret"]))) == author["did"], "the author's DID")
    for row in vectors["forms"]:
        spec = json.loads(row["spec"])
        check(rfc8785.dumps(spec).decode() == row["spec"], f"{row['name']}: canonical")
        check(rfc8785.dumps(full(spec)).decode() == row["sdk"], f"{row['name']}: the SDKs' form")
        check(row["spec"] == row["sdk"] or row["faults"], f"{row['name']}: two forms are a fault")
    for row in vectors["signed"]:
        check(rfc8785.dumps(row["card"]).decode() == row["canonical"], f"{row['name']}: canonical")
        header = rfc8785.dumps({"alg": "EdDSA", "kid": author["did"], "typ": "JOSE"})
        check((header.decode(), b64url(header)) == (row["header"], row["protected"]), f"{row['name']}: header")
        signature = secret.sign(f"{row['protected']}.{b64url(row['canonical'].encode())}".encode())
        check(b64url(signature) == row["signature"], f"{row['name']}: signature")
        check(without_signatures(json.loads(row["signed"])) == row["card"], f"{row['name']}: the same card")
    reference = vectors["reference"]
    card = json.loads(reference["card"])
    entry = card["signatures"][0]
    check(read_header(entry)["kid"] == reference["kid"], "the reference's key id")
    signed = f"{entry['protected']}.{b64url(rfc8785.dumps(without_signatures(card)))}".encode()
    Ed25519PublicKey.from_public_bytes(unb64url(reference["key"])).verify(unb64url(entry["signature"]), signed)
    for row in vectors["accepted"]:
        check(verify_card(row["card"], author["did"]) == row["form"], f"cards accepted: {row['name']}")
    for row in vectors["refused"]:
        try:
            code = verify_card(row["card"], author["did"])
        except Refused as reason:
            code = str(reason)
        check(code == row["code"], f"cards refused: {row['name']}: {code}")


FRAMES = {1: "Params", 2: "Request", 3: "Response", 4: "End", 5: "Error", 6: "Cancel"}


def cut(data):
    """The first frame of the bytes: its kind, its call, its payload."""
    (length,) = struct.unpack_from(">I", data)
    if not 9 <= length <= 1 << 20:
        raise ValueError("length")
    if data[4] not in FRAMES:
        raise ValueError("kind")
    kind, call = struct.unpack_from(">BQ", data, 4)
    if len(data) != 4 + length:
        raise ValueError("not one frame")
    return FRAMES[kind], call, data[13:].decode()


def verify_frames():
    vectors = load("a2a-libp2p.json")
    for conversation in vectors["conversations"]:
        ended = set()
        for frame in conversation["frames"]:
            name = f"{conversation['name']}: {frame['kind']} of call {frame['call']}"
            kind, call, payload = cut(bytes.fromhex(frame["bytes"]))
            check((kind, call, payload) == (frame["kind"], frame["call"], frame["payload"]), name)
            check(call not in ended, f"{name}: nothing follows the end")
            if kind in ("End", "Cancel"):
                check(payload == "", f"{name}: empty")
                ended.add(call)
            else:
                body = json.loads(payload, object_pairs_hook=unique)
                by = {"Params": "agent", "Request": "method", "Response": "jsonrpc", "Error": "code"}[kind]
                check(by in body, f"{name}: has {by}")
            check((frame["from"] == "caller") == (kind in ("Params", "Request", "Cancel")), f"{name}: who says it")
    for row in vectors["refused"]:
        try:
            cut(bytes.fromhex(row["bytes"]))
        except ValueError:
            check(True, row["name"])
        else:
            check(False, row["name"])


def verify_negotiation():
    for row in load("negotiate.json")["messages"]:
        message, name = row["message"], row["name"]
        check(message["extensions"] == ["urn:haggle:a2a:negotiate:1"], f"{name}: the extension")
        check(message["role"] == {"buyer": "ROLE_USER", "provider": "ROLE_AGENT"}[row["from"]], f"{name}: the role")
        (part,) = message["parts"]
        check(list(part) == ["data"] and isinstance(part["data"]["type"], str), f"{name}: one data part")


def verify_messages():
    vectors = load("messages.json")
    aad = vectors["aad"].encode()
    for row in vectors["messages"]:
        name, data, said = row["name"], bytes.fromhex(row["document"]), row["message"]
        check(canonical(data), f"{name}: canonical envelope")
        message = Sign1Message.from_cose_obj(cbor2.loads(data), True)
        message.external_aad = aad
        message.key = OKPKey(crv=Ed25519, x=key_of(row["signer"]))
        check(message.verify_signature(), f"{name}: signature")
        check(message.phdr[KID] == row["signer"].encode(), f"{name}: signer in the header")
        check(b64url(message.signature) == said["signature"], f"{name}: the same signature in JSON")
        check(rfc8785.dumps(said["payload"]).decode() == row["payload"], f"{name}: canonical payload")
        fields = {"id": said["messageId"], "from": said["from"], "to": said.get("to"), "kind": said["type"]}
        fields |= {"at": row["millis"], "payload": row["payload"]}
        check(cbor2.dumps(fields, canonical=True) == message.payload, f"{name}: what is signed")
        signed = cbor2.dumps(["Signature1", cbor2.loads(data)[0], aad, message.payload])
        check(blake3(signed).hexdigest() == row["id"], f"{name}: id")


def hashes_as_bytes(value):
    """The values of `id`, `place` and `by` are hashes: text in JSON, byte strings in CBOR."""
    if not is_map(value):
        return value
    hashes = {"id", "place", "by"}
    return {key: bytes.fromhex(item) if key in hashes and item else hashes_as_bytes(item) for key, item in value.items()}


def verify_looks():
    vectors = load("look.json")
    place = vectors["place"]
    parts = [b"listing\0", key_of(vectors["did"]), place["slot"].encode(), b"\0", place["category"].encode()]
    check(blake3(b"".join(parts)).hexdigest() == place["hash"], "the place of a listing")
    for row in vectors["questions"] + vectors["replies"]:
        data = bytes.fromhex(row["cbor"])
        check(canonical(data) and len(data) <= 512, f"{row['json']}: canonical and short")
        check(cbor2.loads(data) == hashes_as_bytes(row["json"]), f"{row['json']}: the same value")


# Amounts are decimal text in JSON and millionths in CBOR.
AMOUNTS_OF_SEARCHES = {"min_price", "max_price"}


def verify_searches():
    vectors = load("search.json")
    for row in vectors["questions"]:
        data = bytes.fromhex(row["cbor"])
        check(canonical(data) and len(data) <= 2048, f"{row['name']}: canonical and short")
        amounts = {key: int(Decimal(row["json"][key]) * 1_000_000) for key in AMOUNTS_OF_SEARCHES if row["json"][key]}
        check(cbor2.loads(data) == row["json"] | amounts, f"{row['name']}: the same value")
    for row in vectors["replies"]:
        data = bytes.fromhex(row["cbor"])
        check(canonical(data) and len(data) <= 65536, f"{row['json']}: canonical and within a frame")
        check(cbor2.loads(data) == frame_value(row["json"]), f"{row['json']}: the same value")


# In a frame these are bytes: text in JSON, byte strings in CBOR.
BYTES_OF_FRAMES = {"digests", "message", "ids", "records"}


def frame_value(value, key=""):
    if is_map(value):
        inside = not key
        return {name: frame_value(item, name if not inside or not is_map(item) else "") for name, item in value.items()}
    if isinstance(value, list):
        return [frame_value(item, key) for item in value]
    return bytes.fromhex(value) if key in BYTES_OF_FRAMES else value


def verify_ranking():
    for row in load("ranking.json")["rows"]:
        calls, successes = (row["total_calls"], row["successes"]) if row["total_calls"] else (100, 50)
        units = int(Decimal(row["price"]) * 1_000_000)
        cost = -(-units * calls // successes) if successes else None
        told = row["cost_per_success"]
        check(cost == (None if told is None else int(Decimal(told) * 1_000_000)), f"{row['name']}: cost of a success")
        weights = [int(Decimal(weight) * 1_000_000) for weight in row["weights"]]
        time = row["avg_response_ms"]
        quickness = 0.0 if time is None else 1000 / (1000 + time)
        parts = [
            float(row["trust_score"]),
            0.0 if cost is None else 100_000 / (100_000 + cost),
            (quickness + float(row["uptime_24h"])) / 2,
        ]
        check([f"{part:.6f}" for part in parts] == row["parts"], f"{row['name']}: parts")
        score = 0.0
        for part, weight in zip(parts, weights):
            score += part * (weight / sum(weights))
        check(f"{score:.6f}" == row["score"], f"{row['name']}: score")
        bits = struct.unpack(">Q", struct.pack(">d", score))[0]
        check(f"{(1 << 64) - 1 - bits:016x}" == row["rank"], f"{row['name']}: rank")


def verify_figures():
    for row in load("figures.json")["rows"]:
        calls = successes = failures = 0
        said = {}
        for order in row["orders"]:
            end, signal = order["closed_by"], 0
            if end in ("verdict", "ruling"):
                paid, fee, amount = order["paid"], order["fee"], order["amount"]
                given = paid if paid + fee + order["refunded"] > amount else paid + fee
                signal = 1 if 2 * given >= amount else -1
            elif end == "release":
                signal = 1
            elif end in ("refund", "expired", "uncountered"):
                signal = -1
            agreed = order["consented"] or end in ("uncountered", "ruling")
            if not order["linked"] or (signal < 0 and not agreed):
                continue
            calls, successes, failures = calls + 1, successes + (signal > 0), failures + (signal < 0)
            said.setdefault(order["payer"], []).append(signal)
        net = sum(max(-1, min(1, sum(signals))) for signals in said.values())
        told = [row[key] for key in ("total_calls", "successes", "failures", "net")]
        check([calls, successes, failures, net] == told, f"{row['name']}: figures")


def verify_agents():
    vectors = load("agent.json")
    for row in [vectors["question"]] + vectors["replies"]:
        data = bytes.fromhex(row["cbor"])
        check(canonical(data) and len(data) <= 65536, f"{row['json']}: canonical and within a frame")
        check(cbor2.loads(data) == frame_value(row["json"]), f"{row['json']}: the same value")
    check(len(bytes.fromhex(vectors["question"]["cbor"])) <= 128, "agent: a short question")


# Parts of an address by their code: the name, and how many bytes of value; None for a length before them.
PARTS = {0x04: ("ip4", 4), 0x06: ("tcp", 2), 0x29: ("ip6", 16), 0x35: ("dns", None), 0x36: ("dns4", None)}
PARTS |= {0x37: ("dns6", None), 0x0111: ("udp", 2), 0x01CD: ("quic-v1", 0), 0x01A5: ("p2p", None)}
PARTS |= {0x0122: ("p2p-circuit", 0)}


def varint(stream):
    number = shift = 0
    while True:
        byte = stream.read(1)[0]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number
        shift += 7


def multiaddr(data):
    stream, text = io.BytesIO(data), ""
    while stream.tell() < len(data):
        name, size = PARTS[varint(stream)]
        value = stream.read(varint(stream) if size is None else size)
        text += "/" + name
        if name in ("tcp", "udp"):
            text += f"/{int.from_bytes(value, 'big')}"
        elif name in ("ip4", "ip6"):
            text += f"/{ipaddress.ip_address(value)}"
        elif value:
            text += "/" + (base58(value) if name == "p2p" else value.decode())
    return text


def verify_tickets():
    for row in load("tickets.json")["tickets"]:
        text = row["ticket"].removeprefix("haggle1").upper()
        data = base64.b32decode(text + "=" * (-len(text) % 8))
        payload, checksum = data[:-5], data[-5:]
        check(blake3(b"haggle/ticket/v1\0" + payload).digest()[:5] == checksum, "ticket: checksum")
        check(canonical(payload), "ticket: canonical")
        network, peer, addresses, agent = cbor2.loads(payload)
        peer = base58(bytes.fromhex("002408011220") + peer)
        check((network, peer) == (row["network"], row["peer"]), "ticket: network and peer")
        check([f"{multiaddr(item)}/p2p/{peer}" for item in addresses] == row["addresses"], "ticket: addresses")
        check((agent and did_of(agent)) == row["agent"], "ticket: agent")


def verify_syncs():
    vectors = load("sync.json")
    for row in vectors["frames"]:
        data = bytes.fromhex(row["cbor"])
        check(canonical(data) and len(data) <= 65536, f"{row['json']}: canonical and within a frame")
        check(cbor2.loads(data) == frame_value(row["json"]), f"{row['json']}: the same value")
    for row in vectors["digests"]:
        total = sum(int.from_bytes(bytes.fromhex(item), "little") for item in row["ids"]) % (1 << 256)
        data = total.to_bytes(32, "little") + len(row["ids"]).to_bytes(8, "little")
        check(blake3(data).hexdigest()[:32] == row["digest"], f"digest of {len(row['ids'])} ids")


def verify_blobs():
    vectors = load("blob.json")
    document = vectors["document"].encode()
    question = {"hash": blake3(document).digest(), "size": len(document)}
    named = '{"$ref":"haggle-blob:%s/%d"}' % (question["hash"].hex(), question["size"])
    check(vectors["in_record"] == named, "a document as a record names it")
    replies = [{"part": {"bytes": document}}, "absent", {"refused": {"why": "too_often"}}]
    rows = [vectors["question"]] + vectors["replies"]
    for row, value in zip(rows, [question] + replies, strict=True):
        data = bytes.fromhex(row["cbor"])
        check(canonical(data) and cbor2.loads(data) == value, f"{row['json']}: the frame")
    check(len(bytes.fromhex(vectors["question"]["cbor"])) <= 128, "blob: a short question")


def verify_rendezvous():
    vectors = load("rendezvous.json")
    for row in vectors["keys"]:
        parts = (b"haggle/rendezvous/v1", vectors["network"].encode(), row["place"].encode())
        check(blake3(b"\0".join(parts)).hexdigest() == row["key"], f"rendezvous key of {row['place']}")


def open_hpke(secret, enc, info, bound, sealed):
    """Base mode of RFC 9180 with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and ChaCha20Poly1305, one text."""

    def extract(suite, salt, label, material):
        return hmac.new(salt or bytes(32), b"HPKE-v1" + suite + label + material, hashlib.sha256).digest()

    def expand(suite, key, label, about, length):
        text = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + about
        return hmac.new(key, text + b"\x01", hashlib.sha256).digest()[:length]

    key = X25519PrivateKey.from_private_bytes(secret)
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x03"
    shared = extract(kem, b"", b"eae_prk", key.exchange(X25519PublicKey.from_public_bytes(enc)))
    shared = expand(kem, shared, b"shared_secret", enc + public, 32)
    context = b"\x00" + extract(suite, b"", b"psk_id_hash", b"") + extract(suite, b"", b"info_hash", info)
    secret = extract(suite, shared, b"secret", b"")
    nonce = expand(suite, secret, b"base_nonce", context, 12)
    return ChaCha20Poly1305(expand(suite, secret, b"key", context, 32)).decrypt(nonce, sealed, bound)


def opened(document, kind, did, most):
    """The payload of a signed document, and its id."""
    data = bytes.fromhex(document)
    check(len(data) <= most and canonical(data), f"{kind}: canonical and short enough")
    protected, unprotected, payload, signature = cbor2.loads(data)
    check(protected == b"\xa2\x01\x27\x04\x58\x38" + did.encode() and unprotected == {}, f"{kind}: headers")
    signed = cbor2.dumps(["Signature1", protected, f"haggle/{kind}/v1".encode(), payload], canonical=True)
    Ed25519PublicKey.from_public_bytes(key_of(did)).verify(signature, signed)
    check(canonical(payload), f"{kind}: canonical payload")
    return cbor2.loads(payload), blake3(signed).hexdigest()


def verify_mailbox():
    vectors = load("mailbox.json")
    network, row = vectors["network"], vectors["letter"]
    sender, recipient = vectors["sender"]["did"], vectors["recipient"]["did"]
    for agent in (vectors["sender"], vectors["recipient"]):
        check(did_of(ed25519_public(bytes.fromhex(agent["secret"]))) == agent["did"], "mailbox: keys")
    letter, name = opened(row["document"], "letter", sender, 64512)
    check(name == row["id"], "letter: id")
    check((letter["network"], letter["to"]) == (network, recipient), "letter: where and to whom")
    check((letter["created"], letter["expires"]) == (row["created"], row["expires"]), "letter: times")
    check(letter["expires"] - letter["created"] == 72 * 3600 * 1000, "letter: lives for three days")
    scalar = hashlib.sha512(bytes.fromhex(vectors["recipient"]["secret"])).digest()[:32]
    bound = cbor2.dumps([sender, recipient, letter["created"], letter["expires"]], canonical=True)
    info = b"haggle/letter/v1\0" + network.encode()
    plain = open_hpke(scalar, letter["enc"], info, bound, letter["sealed"])
    check(canonical(plain), "letter: canonical content")
    content = cbor2.loads(plain)
    check(content == {key: bytes.fromhex(row[key]) for key in ("message", "pointer", "token")}, "letter: content")
    # the key of the one text follows from the randomness (RFC 9180, 7.1.3)
    kem = b"HPKE-v1KEM\x00\x20"
    prk = hmac.new(bytes(32), kem + b"dkp_prk" + bytes.fromhex(row["random"]), hashlib.sha256).digest()
    made = hmac.new(prk, b"\x00\x20" + kem + b"sk\x01", hashlib.sha256).digest()
    made = X25519PrivateKey.from_private_bytes(made).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    check(made == letter["enc"], "letter: the encapsulated key")

    token, _ = opened(row["token"], "mail-token", sender, 512)
    check((token["network"], token["sender"]) == (network, recipient), "token: of the sender, for the recipient")
    token, _ = opened(vectors["token"], "mail-token", recipient, 512)
    check((token["network"], token["sender"]) == (network, sender), "token: of the recipient, for the sender")
    receipt, _ = opened(vectors["receipt"], "mail-receipt", recipient, 1024)
    check((receipt["letter"].hex(), receipt["from"]) == (row["id"], sender), "receipt: of this letter")
    check(receipt["token"].hex() == vectors["token"] and receipt["network"] == network, "receipt: token")
    shown, _ = opened(vectors["pass"]["document"], "mail-pass", recipient, 512)
    check((shown["node"], shown["keeper"]) == (vectors["pass"]["node"], vectors["pass"]["keeper"]), "pass: nodes")
    for frame in vectors["questions"] + vectors["calls"] + vectors["replies"]:
        data = bytes.fromhex(frame["cbor"])
        check(canonical(data) and len(data) <= 65536, f"{frame['json']}: canonical and within a frame")
        check(as_hex(cbor2.loads(data)) == frame["json"], f"{frame['json']}: the same value")


def as_hex(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: as_hex(item) for key, item in value.items()}
    return [as_hex(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    parts = (verify_cbor, verify_keys, verify_records, verify_bodies, verify_terms, verify_orders, verify_contracts, verify_cards,
             verify_frames, verify_negotiation, verify_exact, verify_channel_receipt, verify_messages, verify_looks,
             verify_searches, verify_ranking, verify_figures, verify_agents, verify_tickets, verify_syncs, verify_rendezvous,
             verify_blobs, verify_mailbox)
    for part in parts:
        part()
    print(f"{CHECKS} checks of the golden vectors passed")
