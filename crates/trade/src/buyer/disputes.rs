//! The buyer's part in a dispute, and what follows when the chain takes blocks back.

use haggle_base::{Coded, Hash, OrderId, Side, Text, Timestamp};
use haggle_store::{Batch, StoreError};

use super::{
    Buyer, Flow, Inner,
    drive::{Look, apply},
    shown_state,
};
use crate::{
    error::{Refusal, TradeError},
    judge::{Case, Evidence},
    order::{
        OrderState,
        command::Command,
        saga::{Step, Verdict},
    },
    ports::Phase,
    records::{Hire, HireId, Hires, HiresByOrder, OpenHires, Quarrel},
    terms::Agreement,
};

impl Buyer {
    /// Asks for a dispute, for a reason of the owner's own. It is opened as soon as a delivery stands on chain; before
    /// that there is nothing to dispute, and the money comes back by itself at the deadline.
    ///
    /// # Errors
    /// `order_not_found`, `no_arbitrator`, or `wrong_state` if it is not funded, is released or over.
    pub async fn dispute(&self, id: HireId, says: Text<240>) -> Result<(), TradeError> {
        loop {
            let hire = self.inner.store.get::<Hires>(&id.0)?.ok_or(Refusal::OrderNotFound)?;
            let agreement = self.inner.agreement(&hire)?.ok_or(Refusal::WrongState)?;
            if !agreement.can_be_disputed() {
                return Err(TradeError::NoArbitrator);
            }
            if !matches!(hire.step, Step::Funded | Step::ReceiptHeld | Step::Checked) {
                return Err(TradeError::WrongState { state: shown_state(&hire) });
            }
            let mut new = Hire { grievance: Some(says.clone()), ..hire.clone() };
            let mut batch = Batch::new();
            batch.require_equals::<Hires>(&id.0, &hire)?;
            match self.inner.commit_as("complained", id.0, &mut new, batch, None, None).await {
                Err(TradeError::Store(StoreError::Precondition { .. })) => {}
                other => {
                    self.inner.rounds.add(id.0);
                    return other;
                }
            }
        }
    }

    /// What we can show an arbitrator of a purchase.
    ///
    /// # Errors
    /// `order_not_found`, `wrong_state` before there are terms, or a failure of the store.
    pub fn case(&self, id: HireId) -> Result<Case, TradeError> {
        let hire = self.inner.store.get::<Hires>(&id.0)?.ok_or(Refusal::OrderNotFound)?;
        let agreement = self.inner.agreement(&hire)?.ok_or(Refusal::WrongState)?;
        let blob = |hash: Option<Hash>| match hash {
            Some(hash) => self.inner.blobs.get(&hash),
            None => Ok(None),
        };
        Ok(Case {
            terms: hire.own_terms.as_ref().map(|terms| terms.as_bytes().to_vec()).unwrap_or_default(),
            schema: blob(agreement.terms.output_schema)?,
            output: blob(hire.held.as_ref().map(|held| held.output))?,
            receipt: hire.held.as_ref().map(|held| held.receipt.as_bytes().to_vec()),
            evidence: blob(hire.quarrel.as_ref().map(|quarrel| quarrel.evidence))?,
        })
    }

    /// The chain took back how an order ended: it is open again, at the last step that still holds. `now` is what the chain
    /// says of it since; an order that ended the same way again stays as it is. So do orders of others, and open ones.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn reopen(&self, order: &OrderId, now: Option<Phase>) -> Result<(), TradeError> {
        match self.inner.store.get::<HiresByOrder>(order)? {
            Some(id) => self.inner.reopen(id, now).await,
            None => Ok(()),
        }
    }
}

impl Inner {
    pub(super) async fn reopen(&self, id: u64, now: Option<Phase>) -> Result<(), TradeError> {
        loop {
            let Some(hire) = self.store.get::<Hires>(&id)? else { return Ok(()) };
            if hire.ending.is_none_or(|ending| ending.holds(now)) {
                return Ok(());
            }
            let mut new = hire.clone();
            (new.step, new.ending) = (last_own_step(&hire), None);
            if hire.verdict != Some(Verdict::Misfits) {
                new.failure = None;
            }
            new.release_at = hire.release.map(|_| self.clock.now());
            if let Some(machine) = &mut new.machine {
                machine.take_back(new.step.shown_state());
            }
            let mut batch = Batch::new();
            batch.require_equals::<Hires>(&id, &hire)?;
            batch.put::<OpenHires>(&id, &())?;
            match self.commit_as("taken_back", id, &mut new, batch, None, None).await {
                Err(TradeError::Store(StoreError::Precondition { .. })) => {}
                other => {
                    self.rounds.add(id);
                    return other;
                }
            }
        }
    }
}

/// The last step that was ours to make and that no chain can take back.
fn last_own_step(hire: &Hire) -> Step {
    if hire.release.is_some() {
        Step::ReleaseSigned
    } else if hire.quarrel.is_some() {
        Step::DisputeSigned
    } else if hire.verdict.is_some() {
        Step::Checked
    } else if hire.held.is_some() {
        Step::ReceiptHeld
    } else {
        Step::Funded
    }
}

impl Inner {
    /// Writes down what is wrong, and signs the bond for it. Both are on disk before either leaves.
    pub(super) async fn open_dispute(
        &self,
        id: u64,
        hire: &Hire,
        agreement: &Agreement,
        look: Look,
    ) -> Result<Flow, TradeError> {
        let Phase::Delivered { review_ends } = look.view.phase else { return Ok(Flow::Wait) };
        let claim = match (hire.verdict, &hire.held) {
            (Some(Verdict::Misfits), _) => TradeError::SchemaMismatch.code(),
            (_, Some(held)) if look.deliverable.is_some_and(|posted| posted != held.output) => "delivery_mismatch",
            _ if hire.grievance.is_some() => "by_hand",
            _ => "not_handed_over",
        };
        let evidence = Evidence {
            order: agreement.id,
            claim,
            says: hire.grievance.as_ref().map(|says| says.as_str()),
            posted: look.deliverable,
            output: hire.held.as_ref().map(|held| held.output),
            schema: agreement.terms.output_schema,
        };
        let evidence = serde_json::to_vec(&evidence).map_err(|_| Refusal::BadDocument)?;
        let evidence = self.put_blob(evidence).await?;
        let money = &self.ports.money;
        let bond = money.sign_bond(&hire.agent, &agreement.order, Side::Buyer, &evidence, review_ends).await?;
        let mut next = hire.clone();
        apply(&mut next, Command::Deliver { review_ends }, look.view.now)?;
        next.failure = Text::try_from(claim).ok();
        next.quarrel = Some(Quarrel { evidence, stands: true, bond: Some(bond), until: Some(review_ends) });
        next.step = Step::DisputeSigned;
        self.replace(id, hire, next, Some(look.view.now), None).await?;
        Ok(Flow::Moved)
    }

    pub(super) async fn submit_dispute(
        &self,
        id: u64,
        hire: &Hire,
        agreement: &Agreement,
        look: Look,
    ) -> Result<Flow, TradeError> {
        let (Phase::Delivered { review_ends }, Some(quarrel)) = (look.view.phase, &hire.quarrel) else {
            return Ok(Flow::Wait);
        };
        let money = &self.ports.money;
        let Some(bond) = quarrel.bond.filter(|_| quarrel.until == Some(review_ends)) else {
            // The delivery stands in another block than before, and the window ends at another time.
            let evidence = quarrel.evidence;
            let bond = money.sign_bond(&hire.agent, &agreement.order, Side::Buyer, &evidence, review_ends).await?;
            let mut next = hire.clone();
            next.step = Step::DisputeSigned;
            next.quarrel = Some(Quarrel { bond: Some(bond), until: Some(review_ends), ..quarrel.clone() });
            self.replace(id, hire, next, Some(look.view.now), None).await?;
            return Ok(Flow::Moved);
        };
        money.submit_dispute(&hire.agent, &agreement.order, &quarrel.evidence, &bond).await?;
        Ok(Flow::Wait)
    }

    pub(super) async fn note_disputed(&self, id: u64, hire: &Hire, look: Look) -> Result<Flow, TradeError> {
        let mut next = hire.clone();
        if let Some(machine) = &mut next.machine {
            machine.catch_up(&look.view.phase, look.view.now);
        }
        next.step = Step::Disputed;
        self.replace(id, hire, next, Some(look.view.now), look.tx).await?;
        Ok(Flow::Moved)
    }

    /// The chain has taken the funding back: the payment is out again, and the order may be funded once more or expire.
    pub(super) async fn note_unfunded(&self, id: u64, hire: &Hire, now: Timestamp) -> Result<Flow, TradeError> {
        let mut next = hire.clone();
        if let Some(machine) = &mut next.machine {
            machine.take_back(OrderState::Agreed);
        }
        (next.funded_at, next.fund_tx, next.quarrel) = (None, None, None);
        (next.release, next.release_at) = (None, None);
        next.step = Step::Authorised;
        self.replace(id, hire, next, Some(now), None).await?;
        Ok(Flow::Moved)
    }
}
