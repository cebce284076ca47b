"""The vectors of signed agent cards, read and signed anew from what cards.md says of them."""

import base64
import binascii
import json

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from common import check, did_of, ed25519_public, key_of, load


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
