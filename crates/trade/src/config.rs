//! The numbers of this room, with their bounds.

use std::time::Duration;

use alloy_primitives::Address;
use haggle_base::{
    NetworkId,
    network_file::{Arbitration, FeeRule, NetworkFile, TokenFacts},
};

/// Largest input or output of an order, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 640 * 1024;
/// Longest time between signing and `fundBy` that any provider accepts, in chain time.
pub const MAX_FUND_WINDOW: Duration = Duration::from_secs(300);
/// A provider that holds no mined release acts on chain at least this long before `deliverBy`.
pub const MIN_DELIVER_MARGIN: Duration = Duration::from_secs(60);
/// Shortest review window the escrow contract takes.
pub const MIN_REVIEW_SECS: u32 = 3_600;
/// Longest review window the escrow contract takes.
pub const MAX_REVIEW_SECS: u32 = 30 * 24 * 3_600;
/// Longest time from `fundBy` to `deliverBy`.
pub const MAX_DELIVERY_SECS: u32 = 365 * 24 * 3_600;

/// Inputs of unfunded orders a provider holds, in bytes, over all buyers.
pub const MAX_UNFUNDED_INPUT_BYTES: u64 = 32 * 1024 * 1024;
/// Agents a provider runs at the same time.
pub const MAX_RUNNING: usize = 32;

/// The market that both sides trade in, pinned by the network file.
#[derive(Clone, Debug)]
pub struct Venue {
    /// The network's name, in every document.
    pub network: NetworkId,
    /// The chain that holds the escrow.
    pub chain_id: u64,
    /// The escrow contract; zero where there is none, and then nobody places orders.
    pub escrow: Address,
    /// The token it holds.
    pub token: TokenFacts,
    /// The fee of every order.
    pub fee: FeeRule,
    /// Who rules on disputes, and by which clocks; without it nobody does.
    pub arbitration: Option<Arbitration>,
}

impl Venue {
    /// Who rules on disputes; zero: nobody.
    #[must_use]
    pub fn arbiter(&self) -> Address {
        self.arbitration.map_or(Address::ZERO, |rule| rule.arbitrator)
    }
}

impl From<&NetworkFile> for Venue {
    fn from(file: &NetworkFile) -> Self {
        Self {
            network: file.id.clone(),
            chain_id: file.chain_id,
            escrow: file.escrow,
            token: file.token.clone(),
            fee: file.fee,
            arbitration: file.arbitration,
        }
    }
}

/// Settings of one node's trading.
#[derive(Clone, Debug)]
pub struct TradeConfig {
    /// The market.
    pub venue: Venue,
    /// How long a provider's quote holds, wall time.
    pub quote_ttl: Duration,
    /// How long a buyer tries to get a price and signed terms, wall time.
    pub agree_within: Duration,
    /// How far ahead a buyer sets `fundBy`, chain time; at most [`MAX_FUND_WINDOW`].
    pub fund_window: Duration,
    /// How long one message waits for its reply.
    pub reply_within: Duration,
    /// How long a buyer that sent its release waits for `Settled` before it submits it itself.
    pub settle_wait: Duration,
    /// Shortest time between two looks at a waiting order.
    pub poll_every: Duration,
    /// Orders not yet worked on that a provider holds for one caller.
    pub max_open_per_buyer: usize,
    /// Orders not yet worked on that a provider holds in total.
    pub max_open: usize,
    /// Live quotes a provider keeps for one caller, without those it has paid for.
    pub max_quotes_per_buyer: usize,
    /// Live quotes a provider keeps in total.
    pub max_quotes: usize,
    /// Hires a buyer has open at once.
    pub max_hires: usize,
}

impl TradeConfig {
    /// The usual numbers for a market.
    pub fn new(venue: Venue) -> Self {
        Self {
            venue,
            quote_ttl: Duration::from_secs(120),
            agree_within: Duration::from_secs(60),
            fund_window: Duration::from_secs(240),
            reply_within: Duration::from_secs(10),
            settle_wait: Duration::from_secs(30),
            poll_every: Duration::from_millis(200),
            max_open_per_buyer: 16,
            max_open: 256,
            max_quotes_per_buyer: 32,
            max_quotes: 4_096,
            max_hires: 1_024,
        }
    }
}
