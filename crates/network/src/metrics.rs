//! Counters of the network room, beside those of libp2p.

use libp2p::metrics::Registry;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use crate::events::Path;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Way {
    path: &'static str,
}

/// What the room counts; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    peers: Gauge,
    paths: Family<Way, Gauge>,
    reservations: Gauge,
    circuits: Gauge,
    gossip: Family<Outcome, Counter>,
    published: Family<Outcome, Counter>,
    streams_opened: Family<Outcome, Counter>,
    streams_accepted: Family<Outcome, Counter>,
    proofs: Family<Outcome, Counter>,
    dials: Family<Outcome, Counter>,
    bans: Counter,
}

impl Metrics {
    /// Counters under `haggle_network_` in `registry`.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("haggle_network");
        registry.register("peers", "Peers connected and identified", metrics.peers.clone());
        registry.register("paths", "Peers connected and identified, by the best way to them", metrics.paths.clone());
        registry.register("reservations", "Relays that hold a place for this node", metrics.reservations.clone());
        registry.register("circuits", "Circuits that this node carries for others", metrics.circuits.clone());
        registry.register("gossip", "Gossip messages received, by outcome", metrics.gossip.clone());
        registry.register("published", "Gossip messages published", metrics.published.clone());
        registry.register("streams_opened", "Streams we opened", metrics.streams_opened.clone());
        registry.register("streams_accepted", "Streams peers opened", metrics.streams_accepted.clone());
        registry.register("did_proofs", "Exchanges of DID proofs", metrics.proofs.clone());
        registry.register("dials", "Dials, by outcome", metrics.dials.clone());
        registry.register("bans", "Peers banned", metrics.bans.clone());
        metrics
    }

    pub(crate) fn peers(&self, count: usize) {
        self.peers.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn paths(&self, counts: [usize; 3]) {
        for (path, count) in Path::ALL.into_iter().zip(counts) {
            let gauge = self.paths.get_or_create(&Way { path: path.as_str() });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    pub(crate) fn reservations(&self, count: usize) {
        self.reservations.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub(crate) fn circuit_opened(&self) {
        self.circuits.inc();
    }

    pub(crate) fn circuit_closed(&self) {
        self.circuits.dec();
    }

    pub(crate) fn gossip(&self, outcome: &'static str) {
        self.gossip.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn published(&self, outcome: &'static str) {
        self.published.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn opened(&self, outcome: &'static str) {
        self.streams_opened.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn accepted(&self, outcome: &'static str) {
        self.streams_accepted.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn proofs(&self, outcome: &'static str) {
        self.proofs.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn dials(&self, outcome: &'static str) {
        self.dials.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn banned(&self) {
        self.bans.inc();
    }
}
