//! Settlement's channels: the contract, with the node's own key for the receiver's side and each payer's for the payer's.

use super::chain::refused;
use crate::keyring::Keyring;
use async_trait::async_trait;
use haggle_base::eip712::channel::ChannelConfig;
use haggle_base::{Address, B256, PaymentKey, Usdc};
use haggle_escrow::{ChainReader, ChannelClaim, ChannelClient, ChannelDeposit, EscrowError};
use haggle_settlement::ports::{ChainError, ChannelChain, ChannelOnChain, Claimed, ToClaim, TxRef};
use haggle_x402::{ChannelFacts, Deposit};
use std::fmt;
use std::sync::Arc;

/// The channel contract as settlement sees it.
pub(crate) struct ChannelPort {
    reader: ChainReader,
    facts: ChannelFacts,
    keys: Arc<Keyring>,
    ours: ChannelClient,
    authorizer: Address,
}

impl ChannelPort {
    /// `own` claims, refunds and pays the gas.
    pub(crate) fn new(
        reader: ChainReader,
        facts: ChannelFacts,
        keys: Arc<Keyring>,
        own: &PaymentKey,
    ) -> Result<Self, EscrowError> {
        let ours = ChannelClient::new(reader.clone(), facts.contract(), facts.collector(), own)?;
        Ok(Self { reader, facts, keys, ours, authorizer: own.address() })
    }

    /// The contract through the key of the channel's payer, or of who signs its vouchers.
    fn payer(&self, channel: &ChannelConfig) -> Result<ChannelClient, ChainError> {
        let key = [channel.payer, channel.payerAuthorizer].iter().find_map(|address| self.keys.at(address));
        let Some((_, key)) = key else { return Ok(self.ours.clone()) };
        ChannelClient::new(self.reader.clone(), self.facts.contract(), self.facts.collector(), &key)
            .map_err(|error| refused(&error))
    }

    async fn on_chain(&self, id: B256) -> Result<ChannelOnChain, EscrowError> {
        let funds = self.ours.funds(id).await?;
        let refunds = self.ours.refund_nonce(id).await?;
        let withdrawal = self.ours.pending_withdrawal(id).await?;
        Ok(ChannelOnChain {
            balance: funds.balance,
            claimed: funds.claimed,
            refunds: u64::try_from(refunds).map_err(|_| EscrowError::RpcBadAnswer)?,
            withdrawal: withdrawal.map(|pending| pending.since),
        })
    }
}

impl fmt::Debug for ChannelPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelPort").field("facts", &self.facts).finish_non_exhaustive()
    }
}

fn at(tx: haggle_escrow::Tx) -> TxRef {
    TxRef { hash: tx.hash, block: tx.block }
}

#[async_trait]
impl ChannelChain for ChannelPort {
    fn authorizer(&self) -> Address {
        self.authorizer
    }

    async fn channels(&self, ids: &[B256]) -> Result<Vec<ChannelOnChain>, ChainError> {
        let all = ids.iter().map(|id| self.on_chain(*id));
        futures::future::try_join_all(all).await.map_err(|error| refused(&error))
    }

    async fn deposit(&self, channel: &ChannelConfig, deposit: &Deposit) -> Result<Option<TxRef>, ChainError> {
        let terms = &deposit.terms;
        let deposit = ChannelDeposit {
            amount: terms.amount,
            valid_after: terms.valid_after,
            valid_before: terms.valid_before,
            salt: terms.salt,
            signature: deposit.signature,
        };
        let sent = self.ours.deposit(channel, &deposit).await.map_err(|error| refused(&error))?;
        Ok(sent.map(at))
    }

    async fn deposit_used(&self, payer: Address, nonce: B256) -> Result<bool, ChainError> {
        self.reader.authorization_used(payer, nonce).await.map_err(|error| refused(&error))
    }

    async fn claim(&self, claims: &[ToClaim]) -> Result<Claimed, ChainError> {
        let rows: Vec<ChannelClaim> = claims
            .iter()
            .map(|claim| ChannelClaim {
                config: claim.channel.clone(),
                max_claimable: claim.max,
                signature: claim.signature,
                total: claim.total,
            })
            .collect();
        let done = self.ours.claim_and_settle(&rows).await.map_err(|error| refused(&error))?;
        Ok(Claimed { tx: at(done.tx), sent: !done.settled.is_zero() })
    }

    async fn settle(&self, receiver: Address) -> Result<Option<TxRef>, ChainError> {
        let sent = self.ours.settle(receiver).await.map_err(|error| refused(&error))?;
        Ok(sent.map(at))
    }

    async fn refund(&self, channel: &ChannelConfig, amount: Usdc) -> Result<TxRef, ChainError> {
        self.ours.refund(channel, amount).await.map(at).map_err(|error| refused(&error))
    }

    async fn start_withdrawal(&self, channel: &ChannelConfig, amount: Usdc) -> Result<TxRef, ChainError> {
        self.payer(channel)?.initiate_withdraw(channel, amount).await.map(at).map_err(|error| refused(&error))
    }

    async fn finish_withdrawal(&self, channel: &ChannelConfig) -> Result<Option<TxRef>, ChainError> {
        let done = self.payer(channel)?.finalize_withdraw(channel).await.map_err(|error| refused(&error))?;
        Ok(done.map(at))
    }

    async fn withdrawals(&self, after: u64) -> Result<(Vec<B256>, u64), ChainError> {
        self.ours.withdrawals_after(after).await.map_err(|error| refused(&error))
    }
}
