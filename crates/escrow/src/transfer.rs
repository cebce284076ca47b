//! The token's signed transfers (EIP-3009), which anybody may send: x402's `exact`.

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::Provider as _;
use alloy::rpc::types::{Filter, Log, TransactionRequest};
use alloy::sol_types::{SolCall as _, SolEvent as _};
use haggle_base::eip712::TransferWithAuthorization;
use haggle_base::{PaymentKey, Timestamp};

use crate::bindings::token::TestUSDC::{
    AuthorizationUsed, Transfer, transferWithAuthorization_0Call, transferWithAuthorization_1Call,
};
use crate::chain::ChainReader;
use crate::error::EscrowError;
use crate::sender::{Sender, Tx};

/// Blocks that are searched at once for a transfer that was made.
const SEARCH_BLOCKS: u64 = 5_000;
/// Times the search goes further back.
const SEARCHES: u64 = 20;

/// Where on the chain a transfer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferPlace {
    /// The transaction.
    pub tx: B256,
    /// The block's number.
    pub block: u64,
    /// The block's hash.
    pub block_hash: B256,
    /// The block's time.
    pub time: Timestamp,
}

/// What became of a signed transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferStanding {
    /// Its nonce is unused.
    Open,
    /// The money moved as it says, whoever sent it.
    Made(TransferPlace),
    /// Its nonce was cancelled, or used for something else.
    Void,
}

/// Length of a key's own signature: r, s, v.
const KEY_SIGNATURE: usize = 65;

/// The token through one payment key, which signs transactions and pays their gas.
#[derive(Debug, Clone)]
pub struct TransferClient {
    sender: Sender,
}

impl TransferClient {
    /// A client of the token over an existing connection. Nothing is asked yet.
    ///
    /// # Errors
    /// [`EscrowError::BadKey`].
    pub fn new(chain: ChainReader, signer: &PaymentKey) -> Result<Self, EscrowError> {
        Ok(Self { sender: Sender::new(chain, signer)? })
    }

    /// Reads the chain without a key.
    #[must_use]
    pub const fn reader(&self) -> &ChainReader {
        &self.sender.chain
    }

    /// Who pays the gas.
    #[must_use]
    pub fn address(&self) -> Address {
        self.sender.address()
    }

    /// Makes the transfer and waits until it is mined. `signature` is the payer's, of a key or of a wallet contract.
    ///
    /// # Errors
    /// [`EscrowError::Reverted`] if the token refuses, and whatever sending says.
    pub async fn transfer(&self, transfer: &TransferWithAuthorization, signature: &[u8]) -> Result<Tx, EscrowError> {
        let chain = &self.sender.chain;
        let receipt =
            self.sender.send_encoded(chain.config.token, calldata(transfer, signature), chain.config.gas_cap).await?;
        Ok(Tx::of(&receipt))
    }

    /// What became of a transfer, at the latest block.
    ///
    /// # Errors
    /// That nobody answers; [`EscrowError::RpcBadAnswer`] if its nonce is used and the endpoint does not tell in which of
    /// the last blocks.
    pub async fn standing(&self, transfer: &TransferWithAuthorization) -> Result<TransferStanding, EscrowError> {
        let chain = &self.sender.chain;
        if !chain.authorization_used(transfer.from, transfer.nonce).await? {
            return Ok(TransferStanding::Open);
        }
        let log = self.ended(transfer).await?.ok_or(EscrowError::RpcBadAnswer)?;
        if log.topic0() != Some(&AuthorizationUsed::SIGNATURE_HASH) {
            return Ok(TransferStanding::Void);
        }
        let (Some(tx), Some(block)) = (log.transaction_hash, log.block_number) else {
            return Err(EscrowError::RpcBadAnswer);
        };
        let receipt = chain.provider.get_transaction_receipt(tx).await?.ok_or(EscrowError::RpcBadAnswer)?;
        let moved = receipt.inner.logs().iter().any(|log| log.address() == chain.config.token && moves(log, transfer));
        if !moved {
            return Ok(TransferStanding::Void);
        }
        Ok(TransferStanding::Made(self.place(tx, block).await?))
    }

    /// Where a transaction stands that was just mined.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn place(&self, tx: B256, block: u64) -> Result<TransferPlace, EscrowError> {
        let head = self.sender.chain.block(block.into()).await?.ok_or(EscrowError::RpcBadAnswer)?;
        Ok(TransferPlace { tx, block, block_hash: head.hash, time: head.time })
    }

    /// The log by which the transfer's nonce was used or cancelled, searched from the newest block on.
    async fn ended(&self, transfer: &TransferWithAuthorization) -> Result<Option<Log>, EscrowError> {
        let chain = &self.sender.chain;
        let mut to = chain.latest().await?.number;
        for _ in 0..SEARCHES {
            let from = to.saturating_sub(SEARCH_BLOCKS - 1);
            let nonce =
                Filter::new().address(chain.config.token).topic1(transfer.from.into_word()).topic2(transfer.nonce);
            let logs = chain.provider.get_logs(&nonce.from_block(from).to_block(to)).await?;
            if let Some(log) = logs.into_iter().find(|log| log.address() == chain.config.token && !log.removed) {
                return Ok(Some(log));
            }
            match from.checked_sub(1) {
                Some(below) => to = below,
                None => break,
            }
        }
        Ok(None)
    }

    /// Asks whether the transfer would go through now, without sending it.
    ///
    /// # Errors
    /// [`EscrowError::Reverted`] if the token would refuse; that nobody answers.
    pub async fn would_pass(&self, transfer: &TransferWithAuthorization, signature: &[u8]) -> Result<(), EscrowError> {
        let chain = &self.sender.chain;
        let input = calldata(transfer, signature);
        let request = TransactionRequest::default().from(self.address()).to(chain.config.token).input(input.into());
        chain.provider.call(request).await?;
        Ok(())
    }
}

/// Whether a log says that the money moved as the transfer says.
fn moves(log: &Log, transfer: &TransferWithAuthorization) -> bool {
    log.log_decode::<Transfer>().is_ok_and(|log| {
        let said = log.inner.data;
        (said.from, said.to, said.value) == (transfer.from, transfer.to, transfer.value)
    })
}

/// The call in the form every USDC has for this kind of signature: older ones know only a key's.
fn calldata(transfer: &TransferWithAuthorization, signature: &[u8]) -> Bytes {
    let TransferWithAuthorization { from, to, value, validAfter, validBefore, nonce } = transfer.clone();
    match <[u8; KEY_SIGNATURE]>::try_from(signature) {
        Ok(key) => {
            let half = |at: usize| U256::from_be_slice(&key[at..at + 32]).into();
            let (r, s, v) = (half(0), half(32), key[64]);
            transferWithAuthorization_1Call { from, to, value, validAfter, validBefore, nonce, v, r, s }.abi_encode()
        }
        Err(_) => {
            let signature = Bytes::copy_from_slice(signature);
            transferWithAuthorization_0Call { from, to, value, validAfter, validBefore, nonce, signature }.abi_encode()
        }
    }
    .into()
}
