//! Listing fees: transfers of the token to a network's fee sinks, read once they are so deep that they stay.
//!
//! The reader keeps no state. Whoever uses it stores the [`Cursor`] and the fees in one transaction. A chain that leaves
//! its own blocks so deep is read anew.

use alloy::primitives::U256;
use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::SolEvent as _;
use haggle_base::{Address, ListingFee, Timestamp};

use crate::bindings::token::TestUSDC::Transfer;
use crate::chain::ChainReader;
use crate::error::EscrowError;
use crate::facts::{Place, Placed, placed};
use crate::watcher::{Cursor, Reach, Read, Times, cursor_at, read};

/// Most blocks that are read at once: few of them have a fee in them.
pub const MAX_FEE_BLOCKS: u64 = 10_000;

/// A transfer that pays for listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeePaid {
    /// Whose money it was.
    pub payer: Address,
    /// How many listings it pays for: the sum divided by the fee, at least one.
    pub listings: u64,
    /// Where it stands on the chain.
    pub at: Place,
}

/// What a look at the chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeesRead {
    /// The fees after the cursor, oldest first, and the cursor to continue from; the same one if there is nothing to read.
    Fees {
        /// What was paid.
        paid: Vec<FeePaid>,
        /// To be stored with it.
        next: Cursor,
        /// How many blocks are left that can be read now.
        left: u64,
    },
    /// The block under the cursor is not on this chain: everything is to be read anew.
    Gone,
}

/// Reads the fees of a network.
#[derive(Debug, Clone)]
pub struct FeeReader {
    chain: ChainReader,
    fee: ListingFee,
    confirmations: u64,
}

impl FeeReader {
    /// A reader of this fee. `confirmations` blocks lie on top of one before it is read.
    #[must_use]
    pub const fn new(chain: ChainReader, fee: ListingFee, confirmations: u64) -> Self {
        Self { chain, fee, confirmations }
    }

    /// The cursor from which every fee that was paid after this moment is read: the last block that is not younger, or the
    /// first one of the chain.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn since(&self, time: Timestamp) -> Result<Cursor, EscrowError> {
        let (mut low, mut high) = (0, self.chain.latest().await?.number.saturating_sub(self.confirmations));
        // every block up to `low` is as old as asked for, or `low` is the first one; every block after `high` is younger
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            let block = self.chain.block(middle.into()).await?.ok_or(EscrowError::RpcBadAnswer)?;
            if block.time <= time { low = middle } else { high = middle - 1 }
        }
        cursor_at(&self.chain, low).await
    }

    /// Reads on from `from`, so many blocks at most, and fewer of an endpoint that finds them too many.
    ///
    /// # Errors
    /// That nobody answers, or [`EscrowError::RpcBadAnswer`] for logs that nobody asked for; nothing is lost, the same
    /// cursor can be read from again.
    pub async fn read(&self, from: Cursor, max_blocks: u64) -> Result<FeesRead, EscrowError> {
        let reach = Reach { confirmations: self.confirmations, max_blocks: max_blocks.min(MAX_FEE_BLOCKS) };
        let (logs, next, left) = match read(&self.chain, Some(self.filter()), from, reach).await? {
            Read::Logs { logs, next, left } => (logs, next, left),
            // so deep a block is not taken back: an endpoint that does not have it is behind
            Read::Gone { missing: true, .. } if self.confirmations > 0 => return Err(EscrowError::RpcBadAnswer),
            Read::Gone { .. } => return Ok(FeesRead::Gone),
        };
        let mut times = Times::default();
        let mut paid = Vec::new();
        for log in logs.iter().filter(|log| !log.removed) {
            let placed = placed(log).filter(|placed| (from.block + 1..=next.block).contains(&placed.block));
            let placed = placed.ok_or(EscrowError::RpcBadAnswer)?;
            let (payer, value) = self.transfer(log).ok_or(EscrowError::RpcBadAnswer)?;
            let listings = value / U256::from(self.fee.amount.units());
            // less than a fee pays for nothing
            if listings.is_zero() || payer.is_zero() || self.fee.sinks.contains(&payer) {
                continue;
            }
            let time = times.of(&self.chain, &placed).await?;
            let Placed { block, block_hash, tx, log_index, time: _ } = placed;
            let at = Place { block, block_hash, time, tx, log_index };
            paid.push(FeePaid { payer, listings: listings.saturating_to(), at });
        }
        paid.sort_by_key(|fee| (fee.at.block, fee.at.log_index));
        Ok(FeesRead::Fees { paid, next, left })
    }

    fn filter(&self) -> Filter {
        let sinks: Vec<_> = self.fee.sinks.iter().map(Address::into_word).collect();
        Filter::new().address(self.chain.config.token).event_signature(Transfer::SIGNATURE_HASH).topic2(sinks)
    }

    /// Who sent how much to a sink, if that is what a log says.
    fn transfer(&self, log: &Log) -> Option<(Address, U256)> {
        if log.address() != self.chain.config.token {
            return None;
        }
        let said = log.log_decode::<Transfer>().ok()?.inner.data;
        self.fee.sinks.contains(&said.to).then_some((said.from, said.value))
    }
}
