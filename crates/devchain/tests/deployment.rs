//! Genesis holds the market's contracts, at addresses that never move.

use haggle_devchain::{Config, DevAccount, DevChain, ESCROW_ADDRESS, TOKEN_ADDRESS};

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
