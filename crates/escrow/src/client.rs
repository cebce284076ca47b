//! Everything a node does with the escrow, each step safe to ask for twice.

mod batch;
mod disagree;

pub use batch::{BatchSent, MAX_BATCH, Row, ToFund, ToRelease};
pub use disagree::Decision;

use alloy::primitives::{Address, B256, Bytes};
use alloy::sol_types::SolCall as _;
use haggle_base::eip712::{Domain, escrow_domain, order_id};
use haggle_base::{EvmSignature, Order, OrderId, PaymentKey};
use std::ops::Deref;
use std::sync::Arc;

use crate::bindings::Escrow;
use crate::chain::{ChainReader, usdc};
use crate::config::EscrowConfig;
use crate::error::{EscrowError, Revert};
use crate::order::to_binding;
use crate::sender::{Sender, Tx};
use crate::status::{OnChain, Status};

/// How a step on an order ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Our transaction was mined.
    Mined(Tx),
    /// The chain was already there: an earlier attempt of ours, or somebody else's. What it says now.
    AlreadyDone(OnChain),
}

impl Sent {
    /// The transaction, if it was ours.
    #[must_use]
    pub const fn tx(&self) -> Option<&Tx> {
        match self {
            Self::Mined(tx) => Some(tx),
            Self::AlreadyDone(_) => None,
        }
    }
}

/// The escrow through one payment key, which signs transactions and pays their gas. Also a [`ChainReader`].
///
/// Clients of the same key made from one another share a nonce allocator, so their transactions queue up.
#[derive(Debug, Clone)]
pub struct EscrowClient {
    sender: Sender,
    domain: Arc<Domain>,
}

impl Deref for EscrowClient {
    type Target = ChainReader;

    fn deref(&self) -> &ChainReader {
        &self.sender.chain
    }
}

impl EscrowClient {
    /// Connects, and asks whether chain and contract are the right ones.
    ///
    /// # Errors
    /// As [`ChainReader::new`] and [`ChainReader::check`], or [`EscrowError::BadKey`].
    pub async fn connect(config: EscrowConfig, signer: &PaymentKey) -> Result<Self, EscrowError> {
        let chain = ChainReader::new(config)?;
        chain.check().await?;
        Self::new(chain, signer)
    }

    /// A client over an existing connection. Nothing is asked yet.
    ///
    /// # Errors
    /// [`EscrowError::BadKey`].
    pub fn new(chain: ChainReader, signer: &PaymentKey) -> Result<Self, EscrowError> {
        let domain = Arc::new(escrow_domain(chain.config.chain_id, chain.config.escrow));
        Ok(Self { sender: Sender::new(chain, signer)?, domain })
    }

    /// The same connection with another payment key.
    ///
    /// # Errors
    /// [`EscrowError::BadKey`].
    pub fn with_signer(&self, signer: &PaymentKey) -> Result<Self, EscrowError> {
        Self::new(self.sender.chain.clone(), signer)
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

    /// The order's id under this network's escrow.
    #[must_use]
    pub fn order_id(&self, order: &Order) -> OrderId {
        order_id(order, &self.domain)
    }

    /// Brings the buyer's deposit into the escrow. The buyer's signature is over the payment, the provider's over the
    /// order id; without the latter the order is held, but proves no consent.
    ///
    /// # Errors
    /// [`EscrowError::ZeroAmount`] and [`EscrowError::AmountTooLarge`] before anything is asked;
    /// [`EscrowError::Reverted`] if the contract would refuse, in which case nothing is sent;
    /// [`EscrowError::UnknownOutcome`] if it was sent and nobody knows more.
    pub async fn fund(
        &self,
        order: &Order,
        buyer: &EvmSignature,
        provider: Option<&EvmSignature>,
    ) -> Result<Sent, EscrowError> {
        check_amounts(order)?;
        let call = Escrow::fundCall {
            order: to_binding(order),
            buyerAuth: bytes(buyer),
            providerSig: provider.map(bytes).unwrap_or_default(),
        };
        self.step(order, call.abi_encode(), |status| status >= Status::Funded).await
    }

    /// Pays the provider everything, on the buyer's signature over `Release`.
    ///
    /// # Errors
    /// As [`Self::fund`].
    pub async fn release(&self, order: &Order, buyer: &EvmSignature) -> Result<Sent, EscrowError> {
        let call = Escrow::releaseCall { order: to_binding(order), buyerSig: bytes(buyer) };
        self.step(order, call.abi_encode(), |status| status >= Status::Settled).await
    }

    /// Returns everything to the buyer, on the provider's signature over `Refund`.
    ///
    /// # Errors
    /// As [`Self::fund`].
    pub async fn refund(&self, order: &Order, provider: &EvmSignature) -> Result<Sent, EscrowError> {
        let call = Escrow::refundCall { order: to_binding(order), providerSig: bytes(provider) };
        self.step(order, call.abi_encode(), |status| status >= Status::Settled).await
    }

    /// Says on chain that the order was delivered. Only the provider's own client can.
    ///
    /// # Errors
    /// As [`Self::fund`].
    pub async fn deliver(&self, order: &Order, deliverable: B256) -> Result<Sent, EscrowError> {
        let call = Escrow::deliverCall { order: to_binding(order), deliverable };
        self.step(order, call.abi_encode(), |status| status >= Status::Delivered).await
    }

    /// Settles an order whose time is up, by its terms.
    ///
    /// # Errors
    /// As [`Self::fund`]; [`Revert::TooEarly`] before the time.
    pub async fn finalize(&self, order: &Order) -> Result<Sent, EscrowError> {
        let call = Escrow::finalizeCall { order: to_binding(order) };
        self.step(order, call.abi_encode(), |status| status >= Status::Settled).await
    }

    /// Sends an account what waits for it in the escrow; `None` if nothing does.
    ///
    /// # Errors
    /// As [`Self::fund`].
    pub async fn withdraw(&self, account: Address) -> Result<Option<Tx>, EscrowError> {
        if self.owed(account).await?.is_zero() {
            return Ok(None);
        }
        match self.sender.send(self.escrow_address(), Escrow::withdrawCall { account }).await {
            Ok(tx) => Ok(Some(tx)),
            Err(EscrowError::Reverted(Revert::NothingOwed { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn escrow_address(&self) -> Address {
        self.config().escrow
    }

    /// Sends a call on an order unless the chain is `there` already.
    async fn step(&self, order: &Order, call: Vec<u8>, there: fn(Status) -> bool) -> Result<Sent, EscrowError> {
        let id = self.order_id(order);
        let before = self.status(&id).await?;
        if there(before.status) {
            return Ok(Sent::AlreadyDone(before));
        }
        let cap = self.config().gas_cap;
        let error = match self.sender.send_encoded(self.escrow_address(), call.into(), cap).await {
            Ok(receipt) => return Ok(Sent::Mined(Tx::of(&receipt))),
            Err(error) => error,
        };
        // Somebody may have been quicker between the question and the transaction.
        if matches!(error, EscrowError::Reverted(_) | EscrowError::RevertedOnChain { .. })
            && let Ok(after) = self.status(&id).await
            && there(after.status)
        {
            return Ok(Sent::AlreadyDone(after));
        }
        Err(error)
    }
}

/// Amounts that can be held: above zero, and within what USDC can be counted in.
fn check_amounts(order: &Order) -> Result<(), EscrowError> {
    if order.amount.is_zero() {
        return Err(EscrowError::ZeroAmount);
    }
    let too_large = || EscrowError::AmountTooLarge(order.amount.to());
    usdc(order.deposit().ok_or_else(too_large)?.to()).map(|_| ())
}

pub(crate) fn bytes(signature: &EvmSignature) -> Bytes {
    Bytes::copy_from_slice(signature.as_bytes())
}
