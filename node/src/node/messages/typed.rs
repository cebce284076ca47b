//! The owner's typed messages: each does what it says through the node's own calls, and is kept with its answer.

use super::{Inner, coded, derived, order_key, taken_name, text_of};
use crate::mailbox::content;
use crate::node::invoke::fresh_key;
use crate::node::views::explain;
use haggle_a2a::envelope::{Message, MessageType};
use haggle_base::Did;
use haggle_gateway::view::{
    BY_HAND_DELIVER_SECONDS, DisputeRequest, Executor, HireRequest, ListingQuery, NewAgent, PriceFor, Republish,
    Service, ServiceRow, ServiceSearch, TypedAnswer, TypedMessage, TypedWish,
};
use haggle_gateway::{ApiError, NodeApi};
use haggle_store::StoreError;
use haggle_trade::{HireId, OrderView};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// How long a purchase waits for its signed terms, so that its answer can name the order and its end.
const UNTIL_TERMS: Duration = Duration::from_secs(10);
/// Services of one answer.
const MAX_RESULTS: u32 = 100;
/// Seconds a listed service may take for a call, if something runs it.
const DELIVER_WITHIN: u32 = 300;

impl Inner {
    pub(in crate::node) async fn typed(&self, message: TypedMessage) -> Result<TypedAnswer, ApiError> {
        let keys = self.speaker(message.from.as_deref())?;
        let from = keys.agent.did();
        let name = match message.message_id {
            Some(name) => name,
            None => fresh_key("m")?,
        };
        let (own, now) = (self.own_did().to_string(), self.clock.now());
        let said = Message::new(&name, from, Some(&own), MessageType::Request, now, message.said.get());
        let said = said.and_then(|said| said.sign(&keys.agent)).map_err(coded)?;
        let _turn = self.mailbox.turn(&from, &name).await;
        let before = self.mailbox.find(&from, &name).map_err(coded)?;
        if let Some(number) = before {
            let kept = self.mailbox.read(number).map_err(coded)?;
            if kept.is_none_or(|kept| content(kept.message()) != content(said.message())) {
                return Err(taken_name());
            }
        }
        let answer = match message.wish {
            TypedWish::ListService(service) => self.list_service(service).await?,
            TypedWish::Search(search) => self.search_services(search).await?,
            TypedWish::Purchase { listing, input } => self.purchase(&from, &name, listing, input).await?,
            TypedWish::OrderComplete { order, output } => self.order_complete(order, output).await?,
            TypedWish::Dispute { order, reason, .. } => self.dispute_order(order, reason).await?,
        };
        if before.is_none() {
            let own_keys = self.speaker(None)?;
            let (id, to) = (derived("re", &said.id()), from.to_string());
            let payload = text_of(&answer)?;
            let now = self.clock.now();
            let reply = Message::new(&id, self.own_did(), Some(&to), MessageType::Response, now, &payload);
            let reply = reply.and_then(|reply| reply.sign(&own_keys.agent)).map_err(coded)?;
            match self.mailbox.keep(&[&said, &reply], |_, _| Ok(())).await {
                Ok(_) | Err(StoreError::Precondition { .. }) => {}
                Err(error) => return Err(coded(error)),
            }
        }
        Ok(answer)
    }

    async fn list_service(&self, service: Service) -> Result<TypedAnswer, ApiError> {
        let rejected = |reason: String| TypedAnswer::ListingResponse {
            status: "rejected".to_owned(),
            listing_id: None,
            expires_at: None,
            reason: Some(reason),
        };
        let known = self.agents.named(&service.name);
        let listed = match (service.executor, known) {
            (None, Some(known)) => {
                self.republish(&known.row.did.to_string(), Republish { price: Some(service.price) }).await
            }
            (executor, _) => {
                let executor = executor.unwrap_or(Executor::ByHand);
                let is_by_hand = executor == Executor::ByHand;
                let draft = NewAgent {
                    name: service.name,
                    description: service.description,
                    category: service.category,
                    tags: Vec::new(),
                    price: service.price,
                    input_schema: None,
                    output_schema: None,
                    deliver_within_seconds: if is_by_hand { BY_HAND_DELIVER_SECONDS } else { DELIVER_WITHIN },
                    executor,
                    extended: None,
                    draft: false,
                    regions: Vec::new(),
                    pricing: PriceFor::PerCall,
                };
                self.add_agent(draft).await
            }
        };
        match listed {
            Ok(agent) => {
                let listing =
                    agent.listing.ok_or_else(|| ApiError::internal(&"an agent was listed without a listing"))?;
                let expires = self.listing(&listing).await?.listing.expires;
                Ok(TypedAnswer::ListingResponse {
                    status: "success".to_owned(),
                    listing_id: Some(listing),
                    expires_at: Some(expires),
                    reason: None,
                })
            }
            Err(problem) if problem.retryable => Err(problem),
            Err(problem) => Ok(rejected(problem.detail)),
        }
    }

    async fn search_services(&self, search: ServiceSearch) -> Result<TypedAnswer, ApiError> {
        let query = ListingQuery {
            q: search.words,
            category: search.category,
            min_price: search.min_price,
            max_price: search.max_price,
            limit: Some(MAX_RESULTS),
            ..ListingQuery::default()
        };
        let page = self.find(query).await?;
        let results: Vec<ServiceRow> = page.items.into_iter().map(ServiceRow::from).collect();
        Ok(TypedAnswer::SearchResponse { status: "success".to_owned(), count: results.len(), results })
    }

    async fn purchase(&self, buyer: &Did, name: &str, listing: String, input: Value) -> Result<TypedAnswer, ApiError> {
        let failed = |reason: String| TypedAnswer::PurchaseResponse {
            status: "failed".to_owned(),
            order_id: None,
            escrow_amount: None,
            expires_at: None,
            reason: Some(reason),
        };
        let key = order_key(buyer, name);
        if self.buyer.find_key(buyer, &key).map_err(coded)?.is_none() {
            let Ok(found) = self.listing_by_id(&listing) else {
                return Ok(failed("Listing not found or inactive".to_owned()));
            };
            let total = self.with_fee(found.body().price);
            if self.wallet_view(buyer).await?.available < total {
                return Ok(failed(format!("Insufficient balance. Need {total} USDC")));
            }
        }
        let request = HireRequest { listing, input, max_price: None, buyer: Some(buyer.to_string()) };
        match self.hire(&key, request).await {
            Ok(_) => {}
            Err(problem) if problem.retryable || problem.code == "idempotency_conflict" => return Err(problem),
            Err(problem) => return Ok(failed(problem.detail)),
        }
        let hire = self.buyer.find_key(buyer, &key).map_err(coded)?;
        let hire = hire.ok_or_else(|| ApiError::internal(&"an order that was placed is not in the store"))?;
        // without terms in time the answer names the order by its key
        let _terms = tokio::time::timeout(UNTIL_TERMS, self.until_terms(hire)).await;
        let view = self.buyer.show(hire).map_err(coded)?;
        if let Some(code) = &view.failure {
            let words = explain(code.as_str());
            let words = if words.is_empty() { code.as_str() } else { words };
            return Ok(failed(words.to_owned()));
        }
        let shown = self.order_view(&view);
        Ok(TypedAnswer::PurchaseResponse {
            status: "success".to_owned(),
            order_id: Some(shown.id.unwrap_or(shown.key)),
            escrow_amount: Some(shown.total.to_string()),
            expires_at: view.clocks.map(|clocks| clocks.deliver_by.to_rfc3339()),
            reason: None,
        })
    }

    /// Waits until the terms of a hire are signed, or it failed.
    async fn until_terms(&self, hire: HireId) -> Result<OrderView, ApiError> {
        let mut events = self.buyer.subscribe();
        loop {
            let view = self.buyer.show(hire).map_err(coded)?;
            if view.clocks.is_some() || view.failure.is_some() || view.is_final {
                return Ok(view);
            }
            match events.recv().await {
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Ok(view),
            }
        }
    }

    /// Gives an order that waits for it its output, `{}` if none is said; any other order is told of.
    async fn order_complete(&self, order: String, output: Option<Value>) -> Result<TypedAnswer, ApiError> {
        let answer = |status: &str, state, reason, code| TypedAnswer::OrderCompleteResponse {
            status: status.to_owned(),
            order_id: order.clone(),
            state,
            reason,
            code,
        };
        let waits = self.waits_for_output(&order).await;
        let told = if waits || output.is_some() {
            self.give(&order, &output.unwrap_or_else(|| json!({}))).await
        } else {
            self.order(&order).await
        };
        match told {
            Ok(view) => Ok(answer("success", Some(view.state), None, None)),
            Err(problem) if problem.code == "order_not_found" => {
                Ok(answer("failed", None, Some("Order not found".to_owned()), None))
            }
            Err(problem) if problem.status < 500 => {
                Ok(answer("failed", None, Some(problem.detail), Some(problem.code.into_owned())))
            }
            Err(problem) => Err(problem),
        }
    }

    async fn dispute_order(&self, order: String, reason: String) -> Result<TypedAnswer, ApiError> {
        let asked = DisputeRequest { reason };
        let (status, refusal) = match NodeApi::dispute(self, &order, asked).await {
            Ok(_) => ("success", None),
            Err(problem) if problem.status < 500 => ("failed", Some(problem)),
            Err(problem) => return Err(problem),
        };
        let (code, reason) = refusal.map(|problem| (problem.code.to_string(), problem.detail)).unzip();
        Ok(TypedAnswer::DisputeResponse { status: status.to_owned(), order_id: order, reason, code })
    }
}
