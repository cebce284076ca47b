//! What a service request leads to: a seller is chosen and asked, and its price held against the budget.

use super::{Inner, coded};
use crate::mailbox::{Chosen, Offer, Offered};
use crate::node::invoke::Choice;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use haggle_a2a::envelope::SignedMessage;
use haggle_base::{Did, Timestamp, Usdc, Verified};
use haggle_catalog::ListingBody;
use haggle_gateway::ApiError;
use haggle_gateway::view::{CounterOffer, ServiceRequest, ServiceResponse};
use haggle_trade::config::MAX_PAYLOAD_BYTES;
use haggle_trade::{Asked, Bargain, Refusal, TradeError};
use serde_json::value::RawValue;

/// Units up to which an amount survives every reader of JSON numbers: 15 digits.
const EXACT_UNITS: u64 = 1_000_000_000_000_000;

/// What is answered to a request, by whom, and what can be taken of it.
pub(super) struct Found {
    pub(super) seller: Option<Did>,
    pub(super) response: ServiceResponse,
    pub(super) offer: Offered,
}

/// Why a request has no answer now, and whom it was put to.
pub(super) struct Unanswered {
    pub(super) problem: ApiError,
    pub(super) seller: Option<Did>,
    /// For which listing, unless the request names the seller itself.
    pub(super) listing: Option<Chosen>,
}

impl From<ApiError> for Unanswered {
    fn from(problem: ApiError) -> Self {
        Self { problem, seller: None, listing: None }
    }
}

/// A response that takes nothing, to a request of this name.
pub(in crate::node) fn rejected(request: &str, reason: Option<String>, code: Option<String>) -> ServiceResponse {
    ServiceResponse {
        request_id: request.to_owned(),
        status: "rejected".to_owned(),
        estimated_cost: None,
        estimated_time: None,
        counter_offer: None,
        listing: None,
        quote: None,
        reason,
        code,
    }
}

impl Inner {
    /// Asks the seller that the request names, or the best one for it. What may pass when it is asked again is an
    /// error; everything else is an answer.
    pub(super) async fn offer_for(
        &self,
        request: &SignedMessage,
        wanted: &ServiceRequest,
        budget: Usdc,
        deadline: Option<Timestamp>,
    ) -> Result<Found, Unanswered> {
        let empty = rejected(request.message().id.as_str(), None, None);
        let refused = |problem: ApiError, seller| {
            if problem.retryable {
                return Err(Unanswered { problem, seller, listing: None });
            }
            let (reason, code) = (Some(problem.detail), Some(problem.code.into_owned()));
            let response = ServiceResponse { reason, code, ..empty.clone() };
            Ok(Found { seller, response, offer: Offered::Nothing })
        };
        if deadline.is_some_and(|deadline| deadline <= self.clock.now()) {
            let late = ApiError::bad_request("deadline_passed", "the deadline has passed", "ask for a later one");
            return refused(late, None);
        }
        let message = request.message();
        let input = serde_json::to_vec(&wanted.input).map_err(|cause| ApiError::internal(&cause))?;
        if input.len() > MAX_PAYLOAD_BYTES {
            return refused(coded(TradeError::from(Refusal::InputTooLarge)), None);
        }
        self.buyer_of(Some(&message.from.to_string())).await?;
        let choice = match &message.to {
            Some(to) => self.named(to, &input).await,
            None => match self.best(&wanted.capability, &input, Some(budget)).await {
                // nobody within the budget: the best one says what it wants
                Err(problem) if problem.code == "no_agent_fits" => self.best(&wanted.capability, &input, None).await,
                choice => choice,
            },
        };
        let choice = match choice {
            Ok(choice) => choice,
            Err(problem) => return refused(problem, None),
        };
        let seller = choice.agent();
        let usual = self.reputation.figures(&seller).avg_response_ms;
        let reason = Some(choice.reason().to_owned());
        let listing = match choice {
            Choice::Market { listing, .. } if !listing.body().price.is_zero() => listing,
            Choice::Market { .. } | Choice::Own { .. } => {
                let status = "accepted".to_owned();
                let (cost, time) = (Some(number(Usdc::ZERO)?), usual);
                let response =
                    ServiceResponse { status, estimated_cost: cost, estimated_time: time, reason, ..empty.clone() };
                return Ok(Found { seller: Some(seller), response, offer: Offered::Free });
            }
        };
        let asked = match self.bid(&message.from, &listing, wanted, budget, deadline).await {
            Ok(asked) => asked,
            Err(problem) => {
                let is_named = message.to.as_ref().is_some_and(|to| to.as_str().parse::<Did>().is_ok());
                let slot = listing.record().slot.clone();
                let chosen = (!is_named).then(|| Chosen { id: listing.id(), slot });
                let put = |unanswered| Unanswered { listing: chosen, ..unanswered };
                return refused(problem, Some(seller)).map_err(put);
            }
        };
        let (price, total, promised, quote) = match asked {
            Asked::Quoted(quote) => {
                let document = URL_SAFE_NO_PAD.encode(&quote.document);
                (quote.price, quote.deposit, quote.deliver_within_secs, Some(document))
            }
            Asked::Countered { price, deposit, deliver_within_secs } => (price, deposit, deliver_within_secs, None),
        };
        let timeline = u64::from(promised) * 1000;
        let response = ServiceResponse { listing: Some(listing.id().to_string()), quote, reason, ..empty.clone() };
        let response = if total <= budget {
            let (cost, time) = (Some(number(total)?), Some(usual.unwrap_or(timeline)));
            ServiceResponse { status: "accepted".to_owned(), estimated_cost: cost, estimated_time: time, ..response }
        } else {
            let counter_offer = Some(CounterOffer { price: number(total)?, timeline });
            ServiceResponse { status: "counter-offer".to_owned(), counter_offer, ..response }
        };
        let bargained = price < listing.body().price;
        let offer = Offer { listing: listing.id(), seller: Some(listing.author()), total, bargained, deadline };
        Ok(Found { seller: Some(seller), response, offer: Offered::Order(offer) })
    }

    /// Asks for a quote: at the list price if the budget reaches it, else by bids that rise up to the budget.
    async fn bid(
        &self,
        buyer: &Did,
        listing: &Verified<ListingBody>,
        wanted: &ServiceRequest,
        budget: Usdc,
        deadline: Option<Timestamp>,
    ) -> Result<Asked, ApiError> {
        let id = listing.id().to_string();
        let mut wish = self.wish(&id, &wanted.input, None, Some(&buyer.to_string()), None).await?;
        wish.deadline = deadline;
        if budget < wish.max_price && !budget.is_zero() {
            wish.max_price = budget;
            wish.bargain = Some(Bargain::up_to(budget));
        }
        self.buyer.ask(&wish).await.map_err(coded)
    }
}

/// An amount as a JSON number, or as a string where not every reader would keep its digits.
pub(in crate::node) fn number(amount: Usdc) -> Result<Box<RawValue>, ApiError> {
    let text = if amount.units() < EXACT_UNITS { amount.to_string() } else { format!("\"{amount}\"") };
    RawValue::from_string(text).map_err(|cause| ApiError::internal(&cause))
}
