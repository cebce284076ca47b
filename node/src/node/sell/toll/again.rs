//! Payments that come again inside tasks: what was paid for is answered, whatever became of the agent since.

use super::fare::{self, ExactFare};
use super::{Counter, Stall, elsewhere, internal, is_wish, later};
use crate::node::api::coded;
use haggle_a2a::types::TaskState;
use haggle_a2a::{A2aError, Kind};
use haggle_a2a_transport::Passage;
use haggle_gateway::ApiError;
use haggle_settlement::channels;
use haggle_settlement::till::{Asked, Refused, Taken, Ticket};
use haggle_x402::{PaymentPayload, Scheme, a2a};

impl Counter {
    /// What is kept for a payment that was taken before; nothing if it was not.
    pub(super) async fn again(&self, stall: &Stall, payload: &PaymentPayload) -> Result<Option<Passage>, A2aError> {
        match payload.accepted.scheme {
            Scheme::Exact => self.kept_for_exact(stall, payload).await,
            Scheme::BatchSettlement if !is_wish(payload) => self.kept_for_voucher(stall, payload).await,
            Scheme::BatchSettlement | Scheme::HaggleEscrow | Scheme::Other(_) | _ => Ok(None),
        }
    }

    async fn kept_for_exact(&self, stall: &Stall, payload: &PaymentPayload) -> Result<Option<Passage>, A2aError> {
        let sale = &stall.sale;
        let asked = Asked { resource: sale.resource.clone(), request: sale.request, caller: sale.caller.clone() };
        loop {
            return match self.till.again(&asked, payload).await {
                Ok(None) => Ok(None),
                Ok(Some(Taken::Answered { answer, settlement })) => {
                    let metadata = a2a::completed(a2a::with_receipt(stall.receipts.clone(), &settlement));
                    fare::kept(&answer, metadata).map(Some).ok_or_else(elsewhere)
                }
                Ok(Some(Taken::Busy(waiting))) => {
                    waiting.done().await;
                    continue;
                }
                Ok(Some(Taken::Work(ticket))) => self.owed(stall, ticket).await.map(Some),
                // it may go on where it stands, if it still buys something
                Err(_) if stall.sells_for(payload) => Ok(None),
                Err(refused) => Err(later(refused.reason.word(), &refused.message)),
            };
        }
    }

    /// The work that is paid for and was not done; where nobody is there to do it, the settlement is told.
    async fn owed(&self, stall: &Stall, ticket: Ticket) -> Result<Passage, A2aError> {
        if stall.row.is_some() {
            stall.began();
            return Ok(Passage::Pay(Box::new(ExactFare { till: self.till.clone(), ticket, bill: self.bill(stall) })));
        }
        let paid = self.till.failed(ticket).await.map_err(|refused: Refused| internal(&coded(refused)))?;
        let paid = paid.ok_or_else(|| internal(&ApiError::internal(&"what is owed is paid")))?;
        let told = a2a::completed(a2a::with_receipt(stall.receipts.clone(), &paid));
        Ok(stall.end(TaskState::Failed, "the agent is gone; the payment stands, and its work was never done", told))
    }

    async fn kept_for_voucher(&self, stall: &Stall, payload: &PaymentPayload) -> Result<Option<Passage>, A2aError> {
        let Some(channels) = &self.channels else { return Ok(None) };
        loop {
            match channels.again(stall.sale.request, payload) {
                Ok(Some(channels::Taken::AtWork(waiting))) => waiting.over().await,
                Ok(Some(channels::Taken::Answered { answer, .. })) => {
                    let task = answer.and_then(|answer| String::from_utf8(answer).ok()).ok_or_else(elsewhere)?;
                    return Ok(Some(Passage::Done { task, kept: None }));
                }
                // nothing else is kept
                Ok(_) => return Ok(None),
                Err(refusal) => {
                    return Err(A2aError::new(Kind::Internal, "the answer is not read").with("code", refusal.code));
                }
            }
        }
    }
}
