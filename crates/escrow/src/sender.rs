//! From calldata to a mined transaction: simulate, price, sign in turn, send, wait.

use alloy::consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718 as _;
use alloy::primitives::{Address, B256, Bytes, TxKind};
use alloy::providers::Provider as _;
use alloy::rpc::json_rpc::RpcError;
use alloy::rpc::types::{TransactionReceipt, TransactionRequest};
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolCall;
use alloy::transports::TransportError;
use haggle_base::PaymentKey;
use std::sync::Arc;

use crate::chain::ChainReader;
use crate::error::EscrowError;
use crate::nonce::{Nonces, Turn};

/// A mined transaction that did what it was to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tx {
    /// Its hash.
    pub hash: B256,
    /// The block it is in.
    pub block: u64,
    /// Gas it used.
    pub gas_used: u64,
}

impl Tx {
    pub(crate) fn of(receipt: &TransactionReceipt) -> Self {
        Self {
            hash: receipt.transaction_hash,
            block: receipt.block_number.unwrap_or_default(),
            gas_used: receipt.gas_used,
        }
    }
}

/// One payment key that sends to contracts, in turn with every other user of the key on this connection.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    pub(crate) chain: ChainReader,
    signer: PrivateKeySigner,
    nonces: Arc<Nonces>,
}

/// Times a nonce may turn out to be used by somebody else before giving up.
const NONCE_TRIES: u32 = 3;

struct Call {
    to: Address,
    input: Bytes,
}

struct Price {
    gas: u64,
    max_fee: u128,
    tip: u128,
}

impl Sender {
    pub(crate) fn new(chain: ChainReader, signer: &PaymentKey) -> Result<Self, EscrowError> {
        let signer = PrivateKeySigner::from_slice(&*signer.secret_bytes()).map_err(|_| EscrowError::BadKey)?;
        let nonces = chain.signers.nonces(signer.address());
        Ok(Self { chain, signer, nonces })
    }

    pub(crate) fn address(&self) -> Address {
        self.signer.address()
    }

    /// Sends `call` to a contract and waits until it is mined.
    pub(crate) async fn send(&self, to: Address, call: impl SolCall) -> Result<Tx, EscrowError> {
        let receipt = self.send_encoded(to, call.abi_encode().into(), self.chain.config.gas_cap).await?;
        Ok(Tx::of(&receipt))
    }

    /// The same with a gas cap of its own; answers the receipt, for its logs.
    pub(crate) async fn send_encoded(
        &self,
        to: Address,
        input: Bytes,
        gas_cap: u64,
    ) -> Result<TransactionReceipt, EscrowError> {
        let call = Call { to, input };
        let price = self.simulate(&call, gas_cap).await?;
        let mut turn = self.nonces.turn().await;
        let hash = self.submit(&mut turn, &call, &price).await?;
        drop(turn);
        let receipt = match self.receipt(hash).await {
            Ok(receipt) => receipt,
            Err(error) => {
                // It may have been dropped; then its nonce is free, and every later one would wait for it for ever.
                self.nonces.turn().await.lost();
                return Err(error);
            }
        };
        if !receipt.status() {
            return Err(EscrowError::RevertedOnChain { tx: hash });
        }
        tracing::debug!(tx.hash = %hash, tx.block = receipt.block_number, "a transaction was mined");
        Ok(receipt)
    }

    /// Runs the call without sending it, and finds what it costs.
    async fn simulate(&self, call: &Call, gas_cap: u64) -> Result<Price, EscrowError> {
        let (provider, config) = (&self.chain.provider, &self.chain.config);
        let request = TransactionRequest::default().from(self.address()).to(call.to).input(call.input.clone().into());
        provider.call(request.clone()).await?;
        let estimate = provider.estimate_gas(request).await.map_err(|error| self.refused(error))?;
        // A fifth more than needed now: the state may change before it is mined.
        let gas = estimate.saturating_add(estimate / 5);
        if gas > gas_cap {
            return Err(EscrowError::GasCapExceeded { estimate, cap: gas_cap });
        }
        let fees = provider.estimate_eip1559_fees().await?;
        if fees.max_fee_per_gas > config.max_gas_price {
            return Err(EscrowError::GasPriceTooHigh { price: fees.max_fee_per_gas, cap: config.max_gas_price });
        }
        Ok(Price { gas, max_fee: fees.max_fee_per_gas, tip: fees.max_priority_fee_per_gas })
    }

    /// Signs with the next nonce and hands the transaction to the chain.
    async fn submit(&self, turn: &mut Turn<'_>, call: &Call, price: &Price) -> Result<B256, EscrowError> {
        for _ in 0..NONCE_TRIES {
            let nonce = match turn.known() {
                Some(nonce) => nonce,
                None => self.chain.provider.get_transaction_count(self.address()).pending().await?,
            };
            let signed = self.sign(nonce, call, price)?;
            let hash = *signed.tx_hash();
            match self.chain.provider.send_raw_transaction(&signed.encoded_2718()).await {
                Ok(_) => {
                    turn.used(nonce);
                    return Ok(hash);
                }
                Err(RpcError::ErrorResp(payload)) if is_known(&payload.message) => {
                    turn.used(nonce);
                    return Ok(hash);
                }
                Err(RpcError::ErrorResp(payload)) if is_nonce(&payload.message) => {
                    turn.lost();
                    // An endpoint asked second says this of a transaction the first one took.
                    if self.chain.provider.get_transaction_by_hash(hash).await?.is_some() {
                        return Ok(hash);
                    }
                }
                Err(RpcError::ErrorResp(payload)) => {
                    turn.lost();
                    return Err(self.refused(RpcError::ErrorResp(payload)));
                }
                Err(error) => {
                    turn.lost();
                    tracing::warn!(tx.hash = %hash, %error, "a transaction may or may not have been sent");
                    return Err(EscrowError::UnknownOutcome { tx: hash });
                }
            }
        }
        Err(EscrowError::NonceContention { signer: self.address() })
    }

    fn sign(&self, nonce: u64, call: &Call, price: &Price) -> Result<TxEnvelope, EscrowError> {
        let unsigned = TxEip1559 {
            chain_id: self.chain.config.chain_id,
            nonce,
            gas_limit: price.gas,
            max_fee_per_gas: price.max_fee,
            max_priority_fee_per_gas: price.tip,
            to: TxKind::Call(call.to),
            input: call.input.clone(),
            ..TxEip1559::default()
        };
        let signature = self.signer.sign_hash_sync(&unsigned.signature_hash()).map_err(|_| EscrowError::BadKey)?;
        Ok(unsigned.into_signed(signature).into())
    }

    /// Asks for the receipt until it is there or patience ends.
    async fn receipt(&self, hash: B256) -> Result<TransactionReceipt, EscrowError> {
        let config = &self.chain.config;
        let asked = async {
            loop {
                match self.chain.provider.get_transaction_receipt(hash).await {
                    Ok(Some(receipt)) => return receipt,
                    Ok(None) => {}
                    Err(error) => tracing::debug!(tx.hash = %hash, %error, "no receipt yet"),
                }
                tokio::time::sleep(config.poll_interval).await;
            }
        };
        let waited = tokio::time::timeout(config.receipt_timeout, asked).await;
        waited.map_err(|_| EscrowError::UnknownOutcome { tx: hash })
    }

    /// An endpoint's refusal, with the lack of gas money told apart.
    fn refused(&self, error: TransportError) -> EscrowError {
        match error {
            RpcError::ErrorResp(payload)
                if payload.as_revert_data().is_none()
                    && payload.message.to_ascii_lowercase().contains("insufficient funds") =>
            {
                EscrowError::NotEnoughGas { signer: self.address() }
            }
            other => other.into(),
        }
    }
}

/// "Already known": the chain has exactly this transaction.
fn is_known(message: &str) -> bool {
    message.to_ascii_lowercase().contains("already known")
}

fn is_nonce(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("nonce too low") || message.contains("nonce too high") || message.contains("replacement")
}
