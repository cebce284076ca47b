//! Reads what the escrow said, block by block, and notices when the chain has changed its mind.
//!
//! The watcher keeps no state. Whoever uses it stores the [`Cursor`] and the facts in one transaction, and hands the
//! cursor back at the next poll; after a crash nothing is lost and nothing counts twice.

use std::collections::HashMap;

use alloy::eips::BlockNumberOrTag;
use alloy::primitives::B256;
use alloy::providers::Provider as _;
use alloy::rpc::types::{Filter, Log};
use haggle_base::{OrderId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::chain::{ChainHead, ChainReader};
use crate::endpoints::Trust;
use crate::error::EscrowError;
use crate::facts::{ChainFact, Place, Placed, event, placed};

/// Blocks gone back when the block under the cursor is no longer on the chain.
pub const REWIND_BLOCKS: u64 = 64;

/// The last block that was read. The hash tells whether it is still the same block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Its number.
    pub block: u64,
    /// Its hash.
    pub hash: B256,
}

/// How far one poll reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Blocks that must lie on top of one before it is read; 0 reads the latest.
    pub confirmations: u64,
    /// Most blocks one poll reads.
    pub max_blocks: u64,
}

impl Default for Reach {
    fn default() -> Self {
        Self { confirmations: 0, max_blocks: 2_000 }
    }
}

/// What a poll found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Polled {
    /// The facts after the cursor, oldest first, and the cursor to continue from.
    Facts {
        /// What happened.
        facts: Vec<ChainFact>,
        /// To be stored with them.
        next: Cursor,
    },
    /// The block under the cursor is gone: forget every fact above this block, then continue from it.
    Rewind {
        /// A block that is on the chain now.
        to: Cursor,
    },
}

/// Reads the escrow's logs.
#[derive(Debug, Clone)]
pub struct Watcher {
    chain: ChainReader,
}

impl Watcher {
    /// A watcher over a connection.
    #[must_use]
    pub const fn new(chain: ChainReader) -> Self {
        Self { chain }
    }

    /// The cursor from which everything the escrow ever said is read.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn beginning(&self) -> Result<Cursor, EscrowError> {
        cursor_at(&self.chain, self.chain.config.deployed_at.saturating_sub(1)).await
    }

    /// The cursor of the latest block: what happened before is not read.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn latest(&self) -> Result<Cursor, EscrowError> {
        let head = self.chain.latest().await?;
        Ok(Cursor { block: head.number, hash: head.hash })
    }

    /// Reads on from `from`.
    ///
    /// # Errors
    /// That nobody answers; nothing is lost, the same cursor can be polled again.
    pub async fn poll(&self, from: Cursor, reach: Reach) -> Result<Polled, EscrowError> {
        let filter = (!self.chain.config.escrow.is_zero()).then(|| self.filter());
        match read(&self.chain, filter, from, reach).await? {
            Read::Gone { head, missing: _ } => {
                let back = from.block.min(head).saturating_sub(REWIND_BLOCKS.max(reach.confirmations));
                let to = cursor_at(&self.chain, back).await?;
                tracing::warn!(cursor.block = from.block, rewind.to = to.block, "the chain was reorganised");
                Ok(Polled::Rewind { to })
            }
            Read::Logs { logs, next, left: _ } => Ok(Polled::Facts { facts: self.facts(logs).await?, next }),
        }
    }

    /// Everything the chain says of one order, oldest first.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn facts_of(&self, order: &OrderId) -> Result<Vec<ChainFact>, EscrowError> {
        let filter = self.filter().topic1(*order.as_b256()).from_block(self.chain.config.deployed_at);
        let facts = self.facts(self.logs(filter.to_block(BlockNumberOrTag::Latest)).await?).await?;
        Ok(facts.into_iter().filter(|fact| fact.event.order() == Some(order)).collect())
    }

    fn filter(&self) -> Filter {
        Filter::new().address(self.chain.config.escrow)
    }

    async fn logs(&self, filter: Filter) -> Result<Vec<Log>, EscrowError> {
        if self.chain.config.escrow.is_zero() {
            return Ok(Vec::new());
        }
        Ok(self.chain.provider.get_logs(&filter).await?)
    }

    async fn facts(&self, logs: Vec<Log>) -> Result<Vec<ChainFact>, EscrowError> {
        let mut times = Times::default();
        let mut facts = Vec::new();
        for log in logs.iter().filter(|log| !log.removed && log.address() == self.chain.config.escrow) {
            let (Some(placed), Some(event)) = (placed(log), event(log)) else {
                tracing::warn!(tx.hash = ?log.transaction_hash, "a log of the escrow cannot be read");
                continue;
            };
            let time = times.of(&self.chain, &placed).await?;
            let at = Place {
                block: placed.block,
                block_hash: placed.block_hash,
                time,
                tx: placed.tx,
                log_index: placed.log_index,
            };
            facts.push(ChainFact { at, event });
        }
        facts.sort_by_key(|fact| (fact.at.block, fact.at.log_index));
        Ok(facts)
    }
}

/// What the blocks after a cursor say.
pub(crate) enum Read {
    /// The logs, the cursor to continue from, and how many blocks are left to be read now.
    Logs { logs: Vec<Log>, next: Cursor, left: u64 },
    /// The block under the cursor is gone, and if it is not `missing` another one is in its place; the latest one has this
    /// number.
    Gone { head: u64, missing: bool },
}

/// Reads logs on from a cursor; without a filter only the cursor moves on.
pub(crate) async fn read(
    chain: &ChainReader,
    filter: Option<Filter>,
    from: Cursor,
    reach: Reach,
) -> Result<Read, EscrowError> {
    let head = chain.latest().await?;
    let under = chain.block(from.block.into()).await?;
    if under.is_none_or(|block| block.hash != from.hash) {
        return Ok(Read::Gone { head: head.number, missing: under.is_none() });
    }
    let safe = head.number.saturating_sub(reach.confirmations);
    let standstill = Read::Logs { logs: Vec::new(), next: from, left: safe.saturating_sub(from.block) };
    let mut to = safe.min(from.block.saturating_add(reach.max_blocks.max(1)));
    if to <= from.block {
        return Ok(standstill);
    }
    // An endpoint that finds the range too long is asked for half of it.
    let (end, logs) = loop {
        let end = chain.block(to.into()).await?.ok_or(EscrowError::RpcBadAnswer)?;
        let Some(filter) = &filter else { break (end, Vec::new()) };
        match chain.provider.get_logs(&filter.clone().from_block(from.block + 1).to_block(to)).await.map_err(Into::into)
        {
            Ok(logs) => break (end, logs),
            Err(EscrowError::RpcRefused { .. }) if to - from.block > 1 => to = from.block + (to - from.block) / 2,
            Err(error) => return Err(error),
        }
    };
    // Logs and blocks were read one after the other: they belong together only if nothing moved meanwhile.
    let moved = |block: Option<ChainHead>, hash: B256| block.is_none_or(|block| block.hash != hash);
    if moved(chain.block(end.number.into()).await?, end.hash) || moved(chain.block(from.block.into()).await?, from.hash)
    {
        return Ok(standstill);
    }
    let left = safe.saturating_sub(end.number);
    Ok(Read::Logs { logs, next: Cursor { block: end.number, hash: end.hash }, left })
}

pub(crate) async fn cursor_at(chain: &ChainReader, number: u64) -> Result<Cursor, EscrowError> {
    let block = chain.block(number.into()).await?.ok_or(EscrowError::RpcBadAnswer)?;
    Ok(Cursor { block: block.number, hash: block.hash })
}

/// The times of blocks, each asked for once.
#[derive(Default)]
pub(crate) struct Times(HashMap<u64, Timestamp>);

impl Times {
    /// The time of the block where a log stands.
    pub(crate) async fn of(&mut self, chain: &ChainReader, placed: &Placed) -> Result<Timestamp, EscrowError> {
        // of several endpoints one may tell a wrong time with a right event
        let told = placed.time.filter(|_| chain.trust() == Trust::Single);
        let time = match told.or_else(|| self.0.get(&placed.block).copied()) {
            Some(time) => time,
            None => chain.block(placed.block.into()).await?.ok_or(EscrowError::RpcBadAnswer)?.time,
        };
        self.0.insert(placed.block, time);
        Ok(time)
    }
}
