"""The EIP-712 vectors: orders, contracts, exact payments and channel receipts, made anew with eth-account."""

import base64
import json

from eth_abi import encode
from eth_account import Account
from eth_utils import keccak

from common import check, load


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
