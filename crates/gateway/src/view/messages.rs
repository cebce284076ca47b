//! Bodies of the owner's A2A operations: discovery, the message envelope, service requests and their answers.
//!
//! Field names and numbers are the owner's; amounts are JSON numbers of USDC written digit by digit, times of work
//! milliseconds. `docs/protocols/messages.md` says what each means.

use super::OrderView;
use haggle_base::Usdc;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// `POST /api/v1/a2a/discover`, every field checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discover {
    /// What is needed, in words as for a search.
    pub capability: String,
    /// Greatest price of one call, fee not included.
    pub max_price: Option<Usdc>,
    /// Least rating in millionths of a star, 0 to 5,000,000; an agent that nobody rated passes only zero.
    pub min_rating: Option<u32>,
    /// Longest response time in milliseconds: as measured, else as promised.
    pub max_response_ms: Option<u64>,
    /// Category that must match.
    pub category: Option<String>,
    /// Only agents that are connected now.
    pub online: bool,
    /// At most this many agents (1 to 100).
    pub limit: usize,
}

/// What something costs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pricing {
    /// `per-use`, `outcome-based` or `subscription`.
    pub model: String,
    /// Price of one call, fee not included.
    pub price: Box<RawValue>,
    /// `USDC`.
    pub currency: String,
}

/// One thing an agent sells.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentCapability {
    /// Name of the listing.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of the input, null if there is none.
    pub input_schema: Value,
    /// JSON Schema of the output, null if there is none.
    pub output_schema: Value,
    /// What it costs.
    pub pricing: Pricing,
    /// What is promised.
    pub sla: Sla,
    /// Record id of the listing: `to` of a request for just this. Absent while it is not on the market.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing: Option<String>,
}

/// What a seller promises. Availability and accuracy are no promises here: see the reputation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sla {
    /// Milliseconds from funding to delivery.
    pub response_time: u64,
}

/// What this node knows of an agent's past; null where it knows nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentReputation {
    /// Mean of the ratings, 0 to 5.
    pub rating: Option<Box<RawValue>>,
    /// Settled orders that the buyer released.
    pub completed_tasks: u64,
    /// Share of all settled orders, 0 to 1.
    pub success_rate: Option<Box<RawValue>>,
    /// Mean response time in milliseconds, as buyers measured it.
    pub avg_response_time: Option<u64>,
}

/// Whether an agent can be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Availability {
    /// `online`, `busy` (it takes no more calls just now) or `offline`.
    pub status: String,
}

/// One agent of the market.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AgentProfile {
    /// The agent's DID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it does: the description of the capability that was found first.
    pub description: String,
    /// What it sells of what was looked for, best first.
    pub capabilities: Vec<AgentCapability>,
    /// What this node knows of its past.
    pub reputation: AgentReputation,
    /// The lowest price of the capabilities.
    pub pricing: Pricing,
    /// Whether it can be reached.
    pub availability: Availability,
}

/// An `A2AMessage` as somebody sends it to this node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MessageBody {
    /// The sender's name for the message, 1 to 64 of `A-Z a-z 0-9 - _ . :`. A request must have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// The agent that speaks, by DID, or by name if it is one of this node's; default: the node's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Whom it speaks to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The route's own type, if it is said.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// When it was said, RFC 3339; default: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// What is said.
    pub payload: Box<RawValue>,
    /// Signature of `from`, base64url; without one the message speaks for this node's agents only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// An `A2AMessage` as this node keeps and shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageView {
    /// The sender's name for the message.
    pub message_id: String,
    /// The agent that speaks.
    pub from: String,
    /// Whom it speaks to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// `request`, `response`, `notification` or `error`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was said, RFC 3339.
    pub timestamp: String,
    /// What was said, as canonical JSON.
    pub payload: Box<RawValue>,
    /// Signature of `signedBy`, base64url.
    pub signature: String,
    /// Who signed: not `from` where this node wrote down what it made of another agent's answer.
    pub signed_by: String,
    /// blake3 of what the signature covers.
    pub id: String,
    /// Where it stands among this node's messages: `after` of the next page.
    pub sequence: u64,
    /// How it went to an agent that could not be reached when it was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryView>,
}

/// How a message goes to an agent that could not be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryView {
    /// `outbox`, `mailbox`, or how it arrived: `direct`, `punched`, `relayed`, `mailbox`.
    pub path: String,
    /// `sending`, `kept` (somebody keeps it), `delivered` (the recipient signed for it), `expired` or `refused`.
    pub state: String,
    /// Peer ids of those who keep it.
    pub keepers: Vec<String>,
    /// After which nobody keeps it, RFC 3339.
    pub expires: String,
    /// When the recipient wrote it down, by its clock, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// `GET /api/v1/a2a/messages`: query parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageQuery {
    /// `sequence` of the last message of the page before.
    pub after: Option<u64>,
    /// At most this many (1 to 100, default 20).
    pub limit: Option<u32>,
    /// Only messages of this type.
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

/// The payload of a `ServiceRequest`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceRequest {
    /// What is needed, in words as for a search.
    pub capability: String,
    /// The input of the work: any JSON.
    pub input: Value,
    /// The most it may cost, fee included; a decimal number or string.
    pub budget: Box<RawValue>,
    /// After which nobody waits for the result, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// What the work is to come to, in words; kept with the message.
    #[serde(default)]
    pub expected_outcome: String,
}

/// A price that would be taken instead.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CounterOffer {
    /// What would leave the buyer's wallet, fee included.
    pub price: Box<RawValue>,
    /// Milliseconds that the work may take.
    pub timeline: u64,
}

/// The payload of a `ServiceResponse`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceResponse {
    /// `messageId` of the request.
    pub request_id: String,
    /// `accepted`, `counter-offer` or `rejected`.
    pub status: String,
    /// What leaves the buyer's wallet, fee included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_cost: Option<Box<RawValue>>,
    /// Milliseconds the work takes: as measured before, else as promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_time: Option<u64>,
    /// The seller's own offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter_offer: Option<CounterOffer>,
    /// Record id of the listing that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing: Option<String>,
    /// The seller's signed quote, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    /// Why this seller, or why nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Stable code of a rejection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// The payload of an answer to a service response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceAnswer {
    /// `messageId` of the request.
    pub request_id: String,
    /// `accepted` or `rejected`.
    pub status: String,
}

/// What an answer led to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answered {
    /// `messageId` of the request.
    pub request_id: String,
    /// `accepted` or `rejected`.
    pub status: String,
    /// The order that was placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderView>,
}

/// A typed message, every field checked: who says it, and what.
#[derive(Clone, Debug)]
pub struct TypedMessage {
    /// The agent that speaks, by DID or name; default: the node's own.
    pub from: Option<String>,
    /// Names the intent: the same id again is the same purchase.
    pub message_id: Option<String>,
    /// What is wanted.
    pub wish: TypedWish,
    /// The whole message as it was sent, to be kept.
    pub said: Box<RawValue>,
}

/// What a typed message wants.
#[derive(Clone, Debug)]
pub enum TypedWish {
    /// Put a service on the market.
    ListService(Service),
    /// Look for services.
    Search(ServiceSearch),
    /// Buy one call of a listing.
    Purchase {
        /// Record id of the listing.
        listing: String,
        /// The input of the work.
        input: Value,
    },
    /// Where an order stands; one that waits to be answered by hand gets its output.
    OrderComplete {
        /// Key or id of the order.
        order: String,
        /// The output; absent if it needs none.
        output: Option<Value>,
    },
    /// Object to an order.
    Dispute {
        /// Key or id of the order.
        order: String,
        /// Why.
        reason: String,
        /// What shows it: any JSON.
        evidence: Value,
    },
}

/// A service that an owner lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Category (`data-processing` …).
    pub category: String,
    /// Name of agent and listing, as letters, digits and `-`.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Price of one call.
    pub price: Usdc,
    /// What runs it; absent if an agent of this name is served already, or if its owner answers by hand.
    pub executor: Option<super::Executor>,
}

/// What services are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceSearch {
    /// Words.
    pub words: Option<String>,
    /// Category that must match.
    pub category: Option<String>,
    /// Least price.
    pub min_price: Option<Usdc>,
    /// Greatest price.
    pub max_price: Option<Usdc>,
}

/// The answer to a typed message, with the owner's field names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TypedAnswer {
    /// To `list_service`.
    ListingResponse {
        /// `success` or `rejected`.
        status: String,
        /// Record id of the listing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        listing_id: Option<String>,
        /// When the listing ends unless it is renewed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<String>,
        /// Why not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// To `search_request`.
    SearchResponse {
        /// `success`.
        status: String,
        /// What was found.
        results: Vec<ServiceRow>,
        /// How many these are.
        count: usize,
    },
    /// To `purchase_request`.
    PurchaseResponse {
        /// `success` or `failed`.
        status: String,
        /// Key or id of the order.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order_id: Option<String>,
        /// What leaves the buyer's wallet, fee included.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        escrow_amount: Option<String>,
        /// When the buyer is refunded if nothing is delivered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_at: Option<String>,
        /// Why not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// To `order_complete`.
    OrderCompleteResponse {
        /// `success` or `failed`.
        status: String,
        /// Key or id of the order.
        order_id: String,
        /// Where it stands, as in [`OrderView`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<String>,
        /// Why not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Stable code of a refusal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
    },
    /// To `dispute_request`.
    DisputeResponse {
        /// `success` or `failed`.
        status: String,
        /// Key or id of the order.
        order_id: String,
        /// Why not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Stable code of a refusal.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
    },
}

/// One service of a search, with the owner's field names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRow {
    /// Record id of the listing.
    pub id: String,
    /// Name of the listing.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Category.
    pub service_type: String,
    /// Price of one call.
    pub price: String,
    /// DID of the seller.
    pub provider_did: String,
    /// The seller's trust score, 0 to 1; null without calls.
    pub provider_reputation: Option<String>,
    /// The seller's [`Reputation::net`](super::Reputation::net), which `min_reputation` is compared with.
    pub provider_net: i64,
    /// When the listing ends unless it is renewed.
    pub expires_at: String,
}

impl From<super::ListingView> for ServiceRow {
    fn from(listing: super::ListingView) -> Self {
        Self {
            id: listing.id,
            name: listing.name,
            description: listing.description,
            service_type: listing.category,
            price: Usdc::to_string(&listing.price),
            provider_did: listing.agent,
            provider_net: listing.reputation.net,
            provider_reputation: listing.reputation.trust_score,
            expires_at: listing.expires,
        }
    }
}
