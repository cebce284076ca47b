//! Deliveries that are posted on chain and are none: disputed, countered, ruled on. And blocks that are taken back.

use std::time::Duration;

use haggle_base::{ClosedBy, Order};
use haggle_trade::{HireId, judge, terms::Agreement};

use crate::world::{DELIVER_WITHIN, Manner, REVIEW, World, usdc};

/// How far it is to the moment at which a provider posts its delivery.
const NEAR_DEADLINE: Duration = Duration::from_secs(DELIVER_WITHIN as u64 + 170);

const WINDOW: Duration = Duration::from_secs(REVIEW as u64);

fn order_of(world: &World, id: HireId) -> Order {
    let case = world.buyer().case(id).unwrap();
    Agreement::open_from_buyer(&case.terms, &world.venue).unwrap().order
}

/// Bob bought, Alice posted what she calls a delivery, and both nodes had time to act.
async fn posted(world: &mut World) -> HireId {
    let id = world.hire().await;
    world.turns(20).await;
    world.pass(NEAR_DEADLINE);
    world.settle(12).await;
    id
}

/// Eve looks at what both show, and rules.
fn rule(world: &World, id: HireId) -> judge::Ruling {
    let (order, bought) = (order_of(world, id), world.bought(id));
    let order_id = bought.id.unwrap();
    let posted = world.chain.look(&order).unwrap().deliverable;
    let cases = [world.buyer().case(id).unwrap(), world.desk().case(&order_id).unwrap()];
    let ruling = judge::rule(&order_id, posted.as_ref(), &cases, &world.venue).unwrap();
    world.chain.rule(&order, ruling.pay).unwrap();
    ruling
}

#[tokio::test]
async fn a_forger_that_keeps_silent_gets_nothing_and_bob_is_made_whole() {
    let mut world = World::judged(Manner::Forger).await;
    let id = posted(&mut world).await;
    assert_eq!(world.chain.log(), ["fund", "deliver", "dispute"]);
    let bought = world.bought(id);
    assert_eq!((bought.state.as_str(), bought.failure.as_deref()), ("disputed", Some("schema_mismatch")));
    assert_eq!(world.sold(&bought.id.unwrap()).state.as_str(), "disputed");
    let evidence = world.buyer().case(id).unwrap().evidence.unwrap();
    assert_eq!(world.chain.look(&order_of(&world, id)).unwrap().evidence, Some(haggle_base::Hash::of(&evidence)));

    world.pass(WINDOW);
    world.settle_down(10).await;
    assert_eq!(world.chain.log(), ["fund", "deliver", "dispute", "finalize"]);
    assert_eq!(world.chain.balance(world.bob.address()), usdc("100"));
    let bought = world.bought(id);
    assert_eq!(bought.ending.unwrap().closed_by, ClosedBy::Uncountered);
    assert_eq!(bought.state.as_str(), "refunded");
    world.check_conservation();
}

#[tokio::test]
async fn a_forger_that_stands_to_its_lie_loses_its_bond_too() {
    let mut world = World::judged(Manner::Forger).await;
    let id = posted(&mut world).await;
    let order = world.bought(id).id.unwrap();
    world.desk().counter(&order).await.unwrap();
    world.settle(5).await;
    assert_eq!(world.chain.log(), ["fund", "deliver", "dispute", "counter"]);
    assert_eq!(rule(&world, id).why, "schema_mismatch");
    world.settle_down(10).await;
    assert_eq!(world.chain.balance(world.bob.address()), usdc("100"), "price, fee and bond are back");
    assert_eq!(world.chain.balance(world.alice.address()), usdc("0.5"));
    assert_eq!(world.chain.balance(world.eve.address()), usdc("0.5"));
    assert_eq!(world.bought(id).ending.unwrap().closed_by, ClosedBy::Ruling);
    world.check_conservation();
}

#[tokio::test]
async fn a_buyer_that_disputes_good_work_pays_for_it_with_its_bond() {
    let mut world = World::judged(Manner::Honest).await;
    world.buyer_crash.after("funded");
    let id = world.hire().await;
    world.turns(20).await;
    world.pass(NEAR_DEADLINE);
    world.turns(3).await;
    world.start_buyer().await;
    world.buyer().dispute(id, "I do not like it".try_into().unwrap()).await.unwrap();
    world.settle(8).await;
    assert_eq!(world.chain.log(), ["fund", "deliver", "dispute", "counter"], "alice stands to her work by herself");
    assert_eq!(rule(&world, id).why, "posted_output_fits");
    world.settle_down(10).await;
    assert_eq!(world.chain.balance(world.bob.address()), usdc("94.375"));
    assert_eq!(world.chain.balance(world.alice.address()), usdc("6"));
    assert_eq!(world.bought(id).state.as_str(), "settled");
    world.check_conservation();
}

#[tokio::test]
async fn an_arbitrator_that_keeps_silent_leaves_what_was_signed_for_that() {
    let mut world = World::judged(Manner::Forger).await;
    let id = posted(&mut world).await;
    world.desk().counter(&world.bought(id).id.unwrap()).await.unwrap();
    world.settle(5).await;
    world.pass(WINDOW);
    world.settle_down(10).await;
    assert_eq!(world.bought(id).ending.unwrap().closed_by, ClosedBy::Silent);
    assert_eq!(world.chain.balance(world.bob.address()), usdc("100"));
    assert_eq!(world.chain.balance(world.alice.address()), usdc("1"), "both bonds return");
    world.check_conservation();
}

#[tokio::test]
async fn what_cannot_be_disputed_is_said() {
    let mut world = World::new().await;
    let id = world.hire().await;
    world.turns(4).await;
    let refused = world.buyer().dispute(id, "why not".try_into().unwrap()).await.unwrap_err();
    assert_eq!(haggle_base::Coded::code(&refused), "no_arbitrator");

    let mut world = World::judged(Manner::Honest).await;
    let id = world.hire().await;
    world.settle_down(30).await;
    let refused = world.buyer().dispute(id, "too late".try_into().unwrap()).await.unwrap_err();
    assert_eq!(haggle_base::Coded::code(&refused), "wrong_state");
    let refused = world.desk().counter(&world.bought(id).id.unwrap()).await.unwrap_err();
    assert_eq!(haggle_base::Coded::code(&refused), "wrong_state");
    world.check_paid_once(id);
}

#[tokio::test]
async fn either_node_killed_anywhere_in_a_dispute_goes_on_and_signs_one_bond() {
    for (buyer_step, provider_step) in [
        (Some("dispute_signed"), None),
        (Some("disputed"), None),
        (None, Some("disputed")),
        (None, Some("counter_signed")),
        (None, Some("countered")),
        (Some("dispute_signed"), Some("counter_signed")),
    ] {
        let mut world = World::judged(Manner::Forger).await;
        let id = posted_with_crashes(&mut world, buyer_step, provider_step).await;
        let story = format!("{buyer_step:?} {provider_step:?}");
        assert_eq!(world.chain.log(), ["fund", "deliver", "dispute", "counter"], "{story}");
        assert_eq!(world.bobs_books.bonds.lock().len(), 1, "{story}");
        assert_eq!(world.alices_books.bonds.lock().len(), 1, "{story}");
        rule(&world, id);
        world.settle_down(10).await;
        assert_eq!(world.chain.balance(world.bob.address()), usdc("100"), "{story}");
        world.check_conservation();
    }
}

async fn posted_with_crashes(world: &mut World, buyer: Option<&'static str>, provider: Option<&'static str>) -> HireId {
    let id = world.hire().await;
    world.turns(20).await;
    if let Some(step) = buyer {
        world.buyer_crash.after(step);
    }
    if let Some(step) = provider {
        world.crash_desk_after(step);
    }
    world.desk().counter(&world.bought(id).id.unwrap()).await.unwrap();
    world.pass(NEAR_DEADLINE);
    world.settle(20).await;
    id
}

#[tokio::test]
async fn a_funding_that_the_chain_takes_back_is_put_there_again_and_paid_once() {
    let mut world = World::new().await;
    world.buyer_crash.after("receipt_held");
    let id = world.hire().await;
    world.turns(20).await;
    assert_eq!(world.chain.log(), ["fund"]);
    world.start_buyer().await;
    let order = order_of(&world, id);
    world.chain.take_back_funding(&order);
    world.settle(2).await;
    assert_eq!(world.chain.log()[1], "taken_back");
    world.settle_down(40).await;
    assert_eq!(world.chain.log(), ["fund", "taken_back", "fund", "release"]);
    assert_eq!(world.runs(), 1, "the work is not done twice");
    assert_eq!(world.bought(id).state.as_str(), "settled");
    assert_eq!(world.chain.balance(world.alice.address()), usdc("6"));
    world.check_conservation();
}

#[tokio::test]
async fn an_order_whose_end_the_chain_takes_back_is_open_again_until_it_ends_again() {
    let mut world = World::new().await;
    let id = world.hire().await;
    world.settle_down(40).await;
    let (order, order_id) = (order_of(&world, id), world.bought(id).id.unwrap());
    world.chain.take_back_release(&order);
    world.buyer().reopen(&order_id, None).await.unwrap();
    world.desk().reopen(&order_id, None).await.unwrap();
    assert_eq!(world.bought(id).state.as_str(), "accepted");
    assert_eq!(world.sold(&order_id).state.as_str(), "delivered");
    // told twice, done once
    world.buyer().reopen(&order_id, None).await.unwrap();
    world.settle_down(40).await;
    assert_eq!(world.chain.log(), ["fund", "release", "taken_back", "release"]);
    world.check_paid_once(id);
}

#[tokio::test]
async fn an_order_that_ended_the_same_way_again_stays_closed() {
    let mut world = World::new().await;
    let id = world.hire().await;
    world.settle_down(40).await;
    let (order, order_id) = (order_of(&world, id), world.bought(id).id.unwrap());
    let again = world.chain.look(&order).unwrap().phase;
    world.buyer().reopen(&order_id, Some(again)).await.unwrap();
    world.desk().reopen(&order_id, Some(again)).await.unwrap();
    assert_eq!(world.bought(id).state.as_str(), "settled");
    assert_eq!(world.sold(&order_id).state.as_str(), "settled");
    let other = haggle_trade::ports::Phase::Settled { closed_by: ClosedBy::Refund, paid: usdc("0"), fee: usdc("0") };
    world.desk().reopen(&order_id, Some(other)).await.unwrap();
    assert_eq!(world.sold(&order_id).state.as_str(), "delivered", "it ended otherwise");
}

#[tokio::test]
async fn an_end_that_is_taken_back_before_the_books_are_closed_is_not_believed() {
    let mut world = World::new().await;
    let id = world.hire().await;
    world.buyer_crash.after("released");
    world.turns(20).await;
    let case = world.chain.log();
    assert_eq!(case, ["fund", "release"]);
    world.start_buyer().await;
    let (order, order_id) = (order_of(&world, id), world.bought(id).id.unwrap());
    assert_eq!(world.bought(id).state.as_str(), "settled");
    // nobody tells the buyer: its own books do not close
    world.chain.take_back_release(&order);
    world.desk().reopen(&order_id, None).await.unwrap();
    world.settle_down(40).await;
    assert_eq!(world.chain.log(), ["fund", "release", "taken_back", "release"]);
    world.check_paid_once(id);
}
