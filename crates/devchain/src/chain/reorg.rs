//! Taking blocks back: what each transaction found is kept for a while, so that another branch can take its place.

use std::collections::VecDeque;

use alloy::primitives::{Address, U256};
use revm::DatabaseRef as _;
use revm::state::{AccountInfo, EvmState};

use super::Chain;
use super::evm::State;
use crate::error::RpcError;

/// Most blocks that one reorganisation takes back.
pub const MAX_REORG: u64 = 128;

/// What becomes of the transactions in the blocks that are taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// They are mined again, each one block later: what a healthy network does.
    MinedAgain,
    /// They are gone, and nobody tells their senders.
    Lost,
}

/// What one account held before a transaction.
#[derive(Debug)]
struct Before {
    address: Address,
    info: AccountInfo,
    slots: Vec<(U256, U256)>,
}

/// What a transaction changed, as it was before.
#[derive(Debug)]
pub(super) struct Undone(Vec<Before>);

impl Undone {
    /// What `changes` are about to overwrite.
    pub(super) fn of(state: &State, changes: &EvmState) -> Self {
        let accounts = changes.iter().map(|(address, account)| {
            let Ok(info) = state.basic_ref(*address);
            let slots = account.storage.keys().map(|slot| {
                let Ok(value) = state.storage_ref(*address, *slot);
                (*slot, value)
            });
            Before { address: *address, info: info.unwrap_or_default(), slots: slots.collect() }
        });
        Self(accounts.collect())
    }

    fn put_back(self, state: &mut State) {
        for Before { address, info, slots } in self.0 {
            state.insert_account_info(address, info);
            for (slot, value) in slots {
                let Ok(()) = state.insert_account_storage(address, slot, value);
            }
        }
    }
}

/// The newest blocks with a transaction, as the state was before each.
#[derive(Debug, Default)]
pub(super) struct Undo(VecDeque<(u64, Undone)>);

impl Undo {
    pub(super) fn keep(&mut self, block: u64, before: Undone) {
        self.0.push_back((block, before));
        while self.0.front().is_some_and(|(old, _)| old.saturating_add(MAX_REORG) < block) {
            self.0.pop_front();
        }
    }

    pub(super) fn forget_above(&mut self, height: u64) {
        while self.0.back().is_some_and(|(block, _)| *block > height) {
            self.0.pop_back();
        }
    }
}

impl Chain {
    /// Takes the latest `depth` blocks back and builds another branch in their place that is one block longer.
    ///
    /// What the controls set (balances, code, time) stays. Answers how many transactions were not mined again.
    ///
    /// # Errors
    /// [`RpcError::Limit`] for more than [`MAX_REORG`] blocks, [`RpcError::InvalidParams`] for more than there are.
    pub(crate) fn reorg(&mut self, depth: u64, taken: Taken, now: u64) -> Result<u64, RpcError> {
        if depth > MAX_REORG {
            return Err(RpcError::Limit("128 blocks taken back at once"));
        }
        let latest = self.history.latest().number;
        let height = latest
            .checked_sub(depth)
            .filter(|height| *height >= self.history.first())
            .ok_or_else(|| RpcError::InvalidParams(format!("the chain has only {latest} blocks")))?;
        let txs: Vec<_> = self.history.filled(height + 1..=latest).map(|(_, mined)| mined.tx.clone()).collect();
        while self.undo.0.back().is_some_and(|(block, _)| *block > height) {
            if let Some((_, before)) = self.undo.0.pop_back() {
                before.put_back(&mut self.state);
            }
        }
        self.snapshots.retain(|snapshot| snapshot.height <= height);
        self.history.truncate(height);
        self.history.fork();
        // every transaction moves, so its place on the chain is another one too
        self.mine(now);
        let mut lost = 0;
        for tx in txs {
            if taken == Taken::Lost || self.execute(tx, now).is_err() {
                lost += 1;
            }
        }
        while self.history.latest().number <= latest {
            self.mine(now);
        }
        Ok(lost)
    }
}
