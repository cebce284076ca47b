//! Listing fees: what the chain shows of them once it is deep enough, and nothing else.

use haggle_base::eip712::{TransferWithAuthorization, digest};
use haggle_base::{Address, B256, ListingFee, PaymentKey, Timestamp, U256};
use haggle_escrow::{
    ChainReader, Cursor, EscrowConfig, EscrowError, FeePaid, FeeReader, FeesRead, MAX_FEE_BLOCKS, TransferClient,
};

use crate::proxy::{Manner, Proxy};
use crate::town::{Town, usdc};

const FEE: u64 = 100_000;

/// Blocks on top of one that is read.
const DEEP: u64 = 2;

fn reader(town: &Town, chain: ChainReader) -> FeeReader {
    FeeReader::new(chain, ListingFee { amount: usdc(FEE), sinks: vec![Address::repeat_byte(9), town.sink] }, DEEP)
}

async fn send(town: &Town, from: &PaymentKey, to: Address, units: u64, nonce: u8) {
    let transfer = TransferWithAuthorization {
        from: from.address(),
        to,
        value: U256::from(units),
        validAfter: U256::ZERO,
        validBefore: U256::from(town.chain.head().1 + 600),
        nonce: B256::repeat_byte(nonce),
    };
    let signature = from.sign_digest(&digest(&transfer, town.token()));
    let eve = TransferClient::new(town.reader(), &town.eve).unwrap();
    eve.transfer(&transfer, signature.as_bytes()).await.unwrap();
}

async fn read(fees: &FeeReader, from: Cursor) -> (Vec<FeePaid>, Cursor) {
    match fees.read(from, MAX_FEE_BLOCKS).await.unwrap() {
        FeesRead::Fees { paid, next, left: 0 } => (paid, next),
        other => panic!("{other:?}"),
    }
}

fn told(paid: &[FeePaid]) -> Vec<(Address, u64)> {
    paid.iter().map(|fee| (fee.payer, fee.listings)).collect()
}

#[tokio::test]
async fn what_reaches_a_sink_counts_once_by_whole_fees_and_only_when_it_is_deep() {
    let town = Town::open().await;
    let fees = reader(&town, town.reader());
    let start = fees.since(Timestamp::from_secs(0)).await.unwrap();
    assert_eq!(start.block, 0, "nothing is older: from the first block on");
    let (alice, bob) = (town.alice.address(), town.bob.address());
    send(&town, &town.alice, town.sink, FEE, 1).await;
    send(&town, &town.alice, town.sink, FEE - 1, 2).await;
    send(&town, &town.bob, town.sink, 3 * FEE + 7, 3).await;
    send(&town, &town.bob, town.alice.address(), FEE, 4).await;
    send(&town, &town.alice, Address::repeat_byte(9), FEE, 5).await;

    let (paid, at) = read(&fees, start).await;
    assert_eq!(told(&paid), [(alice, 1), (bob, 3)], "the last two blocks may still go");
    assert!(paid[0].at.time.as_secs() > 0 && paid[0].at.block < paid[1].at.block);
    assert_eq!(read(&fees, at).await, (vec![], at));
    town.chain.mine(DEEP);
    let (paid, at) = read(&fees, at).await;
    assert_eq!(told(&paid), [(alice, 1)]);
    assert_eq!(read(&fees, at).await, (vec![], at));
}

#[tokio::test]
async fn reading_begins_where_a_moment_lies() {
    let town = Town::open().await;
    let fees = reader(&town, town.reader());
    town.chain.mine(7);
    send(&town, &town.alice, town.sink, FEE, 1).await;
    town.chain.mine(3);
    let moment = Timestamp::from_secs(town.chain.head().1);
    town.chain.increase_time(1_000);
    town.chain.mine(9);
    send(&town, &town.bob, town.sink, FEE, 2).await;
    town.chain.mine(DEEP);
    let after = fees.since(moment).await.unwrap();
    assert_eq!(told(&read(&fees, after).await.0), [(town.bob.address(), 1)]);
    let all = fees.since(Timestamp::from_secs(1)).await.unwrap();
    assert_eq!(read(&fees, all).await.0.len(), 2);
    let end = fees.since(moment.plus(std::time::Duration::from_secs(100_000))).await.unwrap();
    assert_eq!(end.block, town.chain.head().0 - DEEP);
    assert!(read(&fees, end).await.0.is_empty());
}

#[tokio::test]
async fn a_chain_that_is_not_the_one_that_was_read_is_noticed() {
    let town = Town::open().await;
    let fees = reader(&town, town.reader());
    let before = town.chain.snapshot().unwrap();
    send(&town, &town.alice, town.sink, FEE, 1).await;
    town.chain.mine(DEEP);
    let (paid, at) = read(&fees, fees.since(Timestamp::from_secs(0)).await.unwrap()).await;
    assert_eq!(paid.len(), 1);
    assert!(town.chain.revert(before));
    assert!(matches!(fees.read(at, 100).await, Err(EscrowError::RpcBadAnswer)), "an endpoint may be behind");
    town.chain.increase_time(1);
    town.chain.mine(9);
    assert_eq!(fees.read(at, 100).await.unwrap(), FeesRead::Gone, "other blocks are in its place");
}

#[tokio::test]
async fn an_endpoint_that_tells_of_logs_nobody_asked_for_is_not_believed() {
    let town = Town::open().await;
    let proxy = Proxy::before(&town.chain).await;
    let chain = ChainReader::new(EscrowConfig { rpc_urls: vec![proxy.url.clone()], ..town.config() }).unwrap();
    let fees = reader(&town, chain);
    let start = fees.since(Timestamp::from_secs(0)).await.unwrap();
    send(&town, &town.alice, town.sink, FEE, 1).await;
    town.chain.mine(DEEP);
    type Lie = fn(&str, &serde_json::Value, &mut serde_json::Value);
    let lies: [Lie; 4] = [
        |method, _, result| {
            if method == "eth_getLogs" {
                result[0]["address"] = "0x00000000000000000000000000000000000000aa".into();
            }
        },
        |method, _, result| {
            if method == "eth_getLogs" {
                result[0]["topics"][2] = result[0]["topics"][1].clone();
            }
        },
        |method, _, result| {
            if method == "eth_getLogs" {
                result[0]["blockNumber"] = "0xffff".into();
            }
        },
        |method, _, result| {
            if method == "eth_getLogs" {
                result[0]["data"] = "0x01".into();
            }
        },
    ];
    for lie in lies {
        proxy.turns(Manner::Lying(lie));
        assert!(matches!(fees.read(start, 100).await, Err(EscrowError::RpcBadAnswer)));
    }
    proxy.turns(Manner::Honest);
    assert_eq!(told(&read(&fees, start).await.0), [(town.alice.address(), 1)], "nothing is lost by it");
}
