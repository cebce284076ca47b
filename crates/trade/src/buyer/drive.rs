//! Acting on the saga's decisions: one effect, then the next step on disk.

use std::time::Duration;

use alloy_primitives::B256;
use haggle_base::{Blob, ClosedBy, Coded, Hash, Parties, Side, Text, Timestamp};
use haggle_store::StoreError;
use tracing::{debug, warn};

use super::{
    Flow, Inner,
    haggling::{Wish, refused},
};
use crate::{
    document::{Quote, Receipt},
    error::{PortError, Refusal, TradeError},
    order::{
        Moved, OrderMachine, OrderState,
        command::{AcceptBy, Command},
        saga::{self, ChainView, Next, Patience, Step, Verdict},
    },
    ports::{Closing, OnChain, Phase, SettledFacts, TxRef},
    records::{Ending, Held, Hire, HireId, Hires},
    rounds::Progress,
    schema,
    terms::{Agreement, Scheme, ServiceLevel, TERMS_KIND, Terms, same},
    wire::{Payload, TradeMessage, TradeReply},
};

/// How long a message that needs no answer is given before it is sent again.
const RESEND_AFTER: Duration = Duration::from_secs(3);
/// Work under way for this long is asked for ever less often, at last every five seconds.
const SLOW_AFTER: Duration = Duration::from_secs(60);

/// What the chain shows, and by which transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) view: ChainView,
    pub(super) tx: Option<TxRef>,
    pub(super) deliverable: Option<Hash>,
}

impl Inner {
    /// Drives one hire until it waits, is in trouble, or is over.
    pub(super) async fn advance(&self, id: u64) -> Progress {
        let Some(drive) = self.rounds.take(id) else { return Progress::Busy };
        let progress = self.drive(id).await;
        if progress == Progress::Finished {
            self.sent.lock().remove(&id);
        }
        drive.done(progress, self.clock.now(), self.config.poll_every);
        progress
    }

    async fn drive(&self, id: u64) -> Progress {
        loop {
            let hire = match self.store.get::<Hires>(&id) {
                Ok(Some(hire)) => hire,
                Ok(None) => return Progress::Finished,
                Err(error) => {
                    warn!(hire.id = id, error.code = error.code(), "cannot read hire-{id}: {error}");
                    return Progress::Troubled;
                }
            };
            match Box::pin(self.step(id, &hire)).await {
                Ok(Flow::Moved) | Err(TradeError::Store(StoreError::Precondition { .. })) => {}
                Ok(Flow::Wait) => return Progress::Waiting,
                Ok(Flow::Idle) => return Progress::Troubled,
                Ok(Flow::Done) => return Progress::Finished,
                Err(error) => match self.trouble(id, &hire, error).await {
                    Some(progress) => return progress,
                    None => continue,
                },
            }
        }
    }

    /// Decides what an error means: look again later, or end the hire. `None` goes on at once.
    async fn trouble(&self, id: u64, hire: &Hire, error: TradeError) -> Option<Progress> {
        debug!(hire.id = id, error.code = error.code(), "hire-{id} at {} met: {error}", hire.step);
        let can_end = !hire.step.is_committed() && !matches!(hire.step, Step::Failed | Step::Closed);
        let late = self.patience(hire) != Patience::Waits;
        let overdue = late || self.clock.now() >= hire.started.plus(self.config.agree_within);
        if !can_end || (error.is_retryable() && !overdue) {
            return Some(Progress::Troubled);
        }
        match self.fail(id, hire, if late { &TradeError::Timeout } else { &error }).await {
            Ok(()) | Err(TradeError::Store(StoreError::Precondition { .. })) => None,
            Err(error) => {
                warn!(hire.id = id, error.code = error.code(), "cannot end hire-{id}: {error}");
                Some(Progress::Troubled)
            }
        }
    }

    async fn step(&self, id: u64, hire: &Hire) -> Result<Flow, TradeError> {
        let agreement = self.agreement(hire)?;
        let look = match &agreement {
            Some(agreement) if hire.step.watches_chain() => Some(self.look(agreement).await?),
            Some(_) | None => None,
        };
        let seen = saga::Seen {
            step: hire.step,
            clocks: agreement.as_ref().map(|agreement| agreement.terms.clocks()),
            chain: look.map(|look| look.view),
            verdict: hire.verdict,
            can_dispute: agreement.as_ref().is_some_and(Agreement::can_be_disputed),
            is_mismatch: match (&hire.held, look.and_then(|look| look.deliverable)) {
                (Some(held), Some(posted)) => held.output != posted,
                (_, _) => false,
            },
            has_grievance: hire.grievance.is_some(),
            patience: self.patience(hire),
            since_release: hire.release_at.map_or(Duration::ZERO, |at| self.clock.now().since(at)),
            settle_wait: self.config.settle_wait,
        };
        let next = saga::next(&seen);
        let Some(agreement) = agreement else {
            return match next {
                Next::ReserveAndNegotiate => self.negotiate(id, hire).await,
                Next::SignTerms => self.sign_terms(id, hire).await,
                Next::GiveUp => Err(TradeError::Timeout),
                Next::ReturnReservation => self.return_reservation(id, hire, None).await,
                Next::Done => Ok(Flow::Done),
                _ => Err(Refusal::BadDocument.into()),
            };
        };
        match (next, look) {
            (Next::GiveUp, _) => Err(TradeError::Timeout),
            (Next::ExchangeTerms, _) => self.exchange_terms(id, hire, &agreement).await,
            (Next::SendInput, Some(look)) => self.send_input(id, hire, &agreement, look).await,
            (Next::Authorise, Some(look)) => self.authorise(id, hire, &agreement, look).await,
            (Next::Pay, Some(_)) => self.pay(id, hire, &agreement).await,
            (Next::NoteFunded, Some(look)) => self.note_funded(id, hire, look).await,
            (Next::Expire, Some(look)) => self.expire(id, hire, look).await,
            (Next::AskToStop, Some(look)) => self.ask_to_stop(id, hire, &agreement, look).await,
            (Next::Collect, Some(look)) => self.collect(id, hire, &agreement, look).await,
            (Next::Check, _) => self.check(id, hire, &agreement).await,
            (Next::SignRelease, Some(look)) => self.sign_release(id, hire, &agreement, look).await,
            (Next::SendRelease, Some(_)) => self.send_release(id, hire, &agreement).await,
            (Next::SubmitRelease, Some(_)) => self.submit_release(hire, &agreement).await,
            (Next::OpenDispute, Some(look)) => self.open_dispute(id, hire, &agreement, look).await,
            (Next::SubmitDispute, Some(look)) => self.submit_dispute(id, hire, &agreement, look).await,
            (Next::NoteDisputed, Some(look)) => self.note_disputed(id, hire, look).await,
            (Next::NoteUnfunded, Some(look)) => self.note_unfunded(id, hire, look.view.now).await,
            (Next::Finalize, Some(_)) => {
                self.ports.money.submit_finalize(&hire.agent, &agreement.order).await?;
                Ok(Flow::Wait)
            }
            (Next::NoteClosed, Some(look)) => self.note_closed(id, hire, look).await,
            (Next::Attest, _) => self.attest(id, hire, &agreement).await,
            (Next::ReturnReservation, _) => self.return_reservation(id, hire, Some(&agreement)).await,
            (Next::Done, _) => Ok(Flow::Done),
            (_, _) => Ok(Flow::Wait),
        }
    }

    /// Whether somebody still waits for the result.
    fn patience(&self, hire: &Hire) -> Patience {
        match (hire.stopped, hire.deadline) {
            (Some(_), _) => Patience::Stopped,
            (None, Some(deadline)) if self.clock.now() >= deadline => Patience::Over,
            (None, Some(_) | None) => Patience::Waits,
        }
    }

    pub(super) fn agreement(&self, hire: &Hire) -> Result<Option<Agreement>, TradeError> {
        hire.own_terms.as_ref().map(|terms| Agreement::open(terms, &hire.agent, &self.config.venue)).transpose()
    }

    /// Reads the time first, then the phase, so that a phase read after a deadline counts.
    async fn look(&self, agreement: &Agreement) -> Result<Look, TradeError> {
        let now = self.ports.money.chain_now().await?;
        let OnChain { phase, tx, deliverable, .. } = self.ports.money.on_chain(&agreement.id, &agreement.order).await?;
        Ok(Look { view: ChainView { phase, now }, tx, deliverable })
    }

    async fn negotiate(&self, id: u64, hire: &Hire) -> Result<Flow, TradeError> {
        let now = self.clock.now();
        let key = HireId(id).reservation();
        self.ports.money.reserve(&key, &hire.agent, hire.reserved, now).await?;
        let offer = self.ports.market.offer(&hire.provider, &hire.slot).await.ok_or(Refusal::ListingUnknown)?;
        if offer.listing != hire.listing {
            return Err(Refusal::ListingChanged.into());
        }
        let wish = Wish {
            agent: hire.agent,
            request: hire.request,
            input: hire.input,
            input_bytes: hire.input_bytes,
            max_price: hire.max_price,
            until: hire.deadline,
        };
        let agreed = self.haggle(&wish, &offer, hire.bidding.clone()).await?;
        let mut next = hire.clone();
        next.quote = Some(Blob::try_from(agreed.bytes).map_err(|_| Refusal::BadDocument)?);
        next.step = Step::Quoted;
        self.replace(id, hire, next, None, None).await?;
        Ok(Flow::Moved)
    }

    async fn sign_terms(&self, id: u64, hire: &Hire) -> Result<Flow, TradeError> {
        let now = self.clock.now();
        let bytes = hire.quote.as_ref().ok_or(Refusal::BadDocument)?;
        let signed = Quote::open(bytes, &hire.provider)?;
        signed.quote.check_time(now)?;
        let provider_address =
            self.ports.market.bound_address(&hire.provider, now).await.ok_or(Refusal::BindingMissing)?;
        let buyer_address = self.ports.money.payment_address(&hire.agent).ok_or(Refusal::BindingMissing)?;
        let chain_now = self.ports.money.chain_now().await?;
        let venue = &self.config.venue;
        let quote = &signed.quote;
        let fund_by = chain_now.as_secs() + self.config.fund_window.as_secs();
        let terms = Terms {
            network: venue.network.clone(),
            chain_id: venue.chain_id,
            escrow: venue.escrow,
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
            fund_by,
            deliver_by: fund_by + u64::from(quote.deliver_within_secs),
            review_secs: quote.review_secs,
            validator: haggle_base::Address::ZERO,
            arbiter: venue.arbiter(),
            sla: ServiceLevel { deliver_within_secs: quote.deliver_within_secs },
            salt: B256::from(*hire.salt.as_bytes()),
        };
        let parties = Parties { buyer: hire.agent, provider: hire.provider, buyer_address, provider_address };
        let agreement = Agreement::new(&parties, &terms, venue)?;
        signed.check_terms(&agreement)?;
        let document = self.ports.signer.sign(&hire.agent, TERMS_KIND, agreement.payload())?;
        let mut next = hire.clone();
        next.own_terms = Some(Blob::try_from(document).map_err(|_| Refusal::BadDocument)?);
        next.order = Some(agreement.id);
        next.machine = Some(OrderMachine::propose(agreement.terms.clocks()));
        next.step = Step::TermsSigned;
        self.replace(id, hire, next, Some(chain_now), None).await?;
        Ok(Flow::Moved)
    }

    async fn exchange_terms(&self, id: u64, hire: &Hire, agreement: &Agreement) -> Result<Flow, TradeError> {
        let own = hire.own_terms.as_ref().ok_or(Refusal::BadDocument)?;
        let document = own.as_bytes().to_vec().try_into()?;
        let message = TradeMessage::Terms { request: hire.request, document };
        let document = match self.send(&hire.provider, message, hire.deadline).await? {
            TradeReply::TermsSigned { order, document } => {
                same("order", &order, &agreement.id)?;
                document.into_vec()
            }
            other => return Err(refused(&other)),
        };
        let theirs = Agreement::open(&document, &hire.provider, &self.config.venue)?;
        if theirs.payload() != agreement.payload() {
            agreement.check_order(&theirs.order)?;
            return Err(TradeError::TermsMismatch { field: "terms" });
        }
        let mut next = hire.clone();
        next.their_terms = Some(self.put_blob(document).await?);
        next.step = Step::InputSent;
        self.replace(id, hire, next, None, None).await?;
        Ok(Flow::Moved)
    }

    async fn send_input(&self, id: u64, hire: &Hire, agreement: &Agreement, look: Look) -> Result<Flow, TradeError> {
        let order = agreement.id;
        let input = self.blobs.get(&hire.input)?.ok_or(Refusal::BadDocument)?;
        let input = Payload::try_from(input)?;
        match self.send(&hire.provider, TradeMessage::Input { order, input }, hire.deadline).await? {
            TradeReply::InputHeld { order: named } => same("order", &named, &order)?,
            other => return Err(refused(&other)),
        }
        let message = TradeMessage::Countersign { order, fields: Box::new(agreement.order.clone()) };
        let signature = match self.send(&hire.provider, message, hire.deadline).await? {
            TradeReply::Countersigned { order: named, signature } => {
                same("order", &named, &order)?;
                signature
            }
            other => return Err(refused(&other)),
        };
        signature
            .verify(order.as_b256(), agreement.parties.provider_address)
            .map_err(|_| TradeError::from(Refusal::BadSignature))?;
        let mut next = hire.clone();
        next.consent = Some(signature);
        apply(&mut next, Command::Agree, look.view.now)?;
        next.step = Step::OrderCountersigned;
        self.replace(id, hire, next, Some(look.view.now), None).await?;
        Ok(Flow::Moved)
    }

    async fn authorise(&self, id: u64, hire: &Hire, agreement: &Agreement, look: Look) -> Result<Flow, TradeError> {
        let mut next = hire.clone();
        apply(&mut next, Command::Commit, look.view.now)?;
        let key = HireId(id).reservation();
        let signature = self.ports.money.authorise(&key, &hire.agent, &agreement.order).await?;
        next.authorisation = Some(signature);
        next.step = Step::Authorised;
        self.replace(id, hire, next, Some(look.view.now), None).await?;
        Ok(Flow::Moved)
    }

    async fn pay(&self, id: u64, hire: &Hire, agreement: &Agreement) -> Result<Flow, TradeError> {
        if !self.may_send(id, hire.step) {
            return Ok(Flow::Wait);
        }
        let authorisation = hire.authorisation.ok_or(Refusal::BadDocument)?;
        let message = TradeMessage::Fund { order: agreement.id, authorisation };
        self.tell(id, hire, message).await
    }

    async fn send_release(&self, id: u64, hire: &Hire, agreement: &Agreement) -> Result<Flow, TradeError> {
        if !self.may_send(id, hire.step) {
            return Ok(Flow::Wait);
        }
        let signature = hire.release.ok_or(Refusal::BadDocument)?;
        let message = TradeMessage::Release { order: agreement.id, signature };
        self.tell(id, hire, message).await
    }

    /// Sends a message whose effect is seen on the chain, not in its reply.
    async fn tell(&self, id: u64, hire: &Hire, message: TradeMessage) -> Result<Flow, TradeError> {
        let reply = self.send(&hire.provider, message, hire.deadline).await?;
        self.sent.lock().insert(id, (hire.step, self.clock.now()));
        if let TradeReply::Reject { code, .. } = reply {
            warn!(hire.id = id, refusal = code.as_str(), "the provider of hire-{id} refused at {}: {code}", hire.step);
        }
        Ok(Flow::Wait)
    }

    fn may_send(&self, id: u64, step: Step) -> bool {
        let now = self.clock.now();
        let sent = self.sent.lock();
        match sent.get(&id) {
            Some((last, at)) => *last != step || now >= at.plus(RESEND_AFTER),
            None => true,
        }
    }

    async fn note_funded(&self, id: u64, hire: &Hire, look: Look) -> Result<Flow, TradeError> {
        let mut next = hire.clone();
        apply(&mut next, Command::Fund, look.view.now)?;
        next.funded_at = Some(self.clock.now());
        next.fund_tx = look.tx.filter(|_| look.view.phase == Phase::Funded);
        next.step = Step::Funded;
        let tx = next.fund_tx;
        self.replace(id, hire, next, Some(look.view.now), tx).await?;
        Ok(Flow::Moved)
    }

    async fn expire(&self, id: u64, hire: &Hire, look: Look) -> Result<Flow, TradeError> {
        let mut next = hire.clone();
        apply(&mut next, Command::Expire, look.view.now)?;
        next.failure = Text::try_from("order_expired").ok();
        next.step = Step::Failed;
        self.replace(id, hire, next, Some(look.view.now), None).await?;
        Ok(Flow::Moved)
    }

    /// Tells the provider that nobody waits any more. One that has signed a receipt by then has done its part: the
    /// result is fetched. Any other stops, and what is in the escrow comes back.
    async fn ask_to_stop(&self, id: u64, hire: &Hire, agreement: &Agreement, look: Look) -> Result<Flow, TradeError> {
        let order = agreement.id;
        let state = match self.send(&hire.provider, TradeMessage::Cancel { order }, None).await? {
            TradeReply::Status { order: named, state } => {
                same("order", &named, &order)?;
                state
            }
            other => return Err(refused(&other)),
        };
        let has_receipt = matches!(state, OrderState::Delivered | OrderState::Accepted | OrderState::Settled);
        if has_receipt && hire.step == Step::Funded {
            return self.collect(id, hire, agreement, look).await;
        }
        if has_receipt {
            // It has seen the funding before us; the chain will show it.
            return Ok(Flow::Wait);
        }
        self.note_stopped(id, hire).await?;
        Ok(Flow::Moved)
    }

    /// Whether the work takes so long that a person may be doing it, and no caller's deadline has to be met.
    fn is_slow(&self, hire: &Hire) -> bool {
        hire.deadline.is_none() && hire.funded_at.is_some_and(|at| self.clock.now().since(at) >= SLOW_AFTER)
    }

    async fn collect(&self, id: u64, hire: &Hire, agreement: &Agreement, look: Look) -> Result<Flow, TradeError> {
        let order = agreement.id;
        let (document, output) = match self.send(&hire.provider, TradeMessage::Collect { order }, hire.deadline).await?
        {
            TradeReply::Receipt { order: named, document, output } => {
                same("order", &named, &order)?;
                (document.into_vec(), output.into_vec())
            }
            TradeReply::Status { .. } if self.is_slow(hire) => return Ok(Flow::Idle),
            TradeReply::Status { .. } => return Ok(Flow::Wait),
            other => return Err(refused(&other)),
        };
        let receipt = Receipt::open(&document, &hire.provider, &order)?;
        same("output", &receipt.output, &Hash::of(&output))?;
        let mut next = hire.clone();
        if let Phase::Delivered { review_ends } = look.view.phase {
            apply(&mut next, Command::Deliver { review_ends }, look.view.now)?;
        }
        // Chain time is read again: the answer may have been long under way.
        let now = self.ports.money.chain_now().await?;
        apply(&mut next, Command::Receive, now)?;
        let output = self.put_blob(output).await?;
        let receipt = Blob::try_from(document).map_err(|_| Refusal::BadDocument)?;
        next.held = Some(Held { receipt, output, at: self.clock.now() });
        next.step = Step::ReceiptHeld;
        self.replace(id, hire, next, Some(now), None).await?;
        Ok(Flow::Moved)
    }

    async fn check(&self, id: u64, hire: &Hire, agreement: &Agreement) -> Result<Flow, TradeError> {
        let held = hire.held.as_ref().ok_or(Refusal::BadDocument)?;
        let output = self.blobs.get(&held.output)?.ok_or(Refusal::BadDocument)?;
        let schema = match &agreement.terms.output_schema {
            Some(hash) => Some(self.blobs.get(hash)?.ok_or(Refusal::BadDocument)?),
            None => None,
        };
        let schema = schema.map(String::from_utf8).transpose().map_err(|_| TradeError::BadSchema)?;
        let mut next = hire.clone();
        next.verdict = match schema::check_aside(schema, output).await? {
            schema::Fit::Fits => Some(Verdict::Fits),
            schema::Fit::Misfits => {
                next.failure = Text::try_from(TradeError::SchemaMismatch.code()).ok();
                Some(Verdict::Misfits)
            }
        };
        next.step = Step::Checked;
        self.replace(id, hire, next, None, None).await?;
        Ok(Flow::Moved)
    }

    async fn sign_release(&self, id: u64, hire: &Hire, agreement: &Agreement, look: Look) -> Result<Flow, TradeError> {
        let signature = self.ports.money.sign_release(&hire.agent, &agreement.order).await?;
        let mut next = hire.clone();
        apply(&mut next, Command::Accept(AcceptBy::Release), look.view.now)?;
        next.release = Some(signature);
        next.release_at = Some(self.clock.now());
        next.step = Step::ReleaseSigned;
        self.replace(id, hire, next, Some(look.view.now), None).await?;
        Ok(Flow::Moved)
    }

    async fn submit_release(&self, hire: &Hire, agreement: &Agreement) -> Result<Flow, TradeError> {
        let signature = hire.release.ok_or(Refusal::BadDocument)?;
        self.ports.money.submit_release(&hire.agent, &agreement.order, &signature).await?;
        Ok(Flow::Wait)
    }

    async fn note_closed(&self, id: u64, hire: &Hire, look: Look) -> Result<Flow, TradeError> {
        let Phase::Settled { closed_by, paid, fee } = look.view.phase else { return Ok(Flow::Wait) };
        let mut next = hire.clone();
        if let Some(machine) = &mut next.machine {
            machine.catch_up(&look.view.phase, look.view.now);
        }
        let is_paid = paid != haggle_base::Usdc::ZERO;
        next.ending = Some(Ending { closed_by, paid, fee, tx: look.tx });
        next.step = if is_paid { Step::Released } else { Step::Refunded };
        if !is_paid && next.failure.is_none() {
            let why = match closed_by {
                ClosedBy::Refund if hire.stopped.is_some() => TradeError::Timeout.code(),
                other => why_unpaid(other),
            };
            next.failure = Text::try_from(why).ok();
        }
        self.replace(id, hire, next, Some(look.view.now), look.tx).await?;
        Ok(Flow::Moved)
    }

    async fn attest(&self, id: u64, hire: &Hire, agreement: &Agreement) -> Result<Flow, TradeError> {
        let ending = hire.ending.ok_or(Refusal::BadDocument)?;
        let closing = Closing {
            id: agreement.id,
            order: agreement.order.clone(),
            agent: hire.agent,
            side: Side::Buyer,
            closed_by: ending.closed_by,
            paid: ending.paid,
            fee: ending.fee,
            tx: ending.tx,
        };
        if let Err(error) = self.ports.money.settled(Some(&HireId(id).reservation()), &closing).await {
            return if error.is_taken_back() {
                self.reopen(id, None).await.map(|()| Flow::Moved)
            } else {
                Err(error.into())
            };
        }
        let held_at = hire.held.as_ref().map(|held| held.at);
        let facts = settled_facts(
            agreement,
            &ending,
            latency(hire.funded_at, held_at),
            hire.held.as_ref().map(|held| held.output),
            hire.consent.ok_or(Refusal::BadDocument)?,
            hire.rating.filter(|_| hire.verdict == Some(Verdict::Fits)),
        );
        attested(self.ports.attestor.attest(facts, Side::Buyer).await)?;
        let mut next = hire.clone();
        next.step = Step::Attested;
        self.replace(id, hire, next, None, None).await?;
        Ok(Flow::Moved)
    }

    async fn return_reservation(
        &self,
        id: u64,
        hire: &Hire,
        agreement: Option<&Agreement>,
    ) -> Result<Flow, TradeError> {
        self.ports.money.cancel_reservation(&HireId(id).reservation()).await?;
        if let Some(agreement) = agreement {
            // A courtesy: it frees the provider's capacity before fund_by. Losing it costs nothing.
            let message = TradeMessage::Cancel { order: agreement.id };
            if let Err(error) = self.send(&hire.provider, message, None).await {
                debug!(hire.id = id, error.code = error.code(), "the provider of hire-{id} was not told: {error}");
            }
        }
        let mut next = hire.clone();
        next.step = Step::Closed;
        self.replace(id, hire, next, None, None).await?;
        Ok(Flow::Moved)
    }
}

/// Applies a command to the hire's machine, or says why it cannot be.
pub(super) fn apply(hire: &mut Hire, command: Command, now: Timestamp) -> Result<(), TradeError> {
    let machine = hire.machine.as_mut().ok_or(Refusal::BadDocument)?;
    moved(machine.apply(command, now))
}

/// A move that happened, or had happened, is fine.
pub(crate) fn moved(moved: Moved) -> Result<(), TradeError> {
    match moved {
        Moved::To(_) | Moved::Already => Ok(()),
        Moved::WrongTime => Err(TradeError::TooLate),
        Moved::Refused(state) => Err(TradeError::WrongState { state }),
    }
}

/// An attestation that can never be published does not hold up the books; one that can later, does.
pub(crate) fn attested(result: Result<(), PortError>) -> Result<(), TradeError> {
    match result {
        Err(error) if !error.retryable => {
            warn!(error.code = error.code, "an order goes without attestation: {error}");
            Ok(())
        }
        Err(error) => Err(error.into()),
        Ok(()) => Ok(()),
    }
}

/// Milliseconds from funding to receipt; zero if either is unknown.
pub(crate) fn latency(funded_at: Option<Timestamp>, held_at: Option<Timestamp>) -> u32 {
    match (funded_at, held_at) {
        (Some(funded), Some(held)) => u32::try_from(held.since(funded).as_millis()).unwrap_or(u32::MAX),
        (_, _) => 0,
    }
}

/// What both sides attest with.
pub(crate) fn settled_facts(
    agreement: &Agreement,
    ending: &Ending,
    latency_ms: u32,
    response_hash: Option<Hash>,
    provider_consent: haggle_base::EvmSignature,
    rating: Option<u8>,
) -> SettledFacts {
    SettledFacts {
        id: agreement.id,
        order: agreement.order.clone(),
        buyer: agreement.parties.buyer,
        provider: agreement.parties.provider,
        parties: agreement.parties_bytes.clone(),
        terms_rest: agreement.rest_hash,
        capability: agreement.terms.capability.clone(),
        amount: agreement.terms.price,
        closed_by: ending.closed_by,
        paid: ending.paid,
        fee: ending.fee,
        latency_ms,
        request_hash: agreement.terms.input,
        response_hash,
        provider_consent,
        rating,
        tx: ending.tx,
    }
}

/// Why the buyer has its money back, as a stable code.
const fn why_unpaid(closed_by: ClosedBy) -> &'static str {
    match closed_by {
        ClosedBy::Refund => "provider_refunded",
        ClosedBy::Split => "split_refunded",
        ClosedBy::Verdict => "verdict_refunded",
        ClosedBy::Uncountered => "dispute_uncountered",
        ClosedBy::Ruling => "ruling_refunded",
        ClosedBy::Silent => "silent_refunded",
        ClosedBy::Expired | ClosedBy::Release | ClosedBy::UndeliveredPaid | ClosedBy::Timeout => "not_delivered",
    }
}
