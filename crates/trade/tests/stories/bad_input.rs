//! Forged, expired, foreign and impossible things: each ends in a stable code, with nothing changed.

use std::time::Duration;

use haggle_base::{Address, B256, Coded, Did, Hash, OrderId, Parties, Usdc, cose};
use haggle_trade::{
    Bargain, HireRequest, MAX_PAYLOAD_BYTES, Offer, Refusal, SellingRules, TradeError, TradeMessage, TradeReply,
    document::Quote,
    terms::{Agreement, Scheme, ServiceLevel, TERMS_KIND, Terms},
    wire::{Payload, QuoteRequest},
};

use crate::world::{Manner, NOW, Person, World, usdc};

const INPUT: &[u8] = br#"{"text":"one two three"}"#;

fn code(reply: &TradeReply) -> &'static str {
    match reply {
        TradeReply::Reject { code, .. } => code.as_str(),
        other => panic!("not refused: {other:?}"),
    }
}

fn failed<T: std::fmt::Debug>(result: Result<T, TradeError>) -> &'static str {
    result.unwrap_err().code()
}

fn request_of(world: &World, person: &Person) -> QuoteRequest {
    let offer = world.alices_shelf.offer.lock().clone();
    QuoteRequest {
        request: Hash::of(b"a request"),
        buyer: person.did(),
        binding: person.binding(&world.venue),
        slot: offer.slot,
        listing: offer.listing,
        seq: offer.seq,
        input: Hash::of(INPUT),
        input_bytes: INPUT.len() as u64,
        bid: offer.price,
    }
}

async fn tell(world: &World, from: Did, message: TradeMessage) -> TradeReply {
    world.desk().handle(&[from], &world.alice.did(), message).await
}

/// A quote for Bob, and honest terms that follow from it.
async fn quoted(world: &World) -> (Quote, Terms, Parties) {
    let reply = tell(world, world.bob.did(), TradeMessage::QuoteRequest(request_of(world, &world.bob))).await;
    let TradeReply::Quote { document } = reply else { panic!("{reply:?}") };
    let signed = Quote::open(document.as_slice(), &world.alice.did()).unwrap();
    let quote = signed.quote;
    let terms = Terms {
        network: world.venue.network.clone(),
        chain_id: world.venue.chain_id,
        escrow: world.venue.escrow,
        scheme: Scheme::HaggleEscrow,
        quote: signed.id,
        listing: quote.listing,
        slot: quote.slot.clone(),
        seq: quote.seq,
        skill: quote.skill.clone(),
        capability: quote.capability.clone(),
        input: quote.input,
        output_schema: quote.output_schema,
        price: quote.price,
        fee: quote.fee.clone(),
        fund_by: NOW + 100,
        deliver_by: NOW + 100 + u64::from(quote.deliver_within_secs),
        review_secs: quote.review_secs,
        validator: Address::ZERO,
        arbiter: Address::ZERO,
        sla: ServiceLevel { deliver_within_secs: quote.deliver_within_secs },
        salt: B256::repeat_byte(1),
    };
    let parties = Parties {
        buyer: world.bob.did(),
        provider: world.alice.did(),
        buyer_address: world.bob.address(),
        provider_address: world.alice.address(),
    };
    (quote, terms, parties)
}

fn signed_by(person: &Person, world: &World, parties: Parties, terms: &Terms) -> (Agreement, TradeMessage) {
    let agreement = Agreement::new(&parties, terms, &world.venue).unwrap();
    let document = cose::sign(TERMS_KIND, agreement.payload(), &person.agent);
    let message = TradeMessage::Terms { request: Hash::of(b"a request"), document: document.try_into().unwrap() };
    (agreement, message)
}

async fn agreed(world: &World) -> Agreement {
    let (_, terms, parties) = quoted(world).await;
    let (agreement, message) = signed_by(&world.bob, world, parties, &terms);
    let reply = tell(world, world.bob.did(), message).await;
    assert!(matches!(reply, TradeReply::TermsSigned { .. }), "{reply:?}");
    agreement
}

#[tokio::test]
async fn an_expired_quote_is_refused() {
    let world = World::new().await;
    let (_, terms, parties) = quoted(&world).await;
    world.pass(Duration::from_secs(120));
    let terms = Terms { fund_by: terms.fund_by + 120, deliver_by: terms.deliver_by + 120, ..terms };
    let (_, message) = signed_by(&world.bob, &world, parties, &terms);
    assert_eq!(code(&tell(&world, world.bob.did(), message).await), "quote_expired");
    assert!(world.desk().list(None, 10).unwrap().is_empty());
}

#[tokio::test]
async fn a_buyer_that_resumes_with_an_expired_quote_signs_nothing() {
    let mut world = World::new().await;
    world.buyer_crash.after("quoted");
    let id = world.hire().await;
    world.turns(1).await;
    world.pass(Duration::from_secs(120));
    world.start_buyer().await;
    world.settle_down(5).await;
    assert_eq!(world.bought(id).failure.as_deref(), Some("quote_expired"));
    assert!(world.bobs_books.reserved.lock().is_empty());
}

#[tokio::test]
async fn eve_cannot_ask_or_sign_in_bobs_name() {
    let world = World::new().await;
    let forged = TradeMessage::QuoteRequest(request_of(&world, &world.bob));
    assert_eq!(code(&tell(&world, world.eve.did(), forged).await), "bad_signature");

    let mut stolen = request_of(&world, &world.eve);
    stolen.binding = world.bob.binding(&world.venue);
    assert_eq!(code(&tell(&world, world.eve.did(), TradeMessage::QuoteRequest(stolen)).await), "binding_missing");

    let (_, terms, parties) = quoted(&world).await;
    let (_, by_eve) = signed_by(&world.eve, &world, parties, &terms);
    assert_eq!(code(&tell(&world, world.bob.did(), by_eve).await), "terms_mismatch");
    let (_, by_bob) = signed_by(&world.bob, &world, parties, &terms);
    assert_eq!(code(&tell(&world, world.eve.did(), by_bob).await), "bad_signature");

    let moved = Parties { buyer_address: world.eve.address(), ..parties };
    let (_, message) = signed_by(&world.bob, &world, moved, &terms);
    assert_eq!(code(&tell(&world, world.bob.did(), message).await), "terms_mismatch");
    assert!(world.desk().list(None, 10).unwrap().is_empty());
}

#[tokio::test]
async fn every_changed_field_of_the_terms_is_named() {
    let world = World::new().await;
    let (_, good, parties) = quoted(&world).await;
    let cases: [(&str, Terms); 8] = [
        ("price", Terms { price: usdc("4.999999"), ..good.clone() }),
        ("quote", Terms { quote: Hash::of(b"other"), ..good.clone() }),
        ("listing", Terms { listing: Hash::of(b"other").into(), ..good.clone() }),
        ("seq", Terms { seq: 8, ..good.clone() }),
        ("input", Terms { input: Hash::of(b"other"), ..good.clone() }),
        ("output_schema", Terms { output_schema: None, ..good.clone() }),
        ("review_secs", Terms { review_secs: 7_200, ..good.clone() }),
        ("sla", Terms { sla: ServiceLevel { deliver_within_secs: 1 }, ..good.clone() }),
    ];
    for (name, terms) in cases {
        let (_, message) = signed_by(&world.bob, &world, parties, &terms);
        match tell(&world, world.bob.did(), message).await {
            TradeReply::Reject { code: Refusal::TermsMismatch, field: Some(field) } => assert_eq!(field, *name),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn terms_for_another_chain_escrow_or_fee_do_not_open() {
    let world = World::new().await;
    let (_, good, parties) = quoted(&world).await;
    let mut other_fee = good.fee.clone();
    other_fee.recipient = Address::repeat_byte(9);
    for (name, terms) in [
        ("chain_id", Terms { chain_id: 1, ..good.clone() }),
        ("escrow", Terms { escrow: Address::repeat_byte(9), ..good.clone() }),
        ("network", Terms { network: "base/1".parse().unwrap(), ..good.clone() }),
        ("fee", Terms { fee: other_fee, ..good.clone() }),
        ("validator", Terms { validator: Address::repeat_byte(9), ..good }),
    ] {
        match Agreement::new(&parties, &terms, &world.venue) {
            Err(TradeError::TermsMismatch { field }) => assert_eq!(field, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn clocks_that_leave_the_provider_no_time_are_refused() {
    let world = World::new().await;
    let (_, good, parties) = quoted(&world).await;
    for (fund_by, deliver_by) in [
        (NOW, NOW + 700),             // already over
        (NOW + 301, NOW + 301 + 600), // more than five minutes ahead
        (NOW + 100, NOW + 100 + 599), // less than the promised time
        (NOW + 100, NOW + 100 + 601), // more: the money would be locked for longer than promised
    ] {
        let (_, message) = signed_by(&world.bob, &world, parties, &Terms { fund_by, deliver_by, ..good.clone() });
        assert_eq!(code(&tell(&world, world.bob.did(), message).await), "bad_clocks");
    }
}

#[tokio::test]
async fn somebody_elses_order_looks_like_no_order() {
    let world = World::new().await;
    let agreement = agreed(&world).await;
    let eve = world.eve.did();
    let missing = OrderId::new(B256::repeat_byte(9));
    let signature = world.eve.payment.sign_digest(agreement.id.as_b256());
    for order in [agreement.id, missing] {
        for message in [
            TradeMessage::Collect { order },
            TradeMessage::Cancel { order },
            TradeMessage::Input { order, input: Payload::try_from(INPUT.to_vec()).unwrap() },
            TradeMessage::Countersign { order, fields: Box::new(agreement.order.clone()) },
            TradeMessage::Fund { order, authorisation: signature },
            TradeMessage::Release { order, signature },
        ] {
            let reply = tell(&world, eve, message).await;
            assert_eq!(reply, TradeReply::Reject { code: Refusal::OrderNotFound, field: None });
        }
    }
    let elsewhere = world.desk().handle(&[world.bob.did()], &eve, TradeMessage::Collect { order: agreement.id }).await;
    assert_eq!(code(&elsewhere), "order_not_found", "also at another agent's door");
    assert_eq!(failed(world.buyer().find(&missing)), "order_not_found");
}

#[tokio::test]
async fn an_order_that_differs_from_the_terms_is_not_signed() {
    let world = World::new().await;
    let agreement = agreed(&world).await;
    let input = TradeMessage::Input { order: agreement.id, input: Payload::try_from(INPUT.to_vec()).unwrap() };
    assert_eq!(tell(&world, world.bob.did(), input).await, TradeReply::InputHeld { order: agreement.id });
    let mut fields = agreement.order.clone();
    fields.feeBps = 0;
    let message = TradeMessage::Countersign { order: agreement.id, fields: Box::new(fields) };
    match tell(&world, world.bob.did(), message).await {
        TradeReply::Reject { code: Refusal::TermsMismatch, field: Some(field) } => assert_eq!(field, "feeBps"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nothing_is_signed_before_the_input_is_held() {
    let world = World::new().await;
    let agreement = agreed(&world).await;
    let (bob, order) = (world.bob.did(), agreement.id);
    let countersign = TradeMessage::Countersign { order, fields: Box::new(agreement.order.clone()) };
    assert_eq!(code(&tell(&world, bob, countersign).await), "wrong_state");
    let wrong = TradeMessage::Input { order, input: Payload::try_from(b"{\"text\":\"x\"}".to_vec()).unwrap() };
    assert_eq!(code(&tell(&world, bob, wrong).await), "invalid_input");
    assert_eq!(world.sold(&order).step, "terms_signed");
}

#[tokio::test]
async fn forged_payment_and_release_signatures_are_refused() {
    let mut world = World::new().await;
    let id = world.hire().await;
    *world.wire.weather.lock() =
        crate::world::Weather::Blocks(|m| matches!(m, TradeMessage::Fund { .. } | TradeMessage::Release { .. }));
    world.turns(5).await;
    let order = world.bought(id).id.unwrap();
    let forged = world.eve.payment.sign_digest(order.as_b256());
    let fund = TradeMessage::Fund { order, authorisation: forged };
    assert_eq!(code(&tell(&world, world.bob.did(), fund).await), "bad_signature");
    let release = TradeMessage::Release { order, signature: forged };
    assert_eq!(code(&tell(&world, world.bob.did(), release).await), "bad_signature");
    assert_eq!(world.sold(&order).step, "order_countersigned");
}

#[tokio::test]
async fn an_input_that_does_not_fit_is_refused_before_any_escrow() {
    let mut world = World::new().await;
    let wish = HireRequest { input: b"{\"words\":1}".to_vec(), ..world.wish() };
    assert_eq!(failed(world.buyer().hire(wish.clone()).await), "invalid_input");
    assert!(world.buyer().list(None, 10).unwrap().is_empty());

    // Bob's copy of the listing shows no schema, so it is Alice who refuses.
    world.bobs_shelf.offer.lock().input_schema = None;
    let id = world.buyer().hire(wish).await.unwrap();
    world.settle_down(30).await;
    assert_eq!(world.bought(id).failure.as_deref(), Some("invalid_input"));
    assert_eq!(world.chain.log(), [""; 0], "no escrow exists");
    let order = world.bought(id).id.unwrap();
    assert!(world.desk().show(&order).is_err(), "alice keeps nothing of it");
    assert!(world.bobs_books.reserved.lock().is_empty());
}

#[tokio::test]
async fn an_oversize_input_is_refused() {
    let world = World::new().await;
    let wish = HireRequest { input: vec![b' '; MAX_PAYLOAD_BYTES + 1], ..world.wish() };
    assert_eq!(failed(world.buyer().hire(wish).await), "input_too_large");
    let mut request = request_of(&world, &world.bob);
    request.input_bytes = MAX_PAYLOAD_BYTES as u64 + 1;
    assert_eq!(code(&tell(&world, world.bob.did(), TradeMessage::QuoteRequest(request)).await), "input_too_large");
}

#[tokio::test]
async fn a_free_listing_needs_no_order() {
    let world = World::with(Manner::Honest, "0").await;
    let error = world.buyer().hire(world.wish()).await.unwrap_err();
    assert_eq!(error.code(), "free_no_order");
    assert_eq!(error.hint(), "free: no order needed, call the agent directly");
    let request = TradeMessage::QuoteRequest(request_of(&world, &world.bob));
    assert_eq!(code(&tell(&world, world.bob.did(), request).await), "free_no_order");
}

#[tokio::test]
async fn nobody_orders_where_nothing_could_hold_the_money() {
    let mut world = World::new().await;
    world.config.venue.escrow = Address::ZERO;
    world.start_buyer().await;
    world.start_desk();
    let error = world.buyer().hire(world.wish()).await.unwrap_err();
    assert_eq!(error.code(), "no_escrow");
    assert!(error.hint().contains("haggle pay"), "{}", error.hint());
    let request = TradeMessage::QuoteRequest(request_of(&world, &world.bob));
    assert_eq!(code(&tell(&world, world.bob.did(), request).await), "no_escrow");
}

#[tokio::test]
async fn zero_and_overflowing_amounts_are_refused() {
    let world = World::new().await;
    let mut request = request_of(&world, &world.bob);
    request.bid = Usdc::ZERO;
    assert_eq!(code(&tell(&world, world.bob.did(), TradeMessage::QuoteRequest(request)).await), "zero_amount");
    let (_, good, parties) = quoted(&world).await;
    let zero = Agreement::new(&parties, &Terms { price: Usdc::ZERO, ..good.clone() }, &world.venue);
    assert_eq!(failed(zero), "zero_amount");
    let most = Usdc::from_units(u64::MAX);
    let overflow = Agreement::new(&parties, &Terms { price: most, ..good }, &world.venue);
    assert_eq!(failed(overflow), "amount_overflow");
    world.bobs_shelf.offer.lock().price = most;
    assert_eq!(failed(world.buyer().hire(world.wish()).await), "amount_overflow");
    let wish = HireRequest { max_price: Usdc::ZERO, ..world.wish() };
    world.bobs_shelf.offer.lock().price = usdc("5");
    assert_eq!(failed(world.buyer().hire(wish).await), "above_max_price");
}

#[tokio::test]
async fn the_maximum_includes_the_fee_and_a_dearer_quote_is_never_signed() {
    let mut world = World::new().await;
    let wish = HireRequest { max_price: usdc("5.124999"), ..world.wish() };
    assert_eq!(failed(world.buyer().hire(wish).await), "above_max_price");

    // Alice quotes a cent more than her listing says.
    world.alices_shelf.offer.lock().price = usdc("5.01");
    world.rules = SellingRules { floor: Some(usdc("5.01")), step: Usdc::ZERO };
    world.start_desk();
    let wish = HireRequest { max_price: usdc("5.125"), ..world.wish() };
    let id = world.buyer().hire(wish).await.unwrap();
    world.settle_down(10).await;
    assert_eq!(world.bought(id).failure.as_deref(), Some("no_agreement"));
    assert!(!world.witness.sent.lock().iter().any(|message| matches!(message, TradeMessage::Terms { .. })));
}

#[tokio::test]
async fn no_agreement_ends_the_hire_with_that_word() {
    let mut world = World::with(Manner::Honest, "6.0").await;
    world.rules = SellingRules { floor: Some(usdc("5.5")), step: usdc("0.01") };
    world.start_desk();
    let bargain = Some(Bargain { bid: usdc("1.0"), step: usdc("0.01") });
    let wish = HireRequest { bargain, ..world.wish() };
    assert_eq!(failed(world.buyer().quote(&wish).await), "no_agreement");
    let id = world.buyer().hire(wish).await.unwrap();
    world.settle_down(10).await;
    assert_eq!(world.bought(id).failure.as_deref(), Some("no_agreement"));
}

#[tokio::test]
async fn without_a_valid_binding_nothing_is_quoted() {
    let mut world = World::new().await;
    *world.bobs_shelf.bound.lock() = None;
    assert_eq!(failed(world.buyer().hire(world.wish()).await), "binding_missing");
    assert_eq!(failed(world.buyer().quote(&world.wish()).await), "binding_missing");
    *world.bobs_shelf.bound.lock() = Some(world.alice.address());

    world.bob_is_bound = false;
    world.start_buyer().await;
    assert_eq!(failed(world.buyer().quote(&world.wish()).await), "binding_missing");
    world.bob_is_bound = true;
    world.start_buyer().await;

    world.alice_is_bound = false;
    world.start_desk();
    assert_eq!(failed(world.buyer().quote(&world.wish()).await), "binding_missing");

    let mut stale = request_of(&world, &world.bob);
    world.alice_is_bound = true;
    world.start_desk();
    stale.binding.expires = haggle_base::Timestamp::from_secs(NOW + 1);
    assert_eq!(code(&tell(&world, world.bob.did(), TradeMessage::QuoteRequest(stale)).await), "binding_missing");
}

#[tokio::test]
async fn a_changed_or_foreign_listing_is_refused() {
    let mut world = World::new().await;
    let old = world.wish();
    let old = HireRequest { listing: Some(world.bobs_shelf.offer.lock().listing), ..old };
    let newer = Offer { listing: Hash::of(b"newer").into(), seq: 8, ..world.bobs_shelf.offer.lock().clone() };

    *world.alices_shelf.offer.lock() = newer.clone();
    assert_eq!(failed(world.buyer().quote(&old).await), "listing_changed");
    let id = world.buyer().hire(old.clone()).await.unwrap();
    world.settle_down(10).await;
    assert_eq!(world.bought(id).failure.as_deref(), Some("listing_changed"));

    *world.bobs_shelf.offer.lock() = newer;
    assert_eq!(failed(world.buyer().hire(old).await), "listing_changed");

    let foreign = TradeMessage::QuoteRequest(request_of(&world, &world.bob));
    let reply = world.desk().handle(&[world.bob.did()], &world.eve.did(), foreign).await;
    assert_eq!(code(&reply), "listing_unknown");
}

#[tokio::test]
async fn one_quote_makes_one_order() {
    let world = World::new().await;
    let (_, terms, parties) = quoted(&world).await;
    let (_, first) = signed_by(&world.bob, &world, parties, &terms);
    let reply = tell(&world, world.bob.did(), first.clone()).await;
    assert_eq!(tell(&world, world.bob.did(), first).await, reply, "the same terms get the same answer");
    let (_, second) = signed_by(&world.bob, &world, parties, &Terms { salt: B256::repeat_byte(2), ..terms });
    assert_eq!(code(&tell(&world, world.bob.did(), second).await), "wrong_state");
    assert_eq!(world.desk().list(None, 10).unwrap().len(), 1);
}

#[tokio::test]
async fn quotes_are_bounded_per_buyer_and_forgotten_after_their_time() {
    let mut world = World::new().await;
    world.config.max_quotes_per_buyer = 2;
    world.start_desk();
    let ask = |n: u8| {
        let mut request = request_of(&world, &world.bob);
        request.request = Hash::of(&[n]);
        TradeMessage::QuoteRequest(request)
    };
    for n in 0..2 {
        assert!(matches!(tell(&world, world.bob.did(), ask(n)).await, TradeReply::Quote { .. }));
    }
    assert_eq!(code(&tell(&world, world.bob.did(), ask(2)).await), "capacity_full");
    assert!(matches!(tell(&world, world.bob.did(), ask(1)).await, TradeReply::Quote { .. }), "asked before");
    world.pass(Duration::from_secs(120));
    assert!(matches!(tell(&world, world.bob.did(), ask(2)).await, TradeReply::Quote { .. }));
}

#[tokio::test]
async fn quotes_that_were_paid_for_leave_room_for_more() {
    let mut world = World::new().await;
    world.config.max_quotes_per_buyer = 2;
    world.start_desk();
    let began = world.clock().now();
    for _ in 0..3 {
        let id = world.buyer().hire(world.wish()).await.unwrap();
        world.settle_down(30).await;
        assert_eq!(world.bought(id).state.as_str(), "settled");
    }
    assert!(world.clock().now().since(began) < Duration::from_secs(120), "no quote is forgotten yet");
}

#[tokio::test]
async fn two_askers_at_once_after_the_sweep_are_both_counted_right() {
    let mut world = World::new().await;
    world.config.max_quotes = 2;
    world.start_desk();
    let ask = |n: u8| {
        let mut request = request_of(&world, &world.bob);
        request.request = Hash::of(&[n]);
        tell(&world, world.bob.did(), TradeMessage::QuoteRequest(request))
    };
    for round in 0..4 {
        let (first, second) = tokio::join!(ask(2 * round), ask(2 * round + 1));
        assert!(matches!(first, TradeReply::Quote { .. }), "{first:?}");
        assert!(matches!(second, TradeReply::Quote { .. }), "{second:?}");
        assert_eq!(code(&ask(100).await), "capacity_full");
        world.pass(Duration::from_secs(120));
    }
}

#[tokio::test]
async fn a_caller_with_many_dids_has_one_quota() {
    let mut world = World::new().await;
    world.config.max_quotes_per_buyer = 2;
    world.start_desk();
    let proven = [world.bob.did(), world.eve.did()];
    let mut replies = Vec::new();
    for (n, person) in [&world.bob, &world.eve, &world.bob].into_iter().enumerate() {
        let mut request = request_of(&world, person);
        request.request = Hash::of(&n.to_be_bytes());
        let message = TradeMessage::QuoteRequest(request);
        replies.push(world.desk().handle(&proven, &world.alice.did(), message).await);
    }
    assert!(matches!(replies[..2], [TradeReply::Quote { .. }, TradeReply::Quote { .. }]), "{replies:?}");
    assert_eq!(code(&replies[2]), "capacity_full");
}

#[tokio::test]
async fn an_order_given_up_leaves_nothing_with_the_provider() {
    let world = World::new().await;
    let agreement = agreed(&world).await;
    let (bob, order) = (world.bob.did(), agreement.id);
    let input = TradeMessage::Input { order, input: Payload::try_from(INPUT.to_vec()).unwrap() };
    assert_eq!(tell(&world, bob, input).await, TradeReply::InputHeld { order });
    let blob = Hash::of(&[order.as_bytes().as_slice(), INPUT].concat());
    assert!(world.desk().payload(&blob).unwrap().is_some());
    let reply = tell(&world, bob, TradeMessage::Cancel { order }).await;
    assert!(matches!(reply, TradeReply::Status { state: haggle_trade::OrderState::Cancelled, .. }), "{reply:?}");
    assert!(world.desk().payload(&blob).unwrap().is_none());
    assert!(world.desk().list(None, 10).unwrap().is_empty());
    assert_eq!(code(&tell(&world, bob, TradeMessage::Collect { order }).await), "order_not_found");
}
