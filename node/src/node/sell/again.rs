//! Payments that come again, and wishes of those who pay by channel: what becomes of them does not hang on what is for sale
//! now.

use super::desk::{corrected, kept, sold, unsold};
use super::{Counter, Ordered, input, is_wish};
use crate::node::api::coded;
use haggle_base::{Text, Usdc};
use haggle_gateway::{ApiError, PaidAnswer, PaidCall};
use haggle_settlement::channels::{self, ChannelSale};
use haggle_settlement::till::{Asked, Refused, Sale, Taken, Ticket};
use haggle_x402::{PaymentPayload, PaymentRequired, Resource, Scheme};

/// What stands of a payment, apart from what is for sale.
pub(super) enum Standing {
    /// Nothing: it may be taken, if it still buys something.
    Nothing,
    /// It may have been sent before any work, and the chain does not show it.
    Unsettled(Refused),
    /// The whole answer.
    Answered(PaidAnswer),
}

impl Counter {
    /// Answers a payment that was taken before, and a wish, whatever became of the agent since.
    pub(super) async fn standing(
        &self,
        call: &PaidCall,
        asked: &Asked,
        payload: &PaymentPayload,
    ) -> Result<Standing, ApiError> {
        match payload.accepted.scheme {
            Scheme::Exact => self.exact_again(call, asked, payload).await,
            Scheme::BatchSettlement if is_wish(payload) => self.grant(asked, payload).await,
            Scheme::BatchSettlement => self.voucher_again(asked, payload).await,
            Scheme::HaggleEscrow | Scheme::Other(_) | _ => Ok(Standing::Nothing),
        }
    }

    async fn exact_again(
        &self,
        call: &PaidCall,
        asked: &Asked,
        payload: &PaymentPayload,
    ) -> Result<Standing, ApiError> {
        loop {
            return Ok(match self.till.again(asked, payload).await {
                Ok(None) => Standing::Nothing,
                Ok(Some(Taken::Answered { answer, settlement })) => Standing::Answered(sold(answer, &settlement)?),
                Ok(Some(Taken::Busy(waiting))) => {
                    waiting.done().await;
                    continue;
                }
                Ok(Some(Taken::Work(ticket))) => Standing::Answered(self.work_off(call, asked, ticket).await?),
                Err(refused) => Standing::Unsettled(refused),
            });
        }
    }

    /// Does the work that is paid for and was not done, if the agent is still there to do it.
    async fn work_off(&self, call: &PaidCall, asked: &Asked, ticket: Ticket) -> Result<PaidAnswer, ApiError> {
        let Some(served) = ticket.seller().and_then(|seller| self.agents.get(&seller)) else {
            let paid = self.till.failed(ticket).await.map_err(coded)?;
            return unsold(&gone(&asked.resource), paid.as_ref());
        };
        let Asked { resource, request, caller } = asked.clone();
        let sale = Sale {
            seller: served.row.did,
            listing: Text::default(),
            resource,
            amount: ticket.amount(),
            request,
            caller,
        };
        self.serve_exact(&Ordered { served, sale, input: input(call)? }, ticket).await
    }

    async fn voucher_again(&self, asked: &Asked, payload: &PaymentPayload) -> Result<Standing, ApiError> {
        let Some(channels) = &self.channels else { return Ok(Standing::Nothing) };
        loop {
            return match channels.again(asked.request, payload) {
                Ok(Some(channels::Taken::AtWork(waiting))) => {
                    waiting.over().await;
                    continue;
                }
                Ok(Some(channels::Taken::Answered { answer, settled })) => {
                    kept(answer, &settled).map(Standing::Answered)
                }
                // nothing else is kept
                Ok(_) => Ok(Standing::Nothing),
                Err(refusal) => Err(refusal.cause.map_or_else(|| ApiError::internal(&refusal.code), coded)),
            };
        }
    }

    /// Sends back what is left in a channel, or signs what it came to: for its payer, whatever its seller sells now.
    async fn grant(&self, asked: &Asked, payload: &PaymentPayload) -> Result<Standing, ApiError> {
        let Some(channels) = &self.channels else { return Ok(Standing::Nothing) };
        let Some(seller) = channels.seller_of(payload) else { return Ok(Standing::Nothing) };
        // a wish buys nothing, so its price is no matter
        let amount = payload.accepted.amount.to_usdc().filter(|amount| !amount.is_zero());
        let amount = amount.unwrap_or(Usdc::from_units(1));
        let sale = ChannelSale { seller, amount, request: asked.request };
        let granted = match channels.take(&sale, payload).await {
            Ok(channels::Taken::Returned(settled) | channels::Taken::Receipt(settled)) => {
                sold(b"{}".to_vec(), &settled)?
            }
            Ok(_) => return Ok(Standing::Nothing),
            Err(refusal) => {
                let entry = channels.requirement(&seller, amount).map_err(coded)?;
                corrected(PaymentRequired::new(Resource::new(asked.resource.as_str()), vec![entry]), &refusal)?
            }
        };
        Ok(Standing::Answered(granted))
    }

    /// Where the settlement of a payment stands that buys nothing any more.
    pub(super) fn unsettled(&self, asked: &Asked, refused: &Refused) -> Result<PaidAnswer, ApiError> {
        let nothing = PaymentRequired::new(Resource::new(asked.resource.as_str()), Vec::new());
        self.not_taken(&nothing.with_error(refused.reason.word()), refused)
    }
}

/// Said of paid work whose agent is gone for good.
fn gone(resource: &str) -> ApiError {
    ApiError::not_found(
        "listing_not_found",
        format!("the agent that sold {resource:?} is gone; the payment stands, and its work was never done"),
        "ask the seller for the money with the settlement of this answer",
    )
}
