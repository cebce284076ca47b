//! Time, mining, snapshots and money from nothing, as an owner and as a client of the endpoint.
#![expect(clippy::unwrap_used, reason = "a test stops where its story does not hold")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alloy::network::TransactionBuilder as _;
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::{Provider, ProviderBuilder, RootProvider};
use alloy::rpc::client::RpcClient;
use alloy::rpc::types::{Filter, TransactionRequest};
use alloy::signers::local::PrivateKeySigner;
use haggle_devchain::{Config, DevAccount, DevChain, DevChainError, MAX_REORG, Taken};
use serde_json::{Value, json};

/// A chain whose wall clock stands still until the test moves it.
async fn with_clock(start: u64) -> (DevChain, Arc<AtomicU64>) {
    let clock = Arc::new(AtomicU64::new(start));
    let read = Arc::clone(&clock);
    let config = Config { now: Arc::new(move || read.load(Ordering::SeqCst)), ..Config::for_testing() };
    (DevChain::start(config).await.unwrap(), clock)
}

fn provider(chain: &DevChain) -> RootProvider {
    RootProvider::new(RpcClient::new(chain.transport(), true))
}

/// A stock alloy provider that signs, over HTTP.
fn wallet(chain: &DevChain, account: DevAccount) -> impl Provider + use<> {
    let signer = PrivateKeySigner::from_bytes(account.key()).unwrap();
    ProviderBuilder::new().wallet(signer).connect_http(chain.rpc_url().parse().unwrap())
}

async fn raw(provider: &RootProvider, method: &'static str, params: Value) -> Value {
    provider.raw_request(method.into(), params).await.unwrap()
}

#[tokio::test]
async fn chain_time_is_the_wall_clocks_plus_what_was_added() {
    let (chain, clock) = with_clock(1_000).await;
    assert_eq!(chain.head(), (0, 1_000));
    chain.increase_time(60);
    assert_eq!(chain.head(), (1, 1_060));
    clock.store(1_005, Ordering::SeqCst);
    chain.mine(2);
    assert_eq!(chain.head(), (3, 1_065), "two blocks may share a second");
    clock.store(900, Ordering::SeqCst);
    chain.mine(1);
    assert_eq!(chain.head(), (4, 1_065), "a wall clock that goes back does not take the chain along");
}

#[tokio::test]
async fn a_pinned_timestamp_is_exact_and_time_runs_on_from_it() {
    let (chain, clock) = with_clock(1_000).await;
    let provider = provider(&chain);
    raw(&provider, "evm_setNextBlockTimestamp", json!([5_000])).await;
    clock.store(1_007, Ordering::SeqCst);
    raw(&provider, "evm_mine", json!([])).await;
    assert_eq!(chain.head(), (1, 5_000));
    raw(&provider, "evm_mine", json!([])).await;
    assert_eq!(chain.head(), (2, 5_007));
    let back = provider.raw_request::<_, Value>("evm_setNextBlockTimestamp".into(), json!([4_000])).await;
    assert!(back.unwrap_err().to_string().contains("before the latest block"));
    raw(&provider, "evm_mine", json!([{"timestamp": 6_000}])).await;
    raw(&provider, "evm_increaseTime", json!(["0x10"])).await;
    raw(&provider, "anvil_mine", json!([3, 100])).await;
    assert_eq!(chain.head(), (6, 6_216));
}

#[tokio::test]
async fn an_empty_block_follows_each_tick() {
    let config = Config { block_time: Some(Duration::from_millis(5)), ..Config::for_testing() };
    let chain = DevChain::start(config).await.unwrap();
    let provider = provider(&chain);
    let reached = async {
        while provider.get_block_number().await.unwrap() < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), reached).await.unwrap();
}

#[tokio::test]
async fn a_stock_provider_sends_calls_and_reads_receipts() {
    let chain = DevChain::start(Config::for_testing()).await.unwrap();
    let alice = wallet(&chain, DevAccount::numbered(0));
    let bob = Address::repeat_byte(0xb0);
    let paid = TransactionRequest::default().with_to(bob).with_value(U256::from(7));
    let receipt = alice.send_transaction(paid).await.unwrap().get_receipt().await.unwrap();
    assert!(receipt.status());
    assert_eq!((receipt.gas_used, receipt.block_number), (21_000, Some(1)));
    assert_eq!(alice.get_balance(bob).await.unwrap(), U256::from(7));
    let block = alice.get_block_by_number(1.into()).full().await.unwrap().unwrap();
    assert_eq!(block.header.hash, block.header.inner.hash_slow(), "a header hashes to its hash");
    assert_eq!(block.transactions.len(), 1);
    assert_eq!(alice.get_transaction_by_hash(receipt.transaction_hash).await.unwrap().unwrap().block_number, Some(1));
    assert_eq!(alice.get_block_receipts(1.into()).await.unwrap().unwrap().len(), 1);
    assert_eq!(alice.get_block_by_hash(block.header.hash).await.unwrap().unwrap().header.number, 1);
    let gas = alice.estimate_gas(TransactionRequest::default().with_to(bob).with_value(U256::from(1))).await.unwrap();
    assert_eq!(gas, 21_000);
}

#[tokio::test]
async fn nonces_leave_no_gap_and_are_used_once() {
    let chain = DevChain::start(Config::for_testing()).await.unwrap();
    let alice = wallet(&chain, DevAccount::numbered(0));
    let pay = |nonce: u64| TransactionRequest::default().with_to(Address::ZERO).with_nonce(nonce);
    let ahead = alice.send_transaction(pay(1)).await.unwrap_err();
    assert!(ahead.to_string().contains("nonce too high"), "{ahead}");
    alice.send_transaction(pay(0)).await.unwrap().get_receipt().await.unwrap();
    let again = alice.send_transaction(pay(0).with_value(U256::from(1))).await.unwrap_err();
    assert!(again.to_string().contains("nonce too low"), "{again}");
    assert_eq!(chain.head().0, 1, "what is refused is not mined");
}

#[tokio::test]
async fn a_snapshot_brings_everything_back_but_the_time() {
    let chain = DevChain::start(Config::for_testing()).await.unwrap();
    let provider = provider(&chain);
    let alice = DevAccount::numbered(0).address();
    let before = chain.snapshot().unwrap();
    let minted = chain.mint_usdc(alice, 5).unwrap();
    let gone = provider.get_block_by_number(1.into()).await.unwrap().unwrap().header.hash;
    assert!(chain.revert(before));
    assert_eq!((chain.balance_usdc(alice).unwrap(), chain.head().0), (0, 0));
    assert!(provider.get_transaction_receipt(minted).await.unwrap().is_none());
    assert!(provider.get_transaction_by_hash(minted).await.unwrap().is_none());
    assert!(provider.get_block_by_hash(gone).await.unwrap().is_none());
    assert!(!chain.revert(before), "a snapshot is used up");
    chain.mint_usdc(alice, 6).unwrap();
    assert_eq!(chain.total_supply_usdc().unwrap(), 6);
}

#[tokio::test]
async fn snapshots_are_bounded() {
    let chain = DevChain::start(Config::for_testing()).await.unwrap();
    let first = chain.snapshot().unwrap();
    while chain.snapshot().is_ok() {}
    assert!(chain.revert(first));
    assert!(chain.snapshot().is_ok());
}

#[tokio::test]
async fn accounts_are_set_by_decree() {
    let chain = DevChain::start(Config::for_testing()).await.unwrap();
    let provider = provider(&chain);
    let place = Address::repeat_byte(0x11);
    raw(&provider, "anvil_setBalance", json!([place, "0x64"])).await;
    // A program that answers what is in slot 1.
    let code = Bytes::from_static(&[0x60, 0x01, 0x54, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3]);
    raw(&provider, "anvil_setCode", json!([place, code])).await;
    raw(&provider, "anvil_setStorageAt", json!([place, "0x1", B256::with_last_byte(42)])).await;
    assert_eq!(provider.get_balance(place).await.unwrap(), U256::from(100));
    assert_eq!(provider.get_code_at(place).await.unwrap(), code);
    assert_eq!(provider.get_storage_at(place, U256::from(1)).await.unwrap(), U256::from(42));
    let answer = provider.call(TransactionRequest::default().with_to(place)).await.unwrap();
    assert_eq!(U256::from_be_slice(&answer), U256::from(42));
}

#[tokio::test]
async fn filters_tell_only_what_is_new() {
    let chain = DevChain::start(Config::for_testing()).await.unwrap();
    let provider = provider(&chain);
    let token = chain.deployment().unwrap().token;
    let alice = DevAccount::numbered(0).address();
    chain.mint_usdc(alice, 1).unwrap();
    let logs = provider.new_filter(&Filter::new().address(token)).await.unwrap();
    let blocks = provider.new_block_filter().await.unwrap();
    chain.mint_usdc(alice, 2).unwrap();
    chain.mine(1);
    assert_eq!(provider.get_filter_changes_dyn(logs).await.unwrap().as_logs().unwrap().len(), 1);
    assert!(provider.get_filter_changes_dyn(logs).await.unwrap().is_empty());
    assert_eq!(provider.get_filter_changes::<B256>(blocks).await.unwrap().len(), 2);
    assert!(provider.uninstall_filter(logs).await.unwrap());
    assert!(provider.get_filter_changes_dyn(logs).await.is_err());
    let all = provider.get_logs(&Filter::new().address(token).from_block(0)).await.unwrap();
    assert_eq!(all.len(), 2);
    let none = provider.get_logs(&Filter::new().from_block(9).to_block(3)).await.unwrap();
    assert!(none.is_empty());
}

#[tokio::test]
async fn the_faucet_works_over_the_endpoint() {
    let chain = DevChain::start(Config::for_testing()).await.unwrap();
    let provider = RootProvider::<alloy::network::Ethereum>::new_http(chain.rpc_url().parse().unwrap());
    let carol = Address::repeat_byte(0xca);
    let minted = raw(&provider, "haggle_faucet", json!([carol, "2500000", "0x10"])).await;
    assert!(minted.is_string());
    assert_eq!(chain.balance_usdc(carol).unwrap(), 2_500_000);
    assert_eq!(provider.get_balance(carol).await.unwrap(), U256::from(16));
    assert_eq!(raw(&provider, "haggle_faucet", json!([carol, 0, "0x1"])).await, Value::Null);
    let known = raw(&provider, "haggle_deployment", json!([])).await;
    assert_eq!(known, serde_json::to_value(chain.deployment().unwrap()).unwrap());
}

#[tokio::test]
async fn a_chain_without_contracts_says_so() {
    let chain = DevChain::start(Config { contracts: false, ..Config::for_testing() }).await.unwrap();
    assert!(matches!(chain.deployment(), Err(DevChainError::NoContracts)));
    assert!(chain.mint_usdc(Address::ZERO, 1).is_err());
}

#[tokio::test]
async fn the_endpoint_stays_on_this_machine() {
    let everywhere = Some("0.0.0.0:0".parse().unwrap());
    let refused = DevChain::start(Config { listen: everywhere, ..Config::for_testing() }).await;
    assert!(matches!(refused, Err(DevChainError::NotLoopback(_))));
    let quiet = DevChain::start(Config { listen: None, ..Config::for_testing() }).await.unwrap();
    assert_eq!((quiet.addr(), quiet.rpc_url().as_str()), (None, ""));
    let taken = DevChain::start(Config::for_testing()).await.unwrap();
    let second = DevChain::start(Config { listen: taken.addr(), ..Config::for_testing() }).await;
    assert!(matches!(second, Err(DevChainError::Listen { .. })));
}

#[tokio::test]
async fn after_shutdown_nobody_answers() {
    let chain = DevChain::start(Config::for_testing()).await.unwrap();
    let provider = RootProvider::<alloy::network::Ethereum>::new_http(chain.rpc_url().parse().unwrap());
    assert_eq!(provider.get_chain_id().await.unwrap(), 31_337);
    chain.shutdown().await;
    assert!(provider.get_chain_id().await.is_err());
}

#[tokio::test]
async fn hundreds_of_transactions_are_mined_one_to_a_block() {
    const MINTS: u64 = 300;
    let chain = DevChain::start(Config::for_testing()).await.unwrap();
    let alice = DevAccount::numbered(0).address();
    for _ in 0..MINTS {
        chain.mint_usdc(alice, 1).unwrap();
    }
    assert_eq!((chain.head().0, chain.balance_usdc(alice).unwrap()), (MINTS, MINTS));
}

#[tokio::test]
async fn a_reorganisation_mines_the_transactions_again_in_other_blocks() {
    let chain = DevChain::start(Config::for_testing()).await.unwrap();
    let provider = provider(&chain);
    let alice = Address::repeat_byte(0xa1);
    chain.mint_usdc(alice, 5).unwrap();
    let minted = chain.mint_usdc(alice, 7).unwrap();
    chain.mine(3);
    let (height, _) = chain.head();
    let before = provider.get_transaction_receipt(minted).await.unwrap().unwrap();

    assert_eq!(chain.reorg(4, Taken::MinedAgain).unwrap(), 0);

    assert_eq!(chain.head().0, height + 1);
    assert_eq!(chain.balance_usdc(alice).unwrap(), 12);
    let after = provider.get_transaction_receipt(minted).await.unwrap().unwrap();
    assert_ne!(after.block_hash, before.block_hash);
    assert_eq!(after.block_number.unwrap(), before.block_number.unwrap() + 1);
    assert!(provider.get_block_by_hash(before.block_hash.unwrap()).await.unwrap().is_none());
    let block = provider.get_block_by_number(after.block_number.unwrap().into()).await.unwrap().unwrap();
    assert_eq!(Some(block.header.hash), after.block_hash);
    assert_eq!(block.header.hash, block.header.inner.hash_slow());
}

#[tokio::test]
async fn a_reorganisation_can_lose_transactions_and_leaves_the_state_as_before_them() {
    let chain = DevChain::start(Config::for_testing()).await.unwrap();
    let provider = provider(&chain);
    let (alice, minter) = (Address::repeat_byte(0xa1), DevAccount::numbered(0).address());
    chain.mint_usdc(alice, 5).unwrap();
    let (supply, wei) = (chain.total_supply_usdc().unwrap(), provider.get_balance(minter).await.unwrap());
    let lost = chain.mint_usdc(alice, 7).unwrap();

    let gone = raw(&provider, "haggle_reorg", json!([1, true])).await;

    assert_eq!(gone, json!("0x1"));
    assert_eq!(chain.balance_usdc(alice).unwrap(), 5);
    assert_eq!(chain.total_supply_usdc().unwrap(), supply);
    assert_eq!(provider.get_balance(minter).await.unwrap(), wei);
    assert!(provider.get_transaction_receipt(lost).await.unwrap().is_none());
    chain.mint_usdc(alice, 7).unwrap();
    assert_eq!(chain.balance_usdc(alice).unwrap(), 12);
}

#[tokio::test]
async fn no_more_blocks_are_taken_back_than_there_are() {
    let chain = DevChain::start(Config::for_testing()).await.unwrap();
    chain.mine(2);
    assert!(chain.reorg(3, Taken::Lost).is_err());
    chain.mine(MAX_REORG);
    assert!(chain.reorg(MAX_REORG + 1, Taken::Lost).is_err());
    assert_eq!(chain.head().0, MAX_REORG + 2);
    assert_eq!(chain.reorg(MAX_REORG, Taken::Lost).unwrap(), 0);
}
