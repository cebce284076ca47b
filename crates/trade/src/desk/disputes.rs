//! The provider's part in a dispute, and what follows when the chain takes blocks back.

use haggle_base::{Hash, OrderId, Side, Timestamp};
use haggle_store::{Batch, StoreError};

use super::{Desk, Flow, Inner, drive::Look, wrong_state};
use crate::{
    error::{Refusal, TradeError},
    judge::Case,
    order::{OrderState, job::Step},
    ports::Phase,
    records::{Job, Jobs, OpenJobs, Quarrel},
    schema,
    terms::Agreement,
};

impl Desk {
    /// Stands against the dispute of an order, or against one that may come, whatever this node thinks of the delivery.
    ///
    /// # Errors
    /// `order_not_found`, `no_arbitrator`, or `wrong_state` if there is nothing to stand against.
    pub async fn counter(&self, id: &OrderId) -> Result<(), TradeError> {
        loop {
            let job = self.inner.store.get::<Jobs>(id)?.ok_or(Refusal::OrderNotFound)?;
            if !self.inner.agreement(&job)?.can_be_disputed() {
                return Err(TradeError::NoArbitrator);
            }
            if !matches!(job.step, Step::ReceiptSigned | Step::DeliveredOnChain | Step::Disputed) {
                return Err(wrong_state(&job));
            }
            let mut new = Job { counter: true, ..job.clone() };
            if let Some(quarrel) = &mut new.quarrel {
                quarrel.stands = true;
            }
            let mut batch = Batch::new();
            batch.require_equals::<Jobs>(id, &job)?;
            match self.inner.commit_as("counter_wanted", *id, &mut new, batch, None, None).await {
                Err(TradeError::Store(StoreError::Precondition { .. })) => {}
                other => {
                    self.inner.rounds.add(*id);
                    return other;
                }
            }
        }
    }

    /// What we can show an arbitrator of a sale.
    ///
    /// # Errors
    /// `order_not_found`, or a failure of the store.
    pub fn case(&self, id: &OrderId) -> Result<Case, TradeError> {
        let job = self.inner.store.get::<Jobs>(id)?.ok_or(Refusal::OrderNotFound)?;
        let agreement = self.inner.agreement(&job)?;
        let blob = |hash: Option<Hash>| match hash {
            Some(hash) => self.inner.blobs.get(&hash),
            None => Ok(None),
        };
        Ok(Case {
            terms: job.their_terms.as_bytes().to_vec(),
            schema: blob(agreement.terms.output_schema)?,
            output: blob(job.output)?,
            receipt: job.held.as_ref().map(|held| held.receipt.as_bytes().to_vec()),
            evidence: None,
        })
    }

    /// The chain took back how an order ended: it is open again, at the last step that still holds. `now` is what the chain
    /// says of it since; an order that ended the same way again stays as it is. So do orders of others, and open ones.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn reopen(&self, id: &OrderId, now: Option<Phase>) -> Result<(), TradeError> {
        self.inner.reopen(id, now).await
    }
}

impl Inner {
    pub(super) async fn reopen(&self, id: &OrderId, now: Option<Phase>) -> Result<(), TradeError> {
        loop {
            let Some(job) = self.store.get::<Jobs>(id)? else { return Ok(()) };
            if job.ending.is_none_or(|ending| ending.holds(now)) {
                return Ok(());
            }
            let mut new = job.clone();
            (new.step, new.ending) = (last_own_step(&job), None);
            if new.step != Step::WorkFailed {
                new.failure = None;
            }
            new.machine.take_back(match new.step {
                Step::ReceiptSigned | Step::ReleaseHeld => OrderState::Delivered,
                Step::Disputed | Step::CounterSigned => OrderState::Disputed,
                _ => OrderState::Funded,
            });
            let mut batch = Batch::new();
            batch.require_equals::<Jobs>(id, &job)?;
            batch.put::<OpenJobs>(id, &())?;
            match self.commit_as("taken_back", *id, &mut new, batch, None, None).await {
                Err(TradeError::Store(StoreError::Precondition { .. })) => {}
                other => {
                    self.rounds.add(*id);
                    return other;
                }
            }
        }
    }
}

/// The last step that was ours to make and that no chain can take back.
fn last_own_step(job: &Job) -> Step {
    if job.release.is_some() {
        Step::ReleaseHeld
    } else if job.quarrel.as_ref().is_some_and(|quarrel| quarrel.bond.is_some()) {
        Step::CounterSigned
    } else if job.quarrel.is_some() {
        Step::Disputed
    } else if job.held.is_some() {
        Step::ReceiptSigned
    } else if job.output.is_some() {
        Step::Executed
    } else if job.failure.as_ref().is_some_and(|why| why.as_str() != NOT_PAID) {
        Step::WorkFailed
    } else {
        Step::Funded
    }
}

/// The failure of an order that ended without payment for no fault of the work.
pub(super) const NOT_PAID: &str = "not_paid";

impl Inner {
    pub(super) async fn note_disputed(
        &self,
        id: OrderId,
        job: &Job,
        agreement: &Agreement,
        look: Look,
    ) -> Result<Flow, TradeError> {
        let Some(evidence) = look.evidence else { return Ok(Flow::Wait) };
        let mut next = job.clone();
        next.machine.catch_up(&look.view.phase, look.view.now);
        let stands = job.counter || self.delivery_holds(job, agreement, look.deliverable.as_ref()).await?;
        next.quarrel = Some(Quarrel { evidence, stands, bond: None, until: None });
        next.step = Step::Disputed;
        self.replace(id, job, next, Some(look.view.now), look.tx).await?;
        Ok(Flow::Moved)
    }

    /// Whether an arbitrator that checks hash and schema again would find for us.
    async fn delivery_holds(
        &self,
        job: &Job,
        agreement: &Agreement,
        posted: Option<&Hash>,
    ) -> Result<bool, TradeError> {
        let Some(output) = job.output.filter(|output| Some(output) == posted) else { return Ok(false) };
        let Some(bytes) = self.blobs.get(&output)? else { return Ok(false) };
        let schema = self.schema(agreement.terms.output_schema.as_ref())?;
        Ok(schema::check_aside(schema, bytes).await? == schema::Fit::Fits)
    }

    pub(super) async fn sign_counter(
        &self,
        id: OrderId,
        job: &Job,
        agreement: &Agreement,
        look: Look,
    ) -> Result<Flow, TradeError> {
        let (Phase::Disputed { ends }, Some(quarrel)) = (look.view.phase, &job.quarrel) else { return Ok(Flow::Wait) };
        let evidence = look.evidence.unwrap_or(quarrel.evidence);
        let money = &self.ports.money;
        let bond = money.sign_bond(&job.agent, &agreement.order, Side::Provider, &evidence, ends).await?;
        let mut next = job.clone();
        next.quarrel = Some(Quarrel { evidence, bond: Some(bond), until: Some(ends), ..quarrel.clone() });
        next.step = Step::CounterSigned;
        self.replace(id, job, next, Some(look.view.now), None).await?;
        Ok(Flow::Moved)
    }

    pub(super) async fn submit_counter(
        &self,
        id: OrderId,
        job: &Job,
        agreement: &Agreement,
        look: Look,
    ) -> Result<Flow, TradeError> {
        let (Phase::Disputed { ends }, Some(quarrel)) = (look.view.phase, &job.quarrel) else { return Ok(Flow::Wait) };
        match quarrel.bond.filter(|_| quarrel.until == Some(ends)) {
            Some(bond) => {
                self.ports.money.submit_counter(&job.agent, &agreement.order, &bond).await?;
                Ok(Flow::Wait)
            }
            // The dispute stands in another block than before, and the window ends at another time.
            None => self.sign_counter(id, job, agreement, look).await,
        }
    }

    pub(super) async fn note_countered(&self, id: OrderId, job: &Job, look: Look) -> Result<Flow, TradeError> {
        let mut next = job.clone();
        next.step = Step::Countered;
        self.replace(id, job, next, Some(look.view.now), look.tx).await?;
        Ok(Flow::Moved)
    }

    /// The chain has taken the funding back: the payment is submitted again, or the order expires.
    pub(super) async fn note_unfunded(&self, id: OrderId, job: &Job, now: Timestamp) -> Result<Flow, TradeError> {
        let mut next = job.clone();
        next.machine.take_back(OrderState::Agreed);
        (next.funded_at, next.fund_tx, next.quarrel, next.release) = (None, None, None, None);
        next.step = Step::FundSubmitted;
        self.replace(id, job, next, Some(now), None).await?;
        Ok(Flow::Moved)
    }
}
