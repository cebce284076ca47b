//! What the released JavaScript SDK sent about one channel is read, verified, and written again as it was.

use alloy_primitives::{Address, B256, U256};
use haggle_base::{EvmSignature, PaymentKey, TokenFacts, Usdc, eip712::channel::Voucher, eip712::digest};
use haggle_x402::{
    BatchExtra, BatchPayload, BatchSettled, ChannelFacts, PaymentPayload, PaymentRequired, PaymentRequirements,
    SettleResponse, X402Error, batch,
};
use serde::Deserialize;
use serde_json::{Value, json};

const VECTORS: &str = include_str!("../../../docs/protocols/vectors/x402-batch.json");

#[derive(Deserialize)]
struct Vectors {
    payer_secret: B256,
    receiver_authorizer_secret: B256,
    receiver_secret: B256,
    chain_id: u64,
    channel: Address,
    collector: Address,
    token: Token,
    required: PaymentRequired,
    exchanges: Vec<Exchange>,
}

#[derive(Deserialize)]
struct Token {
    address: Address,
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct Exchange {
    name: String,
    status: u16,
    sent: Value,
    required: Option<Value>,
    response: Option<Value>,
}

fn key(secret: &B256) -> PaymentKey {
    PaymentKey::from_bytes(&secret.0).unwrap()
}

impl Vectors {
    fn load() -> Self {
        serde_json::from_str(VECTORS).unwrap()
    }

    fn facts(&self) -> ChannelFacts {
        let Token { address, name, version } = &self.token;
        let token = TokenFacts {
            address: *address,
            name: name.clone(),
            version: version.clone(),
            symbol: "USDC".to_owned(),
            decimals: 6,
        };
        ChannelFacts::new(self.chain_id, self.channel, self.collector, token)
    }

    fn sent(&self, name: &str) -> PaymentPayload {
        let exchange = self.exchanges.iter().find(|exchange| exchange.name == name).unwrap();
        serde_json::from_value(exchange.sent.clone()).unwrap()
    }

    fn payload(&self, name: &str) -> BatchPayload {
        BatchPayload::read(&self.sent(name).payload).unwrap()
    }
}

fn usdc(units: u64) -> Usdc {
    Usdc::from_units(units)
}

/// Addresses may be written in either case.
fn same_but_for_case(one: &Value, other: &Value) -> bool {
    one.to_string().to_lowercase() == other.to_string().to_lowercase()
}

#[test]
fn everything_the_javascript_sdk_sent_survives_a_round_trip() {
    let vectors = Vectors::load();
    for exchange in &vectors.exchanges {
        let sent: PaymentPayload = serde_json::from_value(exchange.sent.clone()).unwrap();
        assert_eq!(serde_json::to_value(&sent).unwrap(), exchange.sent, "{}", exchange.name);
        let payload = BatchPayload::read(&sent.payload).unwrap();
        assert!(same_but_for_case(&payload.to_value(), &sent.payload), "{}", exchange.name);
        if let Some(required) = &exchange.required {
            let read: PaymentRequired = serde_json::from_value(required.clone()).unwrap();
            let extra = serde_json::to_value(BatchExtra::of(&read.accepts[0]).unwrap()).unwrap();
            assert!(same_but_for_case(&extra, &required["accepts"][0]["extra"]));
        }
        if let Some(response) = &exchange.response {
            let read: SettleResponse = serde_json::from_value(response.clone()).unwrap();
            let settled = serde_json::to_value(BatchSettled::of(&read).unwrap()).unwrap();
            assert!(same_but_for_case(&settled, &response["extra"]), "{}", exchange.name);
        }
    }
}

#[test]
fn every_voucher_and_the_deposit_are_signed_by_the_payer_over_the_digests_computed_here() {
    let vectors = Vectors::load();
    let (facts, payer) = (vectors.facts(), key(&vectors.payer_secret).address());
    for exchange in &vectors.exchanges {
        let payload = vectors.payload(&exchange.name);
        let (channel, voucher) = (payload.channel(), payload.voucher());
        assert_eq!(facts.id(channel), voucher.channel_id, "{}", exchange.name);
        assert_eq!((channel.payer, channel.payerAuthorizer), (payer, payer));
        assert_eq!(channel.receiver, key(&vectors.receiver_secret).address());
        assert_eq!(channel.receiverAuthorizer, key(&vectors.receiver_authorizer_secret).address());
        assert!(facts.is_signed_by(voucher, payer), "{}", exchange.name);
        let dearer = batch::SignedVoucher { max_claimable: usdc(voucher.max_claimable.units() + 1), ..*voucher };
        assert!(!facts.is_signed_by(&dearer, payer));
    }
    let BatchPayload::Deposit { channel, voucher, deposit } = vectors.payload("deposit") else { panic!("a deposit") };
    let signed = facts.deposit_digest(channel.payer, &voucher.channel_id, &deposit.terms);
    deposit.signature.verify(&signed, payer).unwrap();
    assert_eq!((deposit.terms.amount, voucher.max_claimable), (usdc(200_000), usdc(20_000)));
    assert_ne!(
        facts.deposit_nonce(&voucher.channel_id, deposit.terms.salt),
        facts.deposit_nonce(&voucher.channel_id, U256::from(1)),
    );
}

#[test]
fn the_same_keys_make_the_same_vouchers_here_as_there() {
    let vectors = Vectors::load();
    let (facts, payer) = (vectors.facts(), key(&vectors.payer_secret));
    for exchange in &vectors.exchanges {
        let payload = vectors.payload(&exchange.name);
        let voucher = payload.voucher();
        let plain =
            Voucher { channelId: voucher.channel_id, maxClaimableAmount: u128::from(voucher.max_claimable.units()) };
        let short = facts.voucher_digest(&voucher.channel_id, voucher.max_claimable);
        assert_eq!(short, digest(&plain, facts.domain()));
        assert_eq!(payer.sign_digest(&short), voucher.signature);
    }
}

#[test]
fn a_requirement_made_here_says_what_the_javascript_server_says() {
    let vectors = Vectors::load();
    let facts = vectors.facts();
    let theirs = &vectors.required.accepts[0];
    let extra = BatchExtra::of(theirs).unwrap();
    assert_eq!(extra.withdraw_delay, 86_400);
    let pay_to = key(&vectors.receiver_secret).address();
    let ours = batch::batch_requirement(&facts, pay_to, usdc(20_000), &extra, 300).unwrap();
    let (ours, theirs) = (serde_json::to_value(ours).unwrap(), serde_json::to_value(theirs).unwrap());
    assert!(same_but_for_case(&ours, &theirs), "{ours}\n{theirs}");
    assert_eq!(batch::batch_requirement(&facts, pay_to, usdc(0), &extra, 300), Err(X402Error::BadAmount));
}

#[test]
fn a_settlement_made_here_says_what_the_javascript_server_says() {
    let vectors = Vectors::load();
    let (facts, payer) = (vectors.facts(), key(&vectors.payer_secret).address());
    for exchange in vectors.exchanges.iter().filter(|exchange| exchange.status == 200) {
        let theirs: SettleResponse = serde_json::from_value(exchange.response.clone().unwrap()).unwrap();
        let extra = BatchSettled::of(&theirs).unwrap();
        let tx = theirs.transaction.parse().ok();
        let moved = theirs.rest["amount"].as_str().unwrap().parse().ok().map(Usdc::from_units);
        let ours = batch::batch_settled(&facts, payer, tx, moved, &extra).unwrap();
        assert!(same_but_for_case(&serde_json::to_value(ours).unwrap(), &exchange.response.clone().unwrap()));
    }
}

#[test]
fn a_corrective_answer_carries_the_proof_of_what_was_signed() {
    let vectors = Vectors::load();
    let (facts, payer) = (vectors.facts(), key(&vectors.payer_secret).address());
    let lost = vectors.exchanges.iter().find(|e| e.name == "voucher_of_a_client_that_lost_its_records").unwrap();
    let required: PaymentRequired = serde_json::from_value(lost.required.clone().unwrap()).unwrap();
    assert_eq!(required.rest["error"], batch::code::CUMULATIVE_MISMATCH);
    let extra = BatchExtra::of(&required.accepts[0]).unwrap();
    let (state, proof) = (extra.channel_state.unwrap(), extra.voucher_state.unwrap());
    let signed = proof.signed_max_claimable.unwrap().to_usdc().unwrap();
    let signature: EvmSignature = proof.signature.unwrap().parse().unwrap();
    let voucher = batch::SignedVoucher { channel_id: state.channel_id, max_claimable: signed, signature };
    assert!(facts.is_signed_by(&voucher, payer));
    assert_eq!(state.charged_cumulative_amount.unwrap().to_usdc(), Some(usdc(40_000)));
}

#[test]
fn a_payload_that_lacks_something_or_says_it_in_another_way_is_refused() {
    let vectors = Vectors::load();
    let good = vectors.sent("deposit").payload;
    let with = |path: &str, value: Value| {
        let mut payload = good.clone();
        *payload.pointer_mut(path).unwrap() = value;
        BatchPayload::read(&payload)
    };
    let malformed = Err(X402Error::Malformed { line: 0, column: 0 });
    for (path, value) in [
        ("/type", json!("claim")),
        ("/type", json!(7)),
        ("/channelConfig", json!([])),
        ("/channelConfig/payer", json!("19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A")),
        ("/channelConfig/payer", json!("0x19")),
        ("/channelConfig/withdrawDelay", json!(-1)),
        ("/channelConfig/withdrawDelay", json!(1_u64 << 40)),
        ("/channelConfig/salt", json!("0x07")),
        ("/voucher/channelId", json!("../../etc/passwd")),
        ("/voucher/maxClaimableAmount", json!("020000")),
        ("/voucher/maxClaimableAmount", json!("-1")),
        ("/voucher/maxClaimableAmount", json!(20_000)),
        ("/voucher/maxClaimableAmount", json!("")),
        ("/deposit/amount", json!("1e6")),
        ("/deposit/authorization", json!(null)),
    ] {
        assert_eq!(with(path, value.clone()), malformed, "{path} {value}");
    }
    assert_eq!(with("/voucher/maxClaimableAmount", json!("18446744073709551616")), Err(X402Error::BadAmount));
    let permit = with("/deposit/authorization", json!({"permit2Authorization": {}}));
    assert_eq!(permit, Err(X402Error::Mismatch { field: "assetTransferMethod" }));
    let wallet = with("/voucher/signature", json!(format!("0x{}", "ab".repeat(200))));
    assert!(matches!(wallet, Err(X402Error::BadSignature { field: "voucher.signature", .. })));
    assert_eq!(BatchPayload::read(&json!("voucher")), malformed);
}

#[test]
fn an_extra_of_another_scheme_is_not_read() {
    let vectors = Vectors::load();
    let mut other: PaymentRequirements = vectors.required.accepts[0].clone();
    other.scheme = haggle_x402::Scheme::Exact;
    assert_eq!(BatchExtra::of(&other), Err(X402Error::Mismatch { field: "scheme" }));
    let mut bare: PaymentRequirements = vectors.required.accepts[0].clone();
    bare.rest.remove("extra");
    assert_eq!(BatchExtra::of(&bare), Err(X402Error::Mismatch { field: "extra" }));
}
