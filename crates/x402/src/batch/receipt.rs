//! The receipt of a channel: haggle's addition to the scheme (`docs/protocols/x402-batch.md`, "The receipt of a channel").
//!
//! A voucher is the payer's word, and there is none of the seller's for each. A payer that wants one asks with the payload
//! `receipt`, and the receiver signs what it charged in all. With the channel's terms and the payer's voucher over the same
//! sum it is a [`ChannelProof`], which anybody can check without a network.

use alloy_primitives::{Address, B256, U256, aliases::U40};
use haggle_base::{
    Did, EvmSignature, Timestamp, Usdc,
    eip712::{self, channel},
};
use serde::{Deserialize, Serialize};

use super::{BatchPayload, BatchSettled, ChannelFacts};
use crate::{Atomic, ChainRef, PaymentPayload, PaymentProofError, PaymentRequirements, SettleResponse};

/// In `extra` of a requirement: the seller signs receipts of channels.
pub const ANNOUNCED: &str = "channelReceipts";
/// In `extra` of a settlement: the receipt.
pub const FIELD: &str = "channelReceipt";

/// What a receiver says of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// Who sold.
    pub seller: Did,
    /// Charged in all.
    pub charged: Usdc,
    /// Claimed of that when the receiver last looked at the chain.
    pub claimed: Usdc,
    /// When it says so, Unix seconds.
    pub issued_at: u64,
}

/// What a receiver says of a channel, signed by the address that is paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChannelReceipt {
    /// Who sold, as it calls itself.
    pub seller: Did,
    /// Charged in all.
    pub charged: Atomic,
    /// Claimed of that when the receiver last looked at the chain.
    pub claimed: Atomic,
    /// Unix seconds.
    pub issued_at: u64,
    /// The receiver's, over EIP-712 `ChannelReceipt`.
    pub signature: EvmSignature,
}

impl ChannelReceipt {
    /// Says it: `sign` is given what the receiver's key signs.
    ///
    /// # Errors
    /// What `sign` says.
    pub fn sign<E>(
        facts: &ChannelFacts,
        id: &B256,
        said: &Said,
        sign: impl FnOnce(&B256) -> Result<EvmSignature, E>,
    ) -> Result<Self, E> {
        let signature = sign(&digest(facts.chain_id(), facts.contract(), id, said))?;
        let Said { seller, charged, claimed, issued_at } = *said;
        Ok(Self { seller, charged: charged.into(), claimed: claimed.into(), issued_at, signature })
    }

    /// The receipt that a seller put into its answer, if there is one.
    #[must_use]
    pub fn of(answer: &SettleResponse) -> Option<Self> {
        let extra = BatchSettled::of(answer).ok()?;
        Self::deserialize(extra.rest.get(FIELD)?).ok()
    }
}

fn digest(chain_id: u64, contract: Address, id: &B256, said: &Said) -> B256 {
    let receipt = channel::ChannelReceipt {
        channelId: *id,
        seller: said.seller.to_string(),
        charged: said.charged.units().into(),
        claimed: said.claimed.units().into(),
        issuedAt: U256::from(said.issued_at),
    };
    eip712::digest(&receipt, &channel::receipt_domain(chain_id, contract))
}

/// Whether a seller says that it signs receipts of channels.
#[must_use]
pub fn is_announced(requirement: &PaymentRequirements) -> bool {
    requirement.extra().is_some_and(|extra| extra.get(ANNOUNCED) == Some(&true.into()))
}

/// A channel's terms, as they stand in a proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProvenChannel {
    /// Deposits, and gets back what is not claimed.
    pub payer: Address,
    /// Signs the vouchers: in a proof the payer itself, because another's signature would prove nothing of the payer.
    pub payer_authorizer: Address,
    /// Is paid.
    pub receiver: Address,
    /// May claim and refund besides the receiver.
    pub receiver_authorizer: Address,
    /// The token.
    pub token: Address,
    /// Seconds the payer waits for its money without the receiver.
    pub withdraw_delay: u64,
    /// Makes two otherwise equal channels different.
    pub salt: B256,
}

impl From<&channel::ChannelConfig> for ProvenChannel {
    fn from(config: &channel::ChannelConfig) -> Self {
        Self {
            payer: config.payer,
            payer_authorizer: config.payerAuthorizer,
            receiver: config.receiver,
            receiver_authorizer: config.receiverAuthorizer,
            token: config.token,
            withdraw_delay: config.withdrawDelay.to::<u64>(),
            salt: config.salt,
        }
    }
}

impl ProvenChannel {
    /// The terms, as their digest is taken.
    ///
    /// # Errors
    /// [`PaymentProofError::Malformed`] if the delay has more than 40 bits.
    pub fn config(&self) -> Result<channel::ChannelConfig, PaymentProofError> {
        let delay = U40::try_from(self.withdraw_delay);
        Ok(channel::ChannelConfig {
            payer: self.payer,
            payerAuthorizer: self.payer_authorizer,
            receiver: self.receiver,
            receiverAuthorizer: self.receiver_authorizer,
            token: self.token,
            withdrawDelay: delay.map_err(|_| PaymentProofError::Malformed { part: "channel" })?,
            salt: self.salt,
        })
    }
}

/// What was paid through a channel: its terms, the payer's newest voucher, and the seller's receipt over the same sum. Every
/// field is covered by one of the two signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelProof {
    /// The chain's number.
    pub chain_id: u64,
    /// The contract that holds the channel.
    pub contract: Address,
    /// The channel's terms: their digest is its id.
    pub channel: ProvenChannel,
    /// The payer's voucher over what was charged.
    pub voucher: EvmSignature,
    /// The seller's word.
    pub receipt: ChannelReceipt,
}

/// What a [`ChannelProof`] proves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChannelProven {
    /// The chain, by its CAIP-2 name.
    pub network: ChainRef,
    /// The contract that holds the channel.
    pub contract: Address,
    /// The token.
    pub asset: Address,
    /// The channel's id.
    pub channel: B256,
    /// Who paid.
    pub payer: Address,
    /// Who was paid.
    pub pay_to: Address,
    /// Who sold, as it calls itself.
    pub seller: Did,
    /// How much in all.
    pub charged: Usdc,
    /// How much of it the seller had claimed, as far as it knew.
    pub claimed: Usdc,
    /// When the seller signed, RFC 3339.
    pub issued_at: String,
}

impl ChannelProof {
    /// The proof that a wish for a receipt and its answer make.
    ///
    /// # Errors
    /// [`PaymentProofError::NoReceipt`]; what [`ChannelProof::check`] says of it.
    pub fn of(
        facts: &ChannelFacts,
        asked: &PaymentPayload,
        answer: &SettleResponse,
    ) -> Result<Self, PaymentProofError> {
        let malformed = |_| PaymentProofError::Malformed { part: "channel" };
        let payload = BatchPayload::read(&asked.payload).map_err(malformed)?;
        let receipt = ChannelReceipt::of(answer).ok_or(PaymentProofError::NoReceipt)?;
        if receipt.charged.to_usdc() != Some(payload.voucher().max_claimable) {
            return Err(PaymentProofError::Mismatch { field: "charged" });
        }
        let (chain_id, contract) = (facts.chain_id(), facts.contract());
        let channel = payload.channel().into();
        let proof = Self { chain_id, contract, channel, voucher: payload.voucher().signature, receipt };
        proof.check()?;
        Ok(proof)
    }

    /// Checks both signatures, and that they are over the same channel and the same sum.
    ///
    /// # Errors
    /// The first [`PaymentProofError`] found. A channel whose vouchers somebody else signs for the payer cannot be checked
    /// without a chain.
    pub fn check(&self) -> Result<ChannelProven, PaymentProofError> {
        let malformed = |part| PaymentProofError::Malformed { part };
        let config = self.channel.config()?;
        let domain = channel::channel_domain(self.chain_id, self.contract);
        let id = channel::channel_id(&config, &domain);
        let said = &self.receipt;
        let charged = said.charged.to_usdc().ok_or(malformed("receipt"))?;
        let claimed = said.claimed.to_usdc().ok_or(malformed("receipt"))?;
        if claimed > charged {
            return Err(PaymentProofError::Mismatch { field: "claimed" });
        }
        if config.payer != config.payerAuthorizer {
            return Err(PaymentProofError::Mismatch { field: "payer" });
        }
        let voucher = channel::voucher_digest(&id, charged.units().into(), &domain);
        let (by, part) = ("the payer", "voucher");
        self.voucher.verify(&voucher, config.payer).map_err(|_| PaymentProofError::BadSignature { part, by })?;
        let (seller, issued_at) = (said.seller, said.issued_at);
        let receipt = digest(self.chain_id, self.contract, &id, &Said { seller, charged, claimed, issued_at });
        let (by, part) = ("the address that is paid", "receipt");
        said.signature.verify(&receipt, config.receiver).map_err(|_| PaymentProofError::BadSignature { part, by })?;
        Ok(ChannelProven {
            network: ChainRef::eip155(self.chain_id),
            contract: self.contract,
            asset: config.token,
            channel: id,
            payer: config.payer,
            pay_to: config.receiver,
            seller,
            charged,
            claimed,
            issued_at: Timestamp::from_secs(issued_at).to_rfc3339(),
        })
    }
}
