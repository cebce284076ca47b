//! Eve speaks the protocol by hand and shows Bob a proof that Alice made.

use std::time::Duration;

use futures::StreamExt;
use haggle_base::{PeerId, cose};
use haggle_network::frame::{read_frame, write_frame};
use haggle_network::{NetworkEvent, did_protocol, family};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, StreamProtocol, Swarm, SwarmBuilder, identify, noise, tcp, yamux};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::compat::FuturesAsyncReadCompatExt;

use crate::lab::{Node, agent_key, market, start_shy, within};

const LIMIT: usize = 64 * 1024;

#[derive(NetworkBehaviour)]
struct Bare {
    identify: identify::Behaviour,
    streams: libp2p_stream::Behaviour,
}

/// A libp2p node that says it belongs to the market, and nothing else.
struct Eve {
    control: libp2p_stream::Control,
    questions: libp2p_stream::IncomingStreams,
}

fn protocol() -> StreamProtocol {
    StreamProtocol::try_from_owned(did_protocol(&market())).unwrap()
}

fn libp2p_id(peer: &PeerId) -> libp2p::PeerId {
    libp2p::PeerId::from_bytes(&peer.to_multihash()).unwrap()
}

impl Eve {
    async fn connected_to(victims: &[&Node]) -> Self {
        let mut swarm: Swarm<Bare> = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|key| Bare {
                identify: identify::Behaviour::new(identify::Config::new(family(&market()), key.public())),
                streams: libp2p_stream::Behaviour::new(),
            })
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
            .build();
        let mut control = swarm.behaviour().streams.new_control();
        let questions = control.accept(protocol()).unwrap();
        for victim in victims {
            let addr: Multiaddr = victim.listen_addrs()[0].parse().unwrap();
            swarm.dial(addr).unwrap();
        }
        let mut connected = 0;
        while connected < victims.len() {
            if let SwarmEvent::ConnectionEstablished { .. } = swarm.select_next_some().await {
                connected += 1;
            }
        }
        tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        Self { control, questions }
    }

    /// Puts a question to a node, as itself.
    async fn ask(&self, victim: &Node, question: &[u8]) -> Vec<u8> {
        let stream = self.control.clone().open_stream(libp2p_id(&victim.peer_id()), protocol()).await.unwrap();
        let mut stream = stream.compat();
        assert_eq!(stream.read_u8().await.unwrap(), 0, "the stream is accepted");
        write_frame(&mut stream, question, LIMIT).await.unwrap();
        read_frame(&mut stream, LIMIT).await.unwrap().unwrap()
    }

    /// Answers the next question that `victim` puts with what `answer` makes of it.
    async fn answer_question_of<F: AsyncFnOnce(&Self, Vec<u8>) -> Vec<u8>>(&mut self, victim: &Node, answer: F) {
        loop {
            let (peer, stream) = self.questions.next().await.unwrap();
            let mut stream = stream.compat();
            stream.write_u8(0).await.unwrap();
            stream.flush().await.unwrap();
            let question = read_frame(&mut stream, LIMIT).await.unwrap().unwrap();
            if peer == libp2p_id(&victim.peer_id()) {
                let answer = answer(self, question).await;
                write_frame(&mut stream, &answer, LIMIT).await.unwrap();
                stream.shutdown().await.unwrap();
                return;
            }
            // {"proofs": []}: nothing to prove to the others.
            write_frame(&mut stream, b"\xa1\x66proofs\x80", LIMIT).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    }
}

async fn expect_ban_without_proof(bob: &Node, eve_shows: impl AsyncFnOnce(&Eve, Vec<u8>) -> Vec<u8>, alice: &Node) {
    let mut events = bob.subscribe_events();
    let mut eve = within(Eve::connected_to(&[bob, alice])).await;
    within(eve.answer_question_of(bob, eve_shows)).await;
    // One refused proof is half a ban; a second question is asked when Eve says "changed".
    within(async {
        loop {
            match events.recv().await.unwrap() {
                NetworkEvent::Proven { did, .. } => panic!("{did} was believed"),
                NetworkEvent::Connected { peer, .. } => {
                    assert!(bob.ensure_dids(&peer).await.is_empty());
                    assert!(bob.dids_of(&peer).is_empty());
                    return;
                }
                _ => {}
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_replayed_from_a_third_peer_is_refused() {
    let (alice, bob) = (start_shy(1).await, start_shy(2).await);
    alice.present(agent_key(11)).await.unwrap();
    // Eve hands Bob's own question to Alice and Alice's true answer to Bob.
    expect_ban_without_proof(&bob, async |eve, question| eve.ask(&alice, &question).await, &alice).await;
    assert!(bob.peers_of(&agent_key(11).did()).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_proof_and_garbage_are_refused() {
    let (alice, bob) = (start_shy(1).await, start_shy(2).await);
    alice.present(agent_key(11)).await.unwrap();
    expect_ban_without_proof(&bob, async |_, _| cose::sign("did-proof", b"whatever", &agent_key(66)), &alice).await;
    expect_ban_without_proof(
        &bob,
        async |eve, question| {
            // Alice's answer with one byte of the signature turned.
            let mut answer = eve.ask(&alice, &question).await;
            *answer.last_mut().unwrap() ^= 1;
            answer
        },
        &alice,
    )
    .await;
}
