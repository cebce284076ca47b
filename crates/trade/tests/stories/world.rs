//! Alice sells, Bob buys, Eve meddles: two homes whose stores outlive them, and the ports between.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use haggle_base::{
    Address, AgentKey, Clock, Did, EvmSignature, Hash, ManualClock, Order, OrderId, PaymentBinding, PaymentKey, Seed,
    Side, Text, Timestamp, Usdc, cose, eip712,
    network_file::{Arbitration, FeePayer, FeeRule, TokenFacts},
};
use haggle_store::{Blobs, Store};
use haggle_trade::{
    Attestor, Buyer, BuyerPorts, Closing, Counterparty, Desk, DeskPorts, Faults, HireId, HireRequest, Market, Money,
    Offer, OnChain, OrderView, PortError, SettledFacts, Signer, TradeConfig, TradeMessage, TradeReply, TxRef, Venue,
};
use parking_lot::Mutex;
use tokio::sync::Notify;

pub(crate) use crate::agent::Manner;
use crate::{agent::Agent, chain::Chain};

pub(crate) const NOW: u64 = 1_795_000_000;
pub(crate) const SLOT: &str = "listing/words";
pub(crate) const DELIVER_WITHIN: u32 = 600;
pub(crate) const REVIEW: u32 = 3_600;
const OUTPUT_SCHEMA: &str = r#"{"type":"object","required":["words"],"properties":{"words":{"type":"integer"}}}"#;
const INPUT_SCHEMA: &str = r#"{"type":"object","required":["text"],"properties":{"text":{"type":"string"}}}"#;

pub(crate) fn usdc(text: &str) -> Usdc {
    text.parse().unwrap()
}

/// One agent with its two keys.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) agent: AgentKey,
    pub(crate) payment: PaymentKey,
}

impl Person {
    fn new(index: u32) -> Self {
        let seed = Seed::devnet(7, index);
        Self { agent: seed.agent_key(0), payment: seed.payment_key(0) }
    }

    pub(crate) fn did(&self) -> Did {
        self.agent.did()
    }

    pub(crate) fn address(&self) -> Address {
        self.payment.address()
    }

    pub(crate) fn binding(&self, venue: &Venue) -> PaymentBinding {
        let expires = Timestamp::from_secs(NOW + 100_000);
        PaymentBinding::make(&self.payment, &venue.network, &self.did(), venue.chain_id, expires)
    }
}

/// Stops a node after a step, once.
#[derive(Debug, Default)]
pub(crate) struct Crash {
    after: Mutex<Option<&'static str>>,
    crashed: AtomicBool,
    notify: Notify,
    pub(crate) seen: Mutex<Vec<&'static str>>,
}

impl Crash {
    pub(crate) fn after(&self, step: &'static str) {
        *self.after.lock() = Some(step);
    }

    pub(crate) fn is_down(&self) -> bool {
        self.crashed.load(Ordering::SeqCst)
    }

    async fn happened(&self) {
        loop {
            let notified = self.notify.notified();
            if self.crashed.load(Ordering::SeqCst) {
                return;
            }
            notified.await;
        }
    }
}

#[async_trait]
impl Faults for Crash {
    async fn reached(&self, step: &'static str) {
        self.seen.lock().push(step);
        let stop = {
            let mut after = self.after.lock();
            let stop = *after == Some(step);
            if stop {
                *after = None;
            }
            stop
        };
        if stop {
            self.crashed.store(true, Ordering::SeqCst);
            self.notify.notify_waiters();
            std::future::pending::<()>().await;
        }
    }
}

/// What the agents did, and what was attested: memory outside both homes.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    pub(crate) runs: Mutex<HashMap<OrderId, usize>>,
    pub(crate) attested: Mutex<BTreeMap<(OrderId, Side), SettledFacts>>,
    pub(crate) attest_calls: AtomicUsize,
    /// Every message that was sent, in order.
    pub(crate) sent: Mutex<Vec<TradeMessage>>,
}

#[async_trait]
impl Attestor for Witness {
    async fn attest(&self, facts: SettledFacts, own_side: Side) -> Result<(), PortError> {
        self.attest_calls.fetch_add(1, Ordering::SeqCst);
        self.attested.lock().insert((facts.id, own_side), facts);
        Ok(())
    }
}

/// The books of one home; they outlive a crash, as settlement's store does.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) reserved: Mutex<HashMap<String, Usdc>>,
    authorised: Mutex<HashMap<String, (OrderId, EvmSignature)>>,
    pub(crate) closed: Mutex<HashSet<OrderId>>,
    pub(crate) budget: Mutex<Option<Usdc>>,
    /// Disputes a bond was signed for.
    pub(crate) bonds: Mutex<HashSet<(OrderId, Hash)>>,
}

/// Money of one person.
#[derive(Debug)]
pub(crate) struct Purse {
    person: Arc<Person>,
    venue: Venue,
    chain: Chain,
    pub(crate) books: Arc<Books>,
}

fn refused(code: &'static str) -> PortError {
    PortError { code, hint: "look at the budget", retryable: false, detail: code.to_owned() }
}

impl Purse {
    fn id(&self, order: &Order) -> OrderId {
        eip712::order_id(order, &eip712::escrow_domain(self.venue.chain_id, self.venue.escrow))
    }
}

#[async_trait]
impl Money for Purse {
    fn payment_address(&self, agent: &Did) -> Option<Address> {
        (*agent == self.person.did()).then(|| self.person.address())
    }

    async fn reserve(&self, key: &str, _agent: &Did, total: Usdc, _now: Timestamp) -> Result<(), PortError> {
        if self.books.budget.lock().is_some_and(|budget| total > budget) {
            return Err(refused("budget_exceeded"));
        }
        self.books.reserved.lock().insert(key.to_owned(), total);
        Ok(())
    }

    async fn cancel_reservation(&self, key: &str) -> Result<(), PortError> {
        self.books.reserved.lock().remove(key);
        Ok(())
    }

    async fn sign_order(&self, _agent: &Did, order: &Order) -> Result<EvmSignature, PortError> {
        assert_eq!(order.provider, self.person.address());
        Ok(self.person.payment.sign_digest(self.id(order).as_b256()))
    }

    async fn authorise(&self, key: &str, _agent: &Did, order: &Order) -> Result<EvmSignature, PortError> {
        let id = self.id(order);
        let deposit = order.deposit().unwrap().to::<u64>();
        let reserved = self.books.reserved.lock().get(key).copied().ok_or(refused("no_reservation"))?;
        assert!(deposit <= reserved.units(), "more is signed than was reserved");
        let payment = eip712::ReceiveWithAuthorization {
            from: order.buyer,
            to: self.venue.escrow,
            value: haggle_base::U256::from(deposit),
            validAfter: haggle_base::U256::ZERO,
            validBefore: haggle_base::U256::from(order.fundBy),
            nonce: *id.as_b256(),
        };
        let digest = eip712::digest(&payment, &eip712::token_domain(self.venue.chain_id, &self.venue.token));
        let signature = self.person.payment.sign_digest(&digest);
        let mut authorised = self.books.authorised.lock();
        let (signed, signature) = *authorised.entry(key.to_owned()).or_insert((id, signature));
        assert_eq!(signed, id, "one reservation signed two orders");
        Ok(signature)
    }

    async fn sign_release(&self, _agent: &Did, order: &Order) -> Result<EvmSignature, PortError> {
        let release = eip712::Release { orderId: *self.id(order).as_b256() };
        let domain = eip712::escrow_domain(self.venue.chain_id, self.venue.escrow);
        Ok(self.person.payment.sign_digest(&eip712::digest(&release, &domain)))
    }

    async fn submit_fund(
        &self,
        _agent: &Did,
        order: &Order,
        buyer: &EvmSignature,
        provider: &EvmSignature,
    ) -> Result<TxRef, PortError> {
        self.chain.fund(order, buyer, provider)
    }

    async fn submit_release(&self, _agent: &Did, order: &Order, buyer: &EvmSignature) -> Result<TxRef, PortError> {
        self.chain.release(order, buyer)
    }

    async fn submit_deliver(&self, _agent: &Did, order: &Order, deliverable: &Hash) -> Result<TxRef, PortError> {
        assert_eq!(order.provider, self.person.address(), "only the provider delivers");
        self.chain.deliver(order, deliverable)
    }

    async fn sign_bond(
        &self,
        _agent: &Did,
        order: &Order,
        side: Side,
        evidence: &Hash,
        until: Timestamp,
    ) -> Result<EvmSignature, PortError> {
        let (party, side) = match side {
            Side::Buyer => (order.buyer, eip712::BOND_BUYER),
            Side::Provider => (order.provider, eip712::BOND_PROVIDER),
        };
        assert_eq!(party, self.person.address(), "each side puts up its own bond");
        let digest = crate::chain::bond_digest(&self.venue, order, party, side, evidence, until);
        self.books.bonds.lock().insert((self.id(order), *evidence));
        Ok(self.person.payment.sign_digest(&digest))
    }

    async fn submit_dispute(
        &self,
        _agent: &Did,
        order: &Order,
        evidence: &Hash,
        bond: &EvmSignature,
    ) -> Result<TxRef, PortError> {
        self.chain.dispute(order, evidence, bond)
    }

    async fn submit_counter(&self, _agent: &Did, order: &Order, bond: &EvmSignature) -> Result<TxRef, PortError> {
        self.chain.counter(order, bond)
    }

    async fn submit_refund(&self, _agent: &Did, order: &Order) -> Result<TxRef, PortError> {
        assert_eq!(order.provider, self.person.address(), "only the provider refunds");
        self.chain.refund(order)
    }

    async fn submit_finalize(&self, _agent: &Did, order: &Order) -> Result<TxRef, PortError> {
        self.chain.finalize(order)
    }

    async fn on_chain(&self, id: &OrderId, order: &Order) -> Result<OnChain, PortError> {
        assert_eq!(*id, self.id(order));
        self.chain.look(order)
    }

    async fn chain_now(&self) -> Result<Timestamp, PortError> {
        self.chain.now()
    }

    async fn settled(&self, key: Option<&str>, closing: &Closing) -> Result<(), PortError> {
        self.chain.has_ended_so(closing)?;
        if let Some(key) = key {
            self.books.reserved.lock().remove(key);
        }
        self.books.closed.lock().insert(closing.id);
        Ok(())
    }
}

/// The keys of one person.
#[derive(Debug)]
struct Keys {
    person: Arc<Person>,
    venue: Venue,
    bound: bool,
}

impl Signer for Keys {
    fn sign(&self, agent: &Did, kind: &str, payload: &[u8]) -> Result<Vec<u8>, PortError> {
        if *agent != self.person.did() {
            return Err(refused("no_such_agent"));
        }
        Ok(cose::sign(kind, payload, &self.person.agent))
    }

    fn binding(&self, _agent: &Did) -> Option<PaymentBinding> {
        self.bound.then(|| self.person.binding(&self.venue))
    }
}

/// The shelf: one listing of Alice's, which a story may change.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) offer: Mutex<Offer>,
    pub(crate) bound: Mutex<Option<Address>>,
}

#[async_trait]
impl Market for Shelf {
    async fn offer(&self, provider: &Did, slot: &str) -> Option<Offer> {
        let offer = self.offer.lock().clone();
        (offer.provider == *provider && offer.slot == *slot).then_some(offer)
    }

    async fn bound_address(&self, _agent: &Did, _now: Timestamp) -> Option<Address> {
        *self.bound.lock()
    }
}

/// How messages get through.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Weather {
    /// Each message arrives once.
    Clear,
    /// Each message arrives twice, and then every earlier one again.
    Echo,
    /// Every third reply is lost.
    Lossy,
    /// Messages of this kind never arrive.
    Blocks(fn(&TradeMessage) -> bool),
}

/// The wire from Bob to Alice.
#[derive(Debug)]
pub(crate) struct Wire {
    desk: Arc<Mutex<Option<Desk>>>,
    crash: Arc<Mutex<Arc<Crash>>>,
    witness: Arc<Witness>,
    pub(crate) weather: Mutex<Weather>,
    count: AtomicUsize,
    from: Did,
}

impl Wire {
    async fn deliver(&self, provider: &Did, message: TradeMessage) -> Result<TradeReply, PortError> {
        let Some(desk) = self.desk.lock().clone() else { return Err(PortError::unreachable("down")) };
        let crash = Arc::clone(&self.crash.lock());
        if crash.is_down() {
            return Err(PortError::unreachable("crashed"));
        }
        // A frame that travels is JSON: what cannot be read back would be a bug of the wire format.
        let message = TradeMessage::from_a2a(&message.to_a2a("m")).unwrap().unwrap();
        let from = [self.from];
        tokio::select! {
            reply = desk.handle(&from, provider, message) => {
                Ok(TradeReply::from_a2a(&reply.to_a2a("r")).unwrap().unwrap())
            }
            () = crash.happened() => Err(PortError::unreachable("crashed")),
        }
    }
}

#[async_trait]
impl Counterparty for Wire {
    async fn send(&self, provider: &Did, message: TradeMessage, _deadline: Duration) -> Result<TradeReply, PortError> {
        let weather = *self.weather.lock();
        self.witness.sent.lock().push(message.clone());
        match weather {
            Weather::Clear => self.deliver(provider, message).await,
            Weather::Blocks(kind) if kind(&message) => Err(PortError::unreachable("blocked")),
            Weather::Blocks(_) => self.deliver(provider, message).await,
            Weather::Lossy => {
                let reply = self.deliver(provider, message).await?;
                if self.count.fetch_add(1, Ordering::SeqCst).is_multiple_of(3) {
                    return Err(PortError::unreachable("lost reply"));
                }
                Ok(reply)
            }
            Weather::Echo => {
                let first = self.deliver(provider, message.clone()).await?;
                let again = self.deliver(provider, message).await?;
                // A status may have moved on in between; everything else is the same answer.
                if !matches!(first, TradeReply::Status { .. }) {
                    assert_eq!(first, again, "a repeated message got another answer");
                }
                let earlier = self.witness.sent.lock().clone();
                for old in earlier {
                    let _any_answer = self.deliver(provider, old).await?;
                }
                Ok(first)
            }
        }
    }
}

/// One home's disk.
#[derive(Debug)]
struct Disk {
    store: Store,
    blobs: Blobs,
    _folder: tempfile::TempDir,
}

impl Disk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { store: Store::memory(), blobs: Blobs::open(folder.path()).unwrap(), _folder: folder }
    }
}

/// Everything together.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) venue: Venue,
    pub(crate) config: TradeConfig,
    pub(crate) chain: Chain,
    pub(crate) clock: ManualClock,
    pub(crate) witness: Arc<Witness>,
    pub(crate) alice: Arc<Person>,
    pub(crate) bob: Arc<Person>,
    pub(crate) eve: Arc<Person>,
    pub(crate) bobs_shelf: Arc<Shelf>,
    pub(crate) alices_shelf: Arc<Shelf>,
    pub(crate) bobs_books: Arc<Books>,
    pub(crate) alices_books: Arc<Books>,
    pub(crate) wire: Arc<Wire>,
    pub(crate) buyer: Option<Buyer>,
    pub(crate) desk: Arc<Mutex<Option<Desk>>>,
    pub(crate) buyer_crash: Arc<Crash>,
    pub(crate) desk_crash: Arc<Mutex<Arc<Crash>>>,
    pub(crate) manner: Manner,
    pub(crate) bob_is_bound: bool,
    pub(crate) alice_is_bound: bool,
    pub(crate) rules: haggle_trade::SellingRules,
    bobs_disk: Disk,
    alices_disk: Disk,
    issued: u64,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Manner::Honest, "5.0").await
    }

    pub(crate) async fn with(manner: Manner, price: &str) -> Self {
        Self::under(manner, price, false).await
    }

    /// A market in which Eve rules on disputes, each side with a tenth of the price as bond.
    pub(crate) async fn judged(manner: Manner) -> Self {
        Self::under(manner, "5.0", true).await
    }

    async fn under(manner: Manner, price: &str, judged: bool) -> Self {
        let [alice, bob, eve] = [0, 1, 2].map(|index| Arc::new(Person::new(index)));
        let venue = Venue {
            arbitration: judged.then(|| Arbitration {
                arbitrator: eve.address(),
                bond_bps: 1_000,
                counter_secs: REVIEW,
                rule_secs: REVIEW,
                silent_bps: 0,
            }),
            network: "devnet-7/1".parse().unwrap(),
            chain_id: 31_337,
            escrow: Address::repeat_byte(0xE5),
            token: TokenFacts {
                address: Address::repeat_byte(0x70),
                name: "USD Coin".to_owned(),
                version: "2".to_owned(),
                symbol: "USDC".to_owned(),
                decimals: 6,
            },
            fee: FeeRule { bps: 250, payer: FeePayer::Buyer, recipient: Address::repeat_byte(0xFE) },
        };
        let now = Timestamp::from_secs(NOW);
        let chain = Chain::new(venue.clone(), now);
        chain.mint(bob.address(), usdc("100"));
        chain.mint(alice.address(), usdc("1"));
        let offer = Offer {
            provider: alice.did(),
            listing: Hash::of(b"listing").into(),
            slot: SLOT.try_into().unwrap(),
            seq: 7,
            title: "Counts words".try_into().unwrap(),
            skill: "words".try_into().unwrap(),
            capability: "text".try_into().unwrap(),
            price: usdc(price),
            deliver_within_secs: DELIVER_WITHIN,
            review_secs: REVIEW,
            input_schema: Some(INPUT_SCHEMA.to_owned()),
            output_schema: Some(OUTPUT_SCHEMA.to_owned()),
        };
        let shelf = |offer: &Offer| {
            Arc::new(Shelf { offer: Mutex::new(offer.clone()), bound: Mutex::new(Some(alice.address())) })
        };
        let witness = Arc::new(Witness::default());
        let desk = Arc::new(Mutex::new(None));
        let desk_crash = Arc::new(Mutex::new(Arc::new(Crash::default())));
        let wire = Arc::new(Wire {
            desk: Arc::clone(&desk),
            crash: Arc::clone(&desk_crash),
            witness: Arc::clone(&witness),
            weather: Mutex::new(Weather::Clear),
            count: AtomicUsize::new(0),
            from: bob.did(),
        });
        let issued = chain.total();
        let mut world = Self {
            config: TradeConfig::new(venue.clone()),
            bobs_shelf: shelf(&offer),
            alices_shelf: shelf(&offer),
            venue,
            chain,
            clock: ManualClock::new(now),
            witness,
            alice,
            bob,
            eve,
            bobs_books: Arc::default(),
            alices_books: Arc::default(),
            wire,
            buyer: None,
            desk,
            buyer_crash: Arc::default(),
            desk_crash,
            manner,
            bob_is_bound: true,
            alice_is_bound: true,
            rules: haggle_trade::SellingRules::default(),
            bobs_disk: Disk::new(),
            alices_disk: Disk::new(),
            issued,
        };
        world.start_buyer().await;
        world.start_desk();
        world
    }

    fn purse(&self, person: &Arc<Person>, books: &Arc<Books>) -> Arc<Purse> {
        Arc::new(Purse {
            person: Arc::clone(person),
            venue: self.venue.clone(),
            chain: self.chain.clone(),
            books: Arc::clone(books),
        })
    }

    fn keys(&self, person: &Arc<Person>, bound: bool) -> Arc<Keys> {
        Arc::new(Keys { person: Arc::clone(person), venue: self.venue.clone(), bound })
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock.clone())
    }

    /// Starts Bob's node on his disk.
    pub(crate) async fn start_buyer(&mut self) {
        self.buyer_crash = Arc::default();
        let ports = BuyerPorts {
            counterparty: self.wire.clone(),
            market: self.bobs_shelf.clone(),
            signer: self.keys(&self.bob, self.bob_is_bound),
            money: self.purse(&self.bob, &self.bobs_books),
            attestor: self.witness.clone(),
            faults: self.buyer_crash.clone(),
        };
        let disk = &self.bobs_disk;
        let buyer = Buyer::open(self.config.clone(), disk.store.clone(), disk.blobs.clone(), self.clock(), ports).await;
        self.buyer = Some(buyer.unwrap());
    }

    /// Starts Alice's node on her disk.
    pub(crate) fn start_desk(&mut self) {
        let crash = Arc::new(Crash::default());
        *self.desk_crash.lock() = Arc::clone(&crash);
        let ports = DeskPorts {
            market: self.alices_shelf.clone(),
            signer: self.keys(&self.alice, self.alice_is_bound),
            money: self.purse(&self.alice, &self.alices_books),
            work: Arc::new(Agent { witness: self.witness.clone(), manner: self.manner }),
            attestor: self.witness.clone(),
            faults: crash,
        };
        let disk = &self.alices_disk;
        let desk = Desk::open(self.config.clone(), disk.store.clone(), disk.blobs.clone(), self.clock(), ports);
        let desk = desk.unwrap();
        desk.set_rules(self.alice.did(), SLOT.try_into().unwrap(), self.rules);
        *self.desk.lock() = Some(desk);
    }

    pub(crate) fn buyer(&self) -> &Buyer {
        self.buyer.as_ref().unwrap()
    }

    pub(crate) fn desk(&self) -> Desk {
        self.desk.lock().clone().unwrap()
    }

    pub(crate) fn crash_desk_after(&self, step: &'static str) {
        self.desk_crash.lock().after(step);
    }

    pub(crate) fn wish(&self) -> HireRequest {
        HireRequest {
            agent: self.bob.did(),
            provider: self.alice.did(),
            slot: Text::try_from(SLOT).unwrap(),
            listing: None,
            input: br#"{"text":"one two three"}"#.to_vec(),
            max_price: usdc("10"),
            bargain: None,
            idempotency_key: None,
            rating: Some(5),
            reason: None,
            deadline: None,
        }
    }

    /// Hires, across a crash of Bob's node right after it wrote the hire down.
    pub(crate) async fn hire(&mut self) -> HireId {
        let wish = HireRequest { idempotency_key: Some("once".try_into().unwrap()), ..self.wish() };
        loop {
            let crash = Arc::clone(&self.buyer_crash);
            tokio::select! {
                id = self.buyer().hire(wish.clone()) => return id.unwrap(),
                () = crash.happened() => {}
            }
            self.start_buyer().await;
        }
    }

    pub(crate) fn pass(&self, by: Duration) {
        self.clock.advance(by);
        self.chain.advance(by);
    }

    /// Both nodes look at everything once; who crashes is started again if `restart` says so.
    pub(crate) async fn turn(&mut self, restart: bool) {
        if let Some(buyer) = self.buyer.clone() {
            let crash = Arc::clone(&self.buyer_crash);
            for id in buyer.open_hires() {
                tokio::select! {
                    _ = buyer.advance(id) => {}
                    () = crash.happened() => break,
                }
            }
            if crash.is_down() {
                self.buyer = None;
                if restart {
                    self.start_buyer().await;
                }
            }
        }
        let desk = self.desk.lock().clone();
        if let Some(desk) = desk {
            let crash = Arc::clone(&self.desk_crash.lock());
            let open = if crash.is_down() { Vec::new() } else { desk.open_orders() };
            for id in open {
                tokio::select! {
                    _ = desk.advance(id) => {}
                    () = crash.happened() => break,
                }
            }
            if crash.is_down() {
                *self.desk.lock() = None;
                if restart {
                    self.start_desk();
                }
            }
        }
    }

    /// Turns, a second at a time, until nothing is open on either side, at most `turns` times.
    pub(crate) async fn settle_down(&mut self, turns: usize) {
        for _ in 0..turns {
            self.turn(true).await;
            let idle = self.buyer.as_ref().is_none_or(|buyer| buyer.open_hires().is_empty())
                && self.desk.lock().as_ref().is_none_or(|desk| desk.open_orders().is_empty());
            if idle {
                return;
            }
            self.pass(Duration::from_secs(1));
        }
        panic!("still busy after {turns} turns: {:?}", self.buyer.as_ref().map(|buyer| buyer.list(None, 5)));
    }

    /// Turns a few times, a second at a time; whoever crashes is started again.
    pub(crate) async fn settle(&mut self, turns: usize) {
        for _ in 0..turns {
            self.turn(true).await;
            self.pass(Duration::from_secs(1));
        }
    }

    /// Turns a few times without starting anybody again.
    pub(crate) async fn turns(&mut self, turns: usize) {
        for _ in 0..turns {
            self.turn(false).await;
            self.pass(Duration::from_secs(1));
        }
    }

    pub(crate) fn bought(&self, id: HireId) -> OrderView {
        self.buyer().show(id).unwrap()
    }

    pub(crate) fn sold(&self, id: &OrderId) -> OrderView {
        self.desk().show(id).unwrap()
    }

    pub(crate) fn runs(&self) -> usize {
        self.witness.runs.lock().values().sum()
    }

    /// No unit of money appeared or vanished, and no budget is held for nothing.
    pub(crate) fn check_conservation(&self) {
        assert_eq!(self.chain.total(), self.issued);
    }

    /// What an order of 5.0 that was paid looks like to everybody.
    pub(crate) fn check_paid_once(&self, id: HireId) {
        self.check_conservation();
        let bought = self.bought(id);
        assert_eq!(bought.state.as_str(), "settled", "{bought:?}");
        let order = bought.id.unwrap();
        assert_eq!(self.sold(&order).state.as_str(), "settled");
        assert_eq!(self.chain.balance(self.bob.address()), usdc("94.875"));
        assert_eq!(self.chain.balance(self.alice.address()), usdc("6"));
        assert_eq!(self.chain.owed(), usdc("0.125"));
        assert_eq!(self.runs(), 1, "executed once");
        let funds = self.chain.log().iter().filter(|name| **name == "fund").count();
        assert_eq!(funds, 1, "funded once");
        assert!(self.bobs_books.reserved.lock().is_empty(), "a reservation is left over");
        let attested = self.witness.attested.lock();
        assert!(attested.contains_key(&(order, Side::Buyer)) && attested.contains_key(&(order, Side::Provider)));
    }
}
