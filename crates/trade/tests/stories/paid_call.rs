//! The trade as it should go, in fair and in foul weather.

use std::time::Duration;

use haggle_base::{ClosedBy, Side, Usdc};
use haggle_trade::{
    Asked, Bargain, HireRequest, SellingRules, TradeMessage,
    document::{Quote, Receipt},
    order::saga,
};

use crate::world::{Manner, Weather, World, usdc};

#[tokio::test]
async fn bob_hires_alice_gets_his_result_and_pays_exactly_once() {
    let mut world = World::new().await;
    let id = world.hire().await;
    world.settle_down(30).await;
    world.check_paid_once(id);

    let bought = world.bought(id);
    assert_eq!(bought.price, Some(usdc("5.0")));
    assert_eq!(bought.fee, Some(usdc("0.125")));
    assert_eq!(bought.deposit, Some(usdc("5.125")));
    assert_eq!(bought.verdict, Some(saga::Verdict::Fits));
    let output = world.buyer().payload(&bought.output.unwrap()).unwrap().unwrap();
    assert_eq!(output, br#"{"words":3}"#);
    assert_eq!(bought.ending.unwrap().closed_by, ClosedBy::Release);
    assert_eq!(world.chain.log(), ["fund", "release"]);

    let lines = |view: haggle_trade::OrderView| -> Vec<String> {
        view.lines.iter().map(|line| line.step.as_str().to_owned()).collect()
    };
    assert_eq!(
        lines(bought.clone()),
        [
            "reserved",
            "quoted",
            "terms_signed",
            "input_sent",
            "order_countersigned",
            "authorised",
            "funded",
            "receipt_held",
            "checked",
            "release_signed",
            "released",
            "attested",
        ]
    );
    assert_eq!(
        lines(world.sold(&bought.id.unwrap())),
        [
            "terms_signed",
            "input_held",
            "order_countersigned",
            "fund_submitted",
            "funded",
            "executed",
            "receipt_signed",
            "release_held",
            "released",
            "attested",
        ]
    );
}

#[tokio::test]
async fn both_sides_attest_the_same_facts() {
    let mut world = World::new().await;
    let id = world.hire().await;
    world.settle_down(30).await;
    let order = world.bought(id).id.unwrap();
    let attested = world.witness.attested.lock();
    let (bobs, alices) = (&attested[&(order, Side::Buyer)], &attested[&(order, Side::Provider)]);
    assert_eq!(bobs.parties, alices.parties);
    assert_eq!(bobs.terms_rest, alices.terms_rest);
    assert_eq!((bobs.paid, bobs.fee), (usdc("5.0"), usdc("0.125")));
    assert_eq!(bobs.response_hash, alices.response_hash);
    assert_eq!(bobs.rating, Some(5));
    assert_eq!(alices.rating, None);
    let hash = haggle_base::terms_hash_from(&haggle_base::Hash::of(&bobs.parties), &bobs.terms_rest);
    assert_eq!(hash.as_bytes(), &bobs.order.terms.0, "the parties prove the DIDs against the order");
}

#[tokio::test]
async fn repeated_and_reordered_messages_change_nothing() {
    let mut world = World::new().await;
    *world.wire.weather.lock() = Weather::Echo;
    let id = world.hire().await;
    world.settle_down(60).await;
    world.check_paid_once(id);
}

#[tokio::test]
async fn lost_replies_are_asked_for_again() {
    let mut world = World::new().await;
    *world.wire.weather.lock() = Weather::Lossy;
    let id = world.hire().await;
    world.settle_down(60).await;
    world.check_paid_once(id);
}

#[tokio::test]
async fn a_chain_that_is_away_for_a_while_only_delays() {
    let mut world = World::new().await;
    let id = world.hire().await;
    world.turns(2).await;
    world.chain.set_down(true);
    world.turns(10).await;
    world.chain.set_down(false);
    world.settle_down(60).await;
    world.check_paid_once(id);
}

#[tokio::test]
async fn a_release_that_the_provider_does_not_submit_is_submitted_by_bob() {
    let mut world = World::new().await;
    *world.wire.weather.lock() = Weather::Blocks(|message| matches!(message, TradeMessage::Release { .. }));
    let id = world.hire().await;
    world.settle_down(60).await;
    world.check_paid_once(id);
    let waited = world.bought(id).lines;
    let at = |step: &str| waited.iter().find(|line| line.step == *step).unwrap().at;
    assert!(at("released").since(at("release_signed")) >= Duration::from_secs(30));
}

#[tokio::test]
async fn a_buyer_at_four_and_a_seller_at_six_settle_at_five() {
    let mut world = World::with(Manner::Honest, "6.0").await;
    world.rules = SellingRules { floor: Some(usdc("4.5")), step: usdc("0.5") };
    world.start_desk();
    let bargain = Some(Bargain { bid: usdc("4.0"), step: usdc("0.5") });
    let wish = HireRequest { bargain, max_price: usdc("6"), ..world.wish() };

    let quote = world.buyer().quote(&wish).await.unwrap();
    assert_eq!((quote.price, quote.fee, quote.deposit), (usdc("5.0"), usdc("0.125"), usdc("5.125")));
    assert_eq!(quote.rounds, 3);

    let id = world.buyer().hire(wish).await.unwrap();
    world.settle_down(30).await;
    world.check_paid_once(id);
    assert_eq!(world.bought(id).price, Some(usdc("5.0")));
}

#[tokio::test]
async fn bids_up_to_a_budget_find_the_sellers_last_word_and_reach_it_again() {
    let mut world = World::with(Manner::Honest, "6.0").await;
    world.rules = SellingRules { floor: Some(usdc("4.5")), step: usdc("0.5") };
    world.start_desk();
    let ask = async |most: &str| {
        let bargain = Some(Bargain::up_to(usdc(most)));
        world.buyer().ask(&HireRequest { bargain, max_price: usdc(most), ..world.wish() }).await.unwrap()
    };
    let Asked::Countered { price, deposit, .. } = ask("4.0").await else { panic!("nobody sells at 4.0") };
    assert_eq!((price, deposit), (usdc("4.5"), usdc("4.6125")));
    for most in ["4.6125", "5.125"] {
        let Asked::Quoted(quote) = ask(most).await else { panic!("{most} is enough") };
        assert_eq!((quote.price, quote.deposit), (usdc("4.5"), usdc("4.6125")), "{most}");
        let signed = Quote::open(&quote.document, &world.alice.did()).unwrap();
        assert_eq!(signed.quote.price, quote.price);
    }
}

#[tokio::test]
async fn the_same_idempotency_key_hires_once() {
    let mut world = World::new().await;
    let first = world.hire().await;
    let again = world.hire().await;
    assert_eq!(first, again);
    assert_eq!(world.buyer().find_key(&world.bob.did(), "once").unwrap(), Some(first));
    assert_eq!(world.buyer().key_of(first).unwrap().as_deref(), Some("once"));
    world.settle_down(30).await;
    assert_eq!(world.hire().await, first, "also when it is over");
    world.check_paid_once(first);
}

#[tokio::test]
async fn several_hires_run_side_by_side_and_each_is_its_own_order() {
    let mut world = World::new().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(world.buyer().hire(world.wish()).await.unwrap());
    }
    world.settle_down(60).await;
    world.check_conservation();
    let orders: std::collections::BTreeSet<_> = ids.iter().map(|id| world.bought(*id).id.unwrap()).collect();
    assert_eq!(orders.len(), 5);
    assert_eq!(world.chain.balance(world.alice.address()), usdc("26"));
    assert_eq!(world.runs(), 5);
    assert_eq!(world.buyer().list(None, 3).unwrap().len(), 3);
}

#[tokio::test]
async fn ticks_and_wakes_drive_a_trade_without_anybody_turning_by_hand() {
    let mut world = World::new().await;
    world.config.poll_every = Duration::ZERO;
    world.start_buyer().await;
    world.start_desk();
    let (buyer, desk) = (world.buyer().clone(), world.desk());
    let mut events = buyer.subscribe();
    let id = buyer.hire(world.wish()).await.unwrap();
    let driving = tokio::spawn({
        let buyer = buyer.clone();
        async move {
            loop {
                buyer.tick();
                desk.tick();
                tokio::task::yield_now().await;
            }
        }
    });
    let view = tokio::time::timeout(Duration::from_secs(60), buyer.wait(id)).await.unwrap().unwrap();
    assert_eq!(view.state.as_str(), "settled");
    // A trade is final for its buyer once it is released; the attestation is posted after that.
    let mut heard = Vec::new();
    while heard.last() != Some(&"attested") {
        let event = tokio::time::timeout(Duration::from_secs(60), events.recv()).await.unwrap().unwrap();
        assert_eq!(event.hire, Some(id));
        heard.push(event.step);
    }
    driving.abort();
    assert_eq!(heard.first(), Some(&"reserved"));
    assert!(heard.contains(&"released"));
    buyer.shutdown().await;
}

#[tokio::test]
async fn the_receipt_is_the_providers_word_about_the_output() {
    let mut world = World::new().await;
    let id = world.hire().await;
    world.settle_down(30).await;
    let order = world.bought(id).id.unwrap();
    let message = TradeMessage::Collect { order };
    let reply = world.desk().handle(&[world.bob.did()], &world.alice.did(), message).await;
    let haggle_trade::TradeReply::Receipt { document, output, .. } = reply else { panic!("{reply:?}") };
    let receipt = Receipt::open(document.as_slice(), &world.alice.did(), &order).unwrap();
    assert_eq!(receipt.output, haggle_base::Hash::of(output.as_slice()));
    assert!(Receipt::open(document.as_slice(), &world.eve.did(), &order).is_err());
    assert_ne!(world.chain.balance(world.alice.address()), Usdc::ZERO);
}
