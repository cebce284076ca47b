//! The network file: the facts that all nodes of one network must agree on.

use std::time::Duration;

use alloy_primitives::{Address, address};
use serde::{Deserialize, Serialize};

use crate::error::Coded;
use crate::ids::NetworkId;
use crate::money::{USDC_DECIMALS, Usdc};

/// The chain id of the local test market.
pub const DEVNET_CHAIN_ID: u64 = 31_337;
/// The most shards a network may have.
pub const MAX_SHARDS: u16 = 64;
/// The highest fee that the escrow contract accepts, in basis points.
pub const MAX_FEE_BPS: u16 = 1_000;
/// The most bootstrap addresses.
pub const MAX_BOOTSTRAP: usize = 64;
/// The most fee sinks.
pub const MAX_FEE_SINKS: usize = 16;

/// How long a listing fee pays for.
pub const LISTING_FEE_PERIOD: Duration = Duration::from_secs(30 * 24 * 3600);
/// The listing fee of a network file that names none: 0.1 USDC.
pub const DEFAULT_LISTING_FEE: Usdc = Usdc::from_units(100_000);
/// The least listing fee that is one, 0.001 USDC: each is a row on every node's disk for its period.
pub const MIN_LISTING_FEE: Usdc = Usdc::from_units(1_000);
/// The highest listing fee: 1,000 USDC.
pub const MAX_LISTING_FEE: Usdc = Usdc::from_units(1_000_000_000);

const fn default_listing_fee() -> Usdc {
    DEFAULT_LISTING_FEE
}

/// What a listing's room costs, and where the money goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingFee {
    /// For one listing and one [`LISTING_FEE_PERIOD`]; never nought.
    pub amount: Usdc,
    /// Any of these; never empty. The first one is where this program pays.
    pub sinks: Vec<Address>,
}

/// What a network file says. The id is part of every record and protocol name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkFile {
    /// The network's id, such as `base/1` or `devnet-7/1`.
    pub id: NetworkId,
    /// The EVM chain where orders are paid.
    pub chain_id: u64,
    /// Into how many shards records fall: 64 on a real network, 4 on the devnet.
    pub shards: u16,
    /// The escrow contract; zero where haggle's is not deployed, which the file says with `escrow = "none"`.
    #[serde(with = "none_or_address")]
    pub escrow: Address,
    /// Addresses whose fees count as really gone (burnt or public goods).
    #[serde(default)]
    pub fee_sinks: Vec<Address>,
    /// What a listing's room costs for [`LISTING_FEE_PERIOD`], paid to a fee sink. Nought, or no sinks: nobody can pay for
    /// room, and everybody has the free listings alone.
    #[serde(default = "default_listing_fee")]
    pub listing_fee: Usdc,
    /// Multiaddresses with `/p2p/<peer id>` of nodes that newcomers dial first.
    #[serde(default)]
    pub bootstrap: Vec<String>,
    /// The one token that is paid with.
    pub token: TokenFacts,
    /// The fee that orders carry by default.
    pub fee: FeeRule,
    /// Who rules on disputes. Without it a delivery that was posted on chain cannot be disputed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arbitration: Option<Arbitration>,
    /// Where x402's payment channels are. Without it nobody pays by voucher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<Channels>,
}

/// x402's canonical channel contract, on every chain that has it.
pub const CHANNEL_CONTRACT: Address = address!("0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003");
/// The canonical collector of that contract for EIP-3009 deposits.
pub const CHANNEL_COLLECTOR: Address = address!("0x4020806089470a89826cB9fB1f4059150b550004");

/// The contracts of x402's scheme `batch-settlement` on this chain.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channels {
    /// The channel contract.
    pub contract: Address,
    /// The collector that takes EIP-3009 deposits.
    pub collector: Address,
    /// Whether the contract is haggle's own, which claims and sends in one call and skips what cannot be claimed.
    #[serde(default)]
    pub one_call_claims: bool,
}

impl Channels {
    /// x402's own contracts.
    pub const CANONICAL: Self =
        Self { contract: CHANNEL_CONTRACT, collector: CHANNEL_COLLECTOR, one_call_claims: false };

    fn check(&self, token: &Address, escrow: &Address) -> Result<(), NetworkFileError> {
        let taken = [Address::ZERO, *token, *escrow];
        if taken.contains(&self.contract) {
            return Err(NetworkFileError::BadChannels("contract"));
        }
        if taken.contains(&self.collector) || self.collector == self.contract {
            return Err(NetworkFileError::BadChannels("collector"));
        }
        Ok(())
    }
}

/// A contract's address, or the word `none` where there is no such contract.
mod none_or_address {
    use alloy_primitives::Address;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    const NONE: &str = "none";

    pub(super) fn serialize<S: Serializer>(address: &Address, serializer: S) -> Result<S::Ok, S::Error> {
        if address.is_zero() { NONE.serialize(serializer) } else { address.serialize(serializer) }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == NONE {
            return Ok(Address::ZERO);
        }
        match text.parse::<Address>() {
            Ok(address) if !address.is_zero() => Ok(address),
            Ok(_) => Err(de::Error::custom("the zero address is no contract; write \"none\" if there is none")),
            Err(_) => Err(de::Error::custom("neither an address nor \"none\"")),
        }
    }
}

/// Who rules on disputes of this network's orders, and by which clocks. Both nodes of an order take it from here.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arbitration {
    /// The arbitrator: a key, or a contract that collects votes.
    pub arbitrator: Address,
    /// Each side's bond, in hundredths of a percent of the price, at most 10000.
    pub bond_bps: u16,
    /// Seconds the provider has to stand against a dispute, one hour to 30 days.
    pub counter_secs: u32,
    /// Seconds the arbitrator has to rule, one hour to 30 days.
    pub rule_secs: u32,
    /// What the provider gets if the arbitrator stays silent, in hundredths of a percent of the price.
    pub silent_bps: u16,
}

/// Windows the escrow contract takes, in seconds.
const WINDOWS: std::ops::RangeInclusive<u32> = 3_600..=30 * 86_400;

impl Arbitration {
    /// Each side's bond for an order of this price.
    #[must_use]
    pub fn bond_of(&self, price: Usdc) -> Usdc {
        price.fee_bps(self.bond_bps)
    }

    fn check(&self, escrow: &Address, token: &Address) -> Result<(), NetworkFileError> {
        if self.arbitrator.is_zero() || self.arbitrator == *escrow || self.arbitrator == *token {
            return Err(NetworkFileError::BadArbitration("arbitrator"));
        }
        if self.bond_bps > 10_000 {
            return Err(NetworkFileError::BadArbitration("bond_bps"));
        }
        if self.silent_bps > 10_000 {
            return Err(NetworkFileError::BadArbitration("silent_bps"));
        }
        if !WINDOWS.contains(&self.counter_secs) {
            return Err(NetworkFileError::BadArbitration("counter_secs"));
        }
        if !WINDOWS.contains(&self.rule_secs) {
            return Err(NetworkFileError::BadArbitration("rule_secs"));
        }
        Ok(())
    }
}

/// The token's facts; name and version are those of its EIP-712 domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenFacts {
    /// The token contract.
    pub address: Address,
    /// Name in the EIP-712 domain, such as `USD Coin`.
    pub name: String,
    /// Version in the EIP-712 domain, such as `2`.
    pub version: String,
    /// What people read, such as `USDC`.
    pub symbol: String,
    /// Always 6.
    pub decimals: u8,
}

/// The fee of an order.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeeRule {
    /// Hundredths of a percent of what is paid, at most 1000.
    pub bps: u16,
    /// Whose share it comes from.
    pub payer: FeePayer,
    /// Who gets it.
    pub recipient: Address,
}

/// Whose share the fee comes from.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeePayer {
    /// On top of the price.
    Buyer,
    /// Out of the price.
    Seller,
}

/// What is wrong with a network file.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkFileError {
    /// The chain id is zero.
    #[error("chain_id is 0")]
    NoChain,
    /// The number of shards is not a power of two from 1 to 64.
    #[error("shards must be 1, 2, 4, 8, 16, 32 or 64")]
    BadShards,
    /// An address that must be set is zero.
    #[error("{0} is the zero address")]
    ZeroAddress(&'static str),
    /// The token does not have six decimals.
    #[error("token.decimals must be 6")]
    BadDecimals,
    /// The token's name, version or symbol is empty or longer than 64 bytes.
    #[error("token.{0} is empty or longer than 64 bytes")]
    BadTokenText(&'static str),
    /// The fee is more than 1000 basis points.
    #[error("fee.bps is more than 1000")]
    FeeTooHigh,
    /// A rule of arbitration that the escrow contract would refuse.
    #[error("arbitration.{0} is out of range")]
    BadArbitration(&'static str),
    /// Channel contracts that cannot be.
    #[error("channels.{0} is zero, or another contract of this file")]
    BadChannels(&'static str),
    /// The listing fee is neither nought nor within its bounds.
    #[error("listing_fee must be 0, or between 0.001 and 1000")]
    BadListingFee,
    /// Too many entries in a list.
    #[error("too many entries in {0}")]
    TooMany(&'static str),
    /// A bootstrap address is not a multiaddress that ends in a peer id.
    #[error("bootstrap address number {0} does not end in /p2p/<peer id>")]
    BadBootstrap(usize),
    /// The ids `devnet-…` and chain 31337 belong together.
    #[error("a network named devnet-… must be on chain 31337, and no other may be")]
    DevnetMismatch,
}

impl Coded for NetworkFileError {
    fn code(&self) -> &'static str {
        "bad_network_file"
    }

    fn hint(&self) -> &'static str {
        "correct the named key in the network file, or fetch the file of your network again"
    }
}

impl NetworkFile {
    /// True for a local test market, where public seeds and free money are allowed.
    #[must_use]
    pub const fn is_devnet(&self) -> bool {
        self.chain_id == DEVNET_CHAIN_ID
    }

    /// Whether haggle's escrow is deployed here: without it nobody places orders, and calls are paid one by one.
    #[must_use]
    pub fn has_escrow(&self) -> bool {
        !self.escrow.is_zero()
    }

    /// What a listing's room costs; `None` where nobody can pay for it.
    #[must_use]
    pub fn listing_fee(&self) -> Option<ListingFee> {
        let is_one = !self.listing_fee.is_zero() && !self.fee_sinks.is_empty();
        is_one.then(|| ListingFee { amount: self.listing_fee, sinks: self.fee_sinks.clone() })
    }

    /// Checks every rule that the types do not already say.
    ///
    /// # Errors
    /// The first [`NetworkFileError`] found.
    pub fn check(&self) -> Result<(), NetworkFileError> {
        use NetworkFileError as E;
        if self.chain_id == 0 {
            return Err(E::NoChain);
        }
        if self.id.as_str().starts_with("devnet-") != self.is_devnet() {
            return Err(E::DevnetMismatch);
        }
        if !self.shards.is_power_of_two() || self.shards > MAX_SHARDS {
            return Err(E::BadShards);
        }
        if !self.has_escrow() && (self.is_devnet() || self.arbitration.is_some()) {
            return Err(E::ZeroAddress("escrow"));
        }
        self.token.check()?;
        if self.fee.bps > MAX_FEE_BPS {
            return Err(E::FeeTooHigh);
        }
        if self.fee.bps > 0 && self.fee.recipient.is_zero() {
            return Err(E::ZeroAddress("fee.recipient"));
        }
        if let Some(arbitration) = &self.arbitration {
            arbitration.check(&self.escrow, &self.token.address)?;
        }
        if let Some(channels) = &self.channels {
            channels.check(&self.token.address, &self.escrow)?;
        }
        if self.fee_sinks.len() > MAX_FEE_SINKS {
            return Err(E::TooMany("fee_sinks"));
        }
        if self.fee_sinks.iter().any(|sink| sink.is_zero()) {
            return Err(E::ZeroAddress("an entry of fee_sinks"));
        }
        if !self.listing_fee.is_zero() && !(MIN_LISTING_FEE..=MAX_LISTING_FEE).contains(&self.listing_fee) {
            return Err(E::BadListingFee);
        }
        if self.bootstrap.len() > MAX_BOOTSTRAP {
            return Err(E::TooMany("bootstrap"));
        }
        let bad = self.bootstrap.iter().position(|address| !ends_in_peer_id(address));
        bad.map_or(Ok(()), |at| Err(E::BadBootstrap(at + 1)))
    }
}

impl TokenFacts {
    fn check(&self) -> Result<(), NetworkFileError> {
        use NetworkFileError as E;
        if self.address.is_zero() {
            return Err(E::ZeroAddress("token.address"));
        }
        if u32::from(self.decimals) != USDC_DECIMALS {
            return Err(E::BadDecimals);
        }
        let texts = [("name", &self.name), ("version", &self.version), ("symbol", &self.symbol)];
        for (key, text) in texts {
            if text.is_empty() || text.len() > 64 {
                return Err(E::BadTokenText(key));
            }
        }
        Ok(())
    }
}

fn ends_in_peer_id(address: &str) -> bool {
    address.starts_with('/')
        && address.rsplit_once("/p2p/").is_some_and(|(_, peer)| peer.parse::<crate::did::PeerId>().is_ok())
}

#[cfg(test)]
mod tests;
