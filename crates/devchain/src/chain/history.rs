//! The mined blocks: hashes and times of all, and the one transaction of those that have one.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;

use alloy::consensus::constants::EMPTY_WITHDRAWALS;
use alloy::consensus::proofs::{calculate_receipt_root, calculate_transaction_root};
use alloy::consensus::transaction::Recovered;
use alloy::consensus::{
    EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header, Receipt, ReceiptEnvelope, Transaction as _, TxEnvelope,
};
use alloy::eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy::primitives::{Address, B256, Bloom, Log, logs_bloom};
use alloy::rpc::types::{Block, BlockTransactions, Log as RpcLog, Transaction, TransactionReceipt};

use crate::config::BLOCK_GAS_LIMIT;

/// Blocks kept. At one a second this is over a week; the oldest go first.
pub(crate) const MAX_BLOCKS: usize = 1 << 20;

/// A transaction that is in a block, and what it did.
#[derive(Debug)]
pub(crate) struct Mined {
    pub(crate) tx: Recovered<TxEnvelope>,
    pub(crate) success: bool,
    pub(crate) gas_used: u64,
    pub(crate) logs: Vec<Log>,
    pub(crate) created: Option<Address>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Sealed {
    pub(crate) number: u64,
    pub(crate) hash: B256,
    pub(crate) parent: B256,
    pub(crate) timestamp: u64,
    /// Which of the branches that were ever built it belongs to; the first is 0.
    branch: u64,
}

/// All blocks, the latest last.
#[derive(Debug)]
pub(crate) struct History {
    base_fee: u64,
    branch: u64,
    blocks: VecDeque<Sealed>,
    numbers: HashMap<B256, u64>,
    mined: BTreeMap<u64, Arc<Mined>>,
    by_tx: HashMap<B256, u64>,
}

impl History {
    /// A chain of one block, number 0, mined at `timestamp`.
    pub(crate) fn genesis(base_fee: u64, timestamp: u64) -> Self {
        let mut history = Self {
            base_fee,
            branch: 0,
            blocks: VecDeque::new(),
            numbers: HashMap::new(),
            mined: BTreeMap::new(),
            by_tx: HashMap::new(),
        };
        history.append(0, B256::ZERO, timestamp, None);
        history
    }

    /// The block on top.
    pub(crate) fn latest(&self) -> Sealed {
        // There is always one: genesis, or what pruning left.
        let nothing = Sealed { number: 0, hash: B256::ZERO, parent: B256::ZERO, timestamp: 0, branch: 0 };
        self.blocks.back().copied().unwrap_or(nothing)
    }

    /// Puts a block with at most one transaction on top.
    pub(crate) fn push(&mut self, timestamp: u64, mined: Option<Mined>) -> Sealed {
        let parent = self.latest();
        let sealed = self.append(parent.number + 1, parent.hash, timestamp, mined);
        while self.blocks.len() > MAX_BLOCKS {
            if let Some(old) = self.blocks.pop_front() {
                self.forget(old);
            }
        }
        sealed
    }

    /// From now on every block has another hash than it would have had before.
    pub(crate) const fn fork(&mut self) {
        self.branch += 1;
    }

    /// Takes blocks off until `height` is on top.
    pub(crate) fn truncate(&mut self, height: u64) {
        while self.blocks.len() > 1 && self.latest().number > height {
            if let Some(gone) = self.blocks.pop_back() {
                self.forget(gone);
            }
        }
    }

    fn append(&mut self, number: u64, parent: B256, timestamp: u64, mined: Option<Mined>) -> Sealed {
        let branch = self.branch;
        let header = self.header(number, parent, timestamp, branch, mined.as_ref());
        let sealed = Sealed { number, hash: header.hash_slow(), parent, timestamp, branch };
        self.blocks.push_back(sealed);
        self.numbers.insert(sealed.hash, number);
        if let Some(mined) = mined {
            self.by_tx.insert(*mined.tx.tx_hash(), number);
            self.mined.insert(number, Arc::new(mined));
        }
        sealed
    }

    fn forget(&mut self, block: Sealed) {
        self.numbers.remove(&block.hash);
        if let Some(mined) = self.mined.remove(&block.number) {
            self.by_tx.remove(mined.tx.tx_hash());
        }
    }

    /// Number of the oldest block still held.
    pub(crate) fn first(&self) -> u64 {
        self.blocks.front().map_or(0, |block| block.number)
    }

    pub(crate) fn at(&self, number: u64) -> Option<Sealed> {
        let index = usize::try_from(number.checked_sub(self.first())?).ok()?;
        self.blocks.get(index).copied()
    }

    pub(crate) fn number_of(&self, hash: &B256) -> Option<u64> {
        self.numbers.get(hash).copied()
    }

    /// The transaction with this hash and its block.
    pub(crate) fn transaction(&self, hash: &B256) -> Option<(Sealed, Arc<Mined>)> {
        let number = *self.by_tx.get(hash)?;
        Some((self.at(number)?, Arc::clone(self.mined.get(&number)?)))
    }

    /// The transaction in block `number`, if it has one.
    pub(crate) fn mined_in(&self, number: u64) -> Option<&Arc<Mined>> {
        self.mined.get(&number)
    }

    /// The blocks in `range` that have a transaction, in order.
    pub(crate) fn filled(&self, range: RangeInclusive<u64>) -> impl Iterator<Item = (Sealed, &Arc<Mined>)> {
        let held = (!range.is_empty()).then(|| self.mined.range(range));
        held.into_iter().flatten().filter_map(|(number, mined)| Some((self.at(*number)?, mined)))
    }

    /// The block as JSON-RPC shows it.
    pub(crate) fn rpc_block(&self, number: u64, full: bool) -> Option<Block> {
        let sealed = self.at(number)?;
        let mined = self.mined.get(&number);
        let header = self.header(number, sealed.parent, sealed.timestamp, sealed.branch, mined.map(AsRef::as_ref));
        let transactions = if full {
            BlockTransactions::Full(mined.iter().map(|mined| self.rpc_transaction(sealed, mined)).collect())
        } else {
            BlockTransactions::Hashes(mined.iter().map(|mined| *mined.tx.tx_hash()).collect())
        };
        let header = alloy::rpc::types::Header { hash: sealed.hash, inner: header, total_difficulty: None, size: None };
        Some(Block { header, uncles: Vec::new(), transactions, withdrawals: Some(Vec::new().into()) })
    }

    /// The transaction as JSON-RPC shows it.
    pub(crate) fn rpc_transaction(&self, block: Sealed, mined: &Mined) -> Transaction {
        Transaction {
            inner: mined.tx.clone(),
            block_hash: Some(block.hash),
            block_number: Some(block.number),
            transaction_index: Some(0),
            effective_gas_price: Some(mined.tx.effective_gas_price(Some(self.base_fee))),
            block_timestamp: Some(block.timestamp),
        }
    }

    /// The receipt as JSON-RPC shows it.
    pub(crate) fn rpc_receipt(&self, block: Sealed, mined: &Mined) -> TransactionReceipt {
        let receipt = Receipt {
            status: mined.success.into(),
            cumulative_gas_used: mined.gas_used,
            logs: rpc_logs(block, mined).collect::<Vec<_>>(),
        };
        let bloomed = alloy::consensus::ReceiptWithBloom { receipt, logs_bloom: logs_bloom(&mined.logs) };
        TransactionReceipt {
            inner: ReceiptEnvelope::from_typed(mined.tx.tx_type(), bloomed),
            transaction_hash: *mined.tx.tx_hash(),
            transaction_index: Some(0),
            block_hash: Some(block.hash),
            block_number: Some(block.number),
            gas_used: mined.gas_used,
            effective_gas_price: mined.tx.effective_gas_price(Some(self.base_fee)),
            blob_gas_used: None,
            blob_gas_price: None,
            from: mined.tx.signer(),
            to: mined.tx.to(),
            contract_address: mined.created,
        }
    }

    /// A header with true roots of transactions and receipts. The state root is zero: nothing proves against it.
    fn header(&self, number: u64, parent: B256, timestamp: u64, branch: u64, mined: Option<&Mined>) -> Header {
        let (transactions_root, receipts_root, logs_bloom) =
            mined.map_or((EMPTY_ROOT_HASH, EMPTY_ROOT_HASH, Bloom::ZERO), roots);
        Header {
            parent_hash: parent,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            transactions_root,
            receipts_root,
            logs_bloom,
            number,
            gas_limit: BLOCK_GAS_LIMIT,
            gas_used: mined.map_or(0, |mined| mined.gas_used),
            timestamp,
            base_fee_per_gas: Some(self.base_fee),
            withdrawals_root: Some(EMPTY_WITHDRAWALS),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            // no proof of work: the field is free to tell branches apart
            nonce: branch.into(),
            requests_hash: Some(EMPTY_REQUESTS_HASH),
            ..Header::default()
        }
    }
}

/// The logs of a block's transaction as JSON-RPC shows them.
pub(crate) fn rpc_logs(block: Sealed, mined: &Mined) -> impl Iterator<Item = RpcLog> {
    let hash = *mined.tx.tx_hash();
    mined.logs.iter().zip(0_u64..).map(move |(log, index)| RpcLog {
        inner: log.clone(),
        block_hash: Some(block.hash),
        block_number: Some(block.number),
        block_timestamp: Some(block.timestamp),
        transaction_hash: Some(hash),
        transaction_index: Some(0),
        log_index: Some(index),
        removed: false,
    })
}

fn roots(mined: &Mined) -> (B256, B256, Bloom) {
    let bloom = logs_bloom(&mined.logs);
    let receipt =
        Receipt { status: mined.success.into(), cumulative_gas_used: mined.gas_used, logs: mined.logs.clone() };
    let bloomed = alloy::consensus::ReceiptWithBloom { receipt, logs_bloom: bloom };
    let receipt: ReceiptEnvelope = ReceiptEnvelope::from_typed(mined.tx.tx_type(), bloomed);
    (calculate_transaction_root(&[mined.tx.inner()]), calculate_receipt_root(&[receipt]), bloom)
}
