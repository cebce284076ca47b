//! What a provider puts up against a ruling.

use alloy::primitives::aliases::U96;
use alloy::primitives::{Address, B256, U256};
use alloy::providers::RootProvider;
use haggle_base::{EvmSignature, PaymentKey, Timestamp, Usdc};

use crate::bindings::stake::Stake;
use crate::chain::{ChainReader, contract_answer, usdc};
use crate::client::bytes;
use crate::error::{EscrowError, Revert, StakeRefusal};
use crate::sender::{Sender, Tx};

/// A provider's stake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Staked {
    /// All of it.
    pub staked: Usdc,
    /// The part that stands behind orders.
    pub locked: Usdc,
    /// The part it wants back; may be locked too.
    pub thawing: Usdc,
    /// When it can have that, chain time; `None` if it wants nothing back.
    pub thaw_ends: Option<Timestamp>,
}

/// The stake contract through one payment key.
#[derive(Debug, Clone)]
pub struct StakeClient {
    sender: Sender,
    address: Address,
}

impl StakeClient {
    /// A client of the stake contract over an existing connection. Nothing is asked yet.
    ///
    /// # Errors
    /// [`EscrowError::BadKey`].
    pub fn new(chain: ChainReader, stake: Address, signer: &PaymentKey) -> Result<Self, EscrowError> {
        Ok(Self { sender: Sender::new(chain, signer)?, address: stake })
    }

    /// A provider's stake.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn stake_of(&self, provider: Address) -> Result<Staked, EscrowError> {
        let held = contract_answer(self.contract().stakeOf(provider).call().await)?;
        let ends = held.thawEnds.to::<u64>();
        Ok(Staked {
            staked: usdc(held.staked.to())?,
            locked: usdc(held.locked.to())?,
            thawing: usdc(held.thawing.to())?,
            thaw_ends: (ends > 0).then(|| Timestamp::from_secs(ends)),
        })
    }

    /// Adds to a provider's stake on its payment to the stake contract; `None` if this very payment was used before.
    ///
    /// # Errors
    /// As [`EscrowClient::fund`](crate::EscrowClient::fund).
    pub async fn deposit(
        &self,
        provider: Address,
        amount: Usdc,
        valid_before: Timestamp,
        nonce: B256,
        payment: &EvmSignature,
    ) -> Result<Option<Tx>, EscrowError> {
        if self.sender.chain.authorization_used(provider, nonce).await? {
            return Ok(None);
        }
        let call = Stake::depositCall {
            provider,
            amount: U96::from(amount.units()),
            validBefore: U256::from(valid_before.as_secs()),
            nonce,
            auth: bytes(payment),
        };
        self.sender.send(self.address, call).await.map(Some)
    }

    /// Asks for `amount` of the signer's own stake back and starts the thaw; replaces what was asked for before.
    ///
    /// # Errors
    /// As [`Self::deposit`]; [`Revert::StakeTooLow`].
    pub async fn request_withdraw(&self, amount: Usdc) -> Result<Tx, EscrowError> {
        self.sender.send(self.address, Stake::requestWithdrawCall { amount: U96::from(amount.units()) }).await
    }

    /// Sends a provider what it asked for, as far as no order holds it; `None` if that is nothing.
    ///
    /// # Errors
    /// As [`Self::deposit`]; [`Revert::TooEarly`] before the thaw is over.
    pub async fn withdraw(&self, provider: Address) -> Result<Option<Tx>, EscrowError> {
        match self.sender.send(self.address, Stake::withdrawCall { provider }).await {
            Ok(tx) => Ok(Some(tx)),
            Err(EscrowError::Reverted(Revert::Stake(StakeRefusal::NothingToWithdraw))) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What waits in the stake contract for an account: slashed stake that the token refused to send.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn owed(&self, account: Address) -> Result<Usdc, EscrowError> {
        usdc(contract_answer(self.contract().owed(account).call().await)?)
    }

    /// Sends an account what waits for it; `None` if nothing does.
    ///
    /// # Errors
    /// As [`Self::deposit`].
    pub async fn collect(&self, account: Address) -> Result<Option<Tx>, EscrowError> {
        match self.sender.send(self.address, Stake::collectCall { account }).await {
            Ok(tx) => Ok(Some(tx)),
            Err(EscrowError::Reverted(Revert::NothingOwed { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn contract(&self) -> Stake::StakeInstance<RootProvider> {
        Stake::new(self.address, self.sender.chain.provider.clone())
    }
}
