//! Rendezvous: who is a member of which part of the network, told and asked in the DHT.

use std::collections::HashSet;

use haggle_base::PeerId;
use libp2p::core::Endpoint;
use libp2p::kad::store::RecordStore;
use libp2p::kad::{GetProvidersOk, GetProvidersResult, ProviderRecord, RecordKey};
use libp2p::swarm::{ConnectionId, NetworkBehaviour as _};
use tokio::sync::mpsc;

use super::pointing::{MAX_QUERIES, Query};
use super::{Worker, answer};
use crate::address;
use crate::command::Reply;
use crate::error::NetworkError;
use crate::rendezvous::{MAX_FOUND, MAX_MEMBER_ADDR_BYTES, MAX_MEMBER_ADDRS, MAX_NAMED, Member, Rendezvous};

impl Worker {
    /// Tells the peers near a place that this node is a member. Nobody says whether it took that.
    pub(super) fn declare(&mut self, at: Rendezvous, reply: Reply<()>) {
        if self.queries.len() >= MAX_QUERIES {
            return answer(reply, Err(NetworkError::Busy));
        }
        let key = RecordKey::new(&at.key(&self.config.network));
        match self.swarm.behaviour_mut().quiet.kad.start_providing(key) {
            Ok(id) => {
                self.queries.insert(id, Query::Declare { reply });
            }
            Err(error) => {
                tracing::warn!(error = %error, "no room to be a member at {at:?}: {error}");
                answer(reply, Err(NetworkError::Busy));
            }
        }
    }

    /// Looks for members; each goes to whoever asks as soon as it is heard of.
    pub(super) fn seek(&mut self, at: Rendezvous, reply: Reply<mpsc::Receiver<Member>>) {
        if self.queries.len() >= MAX_QUERIES {
            return answer(reply, Err(NetworkError::Busy));
        }
        let id = self.swarm.behaviour_mut().quiet.kad.get_providers(RecordKey::new(&at.key(&self.config.network)));
        let (asker, coming) = mpsc::channel(MAX_FOUND);
        self.queries.insert(id, Query::Seek { asker, found: HashSet::new() });
        answer(reply, Ok(coming));
    }

    /// A peer says that it is a member somewhere. It can only speak for itself: whoever speaks for others was left out before.
    pub(super) fn on_declared(&mut self, record: ProviderRecord) {
        let Some(peer) = address::from_libp2p(&record.provider) else { return };
        let elapsed = self.shared.elapsed();
        if !self.shared.with(|book| book.takes_pointer(&peer, elapsed)) {
            return tracing::debug!(peer.id = %peer, "too many declarations from {peer}");
        }
        // a node of a later version may know other places
        if !self.places_kept.contains(&record.key) {
            return tracing::debug!(peer.id = %peer, "{peer} declares itself at a place that this network does not have");
        }
        // what it told when it connected counts where it names none that can be dialled
        let told = self.shared.with(|book| book.addrs(&peer));
        let mut addresses = address::worth_keeping(record.addresses.into_iter().chain(told), self.config.loopback_ok);
        addresses.retain(|addr| addr.len() <= MAX_MEMBER_ADDR_BYTES);
        addresses.truncate(MAX_MEMBER_ADDRS);
        if addresses.is_empty() {
            return;
        }
        let record = ProviderRecord { addresses, ..record };
        self.make_way(&record);
        if let Err(error) = self.swarm.behaviour_mut().quiet.kad.store_mut().add_provider(record) {
            tracing::debug!(peer.id = %peer, error = %error, "did not keep a declaration of {peer}: {error}");
        }
    }

    /// Takes members out whose time is over: the store would pass over a new one while they fill it.
    fn make_way(&mut self, record: &ProviderRecord) {
        let now = tokio::time::Instant::now().into_std();
        let store = self.swarm.behaviour_mut().quiet.kad.store_mut();
        for old in store.providers(&record.key).into_iter().filter(|old| old.is_expired(now)) {
            store.remove_provider(&old.key, &old.provider);
        }
    }

    /// Hands on the members that an answer names.
    pub(super) fn on_members(
        &mut self,
        result: GetProvidersResult,
        asker: &mpsc::Sender<Member>,
        found: &mut HashSet<PeerId>,
    ) {
        let Ok(GetProvidersOk::FoundProviders { key, providers }) = result else { return };
        let mut named = 0;
        // the set's own order is a random one
        for id in providers {
            let Some(peer) = address::from_libp2p(&id) else { continue };
            if peer == self.local || found.contains(&peer) {
                continue;
            }
            if found.len() >= MAX_FOUND || named >= MAX_NAMED {
                break;
            }
            let kad = &mut self.swarm.behaviour_mut().quiet.kad;
            let kept = kad.store_mut().providers(&key).into_iter().filter(|record| record.provider == id);
            let mut addrs: Vec<_> = kept.flat_map(|record| record.addresses).collect();
            // those that came with the answer are known as long as the query runs
            let nobody = ConnectionId::new_unchecked(0);
            let heard = kad.handle_pending_outbound_connection(nobody, Some(id), &[], Endpoint::Dialer);
            addrs.extend(heard.unwrap_or_default());
            let addrs = address::worth_keeping(addrs, self.config.loopback_ok);
            // nobody can be dialled on a name alone
            if addrs.is_empty() && self.shared.with(|book| !book.is_admitted(&peer) && book.addrs(&peer).is_empty()) {
                continue;
            }
            named += 1;
            found.insert(peer);
            let addrs = addrs.iter().map(ToString::to_string).collect();
            // there is room for as many; whoever asked may have seen enough
            let _asker_listens = asker.try_send(Member { peer, addrs });
        }
    }
}
