//! Running one transaction or call on the state with the one pinned hardfork.

use alloy::consensus::transaction::Recovered;
use alloy::consensus::{Transaction as _, TxEnvelope, Typed2718 as _};
use alloy::primitives::{Address, B256, TxKind, U256};
use alloy::rpc::types::TransactionRequest;
use revm::context::result::{ExecutionResult, HaltReason, ResultAndState};
use revm::context::{BlockEnv, TxEnv};
use revm::database::{CacheDB, EmptyDB, WrapDatabaseRef};
use revm::primitives::hardfork::SpecId;
use revm::{Context, ExecuteEvm as _, MainBuilder as _, MainContext as _};

use crate::config::BLOCK_GAS_LIMIT;
use crate::error::RpcError;

/// The rules every block runs under; anvil runs the same with `--hardfork prague`.
pub const HARDFORK: SpecId = SpecId::PRAGUE;

/// Most gas an estimate will answer: the limit EIP-7825 puts on one transaction on later hardforks.
pub(crate) const MAX_TX_GAS: u64 = 1 << 24;

/// The state of all accounts.
pub(crate) type State = CacheDB<EmptyDB>;

/// How strictly the sender is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// A signed transaction: nonce, funds and price must be right.
    Transaction,
    /// A question: nobody pays, anybody may ask.
    Call,
}

/// The block a transaction runs in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockAt {
    pub(crate) chain_id: u64,
    pub(crate) number: u64,
    pub(crate) timestamp: u64,
    pub(crate) base_fee: u64,
}

/// Runs `tx` and returns what it would change; nothing is written.
pub(crate) fn run(state: &State, at: BlockAt, tx: TxEnv, rules: Rules) -> Result<ResultAndState<HaltReason>, RpcError> {
    let mut block = BlockEnv {
        number: U256::from(at.number),
        beneficiary: Address::ZERO,
        timestamp: U256::from(at.timestamp),
        gas_limit: BLOCK_GAS_LIMIT,
        basefee: at.base_fee,
        difficulty: U256::ZERO,
        prevrandao: Some(B256::ZERO),
        ..BlockEnv::default()
    };
    block.set_blob_excess_gas_and_price(0, revm::primitives::eip4844::BLOB_BASE_FEE_UPDATE_FRACTION_PRAGUE);
    let mut evm = Context::mainnet()
        .with_db(WrapDatabaseRef(state))
        .with_block(block)
        .modify_cfg_chained(|cfg| {
            cfg.set_spec_and_mainnet_gas_params(HARDFORK);
            cfg.chain_id = at.chain_id;
            if rules == Rules::Call {
                cfg.disable_nonce_check = true;
                cfg.disable_balance_check = true;
                cfg.disable_base_fee = true;
                cfg.disable_eip3607 = true;
            }
        })
        .build_mainnet();
    Ok(evm.transact(tx)?)
}

/// A signed transaction as the EVM takes it.
pub(crate) fn signed(tx: &Recovered<TxEnvelope>) -> TxEnv {
    TxEnv {
        tx_type: tx.ty(),
        caller: tx.signer(),
        gas_limit: tx.gas_limit(),
        gas_price: tx.max_fee_per_gas(),
        kind: tx.kind(),
        value: tx.value(),
        data: tx.input().clone(),
        nonce: tx.nonce(),
        chain_id: tx.chain_id(),
        access_list: tx.access_list().cloned().unwrap_or_default(),
        gas_priority_fee: tx.max_priority_fee_per_gas(),
        authorization_list: tx
            .authorization_list()
            .unwrap_or_default()
            .iter()
            .cloned()
            .map(revm::context_interface::either::Either::Left)
            .collect(),
        ..TxEnv::default()
    }
}

/// An unsigned request as the EVM takes it, with at most `gas`.
pub(crate) fn asked(request: &TransactionRequest, gas: u64) -> TxEnv {
    TxEnv {
        caller: request.from.unwrap_or_default(),
        gas_limit: request.gas.unwrap_or(gas).min(gas),
        kind: request.to.unwrap_or(TxKind::Create),
        value: request.value.unwrap_or_default(),
        data: request.input.input().cloned().unwrap_or_default(),
        chain_id: None,
        access_list: request.access_list.clone().unwrap_or_default(),
        ..TxEnv::default()
    }
}

/// The least gas with which `request` succeeds, to about one percent.
///
/// # Errors
/// What the call answers when it fails even with all the gas it may have.
pub(crate) fn estimate(state: &State, at: BlockAt, request: &TransactionRequest) -> Result<u64, RpcError> {
    let attempt = |gas: u64| -> Result<ExecutionResult, RpcError> {
        let mut tx = asked(request, MAX_TX_GAS);
        tx.gas_limit = gas;
        Ok(run(state, at, tx, Rules::Call)?.result)
    };
    let mut enough = request.gas.unwrap_or(MAX_TX_GAS).min(MAX_TX_GAS);
    let full = into_output(attempt(enough)?)?;
    if full.gas_used == full.gas_spent && attempt(full.gas_used).is_ok_and(|result| result.is_success()) {
        return Ok(full.gas_used);
    }
    let mut too_little = full.gas_used.saturating_sub(1);
    // A first guess that is usually right: what was spent before refunds, one stipend, and the 64th that calls hold back.
    let guess = (full.gas_spent + 2_300) * 64 / 63;
    if guess < enough && attempt(guess).is_ok_and(|result| result.is_success()) {
        enough = guess;
    }
    while enough - too_little > (enough / 100).max(1) {
        let middle = too_little + (enough - too_little) / 2;
        if attempt(middle).is_ok_and(|result| result.is_success()) {
            enough = middle;
        } else {
            too_little = middle;
        }
    }
    Ok(enough)
}

/// A call that went well.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) data: alloy::primitives::Bytes,
    pub(crate) gas_used: u64,
    pub(crate) gas_spent: u64,
}

/// Sorts an execution into its output or the error a client is told.
pub(crate) fn into_output(result: ExecutionResult) -> Result<Done, RpcError> {
    match result {
        ExecutionResult::Success { gas, output, .. } => {
            Ok(Done { data: output.into_data(), gas_used: gas.tx_gas_used(), gas_spent: gas.total_gas_spent() })
        }
        ExecutionResult::Revert { output, .. } => Err(RpcError::Reverted(output)),
        ExecutionResult::Halt { reason, .. } => Err(RpcError::Halted(format!("{reason:?}"))),
    }
}
