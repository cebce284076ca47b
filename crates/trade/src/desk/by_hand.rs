//! Orders that nobody runs: the agent's owner gives the output of each, and it is on disk before that is acknowledged.

use haggle_base::{Hash, OrderId};
use haggle_store::StoreError;

use super::{Desk, Inner, wrong_state};
use crate::{
    buyer::put_blob,
    config::MAX_PAYLOAD_BYTES,
    error::{Refusal, TradeError},
    order::job::Step,
    records::{Job, Jobs},
    schema,
};

impl Desk {
    /// Gives the output (JSON) of a funded order that its agent's owner answers by hand; it is delivered at once. The same
    /// output again changes nothing.
    ///
    /// # Errors
    /// `order_not_found`, `not_by_hand`, `wrong_state` before the funding and after the end, `output_given` if there is
    /// another one, `too_late`, `output_too_large`, `output_misfit`; or the store or the chain fails.
    pub async fn give(&self, id: &OrderId, output: Vec<u8>) -> Result<(), TradeError> {
        let inner = &self.inner;
        let name = Hash::of(&output);
        loop {
            let job = inner.store.get::<Jobs>(id)?.ok_or(Refusal::OrderNotFound)?;
            if !inner.ports.work.is_by_hand(&job.agent) {
                return Err(TradeError::NotByHand);
            }
            match job.output {
                Some(given) if given == name => return Ok(()),
                Some(_) => return Err(TradeError::OutputGiven),
                None if !inner.awaits_output(&job) => return Err(wrong_state(&job)),
                None => {}
            }
            let agreement = inner.agreement(&job)?;
            if output.len() > MAX_PAYLOAD_BYTES {
                return Err(TradeError::OutputTooLarge);
            }
            if inner.ports.money.chain_now().await? >= agreement.terms.clocks().deliver_by {
                return Err(TradeError::TooLate);
            }
            let schema = inner.schema(agreement.terms.output_schema.as_ref())?;
            if schema::check_aside(schema, output.clone()).await? != schema::Fit::Fits {
                return Err(TradeError::OutputMisfit);
            }
            let held = put_blob(&inner.blobs, output.clone()).await?;
            let next = Job { output: Some(held), step: Step::Executed, ..job.clone() };
            match inner.replace(*id, &job, next, None, None).await {
                Err(TradeError::Store(StoreError::Precondition { .. })) => {}
                done => {
                    inner.rounds.add(*id);
                    return done;
                }
            }
        }
    }

    /// The input of one of our orders, once it is here.
    ///
    /// # Errors
    /// `order_not_found`, or a failure of the store.
    pub fn input(&self, id: &OrderId) -> Result<Option<Vec<u8>>, TradeError> {
        let job = self.inner.store.get::<Jobs>(id)?.ok_or(Refusal::OrderNotFound)?;
        self.inner.held_input(id, &job)
    }
}

impl Inner {
    /// Whether an order waits for what its agent's owner has to give.
    pub(super) fn awaits_output(&self, job: &Job) -> bool {
        job.step == Step::Funded
            && job.output.is_none()
            && job.stopped.is_none()
            && self.ports.work.is_by_hand(&job.agent)
    }

    /// The held input, without the order's id before it.
    pub(super) fn held_input(&self, id: &OrderId, job: &Job) -> Result<Option<Vec<u8>>, TradeError> {
        let Some(blob) = job.input_blob else { return Ok(None) };
        let held = self.blobs.get(&blob)?;
        Ok(held.and_then(|held| held.get(id.as_bytes().len()..).map(<[u8]>::to_vec)))
    }
}
