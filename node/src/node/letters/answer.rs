//! Service requests that came by letter are answered by letter, and so are ours.

use super::Inner;
use crate::mailbox::{AskedRow, Offer, Offered, RequestRow, ToAnswer};
use crate::node::api::coded;
use crate::node::messages::{amount, derived, number, read, rejected, text_of};
use haggle_a2a::envelope::{Message, MessageType, SignedMessage};
use haggle_base::{Did, RecordId, Text, Timestamp, Verified};
use haggle_catalog::mail::{OutboxError, Purpose};
use haggle_catalog::{ListingBody, MAX_LIMIT, Query};
use haggle_gateway::ApiError;
use haggle_gateway::view::{CounterOffer, ServiceRequest, ServiceResponse};
use haggle_store::StoreError;
use haggle_trade::config::MAX_PAYLOAD_BYTES;
use std::sync::Arc;
use std::time::Duration;

/// How often requests that could not be answered are looked at again.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The place of a request: its buyer and its name.
pub(super) type RequestKey = (Did, String);

/// Answers the requests that came by letter, each once.
pub(super) async fn answer_letters(inner: Arc<Inner>) {
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            () = inner.post.asked.notified() => {}
        }
        // all of them, so that those that cannot be answered now hold up nobody
        let mut after = None;
        loop {
            let waiting = inner.mailbox.to_answer(after).unwrap_or_else(|error| {
                tracing::warn!("requests cannot be read: {error}");
                Vec::new()
            });
            let Some((last, _)) = waiting.last() else { break };
            after = Some(*last);
            for (number, agent) in waiting {
                if let Err(problem) = inner.answer_letter(number, agent).await {
                    tracing::debug!(agent.id = %agent, error.code = %problem.code, "a request by letter is not answered: {problem}");
                }
            }
        }
    }
}

/// The request that a message answers.
pub(super) fn request_of(message: &Message) -> Option<String> {
    let is_response = message.kind == MessageType::Response;
    let response = is_response.then(|| serde_json::from_str::<ServiceResponse>(message.payload()).ok());
    response.flatten().map(|response| response.request_id)
}

impl Inner {
    /// Answers one request; what cannot be answered now stays.
    async fn answer_letter(&self, number: u64, agent: Did) -> Result<(), ApiError> {
        let request = self.mailbox.read(number).map_err(coded)?;
        let (Some(request), Some(keys)) = (request, self.keys.get(&agent)) else {
            return self.mailbox.leave_unanswered(number).await.map_err(coded);
        };
        let (buyer, name) = (request.message().from, derived("re", &request.id()));
        self.post.outbox.has_room(&buyer, Purpose::Answers).map_err(coded)?;
        let response = match self.offer_of(&agent, &request).await {
            Ok(response) => response,
            Err(problem) if problem.retryable => return Err(problem),
            Err(problem) => {
                rejected(request.message().id.as_str(), Some(problem.detail), Some(problem.code.into_owned()))
            }
        };
        let (now, to, text) = (self.clock.now(), buyer.to_string(), text_of(&response)?);
        let answer = Message::new(&name, agent, Some(&to), MessageType::Response, now, &text);
        let answer = answer.and_then(|answer| answer.sign(&keys.agent)).map_err(coded)?;
        let outbox = &self.post.outbox;
        let what = (name.as_str(), Purpose::Answers);
        let pointer = self.post.pointer_of(&agent);
        let prepared = match outbox.prepare(&keys.agent, &buyer, what, answer.document(), pointer, now).await {
            Err(OutboxError::TooLong) => return self.mailbox.leave_unanswered(number).await.map_err(coded),
            prepared => prepared.map_err(coded)?,
        };
        let said = [&answer];
        let kept = self.mailbox.keep(&said, |batch, _| {
            batch.delete::<ToAnswer>(&number);
            prepared.write(batch)
        });
        match kept.await {
            Ok(_) => {
                outbox.posted(prepared).await.map_err(coded)?;
                self.post.rung.notify_one();
                Ok(())
            }
            Err(StoreError::Precondition { .. }) => {
                outbox.discard(&prepared).map_err(coded)?;
                self.mailbox.leave_unanswered(number).await.map_err(coded)
            }
            Err(error) => {
                outbox.discard(&prepared).map_err(coded)?;
                Err(coded(error))
            }
        }
    }

    /// What one of our agents offers to a request: its list price. Bids and quotes need both sides there.
    async fn offer_of(&self, agent: &Did, request: &SignedMessage) -> Result<ServiceResponse, ApiError> {
        let message = request.message();
        let wanted: ServiceRequest = read(message.payload())?;
        let budget = amount(&wanted.budget)?;
        let deadline = wanted.deadline.as_deref().and_then(Timestamp::from_rfc3339);
        if deadline.is_some_and(|deadline| deadline <= self.clock.now()) {
            return Err(ApiError::bad_request("deadline_passed", "the deadline has passed", "ask for a later one"));
        }
        let input = serde_json::to_vec(&wanted.input).map_err(|cause| ApiError::internal(&cause))?;
        if input.len() > MAX_PAYLOAD_BYTES {
            return Err(ApiError::bad_request("input_too_large", "the input is too long", "send less"));
        }
        let listing = self.listing_for(agent, message.to.as_ref(), &wanted.capability, &input).await?;
        let reason = Some("it was asked by letter".to_owned());
        let response =
            ServiceResponse { listing: Some(listing.id().to_string()), ..rejected(message.id.as_str(), reason, None) };
        let total = self.with_fee(listing.body().price);
        let timeline = u64::from(listing.body().sla.deliver_within_secs) * 1000;
        if total <= budget {
            let (status, cost) = ("accepted".to_owned(), Some(number(total)?));
            return Ok(ServiceResponse { status, estimated_cost: cost, estimated_time: Some(timeline), ..response });
        }
        let counter_offer = Some(CounterOffer { price: number(total)?, timeline });
        Ok(ServiceResponse { status: "counter-offer".to_owned(), counter_offer, ..response })
    }

    /// The listing of ours that a request is for: the one it names; the cheapest that takes the input, if it names the
    /// agent; else the first that is found by what it asks for, as the buyer found it.
    async fn listing_for(
        &self,
        agent: &Did,
        to: Option<&Text<128>>,
        capability: &str,
        input: &[u8],
    ) -> Result<Verified<ListingBody>, ApiError> {
        let named = to.and_then(|to| to.as_str().parse::<RecordId>().ok());
        let mut listings = self.catalog.listings_of(agent).map_err(coded)?;
        listings.retain(|listing| named.is_none_or(|named| listing.id() == named));
        listings.sort_by_key(|listing| listing.body().price);
        if to.is_none() {
            let (text, author) = (Some(capability.to_owned()), Some(*agent));
            let query = Query { text, author, limit: MAX_LIMIT, ..Query::default() };
            let found = self.catalog.search(&query).map_err(coded)?.items;
            listings = found.into_iter().map(|hit| hit.listing).collect();
        }
        if listings.is_empty() {
            let told = format!("{agent} sells nothing of this now");
            return Err(ApiError::not_found("listing_not_found", told, "search again"));
        }
        for listing in listings {
            if crate::node::invoke::fits(listing.body().input_schema.as_deref(), input).await? {
                return Ok(listing);
            }
        }
        Err(coded(haggle_trade::TradeError::from(haggle_trade::Refusal::InvalidInput)))
    }

    /// Where a request of ours stands once its seller has answered by letter; `None` if it is no answer to one.
    pub(super) fn answered(
        &self,
        signed: &SignedMessage,
        buyer: &Did,
    ) -> Result<Option<(RequestKey, RequestRow)>, StoreError> {
        let said = signed.message();
        let Ok(response) = serde_json::from_str::<ServiceResponse>(said.payload()) else { return Ok(None) };
        let Some(asked) = self.mailbox.asked(buyer, &response.request_id)? else { return Ok(None) };
        if asked.seller != said.from {
            return Ok(None);
        }
        let offer = self.offered(&response, &asked).unwrap_or(Offered::Nothing);
        let row = RequestRow { content: asked.content, request: asked.request, response: 0, offer, taken: None };
        Ok(Some(((*buyer, response.request_id), row)))
    }

    /// What can be taken of a response; `None` for one that says nothing that can.
    fn offered(&self, response: &ServiceResponse, asked: &AskedRow) -> Option<Offered> {
        let listing: RecordId = response.listing.as_deref()?.parse().ok()?;
        let (budget, deadline) = (asked.budget, asked.deadline);
        let total = match response.status.as_str() {
            "accepted" => amount(response.estimated_cost.as_deref()?).ok().filter(|total| *total <= budget)?,
            "counter-offer" => amount(&response.counter_offer.as_ref()?.price).ok()?,
            _ => return None,
        };
        if total.is_zero() {
            return Some(Offered::Free);
        }
        // one that is not held here may come until the offer is taken, and is held against the seller then
        let held = self.listing_by_id(&listing.to_string()).ok();
        if held.as_ref().is_some_and(|held| held.author() != asked.seller) {
            return None;
        }
        // a request for one listing is answered with it, or with what the seller has in its place now
        let is_chosen = asked.listing.as_ref().is_none_or(|chosen| {
            chosen.id == listing || held.as_ref().is_some_and(|held| held.record().slot == chosen.slot)
        });
        if !is_chosen {
            return None;
        }
        let bargained = held.is_some_and(|held| total < self.with_fee(held.body().price));
        Some(Offered::Order(Offer { listing, seller: Some(asked.seller), total, bargained, deadline }))
    }
}
