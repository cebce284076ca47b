//! The net: what one counterparty says of a provider counts once, whichever way.

use serde_json::Value;

use super::*;

/// An order of the provider, paid for by the address with this number.
fn order(n: u8, buyer: u8, closed_by: ClosedBy) -> Evidence {
    let mut evidence = evidence(n, 0, 1, Side::Buyer, closed_by);
    evidence.parties.buyer_address = Address::repeat_byte(buyer);
    evidence
}

/// The net after orders of these payers, ended so.
fn net_of(orders: &[(u8, ClosedBy)]) -> i64 {
    let mut book = Book::new();
    for (n, (buyer, closed_by)) in (0..).zip(orders) {
        put(&mut book, order(n, *buyer, *closed_by));
    }
    bob(&book).net
}

#[test]
fn one_buyers_failed_orders_do_not_outweigh_all_the_others() {
    let mut book = Book::new();
    for n in 0..3 {
        put(&mut book, order(n, n, ClosedBy::Release));
    }
    for n in 3..40 {
        put(&mut book, order(n, 9, ClosedBy::Expired));
    }
    let seen = bob(&book);
    assert_eq!((seen.successes, seen.failures, seen.net), (3, 37, 2));
    assert!(book.behind(0).is_empty());
}

#[test]
fn one_buyer_lifts_nobody_by_buying_again() {
    assert_eq!(net_of(&[(1, ClosedBy::Release); 20]), 1);
    assert_eq!(net_of(&[(1, ClosedBy::Release), (2, ClosedBy::Release)]), 2);
}

#[test]
fn a_buyer_that_was_served_well_and_badly_says_what_it_had_more_of() {
    let (good, bad, neither) = (ClosedBy::Release, ClosedBy::Refund, ClosedBy::Timeout);
    assert_eq!(net_of(&[(1, good), (1, bad)]), 0);
    assert_eq!(net_of(&[(1, good), (1, good), (1, bad)]), 1);
    assert_eq!(net_of(&[(1, good), (1, bad), (1, bad), (1, neither)]), -1);
    assert_eq!(net_of(&[(1, neither), (2, neither)]), 0);
}

#[test]
fn a_payer_is_one_counterparty_however_many_agents_it_names() {
    let mut book = Book::new();
    for (n, named) in [(1, 0), (2, 2), (3, 3)] {
        let mut evidence = order(n, 7, ClosedBy::Expired);
        evidence.parties.buyer = did(named);
        put(&mut book, evidence);
    }
    assert_eq!((bob(&book).failures, bob(&book).net), (3, -1));
}

#[test]
fn only_who_provided_is_spoken_for() {
    let mut book = Book::new();
    put(&mut book, order(1, 7, ClosedBy::Expired));
    put(&mut book, evidence(1, 0, 1, Side::Provider, ClosedBy::Expired));
    assert_eq!((book.figures(&did(0), Score::ZERO).net, bob(&book).net), (0, -1));
}

#[test]
fn a_binding_makes_a_counterparty_heard() {
    let mut book = Book::new();
    put(&mut book, Evidence { other_bound: false, ..order(1, 7, ClosedBy::Expired) });
    assert_eq!((bob(&book).net, book.behind(0)), (0, vec![]));
    book.bind(&did(1), &AGENTS[1].1);
    assert_eq!((bob(&book).net, book.behind(0)), (-1, vec![did(1)]));
    drop(book.remove(&OrderId::from(B256::repeat_byte(1))));
    assert_eq!((bob(&book).net, book.behind(0), book.nets.held()), (0, vec![], 0));
}

#[test]
fn the_figures_are_those_of_the_specification() {
    let vectors = include_str!("../../../../../docs/protocols/vectors/figures.json");
    let written: Value = serde_json::from_str(vectors).unwrap();
    for row in written["rows"].as_array().unwrap() {
        let mut book = Book::new();
        for (n, given) in (1..).zip(row["orders"].as_array().unwrap()) {
            let money = |key: &str| Usdc::from_units(given[key].as_u64().unwrap());
            let payer = given["payer"].as_str().unwrap().as_bytes()[0];
            let closed_by = serde_json::from_value(given["closed_by"].clone()).unwrap();
            let evidence = Evidence {
                amount: money("amount"),
                paid: money("paid"),
                fee: money("fee"),
                refunded: money("refunded"),
                consented: given["consented"].as_bool().unwrap(),
                other_bound: given["linked"].as_bool().unwrap(),
                ..order(n, payer, closed_by)
            };
            put(&mut book, evidence);
        }
        let seen = bob(&book);
        let told = ["total_calls", "successes", "failures", "net"].map(|key| row[key].as_i64().unwrap());
        let counted = [seen.total_calls, seen.successes, seen.failures].map(|count| i64::try_from(count).unwrap());
        assert_eq!([counted[0], counted[1], counted[2], seen.net], told, "{row}");
    }
}

/// The net by its definition, from nothing but the orders.
fn by_definition(book: &Book, provider: &Did) -> i64 {
    let mut said = BTreeMap::<Address, i64>::new();
    for file in book.orders.values().filter(|file| file.parties.provider == *provider) {
        if file.order_weight() == Weight::Counts {
            *said.entry(file.parties.buyer_address).or_default() += match file.end() {
                End::Worked => 1,
                End::Failed => -1,
                End::Unsaid => 0,
            };
        }
    }
    said.into_values().map(i64::signum).sum()
}

fn counterparties(book: &Book, provider: &Did) -> i64 {
    let orders = book.orders.values().filter(|file| file.parties.provider == *provider);
    i64::try_from(orders.map(|file| file.parties.buyer_address).collect::<BTreeSet<_>>().len()).unwrap()
}

proptest! {
    #[test]
    fn the_net_is_that_of_its_definition_and_no_counterparty_adds_more_than_one(
        all in prop::collection::vec(any_evidence(), 0..60), gone in prop::collection::vec(0..ORDERS, 0..8),
    ) {
        let mut book = filled(all);
        for gone in std::iter::once(None).chain(gone.into_iter().map(Some)) {
            if let Some(gone) = gone {
                drop(book.remove(&OrderId::from(B256::repeat_byte(gone))));
            }
            for provider in (0..4).map(did) {
                let net = book.figures(&provider, Score::ZERO).net;
                prop_assert_eq!(net, by_definition(&book, &provider));
                prop_assert!(net.abs() <= counterparties(&book, &provider));
            }
        }
    }

    #[test]
    fn further_failed_orders_of_one_counterparty_change_nothing_after_the_first(
        all in prop::collection::vec(any_evidence(), 0..60), further in 1..30_u8,
    ) {
        let mut book = filled(all);
        let before = book.figures(&did(1), Score::ZERO).net;
        for n in 0..further {
            put(&mut book, order(ORDERS + n, 0xEE, ClosedBy::Expired));
            prop_assert_eq!(book.figures(&did(1), Score::ZERO).net, before - 1);
        }
    }

    #[test]
    fn whatever_one_counterparty_does_its_word_is_worth_two_at_most(
        all in prop::collection::vec(any_evidence(), 0..60), more in prop::collection::vec(any::<bool>(), 0..40),
    ) {
        let mut book = filled(all);
        let before = bob(&book).net;
        for (n, is_good) in (0..).zip(more) {
            let mut order = order(ORDERS + n, 0, if is_good { ClosedBy::Release } else { ClosedBy::Expired });
            order.parties.buyer_address = AGENTS[0].1;
            put(&mut book, order);
            prop_assert!((bob(&book).net - before).abs() <= 2);
        }
    }

    #[test]
    fn what_is_learned_of_bindings_later_counts_as_if_it_was_known_before(
        all in prop::collection::vec(any_evidence(), 0..60),
    ) {
        let mut learned = filled(all.clone());
        for evidence in &all {
            for side in [Side::Buyer, Side::Provider] {
                learned.bind(&evidence.parties.did(side), &evidence.parties.address(side));
            }
        }
        let known = filled(all.into_iter().map(|evidence| Evidence { other_bound: true, ..evidence }));
        prop_assert_eq!(all_figures(&learned), all_figures(&known));
        prop_assert_eq!(learned.nets.held(), known.nets.held());
    }

    #[test]
    fn nothing_is_held_of_who_is_out(all in prop::collection::vec(any_evidence(), 0..60), gone in 0..ORDERS) {
        let gone = OrderId::from(B256::repeat_byte(gone));
        let mut book = filled(all.clone());
        drop(book.remove(&gone));
        let rest = filled(all.into_iter().filter(|evidence| evidence.order != gone));
        prop_assert_eq!(book.nets.held(), rest.nets.held());
        for n in 0..ORDERS {
            drop(book.remove(&OrderId::from(B256::repeat_byte(n))));
        }
        prop_assert_eq!(book.nets.held(), 0);
    }
}
