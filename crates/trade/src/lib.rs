//! Two strangers agree on a price, put the money into escrow, exchange the work, and settle.
//!
//! Three nouns. **Terms** ([`terms`]) are the one document both sign; the on-chain `Order` follows from
//! them field by field, and its EIP-712 digest is the order's only id. A **hire** ([`Buyer`]) is one
//! purchase of ours, driven by the saga in [`order::saga`]. A **job** ([`Desk`]) is one sale of ours,
//! driven by [`order::job`]. Both sides keep the same [`order::OrderMachine`]:
//!
//! ```text
//! proposed -> agreed -> funded -> delivered -> accepted -> settled
//! ```
//!
//! Every step is flushed to the store before the effect that it allows, every effect is keyed so that a
//! second one changes nothing, and a repeated message gets the same answer. So either node can be killed
//! anywhere: it resumes, works once and pays once.
//!
//! ```
//! use haggle_base::{Timestamp, Usdc};
//! use haggle_trade::negotiation::{Asking, Bidding, BuyerPolicy, SellerPolicy, event};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Timestamp::from_secs(0);
//! let deadline = Timestamp::from_secs(60);
//! let step: Usdc = "0.5".parse()?;
//! let mut bob = Bidding::open(BuyerPolicy { bid: "4.0".parse()?, ceiling: "5.5".parse()?, step, deadline });
//! let mut alice = Asking::open(SellerPolicy { ask: "6.0".parse()?, floor: "4.5".parse()?, step, deadline });
//!
//! let mut said = bob.start(now);
//! let price = loop {
//!     let event::Bid::Offered(bid) = said else { panic!("no agreement") };
//!     match alice.bid(bid, now) {
//!         event::Ask::Quoted(price) => break price,
//!         event::Ask::Countered(ask) => said = bob.countered(ask, now),
//!         event::Ask::Ended(_) => panic!("no agreement"),
//!     }
//! };
//! assert_eq!(price, "5.0".parse()?);
//! # Ok(())
//! # }
//! ```
//!
//! What this room does not do: it holds no money key and sends no transaction (the port
//! [`ports::Money`]), opens no connection ([`ports::Counterparty`]), runs no agent ([`ports::Work`]) and
//! keeps no reputation ([`ports::Attestor`]). It sleeps nowhere: the node ticks. The messages are in
//! `docs/protocols/negotiate.md`, the steps and what a crash does to them in `docs/protocols/orders.md`.

pub mod buyer;
pub mod config;
pub mod desk;
pub mod document;
pub mod error;
pub mod event;
pub mod judge;
pub mod negotiation;
pub mod offer;
pub mod order;
pub mod ports;
pub mod proof;
pub mod records;
mod rounds;
pub mod schema;
mod shelf;
pub mod terms;
pub mod wire;

pub use buyer::{Asked, Bargain, Buyer, BuyerPorts, HireRequest, PriceQuote};
pub use config::{MAX_PAYLOAD_BYTES, MIN_REVIEW_SECS, TradeConfig, Venue};
pub use desk::{Desk, DeskPorts, SellingRules};
pub use error::{PortError, Refusal, TradeError};
pub use event::{OrderEvent, OrderView};
pub use judge::{Case, Ruling};
pub use offer::Offer;
pub use order::OrderState;
pub use ports::{
    Attestor, Closing, Counterparty, Faults, Market, Money, NoFaults, OnChain, Phase, SettledFacts, Signer, TxRef,
    Work, WorkError,
};
pub use proof::{OrderFacts, OrderProof, ProofError, Settlement};
pub use records::HireId;
pub use rounds::Progress;
pub use wire::{EXTENSION_URI, TradeMessage, TradeReply};
