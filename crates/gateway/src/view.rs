//! The JSON bodies of the `/v1` API: what the gateway answers and what the command line reads.
//!
//! Amounts are decimal strings of USDC (`"0.25"`), times are RFC 3339 strings in UTC, ids are the
//! text forms of their types. Every body both serialises and deserialises, so one set of types
//! serves the server, the command line and embedding programs.

mod channels;
mod events;
mod invoke;
mod keys;
mod look;
mod market;
mod messages;
mod node;
mod orders;
mod payments;
mod prices;
mod registry;
mod search;
mod wallets;

pub use channels::{ChannelPage, ChannelQuery, ChannelReceiptRequest, ChannelView, CloseRequest, ClosingView};
pub use events::{EventView, Topic, Topics};
pub use invoke::{
    DEFAULT_TIMEOUT, Invocation, InvokeAnswer, InvokeBestRequest, InvokeMetrics, InvokeRequest, Invoked,
    LONGEST_TIMEOUT, Target,
};
pub use keys::{KeyList, KeyScope, KeyView, MadeKey, NewKey, PurchaseRequest, Purchased};
pub use look::{HeldView, PingView, TicketView, VisibilityView, VisibleListing, WhyView};
pub use market::{
    AgentPage, AgentSummary, AgentView, BY_HAND_DELIVER_SECONDS, Executor, Failure, ListingDetail, ListingPage,
    ListingQuery, ListingView, LivenessView, LogLine, LogQuery, LogView, NewAgent, PriceFor, Probe, ProbeView, Problem,
    Republish, Reputation,
};
pub use messages::{
    AgentCapability, AgentProfile, AgentReputation, Answered, Availability, CounterOffer, DeliveryView, Discover,
    MessageBody, MessageQuery, MessageView, Pricing, Service, ServiceAnswer, ServiceRequest, ServiceResponse,
    ServiceRow, ServiceSearch, Sla, TypedAnswer, TypedMessage, TypedWish,
};
pub use node::{
    ChainStatus, CheckView, ChecksView, EndpointStatus, ListingFeeView, MailKeeper, MailStatus, MarketStatus,
    NodeStatus, PeerList, PeerView, Verdict, WalletList, WalletView,
};
pub use orders::{
    CaseView, DisputeRequest, GivenOutput, HireRequest, OrderPage, OrderQuery, OrderView, QuoteRequest, QuoteView,
    StepView,
};
pub use payments::{
    DiscoveryQuery, EntryView, HistoryPage, HistoryQuery, PayRequest, PayView, PaymentView, TransferRequest,
};
pub use prices::{ListingPrices, PricePointView, PricesView};
pub use registry::{AgentChange, AgentListing, AgentMetadata, AgentStats};
pub use search::{
    CountView, CoverageView, ExplainedView, ExplanationView, FacetView, FacetsView, FiguresView, PartView,
    PriceBandView, WordView,
};
pub use wallets::{
    AgentWallet, AutoReload, EscrowView, FundBody, FundingDetails, FundingSource, Movement, NewLimits, SpendingLimit,
    TransactionQuery, TransactionRow, WalletBody, WalletConfig, WalletFacts,
};
