//! Acting on the job's decisions: one effect, then the next step on disk.

use std::sync::Arc;

use haggle_base::{Blob, ClosedBy, Coded, Hash, OrderId, Side, Text, Timestamp, Usdc, cbor};
use haggle_store::StoreError;
use tokio::sync::Notify;
use tracing::{debug, warn};

use super::{Flow, Inner, disputes::NOT_PAID};
use crate::{
    buyer::{attested, latency, moved, put_blob, settled_facts},
    config::MAX_PAYLOAD_BYTES,
    document::{RECEIPT_KIND, Receipt},
    error::{Refusal, TradeError},
    order::{
        command::Command,
        job::{self, Next, Step},
        saga::ChainView,
    },
    ports::{Closing, OnChain, Phase, TxRef, WorkError},
    records::{Ending, Held, Job, Jobs},
    rounds::Progress,
    schema,
    terms::Agreement,
};

/// What the chain shows, and by which transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) view: ChainView,
    pub(super) tx: Option<TxRef>,
    pub(super) deliverable: Option<Hash>,
    pub(super) evidence: Option<Hash>,
}

/// An agent at work on an order; forgotten when dropped.
struct Working<'a> {
    desk: &'a Inner,
    id: OrderId,
    stop: Arc<Notify>,
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.desk.working.lock().remove(&self.id);
    }
}

impl Inner {
    /// Drives one order until it waits, is in trouble, or is over.
    pub(super) async fn advance(&self, id: OrderId) -> Progress {
        let Some(drive) = self.rounds.take(id) else { return Progress::Busy };
        let progress = self.drive(id).await;
        if progress == Progress::Finished {
            self.release_failed.lock().remove(&id);
        }
        drive.done(progress, self.clock.now(), self.config.poll_every);
        progress
    }

    async fn drive(&self, id: OrderId) -> Progress {
        loop {
            let job = match self.store.get::<Jobs>(&id) {
                Ok(Some(job)) => job,
                Ok(None) => return Progress::Finished,
                Err(error) => {
                    warn!(order.id = %id, error.code = error.code(), "cannot read order {id}: {error}");
                    return Progress::Troubled;
                }
            };
            match Box::pin(self.step(id, &job)).await {
                Ok(Flow::Moved) | Err(TradeError::Store(StoreError::Precondition { .. })) => {}
                Ok(Flow::Wait) => return Progress::Waiting,
                Ok(Flow::Idle) => return Progress::Troubled,
                Ok(Flow::Done) => return Progress::Finished,
                Err(error) => {
                    debug!(order.id = %id, error.code = error.code(), "order {id} at {} met: {error}", job.step);
                    return Progress::Troubled;
                }
            }
        }
    }

    async fn step(&self, id: OrderId, job: &Job) -> Result<Flow, TradeError> {
        if job.step.is_final() {
            return Ok(Flow::Done);
        }
        let agreement = self.agreement(job)?;
        let look = if job.step.watches_chain() { Some(self.look(&agreement).await?) } else { None };
        let seen = job::Seen {
            step: job.step,
            clocks: agreement.terms.clocks(),
            chain: look.map(|look| look.view),
            auto_deliver: self.ports.work.posts_delivery(&job.agent),
            release_failed: self.release_failed.lock().contains_key(&id),
            stopped: job.stopped.is_some(),
            stands: job.quarrel.as_ref().is_some_and(|quarrel| quarrel.stands),
        };
        match (job::next(&seen), look) {
            (Next::Expire, Some(look)) => self.expire(id, job, look).await,
            (Next::SubmitFund, Some(_)) => self.submit_fund(job, &agreement).await,
            (Next::NoteFunded, Some(look)) => self.note_funded(id, job, look).await,
            (Next::Execute, Some(look)) => self.execute(id, job, &agreement, look).await,
            (Next::StopWork, _) => self.stop_work(id, job).await,
            (Next::SignReceipt, _) => self.sign_receipt(id, job).await,
            (Next::SubmitRelease, Some(_)) => self.submit_release(id, job, &agreement).await,
            (Next::SubmitDeliver, Some(_)) => self.submit_deliver(job, &agreement).await,
            (Next::NoteDelivered, Some(look)) => self.note_delivered(id, job, look).await,
            (Next::NoteDisputed, Some(look)) => self.note_disputed(id, job, &agreement, look).await,
            (Next::SignCounter, Some(look)) => self.sign_counter(id, job, &agreement, look).await,
            (Next::SubmitCounter, Some(look)) => self.submit_counter(id, job, &agreement, look).await,
            (Next::NoteCountered, Some(look)) => self.note_countered(id, job, look).await,
            (Next::NoteUnfunded, Some(look)) => self.note_unfunded(id, job, look.view.now).await,
            (Next::SubmitRefund, Some(_)) => {
                self.ports.money.submit_refund(&job.agent, &agreement.order).await?;
                Ok(Flow::Wait)
            }
            (Next::Finalize, Some(_)) => {
                self.ports.money.submit_finalize(&job.agent, &agreement.order).await?;
                Ok(Flow::Wait)
            }
            (Next::NoteClosed, Some(look)) => self.note_closed(id, job, look).await,
            (Next::Attest, _) => self.attest(id, job, &agreement).await,
            (Next::Done, _) => Ok(Flow::Done),
            (_, Some(look)) if look.view.now >= agreement.terms.clocks().deliver_by => Ok(Flow::Idle),
            (_, _) => Ok(Flow::Wait),
        }
    }

    /// Reads the time first, then the phase, so that a phase read after a deadline counts.
    async fn look(&self, agreement: &Agreement) -> Result<Look, TradeError> {
        let now = self.ports.money.chain_now().await?;
        let OnChain { phase, tx, deliverable, evidence } =
            self.ports.money.on_chain(&agreement.id, &agreement.order).await?;
        Ok(Look { view: ChainView { phase, now }, tx, deliverable, evidence })
    }

    async fn expire(&self, id: OrderId, job: &Job, look: Look) -> Result<Flow, TradeError> {
        let _counted = self.intake.lock().await;
        self.erase(id, job, Command::Expire, look.view.now, "order_expired").await?;
        Ok(Flow::Moved)
    }

    async fn submit_fund(&self, job: &Job, agreement: &Agreement) -> Result<Flow, TradeError> {
        let authorisation = job.authorisation.ok_or(Refusal::BadDocument)?;
        let consent = job.consent.ok_or(Refusal::BadDocument)?;
        self.ports.money.submit_fund(&job.agent, &agreement.order, &authorisation, &consent).await?;
        Ok(Flow::Wait)
    }

    async fn note_funded(&self, id: OrderId, job: &Job, look: Look) -> Result<Flow, TradeError> {
        let mut next = job.clone();
        moved(next.machine.apply(Command::Fund, look.view.now))?;
        next.funded_at = Some(self.clock.now());
        next.fund_tx = look.tx.filter(|_| look.view.phase == Phase::Funded);
        next.step = Step::Funded;
        let tx = next.fund_tx;
        self.replace(id, job, next, Some(look.view.now), tx).await?;
        Ok(Flow::Moved)
    }

    /// Runs the agent, at most until the delivery deadline, and keeps its output before anything else.
    async fn execute(&self, id: OrderId, job: &Job, agreement: &Agreement, look: Look) -> Result<Flow, TradeError> {
        if job.output.is_some() {
            // The chain had taken the funding back: the work was done before, and is not done again.
            let mut next = job.clone();
            next.step = Step::Executed;
            self.replace(id, job, next, None, None).await?;
            return Ok(Flow::Moved);
        }
        if self.awaits_output(job) {
            // Giving it wakes the order, as the buyer's word to stop does; until then only the deadline matters.
            return Ok(Flow::Idle);
        }
        let Ok(_place) = self.running.try_acquire() else { return Ok(Flow::Wait) };
        let input = self.held_input(&id, job)?.ok_or(Refusal::BadDocument)?;
        let left = agreement.terms.clocks().deliver_by.since(look.view.now);
        let working = self.begin_work(id);
        if self.store.get::<Jobs>(&id)?.as_ref() != Some(job) {
            // The buyer's word to stop came before anybody could hear it.
            return Ok(Flow::Moved);
        }
        let work = self.ports.work.run(&job.agent, &id, &input);
        let mut next = job.clone();
        let done = tokio::select! {
            done = tokio::time::timeout(left, work) => done,
            () = working.stop.notified() => return Ok(Flow::Moved),
        };
        match done {
            Ok(Ok(output)) if output.len() <= MAX_PAYLOAD_BYTES => {
                if self.is_worth_its_price(job, agreement, &output).await? {
                    next.output = Some(put_blob(&self.blobs, output).await?);
                    next.step = Step::Executed;
                } else {
                    fail_work(&mut next, TradeError::SchemaMismatch.code());
                }
            }
            Ok(Ok(_)) => fail_work(&mut next, "output_too_large"),
            Ok(Err(WorkError::Failed(why))) => {
                warn!(order.id = %id, "the agent failed at order {id}: {why}");
                fail_work(&mut next, "work_failed");
            }
            Ok(Err(WorkError::NotNow(why))) => {
                debug!(order.id = %id, "the agent is not ready for order {id}: {why}");
                return Err(Refusal::TryAgain.into());
            }
            Err(_elapsed) => fail_work(&mut next, TradeError::Timeout.code()),
        }
        self.replace(id, job, next, None, None).await?;
        Ok(Flow::Moved)
    }

    /// Makes the agent's work on an order one that can be stopped.
    fn begin_work(&self, id: OrderId) -> Working<'_> {
        let stop = Arc::new(Notify::new());
        self.working.lock().insert(id, Arc::clone(&stop));
        Working { desk: self, id, stop }
    }

    async fn stop_work(&self, id: OrderId, job: &Job) -> Result<Flow, TradeError> {
        let mut next = job.clone();
        fail_work(&mut next, TradeError::Cancelled.code());
        self.replace(id, job, next, None, None).await?;
        Ok(Flow::Moved)
    }

    /// Whether an output may be delivered: an honest provider never asks money for one that does not fit the
    /// schema it sold.
    async fn is_worth_its_price(&self, job: &Job, agreement: &Agreement, output: &[u8]) -> Result<bool, TradeError> {
        if !self.ports.work.checks_itself(&job.agent) {
            return Ok(true);
        }
        let schema = self.schema(agreement.terms.output_schema.as_ref())?;
        Ok(schema::check_aside(schema, output.to_vec()).await? == schema::Fit::Fits)
    }

    async fn sign_receipt(&self, id: OrderId, job: &Job) -> Result<Flow, TradeError> {
        let output = job.output.ok_or(Refusal::BadDocument)?;
        let bytes = self.blobs.get(&output)?.ok_or(Refusal::BadDocument)?;
        let chain_now = self.ports.money.chain_now().await?;
        let mut next = job.clone();
        if let Err(error) = moved(next.machine.apply(Command::Receive, chain_now)) {
            // Too late to deliver: the buyer will not pay for it, so the money goes back at once.
            debug!(order.id = %id, "order {id} was ready too late: {error}");
            fail_work(&mut next, TradeError::TooLate.code());
            self.replace(id, job, next, Some(chain_now), None).await?;
            return Ok(Flow::Moved);
        }
        let at = self.clock.now();
        let receipt = Receipt { order: id, output, output_bytes: bytes.len() as u64, at };
        let signed = self.ports.signer.sign(&job.agent, RECEIPT_KIND, &cbor::to_vec(&receipt)?)?;
        let receipt = Blob::try_from(signed).map_err(|_| Refusal::BadDocument)?;
        next.held = Some(Held { receipt, output, at });
        next.step = Step::ReceiptSigned;
        self.replace(id, job, next, Some(chain_now), None).await?;
        Ok(Flow::Moved)
    }

    async fn submit_release(&self, id: OrderId, job: &Job, agreement: &Agreement) -> Result<Flow, TradeError> {
        let signature = job.release.ok_or(Refusal::BadDocument)?;
        match self.ports.money.submit_release(&job.agent, &agreement.order, &signature).await {
            Ok(_) => Ok(Flow::Wait),
            Err(error) => {
                self.release_failed.lock().insert(id, ());
                Err(error.into())
            }
        }
    }

    async fn submit_deliver(&self, job: &Job, agreement: &Agreement) -> Result<Flow, TradeError> {
        let output = job.output.ok_or(Refusal::BadDocument)?;
        self.ports.money.submit_deliver(&job.agent, &agreement.order, &output).await?;
        Ok(Flow::Wait)
    }

    async fn note_delivered(&self, id: OrderId, job: &Job, look: Look) -> Result<Flow, TradeError> {
        let Phase::Delivered { review_ends } = look.view.phase else { return Ok(Flow::Wait) };
        let mut next = job.clone();
        moved(next.machine.apply(Command::Deliver { review_ends }, look.view.now))?;
        next.step = Step::DeliveredOnChain;
        self.replace(id, job, next, Some(look.view.now), look.tx).await?;
        Ok(Flow::Moved)
    }

    async fn note_closed(&self, id: OrderId, job: &Job, look: Look) -> Result<Flow, TradeError> {
        let Phase::Settled { closed_by, paid, fee } = look.view.phase else { return Ok(Flow::Wait) };
        let mut next = job.clone();
        next.machine.catch_up(&look.view.phase, look.view.now);
        next.ending = Some(Ending { closed_by, paid, fee, tx: look.tx });
        next.step = match closed_by {
            ClosedBy::Release => Step::Released,
            ClosedBy::Timeout | ClosedBy::UndeliveredPaid => Step::Settled,
            ClosedBy::Split | ClosedBy::Verdict | ClosedBy::Ruling | ClosedBy::Silent if paid != Usdc::ZERO => {
                Step::Settled
            }
            ClosedBy::Refund
            | ClosedBy::Expired
            | ClosedBy::Uncountered
            | ClosedBy::Split
            | ClosedBy::Verdict
            | ClosedBy::Ruling
            | ClosedBy::Silent => Step::Refunded,
        };
        if paid == Usdc::ZERO && next.failure.is_none() {
            next.failure = Text::try_from(NOT_PAID).ok();
        }
        self.replace(id, job, next, Some(look.view.now), look.tx).await?;
        Ok(Flow::Moved)
    }

    async fn attest(&self, id: OrderId, job: &Job, agreement: &Agreement) -> Result<Flow, TradeError> {
        let ending = job.ending.ok_or(Refusal::BadDocument)?;
        let closing = Closing {
            id,
            order: agreement.order.clone(),
            agent: job.agent,
            side: Side::Provider,
            closed_by: ending.closed_by,
            paid: ending.paid,
            fee: ending.fee,
            tx: ending.tx,
        };
        if let Err(error) = self.ports.money.settled(None, &closing).await {
            return if error.is_taken_back() {
                self.reopen(&id, None).await.map(|()| Flow::Moved)
            } else {
                Err(error.into())
            };
        }
        let held_at: Option<Timestamp> = job.held.as_ref().map(|held| held.at);
        let response: Option<Hash> = job.held.as_ref().map(|held| held.output);
        let consent = job.consent.ok_or(Refusal::BadDocument)?;
        let facts = settled_facts(agreement, &ending, latency(job.funded_at, held_at), response, consent, None);
        attested(self.ports.attestor.attest(facts, Side::Provider).await)?;
        let mut next = job.clone();
        next.step = Step::Attested;
        self.replace(id, job, next, None, None).await?;
        Ok(Flow::Moved)
    }
}

/// The work will not be delivered: the buyer's money goes back.
fn fail_work(job: &mut Job, code: &str) {
    job.failure = Text::try_from(code).ok();
    job.step = Step::WorkFailed;
}
