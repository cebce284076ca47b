//! One case: a relay on the open internet and two nodes, each behind something, with the settings that nodes have.

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use haggle_base::NodeKey;
use haggle_network::{NetworkConfig, Path, Reach, RelayLimits};
use tokio::time::{interval, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::host::{Machine, Node};
use crate::internet::{self, Plug};
use crate::router::{Behind, Router};

/// Addresses of the open internet, as far as a node can tell.
const RELAY: Ipv4Addr = Ipv4Addr::new(11, 0, 0, 1);
const OUTSIDE: [Ipv4Addr; 2] = [Ipv4Addr::new(11, 0, 0, 2), Ipv4Addr::new(11, 0, 0, 3)];
/// Addresses of homes.
const INSIDE: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 168, 1, 2), Ipv4Addr::new(192, 168, 1, 3)];
/// Between two looks at how far things are.
const LOOK: Duration = Duration::from_millis(100);
/// Generous: punching alone takes half a minute to be given up.
const PATIENCE: Duration = Duration::from_secs(100);

/// Who meets whom, over what.
#[derive(Copy, Clone)]
pub(crate) struct Case {
    pub(crate) alice: Behind,
    pub(crate) bob: Behind,
    pub(crate) carrier: &'static str,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:4} {:10} - {:10}", self.carrier, self.alice.as_str(), self.bob.as_str())
    }
}

impl Case {
    /// Every pair, over every carrier.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for carrier in ["tcp", "quic"] {
            for (index, alice) in Behind::ALL.into_iter().enumerate() {
                all.extend(Behind::ALL[index..].iter().map(|bob| Self { alice, bob: *bob, carrier }));
            }
        }
        all
    }

    /// The way that the two find to each other in the end.
    pub(crate) fn expected(self) -> Path {
        match (self.alice, self.bob) {
            (_, Behind::RelayOnly) | (Behind::RelayOnly, _) => Path::Relayed,
            (Behind::Public, _) | (_, Behind::Public) => Path::Direct,
            (Behind::Cone, Behind::Cone) => Path::Punched,
            // the port that the one knows of the other is not the one that would be open to it
            (Behind::Symmetric, _) | (_, Behind::Symmetric) => Path::Relayed,
        }
    }

    /// Plays the case. Says what went wrong.
    pub(crate) async fn run(self) -> Result<(), String> {
        let mut at = "start";
        let played = timeout(PATIENCE, self.play(&mut at)).await;
        match played {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("{at}: {error}")),
            Err(_) => Err(format!("{at}: not within {} s", PATIENCE.as_secs())),
        }
    }

    async fn play(self, at: &mut &'static str) -> Result<(), String> {
        let text = |error: io::Error| error.to_string();
        let (relay, relay_wire) = Machine::new(format!("{self} relay"), RELAY).await.map_err(text)?;
        let mut plugs = vec![Plug { router: Router::new(Behind::Public, RELAY, RELAY), wire: relay_wire }];
        let mut machines = Vec::new();
        for (index, behind) in [self.alice, self.bob].into_iter().enumerate() {
            let ip = if behind == Behind::Public { OUTSIDE[index] } else { INSIDE[index] };
            let (machine, wire) =
                Machine::new(format!("{self} {}", ["alice", "bob"][index]), ip).await.map_err(text)?;
            plugs.push(Plug { router: Router::new(behind, OUTSIDE[index], RELAY), wire });
            machines.push(machine);
        }
        let _internet = AbortOnDropHandle::new(tokio::spawn(internet::run(plugs)));

        let config = self.config();
        let relay_addr =
            format!("{}/p2p/{}", config.listen[0].replace("0.0.0.0", &RELAY.to_string()), key(1).peer_id());
        let relaying = NetworkConfig { relay: Some(RelayLimits::default()), ..config.clone() };
        let relay = relay.start(key(1), relaying).await;
        let config = NetworkConfig { bootstrap: vec![relay_addr.clone()], relays: vec![relay_addr], ..config };
        let mut nodes = Vec::new();
        for (number, machine) in (2..).zip(machines) {
            nodes.push(machine.start(key(number), config.clone()).await);
        }
        let [alice, bob] = nodes.as_slice() else { return Err("two nodes were started".to_owned()) };

        *at = "the relay hears where they are";
        until(|| is_told(&relay, alice, self.alice) && is_told(&relay, bob, self.bob)).await;
        *at = "they find each other";
        while alice.network.connect(&bob.network.peer_id(), &[]).await.is_err() {}
        *at = "they settle on a way";
        let expected = self.expected();
        until(|| {
            let is_last = expected != Path::Relayed || alice.has_given_up_punching() || bob.has_given_up_punching();
            is_last && path(alice, bob) == Some(expected) && path(bob, alice) == Some(expected)
        })
        .await;
        *at = "they ask each other";
        alice.ask(bob).await.map_err(text)?;
        bob.ask(alice).await.map_err(text)?;
        *at = "afterwards";
        for (node, other, behind) in [(alice, bob, self.alice), (bob, alice, self.bob)] {
            let (path, reach) = (path(node, other), node.network.reach());
            let wrong = if behind == Behind::Public { Reach::No } else { Reach::Yes };
            if path != Some(expected) || reach == wrong {
                return Err(format!("path {path:?}, reach {reach:?} behind {behind:?}"));
            }
        }
        Ok(())
    }

    /// The settings of a node, with one carrier.
    fn config(self) -> NetworkConfig {
        let listen = if self.carrier == "tcp" { "/ip4/0.0.0.0/tcp/4404" } else { "/ip4/0.0.0.0/udp/4404/quic-v1" };
        let network = "devnet-7/1".parse().unwrap();
        NetworkConfig { listen: vec![listen.to_owned()], autonat: true, ..NetworkConfig::new(network) }
    }
}

fn key(number: u8) -> NodeKey {
    NodeKey::from_bytes(&[number; 32])
}

/// Waits for something that no event tells of.
async fn until(is_so: impl Fn() -> bool) {
    let mut look = interval(LOOK);
    while !is_so() {
        look.tick().await;
    }
}

/// Whether the relay has heard of an address at which others reach a node: its own, or one at the relay.
fn is_told(relay: &Node, node: &Node, behind: Behind) -> bool {
    let told = relay.network.facts(&node.network.peer_id()).map(|facts| facts.addrs).unwrap_or_default();
    match behind {
        Behind::Public => told.iter().any(|addr| OUTSIDE.iter().any(|ip| addr.starts_with(&format!("/ip4/{ip}/")))),
        Behind::Cone | Behind::Symmetric | Behind::RelayOnly => told.iter().any(|addr| addr.contains("/p2p-circuit")),
    }
}

fn path(from: &Node, to: &Node) -> Option<Path> {
    from.network.facts(&to.network.peer_id()).and_then(|facts| facts.path)
}
