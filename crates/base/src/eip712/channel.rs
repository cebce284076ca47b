//! What is signed for prepaid channels: the types of the x402 scheme `batch-settlement` on EVM.
//!
//! A channel's id is the digest of its [`ChannelConfig`]. The payer's [`Voucher`] says how much of it may be claimed in
//! all; the receiver's authoriser signs [`Refund`] and [`ClaimBatch`] where somebody else sends them. No contract reads a
//! [`ChannelReceipt`], by which the receiver says what it charged: it has a domain of its own.

use std::sync::LazyLock;

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::{SolStruct as _, SolValue as _, sol};

use super::{Domain, digest, domain};

/// Name of the channel contract's domain.
pub const CHANNEL_NAME: &str = "x402 Batch Settlement";
/// Version of the channel contract's domain.
pub const CHANNEL_VERSION: &str = "1";
/// Name of the domain of a channel's receipts.
pub const RECEIPT_NAME: &str = "haggle channel receipt";
/// Version of the domain of a channel's receipts.
pub const RECEIPT_VERSION: &str = "1";

sol! {
    /// Everything about a channel that never changes.
    #[derive(Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
    struct ChannelConfig {
        /// Deposits, and gets back what is not claimed.
        address payer;
        /// Signs the vouchers with a plain key; if zero, the payer signs them.
        address payerAuthorizer;
        /// Is paid.
        address receiver;
        /// May claim and refund besides the receiver, also by signature; not zero.
        address receiverAuthorizer;
        /// The contract's token.
        address token;
        /// Seconds the payer has to wait for its money without the receiver's help.
        uint40 withdrawDelay;
        /// Makes two otherwise equal channels different.
        bytes32 salt;
    }

    /// How much of a channel may be claimed in all, ever.
    #[derive(Debug, PartialEq, Eq)]
    struct Voucher {
        /// Which channel.
        bytes32 channelId;
        /// Base units.
        uint128 maxClaimableAmount;
    }

    /// The receiver's side returns something that is not claimed.
    #[derive(Debug, PartialEq, Eq)]
    struct Refund {
        /// Which channel.
        bytes32 channelId;
        /// The channel's place in the row of its refunds.
        uint256 nonce;
        /// Base units.
        uint128 amount;
    }

    /// One channel of a [`ClaimBatch`].
    #[derive(Debug, PartialEq, Eq)]
    struct ClaimEntry {
        /// Which channel.
        bytes32 channelId;
        /// What the voucher allows.
        uint128 maxClaimableAmount;
        /// How much is to be claimed in all after this.
        uint128 totalClaimed;
    }

    /// The receiver's side claims from many channels.
    #[derive(Debug, PartialEq, Eq)]
    struct ClaimBatch {
        /// In the order in which they are claimed.
        ClaimEntry[] claims;
    }

    /// The receiver says what a channel came to.
    #[derive(Debug, PartialEq, Eq)]
    struct ChannelReceipt {
        /// Which channel.
        bytes32 channelId;
        /// Who sold on it, as it calls itself: its DID.
        string seller;
        /// Charged in all, base units.
        uint128 charged;
        /// Claimed of that when the receiver last looked at the chain, base units.
        uint128 claimed;
        /// Unix seconds.
        uint256 issuedAt;
    }
}

/// The domain of a channel contract: channels, vouchers, refunds and claims.
#[must_use]
pub fn channel_domain(chain_id: u64, channel: Address) -> Domain {
    domain(CHANNEL_NAME, CHANNEL_VERSION, chain_id, Some(channel))
}

/// The domain of the receipts of a contract's channels.
#[must_use]
pub fn receipt_domain(chain_id: u64, channel: Address) -> Domain {
    domain(RECEIPT_NAME, RECEIPT_VERSION, chain_id, Some(channel))
}

/// The channel's id: its digest in the domain of the contract that holds it.
#[must_use]
pub fn channel_id(config: &ChannelConfig, channel: &Domain) -> B256 {
    digest(config, channel)
}

/// The nonce of a deposit's payment, which goes to the collector: it is good for this one channel.
#[must_use]
pub fn deposit_nonce(channel_id: &B256, salt: U256) -> B256 {
    keccak256((*channel_id, salt).abi_encode())
}

/// EIP-712's hash of the type [`Voucher`], computed once.
static VOUCHER_TYPE: LazyLock<B256> = LazyLock::new(|| keccak256(Voucher::eip712_encode_type().as_bytes()));

/// The digest of a [`Voucher`] over `max_claimable` base units: what every call through a channel has checked. The same as
/// [`digest`], without building the type's text for each one.
#[must_use]
pub fn voucher_digest(channel_id: &B256, max_claimable: u128, channel: &Domain) -> B256 {
    let mut fields = [0; 96];
    fields[..32].copy_from_slice(VOUCHER_TYPE.as_slice());
    fields[32..64].copy_from_slice(channel_id.as_slice());
    fields[80..].copy_from_slice(&max_claimable.to_be_bytes());
    super::prefixed(&keccak256(fields), channel)
}
