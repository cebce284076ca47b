//! Nodes that nobody can dial are reached through a relay, within its bounds, until something better is there.

use std::time::Duration;

use haggle_base::Coded;
use haggle_network::{NetworkConfig, NetworkEvent, Path, RelayLimits, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::lab::{Node, agent_key, start, start_shy, until, within};

const CALLS: &str = "/a2a/jsonrpc/1.0.0";

/// A node that relays for others and looks for nobody.
async fn start_relay(number: u8, limits: RelayLimits) -> Node {
    start(number, &[], |config| {
        config.target_peers = 0;
        config.relay = Some(limits);
    })
    .await
}

/// A node that listens nowhere and knows these relays.
async fn start_hidden(number: u8, relays: &[&Node]) -> Node {
    let relays = relays.iter().map(|relay| relay.listen_addrs()[0].clone()).collect();
    start(number, &[], |config| {
        config.target_peers = 0;
        config.listen.clear();
        config.relays = relays;
    })
    .await
}

async fn until_reserved(node: &Node) {
    until(node, || node.listen_addrs().iter().any(|addr| addr.contains("/p2p-circuit/"))).await;
}

fn path(from: &Node, to: &Node) -> Option<Path> {
    from.facts(&to.peer_id()).and_then(|facts| facts.path)
}

/// Answers every stream of the protocol with what came over it.
fn echo(node: &Node) {
    let mut incoming = node.accept(CALLS).unwrap();
    tokio::spawn(async move {
        while let Some((_, mut stream)) = incoming.next().await {
            tokio::spawn(async move {
                let mut buffer = vec![0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    if stream.write_all(&buffer[..read]).await.is_err() || stream.flush().await.is_err() {
                        break;
                    }
                }
            });
        }
    });
}

/// Says something and waits for the echo.
async fn say(stream: &mut Stream, text: &[u8]) -> std::io::Result<()> {
    stream.write_all(text).await?;
    stream.flush().await?;
    let mut heard = vec![0; text.len()];
    stream.read_exact(&mut heard).await?;
    assert_eq!(heard, text);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_listens_nowhere_is_called_through_its_relay() {
    let relay = start_relay(1, RelayLimits::default()).await;
    let bob = start(2, &[], |config| {
        config.target_peers = 0;
        config.listen.clear();
        config.relays = vec![relay.listen_addrs()[0].clone()];
        config.agents = vec![agent_key(7)];
    })
    .await;
    echo(&bob);
    until_reserved(&bob).await;
    let relay_id = relay.peer_id().to_string();
    assert!(bob.listen_addrs().iter().all(|addr| addr.contains(&relay_id)), "{:?}", bob.listen_addrs());

    let carol = start_hidden(3, &[]).await;
    within(carol.connect(&bob.peer_id(), &bob.listen_addrs())).await.unwrap();
    assert_eq!(path(&carol, &bob), Some(Path::Relayed));
    until(&bob, || path(&bob, &carol) == Some(Path::Relayed)).await;
    assert_eq!(path(&bob, &relay), Some(Path::Direct));

    let mut stream = within(carol.open(&bob.peer_id(), CALLS)).await.unwrap();
    for line in [&b"one"[..], b"two", &[7; 100_000]] {
        within(say(&mut stream, line)).await.unwrap();
    }
    let dids = within(carol.ensure_dids(&bob.peer_id())).await;
    assert_eq!(dids, [agent_key(7).did()], "a DID is proved over a relay as over any connection");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hidden_node_is_found_through_the_dht() {
    let relay = start_relay(1, RelayLimits::default()).await;
    let bob = start_hidden(2, &[&relay]).await;
    until_reserved(&bob).await;
    let carol = start_hidden(3, &[]).await;
    carol.dial(&relay.listen_addrs()[0]).await.unwrap();
    // The relay hears of Bob's new address a moment later.
    within(async { while carol.connect(&bob.peer_id(), &[]).await.is_err() {} }).await;
    assert_eq!(path(&carol, &bob), Some(Path::Relayed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_direct_connection_takes_the_place_of_a_relayed_one_and_cuts_no_stream() {
    let relay = start_relay(1, RelayLimits { circuits: 1, ..RelayLimits::default() }).await;
    let bob = start_hidden(2, &[&relay]).await;
    echo(&bob);
    until_reserved(&bob).await;
    // Carol can be dialled, and tells so: Bob does.
    let carol = start_shy(3).await;
    within(carol.connect(&bob.peer_id(), &bob.listen_addrs())).await.unwrap();
    let mut early = within(carol.open(&bob.peer_id(), CALLS)).await.unwrap();
    for (one, other) in [(&carol, &bob), (&bob, &carol)] {
        until(one, || path(one, other) == Some(Path::Direct)).await;
    }
    within(say(&mut early, b"still there")).await.unwrap();
    let mut late = within(carol.open(&bob.peer_id(), CALLS)).await.unwrap();
    within(say(&mut late, b"straight on")).await.unwrap();
    drop(early);

    // The relay carries one circuit: it is free only when the first has been given up.
    let dave = start_hidden(4, &[]).await;
    within(async { while dave.connect(&bob.peer_id(), &bob.listen_addrs()).await.is_err() {} }).await;
    assert_eq!(path(&dave, &bob), Some(Path::Relayed));
    within(say(&mut late, b"and on")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hidden_nodes_meet_by_punching() {
    let quic = |config: &mut NetworkConfig| {
        config.target_peers = 0;
        config.listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".to_owned()];
    };
    let relay = start(1, &[], |config| {
        quic(config);
        config.relay = Some(RelayLimits::default());
    })
    .await;
    // They keep their addresses to themselves: all that either learns of the other is what the relay saw.
    let hidden = |config: &mut NetworkConfig| {
        quic(config);
        config.hide_listen_addrs = true;
        config.relays = relay.listen_addrs();
    };
    let bob = start(2, &[], hidden).await;
    let carol = start(3, &[], hidden).await;
    echo(&bob);
    until_reserved(&bob).await;
    until_reserved(&carol).await;
    let circuits: Vec<_> = bob.listen_addrs().into_iter().filter(|addr| addr.contains("/p2p-circuit/")).collect();
    within(carol.connect(&bob.peer_id(), &circuits)).await.unwrap();
    // each side has dialled; whichever connection comes first, both call it what it is
    for (one, other) in [(&carol, &bob), (&bob, &carol)] {
        until(one, || path(one, other) == Some(Path::Punched)).await;
    }
    let mut stream = within(carol.open(&bob.peer_id(), CALLS)).await.unwrap();
    within(say(&mut stream, b"through the wall")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_holds_no_more_places_and_circuits_than_it_has() {
    let limits = RelayLimits { reservations: 1, circuits: 1, ..RelayLimits::default() };
    let relay = start_relay(1, limits).await;
    let bob = start_hidden(2, &[&relay]).await;
    echo(&bob);
    until_reserved(&bob).await;

    let dave = start_hidden(4, &[&relay]).await;
    let mut events = dave.subscribe_events();
    let refused = NetworkEvent::Unreserved { relay: relay.peer_id() };
    within(async { while events.recv().await.unwrap() != refused {} }).await;
    assert!(dave.listen_addrs().is_empty(), "there is one place and Bob has it");

    let carol = start_hidden(3, &[]).await;
    within(carol.connect(&bob.peer_id(), &bob.listen_addrs())).await.unwrap();
    let mut stream = within(carol.open(&bob.peer_id(), CALLS)).await.unwrap();
    let error = within(dave.connect(&bob.peer_id(), &bob.listen_addrs())).await.unwrap_err();
    assert_eq!(error.code(), "peer_unreachable", "there is one circuit and Carol has it");
    within(say(&mut stream, b"nobody noticed")).await.unwrap();

    // What is given up is there for the next.
    carol.shutdown().await;
    within(async { while dave.connect(&bob.peer_id(), &bob.listen_addrs()).await.is_err() {} }).await;
    bob.shutdown().await;
    until_reserved(&dave).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circuit_that_carried_its_bytes_is_cut_and_the_next_call_gets_another() {
    let relay = start_relay(1, RelayLimits { circuit_bytes: 512 * 1024, ..RelayLimits::default() }).await;
    let bob = start_hidden(2, &[&relay]).await;
    echo(&bob);
    until_reserved(&bob).await;
    let carol = start_hidden(3, &[]).await;
    within(carol.connect(&bob.peer_id(), &bob.listen_addrs())).await.unwrap();
    let mut stream = within(carol.open(&bob.peer_id(), CALLS)).await.unwrap();
    let block = vec![1; 64 * 1024];
    let mut carried = 0;
    let cut = within(async {
        loop {
            if say(&mut stream, &block).await.is_err() {
                break;
            }
            carried += 2 * block.len();
        }
    });
    cut.await;
    assert!((1..=512 * 1024).contains(&carried), "{carried} bytes");
    until(&carol, || !carol.is_connected(&bob.peer_id())).await;
    let mut again = within(carol.open(&bob.peer_id(), CALLS)).await.unwrap();
    within(say(&mut again, b"once more")).await.unwrap();
    assert_eq!(path(&carol, &bob), Some(Path::Relayed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circuit_ends_with_its_time() {
    let relay = start_relay(1, RelayLimits { circuit_time: Duration::from_secs(1), ..RelayLimits::default() }).await;
    let bob = start_hidden(2, &[&relay]).await;
    until_reserved(&bob).await;
    let carol = start_hidden(3, &[]).await;
    let mut events = carol.subscribe_events();
    within(carol.connect(&bob.peer_id(), &bob.listen_addrs())).await.unwrap();
    let gone = NetworkEvent::Disconnected { peer: bob.peer_id() };
    within(async { while events.recv().await.unwrap() != gone {} }).await;
    assert!(carol.is_connected(&relay.peer_id()), "only the circuit has ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bound_on_streams_of_a_peer_holds_over_a_relay() {
    let relay = start_relay(1, RelayLimits::default()).await;
    let bob = start(2, &[], |config| {
        config.target_peers = 0;
        config.listen.clear();
        config.relays = vec![relay.listen_addrs()[0].clone()];
        config.max_streams_per_peer = 3;
    })
    .await;
    echo(&bob);
    until_reserved(&bob).await;
    let carol = start_hidden(3, &[]).await;
    within(carol.connect(&bob.peer_id(), &bob.listen_addrs())).await.unwrap();
    drop(within(carol.ensure_dids(&bob.peer_id())).await);
    drop(within(bob.ensure_dids(&carol.peer_id())).await);
    let mut held = vec![];
    let refused = within(async {
        loop {
            match carol.open(&bob.peer_id(), CALLS).await {
                Ok(stream) => held.push(stream),
                Err(error) => break error,
            }
        }
    })
    .await;
    assert_eq!(refused.code(), "too_many_streams");
    assert_eq!(held.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_is_taken_again_when_the_relay_comes_back() {
    let relay = start_relay(1, RelayLimits::default()).await;
    let at = relay.listen_addrs()[0].split("/p2p/").next().unwrap().to_owned();
    let bob = start_hidden(2, &[&relay]).await;
    echo(&bob);
    let mut events = bob.subscribe_events();
    until_reserved(&bob).await;
    relay.shutdown().await;
    let lost = NetworkEvent::Unreserved { relay: relay.peer_id() };
    within(async { while events.recv().await.unwrap() != lost {} }).await;
    until(&bob, || bob.listen_addrs().is_empty()).await;
    drop(relay);

    let relay = start(1, &[], |config| {
        config.target_peers = 0;
        config.listen = vec![at];
        config.relay = Some(RelayLimits::default());
    })
    .await;
    let back = NetworkEvent::Reserved { relay: relay.peer_id() };
    within(async { while events.recv().await.unwrap() != back {} }).await;
    let carol = start_hidden(3, &[]).await;
    within(carol.connect(&bob.peer_id(), &bob.listen_addrs())).await.unwrap();
    let mut stream = within(carol.open(&bob.peer_id(), CALLS)).await.unwrap();
    within(say(&mut stream, b"as before")).await.unwrap();
}

#[tokio::test]
async fn a_relay_behind_a_relay_and_a_circuit_to_listen_on_are_refused_at_the_start() {
    let relay = start_relay(1, RelayLimits::default()).await;
    let circuit = format!("{}/p2p-circuit/p2p/{}", relay.listen_addrs()[0], crate::lab::stranger());
    let clock = std::sync::Arc::new(haggle_base::SystemClock);
    let key = crate::lab::node_key(2);
    let listening = NetworkConfig { listen: vec![circuit.clone()], ..NetworkConfig::for_testing(crate::lab::market()) };
    let behind = NetworkConfig { relays: vec![circuit], ..NetworkConfig::for_testing(crate::lab::market()) };
    for config in [listening, behind] {
        let error = haggle_network::Network::start(config, &key, clock.clone(), None).await.unwrap_err();
        assert_eq!(error.code(), "bad_address");
    }
    let nobody = format!("{}/p2p-circuit", relay.listen_addrs()[0]);
    assert_eq!(relay.dial(&nobody).await.unwrap_err().code(), "bad_address");
}
