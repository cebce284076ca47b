"""Checks the golden vectors with other libraries than ours.

cbor2 writes every accepted CBOR value again, pycose verifies the COSE signatures, blake3 makes the
ids anew; keys, DIDs and PeerIds follow from their definitions; eth-account makes the EIP-712 digests
and signatures anew; rfc8785 and cryptography make the signatures of cards anew.

    python3 -m venv venv && venv/bin/pip install -r requirements.txt && venv/bin/python verify.py
"""

import base64
import hashlib
import hmac
import io
import ipaddress
import json
import struct
from decimal import Decimal

import cbor2
import rfc8785
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from eth_account import Account
from eth_account.messages import encode_typed_data
from pycose.headers import KID, Algorithm
from pycose.keys import OKPKey
from pycose.keys.curves import Ed25519
from pycose.messages import Sign1Message

import common
from bodies import DAY, KINDS, fault, for_people, shard_of
from common import base58, canonical, check, did_of, ed25519_public, is_map, key_of, load, plain, slip10
from payments import signed, verify_channel_receipt, verify_contracts, verify_exact, verify_orders
from signed_cards import b64url, unique, verify_cards


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
    print(f"{common.CHECKS} checks of the golden vectors passed")
