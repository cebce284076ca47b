//! Stories and laws of the price machine.

use std::time::Duration;

use haggle_base::{Timestamp, Usdc};
use proptest::prelude::*;

use super::{Asking, Bidding, BuyerPolicy, MAX_ROUNDS, SellerPolicy, event};

fn usdc(text: &str) -> Usdc {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_secs(1_000)
}

fn later() -> Timestamp {
    now().plus(Duration::from_secs(60))
}

fn buyer(bid: Usdc, ceiling: Usdc, step: Usdc) -> Bidding {
    Bidding::open(BuyerPolicy { bid, ceiling, step, deadline: later() })
}

fn seller(ask: Usdc, floor: Usdc, step: Usdc) -> Asking {
    Asking::open(SellerPolicy { ask, floor, step, deadline: later() })
}

/// Plays both sides to the end; gives the price and how many bids were said.
fn play(bob: &mut Bidding, alice: &mut Asking) -> (Result<Usdc, event::Ended>, u8) {
    let mut bids = 0;
    let mut said = bob.start(now());
    loop {
        let bid = match said {
            event::Bid::Offered(bid) => bid,
            event::Bid::Ended(why) => return (Err(why), bids),
        };
        bids += 1;
        match alice.bid(bid, now()) {
            event::Ask::Quoted(price) => return (Ok(price), bids),
            event::Ask::Countered(ask) => said = bob.countered(ask, now()),
            event::Ask::Ended(why) => return (Err(why), bids),
        }
    }
}

#[test]
fn a_buyer_at_four_and_a_seller_at_six_meet_at_five() {
    let mut bob = buyer(usdc("4.0"), usdc("5.5"), usdc("0.5"));
    let mut alice = seller(usdc("6.0"), usdc("4.5"), usdc("0.5"));
    assert_eq!(play(&mut bob, &mut alice).0, Ok(usdc("5.0")));
    assert_eq!(bob.quoted(usdc("5.0")), event::Judge::Taken(usdc("5.0")));
}

#[test]
fn a_fixed_price_is_quoted_at_once() {
    let mut bob = buyer(usdc("0.25"), usdc("0.25"), Usdc::ZERO);
    let mut alice = seller(usdc("0.25"), usdc("0.25"), Usdc::ZERO);
    assert_eq!(play(&mut bob, &mut alice), (Ok(usdc("0.25")), 1));
}

#[test]
fn a_bid_above_the_list_price_is_quoted_at_the_list_price() {
    let mut alice = seller(usdc("1.0"), usdc("1.0"), Usdc::ZERO);
    assert_eq!(alice.bid(usdc("3.0"), now()), event::Ask::Quoted(usdc("1.0")));
}

#[test]
fn the_round_limit_ends_the_rest_without_agreement() {
    let mut bob = buyer(usdc("1.0"), usdc("5.0"), usdc("0.1"));
    let mut alice = seller(usdc("6.0"), usdc("2.0"), usdc("0.1"));
    assert_eq!(play(&mut bob, &mut alice), (Err(event::Ended::RoundLimit), MAX_ROUNDS));
}

#[test]
fn a_budget_below_the_floor_is_never_accepted() {
    let mut bob = buyer(usdc("1.0"), usdc("2.0"), usdc("0.5"));
    let mut alice = seller(usdc("3.0"), usdc("2.5"), usdc("0.5"));
    assert!(play(&mut bob, &mut alice).0.is_err());
}

#[test]
fn nothing_is_agreed_after_the_deadline() {
    let mut alice = seller(usdc("1.0"), usdc("1.0"), Usdc::ZERO);
    assert_eq!(alice.bid(usdc("1.0"), later()), event::Ask::Ended(event::Ended::Deadline));
    let mut bob = buyer(usdc("1.0"), usdc("1.0"), Usdc::ZERO);
    assert_eq!(bob.start(later()), event::Bid::Ended(event::Ended::Deadline));
}

#[test]
fn an_agreed_price_does_not_move() {
    let mut alice = seller(usdc("2.0"), usdc("1.0"), usdc("0.5"));
    assert_eq!(alice.bid(usdc("2.0"), now()), event::Ask::Quoted(usdc("2.0")));
    assert_eq!(alice.bid(usdc("0.1"), now()), event::Ask::Quoted(usdc("2.0")));
}

#[test]
fn a_quote_above_the_last_bid_is_not_taken() {
    let bob = buyer(usdc("5.0"), usdc("5.0"), Usdc::ZERO);
    assert_eq!(bob.quoted(usdc("5.01")), event::Judge::AboveBid { bid: usdc("5.0"), quoted: usdc("5.01") });
}

proptest! {
    /// Whatever the policies, the game ends within the rounds, and a price is inside both limits.
    #[test]
    fn every_negotiation_ends_and_a_price_suits_both(
        bid in 0_u64..10_000_000, over in 0_u64..10_000_000, up in 0_u64..2_000_000,
        floor in 0_u64..10_000_000, above in 0_u64..10_000_000, down in 0_u64..2_000_000,
    ) {
        let ceiling = Usdc::from_units(bid + over);
        let ask = Usdc::from_units(floor + above);
        let mut bob = buyer(Usdc::from_units(bid), ceiling, Usdc::from_units(up));
        let mut alice = seller(ask, Usdc::from_units(floor), Usdc::from_units(down));
        let (end, bids) = play(&mut bob, &mut alice);
        prop_assert!(bids <= MAX_ROUNDS);
        if let Ok(price) = end {
            prop_assert!(price <= ceiling);
            prop_assert!(price >= Usdc::from_units(floor));
            prop_assert!(price <= ask);
        }
    }
}
