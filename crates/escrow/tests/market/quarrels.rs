//! Orders whose parties do not simply pay or refund.

use alloy::primitives::aliases::{U40, U96};
use alloy::primitives::{B256, Bytes, U256};
use haggle_base::eip712::{BOND_BUYER, BOND_PROVIDER, Bond, Feedback, Split, Verdict, digest};
use haggle_base::{ClosedBy, EvmSignature, Order, PaymentKey, Timestamp};
use haggle_escrow::{Decision, EscrowError, EscrowEvent, FeedbackRefusal, Revert, Sent, StakeClient, Status, Watcher};

use crate::town::{HOUR, PURSE, Town, usdc};

const EVIDENCE: B256 = B256::repeat_byte(0xee);
const BOND: u64 = 1_000_000;

/// An order that eve judges, each side with a dollar of bond.
async fn judged(town: &Town, salt: u64, stake: u64) -> Order {
    let mut order = town.order(salt);
    (order.validator, order.arbitrator) = (town.eve.address(), town.eve.address());
    (order.bond, order.stake, order.silentBps) = (U96::from(BOND), U96::from(stake), 2_500);
    let consent = town.consent(&order, &town.bob);
    town.client(&town.bob).await.fund(&order, &town.payment(&order, &town.alice), Some(&consent)).await.unwrap();
    order
}

/// `key`'s bond for its side, good until the window ends that is open now.
async fn bond(town: &Town, order: &Order, side: u8, key: &PaymentKey) -> EvmSignature {
    let nonce = digest(&Bond { orderId: *town.id(order).as_b256(), side, evidence: EVIDENCE }, &town.escrow);
    let end = town.reader().status(&town.id(order)).await.unwrap().window_ends.unwrap();
    town.payment_to(town.chain.deployment().unwrap().escrow, BOND, end.as_secs(), nonce, key)
}

/// Delivered by bob, disputed by alice, countered by bob.
async fn quarrel(town: &Town, order: &Order) {
    let bob = town.client(&town.bob).await;
    bob.deliver(order, B256::repeat_byte(9)).await.unwrap();
    let hers = bond(town, order, BOND_BUYER, &town.alice).await;
    assert!(bob.dispute(order, EVIDENCE, &hers).await.unwrap().tx().is_some());
    assert!(bob.dispute(order, EVIDENCE, &hers).await.unwrap().tx().is_none(), "asked twice, done once");
    let disputed = bob.status(&town.id(order)).await.unwrap();
    assert!(disputed.status == Status::Disputed && !disputed.is_settled());
    assert_eq!(bob.evidence_of(order).await.unwrap(), Some(EVIDENCE));
    let his = bond(town, order, BOND_PROVIDER, &town.bob).await;
    bob.counter(order, &his).await.unwrap();
    assert!(bob.counter(order, &his).await.unwrap().tx().is_none());
    assert_eq!(bob.status(&town.id(order)).await.unwrap().status, Status::Arbitrating);
}

#[tokio::test]
async fn both_parties_may_divide_the_money() {
    let town = Town::open().await;
    let order = town.funded(1).await;
    let pay = U96::from(3_000_000);
    let until = town.chain.head().1 + 600;
    let split = Split { orderId: *town.id(&order).as_b256(), pay, validUntil: U40::from(until) };
    let said = digest(&split, &town.escrow);
    let (hers, his) = (town.alice.sign_digest(&said), town.bob.sign_digest(&said));
    let decision = Decision { pay, valid_until: Timestamp::from_secs(until) };
    let eve = town.client(&town.eve).await;
    let alone = eve.split(&order, decision, &hers, &hers).await;
    assert!(matches!(alone, Err(EscrowError::Reverted(Revert::BadSignature { .. }))));
    eve.split(&order, decision, &hers, &his).await.unwrap();
    assert!(eve.split(&order, decision, &hers, &his).await.unwrap().tx().is_none());
    assert_eq!(town.balance(town.bob.address()), PURSE + 2_700_000);
    assert_eq!(town.balance(town.alice.address()), PURSE - 3_000_000);
    town.assert_conserved();
}

#[tokio::test]
async fn a_validator_decides_what_the_work_was_worth() {
    let town = Town::open().await;
    let order = judged(&town, 1, 0).await;
    let pay = U96::from(1_000_000);
    let until = town.chain.head().1 + 600;
    let id = *town.id(&order).as_b256();
    let said = Verdict { orderId: id, pay, evidence: EVIDENCE, validUntil: U40::from(until) };
    let word = town.eve.sign_digest(&digest(&said, &town.escrow));
    let decision = Decision { pay, valid_until: Timestamp::from_secs(until) };
    let bob = town.client(&town.bob).await;
    bob.verdict(&order, decision, EVIDENCE, Bytes::copy_from_slice(word.as_bytes())).await.unwrap();
    assert_eq!(town.balance(town.bob.address()), PURSE + 900_000);
    assert_eq!(bob.status(&town.id(&order)).await.unwrap().closed_by, Some(ClosedBy::Verdict));
    town.assert_conserved();
}

#[tokio::test]
async fn a_ruling_takes_the_losers_bond_and_its_stake() {
    let town = Town::open().await;
    let facts = town.chain.deployment().unwrap().clone();
    let bob = StakeClient::new(town.reader(), facts.stake, &town.bob).unwrap();
    let (nonce, before) = (B256::repeat_byte(5), town.chain.head().1 + 600);
    let payment = town.payment_to(facts.stake, 2_000_000, before, nonce, &town.bob);
    let put_up = |units| bob.deposit(town.bob.address(), usdc(units), Timestamp::from_secs(before), nonce, &payment);
    assert!(put_up(2_000_000).await.unwrap().is_some());
    assert!(put_up(2_000_000).await.unwrap().is_none(), "the same payment is not made twice");
    let order = judged(&town, 1, 1_500_000).await;
    assert_eq!(bob.stake_of(town.bob.address()).await.unwrap().locked, usdc(1_500_000));
    quarrel(&town, &order).await;

    let eve = town.client(&town.eve).await;
    eve.rule(&order, U96::ZERO).await.unwrap();
    assert!(matches!(eve.rule(&order, U96::ZERO).await.unwrap(), Sent::AlreadyDone(state) if state.is_settled()));

    assert_eq!(town.balance(town.alice.address()), PURSE + 1_500_000, "her money, her bond, his stake");
    assert_eq!(town.balance(town.eve.address()), PURSE + BOND);
    assert_eq!(town.balance(town.bob.address()), PURSE - 2_000_000 - BOND);
    bob.request_withdraw(usdc(500_000)).await.unwrap();
    let early = bob.withdraw(town.bob.address()).await.unwrap_err();
    assert!(matches!(early, EscrowError::Reverted(Revert::TooEarly { .. })));
    town.chain.increase_time(7 * 24 * 3_600);
    assert!(bob.withdraw(town.bob.address()).await.unwrap().is_some());
    assert!(bob.withdraw(town.bob.address()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_silent_arbitrator_leaves_what_the_order_says() {
    let town = Town::open().await;
    let order = judged(&town, 1, 0).await;
    quarrel(&town, &order).await;
    town.chain.increase_time(u64::from(HOUR));
    town.client(&town.eve).await.finalize(&order).await.unwrap();
    assert_eq!(town.balance(town.bob.address()), PURSE + 1_250_000 - 125_000, "both bonds return");
    town.assert_conserved();

    let facts = Watcher::new(town.reader()).facts_of(&town.id(&order)).await.unwrap();
    let told: Vec<_> = facts.iter().map(|fact| &fact.event).collect();
    assert!(matches!(
        told[..],
        [
            EscrowEvent::Funded { .. },
            EscrowEvent::Delivered { .. },
            EscrowEvent::Disputed { evidence: EVIDENCE, .. },
            EscrowEvent::Countered { .. },
            EscrowEvent::Settled { closed_by: Some(ClosedBy::Silent), .. }
        ]
    ));
}

#[tokio::test]
async fn an_order_without_an_arbitrator_cannot_be_disputed() {
    let town = Town::open().await;
    let order = town.funded(1).await;
    let bob = town.client(&town.bob).await;
    bob.deliver(&order, B256::ZERO).await.unwrap();
    let bond = Bond { orderId: *town.id(&order).as_b256(), side: BOND_BUYER, evidence: EVIDENCE };
    let word = town.alice.sign_digest(&digest(&bond, &town.escrow));
    let refused = bob.dispute(&order, EVIDENCE, &word).await;
    assert!(matches!(refused, Err(EscrowError::Reverted(Revert::NoArbitrator { .. }))));
}

#[tokio::test]
async fn feedback_on_an_unpaid_order_is_refused_and_named() {
    let town = Town::open().await;
    let order = town.funded(1).await;
    let bob = town.client(&town.bob).await;
    bob.refund(&order, &town.refund(&order, &town.bob)).await.unwrap();
    let said = Feedback { orderId: *town.id(&order).as_b256(), agentId: U256::ZERO, value: 5 };
    let word = town.alice.sign_digest(&digest(&said, &town.escrow));
    let refused = bob.publish_feedback(&order, U256::ZERO, 5, &word).await;
    assert!(matches!(refused, Err(EscrowError::Reverted(Revert::Feedback(FeedbackRefusal::NothingPaid)))));
}
