//! The id computed here is the id the contract computes, whatever the order.

use std::time::Duration;

use alloy::primitives::aliases::{U40, U96};
use alloy::primitives::{B256, keccak256};
use haggle_base::{Address, Order, U256};
use haggle_devchain::{Config, DevChain};

use super::to_binding;
use crate::{ChainReader, EscrowConfig};

/// An order whose every field is drawn from `seed`.
fn drawn(seed: u64) -> Order {
    let draw = |field: u8| U256::from_be_bytes(keccak256([&seed.to_be_bytes()[..], &[field]].concat()).0);
    let address = |field| Address::from_word(draw(field).into());
    Order {
        buyer: address(0),
        provider: address(1),
        validator: address(2),
        arbitrator: address(3),
        feeTo: address(4),
        amount: draw(5).wrapping_to::<U96>(),
        bond: draw(6).wrapping_to::<U96>(),
        stake: draw(7).wrapping_to::<U96>(),
        feeBps: draw(8).wrapping_to(),
        silentBps: draw(9).wrapping_to(),
        flags: draw(10).wrapping_to(),
        fundBy: draw(11).wrapping_to::<U40>(),
        deliverBy: draw(12).wrapping_to::<U40>(),
        reviewSecs: draw(13).wrapping_to(),
        counterSecs: draw(14).wrapping_to(),
        ruleSecs: draw(15).wrapping_to(),
        terms: B256::from(draw(16)),
        salt: draw(17),
    }
}

#[tokio::test]
async fn rust_and_the_contract_give_every_order_the_same_id() {
    let chain = DevChain::start(Config::for_testing()).await.unwrap();
    let facts = chain.deployment().unwrap();
    let config = EscrowConfig {
        rpc_urls: Vec::new(),
        chain_id: facts.chain_id,
        escrow: facts.escrow,
        token: facts.token,
        deployed_at: 0,
        poll_interval: Duration::from_millis(10),
        request_timeout: Duration::from_secs(10),
        slow_after: Duration::from_secs(1),
        stuck_after: Duration::from_secs(1),
        receipt_timeout: Duration::from_secs(10),
        gas_cap: 1_000_000,
        max_gas_price: 1,
    };
    let reader = ChainReader::over(chain.transport(), config);
    let domain = haggle_base::eip712::escrow_domain(facts.chain_id, facts.escrow);
    let orders = (0..64).map(drawn).chain([Order::default()]);
    for order in orders {
        let theirs = reader.escrow().orderId(to_binding(&order)).call().await.unwrap();
        assert_eq!(&theirs, haggle_base::eip712::order_id(&order, &domain).as_b256(), "{order:?}");
    }
}
