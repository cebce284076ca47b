//! Taking payments for calls, rail by rail.

use super::{Counter, Ordered, answer, payment_required};
use crate::adapters::faults::points;
use crate::node::api::coded;
use haggle_catalog::body::MAX_SCHEMA_BYTES;
use haggle_gateway::{ApiError, PaidAnswer};
use haggle_settlement::channels::{self, ChannelSale, Refusal};
use haggle_settlement::till::{Refused, Taken, Ticket};
use haggle_x402::extensions::bazaar::{self, HttpCall};
use haggle_x402::{PaymentPayload, PaymentRequired, PaymentRequirements, Reason, Scheme, SettleResponse, header};
use http::StatusCode;
use serde_json::{Value, json};

impl Counter {
    /// Asks for a payment. `refused` is why the last one was not taken, if one came.
    pub(super) fn ask(&self, ordered: &Ordered, refused: Option<&Refused>) -> Result<PaidAnswer, ApiError> {
        payment_required(&self.offer(ordered, refused)?)
    }

    /// Every rail that is live, and how the resource is called.
    pub(super) fn offer(&self, ordered: &Ordered, refused: Option<&Refused>) -> Result<PaymentRequired, ApiError> {
        let mut others = Vec::new();
        if let Some(channels) = &self.channels {
            others.push(channels.requirement(&ordered.sale.seller, ordered.sale.amount).map_err(coded)?);
        }
        let mut offer = self.till.offer(&ordered.sale, others, refused).map_err(coded)?;
        let row = &ordered.served.row;
        offer.resource.rest.insert("description".to_owned(), row.description.as_str().into());
        offer.resource.rest.insert("mimeType".to_owned(), "application/json".into());
        // the offer goes into a header too, which has no room for a long one: the listing names that
        let short = row.input_schema.as_ref().filter(|schema| schema.len() <= MAX_SCHEMA_BYTES);
        let schema = short.and_then(|schema| serde_json::from_str(schema.as_str()).ok());
        let call = HttpCall { method: "POST", body: json!({}), body_schema: schema, output: None };
        bazaar::announce(&mut offer.rest, &call);
        Ok(offer)
    }

    /// One signed transfer for one call.
    pub(super) async fn sell_exact(&self, ordered: &Ordered, payload: &PaymentPayload) -> Result<PaidAnswer, ApiError> {
        loop {
            let ticket = match self.till.take(&ordered.sale, payload).await {
                Ok(Taken::Work(ticket)) => ticket,
                Ok(Taken::Answered { answer, settlement }) => return sold(answer, &settlement),
                Ok(Taken::Busy(waiting)) => {
                    waiting.done().await;
                    continue;
                }
                Err(refused) => return self.refuse(ordered, &refused),
            };
            self.faults.at(points::EXACT_TAKEN);
            return self.serve_exact(ordered, ticket).await;
        }
    }

    /// Does the work that a ticket is for.
    pub(super) async fn serve_exact(&self, ordered: &Ordered, ticket: Ticket) -> Result<PaidAnswer, ApiError> {
        // named by the payment: two who ask the same are two, one who shows it again is one
        let call = format!("x402:{}", ticket.nonce());
        match self.work(ordered, &call).await {
            Ok(output) => {
                self.faults.at(points::EXACT_WORKED);
                match self.till.worked(ticket, output.clone()).await {
                    Ok(settlement) => {
                        self.faults.at(points::EXACT_ANSWERED);
                        sold(output, &settlement)
                    }
                    Err(refused) => self.refuse(ordered, &refused),
                }
            }
            Err(problem) => {
                // what was paid stays paid: the same payment may have the work done later
                let paid = self.till.failed(ticket).await.map_err(coded)?;
                unsold(&problem, paid.as_ref())
            }
        }
    }

    /// What is asked for, with the reason, and with the settlement that did not happen.
    fn refuse(&self, ordered: &Ordered, refused: &Refused) -> Result<PaidAnswer, ApiError> {
        self.not_taken(&self.offer(ordered, Some(refused))?, refused)
    }

    /// The same with an offer that is made.
    pub(super) fn not_taken(&self, offer: &PaymentRequired, refused: &Refused) -> Result<PaidAnswer, ApiError> {
        let mut asked = payment_required(offer)?;
        let settlement = refused.response(self.till.facts().network());
        asked.status = refused.reason.http_status();
        asked.headers.push(("payment-response", header::encode(&settlement).map_err(coded)?));
        Ok(asked)
    }

    /// One voucher for one call.
    pub(super) async fn sell_voucher(
        &self,
        ordered: &Ordered,
        payload: &PaymentPayload,
    ) -> Result<PaidAnswer, ApiError> {
        let Some(channels) = &self.channels else {
            return self.ask(ordered, Some(&Reason::Scheme.into()));
        };
        let sale =
            ChannelSale { seller: ordered.sale.seller, amount: ordered.sale.amount, request: ordered.sale.request };
        loop {
            let ticket = match channels.take(&sale, payload).await {
                Ok(channels::Taken::Work(ticket)) => ticket,
                Ok(channels::Taken::Answered { answer, settled }) => return kept(answer, &settled),
                Ok(channels::Taken::Returned(settled) | channels::Taken::Receipt(settled)) => {
                    return sold(b"{}".to_vec(), &settled);
                }
                Ok(channels::Taken::AtWork(waiting)) => {
                    waiting.over().await;
                    continue;
                }
                Err(refusal) => return corrected(self.offer(ordered, None)?, &refusal),
            };
            let call = format!("x402:{}", ticket.purchase());
            self.faults.at(points::VOUCHER_TAKEN);
            return match self.work(ordered, &call).await {
                Ok(output) => {
                    self.faults.at(points::VOUCHER_WORKED);
                    let settled = channels.worked(ticket, &output).await.map_err(coded)?;
                    self.faults.at(points::VOUCHER_KEPT);
                    sold(output, &settled)
                }
                // the ticket is let go: nothing is charged
                Err(problem) => unsold(&problem, None),
            };
        }
    }
}

/// A 402 with where the channel stands, from which the payer corrects itself.
pub(super) fn corrected(offer: PaymentRequired, refusal: &Refusal) -> Result<PaidAnswer, ApiError> {
    let mut offer = offer.with_error(refusal.code);
    let is_channel = |entry: &&mut PaymentRequirements| entry.scheme == Scheme::BatchSettlement;
    let mut settlement = None;
    if let Some(entry) = offer.accepts.iter_mut().find(is_channel) {
        *entry = refusal.correct(entry.clone()).map_err(coded)?;
        settlement = Some(refusal.settlement(entry));
    }
    let mut asked = payment_required(&offer)?;
    if let Some(settlement) = settlement {
        asked.headers.push(("payment-response", header::encode(&settlement).map_err(coded)?));
    }
    Ok(asked)
}

/// The answer to a voucher that was worked for.
pub(super) fn kept(answer: Option<Vec<u8>>, settled: &SettleResponse) -> Result<PaidAnswer, ApiError> {
    match answer {
        Some(answer) => sold(answer, settled),
        None => {
            let problem = ApiError::of_code("answer_too_old", "this call was answered, and its answer was long");
            unsold(&problem, Some(settled))
        }
    }
}

pub(super) fn sold(output: Vec<u8>, settlement: &SettleResponse) -> Result<PaidAnswer, ApiError> {
    answer(StatusCode::OK, "payment-response", settlement, output)
}

/// A problem instead of an answer, with the payment that stands all the same.
pub(super) fn unsold(problem: &ApiError, paid: Option<&SettleResponse>) -> Result<PaidAnswer, ApiError> {
    let Some(paid) = paid else { return Err(problem.clone()) };
    let body: Value = serde_json::to_value(problem).map_err(|cause| ApiError::internal(&cause))?;
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer(status, "payment-response", paid, body.to_string().into_bytes())
}
