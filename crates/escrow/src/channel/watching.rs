//! Many channels at once: what they hold, who withdraws, and claims on contracts that know only the standard's calls.

use alloy::primitives::B256;
use alloy::providers::Provider as _;
use alloy::rpc::types::Filter;
use alloy::sol_types::{SolCall as _, SolEvent as _};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use haggle_base::{Address, Timestamp};

use super::{ChannelClaim, ChannelClient, ChannelFunds, rows};
use crate::bindings::channel::Channel;
use crate::error::EscrowError;
use crate::sender::Tx;

/// Channels that are read at the same time.
const AT_ONCE: usize = 16;
/// Blocks whose logs are asked for at once.
const MAX_BLOCKS: u64 = 2_000;

/// All that the contract says about a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelStatus {
    /// What it holds.
    pub funds: ChannelFunds,
    /// Since when a withdrawal is under way, chain time.
    pub withdrawal: Option<Timestamp>,
    /// How many refunds there were.
    pub refunds: u64,
}

impl ChannelClient {
    /// What the contract says about channels, at the latest block, in the order asked for.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn statuses(&self, ids: &[B256]) -> Result<Vec<ChannelStatus>, EscrowError> {
        let asked = stream::iter(ids.iter().copied().map(|id| self.status(id)));
        asked.buffered(AT_ONCE).try_collect().await
    }

    async fn status(&self, id: B256) -> Result<ChannelStatus, EscrowError> {
        let (funds, pending, nonce) =
            tokio::try_join!(self.funds(id), self.pending_withdrawal(id), self.refund_nonce(id))?;
        let refunds = u64::try_from(nonce).map_err(|_| EscrowError::RpcBadAnswer)?;
        Ok(ChannelStatus { funds, withdrawal: pending.map(|pending| pending.since), refunds })
    }

    /// Channels in which a withdrawal was started in the blocks after `after`, and the last block that was read: at most
    /// some thousands further.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn withdrawals(&self, after: u64) -> Result<(Vec<B256>, u64), EscrowError> {
        let head = self.reader().latest().await?.number;
        let mut to = head.min(after.saturating_add(MAX_BLOCKS));
        if to <= after {
            return Ok((Vec::new(), after));
        }
        // An endpoint that finds the range too long is asked for half of it.
        let logs = loop {
            let filter = Filter::new()
                .address(self.address)
                .event_signature(Channel::WithdrawInitiated::SIGNATURE_HASH)
                .from_block(after + 1)
                .to_block(to);
            match self.reader().provider.get_logs(&filter).await {
                Ok(logs) => break logs,
                Err(error) => match EscrowError::from(error) {
                    EscrowError::RpcRefused { .. } if to - after > 1 => to = after + (to - after) / 2,
                    error => return Err(error),
                },
            }
        };
        let ours = logs.iter().filter(|log| !log.removed && log.address() == self.address);
        Ok((ours.filter_map(|log| log.topics().get(1).copied()).collect(), to))
    }

    /// Whether a deposit's payment was used or cancelled by its payer.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn deposit_used(&self, payer: Address, nonce: B256) -> Result<bool, EscrowError> {
        self.reader().authorization_used(payer, nonce).await
    }

    /// As [`Self::claim_and_settle`], on a contract that has only the standard's calls: claims and sends in one transaction.
    /// If one row is bad the halves are tried alone, down to single rows; what is bad then changes nothing.
    ///
    /// # Errors
    /// As [`Self::claim`]; of several transactions that fail the last one's.
    pub async fn claim_then_settle(&self, claims: &[ChannelClaim]) -> Result<Option<Tx>, EscrowError> {
        let (mut mined, mut failed) = (None, None);
        let mut parts = vec![claims];
        while let Some(part) = parts.pop() {
            let Some(first) = part.first() else { continue };
            let calls = vec![
                Channel::claimCall { voucherClaims: rows(part)? }.abi_encode().into(),
                Channel::settleCall { receiver: first.config.receiver, token_: self.token() }.abi_encode().into(),
            ];
            let call = Channel::multicallCall { data: calls }.abi_encode();
            match self.sender.send_encoded(self.address, call.into(), self.cap(part.len())).await {
                Ok(receipt) => mined = Some(Tx::of(&receipt)),
                Err(EscrowError::Reverted(_)) if part.len() > 1 => {
                    let (left, right) = part.split_at(part.len() / 2);
                    parts.extend([left, right]);
                }
                Err(error) => failed = Some(error),
            }
        }
        match (mined, failed) {
            (Some(tx), _) => Ok(Some(tx)),
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
        }
    }
}
