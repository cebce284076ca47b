//! What nobody gets the escrow to do; each refusal has a code, and moves nothing.

use alloy::primitives::aliases::U96;
use alloy::primitives::{B256, Bytes};
use alloy::providers::ProviderBuilder;
use haggle_base::{Coded as _, Order};
use haggle_escrow::{EscrowError, Revert, Sent, Status};

use crate::town::{HOUR, PURSE, RawEscrow, Town};

/// The refusal's code, after a look that nothing moved.
fn refused(town: &Town, result: Result<Sent, EscrowError>, held: u64) -> &'static str {
    let error = result.expect_err("must be refused");
    assert_eq!(town.held(), held);
    town.assert_conserved();
    assert!(!error.hint().is_empty());
    error.code()
}

#[tokio::test]
async fn an_order_funded_once_is_not_funded_again() {
    let town = Town::open().await;
    let order = town.funded(1).await;
    let payment = Bytes::copy_from_slice(town.payment(&order, &town.alice).as_bytes());
    let provider = ProviderBuilder::new().connect_http(town.chain.rpc_url().parse().unwrap());
    let raw = RawEscrow::new(town.chain.deployment().unwrap().escrow, provider);

    let replay = raw.fund(raw_order(&order), payment.clone(), Bytes::new()).call().await.unwrap_err();
    assert!(matches!(
        replay.as_decoded_interface_error::<RawEscrow::RawEscrowErrors>(),
        Some(RawEscrow::RawEscrowErrors::BadState(_))
    ));
    town.client(&town.bob).await.release(&order, &town.release(&order, &town.alice)).await.unwrap();
    let after = raw.fund(raw_order(&order), payment, Bytes::new()).call().await.unwrap_err();
    assert!(matches!(
        after.as_decoded_interface_error::<RawEscrow::RawEscrowErrors>(),
        Some(RawEscrow::RawEscrowErrors::BadState(_))
    ));
    assert_eq!(town.balance(town.alice.address()), PURSE - 5_000_000);
}

#[tokio::test]
async fn eves_signature_spends_nobodys_money() {
    let town = Town::open().await;
    let eve = town.client(&town.eve).await;
    let order = town.order(1);
    let forged = eve.fund(&order, &town.payment(&order, &town.eve), None).await;
    assert_eq!(refused(&town, forged, 0), "reverted_bad_signature");
    let forged = eve.fund(&order, &town.payment(&order, &town.alice), Some(&town.consent(&order, &town.eve))).await;
    assert_eq!(refused(&town, forged, 0), "reverted_bad_signature");

    let order = town.funded(2).await;
    let forged = eve.release(&order, &town.release(&order, &town.eve)).await;
    assert_eq!(refused(&town, forged, 5_000_000), "reverted_bad_signature");
    let forged = eve.refund(&order, &town.refund(&order, &town.alice)).await;
    assert_eq!(refused(&town, forged, 5_000_000), "reverted_bad_signature");
}

#[tokio::test]
async fn a_payment_for_one_order_does_not_pay_another() {
    let town = Town::open().await;
    let bob = town.client(&town.bob).await;
    let (order, mut dearer) = (town.order(1), town.order(1));
    dearer.amount = U96::from(50_000_000);
    let moved = bob.fund(&dearer, &town.payment(&order, &town.alice), None).await;
    assert_eq!(refused(&town, moved, 0), "reverted_bad_signature");

    let (first, second) = (town.funded(2).await, town.funded(3).await);
    let moved = bob.release(&second, &town.release(&first, &town.alice)).await;
    assert_eq!(refused(&town, moved, 10_000_000), "reverted_bad_signature");
}

#[tokio::test]
async fn only_the_provider_can_say_that_it_delivered() {
    let town = Town::open().await;
    let order = town.funded(1).await;
    let lie = town.client(&town.eve).await.deliver(&order, B256::ZERO).await;
    assert_eq!(refused(&town, lie, 5_000_000), "reverted_not_party");
    town.chain.increase_time(u64::from(HOUR));
    let late = town.client(&town.bob).await.deliver(&order, B256::ZERO).await;
    assert_eq!(refused(&town, late, 5_000_000), "reverted_too_late");
}

#[tokio::test]
async fn an_order_nobody_funded_releases_nothing() {
    let town = Town::open().await;
    town.funded(1).await;
    let bob = town.client(&town.bob).await;
    let unfunded = town.order(2);
    let empty = bob.release(&unfunded, &town.release(&unfunded, &town.alice)).await;
    assert_eq!(refused(&town, empty, 5_000_000), "reverted_bad_state");
    let empty = bob.finalize(&unfunded).await;
    assert_eq!(refused(&town, empty, 5_000_000), "reverted_bad_state");
    assert_eq!(bob.status(&town.id(&unfunded)).await.unwrap().status, Status::None);
}

#[tokio::test]
async fn amounts_of_zero_or_beyond_counting_are_refused_before_anything_is_asked() {
    let town = Town::open().await;
    let bob = town.client(&town.bob).await;
    let mut order = town.order(1);
    order.amount = U96::ZERO;
    let zero = bob.fund(&order, &town.payment(&order, &town.alice), None).await;
    assert_eq!(refused(&town, zero, 0), "zero_amount");
    for amount in [U96::from(u64::MAX) + U96::from(1), U96::MAX] {
        order.amount = amount;
        let huge = bob.fund(&order, &town.payment(&order, &town.alice), None).await;
        assert_eq!(refused(&town, huge, 0), "amount_too_large");
    }
    order.amount = U96::from(u64::MAX);
    let rich = bob.fund(&order, &town.payment(&order, &town.alice), None).await;
    assert_eq!(refused(&town, rich, 0), "reverted_insufficient_funds");
}

#[tokio::test]
async fn an_order_that_breaks_a_rule_is_never_held() {
    let town = Town::open().await;
    let bob = town.client(&town.bob).await;
    let broken: [fn(&mut Order); 7] = [
        |order| order.feeBps = 1_001,
        |order| order.flags = 4,
        |order| order.provider = order.buyer,
        |order| order.reviewSecs = 60,
        |order| order.deliverBy = order.fundBy,
        |order| order.bond = U96::from(1),
        |order| order.feeTo = alloy::primitives::Address::ZERO,
    ];
    for breaks in broken {
        let mut order = town.order(1);
        breaks(&mut order);
        let sent = bob.fund(&order, &town.payment(&order, &town.alice), None).await;
        assert_eq!(refused(&town, sent, 0), "reverted_bad_order");
    }
}

#[tokio::test]
async fn a_payment_that_came_too_late_is_not_taken() {
    let town = Town::open().await;
    let bob = town.client(&town.bob).await;
    let order = town.order(1);
    town.chain.increase_time(300);
    let late = bob.fund(&order, &town.payment(&order, &town.alice), None).await;
    assert_eq!(refused(&town, late, 0), "reverted_too_late");
}

#[tokio::test]
async fn a_signer_without_gas_money_is_told_so() {
    let town = Town::open().await;
    let order = town.order(1);
    let alice = town.client(&town.alice).await;
    let broke = alice.fund(&order, &town.payment(&order, &town.alice), None).await;
    assert_eq!(refused(&town, broke, 0), "not_enough_gas");
}

#[tokio::test]
async fn a_call_dearer_than_the_cap_is_not_sent() {
    let town = Town::open().await;
    let mut config = town.config();
    config.gas_cap = 50_000;
    let bob = haggle_escrow::EscrowClient::connect(config, &town.bob).await.unwrap();
    let order = town.order(1);
    let dear = bob.fund(&order, &town.payment(&order, &town.alice), None).await;
    assert!(matches!(dear, Err(EscrowError::GasCapExceeded { .. })));
    assert_eq!(refused(&town, dear, 0), "gas_cap_exceeded");
}

#[tokio::test]
async fn a_used_payment_is_named_as_such() {
    let town = Town::open().await;
    let order = town.funded(1).await;
    let bob = town.client(&town.bob).await;
    let nonce = *town.id(&order).as_b256();
    assert!(bob.authorization_used(town.alice.address(), nonce).await.unwrap());
    assert!(!bob.authorization_used(town.eve.address(), nonce).await.unwrap());
    assert_eq!(Revert::AuthorizationUsed { payer: town.alice.address(), nonce }.code(), "reverted_authorization_used");
}

fn raw_order(order: &Order) -> crate::town::IEscrow::Order {
    crate::town::IEscrow::Order {
        buyer: order.buyer,
        provider: order.provider,
        validator: order.validator,
        arbitrator: order.arbitrator,
        feeTo: order.feeTo,
        amount: order.amount,
        bond: order.bond,
        stake: order.stake,
        feeBps: order.feeBps,
        silentBps: order.silentBps,
        flags: order.flags,
        fundBy: order.fundBy,
        deliverBy: order.deliverBy,
        reviewSecs: order.reviewSecs,
        counterSecs: order.counterSecs,
        ruleSecs: order.ruleSecs,
        terms: order.terms,
        salt: order.salt,
    }
}
