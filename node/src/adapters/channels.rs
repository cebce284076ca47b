//! Settlement's channel contract: the escrow room's client, with the signer that each step asks for.

use async_trait::async_trait;
use haggle_base::eip712::channel::ChannelConfig;
use haggle_base::{Address, B256, PaymentKey, Usdc};
use haggle_escrow::{ChainReader, ChannelClaim, ChannelClient, ChannelDeposit, EscrowError, Tx};
use haggle_settlement::ports::{ChainError, ChannelChain, ChannelOnChain, Claimed, ToClaim, TxRef};
use haggle_x402::Deposit;
use std::fmt;
use std::sync::Arc;

use super::refused::refused;

/// The payment key of an address, if it is in this home.
pub(crate) type KeyAt = Arc<dyn Fn(&Address) -> Option<PaymentKey> + Send + Sync>;

/// The channel contract as settlement sees it.
pub(crate) struct ChannelPort {
    reader: ChainReader,
    contract: Address,
    collector: Address,
    node: ChannelClient,
    authorizer: Address,
    keys: KeyAt,
    /// Whether the contract is ours, which claims and sends in one call and skips what cannot be claimed.
    ours: bool,
}

impl ChannelPort {
    /// `gas` is the node's key: it is the receiver authoriser of channels, sends deposits, claims and refunds, and pays
    /// their gas. Withdrawals are sent by the payer itself.
    pub(crate) fn new(
        reader: ChainReader,
        contract: Address,
        collector: Address,
        gas: &PaymentKey,
        keys: KeyAt,
        ours: bool,
    ) -> Result<Self, EscrowError> {
        let node = ChannelClient::new(reader.clone(), contract, collector, gas)?;
        Ok(Self { reader, contract, collector, node, authorizer: gas.address(), keys, ours })
    }

    /// The client that signs as the channel's payer.
    fn payer(&self, channel: &ChannelConfig) -> Result<ChannelClient, ChainError> {
        let key = (self.keys)(&channel.payer).or_else(|| (self.keys)(&channel.payerAuthorizer));
        let key = key.ok_or_else(|| refused(&EscrowError::BadKey))?;
        ChannelClient::new(self.reader.clone(), self.contract, self.collector, &key).map_err(|error| refused(&error))
    }
}

impl fmt::Debug for ChannelPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelPort").field("contract", &self.contract).finish_non_exhaustive()
    }
}

const fn mined(tx: Tx) -> TxRef {
    TxRef { hash: tx.hash, block: tx.block }
}

#[async_trait]
impl ChannelChain for ChannelPort {
    fn authorizer(&self) -> Address {
        self.authorizer
    }

    async fn channels(&self, ids: &[B256]) -> Result<Vec<ChannelOnChain>, ChainError> {
        let said = self.node.statuses(ids).await.map_err(|error| refused(&error))?;
        let one = |status: &haggle_escrow::ChannelStatus| ChannelOnChain {
            balance: status.funds.balance,
            claimed: status.funds.claimed,
            refunds: status.refunds,
            withdrawal: status.withdrawal,
        };
        Ok(said.iter().map(one).collect())
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
        let sent = self.node.deposit(channel, &deposit).await.map_err(|error| refused(&error))?;
        Ok(sent.map(mined))
    }

    async fn deposit_used(&self, payer: Address, nonce: B256) -> Result<bool, ChainError> {
        self.node.deposit_used(payer, nonce).await.map_err(|error| refused(&error))
    }

    async fn claim(&self, claims: &[ToClaim]) -> Result<Claimed, ChainError> {
        let row = |claim: &ToClaim| ChannelClaim {
            config: claim.channel.clone(),
            max_claimable: claim.max,
            signature: claim.signature,
            total: claim.total,
        };
        let rows: Vec<ChannelClaim> = claims.iter().map(row).collect();
        if self.ours {
            let claimed = self.node.claim_and_settle(&rows).await.map_err(|error| refused(&error))?;
            for (id, skip) in &claimed.skipped {
                tracing::warn!(channel.id = %id, reason = ?skip, "a channel could not be claimed");
            }
            let sent = !claimed.settled.is_zero() || claimed.skipped.len() == rows.len();
            return Ok(Claimed { tx: mined(claimed.tx), sent });
        }
        let sent = self.node.claim_then_settle(&rows).await.map_err(|error| refused(&error))?;
        let tx = sent.map(mined).ok_or(ChainError::OutcomeUnknown)?;
        Ok(Claimed { tx, sent: true })
    }

    async fn settle(&self, receiver: Address) -> Result<Option<TxRef>, ChainError> {
        Ok(self.node.settle(receiver).await.map_err(|error| refused(&error))?.map(mined))
    }

    async fn refund(&self, channel: &ChannelConfig, amount: Usdc) -> Result<TxRef, ChainError> {
        self.node.refund(channel, amount).await.map(mined).map_err(|error| refused(&error))
    }

    async fn start_withdrawal(&self, channel: &ChannelConfig, amount: Usdc) -> Result<TxRef, ChainError> {
        let sent = self.payer(channel)?.initiate_withdraw(channel, amount).await;
        sent.map(mined).map_err(|error| refused(&error))
    }

    async fn finish_withdrawal(&self, channel: &ChannelConfig) -> Result<Option<TxRef>, ChainError> {
        let sent = self.payer(channel)?.finalize_withdraw(channel).await.map_err(|error| refused(&error))?;
        Ok(sent.map(mined))
    }

    async fn withdrawals(&self, after: Option<u64>) -> Result<(Vec<B256>, u64), ChainError> {
        let Some(after) = after else {
            let head = self.reader.latest().await.map_err(|error| refused(&error))?;
            return Ok((Vec::new(), head.number));
        };
        self.node.withdrawals(after).await.map_err(|error| refused(&error))
    }
}
