//! The token's own signed transfers (EIP-3009): tried out, sent, and looked up afterwards.

use alloy::eips::BlockNumberOrTag;
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::Provider as _;
use alloy::rpc::json_rpc::RpcError;
use alloy::rpc::types::{Filter, Log, TransactionReceipt, TransactionRequest};
use alloy::sol_types::{Revert as Said, SolCall as _, SolError as _, SolEvent as _, SolInterface as _};
use haggle_base::{EvmSignature, PaymentKey, Timestamp, Usdc};
use thiserror::Error;

use crate::bindings::TestUSDC;
use crate::bindings::token::TestUSDC::TestUSDCErrors as T;
use crate::chain::{ChainHead, ChainReader};
use crate::error::EscrowError;
use crate::sender::Sender;

/// How far back a used nonce's transaction is looked for, in blocks: more than a day of the fastest chains spoken to.
const LOOK_BACK: u64 = 100_000;
/// Ranges of blocks asked for in one search.
const MAX_RANGES: usize = 64;
/// Characters kept of a token's own words.
const MAX_WORDS: usize = 96;

/// A transfer that its payer signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedTransfer {
    /// Who pays.
    pub from: Address,
    /// Who is paid.
    pub to: Address,
    /// How much.
    pub value: Usdc,
    /// Good strictly after this Unix second of the chain.
    pub valid_after: U256,
    /// Good strictly before this Unix second of the chain.
    pub valid_before: U256,
    /// Spent once per payer.
    pub nonce: B256,
    /// The payer's key's 65 bytes, or what a wallet contract takes.
    pub signature: TransferSignature,
}

/// Whose signature it is, which decides the form in which the token is given it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferSignature {
    /// Of the payer's key: given in three parts, which every EIP-3009 token takes.
    Key(EvmSignature),
    /// For the payer's wallet contract (ERC-1271): given in one piece, as USDC takes it since version 2.2.
    Contract(Bytes),
}

/// A transfer that stands on the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinedTransfer {
    /// The transaction.
    pub tx: B256,
    /// The block's number.
    pub block: u64,
    /// The block's hash.
    pub block_hash: B256,
    /// The block's time.
    pub time: Timestamp,
}

/// What became of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferStanding {
    /// Its nonce is unused.
    Open,
    /// The money moved as it says.
    Paid(MinedTransfer),
    /// Its nonce was cancelled, or used for another transfer.
    Void,
}

/// Why the token refuses a transfer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TransferRefused {
    /// The nonce was used or cancelled.
    #[error("the nonce was used or cancelled")]
    Used,
    /// It was good until now.
    #[error("the transfer has expired")]
    Expired,
    /// It will be good later.
    #[error("the transfer is not valid yet")]
    NotYetValid,
    /// The payer has not enough.
    #[error("the payer has not enough")]
    Funds,
    /// It is not signed by the payer.
    #[error("the transfer is not signed by its payer")]
    Signature,
    /// The token's own words, shortened; without line breaks.
    #[error("{0}")]
    Other(String),
}

/// Why a transfer was not made.
#[derive(Debug, Error)]
pub enum TransferError {
    /// The token refuses it. Nothing moved.
    #[error("the token refused: {0}")]
    Refused(#[source] TransferRefused),
    /// The way to the token.
    #[error(transparent)]
    Chain(#[from] EscrowError),
}

/// The network's token through one payment key, which sends strangers' transfers and pays their gas.
#[derive(Debug, Clone)]
pub struct ExactClient {
    sender: Sender,
}

impl ExactClient {
    /// A client over an existing connection. Nothing is asked yet.
    ///
    /// # Errors
    /// [`EscrowError::BadKey`].
    pub fn new(chain: ChainReader, signer: &PaymentKey) -> Result<Self, EscrowError> {
        Ok(Self { sender: Sender::new(chain, signer)? })
    }

    /// Who signs, and pays the gas.
    #[must_use]
    pub fn address(&self) -> Address {
        self.sender.address()
    }

    /// Reads the chain without a key.
    #[must_use]
    pub const fn reader(&self) -> &ChainReader {
        &self.sender.chain
    }

    /// Runs the transfer at the latest block without sending it.
    ///
    /// # Errors
    /// [`TransferError::Refused`], or that nobody answers.
    pub async fn simulate(&self, transfer: &SignedTransfer) -> Result<(), TransferError> {
        let request = TransactionRequest::default().from(self.address()).to(self.token()).input(call(transfer).into());
        match self.reader().provider.call(request).await {
            Ok(_) => Ok(()),
            Err(RpcError::ErrorResp(payload)) => match payload.as_revert_data() {
                Some(data) => Err(TransferError::Refused(refused(&data))),
                None if payload.message.contains("execution reverted") => {
                    Err(TransferError::Refused(TransferRefused::Other("the token gave no reason".to_owned())))
                }
                None => Err(EscrowError::from(RpcError::ErrorResp(payload)).into()),
            },
            Err(error) => Err(EscrowError::from(error).into()),
        }
    }

    /// Makes the transfer and waits until it is mined. It is tried out first, and a refused one is not sent.
    ///
    /// # Errors
    /// [`TransferError::Refused`] also if somebody else was faster: [`Self::standing`] tells.
    /// [`EscrowError::UnknownOutcome`] if it was sent and nobody knows more.
    pub async fn transfer(&self, transfer: &SignedTransfer) -> Result<MinedTransfer, TransferError> {
        let cap = self.reader().config.gas_cap;
        match self.sender.send_encoded(self.token(), call(transfer), cap).await {
            Ok(receipt) => Ok(self.placed(&receipt).await?),
            // The sender does not keep the token's words; asked again, the token says them again.
            Err(error @ (EscrowError::Reverted(_) | EscrowError::RevertedOnChain { .. })) => {
                self.simulate(transfer).await?;
                Err(TransferError::Refused(TransferRefused::Other(words(&error.to_string()))))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What became of a transfer, whoever sent it.
    ///
    /// # Errors
    /// That nobody answers; [`EscrowError::RpcBadAnswer`] if the nonce is used and nobody shows how.
    pub async fn standing(&self, transfer: &SignedTransfer) -> Result<TransferStanding, EscrowError> {
        if !self.reader().authorization_used(transfer.from, transfer.nonce).await? {
            return Ok(TransferStanding::Open);
        }
        let filter = Filter::new()
            .address(self.token())
            .event_signature(vec![
                TestUSDC::AuthorizationUsed::SIGNATURE_HASH,
                TestUSDC::AuthorizationCanceled::SIGNATURE_HASH,
            ])
            .topic1(transfer.from.into_word())
            .topic2(transfer.nonce);
        let log = self.find(&filter).await?.ok_or(EscrowError::RpcBadAnswer)?;
        let tx = log.transaction_hash.ok_or(EscrowError::RpcBadAnswer)?;
        if log.topic0() != Some(&TestUSDC::AuthorizationUsed::SIGNATURE_HASH) {
            return Ok(TransferStanding::Void);
        }
        let receipt = self.reader().provider.get_transaction_receipt(tx).await?.ok_or(EscrowError::RpcBadAnswer)?;
        // The token says that the nonce is used, and right after it what moved.
        let next = log.log_index.map(|index| index + 1);
        let moved = receipt.inner.logs().iter().find(|other| other.log_index == next && next.is_some());
        if moved.is_some_and(|moved| self.is_it(moved, transfer)) {
            Ok(TransferStanding::Paid(self.placed(&receipt).await?))
        } else {
            Ok(TransferStanding::Void)
        }
    }

    /// The hash of a block, if the chain is so long.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn block_hash(&self, number: u64) -> Result<Option<B256>, EscrowError> {
        let block = self.reader().block(BlockNumberOrTag::Number(number)).await?;
        Ok(block.map(|block: ChainHead| block.hash))
    }

    fn token(&self) -> Address {
        self.reader().config.token
    }

    /// Whether a log says that exactly this moved.
    fn is_it(&self, log: &Log, transfer: &SignedTransfer) -> bool {
        log.address() == self.token()
            && TestUSDC::Transfer::decode_log(&log.inner).is_ok_and(|moved| {
                moved.from == transfer.from && moved.to == transfer.to && moved.value == transfer.value.to_u256()
            })
    }

    /// Where a receipt stands. Its block's time is asked for.
    async fn placed(&self, receipt: &TransactionReceipt) -> Result<MinedTransfer, EscrowError> {
        let number = receipt.block_number.ok_or(EscrowError::RpcBadAnswer)?;
        let block = self.reader().block(BlockNumberOrTag::Number(number)).await?.ok_or(EscrowError::RpcBadAnswer)?;
        let hash = receipt.block_hash.unwrap_or(block.hash);
        Ok(MinedTransfer { tx: receipt.transaction_hash, block: number, block_hash: hash, time: block.time })
    }

    /// The newest log of a filter that matches one at most. An endpoint that finds a range too long is asked for half.
    async fn find(&self, filter: &Filter) -> Result<Option<Log>, EscrowError> {
        let head = self.reader().latest().await?.number;
        let first = self.reader().config.deployed_at.max(head.saturating_sub(LOOK_BACK));
        let (mut to, mut length) = (head, LOOK_BACK);
        for _ in 0..MAX_RANGES {
            let from = first.max((to + 1).saturating_sub(length));
            let asked = filter.clone().from_block(from).to_block(to);
            match self.reader().provider.get_logs(&asked).await.map_err(EscrowError::from) {
                Ok(logs) => {
                    let newest = logs.into_iter().rfind(|log| !log.removed && log.address() == self.token());
                    if newest.is_some() || from <= first {
                        return Ok(newest);
                    }
                    to = from - 1;
                }
                Err(EscrowError::RpcRefused { .. }) if length > 1 => length /= 2,
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// The token's function in the form that fits the signature.
fn call(transfer: &SignedTransfer) -> Bytes {
    let SignedTransfer { from, to, valid_after, valid_before, nonce, .. } = *transfer;
    let value = transfer.value.to_u256();
    let encoded = match &transfer.signature {
        TransferSignature::Key(signature) => {
            let bytes = signature.as_bytes();
            TestUSDC::transferWithAuthorization_1Call {
                from,
                to,
                value,
                validAfter: valid_after,
                validBefore: valid_before,
                nonce,
                v: bytes[64],
                r: B256::from_slice(&bytes[..32]),
                s: B256::from_slice(&bytes[32..64]),
            }
            .abi_encode()
        }
        TransferSignature::Contract(signature) => TestUSDC::transferWithAuthorization_0Call {
            from,
            to,
            value,
            validAfter: valid_after,
            validBefore: valid_before,
            nonce,
            signature: signature.clone(),
        }
        .abi_encode(),
    };
    encoded.into()
}

/// What the token means, whether it has errors of its own or sentences, as Circle's has.
fn refused(data: &Bytes) -> TransferRefused {
    if let Ok(error) = T::abi_decode(data) {
        return match error {
            T::AuthorizationUsedOrCanceled(_) => TransferRefused::Used,
            T::AuthorizationExpired(_) => TransferRefused::Expired,
            T::AuthorizationNotYetValid(_) => TransferRefused::NotYetValid,
            T::ERC20InsufficientBalance(_) => TransferRefused::Funds,
            T::InvalidSignature(_) => TransferRefused::Signature,
            _ => TransferRefused::Other("the token refuses one of the addresses".to_owned()),
        };
    }
    let Ok(said) = Said::abi_decode(data) else {
        return TransferRefused::Other("the token gave no reason".to_owned());
    };
    let lower = said.reason.to_ascii_lowercase();
    let says = |word: &str| lower.contains(word);
    if says("used or canceled") {
        TransferRefused::Used
    } else if says("expired") {
        TransferRefused::Expired
    } else if says("not yet valid") {
        TransferRefused::NotYetValid
    } else if says("exceeds balance") {
        TransferRefused::Funds
    } else if says("signature") {
        TransferRefused::Signature
    } else {
        TransferRefused::Other(words(&said.reason))
    }
}

/// A text shortened and without line breaks and escapes.
fn words(text: &str) -> String {
    text.chars().filter(|letter| letter.is_ascii() && !letter.is_control()).take(MAX_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(reason: &str) -> TransferRefused {
        refused(&Said { reason: reason.to_owned() }.abi_encode().into())
    }

    #[test]
    fn the_sentences_of_circles_token_are_understood() {
        assert_eq!(said("FiatTokenV2: authorization is used or canceled"), TransferRefused::Used);
        assert_eq!(said("FiatTokenV2: authorization is expired"), TransferRefused::Expired);
        assert_eq!(said("FiatTokenV2: authorization is not yet valid"), TransferRefused::NotYetValid);
        assert_eq!(said("ERC20: transfer amount exceeds balance"), TransferRefused::Funds);
        assert_eq!(said("FiatTokenV2: invalid signature"), TransferRefused::Signature);
        assert_eq!(said("ECRecover: invalid signature 's' value"), TransferRefused::Signature);
        let blocked = "Blacklistable: account is blacklisted";
        assert_eq!(said(blocked), TransferRefused::Other(blocked.to_owned()));
    }

    #[test]
    fn a_tokens_words_are_bounded_and_of_one_line() {
        let TransferRefused::Other(words) = said(&format!("a\u{1b}[31m\n{}", "b".repeat(5_000))) else {
            panic!("no class")
        };
        assert!(words.len() <= MAX_WORDS && !words.contains(char::is_control));
        assert!(matches!(refused(&Bytes::new()), TransferRefused::Other(_)));
        assert!(matches!(refused(&Bytes::from(vec![1, 2, 3])), TransferRefused::Other(_)));
    }
}
