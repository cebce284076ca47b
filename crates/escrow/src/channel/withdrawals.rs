//! Withdrawals that payers started, read from the channel contract's log.

use alloy::primitives::B256;
use alloy::providers::Provider as _;
use alloy::rpc::types::Filter;
use alloy::sol_types::SolEvent as _;

use super::ChannelClient;
use crate::bindings::channel::Channel::WithdrawInitiated;
use crate::error::EscrowError;

/// Blocks read at once.
const BLOCKS_AT_ONCE: u64 = 2_000;

impl ChannelClient {
    /// Channels in which a withdrawal was started after block `after`, and the block up to which was read.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn withdrawals_after(&self, after: u64) -> Result<(Vec<B256>, u64), EscrowError> {
        let head = self.reader().latest().await?.number;
        let to = head.min(after.saturating_add(BLOCKS_AT_ONCE));
        if to <= after {
            return Ok((Vec::new(), after.min(head)));
        }
        let started = Filter::new().address(self.address).event_signature(WithdrawInitiated::SIGNATURE_HASH);
        let logs = self.reader().provider.get_logs(&started.from_block(after + 1).to_block(to)).await?;
        let ours = logs.iter().filter(|log| log.address() == self.address && !log.removed);
        Ok((ours.filter_map(|log| log.topics().get(1).copied()).collect(), to))
    }
}
