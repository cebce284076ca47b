//! The tables of channels. A channel's newest voucher has a row of its own, because it changes with every call.
//!
//! The fields of the rows that every call writes stand in the order of canonical CBOR, so that writing sorts nothing.

use serde::{Deserialize, Serialize};

use alloy_primitives::B256;
use haggle_base::{Blob, Did, EvmSignature, Hash, List, Timestamp, Usdc, eip712::channel::ChannelConfig};
use haggle_store::tables;
use haggle_x402::{Deposit, DepositTerms, batch::PurchaseNumber};

use crate::{budget::ReservationKey, ports::ChannelOnChain};

/// Bytes of an answer that are kept beside its voucher, so that a repeat gets the same one; a longer one has a file.
pub(crate) const ANSWER_BYTES: usize = 5 * 1024;
/// Deposits into one channel that are not claimed to the last unit; with one more it has to wait, or another one is opened.
pub(crate) const MAX_DEPOSITS: usize = 16;

/// What the chain last said about a channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seen {
    pub(crate) balance: Usdc,
    pub(crate) claimed: Usdc,
    pub(crate) refunds: u64,
    pub(crate) withdrawal: Option<Timestamp>,
}

impl From<ChannelOnChain> for Seen {
    fn from(said: ChannelOnChain) -> Self {
        let ChannelOnChain { balance, claimed, refunds, withdrawal } = said;
        Self { balance, claimed, refunds, withdrawal }
    }
}

/// A refund that was decided, and its transaction once it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Returning {
    /// What was charged when it was asked for; with `wanted` it tells a repeat.
    pub(crate) charged: Usdc,
    /// What the payer asked for.
    pub(crate) wanted: Option<Usdc>,
    /// What is sent back.
    pub(crate) amount: Usdc,
    /// Refunds of the channel before this one.
    pub(crate) refunds: u64,
    pub(crate) tx: Option<B256>,
}

/// A channel that pays an agent of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SellerRow {
    pub(crate) agent: Did,
    pub(crate) channel: ChannelConfig,
    pub(crate) seen: Seen,
    /// The newest deposit we brought to the chain: its nonce, and its transaction once it is known.
    pub(crate) deposit: Option<(B256, Option<B256>)>,
    pub(crate) returning: Option<Returning>,
}

/// The newest voucher of a channel that pays an agent of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeldVoucher {
    /// The name of a long answer among the blobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<Hash>,
    /// What was asked cost this.
    pub(crate) price: Usdc,
    /// What was answered, if it is short.
    pub(crate) answer: Option<Blob<ANSWER_BYTES>>,
    /// What it allows in all, which is what was charged in all.
    pub(crate) charged: Usdc,
    /// What was asked with it.
    pub(crate) request: Hash,
    /// The payer's number of what it was for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) purchase: Option<PurchaseNumber>,
    pub(crate) signature: EvmSignature,
    /// Since when something is unclaimed.
    pub(crate) waiting_since: Timestamp,
}

/// How a channel of ours stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// May be used.
    Open,
    /// Its money was asked back: no more vouchers, no more deposits.
    Closing,
    /// Nothing is left in it.
    Closed,
}

/// How a deposit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DepositStage {
    /// The signature is stored and may be out.
    Signed,
    /// The chain says it is in the channel.
    Confirmed,
    /// It was not used in time.
    Void,
}

/// A deposit into a channel of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DepositRow {
    /// The reservation that pays for it.
    pub(crate) key: ReservationKey,
    pub(crate) amount: Usdc,
    pub(crate) valid_before: Timestamp,
    pub(crate) salt: B256,
    pub(crate) signature: EvmSignature,
    pub(crate) stage: DepositStage,
}

impl DepositRow {
    pub(crate) fn terms(&self) -> DepositTerms {
        DepositTerms {
            amount: self.amount,
            valid_after: Timestamp::ZERO,
            valid_before: self.valid_before,
            salt: self.salt.into(),
        }
    }

    pub(crate) fn to_wire(&self) -> Deposit {
        Deposit { terms: self.terms(), signature: self.signature }
    }
}

/// The voucher that is out and not answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InFlight {
    pub(crate) key: String,
    pub(crate) max: Usdc,
    /// Whether no voucher over as much was signed before it.
    pub(crate) first: bool,
    pub(crate) price: Usdc,
    pub(crate) since: Timestamp,
    /// Whether a deposit goes with it: the last one of the row.
    pub(crate) deposit: bool,
    /// The highest sum that was signed for this key.
    #[serde(default)]
    pub(crate) highest: Usdc,
    /// Which purchase on this channel it is, however often it is corrected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) purchase: Option<PurchaseNumber>,
    pub(crate) signature: EvmSignature,
    /// How often the seller's state was believed for this key.
    pub(crate) corrections: u8,
}

/// A channel that an agent of ours pays with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BuyerRow {
    pub(crate) agent: Did,
    pub(crate) channel: ChannelConfig,
    pub(crate) standing: Standing,
    pub(crate) seen: Seen,
    pub(crate) deposits: List<DepositRow, MAX_DEPOSITS>,
    /// Deposits that were claimed to the last unit and are no longer listed, in all.
    #[serde(default)]
    pub(crate) retired: Usdc,
    /// What of the charges is booked as spent.
    pub(crate) booked: Usdc,
    /// What came back and is booked.
    pub(crate) returned: Usdc,
}

/// What an agent of ours signed on a channel. A row of its own, because it changes with every call.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BuyerVouchers {
    /// The highest voucher ever signed: the most that can be owed.
    pub(crate) signed: Usdc,
    /// What we believe the seller charged.
    pub(crate) charged: Usdc,
    /// The newest purchase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) purchase: Option<PurchaseNumber>,
    pub(crate) in_flight: Option<InFlight>,
}

impl BuyerRow {
    /// Everything the chain confirmed to have been paid in.
    pub(crate) fn paid_in(&self) -> Usdc {
        let confirmed = self.deposits.iter().filter(|deposit| deposit.stage == DepositStage::Confirmed);
        confirmed.fold(self.retired, |sum, deposit| sum.checked_add(deposit.amount).unwrap_or(Usdc::MAX))
    }

    /// The deposit whose signature may be out and unused.
    pub(crate) fn pending(&self) -> Option<&DepositRow> {
        self.deposits.last().filter(|deposit| deposit.stage == DepositStage::Signed)
    }
}

/// What a caller's key paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PaidRow {
    pub(crate) at: Timestamp,
    pub(crate) max: Usdc,
    pub(crate) channel: B256,
}

tables! {
    /// Channels that pay agents of ours, by id.
    pub(crate) SellerChannels = "settlement-seller-channels-1": [u8; 32] => SellerRow;
    /// The newest voucher of each.
    pub(crate) SellerVouchers = "settlement-seller-vouchers-1": [u8; 32] => HeldVoucher;
    /// Up to which block withdrawals were read: one row.
    pub(crate) WithdrawalsRead = "settlement-withdrawals-read-1": () => u64;
    /// Channels that agents of ours pay with, by id.
    pub(crate) BuyerChannels = "settlement-buyer-channels-1": [u8; 32] => BuyerRow;
    /// What was signed on each.
    pub(crate) BuyerSigned = "settlement-buyer-vouchers-1": [u8; 32] => BuyerVouchers;
    /// What keys of our agents paid for on channels.
    pub(crate) BuyerKeys = "settlement-buyer-keys-1": (Did, String) => PaidRow;
}
