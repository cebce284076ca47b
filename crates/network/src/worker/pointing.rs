//! Pointers: small signed values in the DHT, checked when they are put and when they are got.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use haggle_base::PeerId;
use libp2p::kad::store::RecordStore;
use libp2p::kad::{self, GetRecordOk, InboundRequest, QueryId, QueryResult, Quorum, Record, RecordKey};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Worker, answer};
use crate::address;
use crate::behaviour::{MAX_POINTER_BYTES, MAX_POINTER_KEY_BYTES, POINTER_LIFE};
use crate::command::{RankedPointer, Reply};
use crate::config::{PointerRank, PointerVerdict};
use crate::error::NetworkError;
use crate::events::Severity;
use crate::pointers::{Held, MAX_OWN_POINTERS, Taken, takes};
use crate::rendezvous::Member;

/// Different values returned for one key.
const MAX_VALUES: usize = 20;
/// Kademlia queries of callers that run at the same time.
pub(super) const MAX_QUERIES: usize = 128;

/// What a running Kademlia query is for.
pub(super) enum Query {
    /// Finding peers to connect to.
    Discover,
    /// Finding the addresses of one peer.
    Lookup { peer: PeerId },
    /// Storing a pointer.
    Put { reply: Reply<()> },
    /// Finding pointers; each goes to whoever asks as soon as it is found.
    Get { asker: mpsc::Sender<RankedPointer>, found: Vec<Vec<u8>> },
    /// Declaring this node a member at a place.
    Declare { reply: Reply<()> },
    /// Finding members; each goes to whoever asks as soon as it is heard of.
    Seek { asker: mpsc::Sender<Member>, found: HashSet<PeerId> },
}

impl Worker {
    fn check_pointer(&self, key: &[u8], value: &[u8]) -> Result<PointerVerdict, NetworkError> {
        for (size, max) in [(key.len(), MAX_POINTER_KEY_BYTES), (value.len(), MAX_POINTER_BYTES)] {
            if size > max {
                return Err(NetworkError::PointerTooLarge { size, max });
            }
        }
        Ok((self.config.pointers)(key, value))
    }

    pub(super) fn put_pointer(&mut self, key: Vec<u8>, value: Vec<u8>, reply: Reply<()>) {
        let (rank, left) = match self.check_pointer(&key, &value) {
            Ok(PointerVerdict::Good { rank, left }) => (rank, left),
            Ok(PointerVerdict::Untimely | PointerVerdict::Bad) => {
                return answer(reply, Err(NetworkError::PointerRefused));
            }
            Err(error) => return answer(reply, Err(error)),
        };
        if self.queries.len() >= MAX_QUERIES {
            return answer(reply, Err(NetworkError::Busy));
        }
        let now = Instant::now().into_std();
        let own = Held::new(rank, now + POINTER_LIFE, now.checked_add(left), None);
        let record = Record { expires: Some(own.expires), ..Record::new(key, value) };
        if !self.make_room(&record.key, own, now) {
            tracing::warn!("an own pointer is not kept: there are {MAX_OWN_POINTERS} already");
            return answer(reply, Err(NetworkError::PointerNotStored));
        }
        match self.swarm.behaviour_mut().quiet.kad.put_record(record, Quorum::One) {
            Ok(id) => {
                self.queries.insert(id, Query::Put { reply });
            }
            Err(error) => {
                tracing::warn!(error = %error, "could not keep an own pointer: {error}");
                answer(reply, Err(NetworkError::PointerNotStored));
            }
        }
    }

    /// Finds a place for a pointer in the store, at the cost of others if need be; `false` if there is none.
    fn make_room(&mut self, key: &RecordKey, held: Held, now: std::time::Instant) -> bool {
        let mut gone = Vec::new();
        let has_room = self.pointers.enter(key, held, now, &mut gone);
        let store = self.swarm.behaviour_mut().quiet.kad.store_mut();
        gone.iter().for_each(|key| store.remove(key));
        has_room
    }

    pub(super) fn get_pointer(&mut self, key: &[u8], reply: Reply<mpsc::Receiver<RankedPointer>>) {
        if key.len() > MAX_POINTER_KEY_BYTES {
            let (size, max) = (key.len(), MAX_POINTER_KEY_BYTES);
            return answer(reply, Err(NetworkError::PointerTooLarge { size, max }));
        }
        if self.queries.len() >= MAX_QUERIES {
            return answer(reply, Err(NetworkError::Busy));
        }
        let id = self.swarm.behaviour_mut().quiet.kad.get_record(RecordKey::new(&key));
        let (asker, coming) = mpsc::channel(MAX_VALUES);
        self.queries.insert(id, Query::Get { asker, found: Vec::new() });
        answer(reply, Ok(coming));
    }

    pub(super) fn on_kad(&mut self, event: kad::Event) {
        match event {
            kad::Event::InboundRequest { request: InboundRequest::PutRecord { source, record: Some(record), .. } } => {
                self.on_put_by_peer(source, record);
            }
            kad::Event::InboundRequest { request: InboundRequest::AddProvider { record: Some(record) } } => {
                self.on_declared(record);
            }
            kad::Event::OutboundQueryProgressed { id, result, step, .. } => {
                self.on_query(id, result, step.last);
            }
            kad::Event::InboundRequest { .. }
            | kad::Event::RoutingUpdated { .. }
            | kad::Event::UnroutablePeer { .. }
            | kad::Event::RoutablePeer { .. }
            | kad::Event::PendingRoutablePeer { .. }
            | kad::Event::ModeChanged { .. } => {}
        }
    }

    /// A peer wants us to keep a pointer. Kademlia has already told it "stored".
    fn on_put_by_peer(&mut self, source: libp2p::PeerId, record: Record) {
        let Some(peer) = address::from_libp2p(&source) else { return };
        let now = Instant::now().into_std();
        let known = self.pointers.get(&record.key, now);
        let held = self.swarm.behaviour_mut().quiet.kad.store_mut().get(&record.key).map(Cow::into_owned);
        let same = known.filter(|_| held.as_ref().is_some_and(|held| held.value == record.value));
        let judged = match same {
            // nothing to verify: it is handed on every hour
            Some(known) => Some((known.rank, known.end)),
            None => self.judge_put(peer, &record).map(|(rank, left)| (rank, now.checked_add(left))),
        };
        let Some((rank, end)) = judged else { return };
        let new = Held::new(rank, record.expires.unwrap_or(now + POINTER_LIFE), end, Some(peer));
        let (entry, record) = match (takes(known.as_ref(), new), held) {
            (Taken::No, _) => {
                return tracing::debug!(peer.id = %peer, "a pointer from {peer} is not newer than the one held");
            }
            (Taken::Longer(entry), Some(held)) => (entry, held),
            (Taken::Longer(entry) | Taken::Anew(entry), _) => (entry, record),
        };
        if !self.make_room(&record.key, entry, now) {
            return tracing::debug!(peer.id = %peer, "no room for a pointer from {peer}");
        }
        let record = Record { expires: Some(entry.expires), ..record };
        if let Err(error) = self.swarm.behaviour_mut().quiet.kad.store_mut().put(record) {
            tracing::debug!(peer.id = %peer, error = %error, "did not keep a pointer from {peer}: {error}");
        }
    }

    /// How new a pointer is that a peer wants stored, and how long it counts; `None` if it is not taken.
    fn judge_put(&mut self, peer: PeerId, record: &Record) -> Option<(PointerRank, Duration)> {
        let elapsed = self.shared.elapsed();
        if !self.shared.with(|book| book.takes_pointer(&peer, elapsed)) {
            tracing::debug!(peer.id = %peer, "too many pointers from {peer}");
            return None;
        }
        match self.check_pointer(&record.key.to_vec(), &record.value) {
            Ok(PointerVerdict::Good { rank, left }) => Some((rank, left)),
            Ok(PointerVerdict::Untimely) => {
                tracing::debug!(peer.id = %peer, "an untimely pointer from {peer}");
                None
            }
            Ok(PointerVerdict::Bad) | Err(_) => {
                tracing::debug!(peer.id = %peer, "refused a pointer from {peer}");
                self.penalise(peer, Severity::Low);
                None
            }
        }
    }

    fn on_query(&mut self, id: QueryId, result: QueryResult, last: bool) {
        let Some(query) = self.queries.remove(&id) else { return };
        match (query, result) {
            (Query::Get { asker, mut found }, QueryResult::GetRecord(result)) => {
                if let Ok(GetRecordOk::FoundRecord(peer_record)) = result {
                    let Record { key, value, .. } = peer_record.record;
                    let is_new = found.len() < MAX_VALUES && !found.contains(&value);
                    if is_new && let Ok(PointerVerdict::Good { rank, .. }) = self.check_pointer(&key.to_vec(), &value) {
                        found.push(value.clone());
                        // there is room for as many; whoever asked may have seen enough
                        let _asker_listens = asker.try_send((rank, value));
                    }
                }
                // the last one: the channel ends with its sender
                if !last {
                    self.queries.insert(id, Query::Get { asker, found });
                }
            }
            (Query::Seek { asker, mut found }, QueryResult::GetProviders(result)) => {
                self.on_members(result, &asker, &mut found);
                // the last one: the channel ends with its sender
                if !last {
                    self.queries.insert(id, Query::Seek { asker, found });
                }
            }
            (Query::Declare { reply }, QueryResult::StartProviding(_)) => answer(reply, Ok(())),
            (Query::Put { reply }, QueryResult::PutRecord(result)) => {
                let stored = match result {
                    Ok(_) => true,
                    Err(
                        kad::PutRecordError::QuorumFailed { success, .. }
                        | kad::PutRecordError::Timeout { success, .. },
                    ) => !success.is_empty(),
                };
                answer(reply, if stored { Ok(()) } else { Err(NetworkError::PointerNotStored) });
            }
            (query @ (Query::Discover | Query::Lookup { .. }), QueryResult::GetClosestPeers(result)) => {
                let found = match result {
                    Ok(kad::GetClosestPeersOk { peers, .. })
                    | Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
                };
                match query {
                    Query::Lookup { peer } if last => self.on_looked_up(peer, found),
                    Query::Discover => {
                        self.on_discovered(found);
                        if !last {
                            self.queries.insert(id, Query::Discover);
                        }
                    }
                    query => {
                        self.queries.insert(id, query);
                    }
                }
            }
            (query, _) if !last => {
                self.queries.insert(id, query);
            }
            _ => {}
        }
    }
}
