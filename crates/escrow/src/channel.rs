//! Prepaid channels: one deposit, any number of signed vouchers, one claim.

mod withdrawals;

use alloy::primitives::{Address, B256, U256};
use alloy::providers::RootProvider;
use alloy::sol_types::{SolCall as _, SolEventInterface as _, SolValue as _};
use haggle_base::eip712::Domain;
use haggle_base::eip712::channel::{ChannelConfig, channel_domain, channel_id, deposit_nonce};
use haggle_base::{EvmSignature, PaymentKey, Timestamp, Usdc};
use std::sync::Arc;

use crate::bindings::channel::Channel::ChannelEvents as E;
use crate::bindings::channel::{Channel, IChannel};
use crate::chain::{ChainReader, contract_answer, usdc};
use crate::client::bytes;
use crate::error::{EscrowError, Skip};
use crate::sender::{Sender, Tx};

mod watching;

pub use watching::ChannelStatus;

/// Channels one claim may carry: what fits a transaction of 128 KiB with room.
pub const MAX_CLAIMS: usize = 100;

/// Gas a transaction may use at all, by EIP-7825.
const TX_GAS_LIMIT: u64 = 1 << 24;

/// The payer's EIP-3009 payment into a channel, made out to the collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelDeposit {
    /// How much.
    pub amount: Usdc,
    /// Chain time strictly after which it is good.
    pub valid_after: Timestamp,
    /// Chain time strictly before which it is good.
    pub valid_before: Timestamp,
    /// With the channel's id it makes the payment's nonce.
    pub salt: U256,
    /// The payer's, over the payment.
    pub signature: EvmSignature,
}

/// A channel's newest voucher, and how much of it to claim.
#[derive(Debug, Clone)]
pub struct ChannelClaim {
    /// The channel.
    pub config: ChannelConfig,
    /// What the voucher allows in all.
    pub max_claimable: Usdc,
    /// The signature over the voucher, by the payer's authoriser, or by the payer if there is none.
    pub signature: EvmSignature,
    /// What is to be claimed in all after this.
    pub total: Usdc,
}

/// What a channel holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelFunds {
    /// Deposits less refunds and withdrawals.
    pub balance: Usdc,
    /// What was claimed of them in all; never goes down.
    pub claimed: Usdc,
}

/// A withdrawal that the payer's side started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingWithdrawal {
    /// What it wants back.
    pub amount: Usdc,
    /// When it started, chain time; it can be finished `withdrawDelay` seconds later.
    pub since: Timestamp,
}

/// What a claim with settlement did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The transaction.
    pub tx: Tx,
    /// Channels whose rows failed and changed nothing.
    pub skipped: Vec<(B256, Skip)>,
    /// What was sent to the receiver; zero if the token refused, and then it stays claimed.
    pub settled: Usdc,
}

/// The channel contract through one payment key, which signs transactions and pays their gas.
#[derive(Debug, Clone)]
pub struct ChannelClient {
    sender: Sender,
    address: Address,
    collector: Address,
    domain: Arc<Domain>,
}

impl ChannelClient {
    /// A client of the channel contract and its collector over an existing connection. Nothing is asked yet.
    ///
    /// # Errors
    /// [`EscrowError::BadKey`].
    pub fn new(
        chain: ChainReader,
        channel: Address,
        collector: Address,
        signer: &PaymentKey,
    ) -> Result<Self, EscrowError> {
        let domain = Arc::new(channel_domain(chain.config().chain_id, channel));
        Ok(Self { sender: Sender::new(chain, signer)?, address: channel, collector, domain })
    }

    /// Reads the chain without a key.
    #[must_use]
    pub const fn reader(&self) -> &ChainReader {
        &self.sender.chain
    }

    /// The contract's domain, for vouchers and the like.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The channel's id under this contract.
    #[must_use]
    pub fn id(&self, config: &ChannelConfig) -> B256 {
        channel_id(config, &self.domain)
    }

    /// What a channel holds; nothing if nobody ever deposited.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn funds(&self, id: B256) -> Result<ChannelFunds, EscrowError> {
        let held = contract_answer(self.contract().channels(id).call().await)?;
        Ok(ChannelFunds { balance: usdc(U256::from(held.balance))?, claimed: usdc(U256::from(held.totalClaimed))? })
    }

    /// The withdrawal under way, if there is one.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn pending_withdrawal(&self, id: B256) -> Result<Option<PendingWithdrawal>, EscrowError> {
        let pending = contract_answer(self.contract().pendingWithdrawals(id).call().await)?;
        let since = pending.initiatedAt.to::<u64>();
        if since == 0 {
            return Ok(None);
        }
        let amount = usdc(U256::from(pending.amount))?;
        Ok(Some(PendingWithdrawal { amount, since: Timestamp::from_secs(since) }))
    }

    /// The nonce that the channel's next refund has to be signed for.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn refund_nonce(&self, id: B256) -> Result<U256, EscrowError> {
        contract_answer(self.contract().refundNonce(id).call().await)
    }

    /// What is claimed for a receiver and was not sent yet.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn unsettled(&self, receiver: Address) -> Result<Usdc, EscrowError> {
        let token = self.token();
        let sums = contract_answer(self.contract().receivers(receiver, token).call().await)?;
        usdc(U256::from(sums.totalClaimed.saturating_sub(sums.totalSettled)))
    }

    /// Brings the payer's deposit into the channel; `None` if this very payment was used before.
    ///
    /// # Errors
    /// As [`EscrowClient::fund`](crate::EscrowClient::fund); [`Revert::Channel`](crate::Revert::Channel).
    pub async fn deposit(&self, config: &ChannelConfig, deposit: &ChannelDeposit) -> Result<Option<Tx>, EscrowError> {
        let nonce = deposit_nonce(&self.id(config), deposit.salt);
        if self.reader().authorization_used(config.payer, nonce).await? {
            return Ok(None);
        }
        let (after, before) = (deposit.valid_after.as_secs(), deposit.valid_before.as_secs());
        let authorization =
            (U256::from(after), U256::from(before), deposit.salt, bytes(&deposit.signature)).abi_encode_params();
        let call = Channel::depositCall {
            config: to_binding(config),
            amount: u128::from(deposit.amount.units()),
            collector_: self.collector,
            collectorData: authorization.into(),
        };
        self.sender.send(self.address, call).await.map(Some)
    }

    /// Makes more of each channel its receiver's. Only the receiver's side of every channel can; one that fails, fails
    /// them all, and one that claims nothing more is passed over.
    ///
    /// # Errors
    /// [`EscrowError::BatchTooLarge`]; as [`Self::deposit`].
    pub async fn claim(&self, claims: &[ChannelClaim]) -> Result<Tx, EscrowError> {
        let call = Channel::claimCall { voucherClaims: rows(claims)? }.abi_encode();
        let receipt = self.sender.send_encoded(self.address, call.into(), self.cap(claims.len())).await?;
        Ok(Tx::of(&receipt))
    }

    /// Claims, and sends the one receiver of all channels everything that is claimed for it. A channel that fails is
    /// skipped.
    ///
    /// # Errors
    /// As [`Self::claim`].
    pub async fn claim_and_settle(&self, claims: &[ChannelClaim]) -> Result<Claimed, EscrowError> {
        let call = Channel::claimAndSettleCall { voucherClaims: rows(claims)? }.abi_encode();
        let receipt = self.sender.send_encoded(self.address, call.into(), self.cap(claims.len())).await?;
        let (mut skipped, mut settled) = (Vec::new(), Usdc::ZERO);
        for log in receipt.inner.logs().iter().filter(|log| log.address() == self.address) {
            match E::decode_log(&log.inner).map(|log| log.data) {
                Ok(E::ClaimSkipped(row)) => skipped.push((row.channelId, Skip(row.reason))),
                Ok(E::Settled(sent)) => settled = usdc(U256::from(sent.amount))?,
                _ => {}
            }
        }
        Ok(Claimed { tx: Tx::of(&receipt), skipped, settled })
    }

    /// Sends a receiver what is claimed for it; `None` if nothing is.
    ///
    /// # Errors
    /// As [`Self::deposit`].
    pub async fn settle(&self, receiver: Address) -> Result<Option<Tx>, EscrowError> {
        if self.unsettled(receiver).await?.is_zero() {
            return Ok(None);
        }
        self.sender.send(self.address, Channel::settleCall { receiver, token_: self.token() }).await.map(Some)
    }

    /// Starts a withdrawal of what is not claimed. Only the payer's side can.
    ///
    /// # Errors
    /// As [`Self::deposit`].
    pub async fn initiate_withdraw(&self, config: &ChannelConfig, amount: Usdc) -> Result<Tx, EscrowError> {
        let call = Channel::initiateWithdrawCall { config: to_binding(config), amount: u128::from(amount.units()) };
        self.sender.send(self.address, call).await
    }

    /// Finishes the payer's withdrawal after the channel's delay; `None` if none is under way.
    ///
    /// # Errors
    /// As [`Self::deposit`].
    pub async fn finalize_withdraw(&self, config: &ChannelConfig) -> Result<Option<Tx>, EscrowError> {
        if self.pending_withdrawal(self.id(config)).await?.is_none() {
            return Ok(None);
        }
        self.sender.send(self.address, Channel::finalizeWithdrawCall { config: to_binding(config) }).await.map(Some)
    }

    /// Returns the payer up to `amount` of what is not claimed. Only the receiver's side can.
    ///
    /// # Errors
    /// As [`Self::deposit`].
    pub async fn refund(&self, config: &ChannelConfig, amount: Usdc) -> Result<Tx, EscrowError> {
        let call = Channel::refundCall { config: to_binding(config), amount: u128::from(amount.units()) };
        self.sender.send(self.address, call).await
    }

    /// The same for anybody, on the receiver authoriser's signature over `Refund`.
    ///
    /// # Errors
    /// As [`Self::deposit`].
    pub async fn refund_with_signature(
        &self,
        config: &ChannelConfig,
        amount: Usdc,
        nonce: U256,
        authorizer: &EvmSignature,
    ) -> Result<Tx, EscrowError> {
        let call = Channel::refundWithSignatureCall {
            config: to_binding(config),
            amount: u128::from(amount.units()),
            nonce,
            receiverAuthorizerSignature: bytes(authorizer),
        };
        self.sender.send(self.address, call).await
    }

    fn contract(&self) -> Channel::ChannelInstance<RootProvider> {
        Channel::new(self.address, self.reader().provider.clone())
    }

    fn token(&self) -> Address {
        self.reader().config().token
    }

    fn cap(&self, rows: usize) -> u64 {
        let cap = self.reader().config().gas_cap;
        cap.saturating_mul(u64::try_from(rows).unwrap_or(u64::MAX)).min(TX_GAS_LIMIT)
    }
}

fn rows(claims: &[ChannelClaim]) -> Result<Vec<IChannel::VoucherClaim>, EscrowError> {
    if claims.len() > MAX_CLAIMS {
        return Err(EscrowError::BatchTooLarge { rows: claims.len(), max: MAX_CLAIMS });
    }
    let row = |claim: &ChannelClaim| IChannel::VoucherClaim {
        voucher: IChannel::Voucher {
            channel: to_binding(&claim.config),
            maxClaimableAmount: u128::from(claim.max_claimable.units()),
        },
        signature: bytes(&claim.signature),
        totalClaimed: u128::from(claim.total.units()),
    };
    Ok(claims.iter().map(row).collect())
}

/// The binding's channel: the same fields, one by one.
fn to_binding(config: &ChannelConfig) -> IChannel::ChannelConfig {
    IChannel::ChannelConfig {
        payer: config.payer,
        payerAuthorizer: config.payerAuthorizer,
        receiver: config.receiver,
        receiverAuthorizer: config.receiverAuthorizer,
        token: config.token,
        withdrawDelay: config.withdrawDelay,
        salt: config.salt,
    }
}
