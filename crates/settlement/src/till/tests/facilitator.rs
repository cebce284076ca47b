//! The till as a facilitator for another shop.

use super::*;
use haggle_x402::Scheme;

/// Carol's shop asks for a payment to carol, and alice pays it.
fn request(shop: &Shop, nonce: u8) -> FacilitatorRequest {
    let carol = key(0xca).address();
    let entry = haggle_x402::exact::requirement(
        &facts(),
        carol,
        amount(PRICE),
        Duration::from_secs(60),
        &PaymentFlow::Authorization,
    )
    .unwrap();
    let payment_payload = shop.paying(&entry, &shop.alice, nonce);
    FacilitatorRequest {
        x402_version: X402Version,
        payment_payload,
        payment_requirements: entry,
        rest: serde_json::Map::new(),
    }
}

#[tokio::test]
async fn another_shops_payment_is_verified_and_settled_once() {
    let shop = Shop::open().await;
    let asked = request(&shop, 1);
    assert!(shop.till.verify(&asked).await.is_valid);
    let settled = shop.till.settle(&asked).await;
    assert!(settled.success);
    assert_eq!(settled.payer(), Some(&*shop.alice.address().to_string()));
    assert_eq!(shop.token.balance(key(0xca).address()), PRICE);
    let again = shop.till.settle(&asked).await;
    assert_eq!(again.error_reason(), Some("invalid_exact_evm_nonce_already_used"));
    assert_eq!(again.transaction, settled.transaction, "what became of it can be read all the same");
    let verified = shop.till.verify(&asked).await;
    assert_eq!(verified.invalid_reason(), Some("invalid_exact_evm_nonce_already_used"));
    assert_eq!(shop.token.sent(), 1);
    assert_eq!(shop.accounts().await.available, 0, "carol's money is not bob's");
}

#[tokio::test]
async fn of_many_who_settle_the_same_payment_one_is_told_so() {
    let shop = Arc::new(Shop::open().await);
    let calls: Vec<_> = (0..200)
        .map(|_| {
            let (shop, asked) = (Arc::clone(&shop), request(&shop, 1));
            tokio::spawn(async move { shop.till.settle(&asked).await.success })
        })
        .collect();
    let mut told = 0;
    for call in calls {
        told += usize::from(call.await.unwrap());
    }
    assert_eq!((told, shop.token.sent()), (1, 1));
}

#[tokio::test]
async fn a_pending_settlement_is_asked_again_and_told_once() {
    let shop = Shop::open().await;
    shop.token.lose_answers(true);
    let asked = request(&shop, 1);
    assert!(shop.till.settle(&asked).await.is_pending());
    shop.token.lose_answers(false);
    let shop = shop.restarted().await;
    shop.till.follow_once().await.unwrap();
    assert!(shop.till.settle(&asked).await.success);
    assert!(!shop.till.settle(&asked).await.success);
    assert_eq!(shop.token.sent(), 1);
}

#[tokio::test]
async fn what_cannot_be_settled_says_why_and_can_be_settled_when_it_can() {
    let shop = Shop::open().await;
    shop.token.refuse(Some(TransferRefusal::Funds));
    let asked = request(&shop, 1);
    assert_eq!(shop.till.settle(&asked).await.error_reason(), Some("insufficient_funds"));
    shop.token.refuse(None);
    assert!(shop.till.settle(&asked).await.success);
    let mut wrong = request(&shop, 2);
    wrong.payment_requirements.amount = amount(PRICE + 1).into();
    assert_eq!(
        shop.till.verify(&wrong).await.invalid_reason(),
        Some("invalid_exact_evm_payload_authorization_value_mismatch")
    );
    shop.token.set_down(true);
    assert_eq!(shop.till.verify(&request(&shop, 3)).await.invalid_reason(), Some("unexpected_verify_error"));
}

#[tokio::test]
async fn a_payment_is_for_the_counter_or_for_the_facilitator_and_not_for_both() {
    let shop = Shop::open().await;
    let payload = shop.upfront(1);
    let asked = FacilitatorRequest {
        x402_version: X402Version,
        payment_requirements: payload.accepted.clone(),
        payment_payload: payload.clone(),
        rest: serde_json::Map::new(),
    };
    let ticket = shop.ticket(&payload).await;
    assert!(!shop.till.settle(&asked).await.success);
    drop(ticket);
    assert!(!shop.till.verify(&asked).await.is_valid);

    let direct = shop.upfront(2);
    let asked =
        FacilitatorRequest { payment_requirements: direct.accepted.clone(), payment_payload: direct.clone(), ..asked };
    assert!(shop.till.settle(&asked).await.success);
    assert_eq!(refused(&shop, &shop.sale(), &direct).await, Reason::Replay);
    // Bob was paid either way.
    shop.check_books().await;
}

#[tokio::test]
async fn it_says_what_it_settles_and_who_sends() {
    let shop = Shop::open().await;
    let supported = shop.till.supported(Vec::new());
    assert_eq!(supported.kinds[0].scheme, Scheme::Exact);
    assert_eq!(supported.kinds[0].network.to_string(), "eip155:31337");
    assert_eq!(supported.signers["eip155:*"], [Address::repeat_byte(0x9a).to_string().into()]);
}
