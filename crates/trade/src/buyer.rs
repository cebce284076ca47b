//! The buyer's desk: hire somebody's agent, and see it through.
//!
//! [`Buyer::hire`] writes the purchase down and returns its number; from then on [`Buyer::tick`] drives
//! it, step by step, across crashes. Nothing here looks at the time by itself: the node ticks, as often as
//! [`Buyer::turn`] lets it.

use std::{collections::HashMap, ops::Bound, sync::Arc, time::Duration};

use haggle_base::{Clock, Coded, Did, Hash, OrderId, RecordId, Text, Timestamp, Usdc};
use haggle_store::{Batch, Blobs, Store, StoreError};
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tracing::{debug, info};

use crate::{
    config::{MAX_PAYLOAD_BYTES, TradeConfig},
    error::{PortError, Refusal, TradeError},
    event::{EVENT_QUEUE, MAX_LINES, OrderEvent, OrderView},
    negotiation::{Bidding, BuyerPolicy, MAX_ROUNDS},
    offer::Offer,
    order::{OrderState, saga::Step},
    ports::{Attestor, Counterparty, Faults, Market, Money, Signer, TxRef},
    records::{Hire, HireId, Hires, HiresByKey, HiresByOrder, Line, Lines, OpenHires, Salts, line_key},
    rounds::{Progress, Rounds},
    schema,
    terms::{Agreement, Fee, venue_fee},
};

mod disputes;
mod drive;
mod haggling;

pub(crate) use drive::{attested, latency, moved, settled_facts};

/// What the buyer's side needs from the node.
#[derive(Clone, Debug)]
pub struct BuyerPorts {
    /// The way to providers.
    pub counterparty: Arc<dyn Counterparty>,
    /// What is sold.
    pub market: Arc<dyn Market>,
    /// Our agents' document keys.
    pub signer: Arc<dyn Signer>,
    /// Budgets, payment keys, the chain.
    pub money: Arc<dyn Money>,
    /// The memory of the market.
    pub attestor: Arc<dyn Attestor>,
    /// Where crash tests stop us.
    pub faults: Arc<dyn Faults>,
}

/// How to bargain, if at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bargain {
    /// The first bid.
    pub bid: Usdc,
    /// How much each round adds.
    pub step: Usdc,
}

impl Bargain {
    /// Bids that rise evenly from about half of `most` to all of it in the last round. Whatever price they end with, the
    /// bids up to that price would have ended no higher.
    pub fn up_to(most: Usdc) -> Self {
        let raises = u64::from(MAX_ROUNDS) - 1;
        let step = most.units() / (2 * raises);
        Self { bid: Usdc::from_units(most.units() - step * raises), step: Usdc::from_units(step) }
    }
}

/// A wish to buy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HireRequest {
    /// Our agent that buys.
    pub agent: Did,
    /// The seller.
    pub provider: Did,
    /// The listing's slot.
    pub slot: Text<64>,
    /// The version that was looked at; `None` takes the current one.
    pub listing: Option<RecordId>,
    /// The input, JSON, at most 640 KiB.
    pub input: Vec<u8>,
    /// The most this may cost, fee included.
    pub max_price: Usdc,
    /// Bid below the list price; `None` takes it.
    pub bargain: Option<Bargain>,
    /// The same key again names the same hire.
    pub idempotency_key: Option<Text<64>>,
    /// A rating of 1 to 5 to attest with if the result is accepted.
    pub rating: Option<u8>,
    /// Why this seller was chosen, in words; kept with the purchase.
    pub reason: Option<Text<240>>,
    /// Wall time after which nobody waits for the result. What is unpaid by then ends with `timeout`; of a provider
    /// that is paid and has signed for nothing, the money is asked back. `None` waits as long as the terms say.
    pub deadline: Option<Timestamp>,
}

/// A price somebody stands by for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceQuote {
    /// The seller.
    pub provider: Did,
    /// The listing's record.
    pub listing: RecordId,
    /// The price.
    pub price: Usdc,
    /// The fee on it.
    pub fee: Usdc,
    /// What the buyer would pay in.
    pub deposit: Usdc,
    /// Bids it took.
    pub rounds: u8,
    /// Seconds from funding to delivery.
    pub deliver_within_secs: u32,
    /// Wall time after which it is void.
    pub expires: Timestamp,
    /// The quote as the seller signed it.
    pub document: Vec<u8>,
}

/// What a seller made of a bid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It agreed, and signed.
    Quoted(PriceQuote),
    /// It would not go as low as the buyer bids; this is what it asked last. Nobody signed it.
    Countered {
        /// The price.
        price: Usdc,
        /// What the buyer would pay in.
        deposit: Usdc,
        /// Seconds from funding to delivery.
        deliver_within_secs: u32,
    },
}

/// The buyer's side of all our orders. Clones share it.
#[derive(Clone, Debug)]
pub struct Buyer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: TradeConfig,
    store: Store,
    blobs: Blobs,
    clock: Arc<dyn Clock>,
    ports: BuyerPorts,
    /// 128 random bits of this home: the first half of every salt.
    salt: [u8; 16],
    rounds: Arc<Rounds<u64>>,
    events: broadcast::Sender<OrderEvent>,
    /// When a message of a step was last sent, so that waiting does not repeat it at every look.
    sent: Mutex<HashMap<u64, (Step, Timestamp)>>,
    hiring: tokio::sync::Mutex<()>,
}

/// What one step came to.
enum Flow {
    /// A new step is on disk.
    Moved,
    /// Nothing to do for now.
    Wait,
    /// Nothing to do for a long while.
    Idle,
    /// Nothing to do ever.
    Done,
}

impl Buyer {
    /// Opens the buyer's side on its store and takes up every hire that is not over.
    ///
    /// # Errors
    /// When the store or the machine's randomness fails.
    pub async fn open(
        config: TradeConfig,
        store: Store,
        blobs: Blobs,
        clock: Arc<dyn Clock>,
        ports: BuyerPorts,
    ) -> Result<Self, TradeError> {
        let salt = home_salt(&store).await?;
        let open = store.range::<OpenHires>(Bound::Unbounded, usize::MAX)?.into_iter().map(|(id, ())| id);
        let rounds = Arc::new(Rounds::new(open));
        let inner = Inner {
            config,
            store,
            blobs,
            clock,
            ports,
            salt,
            rounds,
            events: broadcast::Sender::new(EVENT_QUEUE),
            sent: Mutex::new(HashMap::new()),
            hiring: tokio::sync::Mutex::new(()),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Asks for a price, bargains if told to, and commits to nothing.
    ///
    /// # Errors
    /// What the provider refused, or [`TradeError::AboveMaxPrice`].
    pub async fn quote(&self, request: &HireRequest) -> Result<PriceQuote, TradeError> {
        match self.ask(request).await? {
            Asked::Quoted(quote) => Ok(quote),
            Asked::Countered { .. } => Err(Refusal::NoAgreement.into()),
        }
    }

    /// As [`Self::quote`], but a seller that would not go low enough is an answer, too.
    ///
    /// # Errors
    /// As [`Self::quote`]; `no_agreement` only of a seller that named no price.
    pub async fn ask(&self, request: &HireRequest) -> Result<Asked, TradeError> {
        let inner = &self.inner;
        let (offer, bidding) = inner.prepare(request).await?;
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(|_| no_randomness())?;
        let wish = haggling::Wish {
            agent: request.agent,
            request: Hash::from_bytes(nonce),
            input: Hash::of(&request.input),
            input_bytes: request.input.len() as u64,
            max_price: request.max_price,
            until: request.deadline,
        };
        let mut asked = None;
        let agreed = match (inner.haggle_noting(&wish, &offer, bidding, &mut asked).await, asked) {
            (Err(TradeError::Refused(Refusal::NoAgreement)), Some(price)) => {
                let deposit = inner.fee().deposit(price)?;
                return Ok(Asked::Countered { price, deposit, deliver_within_secs: offer.deliver_within_secs });
            }
            (agreed, _) => agreed?,
        };
        let quote = agreed.signed.quote;
        Ok(Asked::Quoted(PriceQuote {
            provider: quote.provider,
            listing: quote.listing,
            price: quote.price,
            fee: quote.fee.of(quote.price),
            deposit: quote.fee.deposit(quote.price)?,
            rounds: agreed.rounds,
            deliver_within_secs: quote.deliver_within_secs,
            expires: quote.expires,
            document: agreed.bytes,
        }))
    }

    /// Writes a purchase down and returns its number; it is on disk then, and nothing is paid yet.
    ///
    /// # Errors
    /// `free_no_order` for a free listing, `invalid_input`, `binding_missing`, `listing_changed`,
    /// `above_max_price`, `too_many_hires`, or a failure of the store.
    pub async fn hire(&self, request: HireRequest) -> Result<HireId, TradeError> {
        let inner = &self.inner;
        let key = request.idempotency_key.as_ref().map(|key| (request.agent, key.as_str().to_owned()));
        if let Some(key) = &key
            && let Some(id) = inner.store.get::<HiresByKey>(key)?
        {
            return Ok(HireId(id));
        }
        let (offer, bidding) = inner.prepare(&request).await?;
        let input = inner.put_blob(request.input.clone()).await?;
        if let Some(schema) = &offer.output_schema {
            inner.put_blob(schema.clone().into_bytes()).await?;
        }
        let fee = inner.fee();
        let now = inner.clock.now();

        let _one_at_a_time = inner.hiring.lock().await;
        if inner.rounds.len() >= inner.config.max_hires {
            return Err(TradeError::TooManyHires);
        }
        let last = inner.store.range_back::<Hires>(Bound::Unbounded, 1)?;
        let id = last.first().map_or(1, |(id, _)| id + 1);
        let reserved = fee.deposit(bidding.ceiling())?.min(request.max_price);
        let mut hire = Hire {
            agent: request.agent,
            provider: request.provider,
            listing: offer.listing,
            slot: offer.slot.clone(),
            seq: offer.seq,
            title: offer.title.clone(),
            input,
            input_bytes: request.input.len() as u64,
            max_price: request.max_price,
            reserved,
            bidding,
            request: Hash::of_parts(&[b"haggle/request/v1", &inner.salt, &id.to_be_bytes()]),
            salt: inner.salt_of(id),
            step: Step::Reserved,
            started: now,
            quote: None,
            own_terms: None,
            their_terms: None,
            order: None,
            machine: None,
            consent: None,
            authorisation: None,
            fund_tx: None,
            funded_at: None,
            held: None,
            verdict: None,
            release: None,
            release_at: None,
            ending: None,
            failure: None,
            key: request.idempotency_key,
            rating: request.rating.filter(|rating| (1..=5).contains(rating)),
            reason: request.reason,
            deadline: request.deadline,
            stopped: None,
            grievance: None,
            quarrel: None,
            lines: 0,
        };
        let mut batch = Batch::new();
        batch.require_absent::<Hires>(&id).put::<OpenHires>(&id, &())?;
        if let Some(key) = &key {
            batch.require_absent::<HiresByKey>(key).put::<HiresByKey>(key, &id)?;
        }
        match inner.commit(id, &mut hire, batch, None, None).await {
            Err(TradeError::Store(StoreError::Precondition { .. })) if key.is_some() => {
                let id = key.map(|key| inner.store.get::<HiresByKey>(&key)).transpose()?.flatten();
                return id.map(HireId).ok_or(TradeError::TooManyHires);
            }
            other => other?,
        }
        inner.rounds.add(id);
        Ok(HireId(id))
    }

    /// Makes every open hire due at once; returns how many there are.
    pub fn resume_all(&self) -> usize {
        self.inner.rounds.add_all()
    }

    /// Drives every hire that is due, each in its own task.
    pub fn tick(&self) {
        self.inner.rounds.tick(self.inner.clock.now(), |id| {
            let inner = Arc::clone(&self.inner);
            async move { inner.advance(id).await }
        });
    }

    /// Waits until a hire became due before its time, or for `pace` while any is open.
    pub async fn turn(&self, pace: Duration) {
        self.inner.rounds.turn(pace).await;
    }

    /// Drives one hire as far as it goes now.
    pub async fn advance(&self, id: HireId) -> Progress {
        self.inner.advance(id.0).await
    }

    /// The numbers of the hires that are not over.
    pub fn open_hires(&self) -> Vec<HireId> {
        self.inner.rounds.all().into_iter().map(HireId).collect()
    }

    /// Our purchases, newest first, at most `limit`, from before `before` on.
    ///
    /// # Errors
    /// A failure of the store.
    pub fn list(&self, before: Option<HireId>, limit: usize) -> Result<Vec<OrderView>, TradeError> {
        let from = before.as_ref().map_or(Bound::Unbounded, |HireId(id)| Bound::Excluded(id));
        let rows = self.inner.store.range_back::<Hires>(from, limit)?;
        rows.iter().map(|(id, hire)| self.inner.view(*id, hire, false)).collect()
    }

    /// One purchase, with its life line.
    ///
    /// # Errors
    /// `order_not_found`, or a failure of the store.
    pub fn show(&self, id: HireId) -> Result<OrderView, TradeError> {
        let hire = self.inner.store.get::<Hires>(&id.0)?.ok_or(Refusal::OrderNotFound)?;
        self.inner.view(id.0, &hire, true)
    }

    /// The purchase that led to an order.
    ///
    /// # Errors
    /// `order_not_found`, or a failure of the store.
    pub fn find(&self, order: &OrderId) -> Result<HireId, TradeError> {
        let id = self.inner.store.get::<HiresByOrder>(order)?.ok_or(Refusal::OrderNotFound)?;
        Ok(HireId(id))
    }

    /// The hire that an agent's idempotency key names.
    ///
    /// # Errors
    /// A failure of the store.
    pub fn find_key(&self, agent: &Did, key: &str) -> Result<Option<HireId>, TradeError> {
        Ok(self.inner.store.get::<HiresByKey>(&(*agent, key.to_owned()))?.map(HireId))
    }

    /// The idempotency key a hire was asked with.
    ///
    /// # Errors
    /// `order_not_found`, or a failure of the store.
    pub fn key_of(&self, id: HireId) -> Result<Option<String>, TradeError> {
        let hire = self.inner.store.get::<Hires>(&id.0)?.ok_or(Refusal::OrderNotFound)?;
        Ok(hire.key.map(Text::into_string))
    }

    /// The input or output of one of our orders.
    ///
    /// # Errors
    /// A failure of the store.
    pub fn payload(&self, hash: &Hash) -> Result<Option<Vec<u8>>, TradeError> {
        Ok(self.inner.blobs.get(hash)?)
    }

    /// Gives a purchase up, as long as no payment signature may have left.
    ///
    /// # Errors
    /// `order_not_found`; `wrong_state` once it is paid or over.
    pub async fn cancel(&self, id: HireId) -> Result<(), TradeError> {
        self.end(id, &TradeError::Cancelled).await
    }

    /// Acts at once on a purchase whose deadline has passed; says whether it ended without payment. If not, its
    /// payment has left, and what becomes of it is decided with the provider ([`HireRequest::deadline`]).
    ///
    /// # Errors
    /// `order_not_found`, or a failure of the store.
    pub async fn overdue(&self, id: HireId) -> Result<bool, TradeError> {
        match self.end(id, &TradeError::Timeout).await {
            Ok(()) => Ok(true),
            Err(TradeError::WrongState { .. }) => {
                self.inner.rounds.add(id.0);
                let hire = self.inner.store.get::<Hires>(&id.0)?.ok_or(Refusal::OrderNotFound)?;
                Ok(!hire.step.is_committed())
            }
            Err(error) => Err(error),
        }
    }

    /// Ends a purchase that is not paid.
    async fn end(&self, id: HireId, why: &TradeError) -> Result<(), TradeError> {
        loop {
            let hire = self.inner.store.get::<Hires>(&id.0)?.ok_or(Refusal::OrderNotFound)?;
            if hire.step.is_committed() || hire.step.is_final() || hire.step == Step::Failed {
                return Err(TradeError::WrongState { state: shown_state(&hire) });
            }
            match self.inner.fail(id.0, &hire, why).await {
                Err(TradeError::Store(StoreError::Precondition { .. })) => {}
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        self.inner.rounds.add(id.0);
        Ok(())
    }

    /// Waits until a purchase is over, and shows it. Something else must tick.
    ///
    /// # Errors
    /// `order_not_found`, or a failure of the store.
    pub async fn wait(&self, id: HireId) -> Result<OrderView, TradeError> {
        let mut events = self.subscribe();
        loop {
            let view = self.show(id)?;
            if view.is_final {
                return Ok(view);
            }
            loop {
                match events.recv().await {
                    Ok(event) if event.hire == Some(id) => break,
                    Ok(_) => {}
                    Err(broadcast::error::RecvError::Lagged(_)) => break,
                    Err(broadcast::error::RecvError::Closed) => return self.show(id),
                }
            }
        }
    }

    /// Every step of every purchase from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<OrderEvent> {
        self.inner.events.subscribe()
    }

    /// Starts no further drive and waits for those under way.
    pub async fn shutdown(&self) {
        self.inner.rounds.close().await;
    }
}

impl Inner {
    fn fee(&self) -> Fee {
        venue_fee(&self.config.venue)
    }

    /// The home's random half, then the counter.
    fn salt_of(&self, id: u64) -> Hash {
        let mut salt = [0; 32];
        salt[..16].copy_from_slice(&self.salt);
        salt[24..].copy_from_slice(&id.to_be_bytes());
        Hash::from_bytes(salt)
    }

    async fn put_blob(&self, bytes: Vec<u8>) -> Result<Hash, TradeError> {
        put_blob(&self.blobs, bytes).await
    }

    /// Checks a wish against the current offer, and decides how to bid.
    async fn prepare(&self, request: &HireRequest) -> Result<(Offer, Bidding), TradeError> {
        if request.input.len() > MAX_PAYLOAD_BYTES {
            return Err(Refusal::InputTooLarge.into());
        }
        let now = self.clock.now();
        let offer = self.ports.market.offer(&request.provider, &request.slot).await.ok_or(Refusal::ListingUnknown)?;
        if request.listing.is_some_and(|listing| listing != offer.listing) {
            return Err(Refusal::ListingChanged.into());
        }
        if offer.price == Usdc::ZERO {
            return Err(Refusal::FreeNoOrder.into());
        }
        if self.config.venue.escrow.is_zero() {
            return Err(Refusal::NoEscrow.into());
        }
        if schema::check_aside(offer.input_schema.clone(), request.input.clone()).await? == schema::Fit::Misfits {
            return Err(Refusal::InvalidInput.into());
        }
        schema::usable(offer.output_schema.as_deref())?;
        let bound = self.ports.market.bound_address(&request.provider, now).await;
        if bound.is_none() || self.ports.signer.binding(&request.agent).is_none() {
            return Err(Refusal::BindingMissing.into());
        }
        let fee = self.fee();
        fee.deposit(offer.price)?;
        let affordable = highest_price(&fee, request.max_price);
        let deadline = now.plus(self.config.agree_within);
        let policy = match request.bargain {
            None if offer.price > affordable => return Err(TradeError::AboveMaxPrice),
            None => BuyerPolicy { bid: offer.price, ceiling: offer.price, step: Usdc::ZERO, deadline },
            Some(Bargain { bid, step }) => BuyerPolicy { bid, ceiling: offer.price.min(affordable), step, deadline },
        };
        if policy.bid.min(policy.ceiling) == Usdc::ZERO {
            return Err(Refusal::ZeroAmount.into());
        }
        Ok((offer, Bidding::open(policy)))
    }

    /// Writes a row with its life line and everything in `batch`, then tells everybody.
    async fn commit(
        &self,
        id: u64,
        hire: &mut Hire,
        batch: Batch,
        chain: Option<Timestamp>,
        tx: Option<TxRef>,
    ) -> Result<(), TradeError> {
        self.commit_as(hire.step.as_str(), id, hire, batch, chain, tx).await
    }

    /// As [`Self::commit`], for what is worth a line without being a step.
    async fn commit_as(
        &self,
        step: &'static str,
        id: u64,
        hire: &mut Hire,
        mut batch: Batch,
        chain: Option<Timestamp>,
        tx: Option<TxRef>,
    ) -> Result<(), TradeError> {
        let at = self.clock.now();
        let state = shown_state(hire);
        if hire.lines < MAX_LINES {
            let line = Line { step: Text::try_from(step).map_err(|_| Refusal::BadDocument)?, state, at, chain, tx };
            let key = line_key(haggle_base::Side::Buyer, &HireId(id).to_string(), hire.lines);
            batch.put::<Lines>(&key, &line)?;
            hire.lines += 1;
        }
        if let Some(order) = &hire.order {
            batch.put::<HiresByOrder>(order, &id)?;
        }
        if hire.step.is_final() {
            batch.delete::<OpenHires>(&id);
        }
        batch.put::<Hires>(&id, hire)?;
        self.store.commit(batch).await?;
        info!(
            hire.id = id,
            hire.step = step,
            order.state = %state,
            order.id = hire.order.map(tracing::field::display),
            "hire-{id} is at {step}"
        );
        let event = OrderEvent {
            side: haggle_base::Side::Buyer,
            agent: hire.agent,
            counterparty: hire.provider,
            hire: Some(HireId(id)),
            order: hire.order,
            step,
            state,
            at,
            tx,
            failure: hire.failure.clone(),
            is_final: hire.step.is_final(),
        };
        if self.events.send(event).is_err() {
            debug!(hire.id = id, "nobody listens to order events");
        }
        self.ports.faults.reached(step).await;
        Ok(())
    }

    /// Replaces `old` by `new`, unless somebody else changed the row in between.
    async fn replace(
        &self,
        id: u64,
        old: &Hire,
        mut new: Hire,
        chain: Option<Timestamp>,
        tx: Option<TxRef>,
    ) -> Result<(), TradeError> {
        let mut batch = Batch::new();
        batch.require_equals::<Hires>(&id, old)?;
        self.commit(id, &mut new, batch, chain, tx).await
    }

    /// Writes down that the provider stops, because nobody waits for the result any more.
    async fn note_stopped(&self, id: u64, old: &Hire) -> Result<(), TradeError> {
        let mut new = Hire { stopped: Some(self.clock.now()), ..old.clone() };
        let mut batch = Batch::new();
        batch.require_equals::<Hires>(&id, old)?;
        self.commit_as("stopped", id, &mut new, batch, None, None).await
    }

    /// Writes down why a hire ends before any money moved.
    async fn fail(&self, id: u64, hire: &Hire, error: &TradeError) -> Result<(), TradeError> {
        use crate::order::command::Command;
        info!(hire.id = id, error.code = error.code(), "hire-{id} ends: {error}");
        let mut next = hire.clone();
        next.step = Step::Failed;
        next.failure = Text::try_from(error.code()).ok();
        if let Some(machine) = &mut next.machine {
            let _moved = machine.apply(Command::Cancel, self.clock.now());
        }
        self.replace(id, hire, next, None, None).await
    }

    fn view(&self, id: u64, hire: &Hire, with_lines: bool) -> Result<OrderView, TradeError> {
        let agreement = hire.own_terms.as_ref().map(|terms| Agreement::open(terms, &hire.agent, &self.config.venue));
        let agreement = agreement.transpose()?;
        let quote = hire.quote.as_ref().map(|quote| crate::document::Quote::open(quote, &hire.provider)).transpose()?;
        let price = quote.as_ref().map(|signed| signed.quote.price);
        let lines = if with_lines { self.lines(id)? } else { Vec::new() };
        Ok(OrderView {
            side: haggle_base::Side::Buyer,
            hire: Some(HireId(id)),
            id: hire.order,
            buyer: hire.agent,
            provider: hire.provider,
            listing: Some(hire.listing),
            slot: hire.slot.clone(),
            title: hire.title.clone(),
            state: shown_state(hire),
            step: hire.step.as_str(),
            is_final: hire.step.is_final(),
            awaits_output: false,
            price,
            fee: quote.as_ref().map(|signed| signed.quote.fee.of(signed.quote.price)),
            deposit: quote.map(|signed| signed.quote.fee.deposit(signed.quote.price)).transpose()?,
            clocks: agreement.map(|agreement| agreement.terms.clocks()),
            input: hire.input,
            output: hire.held.as_ref().map(|held| held.output),
            verdict: hire.verdict,
            ending: hire.ending,
            fund_tx: hire.fund_tx,
            failure: hire.failure.clone(),
            reason: hire.reason.clone(),
            deadline: hire.deadline,
            started: hire.started,
            lines,
        })
    }

    fn lines(&self, id: u64) -> Result<Vec<Line>, TradeError> {
        let from = line_key(haggle_base::Side::Buyer, &HireId(id).to_string(), 0);
        read_lines(&self.store, &from.0)
    }
}

/// The state a view shows: the machine's, once there is one.
fn shown_state(hire: &Hire) -> OrderState {
    hire.machine.as_ref().map_or_else(|| hire.step.shown_state(), crate::order::OrderMachine::state)
}

/// The life line of one order.
pub(crate) fn read_lines(store: &Store, of: &str) -> Result<Vec<Line>, TradeError> {
    use haggle_store::Key as _;
    let prefix = of.to_owned().encode();
    let rows = store.prefix::<Lines>(&prefix, MAX_LINES as usize)?;
    Ok(rows.into_iter().map(|(_, line)| line).collect())
}

/// Writes a blob without holding up the other tasks.
pub(crate) async fn put_blob(blobs: &Blobs, bytes: Vec<u8>) -> Result<Hash, TradeError> {
    let blobs = blobs.clone();
    match tokio::task::spawn_blocking(move || blobs.put(&bytes)).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(PortError::unreachable("the node is stopping").into()),
    }
}

/// The highest price that, with its fee, stays within `max`.
fn highest_price(fee: &Fee, max: Usdc) -> Usdc {
    let mut low = 0;
    let mut high = max.units();
    while low < high {
        let middle = high - (high - low) / 2;
        match fee.deposit(Usdc::from_units(middle)) {
            Ok(deposit) if deposit <= max => low = middle,
            Ok(_) | Err(_) => high = middle - 1,
        }
    }
    Usdc::from_units(low)
}

/// The home's random half of every salt, drawn once and kept.
async fn home_salt(store: &Store) -> Result<[u8; 16], TradeError> {
    if let Some(salt) = store.get::<Salts>(&())? {
        return <[u8; 16]>::try_from(salt.as_bytes()).map_err(|_| Refusal::BadDocument.into());
    }
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|_| no_randomness())?;
    let kept = haggle_base::Blob::try_from(salt.to_vec()).map_err(|_| Refusal::BadDocument)?;
    let mut batch = Batch::new();
    batch.put::<Salts>(&(), &kept)?;
    store.commit(batch).await?;
    Ok(salt)
}

fn no_randomness() -> TradeError {
    PortError {
        code: "no_randomness",
        hint: "the operating system gives no random bytes",
        retryable: false,
        detail: "no random bytes".to_owned(),
    }
    .into()
}
