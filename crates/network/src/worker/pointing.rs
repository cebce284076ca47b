//! Pointers: small signed values in the DHT, checked when they are put and when they are got.

use haggle_base::PeerId;
use libp2p::kad::store::RecordStore;
use libp2p::kad::{self, GetRecordOk, InboundRequest, QueryId, QueryResult, Quorum, Record, RecordKey};

use super::{Worker, answer};
use crate::address;
use crate::behaviour::{MAX_POINTER_BYTES, MAX_POINTER_KEY_BYTES};
use crate::command::Reply;
use crate::error::NetworkError;
use crate::events::Severity;

/// Different values returned for one key.
const MAX_VALUES: usize = 20;
/// Kademlia queries of callers that run at the same time.
const MAX_QUERIES: usize = 128;

/// What a running Kademlia query is for.
pub(super) enum Query {
    /// Finding peers to connect to.
    Discover,
    /// Finding the addresses of one peer.
    Lookup { peer: PeerId },
    /// Storing a pointer.
    Put { reply: Reply<()> },
    /// Finding pointers.
    Get { reply: Reply<Vec<Vec<u8>>>, found: Vec<Vec<u8>> },
}

impl Worker {
    fn check_pointer(&self, key: &[u8], value: &[u8]) -> Result<(), NetworkError> {
        for (size, max) in [(key.len(), MAX_POINTER_KEY_BYTES), (value.len(), MAX_POINTER_BYTES)] {
            if size > max {
                return Err(NetworkError::PointerTooLarge { size, max });
            }
        }
        if (self.config.pointers)(key, value) { Ok(()) } else { Err(NetworkError::PointerRefused) }
    }

    pub(super) fn put_pointer(&mut self, key: Vec<u8>, value: Vec<u8>, reply: Reply<()>) {
        if let Err(error) = self.check_pointer(&key, &value) {
            return answer(reply, Err(error));
        }
        if self.queries.len() >= MAX_QUERIES {
            return answer(reply, Err(NetworkError::Busy));
        }
        let record = Record::new(key, value);
        match self.swarm.behaviour_mut().kad.put_record(record, Quorum::One) {
            Ok(id) => {
                self.queries.insert(id, Query::Put { reply });
            }
            Err(error) => {
                tracing::warn!(error = %error, "could not keep an own pointer: {error}");
                answer(reply, Err(NetworkError::PointerNotStored));
            }
        }
    }

    pub(super) fn get_pointer(&mut self, key: &[u8], reply: Reply<Vec<Vec<u8>>>) {
        if key.len() > MAX_POINTER_KEY_BYTES {
            let (size, max) = (key.len(), MAX_POINTER_KEY_BYTES);
            return answer(reply, Err(NetworkError::PointerTooLarge { size, max }));
        }
        if self.queries.len() >= MAX_QUERIES {
            return answer(reply, Err(NetworkError::Busy));
        }
        let id = self.swarm.behaviour_mut().kad.get_record(RecordKey::new(&key));
        self.queries.insert(id, Query::Get { reply, found: Vec::new() });
    }

    pub(super) fn on_kad(&mut self, event: kad::Event) {
        match event {
            kad::Event::InboundRequest { request: InboundRequest::PutRecord { source, record: Some(record), .. } } => {
                self.on_put_by_peer(source, record);
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
        let checked = self.check_pointer(&record.key.to_vec(), &record.value);
        let stored = match checked {
            Ok(()) => self.swarm.behaviour_mut().kad.store_mut().put(record).is_ok(),
            Err(error) => {
                tracing::debug!(peer.id = %source, error = %error, "refused a pointer from {source}");
                if let Some(peer) = address::from_libp2p(&source) {
                    self.penalise(peer, Severity::Low);
                }
                false
            }
        };
        if !stored {
            tracing::debug!(peer.id = %source, "did not keep a pointer from {source}");
        }
    }

    fn on_query(&mut self, id: QueryId, result: QueryResult, last: bool) {
        let Some(query) = self.queries.remove(&id) else { return };
        match (query, result) {
            (Query::Get { reply, mut found }, QueryResult::GetRecord(result)) => {
                if let Ok(GetRecordOk::FoundRecord(peer_record)) = result {
                    let Record { key, value, .. } = peer_record.record;
                    let good = self.check_pointer(&key.to_vec(), &value).is_ok();
                    if good && !found.contains(&value) && found.len() < MAX_VALUES {
                        found.push(value);
                    }
                }
                if last {
                    answer(reply, Ok(found));
                } else {
                    self.queries.insert(id, Query::Get { reply, found });
                }
            }
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
