//! A node of the simulated market, and who it is connected with.

use super::{Event, START, Settings, World};
use haggle_base::{Timestamp, record::MAX_CLOCK_SKEW};
use haggle_catalog::{
    Entry, Pace, PaceSettings,
    shelf::{Shelf, command},
};
use std::sync::Arc;
use std::time::Duration;

/// Connections a node looks for.
const LINKS: usize = 8;
/// Connections it takes.
const MOST_LINKS: usize = 16;
/// Connections of the mesh that a node looks for, and that it takes.
const MESH: std::ops::Range<usize> = 5..7;
/// Places that are tried when a connection is looked for.
const TRIES: usize = 32;
/// Time between two sessions with random peers.
const SYNC_EVERY: Duration = Duration::from_secs(300);

/// A connection, seen from one end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) peer: u32,
    /// Whether whole messages travel here, or only their ids.
    pub(super) mesh: bool,
}

/// A node.
pub(super) struct Node {
    pub(super) online: bool,
    pub(super) shelf: Shelf,
    pub(super) pace: Pace<u32>,
    pub(super) links: Vec<Link>,
    /// When it looks next.
    pub(super) look_at: u64,
    /// How far its clock is ahead, and how far behind.
    pub(super) ahead: Duration,
    pub(super) behind: Duration,
    /// In which part of a split network it is.
    pub(super) part: u32,
}

impl Node {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            online: false,
            shelf: Shelf::new(settings.shards, settings.capacity),
            pace: Self::pace(Duration::ZERO),
            links: Vec::new(),
            look_at: u64::MAX,
            ahead: Duration::ZERO,
            behind: Duration::ZERO,
            part: 0,
        }
    }

    pub(super) fn pace(now: Duration) -> Pace<u32> {
        Pace::new(PaceSettings::every(SYNC_EVERY), now)
    }

    /// What its clock shows.
    pub(super) fn clock(&self, now: u64) -> Timestamp {
        START.plus(Duration::from_millis(now)).plus(self.ahead).minus(self.behind)
    }

    /// Puts a record that was verified before, but for its time; true if it is new here.
    pub(super) fn admit(&mut self, entry: Arc<Entry>, now: u64) -> bool {
        let clock = self.clock(now);
        entry.created <= clock.plus(MAX_CLOCK_SKEW) && self.shelf.put(command::Put { entry }, clock).is_new()
    }

    fn meshed(&self) -> usize {
        self.links.iter().filter(|link| link.mesh).count()
    }

    fn set_mesh(&mut self, peer: u32) {
        self.links.iter_mut().filter(|link| link.peer == peer).for_each(|link| link.mesh = true);
    }
}

impl World {
    /// Looks for connections, then for places in the mesh.
    pub(super) fn tend(&mut self, node: u32) {
        for _ in 0..TRIES {
            if self.nodes[node as usize].links.len() >= LINKS {
                break;
            }
            self.link_somewhere(node);
        }
        let spare: Vec<u32> =
            self.nodes[node as usize].links.iter().filter(|link| !link.mesh).map(|link| link.peer).collect();
        for peer in spare {
            if self.nodes[node as usize].meshed() >= MESH.start {
                break;
            }
            if self.nodes[peer as usize].meshed() < MESH.end {
                self.nodes[node as usize].set_mesh(peer);
                self.nodes[peer as usize].set_mesh(node);
            }
        }
    }

    /// Tries one random node.
    pub(super) fn link_somewhere(&mut self, node: u32) {
        let peer = u32::try_from(self.dice.next() % u64::from(self.settings.nodes)).unwrap_or(0);
        let (here, there) = (&self.nodes[node as usize], &self.nodes[peer as usize]);
        let taken = here.links.iter().any(|link| link.peer == peer);
        let open = there.online && there.part == here.part && there.links.len() < MOST_LINKS;
        if peer == node || taken || !open {
            return;
        }
        let mesh = here.meshed() < MESH.start && there.meshed() < MESH.end;
        let now = self.time();
        for (one, other) in [(node, peer), (peer, node)] {
            let end = &mut self.nodes[one as usize];
            end.links.push(Link { peer: other, mesh });
            end.pace.connected(other, one < other, now);
        }
        self.wake(node);
        self.wake(peer);
    }

    pub(super) fn leave(&mut self, node: u32) {
        let links = std::mem::take(&mut self.nodes[node as usize].links);
        self.nodes[node as usize].online = false;
        for link in links {
            self.unlink_end(link.peer, node);
            self.tend(link.peer);
        }
    }

    fn unlink_end(&mut self, node: u32, gone: u32) {
        let now = self.time();
        let end = &mut self.nodes[node as usize];
        end.links.retain(|link| link.peer != gone);
        end.pace.disconnected(&gone, now);
        self.wake(node);
    }

    /// Cuts every connection between parts; where there is one part again, each node finds one more peer.
    pub(super) fn split(&mut self, parts: u32) {
        for node in 0..self.settings.nodes {
            self.nodes[node as usize].part = node % parts;
        }
        for node in 0..self.settings.nodes {
            let part = node % parts;
            let links = self.nodes[node as usize].links.clone();
            for link in links.iter().filter(|link| link.peer % parts != part) {
                self.unlink_end(node, link.peer);
                self.unlink_end(link.peer, node);
            }
        }
        for node in 0..self.settings.nodes {
            self.tend(node);
            if parts == 1 {
                self.link_somewhere(node);
            }
        }
    }

    /// Plans a node's next look.
    pub(super) fn wake(&mut self, node: u32) {
        let now = self.time();
        let here = &mut self.nodes[node as usize];
        let wait = u64::try_from(here.pace.wait(now).as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
        let at = self.now.saturating_add(wait);
        if at < here.look_at {
            here.look_at = at;
            self.plan(at, Event::Look { node });
        }
    }
}
