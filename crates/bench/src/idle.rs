//! A bare libp2p node that does nothing: what the memory of an idle haggle node is compared with.

use crate::discovery::Failure;
use crate::processor;
use futures::StreamExt as _;
use libp2p::gossipsub::{self, MessageAuthenticity, ValidationMode};
use libp2p::kad::{self, store::MemoryStore};
use libp2p::swarm::NetworkBehaviour;
use libp2p::{SwarmBuilder, identify, noise, ping, tcp, yamux};
use std::time::Duration;

/// What any node of such a network speaks.
#[derive(NetworkBehaviour)]
struct Bare {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    kad: kad::Behaviour<MemoryStore>,
    gossip: gossipsub::Behaviour,
}

/// Memory of this process in MiB after so much time in which a bare node listens on TCP and QUIC.
///
/// # Errors
/// Loopback cannot be had.
pub async fn bare(time: Duration) -> Result<f64, Failure> {
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)?
        .with_quic()
        .with_behaviour(|keypair| {
            let local = keypair.public().to_peer_id();
            let settings = gossipsub::ConfigBuilder::default().validation_mode(ValidationMode::Anonymous).build()?;
            Ok(Bare {
                identify: identify::Behaviour::new(identify::Config::new("/bare/1".to_owned(), keypair.public())),
                ping: ping::Behaviour::default(),
                kad: kad::Behaviour::new(local, MemoryStore::new(local)),
                gossip: gossipsub::Behaviour::new(MessageAuthenticity::Anonymous, settings)?,
            })
        })?
        .build();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
    swarm.listen_on("/ip4/127.0.0.1/udp/0/quic-v1".parse()?)?;
    let idle = async {
        loop {
            swarm.select_next_some().await;
        }
    };
    let _time_is_over = tokio::time::timeout(time, idle).await;
    processor::memory_mib("VmRSS").ok_or_else(|| "the system does not tell a process's memory".into())
}
