//! A crowd of hostile peers closes around one key of the DHT: it can hide a pointer, and put none there.

use std::sync::Arc;
use std::time::Duration;

use haggle_base::{AgentKey, Did, NodeKey};
use haggle_network::{PointerRank, PointerVerdict};
use libp2p::kad::{KBucketDistance, KBucketKey};

use crate::lab::{Node, PATIENCE, agent_key, keeps, node_key, start_as, until, within};

/// As many as a lookup asks.
const CROWD: usize = 20;
/// Keys that the crowd tries to come near.
const TRIED: u32 = 512;

/// The agent's word that it is at a place. A later word has a higher number.
fn pointer(agent: &AgentKey, number: u8, place: &str) -> Vec<u8> {
    let said = [&[number], place.as_bytes()].concat();
    [&agent.sign(&said)[..], &said].concat()
}

/// Whether a value is the word of the agent whose public key is the key, and how new it is.
fn signed(key: &[u8], value: &[u8]) -> PointerVerdict {
    let agent = key.try_into().ok().and_then(|key| Did::from_public_key(key).ok());
    match agent.zip(value.split_first_chunk::<64>()) {
        Some((agent, (signature, said))) if agent.verify(said, signature).is_ok() => {
            PointerVerdict::Good { rank: PointerRank::new(said[0].into(), [0; 32]), left: Duration::MAX }
        }
        _ => PointerVerdict::Bad,
    }
}

fn distance(node: &NodeKey, key: &[u8]) -> KBucketDistance {
    KBucketKey::new(node.peer_id().to_multihash().to_vec()).distance(&KBucketKey::new(key.to_vec()))
}

/// The node keys that come nearest to a key.
fn near(key: &[u8]) -> Vec<NodeKey> {
    let made = (0..TRIED).map(|number| {
        let mut secret = [0xee; 32];
        secret[..4].copy_from_slice(&number.to_be_bytes());
        NodeKey::from_bytes(&secret)
    });
    let mut made: Vec<_> = made.collect();
    made.sort_by_cached_key(|node| distance(node, key));
    made.truncate(CROWD);
    made
}

/// An honest node: it keeps and returns what is signed.
async fn honest(number: u8) -> Node {
    start_as(&node_key(number), &[], |config| {
        config.target_peers = 0;
        config.pointers = Arc::new(signed);
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_around_a_key_hides_a_pointer_whose_publisher_is_away_and_forges_none() {
    let agent = agent_key(70);
    let key = agent.did().public_key().to_vec();
    let (stale, newest) = (pointer(&agent, 1, "an empty house"), pointer(&agent, 2, "here"));
    let forged = [&newest[..64], b"\x03a trap"].concat();
    let (alice, bob) = (honest(1).await, honest(2).await);

    // A third keep nothing, a third what is out of date, a third what was never said.
    let near = near(&key);
    let crowd_ends = near.last().map(|node| distance(node, &key));
    assert!((1..=2).all(|number| Some(distance(&node_key(number), &key)) > crowd_ends));
    let mut crowd = Vec::new();
    for (number, node) in near.iter().enumerate() {
        let kept = [None, Some(stale.clone()), Some(forged.clone())][number % 3].clone();
        let only = kept.clone();
        let eve = start_as(node, &[], |config| {
            config.target_peers = 0;
            config.pointers = keeps(move |value| only.as_deref() == Some(value));
        })
        .await;
        for honest in [&alice, &bob] {
            eve.dial(&honest.listen_addrs()[0]).await.unwrap();
        }
        crowd.push((eve, kept));
    }
    for honest in [&alice, &bob] {
        until(honest, || crowd.iter().all(|(eve, _)| honest.is_connected(&eve.peer_id()))).await;
    }
    for (eve, kept) in &crowd[1..3] {
        // told to others of the crowd or not, her own node keeps it
        let _told = within(eve.put_pointer(key.clone(), kept.clone().unwrap())).await;
    }

    // Kademlia says "stored": a peer's word is all there is. Alice alone keeps it, and a lookup may or may not come to her.
    within(alice.put_pointer(key.clone(), newest.clone())).await.unwrap();
    let found = within(bob.get_pointer(key.clone(), PATIENCE)).await.unwrap();
    assert!(found.contains(&stale) && !found.contains(&forged), "what is out of date is signed, too");
    alice.shutdown().await;
    drop(alice);
    let found = within(bob.get_pointer(key, PATIENCE)).await.unwrap();
    assert_eq!(found, [stale], "what is hidden is not found, and what is forged is not returned");
}
