"""A second reader of the market's records: cards, listings and tombstones, from what catalog.md says of them."""

import json
import re
from decimal import Decimal

from blake3 import blake3

LABEL = re.compile(r"[a-z0-9_.:/-]+")
DAY = 24 * 3600
# bytes of the signed record, and days that it lives at most
KINDS = {"card": (6144, 7), "listing": (4096, 7), "tombstone": (1024, 8)}


def short(value, most):
    return isinstance(value, str) and len(value.encode()) <= most


def texts(value, items, most):
    """At most so many texts of at most so many bytes."""
    return isinstance(value, list) and len(value) <= items and all(short(item, most) for item in value)


def maybe(value, rule):
    return value is None or rule(value)


def number(value, most):
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def is_pricing(value):
    if value in ("per_call", "outcome"):
        return True
    if not isinstance(value, dict) or len(value) != 1:
        return False
    [(model, terms)] = value.items()
    rules = {
        "per_unit": lambda: set(terms) == {"unit"} and short(terms["unit"], 32),
        "subscription": lambda: set(terms) == {"period_secs"} and number(terms["period_secs"], 2**32 - 1),
    }
    return model in rules and rules[model]()


def is_host(value):
    return set(value) == {"peer", "addrs"} and short(value["peer"], 64) and texts(value["addrs"], 8, 128)


def is_binding(value):
    sizes = {"address": 20, "signature": 65}
    return set(value) == {*sizes, "expires"} and all(len(value[key]) == size for key, size in sizes.items())


SHAPES = {
    "card": {
        "name": lambda value: short(value, 64),
        "hosts": lambda value: isinstance(value, list) and len(value) <= 4 and all(map(is_host, value)),
        "binding": lambda value: maybe(value, is_binding),
        "agent_card": lambda value: short(value, 4096),
    },
    "listing": {
        "sla": lambda value: set(value) == {"deliver_within_secs"} and number(value["deliver_within_secs"], 2**32 - 1),
        "tags": lambda value: texts(value, 16, 32),
        "price": lambda value: number(value, 2**64 - 1),
        "skill": lambda value: short(value, 64),
        "title": lambda value: short(value, 120),
        "escrow": lambda value: maybe(value, lambda terms: set(terms) == {"review_secs"}),
        "pricing": is_pricing,
        "regions": lambda value: texts(value, 8, 16),
        "schemes": lambda value: texts(value, 8, 32),
        "category": lambda value: short(value, 64),
        "description": lambda value: short(value, 1500),
        "input_schema": lambda value: maybe(value, lambda schema: short(schema, 1024)),
        "output_schema": lambda value: maybe(value, lambda schema: short(schema, 1024)),
    },
    "tombstone": {"category": lambda value: short(value, 64)},
}


def is_object(text):
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def fault(kind, body):
    """The code of the first rule that a body breaks, in the order of catalog.md."""
    shape = SHAPES[kind]
    if set(body) != set(shape) or not all(rule(body[field]) for field, rule in shape.items()):
        return "wrong_shape"

    def labels(field):
        return all(map(LABEL.fullmatch, body[field])) and len(set(body[field])) == len(body[field])

    if kind == "card":
        rules = [
            ("bad_name", body["name"].strip()),
            ("bad_agent_card", is_object(body["agent_card"])),
            ("no_hosts", body["hosts"]),
        ]
    elif kind == "tombstone":
        rules = [("bad_category", LABEL.fullmatch(body["category"]))]
    else:
        schemas = [body[field] for field in ("input_schema", "output_schema") if body[field] is not None]
        rules = [
            ("bad_title", body["title"].strip()),
            ("bad_category", LABEL.fullmatch(body["category"])),
            ("bad_tags", labels("tags")),
            ("bad_regions", all(map(LABEL.fullmatch, body["regions"]))),
            ("bad_schema", all(map(is_object, schemas))),
            ("bad_sla", 1 <= body["sla"]["deliver_within_secs"] <= 30 * DAY),
            ("bad_pricing", body["pricing"] != {"subscription": {"period_secs": 0}}),
            ("bad_escrow_terms", body["escrow"] is None or 3600 <= body["escrow"]["review_secs"] <= 30 * DAY),
            ("bad_schemes", labels("schemes")),
            ("no_schemes", body["price"] == 0 or body["schemes"]),
        ]
    return next((code for code, holds in rules if not holds), None)


def shard_of(key, shards):
    return int.from_bytes(blake3(key).digest()[:8], "big") % shards


def for_people(value, field=None):
    if field == "price":
        return format(Decimal(value).scaleb(-6).normalize(), "f")
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict):
        return {key: for_people(item, key) for key, item in value.items()}
    return [for_people(item) for item in value] if isinstance(value, list) else value
