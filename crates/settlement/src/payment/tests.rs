//! Every transition of a payment, and every one that is refused.

use alloy_primitives::{Address, B256};

use haggle_base::{ClosedBy, Hash, Seed};

use super::*;
use crate::facts::Place;

const FUND_BY: Timestamp = Timestamp::from_secs(1000);

fn place() -> Place {
    Place { block: 1, hash: B256::ZERO, index: 0, tx: B256::ZERO, time: Timestamp::ZERO }
}

fn payment() -> Payment {
    let key = Seed::devnet(7, 0).payment_key(0);
    Payment {
        order: OrderId::from(B256::ZERO),
        key: ReservationKey::try_from("a").unwrap(),
        agent: Seed::devnet(7, 0).agent_key(0).did(),
        deposit: Usdc::from_units(100),
        fund_by: FUND_BY,
        authorised_at: Timestamp::ZERO,
        signature: key.sign_digest(&B256::ZERO),
        signed: Order::default(),
        state: PaymentState::Authorised,
        funded: None,
        settled: None,
    }
}

fn funded() -> FundedFact {
    FundedFact {
        order: OrderId::from(B256::ZERO),
        buyer: Address::ZERO,
        provider: Address::ZERO,
        amount: Usdc::from_units(100),
        terms: Hash::of(b""),
        place: place(),
    }
}

fn settled(paid: u64, fee: u64, refunded: u64) -> SettledFact {
    SettledFact {
        order: OrderId::from(B256::ZERO),
        buyer: Address::ZERO,
        provider: Address::ZERO,
        paid: Usdc::from_units(paid),
        fee: Usdc::from_units(fee),
        refunded: Usdc::from_units(refunded),
        closed_by: ClosedBy::Release,
        place: place(),
    }
}

#[test]
fn a_payment_is_funded_once_and_settled_once() {
    let mut payment = payment();
    assert_eq!(payment.fund(funded()), Fund::Funded);
    assert_eq!(payment.fund(funded()), Fund::AlreadyFunded);
    assert_eq!(payment.close(settled(98, 2, 0)), Close::Settled);
    assert_eq!(payment.close(settled(0, 0, 100)), Close::AlreadyClosed);
    assert_eq!(payment.fund(funded()), Fund::AlreadyFunded);
    assert_eq!(payment.state, PaymentState::Settled);
}

#[test]
fn a_payment_whose_whole_deposit_came_back_is_refunded() {
    let mut payment = payment();
    assert_eq!(payment.fund(funded()), Fund::Funded);
    assert_eq!(payment.close(settled(0, 0, 100)), Close::Refunded);
    assert_eq!(payment.state, PaymentState::Refunded);
}

#[test]
fn parts_that_do_not_make_up_the_deposit_are_refused() {
    let mut payment = payment();
    assert_eq!(payment.close(settled(98, 2, 0)), Close::Inconsistent);
    assert_eq!(payment.fund(funded()), Fund::Funded);
    for (paid, fee, refunded) in [(98, 1, 0), (98, 2, 1), (u64::MAX, 1, 0), (0, 0, 0)] {
        assert_eq!(payment.close(settled(paid, fee, refunded)), Close::Inconsistent);
    }
    assert_eq!(payment.state, PaymentState::Funded);
}

#[test]
fn an_unfunded_payment_is_given_up_when_its_time_is_over_and_not_before() {
    let mut payment = payment();
    assert_eq!(payment.abandon(Timestamp::from_secs(999)), Abandon::TooEarly);
    assert_eq!(payment.abandon(FUND_BY), Abandon::Abandoned);
    assert_eq!(payment.abandon(FUND_BY), Abandon::NotPending);
    assert_eq!(payment.fund(funded()), Fund::Revived);
    assert_eq!(payment.abandon(FUND_BY), Abandon::NotPending);
}

#[test]
fn the_chain_can_take_back_what_it_said() {
    let mut payment = payment();
    assert_eq!(payment.unfund(), None);
    assert_eq!(payment.reopen(), None);
    assert_eq!(payment.fund(funded()), Fund::Funded);
    assert_eq!(payment.close(settled(98, 2, 0)), Close::Settled);
    assert_eq!(payment.unfund(), None);
    assert_eq!(payment.reopen(), Some(settled(98, 2, 0)));
    assert_eq!(payment.unfund(), Some(funded()));
    assert_eq!(payment, super::tests::payment());
}
