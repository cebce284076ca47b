//! Whether others can dial this node: the addresses to be tried from outside, and what follows from how that comes out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use haggle_base::PeerId;
use libp2p::Multiaddr;
use libp2p::autonat::v2::server;
use libp2p::swarm::ConnectionId;
use libp2p::upnp;

use super::Worker;
use crate::address;
use crate::events::NetworkEvent;
use crate::reach::{MAX_CLAIMS, Reach, Verdict};

/// Addresses of this machine, as peers see it, that are tried: the ones that most of them see.
const MAX_SEEN: usize = 2;
/// Between two looks at what is to be tried, on the open internet and on one machine.
const LOOK: [Duration; 2] = [Duration::from_secs(1), Duration::from_millis(100)];

impl Worker {
    /// A peer says at which address it sees this node. It has one vote, and none on the port: a port that was opened
    /// for one connection is no use to others, unless both sides punch.
    pub(super) fn on_seen_at(&mut self, peer: PeerId, connection: ConnectionId, addr: &Multiaddr) {
        self.swarm.behaviour_mut().quiet.punching.seen_at(connection, addr);
        let ip = address::ip(addr).filter(|_| !address::is_relayed(addr));
        if let Some(ip) = ip.filter(|_| self.swarm.behaviour().quiet.asking.is_enabled()) {
            self.seen_at.insert(peer, ip);
        }
    }

    /// Looks at what is to be tried, and at what is known by now.
    pub(super) fn tend_reach(&mut self, elapsed: Duration) {
        if let Some(answering) = self.swarm.behaviour_mut().quiet.answering.as_mut() {
            answering.tend(elapsed);
        }
        if let Some(mapping) = self.swarm.behaviour_mut().quiet.mapping.as_mut() {
            mapping.tend(elapsed);
        }
        if elapsed < self.look_at_reach || !self.swarm.behaviour().quiet.asking.is_enabled() {
            return;
        }
        self.look_at_reach = elapsed + LOOK[usize::from(self.config.loopback_ok)];
        let claims = self.claims();
        if let Some(asking) = self.swarm.behaviour_mut().quiet.asking.as_mut() {
            asking.tend(claims, elapsed);
        }
        self.learn_reach();
        if self.is_certainly_open() {
            self.give_places_back();
        }
    }

    /// The addresses that others may be able to dial: open ones that this node listens on, those that the router says
    /// it opened, and this node's ports behind the addresses that peers see.
    fn claims(&self) -> Vec<Multiaddr> {
        let one_machine = self.config.loopback_ok;
        let mut listeners: Vec<_> = self.swarm.listeners().filter(|addr| !address::is_relayed(addr)).collect();
        listeners.sort_unstable();
        let mut claims: Vec<Multiaddr> = Vec::new();
        claims.extend(listeners.iter().filter(|addr| address::is_public(addr, one_machine)).copied().cloned());
        claims.extend(self.mapped.iter().cloned());
        for ip in self.open_ips().into_iter().chain(self.most_seen()) {
            claims.extend(listeners.iter().filter_map(|addr| address::with_ip(addr, ip)));
        }
        let mut different: Vec<Multiaddr> = Vec::new();
        for addr in claims.into_iter().filter(|addr| address::is_public(addr, one_machine)) {
            if different.len() < MAX_CLAIMS && !different.contains(&addr) {
                different.push(addr);
            }
        }
        different
    }

    /// Where this node was dialled: no vote takes that away, only trying does.
    fn open_ips(&self) -> BTreeSet<IpAddr> {
        let asking = self.swarm.behaviour().quiet.asking.as_ref();
        asking.into_iter().flat_map(|asking| asking.open()).filter_map(address::ip).collect()
    }

    fn most_seen(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let mut votes: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for ip in self.seen_at.values() {
            *votes.entry(*ip).or_default() += 1;
        }
        let mut votes: Vec<_> = votes.into_iter().collect();
        votes.sort_by_key(|(_, votes)| std::cmp::Reverse(*votes));
        votes.into_iter().take(MAX_SEEN).map(|(ip, _)| ip)
    }

    /// The router has opened a port, or closed it. If nobody is asked to try it, its word has to do.
    pub(super) fn on_mapping(&mut self, event: upnp::Event) {
        let has_asking = self.swarm.behaviour().quiet.asking.is_enabled();
        match event {
            upnp::Event::NewExternalAddr { external_addr: addr, .. } => {
                if self.mapped.len() >= MAX_CLAIMS || self.mapped.contains(&addr) || !address::is_public(&addr, false) {
                    return;
                }
                tracing::info!("the router has opened {addr} for this node");
                self.mapped.push(addr.clone());
                if !has_asking {
                    self.swarm.add_external_address(addr);
                    self.on_listeners_changed();
                }
            }
            upnp::Event::ExpiredExternalAddr { external_addr: addr, .. } => {
                tracing::info!("the router keeps {addr} open no longer");
                self.mapped.retain(|known| *known != addr);
                if !has_asking {
                    self.swarm.remove_external_address(&addr);
                    self.on_listeners_changed();
                }
            }
            upnp::Event::GatewayNotFound => tracing::debug!("no router opens ports here"),
            upnp::Event::NonRoutableGateway => {
                tracing::info!("the router here stands behind another one: no port is opened");
            }
        }
    }

    /// Whether the router says that it opened a port, and nobody is asked to try it.
    pub(super) fn is_opened_by_router(&self) -> bool {
        !self.mapped.is_empty() && !self.swarm.behaviour().quiet.asking.is_enabled()
    }

    /// A peer has tried an address of this node.
    pub(super) fn on_verdict(&mut self, verdict: &Verdict) {
        let Verdict { addr, by, is_open } = verdict;
        let word = if *is_open { "can" } else { "cannot" };
        tracing::debug!(peer.id = %by, "peer {by} {word} dial this node at {addr}");
        self.learn_reach();
    }

    /// This node has tried an address of a peer.
    pub(super) fn on_tried(event: &server::Event) {
        let (peer, addr) = (event.client, &event.tested_addr);
        tracing::debug!(peer.id = %peer, "peer {peer} asked whether it can be dialled at {addr}");
    }

    fn learn_reach(&mut self) {
        let Some(asking) = self.swarm.behaviour().quiet.asking.as_ref() else { return };
        let listens = self.swarm.listeners().any(|addr| !address::is_relayed(addr));
        let reach = if listens { asking.reach() } else { Reach::No };
        if self.shared.set_reach(reach) == reach {
            return;
        }
        match reach {
            Reach::Yes => tracing::info!("others can dial this node"),
            Reach::No => tracing::info!("nobody can dial this node: it is reached through relays alone"),
            Reach::Unknown => tracing::info!("it is not known whether others can dial this node"),
        }
        self.on_listeners_changed();
        self.tell(NetworkEvent::ReachChanged { reach });
    }

    /// Whether more than one peer has dialled this node.
    pub(super) fn is_certainly_open(&self) -> bool {
        self.swarm.behaviour().quiet.asking.as_ref().is_some_and(|asking| asking.is_certain())
    }
}
