//! Answering a buyer: each message is judged against what is stored, and a repeated one changes nothing.

use std::time::Duration;

use haggle_base::{Address, Blob, Coded, Did, EvmSignature, Hash, Order, OrderId, Timestamp, Usdc, cbor};
use haggle_store::{Batch, StoreError};
use tracing::debug;

use super::{Inner, awaits_release, wrong_state};
use crate::{
    buyer::put_blob,
    config::{MAX_FUND_WINDOW, MAX_PAYLOAD_BYTES},
    document::{QUOTE_KIND, Quote, schema_hash},
    error::{Refusal, TradeError},
    negotiation::{Asking, SellerPolicy, event},
    offer::Offer,
    order::{
        OrderMachine,
        command::{AcceptBy, Command},
        job::Step,
    },
    records::{Answer, Job, Jobs, Negotiation, Negotiations, NegotiationsByExpiry, OpenJobs},
    schema,
    terms::{Agreement, TERMS_KIND, same, venue_fee},
    wire::{Payload, QuoteRequest, TradeMessage, TradeReply},
};

/// Quotes kept for one caller at most, with those that became orders and were paid for.
const MAX_BOUGHT_QUOTES: usize = 1_024;
/// How often a message is tried when the row changes under it.
const TRIES: u32 = 4;

impl Inner {
    /// Answers one message; a refusal is an answer.
    pub(super) async fn handle(&self, proven: &[Did], agent: &Did, message: TradeMessage) -> TradeReply {
        for _ in 0..TRIES {
            match self.answer(proven, agent, message.clone()).await {
                Err(TradeError::Store(StoreError::Precondition { .. })) => {}
                Ok(reply) => return reply,
                Err(error) => {
                    debug!(
                        error.code = error.code(),
                        order.id = message.order().map(tracing::field::display),
                        "refused a buyer's message: {error}"
                    );
                    return TradeReply::reject(&error);
                }
            }
        }
        TradeReply::Reject { code: Refusal::TryAgain, field: None }
    }

    async fn answer(&self, proven: &[Did], agent: &Did, message: TradeMessage) -> Result<TradeReply, TradeError> {
        match message {
            TradeMessage::QuoteRequest(request) => self.quote_request(proven, agent, request).await,
            TradeMessage::Counter { request, round, bid } => self.counter(proven, agent, request, round, bid).await,
            TradeMessage::Terms { request, document } => self.terms(proven, agent, request, document.into_vec()).await,
            TradeMessage::Input { order, input } => self.input(proven, agent, order, input).await,
            TradeMessage::Countersign { order, fields } => self.countersign(proven, agent, order, &fields).await,
            TradeMessage::Fund { order, authorisation } => self.fund(proven, agent, order, authorisation).await,
            TradeMessage::Collect { order } => self.collect(proven, agent, order),
            TradeMessage::Release { order, signature } => self.release(proven, agent, order, signature).await,
            TradeMessage::Cancel { order } => self.cancel(proven, agent, order).await,
        }
    }

    async fn quote_request(
        &self,
        proven: &[Did],
        agent: &Did,
        request: QuoteRequest,
    ) -> Result<TradeReply, TradeError> {
        let now = self.clock.now();
        if !proven.contains(&request.buyer) {
            return Err(Refusal::BadSignature.into());
        }
        let key = (request.buyer, request.request);
        if let Some(row) = self.store.get::<Negotiations>(&key)?
            && row.expires > now
        {
            let same_wish = row.agent == *agent && row.listing == request.listing && row.input == request.input;
            return if same_wish { reply_of(&row) } else { Err(Refusal::BadDocument.into()) };
        }
        let venue = &self.config.venue;
        let buyer_address = request
            .binding
            .verify(&venue.network, &request.buyer, venue.chain_id, now)
            .map_err(|_| Refusal::BindingMissing)?;
        let offer = self.offer_for(agent, &request).await?;
        let mut live = self.quoting.lock().await;
        *live = live.saturating_sub(self.sweep(now).await?);
        self.check_quota(proven, *live)?;

        let rules = self.rules(agent, &offer.slot);
        let expires = now.plus(self.config.quote_ttl);
        let policy = SellerPolicy {
            ask: offer.price,
            floor: rules.floor.unwrap_or(offer.price).min(offer.price),
            step: rules.step,
            deadline: expires,
        };
        for text in [&offer.input_schema, &offer.output_schema].into_iter().flatten() {
            put_blob(&self.blobs, text.clone().into_bytes()).await?;
        }
        let mut asking = Asking::open(policy);
        let said = asking.bid(request.bid, now);
        let answer = self.answer_of(said, agent, &request.buyer, request.request, request.input, &offer, expires)?;
        let row = Negotiation {
            agent: *agent,
            buyer_address,
            listing: offer.listing,
            slot: offer.slot.clone(),
            seq: offer.seq,
            title: offer.title.clone(),
            input: request.input,
            input_bytes: request.input_bytes,
            input_schema: schema_hash(offer.input_schema.as_deref()),
            last_bid: request.bid,
            round: 1,
            asking,
            answer,
            expires,
            order: None,
        };
        let mut batch = Batch::new();
        batch.put::<NegotiationsByExpiry>(&(expires, request.buyer, request.request), &())?;
        let stale = self.store.get::<Negotiations>(&key)?;
        match &stale {
            Some(stale) => batch.require_equals::<Negotiations>(&key, stale)?,
            None => batch.require_absent::<Negotiations>(&key),
        };
        batch.put::<Negotiations>(&key, &row)?;
        self.store.commit(batch).await?;
        if stale.is_none() {
            *live += 1;
        }
        drop(live);
        self.note_quoted(&row).await;
        reply_of(&row)
    }

    async fn counter(
        &self,
        proven: &[Did],
        agent: &Did,
        request: Hash,
        round: u8,
        bid: Usdc,
    ) -> Result<TradeReply, TradeError> {
        let now = self.clock.now();
        let (buyer, row) = self.negotiation(proven, agent, request)?.ok_or(Refusal::QuoteExpired)?;
        if round <= row.round {
            return reply_of(&row);
        }
        if round != row.round + 1 || row.order.is_some() {
            return Err(Refusal::WrongState.into());
        }
        let offer = self.ports.market.offer(agent, &row.slot).await.ok_or(Refusal::ListingUnknown)?;
        if offer.listing != row.listing {
            return Err(Refusal::ListingChanged.into());
        }
        let mut next = row.clone();
        let said = next.asking.bid(bid, now);
        next.answer = self.answer_of(said, agent, &buyer, request, row.input, &offer, row.expires)?;
        next.last_bid = bid;
        next.round = round;
        let key = (buyer, request);
        let mut batch = Batch::new();
        batch.require_equals::<Negotiations>(&key, &row)?.put::<Negotiations>(&key, &next)?;
        self.store.commit(batch).await?;
        self.note_quoted(&next).await;
        reply_of(&next)
    }

    async fn terms(
        &self,
        proven: &[Did],
        agent: &Did,
        request: Hash,
        document: Vec<u8>,
    ) -> Result<TradeReply, TradeError> {
        let now = self.clock.now();
        let agreement = Agreement::open_from_buyer(&document, &self.config.venue)?;
        let (id, buyer) = (agreement.id, agreement.parties.buyer);
        if !proven.contains(&buyer) {
            return Err(Refusal::BadSignature.into());
        }
        same("provider", &agreement.parties.provider, agent)?;
        if let Some(job) = self.store.get::<Jobs>(&id)? {
            return terms_signed(id, &job);
        }
        let (_, row) = self.negotiation(proven, agent, request)?.ok_or(Refusal::QuoteExpired)?;
        let Answer::Quoted(quote) = &row.answer else { return Err(Refusal::NoAgreement.into()) };
        let quote = Quote::open(quote, agent)?;
        if row.order.is_some() {
            return Err(Refusal::WrongState.into());
        }
        quote.quote.check_time(now)?;
        quote.check_terms(&agreement)?;
        same("buyer_address", &agreement.parties.buyer_address, &row.buyer_address)?;
        same("provider_address", &agreement.parties.provider_address, &self.own_address(agent)?)?;
        let chain_now = self.ports.money.chain_now().await?;
        check_clocks(&agreement, chain_now)?;
        let _counted = self.intake.lock().await;
        self.check_capacity(proven)?;

        let own = self.ports.signer.sign(agent, TERMS_KIND, agreement.payload())?;
        let mut job = Job {
            agent: *agent,
            buyer,
            request,
            slot: row.slot.clone(),
            title: row.title.clone(),
            their_terms: Blob::try_from(document).map_err(|_| Refusal::BadDocument)?,
            own_terms: Blob::try_from(own).map_err(|_| Refusal::BadDocument)?,
            step: Step::TermsSigned,
            machine: OrderMachine::propose(agreement.terms.clocks()),
            input: agreement.terms.input,
            input_bytes: row.input_bytes,
            input_blob: None,
            input_schema: row.input_schema,
            started: now,
            consent: None,
            authorisation: None,
            fund_tx: None,
            funded_at: None,
            output: None,
            held: None,
            release: None,
            ending: None,
            failure: None,
            stopped: None,
            counter: false,
            quarrel: None,
            lines: 0,
        };
        let key = (buyer, request);
        let used = Negotiation { order: Some(id), ..row.clone() };
        let mut batch = Batch::new();
        batch.require_equals::<Negotiations>(&key, &row)?.put::<Negotiations>(&key, &used)?;
        batch.require_absent::<Jobs>(&id).put::<OpenJobs>(&id, &())?;
        self.commit(id, &mut job, batch, Some(chain_now), None).await?;
        self.rounds.add(id);
        terms_signed(id, &job)
    }

    async fn input(&self, proven: &[Did], agent: &Did, id: OrderId, input: Payload) -> Result<TradeReply, TradeError> {
        let job = self.job(proven, agent, &id)?;
        let input = input.into_vec();
        if Hash::of(&input) != job.input || input.len() as u64 != job.input_bytes {
            return Err(Refusal::InvalidInput.into());
        }
        if job.step != Step::TermsSigned {
            return Ok(TradeReply::InputHeld { order: id });
        }
        let schema = self.schema(job.input_schema.as_ref())?;
        if schema::check_aside(schema, input.clone()).await? == schema::Fit::Misfits {
            return Err(Refusal::InvalidInput.into());
        }
        // The row is read again under the lock, so that an input is never left behind without its order.
        let _counted = self.intake.lock().await;
        let job = self.job(proven, agent, &id)?;
        if job.step != Step::TermsSigned {
            return Ok(TradeReply::InputHeld { order: id });
        }
        self.check_room(job.input_bytes)?;
        let mut next = job.clone();
        next.input_blob = Some(put_blob(&self.blobs, [id.as_bytes().as_slice(), &input].concat()).await?);
        next.step = Step::InputHeld;
        self.replace(id, &job, next, None, None).await?;
        Ok(TradeReply::InputHeld { order: id })
    }

    async fn countersign(
        &self,
        proven: &[Did],
        agent: &Did,
        id: OrderId,
        fields: &Order,
    ) -> Result<TradeReply, TradeError> {
        let job = self.job(proven, agent, &id)?;
        let agreement = self.agreement(&job)?;
        agreement.check_order(fields)?;
        if let Some(signature) = job.consent {
            return Ok(TradeReply::Countersigned { order: id, signature });
        }
        if job.step != Step::InputHeld {
            return Err(wrong_state(&job));
        }
        let chain_now = self.ports.money.chain_now().await?;
        check_clocks(&agreement, chain_now)?;
        let mut next = job.clone();
        crate::buyer::moved(next.machine.apply(Command::Agree, chain_now))?;
        let signature = self.ports.money.sign_order(agent, &agreement.order).await?;
        next.consent = Some(signature);
        next.step = Step::OrderCountersigned;
        self.replace(id, &job, next, Some(chain_now), None).await?;
        Ok(TradeReply::Countersigned { order: id, signature })
    }

    async fn fund(
        &self,
        proven: &[Did],
        agent: &Did,
        id: OrderId,
        authorisation: EvmSignature,
    ) -> Result<TradeReply, TradeError> {
        let job = self.job(proven, agent, &id)?;
        if job.authorisation.is_some() {
            self.rounds.add(id);
            return Ok(status(id, &job));
        }
        if job.step != Step::OrderCountersigned {
            return Err(wrong_state(&job));
        }
        let agreement = self.agreement(&job)?;
        agreement.check_payment(&authorisation, &self.config.venue)?;
        let chain_now = self.ports.money.chain_now().await?;
        let mut next = job.clone();
        crate::buyer::moved(next.machine.apply(Command::Commit, chain_now))?;
        next.authorisation = Some(authorisation);
        next.step = Step::FundSubmitted;
        self.replace(id, &job, next.clone(), Some(chain_now), None).await?;
        self.rounds.add(id);
        Ok(status(id, &next))
    }

    fn collect(&self, proven: &[Did], agent: &Did, id: OrderId) -> Result<TradeReply, TradeError> {
        let job = self.job(proven, agent, &id)?;
        let Some(held) = &job.held else { return Ok(status(id, &job)) };
        let output = self.blobs.get(&held.output)?.ok_or(Refusal::TryAgain)?;
        Ok(TradeReply::Receipt {
            order: id,
            document: held.receipt.as_bytes().to_vec().try_into()?,
            output: Payload::try_from(output)?,
        })
    }

    async fn release(
        &self,
        proven: &[Did],
        agent: &Did,
        id: OrderId,
        signature: EvmSignature,
    ) -> Result<TradeReply, TradeError> {
        let job = self.job(proven, agent, &id)?;
        let agreement = self.agreement(&job)?;
        agreement.check_release(&signature, &self.config.venue)?;
        if job.release.is_some() || job.ending.is_some() {
            self.rounds.add(id);
            return Ok(status(id, &job));
        }
        if !awaits_release(job.step) {
            return Err(wrong_state(&job));
        }
        let mut next = job.clone();
        crate::buyer::moved(next.machine.apply(Command::Accept(AcceptBy::Release), self.clock.now()))?;
        next.release = Some(signature);
        next.step = Step::ReleaseHeld;
        self.replace(id, &job, next.clone(), None, None).await?;
        self.rounds.add(id);
        Ok(status(id, &next))
    }

    /// Closes an order that we have not signed. One that we have signed stays until `fund_by`, because the buyer
    /// could still fund it; but without a receipt the work on it stops, and what was paid goes back.
    async fn cancel(&self, proven: &[Did], agent: &Did, id: OrderId) -> Result<TradeReply, TradeError> {
        let _counted = self.intake.lock().await;
        let mut job = self.job(proven, agent, &id)?;
        if job.step.can_stop() && job.stopped.is_none() {
            self.note_stopped(id, &job).await?;
        }
        if !matches!(job.step, Step::TermsSigned | Step::InputHeld) {
            return Ok(status(id, &job));
        }
        self.erase(id, &job, Command::Cancel, self.clock.now(), TradeError::Cancelled.code()).await?;
        crate::buyer::moved(job.machine.apply(Command::Cancel, self.clock.now()))?;
        self.rounds.add(id);
        Ok(status(id, &job))
    }

    /// The text of a schema that one of our listings had when it was quoted.
    pub(super) fn schema(&self, hash: Option<&Hash>) -> Result<Option<String>, TradeError> {
        let Some(hash) = hash else { return Ok(None) };
        let bytes = self.blobs.get(hash)?.ok_or(Refusal::TryAgain)?;
        String::from_utf8(bytes).map(Some).map_err(|_| TradeError::BadSchema)
    }

    /// The order, if it is this agent's and the caller proved to be its buyer; else it does not exist.
    fn job(&self, proven: &[Did], agent: &Did, id: &OrderId) -> Result<Job, TradeError> {
        let job = self.store.get::<Jobs>(id)?.filter(|job| job.agent == *agent && proven.contains(&job.buyer));
        job.ok_or_else(|| Refusal::OrderNotFound.into())
    }

    /// The live negotiation of one of the proven callers, with its buyer.
    fn negotiation(
        &self,
        proven: &[Did],
        agent: &Did,
        request: Hash,
    ) -> Result<Option<(Did, Negotiation)>, TradeError> {
        let now = self.clock.now();
        for buyer in proven {
            if let Some(row) = self.store.get::<Negotiations>(&(*buyer, request))?
                && row.agent == *agent
                && row.expires > now
            {
                return Ok(Some((*buyer, row)));
            }
        }
        Ok(None)
    }

    async fn offer_for(&self, agent: &Did, request: &QuoteRequest) -> Result<Offer, TradeError> {
        let offer = self.ports.market.offer(agent, &request.slot).await.ok_or(Refusal::ListingUnknown)?;
        if offer.provider != *agent {
            return Err(Refusal::ListingUnknown.into());
        }
        if offer.listing != request.listing || offer.seq != request.seq {
            return Err(Refusal::ListingChanged.into());
        }
        if offer.price == Usdc::ZERO {
            return Err(Refusal::FreeNoOrder.into());
        }
        if self.config.venue.escrow.is_zero() {
            return Err(Refusal::NoEscrow.into());
        }
        if request.bid == Usdc::ZERO {
            return Err(Refusal::ZeroAmount.into());
        }
        if request.input_bytes > MAX_PAYLOAD_BYTES as u64 {
            return Err(Refusal::InputTooLarge.into());
        }
        venue_fee(&self.config.venue).deposit(offer.price)?;
        self.own_address(agent)?;
        Ok(offer)
    }

    /// Our agent's payment address; without a binding to it nothing is quoted.
    fn own_address(&self, agent: &Did) -> Result<Address, TradeError> {
        let venue = &self.config.venue;
        let binding = self.ports.signer.binding(agent).ok_or(Refusal::BindingMissing)?;
        let bound = binding
            .verify(&venue.network, agent, venue.chain_id, self.clock.now())
            .map_err(|_| Refusal::BindingMissing)?;
        if self.ports.money.payment_address(agent) == Some(bound) {
            Ok(bound)
        } else {
            Err(Refusal::BindingMissing.into())
        }
    }

    /// Refuses a negotiation beyond what we keep for one caller, under all its DIDs, and in total.
    fn check_quota(&self, proven: &[Did], live: usize) -> Result<(), TradeError> {
        use haggle_store::Key as _;
        let most = self.config.max_quotes_per_buyer;
        let mut of_caller = 0;
        for did in proven {
            let kept = self.store.prefix::<Negotiations>(&did.encode(), most.max(MAX_BOUGHT_QUOTES))?;
            if kept.len() < most || kept.len() >= MAX_BOUGHT_QUOTES {
                of_caller += kept.len();
                continue;
            }
            for (_, row) in kept {
                // what was paid for is no burden: who buys much may buy more
                let job = row.order.map(|order| self.store.get::<Jobs>(&order)).transpose()?.flatten();
                of_caller += usize::from(job.is_none_or(|job| job.step.is_unfunded()));
            }
        }
        if of_caller >= most || live >= self.config.max_quotes {
            return Err(Refusal::CapacityFull.into());
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "a quote names everything it binds")]
    fn answer_of(
        &self,
        said: event::Ask,
        agent: &Did,
        buyer: &Did,
        request: Hash,
        input: Hash,
        offer: &Offer,
        expires: Timestamp,
    ) -> Result<Answer, TradeError> {
        let price = match said {
            event::Ask::Quoted(price) => price,
            event::Ask::Countered(ask) => return Ok(Answer::Countered(ask)),
            event::Ask::Ended(_) => return Ok(Answer::Ended),
        };
        if price == Usdc::ZERO {
            return Err(Refusal::ZeroAmount.into());
        }
        let quote = Quote {
            request,
            buyer: *buyer,
            provider: *agent,
            listing: offer.listing,
            slot: offer.slot.clone(),
            seq: offer.seq,
            skill: offer.skill.clone(),
            capability: offer.capability.clone(),
            input,
            output_schema: schema_hash(offer.output_schema.as_deref()),
            price,
            fee: venue_fee(&self.config.venue),
            deliver_within_secs: offer.deliver_within_secs,
            review_secs: offer.review_secs,
            expires,
        };
        let signed = self.ports.signer.sign(agent, QUOTE_KIND, &cbor::to_vec(&quote)?)?;
        Ok(Answer::Quoted(Blob::try_from(signed).map_err(|_| Refusal::BadDocument)?))
    }

    async fn note_quoted(&self, row: &Negotiation) {
        if matches!(row.answer, Answer::Quoted(_)) {
            self.ports.faults.reached(Step::Quoted.as_str()).await;
        }
    }
}

/// The stored answer of a negotiation.
fn reply_of(row: &Negotiation) -> Result<TradeReply, TradeError> {
    match &row.answer {
        Answer::Quoted(quote) => Ok(TradeReply::Quote { document: quote.as_bytes().to_vec().try_into()? }),
        Answer::Countered(ask) => Ok(TradeReply::Counter { ask: *ask }),
        Answer::Ended => Err(Refusal::NoAgreement.into()),
    }
}

fn terms_signed(id: OrderId, job: &Job) -> Result<TradeReply, TradeError> {
    Ok(TradeReply::TermsSigned { order: id, document: job.own_terms.as_bytes().to_vec().try_into()? })
}

fn status(id: OrderId, job: &Job) -> TradeReply {
    TradeReply::Status { order: id, state: job.machine.state() }
}

/// What a provider asks of the clocks before it signs: `fund_by` ahead but at most five minutes, and exactly
/// its own delivery time between `fund_by` and `deliver_by`: less would be a promise it did not make, more
/// would let a buyer hold its pay back.
fn check_clocks(agreement: &Agreement, chain_now: Timestamp) -> Result<(), TradeError> {
    let terms = &agreement.terms;
    let clocks = terms.clocks();
    let ahead = clocks.fund_by.since(chain_now);
    let delivery = clocks.deliver_by.since(clocks.fund_by);
    let promised = Duration::from_secs(u64::from(terms.sla.deliver_within_secs));
    if ahead.is_zero() || ahead > MAX_FUND_WINDOW || delivery != promised {
        return Err(Refusal::BadClocks.into());
    }
    Ok(())
}
