//! The standard methods. State is only ever the latest: block tags on state queries are read and ignored.

use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::primitives::{Address, B256, Bytes, U64, U256};
use alloy::rpc::types::{FeeHistory, Filter, TransactionRequest};
use serde_json::Value;

use super::params::Params;
use super::{Answer, Rpc, json};
use crate::chain::{Chain, tag_number};
use crate::error::RpcError;
use crate::filters::Kind;

/// Blocks one `eth_feeHistory` may cover, as geth has it.
const MAX_FEE_BLOCKS: u64 = 1_024;

pub(super) fn chain_id(rpc: &Rpc) -> Answer {
    json(&U64::from(rpc.with(|world| world.chain.chain_id())))
}

pub(super) fn net_version(rpc: &Rpc) -> Answer {
    json(&rpc.with(|world| world.chain.chain_id()).to_string())
}

pub(super) fn block_number(rpc: &Rpc) -> Answer {
    json(&U64::from(rpc.with(|world| world.chain.history().latest().number)))
}

pub(super) fn block_by_number(rpc: &Rpc, params: &Params) -> Answer {
    let (tag, full) = (params.get::<BlockNumberOrTag>(0)?, params.maybe(1)?.unwrap_or(false));
    let block = rpc.with(|world| {
        let history = world.chain.history();
        history.rpc_block(tag_number(tag, history.latest().number), full)
    });
    json(&block)
}

pub(super) fn block_by_hash(rpc: &Rpc, params: &Params) -> Answer {
    let (hash, full) = (params.get::<B256>(0)?, params.maybe(1)?.unwrap_or(false));
    let block = rpc.with(|world| {
        let history = world.chain.history();
        history.number_of(&hash).and_then(|number| history.rpc_block(number, full))
    });
    json(&block)
}

pub(super) fn block_receipts(rpc: &Rpc, params: &Params) -> Answer {
    let id = params.get::<BlockId>(0)?;
    let receipts = rpc.with(|world| {
        let history = world.chain.history();
        let number = match id {
            BlockId::Hash(hash) => history.number_of(&hash.block_hash)?,
            BlockId::Number(tag) => tag_number(tag, history.latest().number),
        };
        let block = history.at(number)?;
        Some(history.mined_in(number).map(|mined| history.rpc_receipt(block, mined)).into_iter().collect::<Vec<_>>())
    });
    json(&receipts)
}

pub(super) fn send_raw(rpc: &Rpc, params: &Params) -> Answer {
    let raw = params.get::<Bytes>(0)?;
    let now = rpc.now();
    json(&rpc.with(|world| world.chain.send_raw(&raw, now))?)
}

pub(super) fn transaction(rpc: &Rpc, params: &Params) -> Answer {
    let hash = params.get::<B256>(0)?;
    let found = rpc.with(|world| {
        let history = world.chain.history();
        history.transaction(&hash).map(|(block, mined)| history.rpc_transaction(block, &mined))
    });
    json(&found)
}

pub(super) fn receipt(rpc: &Rpc, params: &Params) -> Answer {
    let hash = params.get::<B256>(0)?;
    let found = rpc.with(|world| {
        let history = world.chain.history();
        history.transaction(&hash).map(|(block, mined)| history.rpc_receipt(block, &mined))
    });
    json(&found)
}

pub(super) fn call(rpc: &Rpc, params: &Params) -> Answer {
    let request = request(params)?;
    let now = rpc.now();
    json(&rpc.with(|world| world.chain.call(&request, now))?)
}

pub(super) fn estimate(rpc: &Rpc, params: &Params) -> Answer {
    let request = request(params)?;
    let now = rpc.now();
    json(&U64::from(rpc.with(|world| world.chain.estimate(&request, now))?))
}

fn request(params: &Params) -> Result<TransactionRequest, RpcError> {
    for (index, what) in [(2, "state overrides"), (3, "block overrides")] {
        if params.maybe::<Value>(index)?.is_some_and(|value| value.as_object().is_none_or(|map| !map.is_empty())) {
            return Err(RpcError::InvalidParams(format!("{what} are not supported")));
        }
    }
    params.get(0)
}

pub(super) fn gas_price(rpc: &Rpc) -> Answer {
    json(&U64::from(rpc.with(|world| world.chain.base_fee())))
}

pub(super) fn fee_history(rpc: &Rpc, params: &Params) -> Answer {
    let count = params.number(0)?.clamp(1, MAX_FEE_BLOCKS);
    let newest = params.get::<BlockNumberOrTag>(1)?;
    let percentiles = params.maybe::<Vec<Value>>(2)?.unwrap_or_default().len().min(100);
    let history = rpc.with(|world| fees(&world.chain, count, newest, percentiles));
    json(&history)
}

/// Every block has the same base fee, and nobody needs to tip.
fn fees(chain: &Chain, count: u64, newest: BlockNumberOrTag, percentiles: usize) -> FeeHistory {
    let history = chain.history();
    let latest = history.latest().number;
    let newest = tag_number(newest, latest).min(latest);
    let oldest = newest.saturating_sub(count - 1).max(history.first());
    let blocks = oldest..=newest;
    let ratios = blocks.clone().map(|number| {
        let used = history.mined_in(number).map_or(0, |mined| mined.gas_used);
        // At most 30 million, which a double holds exactly.
        used.min(u64::from(u32::MAX)) as f64 / crate::config::BLOCK_GAS_LIMIT as f64
    });
    FeeHistory {
        base_fee_per_gas: blocks.clone().chain([newest + 1]).map(|_| u128::from(chain.base_fee())).collect(),
        gas_used_ratio: ratios.collect(),
        base_fee_per_blob_gas: blocks.clone().chain([newest + 1]).map(|_| 1).collect(),
        blob_gas_used_ratio: blocks.clone().map(|_| 0.0).collect(),
        oldest_block: oldest,
        reward: Some(blocks.map(|_| vec![0; percentiles]).collect()),
    }
}

pub(super) fn balance(rpc: &Rpc, params: &Params) -> Answer {
    let address = params.get::<Address>(0)?;
    json(&rpc.with(|world| world.chain.account(address).balance))
}

pub(super) fn nonce(rpc: &Rpc, params: &Params) -> Answer {
    let address = params.get::<Address>(0)?;
    json(&U64::from(rpc.with(|world| world.chain.account(address).nonce)))
}

pub(super) fn code(rpc: &Rpc, params: &Params) -> Answer {
    let address = params.get::<Address>(0)?;
    json(&rpc.with(|world| world.chain.code(address)))
}

pub(super) fn storage(rpc: &Rpc, params: &Params) -> Answer {
    let (address, slot) = (params.get::<Address>(0)?, params.get::<U256>(1)?);
    json(&rpc.with(|world| world.chain.storage(address, slot)))
}

pub(super) fn logs(rpc: &Rpc, params: &Params) -> Answer {
    let filter = params.get::<Filter>(0)?;
    json(&rpc.with(|world| world.chain.logs(&filter))?)
}

pub(super) fn new_filter(rpc: &Rpc, params: &Params) -> Answer {
    let filter = params.get::<Filter>(0)?;
    let id = rpc.with(|world| {
        let latest = world.chain.history().latest().number;
        let from = filter.get_from_block().unwrap_or(latest + 1);
        world.filters.add(Kind::Logs(Box::new(filter)), from)
    });
    json(&U64::from(id))
}

pub(super) fn new_block_filter(rpc: &Rpc) -> Answer {
    let id = rpc.with(|world| {
        let latest = world.chain.history().latest().number;
        world.filters.add(Kind::Blocks, latest + 1)
    });
    json(&U64::from(id))
}

pub(super) fn filter_changes(rpc: &Rpc, params: &Params) -> Answer {
    let id = params.number(0)?;
    rpc.with(|world| {
        let history = world.chain.history();
        let latest = history.latest().number;
        let (kind, from) = world.filters.take(id, latest).ok_or(RpcError::UnknownFilter)?;
        match kind {
            Kind::Blocks => {
                let first = from.max(history.first());
                json(&(first..=latest).filter_map(|number| Some(history.at(number)?.hash)).collect::<Vec<_>>())
            }
            Kind::Logs(filter) => {
                let to = filter.get_to_block().map_or(latest, |to| to.min(latest));
                json(&world.chain.logs_between(&filter, from, to)?)
            }
        }
    })
}

pub(super) fn filter_logs(rpc: &Rpc, params: &Params) -> Answer {
    let id = params.number(0)?;
    rpc.with(|world| match world.filters.get(id) {
        Some(Kind::Logs(filter)) => json(&world.chain.logs(filter)?),
        Some(Kind::Blocks) | None => Err(RpcError::UnknownFilter),
    })
}

pub(super) fn remove_filter(rpc: &Rpc, params: &Params) -> Answer {
    let id = params.number(0)?;
    json(&rpc.with(|world| world.filters.remove(id)))
}
