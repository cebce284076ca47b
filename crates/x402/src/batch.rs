//! The scheme `batch-settlement` on EVM: a channel is funded once, every call is paid by a cumulative voucher on it.
//!
//! The page is `docs/protocols/x402-batch.md`. A payload is one of four ([`BatchPayload`]): a deposit with the channel's
//! first voucher, a voucher, the wish to have back what is left, or the wish for a receipt. The typed objects are views: what this version does not
//! know stays in the [`PaymentPayload`] or the `extra` it came in.

use alloy_primitives::{Address, B256, U256};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use haggle_base::{EvmSignature, Timestamp, Usdc, eip712::channel::ChannelConfig};

use crate::{
    Atomic, ChainRef, PaymentPayload, PaymentRequired, PaymentRequirements, Scheme, SettleResponse, X402Error,
};

pub mod code;
mod facts;
pub mod purchase;
pub mod receipt;
mod wire;

pub use facts::ChannelFacts;
pub use purchase::PurchaseNumber;

/// Shortest time, in seconds, that the contract lets a payer's lone withdrawal take.
pub const MIN_WITHDRAW_DELAY: u64 = 15 * 60;
/// Longest.
pub const MAX_WITHDRAW_DELAY: u64 = 30 * 24 * 3_600;

/// The scheme's fields in `extra` of a requirement. Fields that are not known are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchExtra {
    /// Who may claim and refund besides the receiver, also by signature.
    pub receiver_authorizer: Address,
    /// Seconds the payer waits for its money without the receiver's help; 15 minutes if it is not said.
    #[serde(default = "shortest_delay")]
    pub withdraw_delay: u64,
    /// How much the seller would like to see deposited at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_deposit: Option<Atomic>,
    /// Name in the token's EIP-712 domain.
    pub name: Box<str>,
    /// Version in the token's EIP-712 domain.
    pub version: Box<str>,
    /// How the deposit moves; `eip3009` if it is not said. Nothing else is spoken here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset_transfer_method: Option<Box<str>>,
    /// In a corrective answer: where the seller says the channel stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_state: Option<ChannelState>,
    /// In a corrective answer: the voucher that proves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voucher_state: Option<VoucherState>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

fn shortest_delay() -> u64 {
    MIN_WITHDRAW_DELAY
}

impl BatchExtra {
    /// The extra of a `batch-settlement` requirement.
    ///
    /// # Errors
    /// [`X402Error::Mismatch`] if it is of another scheme or has no extra; [`X402Error::Malformed`].
    pub fn of(requirement: &PaymentRequirements) -> Result<Self, X402Error> {
        if requirement.scheme != Scheme::BatchSettlement {
            return Err(X402Error::Mismatch { field: "scheme" });
        }
        let extra = requirement.rest.get("extra").ok_or(X402Error::Mismatch { field: "extra" })?;
        Ok(Self::deserialize(extra)?)
    }
}

/// Where a channel stands, as a seller tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelState {
    /// Which channel.
    pub channel_id: B256,
    /// Deposits less refunds and withdrawals, on the chain.
    pub balance: Atomic,
    /// What was claimed of them, on the chain.
    pub total_claimed: Atomic,
    /// Since when a withdrawal is under way, chain seconds; 0 if none is.
    pub withdraw_requested_at: u64,
    /// How many refunds there were.
    pub refund_nonce: Atomic,
    /// What the seller has charged by vouchers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charged_cumulative_amount: Option<Atomic>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// The newest voucher a seller holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VoucherState {
    /// What it allows in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_max_claimable: Option<Atomic>,
    /// The payer's signature over it, as `0x` hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Box<str>>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// The scheme's fields in `extra` of a settlement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchSettled {
    /// What this call was charged. A refund has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charged_amount: Option<Atomic>,
    /// The channel after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_state: Option<ChannelState>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl BatchSettled {
    /// The scheme's part of a settlement.
    ///
    /// # Errors
    /// [`X402Error::Malformed`], also if there is none.
    pub fn of(settled: &SettleResponse) -> Result<Self, X402Error> {
        let extra = settled.rest.get("extra").ok_or(X402Error::Mismatch { field: "extra" })?;
        Ok(Self::deserialize(extra)?)
    }
}

/// A cumulative promise: of this channel, that much may be claimed in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedVoucher {
    /// Which channel.
    pub channel_id: B256,
    /// How much in all, ever.
    pub max_claimable: Usdc,
    /// By the payer's authoriser, over EIP-712 `Voucher`.
    pub signature: EvmSignature,
}

/// What a payer's EIP-3009 payment into a channel says. It is made out to the deposit collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DepositTerms {
    /// How much.
    pub amount: Usdc,
    /// Chain time strictly after which it is good.
    pub valid_after: Timestamp,
    /// Chain time strictly before which it is good.
    pub valid_before: Timestamp,
    /// With the channel's id it makes the payment's nonce.
    pub salt: U256,
}

/// A signed payment into a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deposit {
    /// What it says.
    pub terms: DepositTerms,
    /// The payer's, over the token's `ReceiveWithAuthorization`.
    pub signature: EvmSignature,
}

/// The scheme's `payload`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchPayload {
    /// Money for the channel, and a voucher for this call.
    Deposit {
        /// The channel.
        channel: ChannelConfig,
        /// For this call.
        voucher: SignedVoucher,
        /// The money.
        deposit: Deposit,
    },
    /// A voucher for this call.
    Voucher {
        /// The channel.
        channel: ChannelConfig,
        /// For this call.
        voucher: SignedVoucher,
    },
    /// The payer wants back what is not charged.
    Refund {
        /// The channel.
        channel: ChannelConfig,
        /// Over exactly what was charged: it pays for nothing.
        voucher: SignedVoucher,
        /// How much of it; everything if it is not said.
        amount: Option<Usdc>,
    },
    /// The payer wants the seller's word about what was charged. Not of the standard: see [`receipt`].
    Receipt {
        /// The channel.
        channel: ChannelConfig,
        /// Over exactly what was charged: it pays for nothing.
        voucher: SignedVoucher,
    },
}

impl BatchPayload {
    /// Reads the scheme's part of a payment.
    ///
    /// # Errors
    /// [`X402Error::Malformed`]; [`X402Error::BadAmount`] beyond 64 bits; [`X402Error::BadSignature`] if a signature is not
    /// 65 canonical bytes; [`X402Error::Mismatch`] if the deposit is not by EIP-3009.
    pub fn read(payload: &Value) -> Result<Self, X402Error> {
        wire::read(payload)
    }

    /// Writes it.
    #[must_use]
    pub fn to_value(&self) -> Value {
        wire::write(self)
    }

    /// The channel.
    #[must_use]
    pub const fn channel(&self) -> &ChannelConfig {
        match self {
            Self::Deposit { channel, .. }
            | Self::Voucher { channel, .. }
            | Self::Refund { channel, .. }
            | Self::Receipt { channel, .. } => channel,
        }
    }

    /// The voucher.
    #[must_use]
    pub const fn voucher(&self) -> &SignedVoucher {
        match self {
            Self::Deposit { voucher, .. }
            | Self::Voucher { voucher, .. }
            | Self::Refund { voucher, .. }
            | Self::Receipt { voucher, .. } => voucher,
        }
    }

    /// The whole payment: the requirement as it was offered, with the resource and the extensions of the offer.
    #[must_use]
    pub fn into_payment(self, accepted: PaymentRequirements, offer: Option<&PaymentRequired>) -> PaymentPayload {
        let mut rest = Map::new();
        if let Some(offer) = offer {
            let resource = serde_json::to_value(&offer.resource).unwrap_or(Value::Null);
            rest.insert("resource".to_owned(), resource);
            if let Some(extensions) = offer.rest.get("extensions") {
                rest.insert("extensions".to_owned(), extensions.clone());
            }
        }
        PaymentPayload { x402_version: crate::X402Version, accepted, payload: self.to_value(), rest }
    }
}

/// Asks for `amount` on a channel to `pay_to`. `maxTimeoutSeconds` is how long a deposit's authorisation is to be good.
///
/// # Errors
/// [`X402Error::BadAmount`] if the amount is zero.
pub fn batch_requirement(
    facts: &ChannelFacts,
    pay_to: Address,
    amount: Usdc,
    extra: &BatchExtra,
    max_timeout_seconds: u64,
) -> Result<PaymentRequirements, X402Error> {
    if amount.is_zero() {
        return Err(X402Error::BadAmount);
    }
    let mut rest = Map::new();
    rest.insert("extra".to_owned(), serde_json::to_value(extra)?);
    Ok(PaymentRequirements {
        scheme: Scheme::BatchSettlement,
        network: ChainRef::eip155(facts.chain_id()),
        amount: amount.into(),
        asset: facts.token().address.to_string().into(),
        pay_to: pay_to.to_string().into(),
        max_timeout_seconds,
        rest,
    })
}

/// The answer to a voucher, a deposit, a refund or the wish for a receipt that stands. `transaction` is empty for a voucher.
///
/// # Errors
/// None in practice: the parts can always be written.
pub fn batch_settled(
    facts: &ChannelFacts,
    payer: Address,
    transaction: Option<B256>,
    moved: Option<Usdc>,
    extra: &BatchSettled,
) -> Result<SettleResponse, X402Error> {
    let mut rest = Map::new();
    rest.insert("payer".to_owned(), Value::String(payer.to_string()));
    let amount = moved.map(|amount| amount.units().to_string()).unwrap_or_default();
    rest.insert("amount".to_owned(), Value::String(amount));
    rest.insert("extra".to_owned(), serde_json::to_value(extra)?);
    Ok(SettleResponse {
        success: true,
        transaction: transaction.map(|hash| hash.to_string()).unwrap_or_default().into(),
        network: ChainRef::eip155(facts.chain_id()),
        rest,
    })
}
