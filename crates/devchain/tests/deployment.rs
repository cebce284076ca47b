//! Genesis holds the market's contracts, at addresses that never move.

use alloy::primitives::{Address, Bytes, keccak256};
use alloy::providers::{Provider as _, RootProvider};
use alloy::rpc::client::RpcClient;
use alloy::rpc::types::TransactionRequest;
use haggle_devchain::{
    CHANNEL_ADDRESS, COLLECTOR_ADDRESS, Config, Deployment, DevAccount, DevChain, ESCROW_ADDRESS, MULTICALL_ADDRESS,
    TOKEN_ADDRESS,
};

#[tokio::test]
async fn the_contracts_are_where_network_files_say() {
    let chain = DevChain::start(Config::for_testing()).await.unwrap();
    let deployment = chain.deployment().unwrap();
    assert_eq!(deployment.token, TOKEN_ADDRESS);
    assert_eq!(deployment.escrow, ESCROW_ADDRESS);
    assert_eq!(deployment.fee_sink, DevAccount::fee_sink().address());
    assert_eq!(chain.head().0, 0);
}

#[tokio::test]
async fn minted_money_is_counted_to_the_unit() {
    let chain = DevChain::start(Config::for_testing()).await.unwrap();
    let (alice, bob) = (DevAccount::numbered(0).address(), DevAccount::numbered(1).address());
    chain.mint_usdc(alice, 5_000_000).unwrap();
    chain.mint_usdc(bob, 1).unwrap();
    assert_eq!(chain.balance_usdc(alice).unwrap(), 5_000_000);
    assert_eq!(chain.total_supply_usdc().unwrap(), 5_000_001);
    assert_eq!(chain.head().0, 2);
}

#[tokio::test]
async fn the_contracts_name_one_another_as_they_stand() {
    let chain = DevChain::start(Config::for_testing()).await.unwrap();
    let facts = chain.deployment().unwrap().clone();
    assert_eq!((facts.channel, facts.collector), (CHANNEL_ADDRESS, COLLECTOR_ADDRESS));
    assert_eq!(facts.multicall, MULTICALL_ADDRESS);
    let provider: RootProvider = RootProvider::new(RpcClient::new(chain.transport(), true));
    let named = async |contract: Address, question: &str| {
        let input = Bytes::copy_from_slice(&keccak256(question)[..4]);
        let answer = provider.call(TransactionRequest::default().to(contract).input(input.into())).await.unwrap();
        Address::from_slice(&answer[12..32])
    };
    for (contract, question, answer) in [
        (facts.escrow, "token()", facts.token),
        (facts.escrow, "stake()", facts.stake),
        (facts.escrow, "reputation()", facts.registry),
        (facts.stake, "escrow()", facts.escrow),
        (facts.panel, "escrow()", facts.escrow),
        (facts.registry, "getIdentityRegistry()", facts.registry),
        (facts.channel, "token()", facts.token),
        (facts.channel, "collector()", facts.collector),
        (facts.collector, "channel()", facts.channel),
    ] {
        assert_eq!(named(contract, question).await, answer, "{question}");
    }
    for contract in [facts.anchor, facts.multicall] {
        assert!(!provider.get_code_at(contract).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_deployment_that_knew_two_contracts_can_still_be_read() {
    let chain = DevChain::start(Config::for_testing()).await.unwrap();
    let mut told = serde_json::to_value(chain.deployment().unwrap()).unwrap();
    for later in ["stake", "registry", "anchor", "panel", "channel", "collector", "multicall"] {
        told.as_object_mut().unwrap().remove(later).unwrap();
    }
    let read: Deployment = serde_json::from_value(told).unwrap();
    assert_eq!((read.token, read.channel), (TOKEN_ADDRESS, Address::ZERO));
}
