//! Several endpoints of one chain, of which one is dead, silent, behind or a liar.

use std::time::Duration;

use haggle_base::Coded as _;
use haggle_devchain::{Config, DevChain, Taken};
use haggle_escrow::{
    ChainReader, EscrowClient, EscrowConfig, EscrowEvent, Polled, Reach, Sent, Standing, Status, Trust, Watcher,
};
use serde_json::{Value, json};

use crate::proxy::{Manner, Proxy};
use crate::town::Town;

async fn proxies<const N: usize>(town: &Town) -> ([Proxy; N], EscrowConfig) {
    let mut made = Vec::new();
    for _ in 0..N {
        made.push(Proxy::before(&town.chain).await);
    }
    let config = EscrowConfig {
        rpc_urls: made.iter().map(|proxy| proxy.url.clone()).collect(),
        slow_after: Duration::from_millis(200),
        request_timeout: Duration::from_secs(5),
        ..town.config()
    };
    (made.try_into().unwrap_or_else(|_| unreachable!()), config)
}

fn standings(reader: &ChainReader) -> Vec<Standing> {
    reader.endpoints().iter().map(|endpoint| endpoint.standing).collect()
}

/// Follows the chain from its beginning.
async fn events(reader: &ChainReader) -> Vec<EscrowEvent> {
    let watcher = Watcher::new(reader.clone());
    let from = watcher.beginning().await.unwrap();
    match watcher.poll(from, Reach::default()).await.unwrap() {
        Polled::Facts { facts, .. } => facts.into_iter().map(|fact| fact.event).collect(),
        Polled::Rewind { to } => panic!("rewind to {to:?}"),
    }
}

fn another_hash(method: &str, _: &Value, result: &mut Value) {
    if method == "eth_getBlockByNumber" && !result.is_null() {
        result["hash"] = json!(format!("0x{}", "ab".repeat(32)));
    }
}

fn hides_everything(method: &str, _: &Value, result: &mut Value) {
    match method {
        "eth_getLogs" => *result = json!([]),
        "eth_call" => *result = json!(format!("0x{}", "00".repeat(32 * 4))),
        _ => {}
    }
}

fn claims_a_tall_chain(method: &str, params: &Value, result: &mut Value) {
    if method == "eth_getBlockByNumber" && params[0] == "latest" {
        result["number"] = json!("0xffffff");
    }
}

#[tokio::test]
async fn one_endpoint_is_trusted_and_three_have_to_agree() {
    let town = Town::open().await;
    assert_eq!(town.reader().trust(), Trust::Single);
    let (_two, config) = proxies::<2>(&town).await;
    assert_eq!(ChainReader::new(config).unwrap().trust(), Trust::Pair);
    let (_three, config) = proxies::<3>(&town).await;
    let reader = ChainReader::new(config).unwrap();
    assert_eq!(reader.trust(), Trust::Agreement);
    reader.latest().await.unwrap();
    assert_eq!(standings(&reader), [Standing::Fresh; 3]);
}

#[tokio::test]
async fn a_liar_about_blocks_is_outvoted_set_aside_and_named() {
    let town = Town::open().await;
    let ([liar, _b, _c], config) = proxies::<3>(&town).await;
    liar.turns(Manner::Lying(another_hash));
    let reader = ChainReader::new(config).unwrap();
    let order = town.funded(1).await;
    for _ in 0..6 {
        assert_eq!(events(&reader).await.len(), 1);
    }
    assert_eq!(reader.status(&town.id(&order)).await.unwrap().status, Status::Funded);
    let report = reader.endpoints();
    assert_eq!(report[0].standing, Standing::SetAside);
    assert!(report[0].contradictions >= 3);
    assert_eq!(report[0].host, liar.url);
    assert_eq!(standings(&reader)[1..], [Standing::Fresh; 2]);
    // a set aside endpoint has no say: its truth is as worthless as its lies
    let asked = liar.asked("eth_call");
    reader.status(&town.id(&order)).await.unwrap();
    assert_eq!(liar.asked("eth_call"), asked);
}

#[tokio::test]
async fn a_liar_about_events_and_state_is_outvoted() {
    let town = Town::open().await;
    let order = town.funded(1).await;
    for position in 0..3 {
        let (proxies, config) = proxies::<3>(&town).await;
        proxies[position].turns(Manner::Lying(hides_everything));
        let reader = ChainReader::new(config).unwrap();
        for _ in 0..20 {
            assert_eq!(events(&reader).await.len(), 1, "the liar is number {position}");
            assert_eq!(reader.status(&town.id(&order)).await.unwrap().status, Status::Funded);
        }
    }
}

#[tokio::test]
async fn a_tall_tale_moves_nobody() {
    let town = Town::open().await;
    let ([liar, _b, _c], config) = proxies::<3>(&town).await;
    liar.turns(Manner::Lying(claims_a_tall_chain));
    let reader = ChainReader::new(config).unwrap();
    town.funded(1).await;
    assert_eq!(reader.latest().await.unwrap().number, town.chain.head().0);
    assert_eq!(events(&reader).await.len(), 1);
}

#[tokio::test]
async fn with_two_liars_of_three_nothing_is_booked() {
    let town = Town::open().await;
    let ([a, b, _c], config) = proxies::<3>(&town).await;
    a.turns(Manner::Dead);
    b.turns(Manner::Lying(another_hash));
    let reader = ChainReader::new(config).unwrap();
    town.funded(1).await;
    let error = Watcher::new(reader).beginning().await.unwrap_err();
    assert_eq!(error.code(), "rpc_no_agreement");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn two_that_contradict_each_other_are_both_not_believed() {
    let town = Town::open().await;
    let ([a, _b], config) = proxies::<2>(&town).await;
    let reader = ChainReader::new(config).unwrap();
    town.funded(1).await;
    assert_eq!(events(&reader).await.len(), 1);
    a.turns(Manner::Lying(another_hash));
    assert_eq!(Watcher::new(reader.clone()).beginning().await.unwrap_err().code(), "rpc_no_agreement");
    a.turns(Manner::Dead);
    assert_eq!(events(&reader).await.len(), 1);
}

#[tokio::test]
async fn one_that_is_behind_is_not_believed_over_a_fresh_one() {
    let town = Town::open().await;
    let ([late, _b], config) = proxies::<2>(&town).await;
    let (old, _) = town.chain.head();
    town.chain.mine(10);
    late.turns(Manner::Behind(old));
    let reader = ChainReader::new(config).unwrap();
    town.funded(1).await;
    assert_eq!(reader.latest().await.unwrap().number, town.chain.head().0);
    assert_eq!(standings(&reader), [Standing::Lagging, Standing::Fresh]);
    assert_eq!(events(&reader).await.len(), 1);
    assert!(reader.endpoints()[0].behind >= 10);
    late.turns(Manner::Honest);
    reader.latest().await.unwrap();
    assert_eq!(standings(&reader), [Standing::Fresh; 2]);
}

#[tokio::test]
async fn an_endpoint_of_another_chain_is_never_asked() {
    let town = Town::open().await;
    let other = DevChain::start(Config { chain_id: 5, ..Config::for_testing() }).await.unwrap();
    let mut config = town.config();
    config.rpc_urls.insert(0, other.rpc_url());
    let bob = EscrowClient::connect(config, &town.bob).await.unwrap();
    let order = town.order(1);
    bob.fund(&order, &town.payment(&order, &town.alice), None).await.unwrap();
    assert_eq!(standings(bob.reader()), [Standing::OtherChain, Standing::Fresh]);
}

/// The first endpoint takes a transaction and is never heard of again.
#[tokio::test]
async fn an_endpoint_that_dies_in_the_middle_of_a_settlement_costs_nothing() {
    for manner in [Manner::Dead, Manner::Silent] {
        let town = Town::open().await;
        let ([first, _b, _c], config) = proxies::<3>(&town).await;
        let bob = EscrowClient::connect(config, &town.bob).await.unwrap();
        for salt in 0..4 {
            if salt == 2 {
                first.turns(manner.clone());
            }
            let order = town.order(salt);
            let sent = bob.fund(&order, &town.payment(&order, &town.alice), None).await.unwrap();
            assert!(matches!(sent, Sent::Mined(_)));
            bob.release(&order, &town.release(&order, &town.alice)).await.unwrap();
        }
        assert_eq!(town.held(), 2_000_000, "only fees are left");
        assert_eq!(events(bob.reader()).await.len(), 8);
        // four payments and four releases, each under one nonce
        assert_eq!(nonce(&town, &town.bob).await, 8);
        town.assert_conserved();
    }
}

#[tokio::test]
async fn an_endpoint_that_loses_transactions_loses_none_of_ours() {
    let town = Town::open().await;
    let ([first, _b, _c], config) = proxies::<3>(&town).await;
    let bob = EscrowClient::connect(config, &town.bob).await.unwrap();
    let (height, _) = town.chain.head();
    first.turns(Manner::Behind(height));
    let order = town.order(1);
    bob.fund(&order, &town.payment(&order, &town.alice), None).await.unwrap();
    assert_eq!(town.held(), 5_000_000);
    assert_eq!(nonce(&town, &town.bob).await, 1);
}

#[tokio::test]
async fn a_transaction_the_chain_took_back_is_sent_again_as_it_was() {
    let town = Town::open().await;
    let bob = town.client(&town.bob).await;
    let orders: Vec<_> = (0..3).map(|salt| town.order(salt)).collect();
    let mut mined = Vec::new();
    for order in &orders {
        let sent = bob.fund(order, &town.payment(order, &town.alice), None).await.unwrap();
        mined.push(sent.tx().unwrap().hash);
    }
    assert_eq!(town.chain.reorg(3, Taken::Lost).unwrap(), 3);
    assert_eq!(town.held(), 0);
    // the next step finds its nonce too high: what was lost goes first, under its own nonces
    let fourth = town.order(4);
    bob.fund(&fourth, &town.payment(&fourth, &town.alice), None).await.unwrap();
    assert_eq!(town.held(), 20_000_000);
    assert_eq!(nonce(&town, &town.bob).await, 4);
    let facts = Watcher::new(town.reader()).facts_of(&town.id(&orders[0])).await.unwrap();
    assert_eq!(facts[0].at.tx, mined[0], "the very same transaction");
    town.assert_conserved();
}

#[tokio::test]
async fn a_step_the_chain_took_back_is_the_same_transaction_again() {
    let town = Town::open().await;
    let bob = town.client(&town.bob).await;
    let order = town.order(1);
    let payment = town.payment(&order, &town.alice);
    let first = bob.fund(&order, &payment, None).await.unwrap().tx().unwrap().hash;
    town.chain.reorg(1, Taken::Lost).unwrap();
    let again = bob.fund(&order, &payment, None).await.unwrap().tx().unwrap().hash;
    assert_eq!(again, first);
    assert_eq!(nonce(&town, &town.bob).await, 1);
    assert_eq!(town.held(), 5_000_000);
}

/// However deep, and whatever one of three endpoints does meanwhile: one poll to notice, one to read anew.
#[tokio::test]
async fn a_reorganisation_is_followed_in_two_polls() {
    for depth in [2, 20] {
        for odd in ["liar", "behind", "dead"] {
            let town = Town::open().await;
            let ([first, _b, _c], config) = proxies::<3>(&town).await;
            let reader = ChainReader::new(config).unwrap();
            let watcher = Watcher::new(reader.clone());
            let order = town.funded(1).await;
            town.chain.mine(depth - 1);
            let start = watcher.beginning().await.unwrap();
            let Polled::Facts { mut facts, next: mut cursor } = watcher.poll(start, Reach::default()).await.unwrap()
            else {
                panic!("nothing to rewind")
            };
            assert_eq!(facts.len(), 1);
            let old = facts[0].at.block_hash;

            first.turns(match odd {
                "liar" => Manner::Lying(another_hash),
                "behind" => Manner::Behind(start.block + 1),
                _ => Manner::Dead,
            });
            assert_eq!(town.chain.reorg(depth, Taken::MinedAgain).unwrap(), 0);
            let mut polls = 0;
            while !facts.iter().any(|fact| fact.at.block_hash != old) {
                polls += 1;
                match watcher.poll(cursor, Reach::default()).await.unwrap() {
                    Polled::Rewind { to } => {
                        facts.retain(|fact| fact.at.block <= to.block);
                        cursor = to;
                    }
                    Polled::Facts { facts: read, next } => {
                        facts.extend(read);
                        cursor = next;
                    }
                }
                assert!(polls <= 2, "{depth} blocks, one is {odd}");
            }
            assert_eq!(facts.len(), 1, "{depth} blocks, one is {odd}");
            assert_eq!(reader.status(&town.id(&order)).await.unwrap().status, Status::Funded);
        }
    }
}

#[tokio::test]
async fn hundreds_at_once_leave_no_gap() {
    let town = Town::open().await;
    let (_proxies, config) = proxies::<3>(&town).await;
    // three hundred at once on one machine: an answer may take its time
    let config = EscrowConfig { request_timeout: Duration::from_secs(120), ..config };
    let bob = EscrowClient::connect(config, &town.bob).await.unwrap();
    town.chain.mint_usdc(town.alice.address(), 2_000_000_000).unwrap();
    let sending: Vec<_> = (0..300)
        .map(|salt| {
            let (bob, order) = (bob.clone(), town.order(salt));
            let payment = town.payment(&order, &town.alice);
            tokio::spawn(async move { bob.fund(&order, &payment, None).await })
        })
        .collect();
    for sent in sending {
        assert!(matches!(sent.await.unwrap().unwrap(), Sent::Mined(_)));
    }
    assert_eq!(town.held(), 300 * 5_000_000);
    assert_eq!(nonce(&town, &town.bob).await, 300);
}

#[tokio::test]
async fn the_same_step_asked_for_many_times_at_once_is_one_transaction() {
    let town = Town::open().await;
    let bob = town.client(&town.bob).await;
    let order = town.order(1);
    let payment = town.payment(&order, &town.alice);
    let sending: Vec<_> = (0..50)
        .map(|_| {
            let (bob, order) = (bob.clone(), order.clone());
            tokio::spawn(async move { bob.fund(&order, &payment, None).await })
        })
        .collect();
    for sent in sending {
        sent.await.unwrap().unwrap();
    }
    assert_eq!(nonce(&town, &town.bob).await, 1);
    assert_eq!(town.held(), 5_000_000);
}

/// How many transactions of this key are mined.
async fn nonce(town: &Town, key: &haggle_base::PaymentKey) -> u64 {
    use alloy::providers::{Provider as _, ProviderBuilder};
    let provider = ProviderBuilder::new().connect_http(town.chain.rpc_url().parse().unwrap());
    provider.get_transaction_count(key.address()).await.unwrap()
}
