//! Alice and Bob attest a settled order, Carol reads it, and Eve tries to be believed.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use parking_lot::Mutex;

use haggle_base::{
    AgentKey, ClosedBy, Hash, ManualClock, Parties, PaymentKey, RecordError, Seed, Text, Usdc, terms_hash_from,
};

use super::*;
use crate::{
    attest::rating_by_outcome,
    ports::{FundedFact, SettledFact},
    score::Score,
    waiting::{MAX_PER_AUTHOR, MAX_WAITING},
};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

struct Agent {
    agent: AgentKey,
    payment: PaymentKey,
}

/// Alice, Bob, Carol and Eve. Deriving keys from a phrase is slow on purpose, so it is done once.
static AGENTS: LazyLock<Vec<Agent>> = LazyLock::new(|| {
    let seeds = (0..4).map(|index| Seed::devnet(7, index));
    seeds.map(|seed| Agent { agent: seed.agent_key(0), payment: seed.payment_key(0) }).collect()
});
const ALICE: usize = 0;
const BOB: usize = 1;
const EVE: usize = 3;

fn did(index: usize) -> Did {
    AGENTS[index].agent.did()
}

fn pin() -> Pin {
    Pin { chain_id: 31_337, escrow: Address::repeat_byte(0xe5) }
}

fn network() -> NetworkId {
    "devnet-7/1".parse().unwrap()
}

/// The chain and the cards as this node has read them.
#[derive(Debug, Default)]
struct World {
    funded: Mutex<HashMap<OrderId, FundedFact>>,
    settled: Mutex<HashMap<OrderId, SettledFact>>,
    bound: Mutex<HashSet<(Did, Address)>>,
}

impl ChainFacts for World {
    fn funded(&self, order: &OrderId) -> Option<FundedFact> {
        self.funded.lock().get(order).copied()
    }

    fn settled(&self, order: &OrderId) -> Option<SettledFact> {
        self.settled.lock().get(order).copied()
    }
}

impl Bindings for World {
    fn is_bound(&self, did: &Did, address: &Address) -> bool {
        self.bound.lock().contains(&(*did, *address))
    }
}

impl World {
    /// The chain funds and settles an order as both sides know it.
    fn settle(&self, order: &SettledOrder) {
        let terms = terms_hash_from(&Hash::of(&order.parties.to_bytes().unwrap()), &order.terms_rest);
        let (buyer, provider) = (order.parties.buyer_address, order.parties.provider_address);
        self.funded.lock().insert(order.order, FundedFact { buyer, provider, amount: order.amount, terms });
        let SettledOrder { closed_by, paid, fee, .. } = *order;
        let deposit = order.amount.checked_sub(paid).and_then(|rest| rest.checked_sub(fee));
        let refunded = deposit.unwrap_or(Usdc::ZERO);
        let fact = SettledFact { closed_by, paid, fee, refunded, tx: B256::repeat_byte(1), block: 7, time: NOW };
        self.settled.lock().insert(order.order, fact);
    }
}

struct Node {
    reputation: Reputation,
    world: Arc<World>,
    store: Store,
}

impl Node {
    async fn new() -> Self {
        Self::on(Store::memory(), Arc::new(World::default())).await
    }

    async fn on(store: Store, world: Arc<World>) -> Self {
        let config = ReputationConfig { network: network(), pin: pin() };
        let clock = Arc::new(ManualClock::new(NOW));
        let reputation = Reputation::open(store.clone(), config, clock, world.clone(), world.clone()).await.unwrap();
        Self { reputation, world, store }
    }

    async fn restarted(self) -> Self {
        Self::on(self.store, self.world).await
    }

    async fn accept(&self, record: &Verified<Attestation>) -> Accepted {
        self.reputation.accept(record.clone()).await.unwrap()
    }

    fn bob(&self) -> Figures {
        self.reputation.figures(&did(BOB))
    }
}

/// Order `n` between two agents, released: 90 paid, 10 fee.
fn order(n: u8, buyer: usize, provider: usize) -> SettledOrder {
    let id = OrderId::from(B256::from(*Hash::of(&[n]).as_bytes()));
    SettledOrder {
        chain_id: pin().chain_id,
        escrow: pin().escrow,
        order: id,
        parties: Parties {
            buyer: did(buyer),
            provider: did(provider),
            buyer_address: AGENTS[buyer].payment.address(),
            provider_address: AGENTS[provider].payment.address(),
        },
        terms_rest: Hash::of(b"rest"),
        capability: Text::try_from("digest").unwrap(),
        amount: Usdc::from_units(100),
        paid: Usdc::from_units(90),
        fee: Usdc::from_units(10),
        closed_by: ClosedBy::Release,
        latency_ms: 150,
        request_hash: Hash::of(b"in"),
        response_hash: Some(Hash::of(b"out")),
        provider_consent: Some(AGENTS[provider].payment.sign_digest(id.as_b256())),
    }
}

/// The same order, never delivered.
fn expired(n: u8) -> SettledOrder {
    let (paid, fee, closed_by) = (Usdc::ZERO, Usdc::ZERO, ClosedBy::Expired);
    SettledOrder { paid, fee, closed_by, response_hash: None, ..order(n, ALICE, BOB) }
}

fn sealed(record: &Record<Attestation>, author: usize) -> Result<Verified<Attestation>, RecordError> {
    Signed::sign(record, &AGENTS[author].agent)?.verify(&network(), NOW)
}

/// What `author` attests of an order, as `side`, whether or not the chain agrees.
fn attested(order: &SettledOrder, side: Side, author: usize, rating: Option<u8>) -> Vec<Verified<Attestation>> {
    let records = records_of(order, side, author, rating);
    records.iter().map(|record| sealed(record, author).unwrap()).collect()
}

/// The same, signed with `author`'s payment key but not yet with an agent's.
fn records_of(order: &SettledOrder, side: Side, author: usize, rating: Option<u8>) -> Vec<Record<Attestation>> {
    let world = World::default();
    world.settle(order);
    let bodies =
        attest::attest(order, side, rating, &world, |digest| Some(AGENTS[author].payment.sign_digest(digest))).unwrap();
    bodies.into_iter().map(|body| attest::record(&network(), body, Revision::First, NOW)).collect()
}

fn receipt(order: &SettledOrder) -> Verified<Attestation> {
    attested(order, Side::Buyer, ALICE, None).remove(0)
}

fn bobs_receipt(order: &SettledOrder) -> Verified<Attestation> {
    attested(order, Side::Provider, BOB, None).remove(0)
}

#[tokio::test]
async fn a_third_node_counts_a_paid_order_that_both_sides_attest() {
    let carol = Node::new().await;
    let order = order(1, ALICE, BOB);
    carol.world.settle(&order);
    for record in
        attested(&order, Side::Buyer, ALICE, Some(5)).iter().chain(&attested(&order, Side::Provider, BOB, Some(4)))
    {
        assert_eq!(carol.accept(record).await, Accepted::Added);
        assert_eq!(carol.accept(record).await, Accepted::Known);
    }
    carol.reputation.note_dial(&did(BOB), true, NOW);
    let bob = carol.bob();
    assert_eq!((bob.attestations, bob.total_calls, bob.successes, bob.failures), (2, 1, 1, 0));
    assert_eq!((bob.avg_response_ms, bob.uptime_24h, bob.rating), (Some(150), Score::ONE, Some(Score::ONE)));
    assert_eq!(bob.trust_score.to_string(), "0.97");
    let alice = carol.reputation.figures(&did(ALICE));
    assert_eq!((alice.attestations, alice.total_calls, alice.ratings), (2, 0, 1));
}

#[tokio::test]
async fn an_attestation_without_a_settlement_waits_and_counts_when_it_is_read() {
    let carol = Node::new().await;
    let order = order(1, ALICE, BOB);
    assert_eq!(carol.accept(&receipt(&order)).await, Accepted::Waiting);
    assert_eq!(carol.accept(&bobs_receipt(&order)).await, Accepted::Waiting);
    assert_eq!(carol.bob().total_calls, 0);
    assert_eq!(carol.reputation.explain(&did(BOB))[0].reason, "attestation_unbacked");
    assert_eq!(carol.reputation.recheck().await.unwrap(), 0);
    carol.world.settle(&order);
    assert_eq!(carol.reputation.facts_arrived(&order.order).await.unwrap(), 2);
    assert_eq!(carol.reputation.facts_arrived(&order.order).await.unwrap(), 0);
    assert_eq!(carol.bob().total_calls, 1);
    assert_eq!(carol.reputation.explain(&did(BOB))[0].reason, "counts");
}

#[tokio::test]
async fn eves_waiting_attestations_do_not_push_alices_out() {
    let carol = Node::new().await;
    let alices = order(200, ALICE, BOB);
    assert_eq!(carol.accept(&receipt(&alices)).await, Accepted::Waiting);
    let mut refused = 0;
    for n in 0..=u8::try_from(MAX_PER_AUTHOR).unwrap() {
        let eves = attested(&order(n, EVE, BOB), Side::Buyer, EVE, None).remove(0);
        if carol.accept(&eves).await == Accepted::WaitingFull {
            refused += 1;
        }
    }
    assert_eq!(refused, 1);
    const { assert!(MAX_WAITING > MAX_PER_AUTHOR) };
    carol.world.settle(&alices);
    carol.world.bound.lock().insert((did(BOB), AGENTS[BOB].payment.address()));
    assert_eq!(carol.reputation.recheck().await.unwrap(), 1);
    assert_eq!(carol.bob().total_calls, 1);
}

#[tokio::test]
async fn a_crowd_of_inventors_does_not_push_out_what_the_chain_has_funded() {
    let carol = Node::new().await;
    let (alices, later) = (order(200, ALICE, BOB), order(201, ALICE, BOB));
    carol.world.settle(&alices);
    carol.world.settled.lock().clear();
    for order in [&alices, &later] {
        assert_eq!(carol.accept(&receipt(order)).await, Accepted::Waiting);
    }
    // The funding of the second is read only after its attestation came.
    carol.world.settle(&later);
    carol.world.settled.lock().clear();
    let crowd = u32::try_from(MAX_WAITING / MAX_PER_AUTHOR).unwrap();
    for inventor in 0..crowd {
        let agent = AgentKey::from_bytes(Hash::of(&inventor.to_be_bytes()).as_bytes());
        for n in 0..u8::try_from(MAX_PER_AUTHOR).unwrap() {
            let id =
                OrderId::from(B256::from(*Hash::of(&[&[n], inventor.to_be_bytes().as_slice()].concat()).as_bytes()));
            let mut invented = SettledOrder { order: id, provider_consent: None, ..order(n, EVE, BOB) };
            invented.parties.buyer = agent.did();
            let record = records_of(&invented, Side::Buyer, EVE, None).remove(0);
            let record = Signed::sign(&record, &agent).unwrap().verify(&network(), NOW).unwrap();
            assert_eq!(carol.accept(&record).await, Accepted::Waiting);
        }
    }
    carol.world.settle(&alices);
    carol.world.settle(&later);
    carol.world.bound.lock().insert((did(BOB), AGENTS[BOB].payment.address()));
    assert_eq!(carol.reputation.recheck().await.unwrap(), 2);
    assert_eq!(carol.bob().total_calls, 2);
}

#[tokio::test]
async fn an_attestation_that_comes_as_its_settlement_is_read_does_not_wait_for_ever() {
    let carol = Node::new().await;
    let order = order(1, ALICE, BOB);
    // It was held against the chain before the end was read, and has not entered the waiting room yet.
    let door = carol.reputation.inner.door.lock().await;
    let checked = check(&receipt(&order), &pin(), &*carol.world, &*carol.world);
    assert_eq!(checked, Checked::Unbacked);
    carol.world.settle(&order);
    let (reputation, id) = (carol.reputation.clone(), order.order);
    let arrived = reputation.facts_arrived(&id);
    tokio::pin!(arrived);
    let early = std::future::poll_fn(|cx| std::task::Poll::Ready(arrived.as_mut().poll(cx))).await;
    assert!(early.is_pending());
    carol.reputation.inner.memory.write().waiting.enter(receipt(&order), |_| false);
    drop(door);
    assert_eq!(arrived.await.unwrap(), 1);
}

#[tokio::test]
async fn a_provider_that_binds_another_address_keeps_its_failures() {
    let carol = Node::new().await;
    let (first, second) = (AGENTS[BOB].payment.address(), AGENTS[EVE].payment.address());
    carol.reputation.binding_seen(&did(BOB), &first).await.unwrap();
    carol.reputation.binding_seen(&did(BOB), &second).await.unwrap();
    carol.world.bound.lock().insert((did(BOB), second));
    // Carol restarts, and only then hears of the order that Bob took with his first address.
    let carol = carol.restarted().await;
    let order = expired(1);
    carol.world.settle(&order);
    assert_eq!(carol.accept(&receipt(&order)).await, Accepted::Added);
    let bob = carol.bob();
    assert_eq!((bob.total_calls, bob.failures), (1, 1));
}

#[tokio::test]
async fn what_the_chain_did_not_say_is_refused_with_its_reason() {
    let carol = Node::new().await;
    let truth = order(1, ALICE, BOB);
    carol.world.settle(&truth);
    let lies = [
        (SettledOrder { chain_id: 1, ..truth.clone() }, Refusal::WrongChain, "attestation_wrong_chain"),
        (SettledOrder { escrow: Address::ZERO, ..truth.clone() }, Refusal::WrongEscrow, "attestation_wrong_escrow"),
        (
            SettledOrder { terms_rest: Hash::of(b"other"), ..truth.clone() },
            Refusal::OtherTerms,
            "attestation_other_terms",
        ),
        (
            SettledOrder { amount: Usdc::from_units(101), ..truth.clone() },
            Refusal::OtherAmounts,
            "attestation_other_amounts",
        ),
        (
            SettledOrder { paid: Usdc::from_units(89), ..truth.clone() },
            Refusal::OtherAmounts,
            "attestation_other_amounts",
        ),
        (
            SettledOrder { fee: Usdc::from_units(9), ..truth.clone() },
            Refusal::OtherAmounts,
            "attestation_other_amounts",
        ),
        (SettledOrder { closed_by: ClosedBy::Timeout, ..truth.clone() }, Refusal::OtherEnd, "attestation_other_end"),
    ];
    for (lie, refusal, code) in lies {
        assert_eq!(carol.accept(&receipt(&lie)).await, Accepted::Refused(refusal));
        assert_eq!(refusal.code(), code);
    }
    assert_eq!(carol.bob().total_calls, 0);
    assert_eq!(carol.store.count::<EvidenceTable>().unwrap(), 0);
    let reasons: Vec<_> = carol.reputation.explain(&did(BOB)).into_iter().map(|explained| explained.reason).collect();
    assert_eq!(reasons.len(), 7);
    assert!(reasons.contains(&"attestation_other_end"));
}

#[tokio::test]
async fn someone_elses_order_cannot_be_attested() {
    let carol = Node::new().await;
    let truth = order(1, ALICE, BOB);
    carol.world.settle(&truth);
    let parties = Parties { buyer: did(EVE), buyer_address: AGENTS[EVE].payment.address(), ..truth.parties };
    let stolen = attested(&SettledOrder { parties, ..truth.clone() }, Side::Buyer, EVE, None).remove(0);
    assert_eq!(carol.accept(&stolen).await, Accepted::Refused(Refusal::OtherTerms));

    // Eve signing as Alice is not even a record.
    let body = receipt(&truth).body().clone();
    assert!(sealed(&attest::record(&network(), body, Revision::First, NOW), EVE).is_err());
}

#[tokio::test]
async fn eve_cannot_blame_bob_for_an_order_with_herself() {
    let carol = Node::new().await;
    // Eve trades with an address of her own and calls it Bob; even her own second key consents.
    let mut framed = expired(1);
    framed.parties = Parties {
        buyer: did(EVE),
        buyer_address: AGENTS[EVE].payment.address(),
        provider: did(BOB),
        provider_address: AGENTS[2].payment.address(),
    };
    framed.provider_consent = Some(AGENTS[2].payment.sign_digest(framed.order.as_b256()));
    carol.world.settle(&framed);
    carol.world.bound.lock().insert((did(BOB), AGENTS[BOB].payment.address()));
    let record = attested(&framed, Side::Buyer, EVE, Some(1));
    for record in &record {
        assert_eq!(carol.accept(record).await, Accepted::Added);
    }
    let bob = carol.bob();
    assert_eq!((bob.total_calls, bob.failures, bob.ratings, bob.attestations), (0, 0, 0, 0));
    assert!(carol.reputation.explain(&did(BOB)).iter().all(|e| !e.counts && e.reason == "agent_not_linked"));
}

#[tokio::test]
async fn a_vanished_provider_that_had_signed_has_failed_once_its_card_is_known() {
    let carol = Node::new().await;
    let order = expired(1);
    carol.world.settle(&order);
    assert_eq!(carol.accept(&receipt(&order)).await, Accepted::Added);
    assert_eq!(carol.bob().total_calls, 0);
    let address = AGENTS[BOB].payment.address();
    carol.reputation.binding_seen(&did(BOB), &address).await.unwrap();
    let bob = carol.bob();
    assert_eq!((bob.total_calls, bob.failures, bob.success_rate), (1, 1, Some(Score::ZERO)));
    assert_eq!(carol.restarted().await.bob(), bob);
}

#[tokio::test]
async fn a_failure_without_the_providers_signature_is_none() {
    let carol = Node::new().await;
    let order = SettledOrder { provider_consent: None, ..expired(1) };
    carol.world.settle(&order);
    carol.world.bound.lock().insert((did(BOB), AGENTS[BOB].payment.address()));
    assert_eq!(carol.accept(&receipt(&order)).await, Accepted::Added);
    assert_eq!(carol.bob().total_calls, 0);
    assert_eq!(carol.reputation.explain(&did(BOB))[0].reason, "no_consent");
}

#[tokio::test]
async fn a_rating_can_be_corrected_once_and_a_receipt_never() {
    let carol = Node::new().await;
    let order = order(1, ALICE, BOB);
    carol.world.settle(&order);
    let revised = |seq: u64, body: Attestation| {
        let mut record = attest::record(&network(), body, Revision::Second, NOW);
        record.seq = seq;
        sealed(&record, ALICE).unwrap()
    };
    let stars = |stars: u8| attested(&order, Side::Buyer, ALICE, Some(stars)).remove(1);
    assert_eq!(carol.accept(&receipt(&order)).await, Accepted::Added);
    assert_eq!(carol.accept(&bobs_receipt(&order)).await, Accepted::Added);
    assert_eq!(carol.accept(&stars(1)).await, Accepted::Added);
    assert_eq!(carol.accept(&revised(2, stars(4).body().clone())).await, Accepted::Replaced);
    assert_eq!(carol.accept(&stars(1)).await, Accepted::Older);
    assert_eq!(carol.bob().rating, Score::share(4, 5));
    for seq in [0, 3, u64::MAX] {
        let again = revised(seq, stars(5).body().clone());
        assert_eq!(carol.accept(&again).await, Accepted::Refused(Refusal::Revised));
    }
    let changed = revised(2, receipt(&order).body().clone());
    assert_eq!(carol.accept(&changed).await, Accepted::Refused(Refusal::Revised));
    assert_eq!(carol.bob().ratings, 1);
}

#[tokio::test]
async fn a_wiped_node_that_reads_everything_again_has_the_same_figures() {
    let carol = Node::new().await;
    carol.world.bound.lock().insert((did(BOB), AGENTS[BOB].payment.address()));
    let mut records = Vec::new();
    for n in 0..4 {
        let order = if n == 3 { expired(n) } else { order(n, ALICE, BOB) };
        carol.world.settle(&order);
        records.extend(attested(&order, Side::Buyer, ALICE, Some(3)));
        records.extend(attested(&order, Side::Provider, BOB, None));
    }
    for record in &records {
        assert_eq!(carol.accept(record).await, Accepted::Added);
    }
    let before = carol.bob();
    assert_eq!((before.total_calls, before.successes, before.failures), (4, 3, 1));
    let carol = carol.restarted().await;
    assert_eq!(carol.bob(), before);
    assert_eq!(carol.reputation.history(&did(BOB), None, 10).len(), records.len());

    let wiped = Node::on(Store::memory(), carol.world.clone()).await;
    assert_eq!(wiped.bob().total_calls, 0);
    for record in records.iter().rev() {
        assert_eq!(wiped.accept(record).await, Accepted::Added);
    }
    assert_eq!(wiped.bob(), before);
}

#[tokio::test]
async fn evidence_goes_with_the_block_it_rests_on_and_comes_back_with_it() {
    let carol = Node::new().await;
    let order = order(1, ALICE, BOB);
    carol.world.settle(&order);
    let mut events = carol.reputation.subscribe();
    assert_eq!(carol.accept(&receipt(&order)).await, Accepted::Added);
    assert_eq!(carol.accept(&bobs_receipt(&order)).await, Accepted::Added);
    assert!(matches!(events.try_recv().unwrap(), ReputationEvent::Attested { subject, .. } if subject == did(BOB)));
    let before = carol.bob();
    carol.world.settled.lock().clear();
    carol.reputation.facts_undone(&order.order).await.unwrap();
    assert_eq!(carol.bob().total_calls, 0);
    carol.world.settle(&order);
    assert_eq!(carol.reputation.facts_arrived(&order.order).await.unwrap(), 2);
    assert_eq!(carol.bob(), before);

    // The same while the node was down: it notices at its next start.
    carol.world.settled.lock().clear();
    let carol = carol.restarted().await;
    assert_eq!(carol.bob().total_calls, 0);
    assert_eq!(carol.store.count::<EvidenceTable>().unwrap(), 0);
    carol.world.settle(&order);
    assert_eq!(carol.reputation.recheck().await.unwrap(), 2);
    assert_eq!(carol.bob(), before);
}

#[tokio::test]
async fn a_node_attests_what_the_chain_settled_and_nothing_else() {
    let alice = Node::new().await;
    let order = order(1, ALICE, BOB);
    let sign = |digest: &B256| Some(AGENTS[ALICE].payment.sign_digest(digest));
    let code = |result: Result<Vec<Record<Attestation>>, ReputationError>| result.unwrap_err().code();
    assert_eq!(code(alice.reputation.attest(&order, Side::Buyer, None, sign)), "attestation_unbacked");
    alice.world.settle(&order);
    let wrong = SettledOrder { paid: Usdc::from_units(91), ..order.clone() };
    assert_eq!(code(alice.reputation.attest(&wrong, Side::Buyer, None, sign)), "attestation_mismatch");
    for stars in [0, 6] {
        assert_eq!(code(alice.reputation.attest(&order, Side::Buyer, Some(stars), sign)), "rating_out_of_range");
    }
    assert_eq!(code(alice.reputation.attest(&order, Side::Buyer, None, |_| None)), "wallet_missing");

    let records = alice.reputation.attest(&order, Side::Buyer, Some(5), sign).unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!(alice.reputation.attest(&order, Side::Buyer, Some(5), sign).unwrap(), records);
    for record in &records {
        assert_eq!(alice.accept(&sealed(record, ALICE).unwrap()).await, Accepted::Added);
    }
    assert_eq!(rating_by_outcome(Side::Buyer, ClosedBy::Release), Some(5));
    assert_eq!(rating_by_outcome(Side::Buyer, ClosedBy::Expired), Some(1));
    assert_eq!(rating_by_outcome(Side::Buyer, ClosedBy::Uncountered), Some(1));
    assert_eq!(rating_by_outcome(Side::Provider, ClosedBy::Timeout), None);
    assert_eq!(rating_by_outcome(Side::Buyer, ClosedBy::Ruling), None);
}
