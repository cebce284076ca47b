//! Searches between nodes: answered by index nodes, asked by light ones; and agents found by their DID.
//!
//! An index node is one that speaks `/haggle/<network>/search/1`: it says so when it connects, as of every protocol.

mod documents;
mod meet;

use crate::config::Role;
use crate::documents::Documents;
use documents::Papers;
use haggle_base::{Clock, Coded, NetworkId, PeerId, RecordId};
use haggle_catalog::remote::budget::Budget;
use haggle_catalog::remote::wire::{Question, Refusal};
use haggle_catalog::remote::{Answered, choose, refuse_search};
use haggle_catalog::{Answer, Catalog, CatalogError, Coverage, Query, SearchError};
use haggle_network::{Network, Severity, Stream, scoped};
use meet::Meetings;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use std::collections::hash_map::RandomState;
use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long an index node has for its whole answer, the dial included.
const PATIENCE: Duration = Duration::from_secs(3);
/// An index node that is gone and could not be reached is left alone for so long.
const LEFT_ALONE: Duration = Duration::from_secs(60);
/// Searches whose further pages are made of what was answered to the first one.
const REMEMBERED: usize = 16;
/// How long they are.
const REMEMBERED_FOR: Duration = Duration::from_secs(300);
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// What was answered to a search.
struct Search {
    question: Vec<u8>,
    at: Instant,
    ids: Arc<HashSet<RecordId>>,
    coverage: Coverage,
}

/// The searches of a node: its own, and those of others.
pub(crate) struct Lookup {
    role: Role,
    network: Network,
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    begun: Instant,
    budget: Mutex<Budget<PeerId>>,
    searches: Mutex<VecDeque<Search>>,
    meetings: Meetings,
    papers: Papers,
    asked: Family<Outcome, Counter>,
    answered: Family<Outcome, Counter>,
    declared: Family<Outcome, Counter>,
    sought: Family<Outcome, Counter>,
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookup").field("role", &self.role).finish_non_exhaustive()
    }
}

/// Why a search has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookupError {
    /// A light node knows nobody to ask.
    #[error("this light node knows no index node to ask")]
    NoIndexNode,
    /// It cannot be asked.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The catalog does not answer.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl Coded for LookupError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoIndexNode => "no_index_node",
            Self::Search(error) => error.code(),
            Self::Catalog(error) => error.code(),
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::NoIndexNode => {
                "name index nodes in p2p.bootstrap or connect to one (`haggle peer connect`), or set market.role to full"
            }
            Self::Search(error) => error.hint(),
            Self::Catalog(error) => error.hint(),
        }
    }
}

pub(crate) use documents::{DocumentError, protocol as blob_protocol};
pub(crate) use meet::protocol as agent_protocol;

/// The name of the protocol in a network.
pub(crate) fn protocol(network: &NetworkId) -> String {
    scoped(network, "search/1")
}

impl Lookup {
    pub(crate) fn new(
        role: Role,
        network: Network,
        catalog: Catalog,
        clock: Arc<dyn Clock>,
        documents: Documents,
        registry: &mut Registry,
    ) -> Self {
        let (asked, answered) = (Family::default(), Family::default());
        let own = registry.sub_registry_with_prefix("haggle_search");
        own.register("asked", "Index nodes asked, by outcome", Family::clone(&asked));
        own.register("answered", "Searches of light nodes, by outcome", Family::clone(&answered));
        let (declared, sought) = (Family::default(), Family::default());
        let own = registry.sub_registry_with_prefix("haggle_rendezvous");
        own.register(
            "declared",
            "Declarations of this node as a member of a part, by outcome",
            Family::clone(&declared),
        );
        own.register("sought", "Members of a part looked for and met, by outcome", Family::clone(&sought));
        let meetings = Meetings::new(registry);
        let papers = Papers::new(documents, registry);
        let (budget, searches) = (Mutex::default(), Mutex::default());
        Self {
            role,
            network,
            catalog,
            clock,
            begun: Instant::now(),
            budget,
            searches,
            meetings,
            papers,
            asked,
            answered,
            declared,
            sought,
        }
    }

    /// Counts what came of declaring this node a member.
    pub(crate) fn declared(&self, outcome: &'static str) {
        self.declared.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts what came of looking for members.
    pub(crate) fn sought(&self, outcome: &'static str) {
        self.sought.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) const fn role(&self) -> Role {
        self.role
    }

    /// How many index nodes can be asked, as far as this node knows.
    pub(crate) fn known(&self) -> usize {
        let (connected, absent) = self.index_nodes();
        connected.len() + absent.len()
    }

    fn index_nodes(&self) -> (Vec<PeerId>, Vec<PeerId>) {
        self.network.speaking(&protocol(self.catalog.network()), LEFT_ALONE)
    }

    /// Answers one search of another node, if it may be asked now.
    pub(crate) async fn answer(&self, peer: PeerId, stream: Stream) {
        let answering = |stream| self.catalog.answer_search(stream);
        let outcome = match self.within(&self.budget, peer, stream, answering).await {
            Ok(Ok(_)) => "ok",
            Ok(Err(why)) => why.as_str(),
            Err(error) => error.code(),
        };
        self.answered.get_or_create(&Outcome { outcome }).inc();
    }

    /// Answers one question of another node if its budget allows that, and refuses it if not.
    async fn within<F>(
        &self,
        budget: &Mutex<Budget<PeerId>>,
        peer: PeerId,
        stream: Stream,
        answering: impl FnOnce(Stream) -> F + Send,
    ) -> Result<Result<Answered, Refusal>, SearchError>
    where
        F: Future<Output = Result<Answered, SearchError>> + Send,
    {
        let begun = budget.lock().begin(peer, self.begun.elapsed());
        let outcome = match begun {
            Ok(()) => {
                let answered = answering(stream).await;
                let bytes = answered.as_ref().map_or(0, |answered| answered.bytes);
                budget.lock().end(&peer, bytes);
                answered.map(Ok)
            }
            Err(why) => refuse_search(stream, why).await.map(|()| Err(why)),
        };
        outcome.inspect_err(|error| {
            tracing::debug!(peer.id = %peer, error.code = error.code(), "a question of {peer} was not answered: {error}");
            if error.is_peers_fault() {
                self.network.report(&peer, Severity::Medium);
            }
        })
    }

    /// Searches this node's copy of the market. At a light node, and at one that holds a part in which not everything lies
    /// that is searched for, what three index nodes know beside what is held, and then how far that goes.
    pub(crate) async fn search(&self, query: &Query) -> Result<(Answer, Option<Coverage>), LookupError> {
        let is_held = query.category.as_ref().is_some_and(|category| self.catalog.holds(category));
        if self.role.holds_all() || is_held {
            return Ok((self.catalog.search(query)?, None));
        }
        let question = Question::of(query)?.encode().map_err(SearchError::BadFrame)?;
        let before = if query.cursor.is_some() { self.remembered(&question) } else { None };
        let (ids, coverage) = match before {
            Some(before) => before,
            None => {
                let (ids, coverage) = self.ask(query).await?;
                self.remember(Search { question, at: Instant::now(), ids: Arc::clone(&ids), coverage });
                (ids, coverage)
            }
        };
        let answer = self.catalog.search_among(query, &ids)?;
        Ok((Answer { complete: coverage.is_complete(), ..answer }, Some(coverage)))
    }

    async fn ask(&self, query: &Query) -> Result<(Arc<HashSet<RecordId>>, Coverage), LookupError> {
        let (connected, absent) = self.index_nodes();
        let peers = choose(connected, absent, dice);
        if peers.is_empty() {
            // who holds a part of the market answers with that
            return if self.role == Role::Interest { Ok(Default::default()) } else { Err(LookupError::NoIndexNode) };
        }
        let name = protocol(self.catalog.network());
        let open = |peer: PeerId| {
            let (network, name) = (self.network.clone(), name.clone());
            async move { network.open(&peer, &name).await.map_err(|error| SearchError::Unreachable { code: error.code() }) }
        };
        let found = self.catalog.look_up(query, &peers, PATIENCE, open).await?;
        let ok = u64::try_from(found.coverage.answered).unwrap_or(u64::MAX);
        self.asked.get_or_create(&Outcome { outcome: "ok" }).inc_by(ok);
        for (peer, error) in &found.failed {
            tracing::debug!(peer.id = %peer, error.code = error.code(), "{peer} did not answer a search: {error}");
            self.asked.get_or_create(&Outcome { outcome: error.code() }).inc();
            if error.is_peers_fault() {
                self.network.report(peer, Severity::Medium);
            }
        }
        Ok((Arc::new(found.ids), found.coverage))
    }

    fn remember(&self, search: Search) {
        let mut searches = self.searches.lock();
        searches.retain(|held| held.question != search.question && held.at.elapsed() < REMEMBERED_FOR);
        if searches.len() >= REMEMBERED {
            searches.pop_front();
        }
        searches.push_back(search);
    }

    fn remembered(&self, question: &[u8]) -> Option<(Arc<HashSet<RecordId>>, Coverage)> {
        let searches = self.searches.lock();
        let held = searches.iter().find(|held| held.question == question && held.at.elapsed() < REMEMBERED_FOR)?;
        Some((Arc::clone(&held.ids), held.coverage))
    }
}

/// A random number; which index nodes are asked hangs on it, and nothing secret.
fn dice() -> u64 {
    RandomState::new().build_hasher().finish()
}
