//! The controls only a chain without value has: time, mining, snapshots, money from nothing.

use alloy::primitives::{Address, B256, Bytes, U64, U256};
use serde_json::Value;

use super::params::Params;
use super::{Answer, Rpc, json};
use crate::chain::{MAX_MINE, Taken};
use crate::error::RpcError;

/// `evm_mine`, with an optional timestamp for the block, bare or as `{timestamp}`.
pub(super) fn mine(rpc: &Rpc, params: &Params) -> Answer {
    let at = match params.maybe::<Value>(0)? {
        Some(Value::Object(options)) => match options.get("timestamp") {
            Some(Value::Number(at)) => at.as_u64(),
            Some(Value::String(at)) => at.strip_prefix("0x").and_then(|hex| u64::from_str_radix(hex, 16).ok()),
            _ => None,
        },
        _ => params.maybe_number(0)?,
    };
    let now = rpc.now();
    rpc.with(|world| {
        if let Some(at) = at {
            let latest = world.chain.history().latest().timestamp;
            world.chain.time().set_next(at, now, latest)?;
        }
        world.chain.mine(now);
        json(&"0x0")
    })
}

/// `anvil_mine`: how many blocks, and how many seconds lie between them.
pub(super) fn mine_many(rpc: &Rpc, params: &Params) -> Answer {
    let (count, apart) = (params.maybe_number(0)?.unwrap_or(1), params.maybe_number(1)?.unwrap_or(0));
    if count > MAX_MINE {
        return Err(RpcError::Limit("10000 blocks at once"));
    }
    let now = rpc.now();
    rpc.with(|world| {
        for index in 0..count {
            if index > 0 {
                world.chain.time().increase(apart);
            }
            world.chain.mine(now);
        }
    });
    json(&())
}

/// `evm_increaseTime`; shows from the next block on. Answers the offset to the wall clock.
pub(super) fn increase_time(rpc: &Rpc, params: &Params) -> Answer {
    let secs = params.number(0)?;
    json(&rpc.with(|world| world.chain.time().increase(secs)))
}

/// `evm_setNextBlockTimestamp`; time runs on from there.
pub(super) fn set_next_timestamp(rpc: &Rpc, params: &Params) -> Answer {
    let at = params.number(0)?;
    let now = rpc.now();
    rpc.with(|world| {
        let latest = world.chain.history().latest().timestamp;
        world.chain.time().set_next(at, now, latest)
    })?;
    json(&())
}

pub(super) fn snapshot(rpc: &Rpc) -> Answer {
    json(&U64::from(rpc.with(|world| world.chain.snapshot())?))
}

pub(super) fn revert(rpc: &Rpc, params: &Params) -> Answer {
    let id = params.number(0)?;
    json(&rpc.with(|world| world.chain.revert(id)))
}

pub(super) fn set_balance(rpc: &Rpc, params: &Params) -> Answer {
    let (address, wei) = (params.get::<Address>(0)?, params.get::<U256>(1)?);
    rpc.with(|world| world.chain.set_balance(address, wei));
    json(&())
}

pub(super) fn set_code(rpc: &Rpc, params: &Params) -> Answer {
    let (address, code) = (params.get::<Address>(0)?, params.get::<Bytes>(1)?);
    rpc.with(|world| world.chain.set_code(address, code))?;
    json(&())
}

pub(super) fn set_storage(rpc: &Rpc, params: &Params) -> Answer {
    let (address, slot, value) = (params.get::<Address>(0)?, params.get::<U256>(1)?, params.get::<B256>(2)?);
    rpc.with(|world| world.chain.set_storage(address, slot, value));
    json(&true)
}

/// `haggle_faucet`: an address, base units of the token, and optionally wei. Answers the minting transaction, if any.
pub(super) fn faucet(rpc: &Rpc, params: &Params) -> Answer {
    let (to, units) = (params.get::<Address>(0)?, params.number(1)?);
    let wei = params.maybe::<U256>(2)?.unwrap_or_default();
    rpc.fund_eth(to, wei);
    let minted = if units == 0 { None } else { Some(rpc.mint(to, units)?) };
    json(&minted)
}

/// `haggle_reorg`: how many blocks are taken back, and whether their transactions are lost (`true`) or mined again.
/// Answers how many were not mined again.
pub(super) fn reorg(rpc: &Rpc, params: &Params) -> Answer {
    let (depth, lost) = (params.number(0)?, params.maybe::<bool>(1)?.unwrap_or_default());
    let taken = if lost { Taken::Lost } else { Taken::MinedAgain };
    let now = rpc.now();
    json(&U64::from(rpc.with(|world| world.chain.reorg(depth, taken, now))?))
}
