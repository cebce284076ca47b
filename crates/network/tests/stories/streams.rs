//! Streams: echo over both transports, bursts, and every way of being refused.

use haggle_base::Coded;
use haggle_network::frame::{read_frame, write_frame};
use haggle_network::{Incoming, Network, NetworkConfig, Transport};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::lab::{Node, couple, market, start, start_shy, until, within};

const ECHO: &str = "/haggle/devnet-7/1/echo/1";
const FRAME: usize = 64 * 1024;

/// Answers every frame with itself until the stream ends.
fn serve_echo(mut incoming: Incoming) {
    tokio::spawn(async move {
        while let Some((_, mut stream)) = incoming.next().await {
            tokio::spawn(async move {
                while let Ok(Some(frame)) = read_frame(&mut stream, FRAME).await {
                    write_frame(&mut stream, &frame, FRAME).await.unwrap();
                }
            });
        }
    });
}

async fn echoes(alice: &Network, bob: &Network) {
    let mut stream = within(alice.open(&bob.peer_id(), ECHO)).await.unwrap();
    assert_eq!(*stream.peer(), bob.peer_id());
    for size in [0, 1, 1000, FRAME] {
        let sent = vec![u8::try_from(size % 251).unwrap(); size];
        within(write_frame(&mut stream, &sent, FRAME)).await.unwrap();
        let got = within(read_frame(&mut stream, FRAME)).await.unwrap().unwrap();
        assert_eq!(got, sent);
    }
    let error = write_frame(&mut stream, &vec![0; FRAME + 1], FRAME).await.unwrap_err();
    assert_eq!(error.code(), "frame_too_large");
    within(stream.shutdown()).await.unwrap();
    assert!(within(read_frame(&mut stream, FRAME)).await.unwrap().is_none(), "a clean end");
}

async fn echo_over(transport: Transport) {
    let only = |config: &mut NetworkConfig| {
        config.target_peers = 0;
        config.listen = vec![match transport {
            Transport::Tcp => "/ip4/127.0.0.1/tcp/0".to_owned(),
            Transport::Quic => "/ip4/127.0.0.1/udp/0/quic-v1".to_owned(),
        }];
    };
    let alice = start(1, &[], only).await;
    let bob = start(2, &[], only).await;
    serve_echo(bob.accept(ECHO).unwrap());
    within(alice.connect(&bob.peer_id(), &bob.listen_addrs())).await.unwrap();
    assert_eq!(alice.peers()[0].transport, Some(transport));
    echoes(&alice, &bob).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_echoes_over_tcp() {
    echo_over(Transport::Tcp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_echoes_over_quic() {
    echo_over(Transport::Quic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_connects_by_itself() {
    let (alice, bob) = couple().await;
    serve_echo(bob.accept(ECHO).unwrap());
    let carol = start(3, &[&alice], |config| config.target_peers = 1).await;
    until(&carol, || carol.is_connected(&alice.peer_id())).await;
    echoes(&carol, &bob).await;
}

/// A node that has just started may be connected before its services are up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_comes_up_right_after_connecting_is_found() {
    let (alice, bob) = couple().await;
    let (opener, peer) = (alice.network.clone(), bob.peer_id());
    let opened = tokio::spawn(async move { opener.open(&peer, ECHO).await });
    tokio::task::yield_now().await;
    serve_echo(bob.accept(ECHO).unwrap());
    within(opened).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_a_protocol_is_known_with_the_connection_and_after_it() {
    let (alice, bob) = (start(1, &[], |_| {}).await, start_shy(2).await);
    let name = haggle_network::scoped(&market(), "search/1");
    let speaking = || alice.speaking(&name, Duration::from_secs(60));
    let _searches = bob.accept(&name).unwrap();
    bob.dial(&alice.listen_addrs()[0]).await.unwrap();
    until(&alice, || speaking() == (vec![bob.peer_id()], vec![])).await;
    bob.shutdown().await;
    until(&alice, || speaking() == (vec![], vec![bob.peer_id()])).await;
}

/// Without being told, a peer would hear of it with the next ping, which takes up to 15 seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_protocol_that_is_spoken_only_after_connecting_is_told_at_once() {
    let (alice, bob) = couple().await;
    let name = haggle_network::scoped(&market(), "search/1");
    let speaking = || alice.speaking(&name, Duration::from_secs(60)).0;
    assert!(speaking().is_empty());
    let _searches = bob.accept(&name).unwrap();
    let told = async {
        while speaking() != [bob.peer_id()] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), told).await.expect("it is told before the next ping");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_protocol_that_is_spoken_no_more_is_refused_until_it_is_spoken_again() {
    let (alice, bob) = couple().await;
    let spoken = bob.accept(ECHO).unwrap();
    let _stream = within(alice.open(&bob.peer_id(), ECHO)).await.unwrap();
    drop(spoken);
    let refused = async {
        loop {
            if let Err(error) = alice.open(&bob.peer_id(), ECHO).await {
                return error;
            }
        }
    };
    assert_eq!(within(refused).await.code(), "protocol_unsupported");
    serve_echo(bob.accept(ECHO).unwrap());
    echoes(&alice, &bob).await;
}

/// libp2p-stream drops inbound streams when many open at once; nobody may notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_streams_all_arrive() {
    let (alice, bob) = couple().await;
    serve_echo(bob.accept(ECHO).unwrap());
    let burst = (0..60_u8).map(|number| {
        let (alice, peer) = (alice.network.clone(), bob.peer_id());
        tokio::spawn(async move {
            let mut stream = alice.open(&peer, ECHO).await.unwrap();
            write_frame(&mut stream, &[number; 100], FRAME).await.unwrap();
            assert_eq!(read_frame(&mut stream, FRAME).await.unwrap().unwrap(), [number; 100]);
            stream
        })
    });
    let open = within(futures::future::join_all(burst)).await;
    assert!(open.iter().all(Result::is_ok));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_may_hold_only_so_many_streams() {
    let alice = start(1, &[], |_| {}).await;
    let bob = start(2, &[&alice], |config| config.max_streams_per_peer = 3).await;
    serve_echo(bob.accept(ECHO).unwrap());
    until(&alice, || alice.is_connected(&bob.peer_id())).await;
    // The exchange of proofs holds a stream for a moment, too.
    let _no_dids = alice.ensure_dids(&bob.peer_id()).await;
    let _no_dids = bob.ensure_dids(&alice.peer_id()).await;

    let mut held = vec![];
    let error = loop {
        match within(alice.open(&bob.peer_id(), ECHO)).await {
            Ok(stream) => held.push(stream),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), "too_many_streams");
    assert_eq!(held.len(), 3);

    let mut last = held.pop().unwrap();
    last.shutdown().await.unwrap();
    assert_eq!(within(last.read(&mut [0])).await.unwrap(), 0, "Bob has let go of it");
    within(async {
        while let Err(error) = alice.open(&bob.peer_id(), ECHO).await {
            assert_eq!(error.code(), "too_many_streams");
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unspoken_protocol_and_a_bad_name_are_refused() {
    let (alice, bob) = couple().await;
    let error = within(alice.open(&bob.peer_id(), "/nobody/speaks/this")).await.unwrap_err();
    assert_eq!(error.code(), "protocol_unsupported");
    assert!(!error.is_retryable());
    for bad in ["echo", ""] {
        assert_eq!(alice.open(&bob.peer_id(), bad).await.unwrap_err().code(), "bad_protocol_name");
    }
    let _first = bob.accept(ECHO).unwrap();
    assert_eq!(bob.accept(ECHO).unwrap_err().code(), "already_accepted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_takes_the_streams_and_the_opener_is_told() {
    let (alice, bob) = couple().await;
    let bob: Node = bob;
    let incoming = bob.accept(ECHO).unwrap();
    let mut held = vec![];
    let error = loop {
        match within(alice.open(&bob.peer_id(), ECHO)).await {
            Ok(stream) => held.push(stream),
            Err(error) => break error,
        }
    };
    assert!(["too_many_streams", "open_timeout"].contains(&error.code()), "{error}");
    assert!(held.len() <= 64);
    drop(incoming);
}
