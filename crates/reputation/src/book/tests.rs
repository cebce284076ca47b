//! What evidence adds up to, and the law that the order in which it comes does not matter.

use std::sync::LazyLock;

use proptest::prelude::*;

use haggle_base::{Hash, Seed};

use super::*;

mod net;

/// Orders that [`any_evidence`] is about.
const ORDERS: u8 = 24;

/// Deriving keys from a phrase is slow on purpose, so it is done once.
static AGENTS: LazyLock<Vec<(Did, Address)>> = LazyLock::new(|| {
    let seeds = (0..4).map(|index| Seed::devnet(7, index));
    seeds.map(|seed| (seed.agent_key(0).did(), seed.payment_key(0).address())).collect()
});

fn did(index: usize) -> Did {
    AGENTS[index].0
}

/// Evidence by `side` about order `n` between `buyer` and `provider`, both linked.
fn evidence(n: u8, buyer: usize, provider: usize, side: Side, closed_by: ClosedBy) -> Evidence {
    let parties = Parties {
        buyer: AGENTS[buyer].0,
        provider: AGENTS[provider].0,
        buyer_address: AGENTS[buyer].1,
        provider_address: AGENTS[provider].1,
    };
    Evidence {
        record: RecordId::from(Hash::of(&[n, side as u8])),
        seq: 1,
        kind: AttestationKind::Receipt,
        side,
        order: OrderId::from(B256::repeat_byte(n)),
        parties,
        capability: Text::try_from("digest").unwrap(),
        amount: Usdc::from_units(100),
        paid: Usdc::from_units(90),
        fee: Usdc::from_units(10),
        refunded: Usdc::ZERO,
        closed_by,
        consented: true,
        latency_ms: 100,
        responded: true,
        rating: None,
        settled_at: Timestamp::from_secs(u64::from(n)),
        tx: B256::ZERO,
        other_bound: true,
    }
}

fn rating(n: u8, side: Side, seq: u64, stars: u8) -> Evidence {
    Evidence {
        record: RecordId::from(Hash::of(&[n, side as u8, 9, u8::try_from(seq).unwrap(), stars])),
        kind: AttestationKind::Rating,
        seq,
        rating: Some(stars),
        ..evidence(n, 0, 1, side, ClosedBy::Release)
    }
}

fn bob(book: &Book) -> Figures {
    book.figures(&did(1), Score::ONE)
}

fn put(book: &mut Book, evidence: Evidence) {
    assert_eq!(book.put(evidence), Put::Added);
}

#[test]
fn nine_of_ten_calls_are_a_success_rate_of_nine_tenths() {
    let mut book = Book::new();
    for n in 0..9 {
        put(&mut book, evidence(n, 0, 1, Side::Buyer, ClosedBy::Release));
    }
    put(&mut book, Evidence { responded: false, ..evidence(9, 0, 1, Side::Buyer, ClosedBy::Expired) });
    let bob = bob(&book);
    assert_eq!((bob.total_calls, bob.successes, bob.failures, bob.net), (10, 9, 1, 1));
    assert_eq!(bob.success_rate.unwrap().to_string(), "0.9");
    assert_eq!(bob.avg_response_ms, Some(100));
    assert_eq!(bob.trust_score.to_string(), "0.93");
}

#[test]
fn an_order_counts_once_however_many_attest_it() {
    let mut book = Book::new();
    put(&mut book, evidence(1, 0, 1, Side::Buyer, ClosedBy::Release));
    put(&mut book, evidence(1, 0, 1, Side::Provider, ClosedBy::Release));
    put(&mut book, rating(1, Side::Buyer, 1, 5));
    assert_eq!(book.put(evidence(1, 0, 1, Side::Buyer, ClosedBy::Release)), Put::Known);
    let bob = bob(&book);
    assert_eq!((bob.total_calls, bob.attestations, bob.ratings), (1, 2, 1));
    assert_eq!(bob.rating, Some(Score::ONE));
    let alice = book.figures(&did(0), Score::ZERO);
    assert_eq!((alice.total_calls, alice.attestations), (0, 1));
}

#[test]
fn a_timeout_payment_is_a_call_and_no_success() {
    let mut book = Book::new();
    put(&mut book, evidence(1, 0, 1, Side::Provider, ClosedBy::Timeout));
    put(&mut book, evidence(2, 0, 1, Side::Provider, ClosedBy::UndeliveredPaid));
    let bob = bob(&book);
    assert_eq!((bob.total_calls, bob.successes, bob.failures), (2, 0, 0));
    assert_eq!(bob.success_rate, Some(Score::ZERO));
}

#[test]
fn a_judge_who_gives_half_speaks_for_the_provider_and_one_who_gives_less_against_it() {
    let (success, failure) = ((1, 1, 0), (1, 0, 1));
    let ends = [
        // of 100, a tenth of what is given is the fee
        ([44, 5, 51], failure),
        ([45, 5, 50], success),
        ([46, 5, 49], success),
        ([90, 10, 0], success),
        // of 110, a tenth on top of what is given is the fee
        ([49, 4, 57], failure),
        ([46, 4, 60], failure),
        ([50, 5, 55], success),
        ([51, 5, 54], success),
        ([100, 10, 0], success),
        // nothing, of either
        ([0, 0, 100], failure),
        ([0, 0, 110], failure),
    ];
    for (end, expected) in ends {
        let [paid, fee, refunded] = end.map(Usdc::from_units);
        for closed_by in [ClosedBy::Verdict, ClosedBy::Ruling] {
            let mut book = Book::new();
            put(&mut book, Evidence { paid, fee, refunded, ..evidence(1, 0, 1, Side::Buyer, closed_by) });
            let bob = bob(&book);
            assert_eq!((bob.total_calls, bob.successes, bob.failures), expected, "{closed_by:?} {end:?}");
        }
    }
}

#[test]
fn a_split_and_a_silent_arbitrator_are_calls_and_nothing_more() {
    let mut book = Book::new();
    put(&mut book, evidence(1, 0, 1, Side::Buyer, ClosedBy::Split));
    put(&mut book, evidence(2, 0, 1, Side::Buyer, ClosedBy::Silent));
    let bob = bob(&book);
    assert_eq!((bob.total_calls, bob.successes, bob.failures), (2, 0, 0));
}

#[test]
fn an_uncountered_dispute_is_a_failure_and_the_chain_itself_shows_that_the_provider_agreed() {
    let mut book = Book::new();
    let none = Usdc::ZERO;
    let lost = |n, closed_by| Evidence {
        paid: none,
        fee: none,
        consented: false,
        ..evidence(n, 0, 1, Side::Buyer, closed_by)
    };
    put(&mut book, lost(1, ClosedBy::Uncountered));
    put(&mut book, lost(2, ClosedBy::Ruling));
    put(&mut book, lost(3, ClosedBy::Verdict));
    let bob = bob(&book);
    assert_eq!((bob.total_calls, bob.failures), (2, 2), "a verdict needs no consent on chain");
}

#[test]
fn only_buyers_clocks_count_for_the_response_time() {
    let mut book = Book::new();
    put(&mut book, Evidence { latency_ms: 1, ..evidence(1, 0, 1, Side::Provider, ClosedBy::Release) });
    assert_eq!(bob(&book).avg_response_ms, None);
    put(&mut book, Evidence { latency_ms: 300, ..evidence(1, 0, 1, Side::Buyer, ClosedBy::Release) });
    put(&mut book, Evidence { latency_ms: 101, ..evidence(2, 0, 1, Side::Buyer, ClosedBy::Release) });
    assert_eq!(bob(&book).avg_response_ms, Some(200));
}

#[test]
fn a_provider_that_never_signed_the_order_cannot_be_blamed_for_it() {
    let mut book = Book::new();
    let unsigned = Evidence { consented: false, ..evidence(1, 0, 1, Side::Buyer, ClosedBy::Expired) };
    put(&mut book, unsigned);
    assert_eq!(
        bob(&book),
        Figures { uptime_24h: Score::ONE, trust_score: Score::from_millionths(300_000), ..Figures::default() }
    );
    assert_eq!(book.history(&did(1), None, 10)[0].1, Weight::NoConsent);
    put(&mut book, evidence(2, 0, 1, Side::Buyer, ClosedBy::Refund));
    assert_eq!((bob(&book).total_calls, bob(&book).failures), (1, 1));
}

#[test]
fn a_strangers_name_on_eves_own_address_moves_nothing() {
    let mut book = Book::new();
    let mut framed = Evidence { other_bound: false, ..evidence(1, 2, 1, Side::Buyer, ClosedBy::Expired) };
    framed.parties.provider_address = AGENTS[3].1;
    put(&mut book, framed);
    assert_eq!(bob(&book).total_calls, 0);
    assert_eq!(book.history(&did(1), None, 10)[0].1, Weight::AgentNotLinked);
    book.bind(&did(1), &AGENTS[1].1);
    assert_eq!(bob(&book).total_calls, 0);
}

#[test]
fn a_provider_is_linked_by_its_card_or_by_its_own_word() {
    let unlinked = Evidence { other_bound: false, ..evidence(1, 0, 1, Side::Buyer, ClosedBy::Release) };
    let mut by_card = Book::new();
    put(&mut by_card, unlinked.clone());
    assert_eq!(bob(&by_card).total_calls, 0);
    assert_eq!(by_card.would_bind(&did(1), &AGENTS[1].1).len(), 1);
    by_card.bind(&did(1), &AGENTS[1].1);
    assert_eq!(by_card.would_bind(&did(1), &AGENTS[1].1).len(), 0);
    assert_eq!(bob(&by_card).total_calls, 1);

    let mut by_word = Book::new();
    put(&mut by_word, unlinked);
    put(&mut by_word, evidence(1, 0, 1, Side::Provider, ClosedBy::Release));
    assert_eq!(bob(&by_word).total_calls, 1);
}

#[test]
fn a_rating_is_corrected_once_and_an_older_one_never_comes_back() {
    let mut book = Book::new();
    put(&mut book, evidence(1, 0, 1, Side::Buyer, ClosedBy::Release));
    put(&mut book, rating(1, Side::Buyer, 1, 1));
    assert_eq!(bob(&book).rating, Score::share(1, 5));
    assert_eq!(book.put(rating(1, Side::Buyer, 2, 4)), Put::Replaced);
    assert_eq!(book.put(rating(1, Side::Buyer, 1, 1)), Put::Older);
    assert_eq!((bob(&book).ratings, bob(&book).rating), (1, Score::share(4, 5)));
}

#[test]
fn a_rating_without_a_receipt_waits_for_it() {
    let mut book = Book::new();
    put(&mut book, rating(1, Side::Buyer, 1, 5));
    assert_eq!((bob(&book).ratings, bob(&book).attestations), (0, 0));
    assert_eq!(book.history(&did(1), None, 1)[0].1, Weight::NoReceipt);
    put(&mut book, evidence(1, 0, 1, Side::Buyer, ClosedBy::Release));
    assert_eq!((bob(&book).ratings, bob(&book).attestations), (1, 2));
}

#[test]
fn an_end_that_left_the_chain_leaves_the_figures() {
    let mut book = Book::new();
    put(&mut book, evidence(1, 0, 1, Side::Buyer, ClosedBy::Release));
    let before = bob(&book);
    put(&mut book, evidence(2, 0, 1, Side::Buyer, ClosedBy::Expired));
    put(&mut book, evidence(2, 0, 1, Side::Provider, ClosedBy::Expired));
    assert_eq!(book.remove(&OrderId::from(B256::repeat_byte(2))).len(), 2);
    assert_eq!(bob(&book), before);
    assert_eq!(book.len(), 1);
    assert_eq!(book.history(&did(1), None, 10).len(), 1);
    assert!(book.remove(&OrderId::from(B256::repeat_byte(2))).is_empty());
}

#[test]
fn the_history_is_read_in_pages_newest_first() {
    let mut book = Book::new();
    for n in 1..=5 {
        put(&mut book, evidence(n, 0, 1, Side::Buyer, ClosedBy::Release));
    }
    let times =
        |page: Vec<(Evidence, Weight)>| page.into_iter().map(|(e, _)| e.settled_at.as_secs()).collect::<Vec<_>>();
    assert_eq!(times(book.history(&did(1), None, 2)), [5, 4]);
    let before = (Timestamp::from_secs(4), OrderId::from(B256::repeat_byte(4)));
    assert_eq!(times(book.history(&did(0), Some(before), 10)), [3, 2, 1]);
    assert!(book.history(&did(2), None, 10).is_empty());
}

fn any_evidence() -> impl Strategy<Value = Evidence> {
    let side = prop_oneof![Just(Side::Buyer), Just(Side::Provider)];
    (0..ORDERS, side, any::<bool>(), 1..3u64, 1..=5u8, any::<(bool, bool, bool)>(), 0..2000u32).prop_map(
        |(n, side, is_rating, seq, stars, (consented, responded, other_bound), latency_ms)| {
            // Who traded, and how an order ended, are the chain's to say: one story per order.
            // Few trade with few, and who pays is not always who it says it is.
            let (payer, buyer) = ([0, 3][usize::from(n % 2)], [0, 3][usize::from(n / 4 % 2)]);
            let provider = 1 + usize::from(n % 3 % 2);
            let mut base = evidence(n, buyer, provider, side, ClosedBy::ALL[usize::from(n) % 5]);
            base.parties.buyer_address = AGENTS[payer].1;
            let record = RecordId::from(Hash::of(
                format!("{n}{side:?}{is_rating}{seq}{stars}{consented}{responded}{other_bound}{latency_ms}").as_bytes(),
            ));
            let kind = if is_rating { AttestationKind::Rating } else { AttestationKind::Receipt };
            let seq = if is_rating { seq } else { 1 };
            let rating = is_rating.then_some(stars);
            Evidence { record, kind, seq, rating, consented, responded, other_bound, latency_ms, ..base }
        },
    )
}

fn all_figures(book: &Book) -> Vec<Figures> {
    (0..4).map(|index| book.figures(&did(index), Score::ZERO)).collect()
}

fn filled(all: impl IntoIterator<Item = Evidence>) -> Book {
    let mut book = Book::new();
    for evidence in all {
        let _outcome = book.put(evidence);
    }
    book
}

proptest! {
    #[test]
    fn the_same_set_in_any_order_and_any_number_gives_the_same_figures(
        all in prop::collection::vec(any_evidence(), 0..60),
        shuffle in any::<u64>(),
    ) {
        let mut shuffled: Vec<_> = all.iter().chain(&all).cloned().collect();
        let mut state = shuffle;
        for i in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            shuffled.swap(i, usize::try_from(state >> 33).unwrap() % (i + 1));
        }
        prop_assert_eq!(all_figures(&filled(all)), all_figures(&filled(shuffled)));
    }

    #[test]
    fn taking_an_order_out_is_never_having_put_it_in(all in prop::collection::vec(any_evidence(), 0..60), gone in 0..ORDERS) {
        let gone = OrderId::from(B256::repeat_byte(gone));
        let mut book = filled(all.clone());
        drop(book.remove(&gone));
        let rest = filled(all.into_iter().filter(|evidence| evidence.order != gone));
        prop_assert_eq!(all_figures(&book), all_figures(&rest));
    }

    #[test]
    fn those_behind_are_just_those_whose_net_is_below(
        all in prop::collection::vec(any_evidence(), 0..60), gone in 0..ORDERS, least in -3..=0_i64,
    ) {
        let mut book = filled(all);
        for _ in 0..2 {
            let mut behind = book.behind(least);
            behind.sort_unstable();
            let mut expected: Vec<_> =
                (0..4).map(did).filter(|did| book.figures(did, Score::ZERO).net < least).collect();
            expected.sort_unstable();
            prop_assert_eq!(behind, expected);
            drop(book.remove(&OrderId::from(B256::repeat_byte(gone))));
        }
    }

    #[test]
    fn figures_stay_within_their_bounds(all in prop::collection::vec(any_evidence(), 0..60)) {
        for figures in all_figures(&filled(all)) {
            prop_assert!(figures.successes + figures.failures <= figures.total_calls);
            prop_assert_eq!(figures.success_rate.is_some(), figures.total_calls > 0);
            prop_assert!(figures.trust_score <= Score::ONE);
            prop_assert!(figures.ratings <= figures.attestations);
        }
    }
}
