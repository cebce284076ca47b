//! What a handler offers to take, kept between two polls of a connection.
//!
//! libp2p asks a handler at every poll of its connection which protocols it takes, only to see that they are the same as
//! before. Ours are many, and gossip polls connections all the time: an [`Offer`] that nothing came of is used again until the
//! handler was polled or told something, or the node began or ceased to take a protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use libp2p::Stream;
use libp2p::swarm::SubstreamProtocol;
use libp2p::swarm::handler::{InboundUpgradeSend, UpgradeInfoSend};
use parking_lot::Mutex;

/// Counts how often the protocols that a node takes on its streams have changed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Edition(Arc<AtomicU64>);

impl Edition {
    /// To be called after each change.
    pub(crate) fn renew(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    fn number(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// Since when an offer holds: what its handler was told, and the node's edition.
type Since = (u64, u64);

/// An offer that nobody uses at the moment.
struct Kept<U: InboundUpgradeSend, I> {
    since: Since,
    upgrade: U,
    names: Arc<[U::Info]>,
    info: I,
    timeout: Duration,
}

/// Where a handler keeps its offer.
pub(crate) struct Drawer<U: InboundUpgradeSend, I> {
    kept: Arc<Mutex<Option<Kept<U, I>>>>,
    edition: Edition,
    /// How often the handler was polled or told something.
    told: u64,
}

impl<U, I> Drawer<U, I>
where
    U: InboundUpgradeSend<Info: Sync>,
    I: Clone + Send + 'static,
{
    pub(crate) fn new(edition: Edition) -> Self {
        Self { kept: Arc::default(), edition, told: 0 }
    }

    /// The handler may offer something else from now on.
    pub(crate) const fn outdate(&mut self) {
        self.told = self.told.wrapping_add(1);
    }

    /// The offer that was made last, or a new one.
    pub(crate) fn offer(&self, anew: impl FnOnce() -> SubstreamProtocol<U, I>) -> SubstreamProtocol<Offer<U, I>, I> {
        // the number is read first: what changes meanwhile outdates what is made now
        let since = (self.told, self.edition.number());
        let kept = self.kept.lock().take();
        let kept = kept.filter(|kept| kept.since == since).unwrap_or_else(|| {
            let protocol = anew();
            let timeout = *protocol.timeout();
            let (upgrade, info) = protocol.into_upgrade();
            let names = upgrade.protocol_info().collect();
            Kept { since, upgrade, names, info, timeout }
        });
        let (info, timeout) = (kept.info.clone(), kept.timeout);
        let offer = Offer { kept: Some(kept), drawer: Arc::clone(&self.kept) };
        SubstreamProtocol::new(offer, info).with_timeout(timeout)
    }
}

/// An upgrade that goes back into its drawer if it is not used.
pub(crate) struct Offer<U: InboundUpgradeSend, I> {
    /// There until it is used.
    kept: Option<Kept<U, I>>,
    drawer: Arc<Mutex<Option<Kept<U, I>>>>,
}

impl<U: InboundUpgradeSend, I> Drop for Offer<U, I> {
    fn drop(&mut self) {
        if let Some(kept) = self.kept.take() {
            *self.drawer.lock() = Some(kept);
        }
    }
}

impl<U: InboundUpgradeSend<Info: Sync>, I: Send + 'static> UpgradeInfoSend for Offer<U, I> {
    type Info = U::Info;
    type InfoIter = Names<U::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        Names { names: self.kept.as_ref().map(|kept| Arc::clone(&kept.names)).unwrap_or_default(), next: 0 }
    }
}

impl<U: InboundUpgradeSend<Info: Sync>, I: Send + 'static> InboundUpgradeSend for Offer<U, I> {
    type Output = U::Output;
    type Error = U::Error;
    type Future = U::Future;

    fn upgrade_inbound(mut self, stream: Stream, name: Self::Info) -> Self::Future {
        let Some(kept) = self.kept.take() else { unreachable!("an offer is used once") };
        kept.upgrade.upgrade_inbound(stream, name)
    }
}

/// The names of an offer.
#[derive(Debug)]
pub(crate) struct Names<N> {
    names: Arc<[N]>,
    next: usize,
}

impl<N: Clone> Iterator for Names<N> {
    type Item = N;

    fn next(&mut self) -> Option<N> {
        let name = self.names.get(self.next)?.clone();
        self.next += 1;
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::StreamProtocol;
    use libp2p::core::upgrade::ReadyUpgrade;
    use std::cell::Cell;

    #[test]
    fn an_offer_that_nobody_used_is_made_again_until_something_may_have_changed() {
        let (edition, made) = (Edition::default(), Cell::new(0));
        let mut drawer = Drawer::new(edition.clone());
        let offer = |drawer: &Drawer<_, _>| {
            drawer.offer(|| {
                made.set(made.get() + 1);
                let upgrade = ReadyUpgrade::new(StreamProtocol::new("/haggle/test"));
                SubstreamProtocol::new(upgrade, 7).with_timeout(Duration::from_secs(3))
            })
        };
        for _ in 0..3 {
            let offered = offer(&drawer);
            assert_eq!((*offered.info(), *offered.timeout()), (7, Duration::from_secs(3)));
            assert_eq!(offered.upgrade().protocol_info().collect::<Vec<_>>(), ["/haggle/test"]);
        }
        assert_eq!(made.get(), 1);
        drawer.outdate();
        drop(offer(&drawer));
        assert_eq!(made.get(), 2, "the handler was told something");
        edition.renew();
        let in_use = offer(&drawer);
        assert_eq!(made.get(), 3, "the node takes another protocol");
        drop(offer(&drawer));
        assert_eq!(made.get(), 4, "the other one is in use");
        drop(in_use);
        drop(offer(&drawer));
        assert_eq!(made.get(), 4, "it came back");
    }
}
