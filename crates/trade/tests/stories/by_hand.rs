//! Orders that Alice answers by hand: they wait for her output, and what she gave is never lost.

use std::time::Duration;

use haggle_base::{Coded, OrderId};
use haggle_trade::{Desk, HireId, MAX_PAYLOAD_BYTES, Progress};

use crate::world::{Manner, World, usdc};

const GOOD: &[u8] = br#"{"words":3}"#;

async fn give(desk: &Desk, order: &OrderId, output: &[u8]) -> Result<(), &'static str> {
    desk.give(order, output.to_vec()).await.map_err(|error| error.code())
}

/// Bob's order, funded, at Alice's desk.
async fn waiting(manner: Manner) -> (World, HireId, OrderId) {
    let mut world = World::with(manner, "5.0").await;
    let id = world.hire().await;
    world.settle(10).await;
    let order = world.bought(id).id.unwrap();
    assert_eq!(world.sold(&order).state.as_str(), "funded");
    (world, id, order)
}

fn check_paid(world: &World, id: HireId) {
    world.check_conservation();
    let bought = world.bought(id);
    assert_eq!(bought.state.as_str(), "settled", "{bought:?}");
    assert_eq!(world.buyer().payload(&bought.output.unwrap()).unwrap().unwrap(), GOOD);
    assert_eq!(world.chain.balance(world.alice.address()), usdc("6"));
    assert_eq!(world.runs(), 0, "nobody runs it");
}

#[tokio::test]
async fn an_order_waits_for_its_output_and_is_delivered_once_it_is_given() {
    let (mut world, id, order) = waiting(Manner::ByHand).await;
    let desk = world.desk();
    assert!(world.sold(&order).awaits_output && !world.bought(id).awaits_output);
    assert_eq!(desk.input(&order).unwrap().unwrap(), world.wish().input);
    assert_eq!(desk.advance(order).await, Progress::Troubled, "it is looked at ever less often");
    assert_eq!(give(&desk, &order, GOOD).await, Ok(()));
    assert!(!world.sold(&order).awaits_output);
    assert_eq!(give(&desk, &order, GOOD).await, Ok(()), "the same again");
    assert_eq!(give(&desk, &order, br#"{"words":4}"#).await, Err("output_given"));
    world.settle_down(30).await;
    check_paid(&world, id);
    assert_eq!(give(&desk, &order, GOOD).await, Ok(()), "also when it is over");
    assert_eq!(give(&desk, &order, br#"{"words":4}"#).await, Err("output_given"));
}

#[tokio::test]
async fn an_output_that_was_given_survives_a_crash_before_it_is_delivered() {
    // killed right after it was acknowledged, with nothing done about it
    let (mut world, id, order) = waiting(Manner::ByHand).await;
    assert_eq!(give(&world.desk(), &order, GOOD).await, Ok(()));
    world.start_desk();
    world.settle_down(30).await;
    check_paid(&world, id);

    // killed when it was on disk, before anybody heard of it
    let (mut world, id, order) = waiting(Manner::ByHand).await;
    world.crash_desk_after("executed");
    let desk = world.desk();
    let unheard = tokio::time::timeout(Duration::from_millis(100), give(&desk, &order, GOOD)).await;
    assert!(unheard.is_err(), "it crashed");
    world.start_desk();
    assert_eq!(give(&world.desk(), &order, br#"{"words":4}"#).await, Err("output_given"));
    assert_eq!(give(&world.desk(), &order, GOOD).await, Ok(()));
    world.settle_down(30).await;
    check_paid(&world, id);
}

#[tokio::test]
async fn an_output_is_taken_only_where_it_is_waited_for_and_fits() {
    let (mut world, id, order) = waiting(Manner::ByHand).await;
    let desk = world.desk();
    assert_eq!(give(&desk, &OrderId::new([7; 32].into()), GOOD).await, Err("order_not_found"));
    for misfit in [&b"{}"[..], br#"{"words":"three"}"#, b"no JSON"] {
        assert_eq!(give(&desk, &order, misfit).await, Err("output_misfit"));
    }
    let huge = [b"\"".as_slice(), &vec![b'x'; MAX_PAYLOAD_BYTES], b"\""].concat();
    assert_eq!(give(&desk, &order, &huge).await, Err("output_too_large"));
    assert!(world.sold(&order).awaits_output, "a slip costs nothing");
    assert_eq!(give(&desk, &order, GOOD).await, Ok(()));
    world.settle_down(30).await;
    check_paid(&world, id);

    let (world, _, order) = waiting(Manner::Busy).await;
    assert_eq!(give(&world.desk(), &order, GOOD).await, Err("not_by_hand"));

    let mut world = World::with(Manner::ByHand, "5.0").await;
    world.crash_desk_after("order_countersigned");
    world.hire().await;
    world.turns(20).await;
    world.start_desk();
    let [order] = world.desk().open_orders()[..] else { panic!("one order") };
    assert_eq!(give(&world.desk(), &order, GOOD).await, Err("wrong_state"), "nobody has paid yet");
}

#[tokio::test]
async fn who_waits_for_long_asks_less_often() {
    let (mut world, id, order) = waiting(Manner::ByHand).await;
    assert_eq!(world.buyer().advance(id).await, Progress::Waiting);
    world.pass(Duration::from_secs(60));
    assert_eq!(world.buyer().advance(id).await, Progress::Troubled);
    assert_eq!(give(&world.desk(), &order, GOOD).await, Ok(()));
    world.settle_down(30).await;
    check_paid(&world, id);
}

#[tokio::test]
async fn an_order_that_nobody_answers_is_refunded() {
    let (mut world, id, order) = waiting(Manner::ByHand).await;
    world.pass(Duration::from_secs(900));
    assert_eq!(give(&world.desk(), &order, GOOD).await, Err("too_late"));
    world.settle_down(60).await;
    assert_eq!(world.bought(id).state.as_str(), "refunded");
    assert_eq!(world.chain.balance(world.bob.address()), usdc("100"));
    assert_eq!(give(&world.desk(), &order, GOOD).await, Err("wrong_state"));
}
