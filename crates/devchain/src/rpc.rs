//! The JSON-RPC endpoint: bytes in, bytes out, whether they come over HTTP or from inside the process.

mod dev;
mod eth;
mod params;

use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::chain::Chain;
use crate::config::NowSecs;
use crate::deployment::Deployment;
use crate::error::RpcError;
use crate::filters::Filters;
use params::Params;

/// Most bytes of one request body.
pub const MAX_BODY_BYTES: usize = 2 << 20;
/// Most requests in one batch.
pub const MAX_BATCH: usize = 256;

/// What a method answers: JSON, ready to be sent.
type Answer = Result<Box<RawValue>, RpcError>;

/// The chain and what clients of its RPC keep there.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) chain: Chain,
    pub(crate) filters: Filters,
}

/// The endpoint; clones share the one chain.
#[derive(Clone)]
pub(crate) struct Rpc {
    world: Arc<Mutex<World>>,
    now: NowSecs,
    deployment: Option<Arc<Deployment>>,
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    id: Option<Box<RawValue>>,
    method: String,
    #[serde(default)]
    params: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct Response {
    jsonrpc: &'static str,
    id: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorObject>,
}

#[derive(Serialize)]
struct ErrorObject {
    code: i64,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<alloy::primitives::Bytes>,
}

impl Rpc {
    pub(crate) fn new(chain: Chain, now: NowSecs, deployment: Option<Arc<Deployment>>) -> Self {
        let world = World { chain, filters: Filters::default() };
        Self { world: Arc::new(Mutex::new(world)), now, deployment }
    }

    /// The wall clock's time in Unix seconds.
    pub(crate) fn now(&self) -> u64 {
        (self.now)()
    }

    /// Does something with the chain while nobody else does.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        act(&mut self.world.lock())
    }

    /// The contracts of this chain, if it has any.
    pub(crate) fn deployment(&self) -> Option<&Deployment> {
        self.deployment.as_deref()
    }

    /// Answers a body that holds one request or a batch of them. Always answers with JSON.
    pub(crate) fn answer(&self, body: &[u8]) -> Vec<u8> {
        let answered = if body.len() > MAX_BODY_BYTES {
            serde_json::to_vec(&failure(None, &RpcError::Limit("a body of 2 MiB")))
        } else if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            match serde_json::from_slice::<Vec<Box<RawValue>>>(body) {
                Ok(batch) if batch.is_empty() => {
                    serde_json::to_vec(&failure(None, &RpcError::InvalidRequest("an empty batch")))
                }
                Ok(batch) if batch.len() > MAX_BATCH => {
                    serde_json::to_vec(&failure(None, &RpcError::Limit("256 requests in a batch")))
                }
                Ok(batch) => {
                    let answers: Vec<_> =
                        batch.iter().map(|request| self.answer_one(request.get().as_bytes())).collect();
                    serde_json::to_vec(&answers)
                }
                Err(_) => serde_json::to_vec(&failure(None, &RpcError::Parse)),
            }
        } else {
            serde_json::to_vec(&self.answer_one(body))
        };
        answered.unwrap_or_default()
    }

    fn answer_one(&self, body: &[u8]) -> Response {
        let request: Request = match serde_json::from_slice(body) {
            Ok(request) => request,
            Err(error) if error.is_data() => {
                return failure(None, &RpcError::InvalidRequest("a request has a method and an id"));
            }
            Err(_) => return failure(None, &RpcError::Parse),
        };
        let answer = Params::read(request.params.as_deref()).and_then(|params| self.dispatch(&request.method, &params));
        match answer {
            Ok(result) => Response { jsonrpc: "2.0", id: request.id, result: Some(result), error: None },
            Err(error) => {
                tracing::debug!(rpc.method = request.method, rpc.error = %error, "the chain refused a request");
                failure(request.id, &error)
            }
        }
    }

    fn dispatch(&self, method: &str, params: &Params) -> Answer {
        match method {
            // who and where
            "eth_chainId" => eth::chain_id(self),
            "net_version" => eth::net_version(self),
            "web3_clientVersion" => json(&concat!("haggle-devchain/", env!("CARGO_PKG_VERSION"))),
            "eth_syncing" => json(&false),
            "eth_accounts" => json(&[(); 0]),
            // blocks
            "eth_blockNumber" => eth::block_number(self),
            "eth_getBlockByNumber" => eth::block_by_number(self, params),
            "eth_getBlockByHash" => eth::block_by_hash(self, params),
            "eth_getBlockReceipts" => eth::block_receipts(self, params),
            // transactions
            "eth_sendRawTransaction" => eth::send_raw(self, params),
            "eth_getTransactionByHash" => eth::transaction(self, params),
            "eth_getTransactionReceipt" => eth::receipt(self, params),
            "eth_call" => eth::call(self, params),
            "eth_estimateGas" => eth::estimate(self, params),
            // prices
            "eth_gasPrice" => eth::gas_price(self),
            "eth_maxPriorityFeePerGas" => json(&"0x0"),
            "eth_blobBaseFee" => json(&"0x1"),
            "eth_feeHistory" => eth::fee_history(self, params),
            // accounts
            "eth_getBalance" => eth::balance(self, params),
            "eth_getTransactionCount" => eth::nonce(self, params),
            "eth_getCode" => eth::code(self, params),
            "eth_getStorageAt" => eth::storage(self, params),
            // logs and filters
            "eth_getLogs" => eth::logs(self, params),
            "eth_newFilter" => eth::new_filter(self, params),
            "eth_newBlockFilter" => eth::new_block_filter(self),
            "eth_getFilterChanges" => eth::filter_changes(self, params),
            "eth_getFilterLogs" => eth::filter_logs(self, params),
            "eth_uninstallFilter" => eth::remove_filter(self, params),
            // controls
            "evm_mine" => dev::mine(self, params),
            "anvil_mine" => dev::mine_many(self, params),
            "evm_increaseTime" => dev::increase_time(self, params),
            "evm_setNextBlockTimestamp" => dev::set_next_timestamp(self, params),
            "evm_snapshot" => dev::snapshot(self),
            "evm_revert" => dev::revert(self, params),
            "anvil_setBalance" => dev::set_balance(self, params),
            "anvil_setCode" => dev::set_code(self, params),
            "anvil_setStorageAt" => dev::set_storage(self, params),
            // ours
            "haggle_deployment" => json(&self.deployment()),
            "haggle_reorg" => dev::reorg(self, params),
            "haggle_faucet" => dev::faucet(self, params),
            _ => Err(RpcError::MethodNotFound(method.chars().take(64).collect())),
        }
    }
}

impl std::fmt::Debug for Rpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rpc").field("deployment", &self.deployment).finish_non_exhaustive()
    }
}

fn failure(id: Option<Box<RawValue>>, error: &RpcError) -> Response {
    let error = ErrorObject { code: error.code(), message: error.to_string(), data: error.data().cloned() };
    Response { jsonrpc: "2.0", id, result: None, error: Some(error) }
}

fn json(value: &impl Serialize) -> Answer {
    serde_json::value::to_raw_value(value).map_err(|_| RpcError::Internal)
}

#[cfg(test)]
mod tests;
