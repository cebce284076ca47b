//! The chain as a machine: it is told what to do and the wall clock's time, and does no IO.

mod evm;
mod history;
mod reorg;
mod time;

use alloy::consensus::transaction::Recovered;
use alloy::consensus::{Transaction as _, TxEnvelope};
use alloy::eips::eip2718::Decodable2718 as _;
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::rpc::types::{Filter, FilterBlockOption, Log as RpcLog, TransactionRequest};
use revm::bytecode::Bytecode;
use revm::context::result::ExecutionResult;
use revm::state::AccountInfo;
use revm::{DatabaseCommit as _, DatabaseRef as _};

use crate::error::RpcError;
use evm::{BlockAt, Rules, State};
use reorg::{Undo, Undone};
use time::ChainTime;

pub use evm::HARDFORK;
pub(crate) use history::{History, Mined, Sealed};
pub use reorg::{MAX_REORG, Taken};

/// Bytes of one signed transaction, as geth's pool allows.
const MAX_TX_BYTES: usize = 128 * 1024;
/// Snapshots kept at once; each is a copy of the state.
const MAX_SNAPSHOTS: usize = 32;
/// Logs one query may return.
const MAX_LOGS: usize = 10_000;
/// Blocks one `anvil_mine` may mine.
pub(crate) const MAX_MINE: u64 = 10_000;
/// Block hashes contracts can ask for.
const BLOCK_HASHES: u64 = 256;

/// Where `evm_revert` goes back to.
#[derive(Debug)]
struct Snapshot {
    id: u64,
    height: u64,
    state: State,
}

/// The whole chain.
#[derive(Debug)]
pub(crate) struct Chain {
    chain_id: u64,
    base_fee: u64,
    state: State,
    history: History,
    time: ChainTime,
    snapshots: Vec<Snapshot>,
    next_snapshot: u64,
    undo: Undo,
}

impl Chain {
    /// A chain of an empty genesis block mined at `now`.
    pub(crate) fn new(chain_id: u64, base_fee: u64, now: u64) -> Self {
        Self {
            chain_id,
            base_fee,
            state: State::default(),
            history: History::genesis(base_fee, now),
            time: ChainTime::default(),
            snapshots: Vec::new(),
            next_snapshot: 1,
            undo: Undo::default(),
        }
    }

    pub(crate) const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    pub(crate) const fn base_fee(&self) -> u64 {
        self.base_fee
    }

    pub(crate) const fn history(&self) -> &History {
        &self.history
    }

    pub(crate) const fn time(&mut self) -> &mut ChainTime {
        &mut self.time
    }

    /// Creates a contract as part of genesis: the constructor runs, no block shows it.
    pub(crate) fn deploy(&mut self, from: Address, init_code: Bytes) -> Result<Address, RpcError> {
        let request = TransactionRequest::default().from(from).input(init_code.into());
        let mut tx = evm::asked(&request, evm::MAX_TX_GAS);
        tx.nonce = self.account(from).nonce;
        let at = self.block_at(self.history.latest().timestamp);
        let done = evm::run(&self.state, at, tx, Rules::Call)?;
        let created = done.result.created_address();
        evm::into_output(done.result)?;
        self.state.commit(done.state);
        created.ok_or_else(|| RpcError::Halted("nothing was created".to_owned()))
    }

    /// Mines a signed transaction in a block of its own and returns its hash.
    ///
    /// A transaction that reverts is mined like any other; its receipt says so.
    pub(crate) fn send_raw(&mut self, raw: &[u8], now: u64) -> Result<B256, RpcError> {
        self.execute(decode(raw)?, now)
    }

    fn execute(&mut self, tx: Recovered<TxEnvelope>, now: u64) -> Result<B256, RpcError> {
        let timestamp = self.time.next(now, self.history.latest().timestamp);
        let done = evm::run(&self.state, self.block_at(timestamp), evm::signed(&tx), Rules::Transaction)?;
        let before = Undone::of(&self.state, &done.state);
        self.state.commit(done.state);
        let hash = *tx.tx_hash();
        // Like geth, the address is told whether or not the creation went well.
        let created = tx.kind().is_create().then(|| tx.signer().create(tx.nonce()));
        let mined = Mined {
            tx,
            success: done.result.is_success(),
            gas_used: done.result.tx_gas_used(),
            logs: if let ExecutionResult::Success { logs, .. } = done.result { logs } else { Vec::new() },
            created,
        };
        let sealed = self.push(timestamp, Some(mined));
        self.undo.keep(sealed.number, before);
        Ok(hash)
    }

    /// Mines an empty block.
    pub(crate) fn mine(&mut self, now: u64) -> Sealed {
        let timestamp = self.time.next(now, self.history.latest().timestamp);
        self.push(timestamp, None)
    }

    fn push(&mut self, timestamp: u64, mined: Option<Mined>) -> Sealed {
        self.time.mined();
        let sealed = self.history.push(timestamp, mined);
        let hashes = &mut self.state.cache.block_hashes;
        hashes.insert(U256::from(sealed.number), sealed.hash);
        if let Some(old) = sealed.number.checked_sub(BLOCK_HASHES) {
            hashes.remove(&U256::from(old));
        }
        sealed
    }

    /// Runs a call as it would run in the next block.
    pub(crate) fn call(&self, request: &TransactionRequest, now: u64) -> Result<Bytes, RpcError> {
        let tx = evm::asked(request, crate::config::BLOCK_GAS_LIMIT);
        Ok(evm::into_output(evm::run(&self.state, self.next_block(now), tx, Rules::Call)?.result)?.data)
    }

    /// The least gas with which the call succeeds, to about one percent.
    pub(crate) fn estimate(&self, request: &TransactionRequest, now: u64) -> Result<u64, RpcError> {
        evm::estimate(&self.state, self.next_block(now), request)
    }

    /// What an account holds; an unknown account is empty.
    pub(crate) fn account(&self, address: Address) -> AccountInfo {
        let Ok(info) = self.state.basic_ref(address);
        info.unwrap_or_default()
    }

    pub(crate) fn code(&self, address: Address) -> Bytes {
        let Ok(code) = self.state.code_by_hash_ref(self.account(address).code_hash);
        code.original_bytes()
    }

    pub(crate) fn storage(&self, address: Address, slot: U256) -> B256 {
        let Ok(value) = self.state.storage_ref(address, slot);
        value.into()
    }

    pub(crate) fn set_balance(&mut self, address: Address, balance: U256) {
        let mut info = self.account(address);
        info.balance = balance;
        self.state.insert_account_info(address, info);
    }

    pub(crate) fn set_code(&mut self, address: Address, code: Bytes) -> Result<(), RpcError> {
        let code = Bytecode::new_raw_checked(code)
            .map_err(|_| RpcError::InvalidParams("the code is a malformed delegation".to_owned()))?;
        let mut info = self.account(address);
        info.code_hash = code.hash_slow();
        info.code = Some(code);
        self.state.insert_account_info(address, info);
        Ok(())
    }

    pub(crate) fn set_storage(&mut self, address: Address, slot: U256, value: B256) {
        let Ok(()) = self.state.insert_account_storage(address, slot, value.into());
    }

    /// Remembers the state and height; returns the id to revert to.
    pub(crate) fn snapshot(&mut self) -> Result<u64, RpcError> {
        if self.snapshots.len() >= MAX_SNAPSHOTS {
            return Err(RpcError::Limit("32 snapshots; revert to one of them first"));
        }
        let id = self.next_snapshot;
        self.next_snapshot += 1;
        self.snapshots.push(Snapshot { id, height: self.history.latest().number, state: self.state.clone() });
        Ok(id)
    }

    /// Goes back to a snapshot, which is used up with all later ones. Chain time does not go back.
    pub(crate) fn revert(&mut self, id: u64) -> bool {
        let Some(index) = self.snapshots.iter().position(|snapshot| snapshot.id == id) else {
            return false;
        };
        if let Some(snapshot) = self.snapshots.drain(index..).next() {
            self.state = snapshot.state;
            self.history.truncate(snapshot.height);
            self.undo.forget_above(snapshot.height);
        }
        true
    }

    /// The logs a filter asks for, oldest first.
    pub(crate) fn logs(&self, filter: &Filter) -> Result<Vec<RpcLog>, RpcError> {
        let latest = self.history.latest().number;
        let (from, to) = match filter.block_option {
            FilterBlockOption::AtBlockHash(hash) => {
                let number = self.history.number_of(&hash).ok_or(RpcError::UnknownBlock(hash))?;
                (number, number)
            }
            FilterBlockOption::Range { from_block, to_block } => (
                from_block.map_or(latest, |tag| tag_number(tag, latest)),
                to_block.map_or(latest, |tag| tag_number(tag, latest)),
            ),
        };
        self.logs_between(filter, from, to)
    }

    /// The logs of blocks `from` to `to` inclusive that match the filter's addresses and topics.
    pub(crate) fn logs_between(&self, filter: &Filter, from: u64, to: u64) -> Result<Vec<RpcLog>, RpcError> {
        let mut found = Vec::new();
        for (block, mined) in self.history.filled(from..=to) {
            found.extend(history::rpc_logs(block, mined).filter(|log| filter.matches(&log.inner)));
            if found.len() > MAX_LOGS {
                return Err(RpcError::Limit("more than 10000 logs; ask for fewer blocks"));
            }
        }
        Ok(found)
    }

    fn next_block(&self, now: u64) -> BlockAt {
        self.block_at(self.time.next(now, self.history.latest().timestamp))
    }

    fn block_at(&self, timestamp: u64) -> BlockAt {
        BlockAt {
            chain_id: self.chain_id,
            number: self.history.latest().number + 1,
            timestamp,
            base_fee: self.base_fee,
        }
    }
}

/// The block a tag means. Every block is final here, so all tags but `earliest` mean the latest.
pub(crate) fn tag_number(tag: alloy::eips::BlockNumberOrTag, latest: u64) -> u64 {
    match tag {
        alloy::eips::BlockNumberOrTag::Number(number) => number,
        alloy::eips::BlockNumberOrTag::Earliest => 0,
        _ => latest,
    }
}

fn decode(raw: &[u8]) -> Result<Recovered<TxEnvelope>, RpcError> {
    if raw.len() > MAX_TX_BYTES {
        return Err(RpcError::BadTransaction("more than 128 KiB"));
    }
    let mut rest = raw;
    let tx = TxEnvelope::decode_2718(&mut rest).map_err(|_| RpcError::BadTransaction("cannot be decoded"))?;
    if !rest.is_empty() {
        return Err(RpcError::BadTransaction("bytes follow it"));
    }
    if tx.is_eip4844() {
        return Err(RpcError::BadTransaction("blobs are not kept here"));
    }
    let bad = || RpcError::BadTransaction("the signature is not valid");
    let signature = tx.signature();
    // EIP-2: of the two signatures with the same meaning only the one with the low s counts.
    if signature.normalize_s().is_some() {
        return Err(bad());
    }
    let signer = signature.recover_address_from_prehash(&tx.signature_hash()).map_err(|_| bad())?;
    Ok(Recovered::new_unchecked(tx, signer))
}
