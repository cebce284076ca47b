//! The proof that a call was paid for: the payer's signature over the transfer and the seller's over its receipt, which
//! anybody can check without a network.

use alloy_primitives::{Address, B256, Bytes};
use haggle_base::{Coded, Timestamp, TokenFacts, Usdc, money::USDC_DECIMALS, secp};
use serde::{Deserialize, Serialize};

use crate::{
    ChainRef, ExactFacts, PaymentPayload, SettleResponse, X402Error,
    exact::{ExactAuthorization, ExactExtra, ExactPayload},
    extensions::offer_receipt::{self, Receipt, Signed},
};

/// The token that was paid with, as its EIP-712 domain has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaidToken {
    /// The chain's number.
    pub chain_id: u64,
    /// The token contract.
    pub address: Address,
    /// Name in the domain.
    pub name: Box<str>,
    /// Version in the domain.
    pub version: Box<str>,
}

/// The signed parts of a payment. Every field is covered by one of the two signatures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentProof {
    /// The token.
    pub token: PaidToken,
    /// The transfer.
    pub authorization: ExactAuthorization,
    /// The payer's, over the transfer.
    pub signature: Bytes,
    /// The seller's receipt.
    pub receipt: Signed<Receipt>,
}

/// What a [`PaymentProof`] proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PaymentFacts {
    /// The chain, by its CAIP-2 name.
    pub network: ChainRef,
    /// The token.
    pub asset: Address,
    /// What was sold.
    pub resource: Box<str>,
    /// Who paid.
    pub payer: Address,
    /// Who was paid.
    pub pay_to: Address,
    /// How much.
    pub amount: Usdc,
    /// The transfer's nonce, which is its name on the chain.
    pub nonce: B256,
    /// The transaction that the seller names; empty if it names none.
    pub transaction: Box<str>,
    /// When the seller signed, RFC 3339.
    pub issued_at: String,
}

/// Why a proof proves nothing; each names the part that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PaymentProofError {
    /// A part is not what x402 says it must be.
    #[error("proof.{part} cannot be read")]
    Malformed {
        /// The part.
        part: &'static str,
    },
    /// A part's signature does not verify, or is somebody else's.
    #[error("proof.{part} is not signed by {by}")]
    BadSignature {
        /// The part.
        part: &'static str,
        /// Who must have signed it.
        by: &'static str,
    },
    /// The receipt is not about the transfer.
    #[error("proof.receipt is not about the payment: {field} differs")]
    Mismatch {
        /// The field that differs.
        field: &'static str,
    },
    /// The seller gave no receipt that could be checked.
    #[error("the seller gave no signed receipt with its answer")]
    NoReceipt,
}

impl Coded for PaymentProofError {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "receipt_malformed",
            Self::BadSignature { .. } => "receipt_forged",
            Self::Mismatch { .. } => "receipt_mismatch",
            Self::NoReceipt => "no_receipt",
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::NoReceipt => "the transaction is the only proof of this payment: show that",
            _ => "ask for the receipt again, and take it as it comes: nothing in it may be changed",
        }
    }
}

impl PaymentProof {
    /// The proof of a payment of the scheme `exact` and what the seller answered to it.
    ///
    /// # Errors
    /// [`PaymentProofError::NoReceipt`]; what [`PaymentProof::check`] says of it.
    pub fn of(payload: &PaymentPayload, answer: &SettleResponse) -> Result<Self, PaymentProofError> {
        let malformed = |part| PaymentProofError::Malformed { part };
        let mut receipt = offer_receipt::receipt(answer).ok_or(PaymentProofError::NoReceipt)?;
        receipt.accept_index = None;
        let accepted = &payload.accepted;
        let extra = accepted.extra().cloned().unwrap_or_default();
        let extra = ExactExtra::deserialize(serde_json::Value::Object(extra)).map_err(|_| malformed("token"))?;
        let paid = ExactPayload::deserialize(&payload.payload).map_err(|_| malformed("authorization"))?;
        let proof = Self {
            token: PaidToken {
                chain_id: accepted.network.evm_chain_id().ok_or(malformed("token"))?,
                address: accepted.asset.parse().map_err(|_| malformed("token"))?,
                name: extra.name,
                version: extra.version,
            },
            authorization: ExactAuthorization { rest: serde_json::Map::new(), ..paid.authorization },
            signature: paid.signature,
            receipt,
        };
        proof.check()?;
        Ok(proof)
    }

    /// Checks both signatures, and that the receipt is by whom the transfer pays, for whom it is from.
    ///
    /// # Errors
    /// The first [`PaymentProofError`] found. A payment that a wallet contract signed cannot be checked without a chain.
    pub fn check(&self) -> Result<PaymentFacts, PaymentProofError> {
        let transfer = &self.authorization;
        let digest =
            transfer.digest(&self.facts()).map_err(|_| PaymentProofError::Malformed { part: "authorization" })?;
        if !transfer.rest.is_empty() {
            return Err(PaymentProofError::Malformed { part: "authorization" });
        }
        secp::verify_signature(&digest, &self.signature, transfer.from)
            .map_err(|_| PaymentProofError::BadSignature { part: "signature", by: "the payer" })?;
        let said = &self.receipt.payload;
        let signer = self.receipt.signer().map_err(|error| match error {
            X402Error::BadSignature { .. } => FORGED_RECEIPT,
            _ => PaymentProofError::Malformed { part: "receipt" },
        })?;
        if signer != transfer.to {
            return Err(FORGED_RECEIPT);
        }
        if self.receipt.accept_index.is_some() {
            return Err(PaymentProofError::Malformed { part: "receipt" });
        }
        let network = ChainRef::eip155(self.token.chain_id);
        if *said.network != *network.to_string() {
            return Err(PaymentProofError::Mismatch { field: "network" });
        }
        if said.payer.parse() != Ok(transfer.from) {
            return Err(PaymentProofError::Mismatch { field: "payer" });
        }
        Ok(PaymentFacts {
            network,
            asset: self.token.address,
            resource: said.resource_url.clone(),
            payer: transfer.from,
            pay_to: transfer.to,
            amount: transfer.value.to_usdc().ok_or(PaymentProofError::Malformed { part: "authorization" })?,
            nonce: transfer.nonce,
            transaction: said.transaction.clone(),
            issued_at: Timestamp::from_secs(said.issued_at).to_rfc3339(),
        })
    }

    fn facts(&self) -> ExactFacts {
        let PaidToken { chain_id, address, name, version } = self.token.clone();
        let (name, version) = (name.into_string(), version.into_string());
        // a token domain has neither symbol nor decimals
        let decimals = u8::try_from(USDC_DECIMALS).unwrap_or(u8::MAX);
        ExactFacts::new(chain_id, TokenFacts { address, name, version, symbol: String::new(), decimals })
    }
}

const FORGED_RECEIPT: PaymentProofError =
    PaymentProofError::BadSignature { part: "receipt", by: "the address that is paid" };
