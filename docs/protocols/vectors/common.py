"""What the checks of the vectors share: counting, keys and names, and the canonical form of CBOR."""

import collections.abc
import hmac
import io
import json
import pathlib
import struct

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

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
