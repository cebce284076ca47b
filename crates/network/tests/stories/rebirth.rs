//! Nodes that are killed say no farewell, and are back before anybody has missed them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle_network::NetworkConfig;
use tokio::runtime::{Builder, Runtime};

use crate::lab::{Node, news, node_key, start, start_as, until_heard_by, within};

/// A node that dies as if it were killed: its connections are never closed. TCP would tell, since the machine lives on.
struct Mortal {
    runtime: Runtime,
    node: Node,
}

fn over_quic(config: &mut NetworkConfig) {
    config.listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".to_owned()];
}

impl Mortal {
    /// A node that does not listen to gossip itself, as a light node.
    async fn born(known: &Node) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let bootstrap = known.listen_addrs();
        let born = async move {
            let change = |config: &mut NetworkConfig| {
                over_quic(config);
                config.bootstrap = bootstrap;
                config.listens_to = Some(Vec::new());
            };
            start_as(&node_key(2), &[], change).await
        };
        let node = runtime.spawn(born).await.unwrap();
        Self { runtime, node }
    }

    fn killed(self) {
        self.runtime.shutdown_background();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_was_killed_and_is_back_at_once_is_heard_like_a_new_one() {
    let mut alice = start(1, &[], |config| {
        over_quic(config);
        config.target_peers = 0;
    })
    .await;
    for news_of in ["first", "second", "third"] {
        let bob = Mortal::born(&alice).await;
        until_heard_by(&bob.node, 1).await;
        bob.node.publish(&news(), format!("bob's {news_of} life").into_bytes()).await.unwrap();
        let message = within(alice.inbox.gossip.recv()).await.unwrap();
        assert_eq!(message.bytes, format!("bob's {news_of} life").as_bytes());
        message.verdict.accept();
        // they have met: Bob has asked Alice who she is
        within(bob.node.ensure_dids(&alice.peer_id())).await;
        bob.killed();
    }
}
