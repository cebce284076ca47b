//! What the gateway asks of the node: one object-safe trait, implemented where the rooms are joined.

use crate::error::ApiError;
use crate::view::{
    AgentChange, AgentListing, AgentPage, AgentProfile, AgentSummary, AgentView, Answered, CaseView, ChannelPage,
    ChannelQuery, ChannelReceiptRequest, ChecksView, CloseRequest, ClosingView, Discover, DiscoveryQuery,
    DisputeRequest, EscrowView, EventView, HireRequest, HistoryPage, HistoryQuery, Invocation, Invoked, KeyList,
    KeyScope, KeyView, ListingDetail, ListingPage, ListingQuery, LogView, MadeKey, MessageBody, MessageQuery,
    MessageView, Movement, NewAgent, NewKey, NodeStatus, OrderPage, OrderQuery, OrderView, PayRequest, PayView,
    PaymentView, PeerList, PingView, PricesView, Probe, ProbeView, QuoteRequest, QuoteView, Republish, TicketView,
    TransactionQuery, TransferRequest, TypedAnswer, TypedMessage, VisibilityView, WalletFacts, WalletList, WhyView,
};
use async_trait::async_trait;
use axum::body::Bytes;
use haggle_base::Usdc;
use serde_json::Value;
use std::net::IpAddr;
use tokio::sync::broadcast;

/// Whether the node can do its work, line by line, for `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Name of the check (`chain`, `network`, `store`).
    pub check: &'static str,
    /// Whether it passed.
    pub ok: bool,
    /// What was seen.
    pub detail: String,
}

/// A call of `/x402/{listing}`, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaidCall {
    /// Record id of a listing, or the name or DID of one of this node's agents.
    pub listing: String,
    /// HTTP method.
    pub method: String,
    /// Everything behind the question mark.
    pub query: Option<String>,
    /// The body.
    pub body: Bytes,
    /// The `PAYMENT-SIGNATURE` header, if there is one.
    pub payment: Option<String>,
    /// Who calls.
    pub from: IpAddr,
}

/// What a paid call is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaidAnswer {
    /// HTTP status: 200, or 402 with what is asked.
    pub status: u16,
    /// Headers of x402.
    pub headers: Vec<(&'static str, String)>,
    /// A JSON body.
    pub body: Vec<u8>,
}

/// Everything a handler may ask of the node.
///
/// A handler extracts, makes one call here and answers; rules live behind this trait.
#[async_trait]
pub trait NodeApi: Send + Sync + 'static {
    /// The node's own state.
    async fn status(&self) -> Result<NodeStatus, ApiError>;
    /// Connected peers.
    async fn peers(&self) -> Result<PeerList, ApiError>;
    /// Dials a multiaddress, or the peer of a ticket.
    async fn connect(&self, address: &str) -> Result<(), ApiError>;
    /// One line that says how to reach this node, and an agent of it, by name or DID.
    async fn ticket(&self, agent: Option<&str>) -> Result<TicketView, ApiError>;
    /// Measures the way to a peer, by its id, by the DID of an agent it serves, or by a ticket, with so many pings.
    async fn ping(&self, peer: &str, count: Option<u32>) -> Result<PingView, ApiError>;
    /// What a few peers hold of what this node offers.
    async fn visibility(&self) -> Result<VisibilityView, ApiError>;
    /// Begins an orderly stop of the whole node.
    async fn stop(&self);
    /// One check per part the node needs.
    async fn readiness(&self) -> Vec<Readiness>;
    /// Everything that can be wrong with the node, with what to do about it.
    async fn checks(&self) -> ChecksView;
    /// Searches the local copy of the market.
    async fn find(&self, query: ListingQuery) -> Result<ListingPage, ApiError>;
    /// One listing by record id.
    async fn listing(&self, id: &str) -> Result<ListingDetail, ApiError>;
    /// How a listing stands here and at a few peers, by its record id.
    async fn why(&self, id: &str) -> Result<WhyView, ApiError>;
    /// Withdraws a listing of this node with a tombstone.
    async fn withdraw(&self, id: &str) -> Result<(), ApiError>;
    /// The agents of this node.
    async fn agents(&self) -> Result<AgentPage, ApiError>;
    /// One agent of the market by DID, or by name when it is one of ours.
    async fn agent(&self, did: &str) -> Result<AgentView, ApiError>;
    /// The prices that an agent's listings have had: by DID, by name when it is ours, or of one listing by its record id.
    async fn prices(&self, id: &str) -> Result<PricesView, ApiError>;
    /// Adds an agent to this node and publishes its card and listing.
    async fn add_agent(&self, new: NewAgent) -> Result<AgentSummary, ApiError>;
    /// Looks at an agent before it is served, and asks it something.
    async fn probe_agent(&self, probe: Probe) -> Result<ProbeView, ApiError>;
    /// What the program of one of our agents said, by DID or name: at most `lines` of the newest lines.
    async fn agent_log(&self, agent: &str, lines: usize) -> Result<LogView, ApiError>;
    /// Signs and spreads an agent's card and listing anew, by DID or name; a draft or a suspended agent is published so.
    async fn republish(&self, agent: &str, change: Republish) -> Result<AgentSummary, ApiError>;
    /// The agents of this node with the owner's fields.
    async fn agent_listings(&self) -> Result<Vec<AgentListing>, ApiError>;
    /// One agent with the owner's fields: ours by name or DID, any other by DID.
    async fn agent_listing(&self, agent: &str) -> Result<AgentListing, ApiError>;
    /// Changes what an agent of ours says; on the market at once, if it is there.
    async fn change_agent(&self, agent: &str, change: AgentChange) -> Result<AgentSummary, ApiError>;
    /// Withdraws an agent of ours with a tombstone; it can be published again.
    async fn suspend_agent(&self, agent: &str) -> Result<AgentSummary, ApiError>;
    /// Withdraws an agent of ours for good, and stops it.
    async fn delete_agent(&self, agent: &str) -> Result<(), ApiError>;
    /// Asks a seller for a quote.
    async fn quote(&self, request: QuoteRequest) -> Result<QuoteView, ApiError>;
    /// Starts an order; the same key answers with the same order and never starts a second one.
    async fn hire(&self, key: &str, request: HireRequest) -> Result<OrderView, ApiError>;
    /// Calls an agent and waits for its checked answer; pays for it if it has a price.
    async fn invoke(&self, wanted: Invocation) -> Result<Invoked, ApiError>;
    /// Makes a key that calls one agent on an allowance.
    async fn make_key(&self, new: NewKey) -> Result<MadeKey, ApiError>;
    /// The keys that were made, newest first.
    async fn keys(&self) -> Result<KeyList, ApiError>;
    /// Ends a key; what it started goes on.
    async fn revoke_key(&self, id: &str) -> Result<KeyView, ApiError>;
    /// What a key in clear may do.
    async fn key_scope(&self, key: &str) -> Result<KeyScope, ApiError>;
    /// As [`NodeApi::invoke`], on the allowance of the key of this name.
    async fn invoke_with(&self, key: &str, wanted: Invocation) -> Result<Invoked, ApiError>;
    /// This node's orders, newest first.
    async fn orders(&self, query: OrderQuery) -> Result<OrderPage, ApiError>;
    /// One order by key or order id.
    async fn order(&self, id: &str) -> Result<OrderView, ApiError>;
    /// The receipt of an order that the chain closed, as a file that anybody can check.
    async fn order_receipt(&self, id: &str) -> Result<Value, ApiError>;
    /// Cancels an order that is not funded.
    async fn cancel(&self, id: &str) -> Result<OrderView, ApiError>;
    /// Opens a dispute of an order this node bought, as soon as a delivery stands on chain.
    async fn dispute(&self, id: &str, request: DisputeRequest) -> Result<OrderView, ApiError>;
    /// Stands against the dispute of an order this node sold.
    async fn counter(&self, id: &str) -> Result<OrderView, ApiError>;
    /// Gives the output of an order that an agent of this node answers by hand; the same output again changes nothing.
    async fn give_output(&self, id: &str, output: Value) -> Result<OrderView, ApiError>;
    /// What this node can show an arbitrator of an order.
    async fn case(&self, id: &str) -> Result<CaseView, ApiError>;
    /// The agents of the market that sell something, best first.
    async fn discover(&self, wanted: Discover) -> Result<Vec<AgentProfile>, ApiError>;
    /// Asks a seller what a service would cost; the same message again answers the stored response.
    async fn ask_service(&self, request: MessageBody) -> Result<MessageView, ApiError>;
    /// Takes or turns down what a service request was answered with; taking it places the order, once.
    async fn answer_service(&self, answer: MessageBody) -> Result<Answered, ApiError>;
    /// The messages that this node keeps, newest first.
    async fn messages(&self, query: MessageQuery) -> Result<Vec<MessageView>, ApiError>;
    /// Does what a typed message wants.
    async fn typed_message(&self, message: TypedMessage) -> Result<TypedAnswer, ApiError>;
    /// Wallets of this node's agents.
    async fn wallets(&self) -> Result<WalletList, ApiError>;
    /// What the wallets of this node have in common.
    fn wallet_facts(&self) -> WalletFacts;
    /// The DID of the agent of ours whose wallet this is: a DID or a name.
    fn wallet_owner(&self, id: &str) -> Result<String, ApiError>;
    /// Gives a wallet limits of its own, for a call and for a day; one that is not given stays.
    async fn limit_wallet(&self, id: &str, per_call: Option<Usdc>, per_day: Option<Usdc>) -> Result<(), ApiError>;
    /// Fills a wallet from the faucet, where there is one.
    async fn fund_wallet(&self, id: &str, amount: Usdc) -> Result<Movement, ApiError>;
    /// What came into and went out of a wallet, newest first.
    async fn transactions(&self, id: &str, query: TransactionQuery) -> Result<Vec<Movement>, ApiError>;
    /// Where an order's money stands, by key or order id.
    async fn escrow_of(&self, id: &str) -> Result<EscrowView, ApiError>;
    /// Requests a stranger's URL and pays for it if it asks; the same key never pays twice.
    async fn pay(&self, key: &str, request: PayRequest) -> Result<PayView, ApiError>;
    /// One payment to a stranger, by its key.
    async fn payment(&self, key: &str) -> Result<PaymentView, ApiError>;
    /// The receipt of a payment to a stranger, as a file that anybody can check.
    async fn payment_receipt(&self, key: &str) -> Result<Value, ApiError>;
    /// Sends USDC to somebody; the same key never sends twice.
    async fn transfer(&self, key: &str, request: TransferRequest) -> Result<PaymentView, ApiError>;
    /// A page of an agent's ledger.
    async fn history(&self, query: HistoryQuery) -> Result<HistoryPage, ApiError>;
    /// The prepaid channels of this node's agents.
    async fn channels(&self, query: ChannelQuery) -> Result<ChannelPage, ApiError>;
    /// Takes back what is left in a channel that one of this node's agents pays with; twice is once.
    async fn close_channel(&self, id: &str, request: CloseRequest) -> Result<ClosingView, ApiError>;
    /// What a channel came to, signed by its seller, as a file that anybody can check.
    async fn channel_receipt(&self, id: &str, request: ChannelReceiptRequest) -> Result<Value, ApiError>;
    /// Sells one call to whoever pays for it.
    async fn sell(&self, call: PaidCall) -> Result<PaidAnswer, ApiError>;
    /// The facilitator's `verify`: an x402 request and its answer.
    async fn verify_payment(&self, request: Value) -> Result<Value, ApiError>;
    /// The facilitator's `settle`: an x402 request and its answer.
    async fn settle_payment(&self, request: Value) -> Result<Value, ApiError>;
    /// The facilitator's `supported`.
    async fn supported_payments(&self) -> Result<Value, ApiError>;
    /// The facilitator's list of what is sold here.
    async fn paid_resources(&self, query: DiscoveryQuery) -> Result<Value, ApiError>;
    /// Events with an id above `after` that are still remembered, then the live ones.
    fn events(&self, after: Option<u64>) -> (Vec<EventView>, broadcast::Receiver<EventView>);
}
