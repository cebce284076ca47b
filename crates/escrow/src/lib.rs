//! The node's way to the chain: reading it, sending to the escrow, watching what it says.
//!
//! Money is held by a contract (`contracts/src/Escrow.sol`). This room is the only one that talks to it, and knows how
//! chains misbehave: endpoints that are down, transactions that may or may not be mined, blocks that are taken back.
//!
//! # Its faces
//! - [`ChainReader`] reads: balances, the latest block, where an order stands. Needs no key.
//! - [`EscrowClient`] sends with one payment key: [`fund`](EscrowClient::fund), [`release`](EscrowClient::release),
//!   [`refund`](EscrowClient::refund), [`deliver`](EscrowClient::deliver), [`finalize`](EscrowClient::finalize),
//!   [`withdraw`](EscrowClient::withdraw); where the parties do not agree, [`split`](EscrowClient::split),
//!   [`verdict`](EscrowClient::verdict), [`dispute`](EscrowClient::dispute), [`counter`](EscrowClient::counter),
//!   [`rule`](EscrowClient::rule); many at once, [`fund_batch`](EscrowClient::fund_batch) and
//!   [`release_batch`](EscrowClient::release_batch). Every step may be asked for twice: if the chain is already there, the answer
//!   is [`Sent::AlreadyDone`] and nothing is sent.
//! - [`ChannelClient`] and [`StakeClient`] do the same for prepaid channels and for providers' stake, [`PanelClient`] for
//!   those who judge together. [`RegistryClient`] and [`AnchorClient`] write down agents and roots of attestations.
//! - [`TransferClient`] makes strangers' signed transfers of the token (x402's `exact`) and tells what became of them.
//! - [`Watcher`] turns the escrow's logs into [`ChainFact`]s, from a [`Cursor`] that the caller keeps.
//!
//! # What it does not do
//! It stores nothing, decides nothing, and signs nothing but transactions: the parties' signatures come from
//! `haggle-base`. It trusts the endpoints it is given.
//!
//! # Errors
//! One [`EscrowError`]. The variant to look at is [`EscrowError::UnknownOutcome`]: the transaction is out, and only the
//! order's status tells what became of it. Everything else either happened or did not.

mod agree;
mod anchor;
mod bindings;
mod chain;
mod channel;
mod client;
mod config;
mod endpoints;
mod error;
mod facts;
mod fees;
mod nonce;
mod order;
mod panel;
mod registry;
mod sender;
mod stake;
mod status;
mod transfer;
mod transport;
mod watcher;

pub use anchor::{AnchorClient, PostedRoot};
pub use chain::{ChainHead, ChainReader, TokenClient};
pub use channel::{
    ChannelClaim, ChannelClient, ChannelDeposit, ChannelFunds, ChannelStatus, Claimed, MAX_CLAIMS, PendingWithdrawal,
};
pub use client::{BatchSent, Decision, EscrowClient, MAX_BATCH, Row, Sent, ToFund, ToRelease};
pub use config::{DEFAULT_GAS_CAP, DEFAULT_MAX_GAS_PRICE, EscrowConfig, MAX_RPC_URLS};
pub use endpoints::{EndpointReport, MAX_LAG, Standing, Trust};
pub use error::{
    AnchorRefusal, BadOrder, ChannelRefusal, EscrowError, FeedbackRefusal, PanelRefusal, RegistryRefusal, Revert, Skip,
    StakeRefusal, TokenRefusal,
};
pub use facts::{ChainFact, EscrowEvent, Place};
pub use fees::{FeePaid, FeeReader, FeesRead, MAX_FEE_BLOCKS};
pub use panel::{Ballot, PanelClient, Panelists, panel_word};
pub use registry::{FeedbackSummary, RegisteredAgent, RegistryClient};
pub use sender::Tx;
pub use stake::{StakeClient, Staked};
pub use status::{OnChain, Status};
pub use transfer::{TransferClient, TransferPlace, TransferStanding};
pub use watcher::{Cursor, Polled, REWIND_BLOCKS, Reach, Watcher};
