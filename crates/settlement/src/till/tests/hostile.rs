//! What strangers send: every payment that is not exactly what was asked is refused, moves nothing and leaves nothing.

use super::*;
use haggle_x402::extensions::payment_identifier;

/// Alice's payment with one field changed, and signed again if `resigned`.
fn altered(shop: &Shop, path: &str, value: serde_json::Value, resigned: bool) -> PaymentPayload {
    let mut object = serde_json::to_value(shop.upfront(1)).unwrap();
    *object.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
    if resigned {
        let authorization: haggle_x402::exact::ExactAuthorization =
            serde_json::from_value(object["payload"]["authorization"].clone()).unwrap();
        let signature = shop.alice.sign_digest(&authorization.digest(&facts()).unwrap());
        object["payload"]["signature"] = json!(signature);
    }
    serde_json::from_value(object).unwrap()
}

#[tokio::test]
async fn a_payment_that_is_not_what_was_asked_is_refused_and_leaves_nothing() {
    let shop = Shop::open().await;
    let now = haggle_base::Clock::now(&shop.clock).as_secs();
    let other = Address::repeat_byte(0x99).to_string();
    let at = |secs: u64| json!(secs.to_string());
    let tries = [
        ("/accepted/payTo", json!(other), false, Reason::Recipient),
        ("/payload/authorization/to", json!(other), true, Reason::Recipient),
        ("/payload/authorization/value", json!("19999"), true, Reason::Amount),
        ("/payload/authorization/value", json!("20001"), true, Reason::Amount),
        ("/payload/authorization/validBefore", at(now), true, Reason::Expired),
        ("/payload/authorization/validBefore", at(now + 6), true, Reason::Expired),
        ("/payload/authorization/validAfter", at(now), true, Reason::NotYetValid),
        ("/accepted/network", json!("eip155:1"), false, Reason::Network),
        ("/accepted/asset", json!(other), false, Reason::Requirements),
        ("/accepted/extra/paymentFlow", json!("escrow"), false, Reason::Flow),
        ("/accepted/scheme", json!("upto"), false, Reason::Scheme),
        ("/payload/signature", json!(format!("0x{}", "11".repeat(65))), false, Reason::Signature),
        ("/payload/signature", json!(format!("0x{}", "11".repeat(4096))), false, Reason::Signature),
        ("/payload/authorization/from", json!(other), true, Reason::Signature),
        ("/payload", json!({"signature": "0x", "authorization": []}), false, Reason::Payload),
        ("/resource/url", json!("http://bob/x402/dearer"), false, Reason::Resource),
    ];
    for (path, value, resigned, reason) in tries {
        let payload = altered(&shop, path, value.clone(), resigned);
        assert_eq!(refused(&shop, &shop.sale(), &payload).await, reason, "{path} {value}");
    }
    assert_eq!(shop.token.sent(), 0);
    for rows in [
        shop.store.count::<super::super::record::TillPayments>(),
        shop.store.count::<super::super::record::TillOpen>(),
        shop.store.count::<super::super::record::TillAges>(),
        shop.store.count::<super::super::record::TillIds>(),
    ] {
        assert_eq!(rows.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_payer_without_money_is_refused_before_any_work() {
    let shop = Shop::open().await;
    for flow in [PaymentFlow::Upfront, PaymentFlow::Authorization] {
        let payload = shop.paying(&shop.entry(&shop.sale(), &flow), &key(0xe5), 1);
        assert_eq!(refused(&shop, &shop.sale(), &payload).await, Reason::Funds);
    }
    assert_eq!(shop.store.count::<super::super::record::TillPayments>().unwrap(), 0);
    // Its credit was not used up by that.
    shop.token.mint(key(0xe5).address(), PURSE);
    let entry = shop.entry(&shop.sale(), &PaymentFlow::Authorization);
    let (one, two) = (shop.paying(&entry, &key(0xe5), 1), shop.paying(&entry, &key(0xe5), 2));
    let (_one, _two) = (shop.ticket(&one).await, shop.ticket(&two).await);
}

#[tokio::test]
async fn a_payment_for_one_request_pays_for_no_other() {
    let shop = Shop::open().await;
    let payload = shop.upfront(1);
    let ticket = shop.ticket(&payload).await;
    shop.till.failed(ticket).await.unwrap();
    assert_eq!(refused(&shop, &shop.sale_by(0, "another body"), &payload).await, Reason::Replay);
    let elsewhere = Sale { resource: "http://bob/x402/other".try_into().unwrap(), ..shop.sale() };
    assert_eq!(refused(&shop, &elsewhere, &payload).await, Reason::Resource);
    let dearer = Sale { amount: amount(PRICE + 1), ..shop.sale() };
    assert_eq!(refused(&shop, &dearer, &payload).await, Reason::Amount);
    shop.ticket(&payload).await;
}

#[tokio::test]
async fn a_nonce_is_good_once_whatever_else_is_signed_with_it() {
    let shop = Shop::open().await;
    let done = AtomicUsize::new(0);
    shop.serve(&shop.sale(), &shop.upfront(1), &done).await.unwrap();
    shop.wait(1);
    let again = shop.upfront(1);
    assert_eq!(refused(&shop, &shop.sale(), &again).await, Reason::Replay);
    assert_eq!(refused(&shop, &shop.sale(), &identified(shop.upfront(1), 9)).await, Reason::Replay);
}

#[tokio::test]
async fn an_identifier_that_is_none_is_malformed() {
    let shop = Shop::open().await;
    for id in [json!("short"), json!(7), json!("x".repeat(5000)), json!("é".repeat(20))] {
        let mut payload = shop.upfront(1);
        payload.rest.insert("extensions".to_owned(), json!({payment_identifier::KEY: {"info": {"id": id}}}));
        assert_eq!(refused(&shop, &shop.sale(), &payload).await, Reason::Payload);
    }
}

#[tokio::test]
async fn a_wallet_that_does_not_exist_yet_is_told_so() {
    let shop = Shop::open().await;
    let wrapped = json!(format!("0x{}{}", "11".repeat(96), "6492".repeat(16)));
    let payload = altered(&shop, "/payload/signature", wrapped, false);
    let refusal = shop.till.take(&shop.sale(), &payload).await.unwrap_err();
    assert_eq!(refusal.code(), "invalid_exact_evm_payload_undeployed_smart_wallet");
    assert!(refusal.hint().contains("deploy the wallet"));
}

#[tokio::test]
async fn clocks_that_disagree_are_the_chains_word() {
    let shop = Shop::open().await;
    shop.token.set_time(haggle_base::Clock::now(&shop.clock).plus(Duration::from_secs(24 * 3600)));
    assert_eq!(refused(&shop, &shop.sale(), &shop.upfront(1)).await, Reason::Expired);
    assert_eq!(shop.token.sent(), 0);
}
