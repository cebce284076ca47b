//! Everything but orders that is signed for the contracts, against digests that eth-account made.

use std::fmt::Debug;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::Value;

use super::super::channel::{ChannelConfig, ClaimBatch, ClaimEntry, Voucher, channel_domain};
use super::super::*;
use crate::evm_signature::EvmSignature;
use crate::keys::PaymentKey;

/// Made with Python's eth-account; `verify.py` checks the same file.
const VECTORS: &str = include_str!("../../../../../docs/protocols/vectors/eip712-contracts.json");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vectors {
    key: B256,
    cases: Vec<Case>,
    deposit_nonce: DepositNonce,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    r#type: String,
    domain: Facts,
    types: Value,
    message: Value,
    digest: B256,
    signature: EvmSignature,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Facts {
    name: String,
    version: String,
    chain_id: String,
    verifying_contract: Address,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DepositNonce {
    channel_id: B256,
    salt: String,
    nonce: B256,
}

/// A field of the message, as the type it has to be.
fn field<T: FromStr<Err: Debug>>(message: &Value, name: &str) -> T {
    message[name].as_str().unwrap().parse().unwrap()
}

/// The type as EIP-712 writes it, from the vector's own list of fields.
fn encoded_type(name: &str, types: &Value) -> String {
    let fields = types[name].as_object().unwrap();
    let fields: Vec<String> = fields.iter().map(|(name, kind)| format!("{} {name}", kind.as_str().unwrap())).collect();
    format!("{name}({})", fields.join(","))
}

/// Checks the type and answers the digest.
fn checked<T: SolStruct>(message: &T, case: &Case, domain: &Domain) -> B256 {
    let ours = T::eip712_encode_type();
    let sorted = |text: &str| {
        let mut fields: Vec<String> = text.split(['(', ',', ')']).map(str::to_owned).collect();
        fields.sort();
        fields
    };
    let theirs: String = case.types.as_object().unwrap().keys().map(|name| encoded_type(name, &case.types)).collect();
    assert_eq!(sorted(&ours), sorted(&theirs), "{}", case.name);
    digest(message, domain)
}

fn digest_of(case: &Case, domain: &Domain) -> B256 {
    let message = &case.message;
    let (order_id, channel_id) = (|| field(message, "orderId"), || field(message, "channelId"));
    match case.r#type.as_str() {
        "Split" => {
            let (pay, until) = (field(message, "pay"), field(message, "validUntil"));
            checked(&Split { orderId: order_id(), pay, validUntil: until }, case, domain)
        }
        "Verdict" => {
            let (pay, evidence) = (field(message, "pay"), field(message, "evidence"));
            let said = Verdict { orderId: order_id(), pay, evidence, validUntil: field(message, "validUntil") };
            checked(&said, case, domain)
        }
        "Bond" => {
            let (side, evidence) = (field(message, "side"), field(message, "evidence"));
            checked(&Bond { orderId: order_id(), side, evidence }, case, domain)
        }
        "Feedback" => {
            let (agent, value) = (field(message, "agentId"), field(message, "value"));
            checked(&Feedback { orderId: order_id(), agentId: agent, value }, case, domain)
        }
        "Vote" => {
            let vote = Vote {
                orderId: order_id(),
                role: field(message, "role"),
                pay: field(message, "pay"),
                evidence: field(message, "evidence"),
                validUntil: field(message, "validUntil"),
            };
            checked(&vote, case, domain)
        }
        "ChannelConfig" => {
            let config = ChannelConfig {
                payer: field(message, "payer"),
                payerAuthorizer: field(message, "payerAuthorizer"),
                receiver: field(message, "receiver"),
                receiverAuthorizer: field(message, "receiverAuthorizer"),
                token: field(message, "token"),
                withdrawDelay: field(message, "withdrawDelay"),
                salt: field(message, "salt"),
            };
            assert_eq!(channel::channel_id(&config, domain), case.digest, "{}", case.name);
            checked(&config, case, domain)
        }
        "Voucher" => {
            let most = field(message, "maxClaimableAmount");
            checked(&Voucher { channelId: channel_id(), maxClaimableAmount: most }, case, domain)
        }
        "Refund" => {
            let (nonce, amount) = (field(message, "nonce"), field(message, "amount"));
            checked(&channel::Refund { channelId: channel_id(), nonce, amount }, case, domain)
        }
        "ClaimBatch" => {
            let rows = message["claims"].as_array().unwrap().iter().map(|row| ClaimEntry {
                channelId: field(row, "channelId"),
                maxClaimableAmount: field(row, "maxClaimableAmount"),
                totalClaimed: field(row, "totalClaimed"),
            });
            checked(&ClaimBatch { claims: rows.collect() }, case, domain)
        }
        other => panic!("a type nobody knows: {other}"),
    }
}

#[test]
fn what_is_signed_for_the_contracts_has_their_digests() {
    let vectors: Vectors = serde_json::from_str(VECTORS).unwrap();
    let key = PaymentKey::from_bytes(&vectors.key.0).unwrap();
    assert!(vectors.cases.len() >= 18);
    for case in vectors.cases {
        let name = &case.name;
        let (chain, contract) = (case.domain.chain_id.parse().unwrap(), case.domain.verifying_contract);
        let domain = match case.domain.name.as_str() {
            ESCROW_NAME => escrow_domain(chain, contract),
            PANEL_NAME => panel_domain(chain, contract),
            channel::CHANNEL_NAME => channel_domain(chain, contract),
            other => panic!("a domain nobody knows: {other}"),
        };
        assert_eq!(domain.facts().version.as_deref(), Some(case.domain.version.as_str()), "{name}");
        assert_eq!(digest_of(&case, &domain), case.digest, "{name}");
        assert_eq!(key.sign_digest(&case.digest), case.signature, "{name}");
    }
}

#[test]
fn a_deposits_nonce_is_made_of_its_channel_and_a_salt() {
    let made = serde_json::from_str::<Vectors>(VECTORS).unwrap().deposit_nonce;
    assert_eq!(channel::deposit_nonce(&made.channel_id, made.salt.parse().unwrap()), made.nonce);
}

#[test]
fn a_word_for_an_order_is_none_for_a_channel_with_the_same_number() {
    let place = Address::repeat_byte(1);
    let (escrow, channel) = (escrow_domain(1, place), channel_domain(1, place));
    let order = Refund { orderId: B256::repeat_byte(7) };
    let row = channel::Refund { channelId: order.orderId, nonce: U256::ZERO, amount: 0 };
    assert_ne!(digest(&order, &escrow), digest(&row, &channel));
    assert_ne!(digest(&row, &escrow), digest(&row, &channel));
}
