//! Meeting those who hold what this node needs: it declares what it holds itself, and looks for index nodes and for fellow
//! members of its shards while it knows too few.
//!
//! What the DHT says of members is a hint whom to dial. What a peer does, it says itself once it is connected; one that does not
//! do what it is said to is not dialled for that again for a while.

use super::Inner;
use crate::config::Role;
use crate::lookup;
use crate::market;
use haggle_base::{Coded, PeerId};
use haggle_catalog::remote::ASKED;
use haggle_network::{Member, NetworkError, Rendezvous};
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Pauses between the first declarations, while a node that has just come knows few peers; then it is said twice a day. What is
/// said counts for four times as long.
const FIRST_PAUSES: [Duration; 2] = [Duration::from_secs(15), Duration::from_secs(600)];
const DECLARE_EVERY: Duration = Duration::from_secs(12 * 3600);
/// Pause between the declarations at two places, and while nobody is connected.
const PACE: Duration = Duration::from_millis(500);
/// Pauses between two looks for members double from here to the other.
const SHORT_PAUSE: Duration = Duration::from_secs(2);
const LONG_PAUSE: Duration = Duration::from_secs(600);
/// How long the DHT has to bring members.
const PATIENCE: Duration = Duration::from_secs(5);
/// Members dialled in one look.
const DIALS: usize = 3;
/// Fellow members of a shard that a node wants to be connected to.
const FELLOWS: usize = 2;
/// A member that was dialled is not dialled again for so long, whatever came of it.
const LEFT_ALONE: Duration = Duration::from_secs(3600);
/// Members left alone at the same time.
const MOST_LEFT: usize = 1024;

/// Says what this node is a member of, as long as it runs.
pub(super) async fn declare(inner: Arc<Inner>) {
    let places: Vec<Rendezvous> = match inner.config.market.role {
        Role::Index => vec![Rendezvous::Index],
        Role::Interest => inner.catalog.held().into_iter().map(Rendezvous::Shard).collect(),
        // every other node is a full one, and nobody asks light ones for anything
        Role::Full | Role::Light => return,
    };
    let mut pauses = FIRST_PAUSES.into_iter();
    loop {
        while inner.network.peers().is_empty() {
            sleep(PACE).await;
        }
        for at in &places {
            let outcome = match inner.network.declare(*at).await {
                Ok(()) => "ok",
                Err(error) => {
                    tracing::debug!(error.code = error.code(), "not declared a member at {at:?}: {error}");
                    error.code()
                }
            };
            inner.lookup.declared(outcome);
            sleep(PACE).await;
        }
        sleep(pauses.next().unwrap_or(DECLARE_EVERY)).await;
    }
}

/// Looks for those whom this node needs and knows too few of, as long as it runs.
pub(super) async fn seek(inner: Arc<Inner>) {
    let role = inner.config.market.role;
    if role.holds_all() {
        return;
    }
    let search = lookup::protocol(&inner.file.id);
    let part = market::part_protocol(&inner.file.id);
    let mut left = HashMap::new();
    let mut shards = inner.catalog.held().into_iter().cycle();
    let mut pause = SHORT_PAUSE;
    loop {
        sleep(pause).await;
        if inner.network.peers().is_empty() {
            pause = SHORT_PAUSE;
            continue;
        }
        let mut news = 0;
        let lacking = ASKED.saturating_sub(inner.lookup.known());
        if lacking > 0 {
            news += inner.meet_members(Rendezvous::Index, &search, lacking, &mut left).await;
        }
        if let Some(shard) = shards.next() {
            news += inner.meet_members(Rendezvous::Shard(shard), &part, FELLOWS, &mut left).await;
        }
        pause = if news > 0 { SHORT_PAUSE } else { (pause * 2).min(LONG_PAUSE) };
    }
}

impl Inner {
    /// Looks for members at a place and connects to some until so many are connected that speak what members speak; says how
    /// many are new.
    async fn meet_members(
        &self,
        at: Rendezvous,
        protocol: &str,
        wanted: usize,
        left: &mut HashMap<PeerId, Instant>,
    ) -> usize {
        let members = match self.network.members(at, PATIENCE).await {
            Ok(members) => members,
            Err(error) => {
                tracing::debug!(error.code = error.code(), "no members at {at:?} could be looked for: {error}");
                self.lookup.sought(error.code());
                return 0;
            }
        };
        self.lookup.sought(if members.is_empty() { "none" } else { "found" });
        let is_here =
            |member: &&Member| self.network.is_connected(&member.peer) && self.network.speaks(&member.peer, protocol);
        // index nodes that are connected were counted before
        let here = if at == Rendezvous::Index { 0 } else { members.iter().filter(is_here).count() };
        left.retain(|_, until: &mut Instant| *until > Instant::now());
        let mut met = 0;
        let is_absent = |member: &&Member| !self.network.is_connected(&member.peer) && !left.contains_key(&member.peer);
        let mut absent: Vec<&Member> = members.iter().filter(is_absent).collect();
        // whoever answered first does not say who is dialled first
        let order = RandomState::new();
        absent.sort_by_cached_key(|member| order.hash_one(member.peer));
        absent.truncate(DIALS);
        for member in absent {
            if here + met >= wanted {
                break;
            }
            let connected = self.network.connect(&member.peer, &member.addrs).await;
            // other failures are this node's own trouble
            let is_known = matches!(connected, Ok(()) | Err(NetworkError::PeerUnreachable { .. }));
            if connected.is_ok() && self.network.speaks(&member.peer, protocol) {
                tracing::info!(peer.id = %member.peer, "met {} at {at:?}", member.peer);
                self.lookup.sought("met");
                met += 1;
            } else {
                tracing::debug!(peer.id = %member.peer, "{} is not what it is said to be, or not there", member.peer);
                self.lookup.sought("in_vain");
            }
            // whoever was met too: one that connects and hangs up is news once
            if is_known && left.len() < MOST_LEFT {
                left.insert(member.peer, Instant::now() + LEFT_ALONE);
            }
        }
        met
    }
}
