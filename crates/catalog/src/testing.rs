//! Agents, records and catalogs for this room's stories.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use haggle_base::{
    Address, AgentKey, Attestation, AttestationKind, Body, ClosedBy, Did, Hash, List, ManualClock, NetworkId, NodeKey,
    OrderId, Parties, PaymentBinding, PaymentKey, PeerId, Record, Side, Signed, Text, Timestamp, Usdc, Verified,
};
use haggle_store::Store;
use parking_lot::Mutex;

use crate::{
    Announce, AnnounceError, CardBody, Catalog, CatalogConfig, EscrowTerms, Figures, Host, ListingBody, PaidRoom,
    PricingModel, Sla, Standing,
    body::{CARD_SLOT, RECORD_TTL, TombstoneBody, listing_slot},
};

/// Chain of the bindings.
pub(crate) const CHAIN: u64 = 31_337;

/// When the stories begin.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_800_000_000);

pub(crate) fn network() -> NetworkId {
    "devnet-7/1".parse().unwrap()
}

/// The agent of a number: 0 is alice, 1 is bob, 2 is eve.
pub(crate) fn agent(index: u32) -> AgentKey {
    AgentKey::from_bytes(&secret("agent", index))
}

/// The key that the agent of a number is paid with.
pub(crate) fn payer(index: u32) -> PaymentKey {
    PaymentKey::from_bytes(&secret("payment", index)).unwrap()
}

pub(crate) fn peer(index: u32) -> PeerId {
    NodeKey::from_bytes(&secret("node", index)).peer_id()
}

/// Quick to make, unlike a key from a seed phrase.
fn secret(purpose: &str, index: u32) -> [u8; 32] {
    *Hash::of(format!("{purpose} {index}").as_bytes()).as_bytes()
}

pub(crate) fn text<const N: usize>(words: &str) -> Text<N> {
    Text::try_from(words).unwrap()
}

pub(crate) fn list<T, const N: usize>(items: Vec<T>) -> List<T, N> {
    List::try_from(items).unwrap()
}

pub(crate) fn usdc(amount: &str) -> Usdc {
    amount.parse().unwrap()
}

pub(crate) fn listing(title: &str, category: &str, price: &str) -> ListingBody {
    ListingBody {
        title: text(title),
        description: text("Reads a document and says what is in it."),
        skill: text("digest"),
        category: text(category),
        tags: list(vec![text("text"), text("fast")]),
        input_schema: Some(text(r#"{"type":"object"}"#)),
        output_schema: None,
        pricing: PricingModel::PerCall,
        price: usdc(price),
        sla: Sla { deliver_within_secs: 60 },
        schemes: list(vec![text("haggle-escrow")]),
        escrow: Some(EscrowTerms { review_secs: 3_600 }),
        regions: List::new(),
    }
}

pub(crate) fn card(name: &str, binding: Option<PaymentBinding>) -> CardBody {
    CardBody {
        name: text(name),
        agent_card: text(r#"{"name":"digest","version":"1"}"#),
        binding,
        hosts: list(vec![Host { peer: peer(9), addrs: list(vec![text("/ip4/127.0.0.1/tcp/4001")]) }]),
    }
}

/// The payment key of agent `payee` says it belongs to `did`.
pub(crate) fn binding(payee: u32, did: &Did) -> PaymentBinding {
    let expires = START.plus(Duration::from_secs(30 * 24 * 3_600));
    PaymentBinding::make(&payer(payee), &network(), did, CHAIN, expires)
}

/// A signed record made at `now` with this `seq`.
pub(crate) fn signed<B: Body>(key: &AgentKey, slot: &str, seq: u64, now: Timestamp, ttl: Duration, body: B) -> Vec<u8> {
    let mut record = Record::new(network(), text(slot), now, ttl, body);
    record.seq = seq;
    Signed::sign(&record, key).unwrap().bytes().to_vec()
}

pub(crate) fn signed_listing(key: &AgentKey, name: &str, seq: u64, body: ListingBody) -> Vec<u8> {
    signed(key, &listing_slot(name).unwrap(), seq, START, RECORD_TTL, body)
}

pub(crate) fn signed_tombstone(key: &AgentKey, name: &str, seq: u64, category: &str) -> Vec<u8> {
    let body = TombstoneBody { category: text(category) };
    signed(key, &listing_slot(name).unwrap(), seq, START, TombstoneBody::MAX_TTL, body)
}

pub(crate) fn signed_card(key: &AgentKey, seq: u64, body: CardBody) -> Vec<u8> {
    signed(key, CARD_SLOT, seq, START, RECORD_TTL, body)
}

/// Agent `buyer` attests order number `order` of agent `provider`.
pub(crate) fn signed_attestation(buyer: u32, provider: u32, order: u8) -> Vec<u8> {
    let parties = Parties {
        buyer: agent(buyer).did(),
        provider: agent(provider).did(),
        buyer_address: payer(buyer).address(),
        provider_address: payer(provider).address(),
    };
    let id = OrderId::new([order; 32].into());
    let body = Attestation {
        fee: usdc("0.01"),
        paid: usdc("0.24"),
        side: Side::Buyer,
        buyer: parties.buyer,
        order: id,
        amount: usdc("0.25"),
        escrow: parties.provider_address,
        rating: None,
        chain_id: CHAIN,
        parties: parties.to_bytes().unwrap().try_into().unwrap(),
        subject: parties.provider,
        provider: parties.provider,
        closed_by: ClosedBy::Release,
        signature: payer(buyer).sign_digest(id.as_b256()),
        capability: text("digest"),
        latency_ms: 120,
        terms_rest: Hash::of(b"terms"),
        attestation: AttestationKind::Receipt,
        request_hash: Hash::of(b"in"),
        response_hash: Some(Hash::of(b"out")),
        provider_consent: None,
    }
    .signed(&payer(buyer));
    let slot = body.slot();
    signed(&agent(buyer), &slot, 1, START, Attestation::MAX_TTL, body)
}

/// A network that can be cut and that remembers what was announced.
#[derive(Debug, Default)]
pub(crate) struct Loudspeaker {
    pub(crate) cut: AtomicBool,
    pub(crate) said: Mutex<Vec<(u16, Vec<u8>)>>,
    pub(crate) heard: tokio::sync::Notify,
}

#[async_trait]
impl Announce for Loudspeaker {
    async fn announce(&self, shard: u16, bytes: Vec<u8>) -> Result<(), AnnounceError> {
        if self.cut.load(Ordering::SeqCst) {
            return Err(AnnounceError::NoPeers);
        }
        self.said.lock().push((shard, bytes));
        self.heard.notify_one();
        Ok(())
    }
}

/// Figures written down by hand, and how often they were changed since somebody searched; and whose room is paid for.
#[derive(Debug, Default)]
pub(crate) struct Ledger(
    pub(crate) Mutex<HashMap<Did, Figures>>,
    pub(crate) AtomicU64,
    pub(crate) Mutex<HashMap<Did, PaidRoom>>,
);

impl Standing for Ledger {
    fn figures(&self, agent: &Did) -> Figures {
        self.0.lock().get(agent).copied().unwrap_or_default()
    }

    fn version(&self) -> Option<u64> {
        Some(self.1.load(Ordering::Relaxed))
    }

    fn room(&self, agent: &Did, _wallet: Option<Address>) -> Option<PaidRoom> {
        self.2.lock().get(agent).copied()
    }

    fn behind(&self, least: i64) -> Vec<Did> {
        self.0.lock().iter().filter(|(_, figures)| figures.net < least).map(|(agent, _)| *agent).collect()
    }
}

/// A catalog with everything around it.
pub(crate) struct Node {
    pub(crate) catalog: Catalog,
    pub(crate) clock: ManualClock,
    pub(crate) loudspeaker: Arc<Loudspeaker>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) store: Store,
}

pub(crate) fn config() -> CatalogConfig {
    CatalogConfig { retry_every: Duration::from_millis(20), ..CatalogConfig::with(network(), CHAIN, 4) }
}

pub(crate) async fn node() -> Node {
    node_with(Store::memory(), config()).await
}

pub(crate) async fn node_with(store: Store, config: CatalogConfig) -> Node {
    let clock = ManualClock::new(START);
    let loudspeaker = Arc::new(Loudspeaker::default());
    let ledger = Arc::new(Ledger::default());
    let (announce, standing) = (Arc::clone(&loudspeaker), Arc::clone(&ledger));
    let catalog = Catalog::start(store.clone(), config, Arc::new(clock.clone()), announce, standing).await.unwrap();
    Node { catalog, clock, loudspeaker, ledger, store }
}

/// Titles of listings, in order.
pub(crate) fn titles(listings: &[Verified<ListingBody>]) -> Vec<&str> {
    listings.iter().map(|listing| listing.body().title.as_str()).collect()
}
