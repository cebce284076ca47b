//! The scheme `exact`: what is asked is what is paid, whoever says otherwise; and the vectors other languages reproduce.
#![expect(clippy::unwrap_used, reason = "a test stops where its story does not hold")]

use std::{path::PathBuf, time::Duration};

use haggle_base::{Address, B256, Coded, Hash, PaymentKey, Seed, Timestamp, TokenFacts, U256, Usdc};
use haggle_x402::{
    ChainRef, ExactFacts, FacilitatorRequest, PaymentFlow, PaymentPayload, PaymentRequired, PaymentRequirements,
    Reason, Resource, Scheme, SettleResponse, SupportedKind, SupportedResponse, VerifyResponse, X402Version,
    choose::{Choice, Means, choose},
    exact::{self, ExactAuthorization, Transfer},
    extensions::{bazaar, offer_receipt, payment_identifier},
    header,
};
use serde_json::{Map, Value, json};

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
const URL: &str = "http://127.0.0.1:8402/x402/digest";
const TX: B256 = B256::repeat_byte(0x7a);

fn key(index: u32) -> PaymentKey {
    Seed::devnet(7, index).payment_key(0)
}

fn token() -> TokenFacts {
    TokenFacts {
        address: Address::repeat_byte(0x70),
        name: "USD Coin".to_owned(),
        version: "2".to_owned(),
        symbol: "USDC".to_owned(),
        decimals: 6,
    }
}

fn facts() -> ExactFacts {
    ExactFacts::new(31_337, token())
}

/// Bob asks for two cents.
fn asked(flow: &PaymentFlow) -> PaymentRequirements {
    let timeout = Duration::from_secs(300);
    exact::requirement(&facts(), key(1).address(), Usdc::from_units(20_000), timeout, flow).unwrap()
}

fn upfront() -> PaymentRequirements {
    asked(&PaymentFlow::Upfront)
}

/// What `payer` pays for an entry.
fn paying(entry: &PaymentRequirements, payer: &PaymentKey) -> PaymentPayload {
    let authorization = ExactAuthorization::paying(entry, payer.address(), NOW, B256::repeat_byte(0x11)).unwrap();
    let signature = payer.sign_digest(&authorization.digest(&facts()).unwrap());
    exact::payload(entry.clone(), &Resource::new(URL), authorization, &signature, None).unwrap()
}

/// The payment as the seller takes it, with everything checked that shows without a chain.
fn take(payload: &PaymentPayload) -> Result<Transfer, Reason> {
    let transfer = Transfer::of(payload, &upfront(), &facts())?;
    transfer.check_time(NOW, Duration::from_secs(6))?;
    if transfer.contract { Err(Reason::Signature) } else { Ok(transfer) }
}

/// The same payment with one field changed, and signed again if `resigned`.
fn altered(path: &str, value: Value, resigned: bool) -> PaymentPayload {
    let mut object = serde_json::to_value(paying(&upfront(), &key(0))).unwrap();
    *object.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
    if resigned {
        let authorization: ExactAuthorization =
            serde_json::from_value(object["payload"]["authorization"].clone()).unwrap();
        let signature = key(0).sign_digest(&authorization.digest(&facts()).unwrap());
        object["payload"]["signature"] = json!(signature);
    }
    serde_json::from_value(object).unwrap()
}

#[test]
fn a_payment_made_from_what_is_asked_is_taken() {
    let transfer = take(&paying(&upfront(), &key(0))).unwrap();
    assert_eq!((transfer.from, transfer.to), (key(0).address(), key(1).address()));
    assert_eq!(transfer.value, Usdc::from_units(20_000));
    assert_eq!(transfer.valid_before, U256::from(NOW.as_secs() + 300));
    assert_eq!(transfer.ends(), NOW.plus(Duration::from_secs(300)));
}

/// Fields of a payment that make it another payment, with the class a buyer is told.
fn wrongs() -> Vec<(&'static str, Value, bool, Reason)> {
    let other = Address::repeat_byte(0x99).to_string();
    let at = |secs: u64| json!(secs.to_string());
    let now = NOW.as_secs();
    vec![
        ("/accepted/scheme", json!("upto"), false, Reason::Scheme),
        ("/accepted/network", json!("eip155:1"), false, Reason::Network),
        ("/accepted/asset", json!(other), false, Reason::Requirements),
        ("/accepted/amount", json!("1"), false, Reason::Amount),
        ("/accepted/payTo", json!(other), false, Reason::Recipient),
        ("/accepted/payTo", json!("bob"), false, Reason::Recipient),
        ("/accepted/extra/paymentFlow", json!("authorization"), false, Reason::Flow),
        ("/accepted/extra/paymentFlow", json!(7), false, Reason::Flow),
        ("/accepted/extra/name", json!("USDC"), false, Reason::TokenDomain),
        (
            "/accepted/extra",
            json!({"name": "USD Coin", "version": "2", "paymentFlow": "upfront",
            "assetTransferMethod": "permit2"}),
            false,
            Reason::Method,
        ),
        ("/payload", json!({"signature": "0x00"}), false, Reason::Payload),
        ("/payload/authorization/value", json!("9".repeat(78)), false, Reason::Payload),
        ("/payload/authorization/value", json!("19999"), true, Reason::Amount),
        ("/payload/authorization/value", json!("20001"), true, Reason::Amount),
        ("/payload/authorization/to", json!(other), true, Reason::Recipient),
        ("/payload/authorization/from", json!(other), true, Reason::Signature),
        ("/payload/authorization/validAfter", at(now), true, Reason::NotYetValid),
        ("/payload/authorization/validBefore", at(now), true, Reason::Expired),
        ("/payload/authorization/validBefore", at(now + 6), true, Reason::Expired),
        ("/payload/authorization/nonce", json!(B256::ZERO), false, Reason::Signature),
        ("/payload/signature", json!("0x"), false, Reason::Signature),
        ("/payload/signature", json!(format!("0x{}", "11".repeat(65))), false, Reason::Signature),
        ("/payload/signature", json!(format!("0x{}", "11".repeat(2049))), false, Reason::Signature),
        (
            "/payload/signature",
            json!(format!("0x{}{}", "11".repeat(96), "6492".repeat(16))),
            false,
            Reason::UndeployedWallet,
        ),
    ]
}

#[test]
fn one_changed_field_is_another_payment_and_refused_by_its_class() {
    for (path, value, resigned, reason) in wrongs() {
        assert_eq!(take(&altered(path, value.clone(), resigned)).unwrap_err(), reason, "{path} {value}");
    }
}

#[test]
fn the_edges_of_its_time_are_those_of_the_token() {
    let transfer = take(&paying(&upfront(), &key(0))).unwrap();
    let (after, before) = (NOW.as_secs() - 600, NOW.as_secs() + 300);
    let at = |secs| transfer.check_time(Timestamp::from_secs(secs), Duration::ZERO);
    assert_eq!(at(after), Err(Reason::NotYetValid));
    assert_eq!(at(after + 1), Ok(()));
    assert_eq!(at(before - 1), Ok(()));
    assert_eq!(at(before), Err(Reason::Expired));
}

#[test]
fn letter_case_of_addresses_is_not_a_difference() {
    let mut object = serde_json::to_value(paying(&upfront(), &key(0))).unwrap();
    for path in ["/accepted/payTo", "/accepted/asset", "/payload/authorization/from"] {
        let text = object.pointer(path).unwrap().as_str().unwrap().to_lowercase();
        *object.pointer_mut(path).unwrap() = json!(text);
    }
    take(&serde_json::from_value(object).unwrap()).unwrap();
}

#[test]
fn every_form_of_the_same_signature_becomes_the_same_transfer() {
    let payload = paying(&upfront(), &key(0));
    let transfer = take(&payload).unwrap();
    let mut old = transfer.signature.to_vec();
    old[64] -= 27;
    let mut compact = transfer.signature[..64].to_vec();
    compact[32] |= (transfer.signature[64] - 27) << 7;
    for form in [old, compact] {
        let mut other = payload.clone();
        other.payload["signature"] = json!(alloy_primitives::Bytes::from(form));
        assert_eq!(take(&other).unwrap(), transfer);
    }
}

#[test]
fn what_is_free_cannot_be_asked_for() {
    let flow = PaymentFlow::Upfront;
    let error = exact::requirement(&facts(), key(1).address(), Usdc::ZERO, Duration::ZERO, &flow).unwrap_err();
    assert_eq!(error.code(), "payment_amount_invalid");
}

#[test]
fn the_default_flow_is_not_written_and_every_other_is() {
    assert_eq!(asked(&PaymentFlow::Authorization).extra().unwrap().get("paymentFlow"), None);
    assert_eq!(upfront().extra().unwrap()["paymentFlow"], "upfront");
}

fn means(schemes: Vec<Scheme>) -> Means {
    Means { facts: facts(), schemes, budget: Usdc::from_units(20_000) }
}

fn offer(accepts: Vec<PaymentRequirements>) -> PaymentRequired {
    PaymentRequired::new(Resource::new(URL), accepts)
}

#[test]
fn a_buyer_takes_its_preferred_scheme_and_then_the_flow_that_pays_last() {
    let (later, first) = (asked(&PaymentFlow::Authorization), upfront());
    let channel = PaymentRequirements { scheme: Scheme::BatchSettlement, ..later.clone() };
    let offered = offer(vec![first, channel.clone(), later.clone()]);
    assert_eq!(choose(&offered, &means(vec![Scheme::Exact])), Choice::Pay(&later));
    assert_eq!(choose(&offered, &means(vec![Scheme::BatchSettlement, Scheme::Exact])), Choice::Pay(&channel));
    assert_eq!(choose(&offered, &means(vec![Scheme::HaggleEscrow])), Choice::NothingKnown);
    let poor = Means { budget: Usdc::from_units(19_999), ..means(vec![Scheme::Exact]) };
    assert_eq!(choose(&offered, &poor), Choice::OverBudget { cheapest: Usdc::from_units(20_000) });
}

#[test]
fn a_buyer_does_not_pay_a_token_or_a_method_it_would_sign_wrongly() {
    let with = |key: &str, value: Value| {
        let mut entry = upfront();
        entry.rest["extra"][key] = value;
        entry
    };
    let strange = vec![
        with("name", json!("USDC")),
        with("version", json!("1")),
        with("assetTransferMethod", json!("permit2")),
        with("paymentFlow", json!("escrow")),
        PaymentRequirements { pay_to: "merchant".into(), ..upfront() },
    ];
    assert_eq!(choose(&offer(strange), &means(vec![Scheme::Exact])), Choice::NothingKnown);
    let said = with("assetTransferMethod", json!("eip3009"));
    assert_eq!(choose(&offer(vec![said.clone()]), &means(vec![Scheme::Exact])), Choice::Pay(&said));
}

#[test]
fn facilitator_objects_keep_what_they_do_not_know() {
    let request = json!({"x402Version": 2, "paymentPayload": paying(&upfront(), &key(0)),
        "paymentRequirements": upfront(), "later": 1});
    let read: FacilitatorRequest = serde_json::from_value(request.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), request);
    let supported = json!({"kinds": [{"x402Version": 2, "scheme": "exact", "network": "eip155:31337", "extra": {}}],
        "extensions": ["bazaar"], "signers": {"eip155:*": ["0x01"]}, "new": {}});
    let read: SupportedResponse = serde_json::from_value(supported.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), supported);
    assert_eq!(read.kinds[0].scheme, Scheme::Exact);
    let verified = json!({"isValid": false, "invalidReason": "x", "payer": "0x", "extra": [1]});
    let read: VerifyResponse = serde_json::from_value(verified.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), verified);
    assert_eq!((read.invalid_reason(), read.payer()), (Some("x"), Some("0x")));
}

#[test]
fn a_pending_settlement_is_told_apart_from_a_failed_one() {
    let network = ChainRef::eip155(31_337);
    let pending = SettleResponse::refused(network.clone(), Reason::Pending, "wait", None, Some(TX));
    assert!(pending.is_pending() && *pending.transaction == *TX.to_string());
    let failed = SettleResponse::refused(network, Reason::Replay, "used", Some(key(0).address()), None);
    assert!(!failed.is_pending() && failed.transaction.is_empty());
}

#[test]
fn a_payment_identifier_is_attached_beside_what_was_announced() {
    let mut asked = offer(vec![upfront()]);
    payment_identifier::announce(&mut asked.rest, true);
    let mut payload = paying(&upfront(), &key(0));
    assert_eq!(payment_identifier::of(&payload), Ok(None));
    payload.rest.insert("extensions".to_owned(), asked.rest["extensions"].clone());
    let id = payment_identifier::PaymentId::try_from("pay_7d5d747be160e280").unwrap();
    payment_identifier::attach(&mut payload, &id);
    assert_eq!(payment_identifier::of(&payload), Ok(Some(id)));
    let said = &payload.rest["extensions"]["payment-identifier"];
    assert_eq!(said["info"]["required"], true);
    assert_eq!(said["schema"], asked.rest["extensions"]["payment-identifier"]["schema"]);
}

#[test]
fn an_identifier_of_another_form_is_malformed() {
    for wrong in
        [json!(7), json!("short"), json!("a".repeat(129)), json!("pay 7d5d747be160e280"), json!("é".repeat(16))]
    {
        let mut payload = paying(&upfront(), &key(0));
        payload.rest.insert("extensions".to_owned(), json!({"payment-identifier": {"info": {"id": wrong}}}));
        assert_eq!(payment_identifier::of(&payload), Err(Reason::Payload));
    }
}

#[test]
fn a_fingerprint_tells_purchases_apart_and_not_spellings() {
    let request = Hash::of(b"POST /x402/digest {}");
    let one = payment_identifier::fingerprint(&upfront(), &request);
    let lower = PaymentRequirements { pay_to: upfront().pay_to.to_lowercase().into(), ..upfront() };
    assert_eq!(payment_identifier::fingerprint(&lower, &request), one);
    assert_ne!(payment_identifier::fingerprint(&upfront(), &Hash::of(b"POST /x402/digest []")), one);
    let dearer = PaymentRequirements { amount: Usdc::from_units(20_001).into(), ..upfront() };
    assert_ne!(payment_identifier::fingerprint(&dearer, &request), one);
}

/// Bob's answer to alice's payment, with his receipt.
fn paid() -> SettleResponse {
    let network = ChainRef::eip155(31_337);
    let mut answer = SettleResponse::paid(network.clone(), TX, key(0).address(), Usdc::from_units(20_000));
    let receipt = offer_receipt::Receipt::new(&network, URL, key(0).address(), NOW, TX);
    let signature = key(1).sign_digest(&offer_receipt::Statement::digest(&receipt));
    offer_receipt::put_receipt(&mut answer, &offer_receipt::Signed::new(receipt, &signature)).unwrap();
    answer
}

/// Bob's 402 answer with everything this crate can say in one.
fn signed_offer() -> PaymentRequired {
    let mut asked = offer(vec![upfront()]).with_error("Payment required");
    let statement = offer_receipt::Offer::of(&upfront(), URL, Some(NOW.plus(Duration::from_secs(300))));
    let signature = key(1).sign_digest(&offer_receipt::Statement::digest(&statement));
    let mut signed = offer_receipt::Signed::new(statement, &signature);
    signed.accept_index = Some(0);
    offer_receipt::put_offers(&mut asked, &[signed]).unwrap();
    payment_identifier::announce(&mut asked.rest, false);
    let call = bazaar::HttpCall {
        method: "POST",
        body: json!({"text": "hello"}),
        body_schema: Some(json!({"type": "object", "required": ["text"]})),
        output: Some(json!({"digest": "0x"})),
    };
    bazaar::announce(&mut asked.rest, &call);
    asked
}

#[test]
fn a_receipt_is_checked_without_asking_anybody() {
    let (bob, alice) = (key(1).address(), key(0).address());
    offer_receipt::check_receipt(&paid(), bob, URL, alice).unwrap();
    let code = |error: haggle_x402::X402Error| error.code();
    let elsewhere = offer_receipt::check_receipt(&paid(), bob, "http://elsewhere", alice).unwrap_err();
    assert_eq!(code(elsewhere), "payment_mismatch");
    assert_eq!(
        code(offer_receipt::check_receipt(&paid(), alice, URL, alice).unwrap_err()),
        "payment_signature_invalid"
    );
    assert_eq!(code(offer_receipt::check_receipt(&paid(), bob, URL, bob).unwrap_err()), "payment_mismatch");
    let bare = SettleResponse { rest: Map::new(), ..paid() };
    assert_eq!(code(offer_receipt::check_receipt(&bare, bob, URL, alice).unwrap_err()), "payment_mismatch");
}

#[test]
fn no_field_of_a_receipt_can_be_edited() {
    let edits = [
        ("network", json!("eip155:1")),
        ("resourceUrl", json!("http://elsewhere")),
        ("payer", json!(key(2).address().to_string())),
        ("issuedAt", json!(1)),
        ("transaction", json!("")),
        ("version", json!(2)),
    ];
    for (field, value) in edits {
        let mut answer = serde_json::to_value(paid()).unwrap();
        answer["extensions"]["offer-receipt"]["info"]["receipt"]["payload"][field] = value;
        let answer: SettleResponse = serde_json::from_value(answer).unwrap();
        let receipt = offer_receipt::receipt(&answer).unwrap();
        assert!(receipt.check(key(1).address()).is_err(), "{field}");
    }
}

#[test]
fn an_offer_holds_to_its_entry_and_to_no_other() {
    let asked = signed_offer();
    let offers = offer_receipt::offers(&asked);
    assert_eq!(offers.len(), 1);
    offers[0].check(key(1).address()).unwrap();
    assert!(offers[0].payload.is_about(&upfront(), URL));
    let dearer = PaymentRequirements { amount: Usdc::from_units(20_001).into(), ..upfront() };
    assert!(!offers[0].payload.is_about(&dearer, URL) && !offers[0].payload.is_about(&upfront(), "http://elsewhere"));
}

#[test]
fn vectors_for_other_languages() {
    let payload = paying(&upfront(), &key(0));
    let authorization: ExactAuthorization = serde_json::from_value(payload.payload["authorization"].clone()).unwrap();
    let (asked, paid) = (signed_offer(), paid());
    let refused: Vec<Value> = wrongs()
        .into_iter()
        .map(|(path, value, resigned, reason)| {
            json!({"pointer": path, "value": value, "signed_again": resigned, "reason": reason.word(),
                "other_words": reason.other_words()})
        })
        .collect();
    let receipt = offer_receipt::receipt(&paid).unwrap();
    let offer = &offer_receipt::offers(&asked)[0];
    let id = payment_identifier::PaymentId::try_from("pay_7d5d747be160e280").unwrap();
    let mut identified = payload.clone();
    payment_identifier::attach(&mut identified, &id);
    let request = Hash::of(b"POST /x402/digest");
    let supported = SupportedResponse {
        kinds: vec![SupportedKind::new(Scheme::Exact, ChainRef::eip155(31_337))],
        ..SupportedResponse::default()
    };
    let asks = FacilitatorRequest {
        x402_version: X402Version,
        payment_payload: payload.clone(),
        payment_requirements: upfront(),
        rest: Map::new(),
    };
    let vectors = json!({
        "about": "x402 exact with EIP-3009: alice (payment key 0 of devnet seed 7, 0) pays bob (7, 1). The token is \
                  USD Coin version 2 at 0x70..70 on chain 31337. Each row of refused changes one field of the payload.",
        "now": NOW.as_secs(),
        "payer_key": alloy_primitives::hex::encode_prefixed(*key(0).secret_bytes()),
        "seller_key": alloy_primitives::hex::encode_prefixed(*key(1).secret_bytes()),
        "token_domain_separator": facts().domain().separator(),
        "payment_required": asked,
        "payment_required_header": header::encode(&signed_offer()).unwrap(),
        "payload": payload,
        "payload_header": header::encode(&paying(&upfront(), &key(0))).unwrap(),
        "transfer_with_authorization_digest": authorization.digest(&facts()).unwrap(),
        "settlement": paid,
        "offer_digest": offer_receipt::Statement::digest(&offer.payload),
        "receipt_digest": offer_receipt::Statement::digest(&receipt.payload),
        "payload_with_identifier": identified,
        "fingerprint": {"request": request, "value": payment_identifier::fingerprint(&upfront(), &request)},
        "facilitator_request": asks,
        "verified": VerifyResponse::valid(&key(0).address().to_string()),
        "not_verified": VerifyResponse::invalid(Reason::Funds, "the payer has not enough of the token", None),
        "supported": supported,
        "pending": SettleResponse::refused(ChainRef::eip155(31_337), Reason::Pending, "not through yet",
            Some(key(0).address()), Some(TX)),
        "refused": refused,
    });
    golden("x402-exact.json", &vectors);
}

/// Compares one file with `value`, or writes it when asked to.
fn golden(name: &str, value: &Value) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocols/vectors").join(name);
    let text = format!("{}\n", serde_json::to_string_pretty(value).unwrap());
    if std::env::var_os("HAGGLE_WRITE_VECTORS").is_some() {
        std::fs::write(&file, text).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&file).unwrap();
    assert_eq!(committed, text, "{name} differs; HAGGLE_WRITE_VECTORS=1 writes it anew");
}

#[test]
fn the_page_lists_every_word_of_every_class() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocols/x402-exact.md");
    let page = std::fs::read_to_string(page).unwrap();
    for reason in Reason::ALL {
        let others: Vec<String> = reason.other_words().iter().map(|word| format!("`{word}`")).collect();
        let row = format!("| `{}` | {} |", reason.word(), others.join(", ")).replace("|  |", "| |");
        assert!(page.contains(&row), "the page lacks {row}");
    }
}
