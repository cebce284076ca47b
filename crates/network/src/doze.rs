//! Polls a behaviour, and its handlers, only when they have something to do.
//!
//! libp2p polls every behaviour at every event of the swarm, and every handler of a connection at every byte that comes over
//! it. Most of ours have something to do once in many seconds, while gossip wakes connections all the time. A [`Doze`] asks
//! its behaviour again only after it was woken, or something was said to it.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::FromSwarm;
use libp2p::swarm::handler::{
    ConnectionEvent, FullyNegotiatedInbound, InboundUpgradeSend, ListenUpgradeError, UpgradeInfoSend,
};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, NetworkBehaviour, SubstreamProtocol,
    THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};

use crate::offer::{Drawer, Edition, Offer};

/// What wakes a sleeper, and whoever polls it.
#[derive(Debug)]
struct Alarm {
    rings: AtomicBool,
    outer: AtomicWaker,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rings.store(true, Ordering::Release);
        self.outer.wake();
    }
}

/// Something that is polled when its alarm has rung.
#[derive(Debug)]
struct Sleeper<T> {
    inner: T,
    alarm: Arc<Alarm>,
    waker: Waker,
}

impl<T> Sleeper<T> {
    /// Awake at first.
    fn new(inner: T) -> Self {
        let alarm = Arc::new(Alarm { rings: AtomicBool::new(true), outer: AtomicWaker::new() });
        let waker = Waker::from(Arc::clone(&alarm));
        Self { inner, alarm, waker }
    }

    /// To be told something: it is polled next time. Whoever tells it polls it afterwards.
    fn rouse(&mut self) -> &mut T {
        self.alarm.rings.store(true, Ordering::Release);
        &mut self.inner
    }

    /// Polls it if its alarm has rung, until it has nothing more to say.
    fn poll<E>(&mut self, cx: &Context<'_>, poll: impl FnOnce(&mut T, &mut Context<'_>) -> Poll<E>) -> Poll<E> {
        // a ring after this wakes whoever polls, one before it is seen below
        self.alarm.outer.register(cx.waker());
        if !self.alarm.rings.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let polled = poll(&mut self.inner, &mut Context::from_waker(&self.waker));
        if polled.is_ready() {
            self.alarm.rings.store(true, Ordering::Release);
        }
        polled
    }
}

/// A behaviour that is polled when it was woken, or when something was said to it; so are its handlers.
#[derive(Debug)]
pub(crate) struct Doze<B> {
    sleeper: Sleeper<B>,
    edition: Edition,
}

impl<B> Doze<B> {
    pub(crate) fn new(behaviour: B) -> Self {
        Self { sleeper: Sleeper::new(behaviour), edition: Edition::default() }
    }

    /// To be renewed whenever the behaviour takes other protocols without its handlers being told.
    pub(crate) fn edition(&self) -> Edition {
        self.edition.clone()
    }

    /// Has it polled although nothing woke it: for what looks at the clock only then, as the queries of Kademlia do.
    pub(crate) fn rouse(&mut self) {
        let _behaviour = self.sleeper.rouse();
    }
}

impl<B> Deref for Doze<B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.sleeper.inner
    }
}

impl<B> DerefMut for Doze<B> {
    fn deref_mut(&mut self) -> &mut B {
        self.sleeper.rouse()
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for Doze<B>
where
    THandler<B>: ConnectionHandler<InboundProtocol: UpgradeInfoSend<Info: Sync>, InboundOpenInfo: Clone>,
{
    type ConnectionHandler = DozeHandler<THandler<B>>;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.sleeper.rouse().handle_pending_inbound_connection(id, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let handler = self.sleeper.rouse().handle_established_inbound_connection(id, peer, local, remote)?;
        Ok(DozeHandler::new(handler, self.edition()))
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addrs: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.sleeper.rouse().handle_pending_outbound_connection(id, peer, addrs, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        addr: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let handler = self.sleeper.rouse().handle_established_outbound_connection(id, peer, addr, role, port)?;
        Ok(DozeHandler::new(handler, self.edition()))
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        self.sleeper.rouse().on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        self.sleeper.rouse().on_connection_handler_event(peer, id, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        self.sleeper.poll(cx, NetworkBehaviour::poll)
    }
}

/// A handler that is polled when it was woken, or when something was said to it. What it offers to take is asked for anew only
/// after that.
pub(crate) struct DozeHandler<H: ConnectionHandler> {
    sleeper: Sleeper<H>,
    drawer: Drawer<H::InboundProtocol, H::InboundOpenInfo>,
}

impl<H> DozeHandler<H>
where
    H: ConnectionHandler<InboundProtocol: UpgradeInfoSend<Info: Sync>, InboundOpenInfo: Clone>,
{
    fn new(handler: H, edition: Edition) -> Self {
        Self { sleeper: Sleeper::new(handler), drawer: Drawer::new(edition) }
    }

    /// To be told something.
    fn rouse(&mut self) -> &mut H {
        self.drawer.outdate();
        self.sleeper.rouse()
    }
}

impl<H> ConnectionHandler for DozeHandler<H>
where
    H: ConnectionHandler<InboundProtocol: UpgradeInfoSend<Info: Sync>, InboundOpenInfo: Clone>,
{
    type FromBehaviour = H::FromBehaviour;
    type ToBehaviour = H::ToBehaviour;
    type InboundProtocol = Offer<H::InboundProtocol, H::InboundOpenInfo>;
    type OutboundProtocol = H::OutboundProtocol;
    type InboundOpenInfo = H::InboundOpenInfo;
    type OutboundOpenInfo = H::OutboundOpenInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        self.drawer.offer(|| self.sleeper.inner.listen_protocol())
    }

    fn connection_keep_alive(&self) -> bool {
        self.sleeper.inner.connection_keep_alive()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>> {
        let drawer = &mut self.drawer;
        self.sleeper.poll(cx, |handler, cx| {
            drawer.outdate();
            // some say that they are waiting when they have begun to, and look who wakes them only when asked once more
            match handler.poll(cx) {
                Poll::Pending => handler.poll(cx),
                ready @ Poll::Ready(_) => ready,
            }
        })
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.sleeper.inner.poll_close(cx)
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        self.rouse().on_behaviour_event(event);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        if let Some(event) = unwrapped(event) {
            self.rouse().on_connection_event(event);
        }
    }
}

/// An event of a handler's own upgrade, of one that went through an [`Offer`].
fn unwrapped<'a, U, O, I, J>(
    event: ConnectionEvent<'a, Offer<U, I>, O, I, J>,
) -> Option<ConnectionEvent<'a, U, O, I, J>>
where
    U: InboundUpgradeSend<Info: Sync>,
    O: libp2p::swarm::handler::OutboundUpgradeSend,
    I: Send + 'static,
{
    use ConnectionEvent as Event;
    Some(match event {
        Event::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, info }) => {
            Event::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, info })
        }
        Event::ListenUpgradeError(ListenUpgradeError { info, error }) => {
            Event::ListenUpgradeError(ListenUpgradeError { info, error })
        }
        Event::FullyNegotiatedOutbound(event) => Event::FullyNegotiatedOutbound(event),
        Event::DialUpgradeError(event) => Event::DialUpgradeError(event),
        Event::AddressChange(event) => Event::AddressChange(event),
        Event::LocalProtocolsChange(event) => Event::LocalProtocolsChange(event),
        Event::RemoteProtocolsChange(event) => Event::RemoteProtocolsChange(event),
        // libp2p has no other today
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::task::noop_waker_ref;

    /// Asks the sleeper; counts how often that comes through, and keeps the waker.
    fn ask(sleeper: &mut Sleeper<u32>, kept: &mut Option<Waker>, says: Poll<()>) -> Poll<()> {
        let outer = Context::from_waker(noop_waker_ref());
        sleeper.poll(&outer, |count, cx| {
            *count += 1;
            *kept = Some(cx.waker().clone());
            says
        })
    }

    #[test]
    fn who_sleeps_is_asked_again_only_when_woken_or_told_something_or_while_it_talks() {
        let (mut sleeper, mut kept) = (Sleeper::new(0_u32), None);
        assert!(ask(&mut sleeper, &mut kept, Poll::Ready(())).is_ready(), "it begins awake");
        assert!(ask(&mut sleeper, &mut kept, Poll::Pending).is_pending(), "it may have more to say");
        assert!(ask(&mut sleeper, &mut kept, Poll::Ready(())).is_pending(), "now it sleeps");
        assert_eq!(sleeper.inner, 2);
        kept.take().unwrap().wake();
        assert!(ask(&mut sleeper, &mut kept, Poll::Pending).is_pending());
        assert_eq!(sleeper.inner, 3);
        *sleeper.rouse() += 10;
        assert!(ask(&mut sleeper, &mut kept, Poll::Pending).is_pending());
        assert_eq!(sleeper.inner, 14);
    }

    #[test]
    fn a_ring_wakes_whoever_polls() {
        struct Count(AtomicBool);
        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::Release);
            }
        }
        let rung = Arc::new(Count(AtomicBool::new(false)));
        let outer = Waker::from(Arc::clone(&rung));
        let (mut sleeper, mut inner) = (Sleeper::new(()), None);
        let polled = sleeper.poll(&Context::from_waker(&outer), |(), cx| {
            inner = Some(cx.waker().clone());
            Poll::<()>::Pending
        });
        assert!(polled.is_pending() && !rung.0.load(Ordering::Acquire));
        inner.unwrap().wake_by_ref();
        assert!(rung.0.load(Ordering::Acquire));
    }
}
