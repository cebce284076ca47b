//! Documents that a listing names: those at hand, and those that are asked of the seller's hosts or of whoever holds them.

use super::{Lookup, Outcome};
use crate::documents::Documents;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use haggle_base::{Coded, Did, Hash, NetworkId, PeerId, Text, Verified};
use haggle_catalog::body::BlobRef;
use haggle_catalog::remote::blob::{answer_with_blob, ask_for_blob, refuse_blob};
use haggle_catalog::remote::budget::Budget;
use haggle_catalog::{ListingBody, SearchError};
use haggle_network::{Severity, Stream, scoped};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

/// How long a peer has for a whole document, the dial included.
const PATIENCE: Duration = Duration::from_secs(4);
/// Peers beside the seller's hosts that are asked.
const OTHERS: usize = 3;
/// Documents that are fetched at once.
const AT_ONCE: usize = 4;
/// How long whoever needs one document waits for it altogether.
const WAITED: Duration = Duration::from_secs(10);
/// Nobody gave a document that was waited for as long as this, also if whoever waited has given up.
const GIVEN_UP: Duration = Duration::from_millis(500);
/// A document that nobody gave is not asked for again within so long.
const MISSED_FOR: Duration = Duration::from_secs(10);
/// Documents of which that is remembered.
const MOST_MISSED: usize = 256;

/// Why a document is not at hand.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DocumentError {
    /// Nobody who could be asked holds it.
    #[error("the listing's schema, {} bytes under {}, is held by nobody who could be asked", .0.size, .0.hash)]
    Unavailable(BlobRef),
    /// It is no text.
    #[error("the listing's schema, {} bytes under {}, is no text", .0.size, .0.hash)]
    NoText(BlobRef),
}

impl Coded for DocumentError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "blob_unavailable",
            Self::NoText(_) => "bad_schema",
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => {
                "the seller's node keeps it: try again when that one is online, or choose another seller"
            }
            Self::NoText(_) => "choose another seller",
        }
    }
}

/// The documents of a node, and what others ask of them.
pub(super) struct Papers {
    documents: Documents,
    missed: Mutex<HashMap<Hash, Instant>>,
    turns: Semaphore,
    budget: Mutex<Budget<PeerId>>,
    fetched: Family<Outcome, Counter>,
    served: Family<Outcome, Counter>,
}

impl Papers {
    pub(super) fn new(documents: Documents, registry: &mut Registry) -> Self {
        let (fetched, served) = (Family::default(), Family::default());
        let own = registry.sub_registry_with_prefix("haggle_blob");
        own.register("fetched", "Documents asked of other nodes, by outcome", Family::clone(&fetched));
        own.register("served", "Questions of others about documents, by outcome", Family::clone(&served));
        let turns = Semaphore::new(AT_ONCE);
        Self { documents, missed: Mutex::default(), turns, budget: Mutex::default(), fetched, served }
    }

    fn is_missed(&self, wanted: &BlobRef) -> bool {
        let mut missed = self.missed.lock();
        missed.retain(|_, at| at.elapsed() < MISSED_FOR);
        missed.contains_key(&wanted.hash)
    }

    fn miss(&self, wanted: &BlobRef) {
        let mut missed = self.missed.lock();
        if missed.len() < MOST_MISSED {
            missed.insert(wanted.hash, Instant::now());
        }
    }
}

/// A document that is being asked for; it counts as missed if it has not come when this is dropped, so that whoever calls next does
/// not wait for the same silent host.
struct Asking<'a> {
    papers: &'a Papers,
    wanted: BlobRef,
    since: Instant,
    is_over: bool,
}

impl<'a> Asking<'a> {
    fn new(papers: &'a Papers, wanted: BlobRef) -> Self {
        Self { papers, wanted, since: Instant::now(), is_over: false }
    }

    fn came(mut self) {
        self.is_over = true;
    }

    fn in_vain(mut self) {
        self.is_over = true;
        self.papers.miss(&self.wanted);
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.is_over && self.since.elapsed() >= GIVEN_UP {
            self.papers.miss(&self.wanted);
        }
    }
}

/// The name of the protocol in a network over which documents are asked for.
pub(crate) fn protocol(network: &NetworkId) -> String {
    scoped(network, "blob/1")
}

impl Lookup {
    /// A schema as a listing has it, or the document that stands behind it; that one is fetched if need be.
    pub(crate) async fn schema(&self, text: Option<&str>, author: &Did) -> Result<Option<String>, DocumentError> {
        self.schema_within(text, author, WAITED, Instant::now() + WAITED).await
    }

    /// The same, where others are asked for `each` at most and until a moment; what is at hand is read however late it is.
    pub(crate) async fn schema_within(
        &self,
        text: Option<&str>,
        author: &Did,
        each: Duration,
        until: Instant,
    ) -> Result<Option<String>, DocumentError> {
        let Some(text) = text else { return Ok(None) };
        let Some(wanted) = BlobRef::read(text) else { return Ok(Some(text.to_owned())) };
        let bytes = match self.papers.documents.read(wanted).await {
            Some(bytes) => bytes,
            None => {
                let until = until.min(Instant::now() + each);
                let fetched = timeout_at(until, self.fetch(&wanted, author)).await;
                fetched.unwrap_or(Err(DocumentError::Unavailable(wanted)))?
            }
        };
        String::from_utf8(bytes).map(Some).map_err(|_| DocumentError::NoText(wanted))
    }

    /// The same without asking anybody: what is not at hand is shown as the listing has it.
    pub(crate) fn schema_at_hand(&self, text: Option<&str>) -> Option<String> {
        let text = text?;
        let document = BlobRef::read(text).and_then(|wanted| self.papers.documents.get(&wanted));
        Some(document.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| text.to_owned()))
    }

    /// Has the documents at hand that a listing names.
    pub(crate) async fn documents_of(&self, listing: &Verified<ListingBody>) -> Result<(), DocumentError> {
        let (body, author) = (listing.body(), listing.author());
        for schema in [body.input_schema.as_deref(), body.output_schema.as_deref()] {
            let _at_hand = self.schema(schema, &author).await?;
        }
        Ok(())
    }

    async fn fetch(&self, wanted: &BlobRef, author: &Did) -> Result<Vec<u8>, DocumentError> {
        let unavailable = || DocumentError::Unavailable(*wanted);
        let _turn = self.papers.turns.acquire().await.map_err(|_| unavailable())?;
        // whoever had the turn before may have fetched it
        if let Some(bytes) = self.papers.documents.read(*wanted).await {
            return Ok(bytes);
        }
        if self.papers.is_missed(wanted) {
            return Err(unavailable());
        }
        let asking = Asking::new(&self.papers, *wanted);
        let own = self.network.peer_id();
        let card = self.catalog.card(author).ok().flatten();
        let hosts: Vec<(PeerId, Vec<Text<128>>)> = card
            .iter()
            .flat_map(|card| card.body().hosts.iter())
            .filter(|host| host.peer != own)
            .map(|host| (host.peer, host.addrs.to_vec()))
            .collect();
        let (speaking, _) = self.network.speaking(&protocol(self.catalog.network()), Duration::ZERO);
        let others = speaking.into_iter().filter(|peer| hosts.iter().all(|(host, _)| host != peer)).take(OTHERS);
        let others: Vec<_> = others.map(|peer| (peer, Vec::new())).collect();
        // the hosts first: everybody else holds it by chance
        for group in [hosts, others] {
            let asked = group.iter().map(|(peer, addrs)| self.ask_for(wanted, peer, addrs));
            let mut asked: FuturesUnordered<_> = asked.collect();
            while let Some(given) = asked.next().await {
                let Some(bytes) = given else { continue };
                asking.came();
                if let Err(error) = self.papers.documents.keep(bytes.clone()).await {
                    tracing::warn!(error = %error, "a document is not kept: {error}");
                }
                return Ok(bytes);
            }
        }
        asking.in_vain();
        Err(unavailable())
    }

    /// Asks one peer, dialling it if need be by addresses that its agent named.
    async fn ask_for(&self, wanted: &BlobRef, peer: &PeerId, addrs: &[Text<128>]) -> Option<Vec<u8>> {
        let asking = async {
            let unreachable = |error: haggle_network::NetworkError| SearchError::Unreachable { code: error.code() };
            self.network.connect_hinted(peer, addrs).await.map_err(unreachable)?;
            let name = protocol(self.catalog.network());
            let stream = self.network.open(peer, &name).await.map_err(unreachable)?;
            ask_for_blob(stream, wanted, PATIENCE).await
        };
        let given = timeout(PATIENCE, asking).await.unwrap_or(Err(SearchError::Timeout));
        let outcome = match &given {
            Ok(Some(_)) => "ok",
            Ok(None) => "absent",
            Err(error) => {
                tracing::debug!(peer.id = %peer, error.code = error.code(), "{peer} gave no document: {error}");
                if error.is_peers_fault() {
                    self.network.report(peer, Severity::Medium);
                }
                error.code()
            }
        };
        self.papers.fetched.get_or_create(&Outcome { outcome }).inc();
        given.ok().flatten()
    }

    /// Gives one peer a document that is at hand, if the peer may ask now.
    pub(crate) async fn give_document(&self, peer: PeerId, stream: Stream) {
        let begun = self.papers.budget.lock().begin(peer, self.begun.elapsed());
        let outcome = match begun {
            Ok(()) => {
                let documents = self.papers.documents.clone();
                let answered = answer_with_blob(stream, |wanted| async move { documents.read(wanted).await }).await;
                let bytes = answered.as_ref().map_or(0, |answered| answered.bytes);
                self.papers.budget.lock().end(&peer, bytes);
                answered.map(|answered| if answered.records == 0 { "absent" } else { "ok" })
            }
            Err(why) => refuse_blob(stream, why).await.map(|()| why.as_str()),
        };
        let outcome = outcome.unwrap_or_else(|error| {
            tracing::debug!(peer.id = %peer, error.code = error.code(), "a question of {peer} was not answered: {error}");
            if error.is_peers_fault() {
                self.network.report(&peer, Severity::Medium);
            }
            error.code()
        });
        self.papers.served.get_or_create(&Outcome { outcome }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_that_was_given_up_on_is_missed_and_one_that_came_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let papers = Papers::new(Documents::open(dir.path(), 0).unwrap(), &mut Registry::default());
        let wanted = |number: u8| BlobRef::of(&[number; 2_000]).unwrap();
        let since = Instant::now().checked_sub(GIVEN_UP).unwrap();
        let asked_for_long = |number| Asking { papers: &papers, wanted: wanted(number), since, is_over: false };
        drop(asked_for_long(1));
        drop(Asking::new(&papers, wanted(2)));
        asked_for_long(3).came();
        Asking::new(&papers, wanted(4)).in_vain();
        assert_eq!([1, 2, 3, 4].map(|number| papers.is_missed(&wanted(number))), [true, false, false, true]);
    }
}
