//! From calldata to a mined transaction: simulate, price, sign in turn, send, wait.

use alloy::consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718 as _;
use alloy::primitives::{Address, B256, Bytes, TxKind, keccak256};
use alloy::providers::Provider as _;
use alloy::rpc::json_rpc::RpcError;
use alloy::rpc::types::{TransactionReceipt, TransactionRequest};
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolCall;
use alloy::transports::TransportError;
use haggle_base::PaymentKey;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use crate::chain::ChainReader;
use crate::error::EscrowError;
use crate::nonce::{MAX_UNDER_WAY, Nonces, Outgoing};

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
/// How often a transaction without a receipt is looked after.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Prices that are signed for one nonce at most.
const MAX_VERSIONS: usize = 16;

/// What endpoints said of a transaction.
enum Handed {
    /// One has it.
    Taken,
    /// Its nonce is used, or not the next.
    BadNonce,
    /// None takes it, for another reason.
    Refused(TransportError),
    /// Perhaps one has it.
    Unclear(TransportError),
}

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
    ///
    /// A step that is under way already is not signed again under another nonce: its transaction is sent again and
    /// waited for.
    pub(crate) async fn send_encoded(
        &self,
        to: Address,
        input: Bytes,
        gas_cap: u64,
    ) -> Result<TransactionReceipt, EscrowError> {
        let step = keccak256([to.as_slice(), &input].concat());
        let call = Call { to, input };
        for _ in 0..NONCE_TRIES {
            let joined = self.nonces.under_way(&step, Instant::now());
            let nonce = match joined {
                Some(nonce) => nonce,
                None => self.dispatch(&call, step, gas_cap).await?,
            };
            let Some(receipt) = self.follow(nonce, &step, joined.is_some()).await? else { continue };
            if !receipt.status() {
                return Err(EscrowError::RevertedOnChain { tx: receipt.transaction_hash });
            }
            tracing::debug!(tx.hash = %receipt.transaction_hash, tx.block = receipt.block_number, "a transaction was mined");
            return Ok(receipt);
        }
        Err(EscrowError::NonceContention { signer: self.address() })
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

    /// Signs with the next nonce and hands the transaction to the chain; answers the nonce.
    async fn dispatch(&self, call: &Call, step: B256, gas_cap: u64) -> Result<u64, EscrowError> {
        let began = Instant::now();
        let price = self.simulate(call, gas_cap).await?;
        let _turn = self.nonces.turn().await;
        // somebody may have sent the very same meanwhile, and it may even be mined
        if let Some(nonce) = self.nonces.under_way(&step, began) {
            return Ok(nonce);
        }
        if !self.nonces.has_room() {
            return Err(EscrowError::TooManyUnderWay { signer: self.address(), max: MAX_UNDER_WAY });
        }
        for _ in 0..NONCE_TRIES {
            let nonce = self.next_nonce().await?;
            // asking the chain may have put this very step back there
            if let Some(again) = self.nonces.under_way(&step, began) {
                return Ok(again);
            }
            let (hash, raw) = self.sign(nonce, call, &price)?;
            let outgoing = Outgoing {
                step,
                to: call.to,
                input: call.input.clone(),
                gas: price.gas,
                max_fee: price.max_fee,
                tip: price.tip,
                versions: vec![(hash, raw.clone())],
                signed_at: Instant::now(),
                mined_at: None,
            };
            self.nonces.begin(nonce, outgoing);
            match self.hand_over(&raw).await {
                Handed::Taken => return Ok(nonce),
                Handed::Unclear(error) => {
                    tracing::warn!(tx.hash = %hash, %error, "a transaction may or may not have been sent");
                    return Ok(nonce);
                }
                Handed::BadNonce => {
                    // An endpoint asked second says this of a transaction the first one took.
                    if self.chain.provider.get_transaction_by_hash(hash).await?.is_some() {
                        return Ok(nonce);
                    }
                    self.nonces.displaced(nonce);
                }
                Handed::Refused(error) => {
                    self.nonces.refused(nonce);
                    return Err(self.refused(error));
                }
            }
        }
        Err(EscrowError::NonceContention { signer: self.address() })
    }

    /// The next nonce. When the chain has to be asked, it is also given again what it lost.
    async fn next_nonce(&self) -> Result<u64, EscrowError> {
        if let Some(nonce) = self.nonces.known() {
            return Ok(nonce);
        }
        let account = self.address();
        let mined = self.chain.provider.get_transaction_count(account).await?;
        self.repeat(mined, u64::MAX).await;
        let pending = self.chain.provider.get_transaction_count(account).pending().await?;
        Ok(self.nonces.first_free(mined.max(pending)))
    }

    /// Sends again, unchanged, what is signed and not on the chain.
    async fn repeat(&self, mined: u64, upto: u64) {
        for raw in self.nonces.to_repeat(mined, upto) {
            if let Handed::Unclear(error) = self.hand_over(&raw).await {
                tracing::debug!(%error, "a transaction could not be sent again yet");
                return;
            }
        }
    }

    async fn hand_over(&self, raw: &Bytes) -> Handed {
        match self.chain.provider.send_raw_transaction(raw).await {
            Ok(_) => Handed::Taken,
            Err(RpcError::ErrorResp(payload)) if is_known(&payload.message) => Handed::Taken,
            Err(RpcError::ErrorResp(payload)) if is_nonce(&payload.message) => Handed::BadNonce,
            Err(error @ RpcError::ErrorResp(_)) => Handed::Refused(error),
            Err(error) => Handed::Unclear(error),
        }
    }

    fn sign(&self, nonce: u64, call: &Call, price: &Price) -> Result<(B256, Bytes), EscrowError> {
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
        let signed: TxEnvelope = unsigned.into_signed(signature).into();
        Ok((*signed.tx_hash(), signed.encoded_2718().into()))
    }

    /// Waits for a receipt, sends again what the chain may have lost, and pays more for what lies about. `None` if the
    /// nonce went to a transaction that is not ours, so that this one can never be mined.
    async fn follow(&self, nonce: u64, step: &B256, joined: bool) -> Result<Option<TransactionReceipt>, EscrowError> {
        let config = &self.chain.config;
        let started = Instant::now();
        let mut looked = if joined { None } else { Some(started) };
        let mut without_us = 0;
        loop {
            let Some(out) = self.nonces.get(nonce, step) else { return Ok(None) };
            for (hash, _) in out.versions.iter().rev() {
                match self.chain.provider.get_transaction_receipt(*hash).await {
                    Ok(Some(receipt)) => {
                        self.nonces.mined(nonce);
                        return Ok(Some(receipt));
                    }
                    Ok(None) => {}
                    Err(error) => tracing::debug!(tx.hash = %hash, %error, "no receipt yet"),
                }
            }
            if looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
                looked = Some(Instant::now());
                match self.chain.provider.get_transaction_count(self.address()).await {
                    Ok(mined) if mined > nonce => without_us += 1,
                    Ok(mined) => {
                        without_us = 0;
                        self.repeat(mined, nonce).await;
                    }
                    Err(error) => tracing::debug!(%error, "the account's nonce cannot be read yet"),
                }
                if without_us >= NONCE_TRIES && !self.is_any_known(&out).await {
                    self.nonces.displaced(nonce);
                    return Ok(None);
                }
            }
            if started.elapsed() >= config.receipt_timeout {
                let tx = out.versions.last().map(|(hash, _)| *hash).unwrap_or_default();
                return Err(EscrowError::UnknownOutcome { tx });
            }
            if out.signed_at.elapsed() >= config.stuck_after && without_us == 0 {
                self.pay_more(nonce, step).await?;
            }
            tokio::time::sleep(config.poll_interval).await;
        }
    }

    async fn is_any_known(&self, out: &Outgoing) -> bool {
        for (hash, _) in &out.versions {
            if !matches!(self.chain.provider.get_transaction_by_hash(*hash).await, Ok(None)) {
                return true;
            }
        }
        false
    }

    /// Signs the same step for the same nonce at a price that endpoints take as a replacement, within the limit.
    async fn pay_more(&self, nonce: u64, step: &B256) -> Result<(), EscrowError> {
        let _turn = self.nonces.turn().await;
        let config = &self.chain.config;
        let Some(out) = self.nonces.get(nonce, step) else { return Ok(()) };
        if out.mined_at.is_some() || out.signed_at.elapsed() < config.stuck_after || out.versions.len() >= MAX_VERSIONS
        {
            return Ok(());
        }
        let Ok(now) = self.chain.provider.estimate_eip1559_fees().await else { return Ok(()) };
        let price = Price {
            gas: out.gas,
            max_fee: now.max_fee_per_gas.max(raised(out.max_fee)),
            tip: now.max_priority_fee_per_gas.max(raised(out.tip)),
        };
        if price.max_fee > config.max_gas_price {
            tracing::warn!(tx.nonce = nonce, "a transaction is stuck, and gas costs more than allowed");
            return Ok(());
        }
        let (hash, raw) = self.sign(nonce, &Call { to: out.to, input: out.input }, &price)?;
        tracing::info!(tx.nonce = nonce, tx.hash = %hash, "a stuck transaction is sent again at a higher price");
        // kept before it leaves: either of the two may be the one that is mined
        self.nonces.replaced(nonce, (hash, raw.clone()), price.max_fee, price.tip);
        if let Handed::Refused(error) = self.hand_over(&raw).await {
            tracing::debug!(tx.hash = %hash, %error, "the higher price was refused");
        }
        Ok(())
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

/// An eighth more: endpoints take a replacement from a tenth more on.
const fn raised(price: u128) -> u128 {
    price.saturating_add(price / 8).saturating_add(1)
}

/// "Already known": the chain has exactly this transaction.
fn is_known(message: &str) -> bool {
    message.to_ascii_lowercase().contains("already known")
}

fn is_nonce(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("nonce too low") || message.contains("nonce too high") || message.contains("replacement")
}
