//! The client side of AutoNAT v2: libp2p's, held to our rules.
//!
//! libp2p's client tries whatever peers claim to have seen, for ever grows with that, takes the first success for the
//! truth and never tries an address again. Here the worker names a few addresses, only peers elsewhere are asked, and
//! libp2p's client is made anew for each round, so that every round tries all of them; the next one comes sooner while
//! things are unclear.

use std::collections::{HashMap, HashSet, VecDeque};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use either::Either;
use haggle_base::PeerId;
use libp2p::Multiaddr;
use libp2p::autonat::v2::client;
use libp2p::core::transport::PortUse;
use libp2p::core::{ConnectedPoint, Endpoint};
use libp2p::swarm::behaviour::{ConnectionEstablished, FromSwarm, NewExternalAddrCandidate};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionId, NetworkBehaviour, NotifyHandler, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};

use super::{Change, Claims, Reach};
use crate::address;

/// Between two looks of libp2p's client at what is untried, on the open internet and on one machine.
const GLANCE: [Duration; 2] = [Duration::from_secs(5), Duration::from_millis(200)];
/// The first pause between two rounds; it doubles.
const FIRST_PAUSE: [Duration; 2] = [Duration::from_secs(30), Duration::from_millis(500)];
/// The longest one, and the pause while everything is clear.
const LONGEST_PAUSE: [Duration; 2] = [Duration::from_secs(1800), Duration::from_secs(10)];

/// How long the last question of a round may go without a verdict. Longer than libp2p gives whoever is asked, and longer than
/// dialling an address that swallows everything.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// Questions in one round. libp2p's client asks again and again where nobody answers.
const MAX_QUESTIONS: usize = 2 * super::MAX_CLAIMS;

/// What libp2p's handler of requests says. Its name is private, so it is spelled by its place.
type Said = <<THandler<client::Behaviour> as LeftOf>::Left as ConnectionHandler>::ToBehaviour;

trait LeftOf {
    type Left;
}

impl<L, R> LeftOf for Either<L, R> {
    type Left = L;
}

/// A peer has tried an address of ours.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) addr: Multiaddr,
    pub(crate) by: PeerId,
    pub(crate) is_open: bool,
}

/// A connection over which somebody may be asked.
struct Line {
    peer: libp2p::PeerId,
    endpoint: ConnectedPoint,
    answers: bool,
}

/// Has peers try this node's addresses.
pub(crate) struct Asking {
    client: client::Behaviour,
    claims: Claims,
    lines: HashMap<ConnectionId, Line>,
    /// Who has judged in this round: others are asked before them in the next.
    judges: HashSet<libp2p::PeerId>,
    /// Questions put in this round.
    questions: usize,
    /// The connections that they were put over and over which an answer may still come.
    asked: HashSet<ConnectionId>,
    /// How many questions had been put at the last look, and since when they are as many.
    noted: (usize, Duration),
    events: VecDeque<ToSwarm<Verdict, THandlerInEvent<Self>>>,
    one_machine: bool,
    /// Whether somebody can be asked who could not before.
    is_news: bool,
    /// Whether this round began without some of the addresses.
    is_stale: bool,
    begun: Option<Duration>,
    due: Duration,
    pause: Duration,
}

impl Asking {
    /// `one_machine` lets loopback addresses be tried, and peers there be asked.
    pub(crate) fn new(one_machine: bool) -> Self {
        Self {
            client: fresh(one_machine),
            claims: Claims::default(),
            lines: HashMap::new(),
            judges: HashSet::new(),
            questions: 0,
            asked: HashSet::new(),
            noted: (0, Duration::ZERO),
            events: VecDeque::new(),
            one_machine,
            is_news: false,
            is_stale: false,
            begun: None,
            due: Duration::ZERO,
            pause: FIRST_PAUSE[usize::from(one_machine)],
        }
    }

    /// What is known so far.
    pub(crate) fn reach(&self) -> Reach {
        self.claims.reach()
    }

    /// The addresses that are open.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Multiaddr> {
        self.claims.open()
    }

    /// Whether two peers have dialled this node.
    pub(crate) fn is_certain(&self) -> bool {
        self.claims.is_certain()
    }

    /// Whether peers have been asked and none has answered yet: over the connections that stand now.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.asked.is_empty() && !self.is_over()
    }

    /// Whether no answer will come any more: libp2p's client keeps a question open for ever when its connection is gone, or when
    /// the other end says that it dials and does not, or takes no such question.
    fn is_lost(&self) -> bool {
        self.questions > 0 && self.asked.is_empty() && !self.is_over()
    }

    fn is_over(&self) -> bool {
        !self.judges.is_empty() || self.questions >= MAX_QUESTIONS
    }

    /// Tries these addresses from now on, and begins the next round when it is due.
    pub(crate) fn tend(&mut self, addrs: Vec<Multiaddr>, elapsed: Duration) {
        let (closed, is_new) = self.claims.replace(addrs);
        self.events.extend(closed.into_iter().map(ToSwarm::ExternalAddrExpired));
        let (first, longest) =
            (FIRST_PAUSE[usize::from(self.one_machine)], LONGEST_PAUSE[usize::from(self.one_machine)]);
        let is_clear = self.claims.is_certain() && !self.claims.is_doubted();
        if is_new {
            self.is_stale = true;
            self.pause = first;
            // peers may change their minds about where they see this node as often as they like
            self.due = self.begun.map_or(elapsed, |begun| elapsed.max(begun + first));
        } else if std::mem::take(&mut self.is_news) && !is_clear || self.claims.is_doubted() {
            self.due = self.due.min(elapsed + first);
        }
        if self.questions != self.noted.0 {
            self.noted = (self.questions, elapsed);
        } else if elapsed >= self.noted.1 + ANSWER_PATIENCE {
            self.asked.clear();
        }
        let is_lost = self.is_lost();
        if is_lost {
            self.due = self.due.min(elapsed + first);
        }
        // before a verdict the round still goes on: libp2p's client asks as soon as it can
        if elapsed < self.due || !(self.is_over() || self.is_stale || is_lost) {
            return;
        }
        self.due = elapsed + if is_clear { longest } else { self.pause };
        if !is_lost {
            // nothing was learned of these addresses
            self.pause = (self.pause * 2).min(longest);
        }
        self.begun = Some(elapsed);
        self.begin_round();
    }

    fn begin_round(&mut self) {
        let judges = std::mem::take(&mut self.judges);
        self.questions = 0;
        self.asked.clear();
        self.is_stale = false;
        let others = self.lines.values().any(|line| line.answers && !judges.contains(&line.peer));
        self.client = fresh(self.one_machine);
        for (id, line) in &self.lines {
            self.client.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id: line.peer,
                connection_id: *id,
                endpoint: &line.endpoint,
                failed_addresses: &[],
                other_established: 0,
            }));
            if line.answers && !(others && judges.contains(&line.peer)) {
                self.client.on_connection_handler_event(line.peer, *id, Either::Left(Said::PeerHasServerSupport));
            }
        }
        for addr in self.claims.addrs() {
            let candidate = NewExternalAddrCandidate { addr };
            self.client.on_swarm_event(FromSwarm::NewExternalAddrCandidate(candidate));
        }
    }

    fn on_tried(&mut self, event: client::Event) {
        let Some(by) = address::from_libp2p(&event.server) else { return };
        let (addr, is_open) = (event.tested_addr, event.result.is_ok());
        if !self.claims.addrs().any(|claim| *claim == addr) {
            return;
        }
        self.judges.insert(event.server);
        match self.claims.judge(&addr, by, is_open) {
            Change::Opened => self.events.push_back(ToSwarm::ExternalAddrConfirmed(addr.clone())),
            Change::Closed => self.events.push_back(ToSwarm::ExternalAddrExpired(addr.clone())),
            Change::None => {}
        }
        self.events.push_back(ToSwarm::GenerateEvent(Verdict { addr, by, is_open }));
    }
}

/// A client that has tried nothing.
fn fresh(one_machine: bool) -> client::Behaviour {
    let config = client::Config::default()
        .with_max_candidates(super::MAX_CLAIMS)
        .with_probe_interval(GLANCE[usize::from(one_machine)]);
    client::Behaviour::new(rand::make_rng(), config)
}

impl NetworkBehaviour for Asking {
    type ConnectionHandler = THandler<client::Behaviour>;
    type ToSwarm = Verdict;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: libp2p::PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.client.handle_established_inbound_connection(id, peer, local, remote)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: libp2p::PeerId,
        addr: &Multiaddr,
        role: Endpoint,
        port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.client.handle_established_outbound_connection(id, peer, addr, role, port_use)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(new) => {
                // who sits on the same local network, or is seen through a relay only, cannot tell how it looks outside
                let ConnectedPoint::Dialer { address: addr, .. } = new.endpoint else { return };
                if address::is_elsewhere(addr, self.one_machine) {
                    let line = Line { peer: new.peer_id, endpoint: new.endpoint.clone(), answers: false };
                    self.lines.insert(new.connection_id, line);
                    self.client.on_swarm_event(event);
                }
            }
            FromSwarm::ConnectionClosed(closed) if self.lines.remove(&closed.connection_id).is_some() => {
                self.asked.remove(&closed.connection_id);
                self.client.on_swarm_event(event);
            }
            // what peers claim to have seen goes through the worker
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: libp2p::PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        if let Either::Left(said) = &event {
            let Some(line) = self.lines.get_mut(&id) else { return };
            if matches!(said, Said::PeerHasServerSupport) {
                line.answers = true;
                self.is_news = true;
            }
        }
        self.client.on_connection_handler_event(peer, id, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(event);
            }
            match ready!(self.client.poll(cx)) {
                ToSwarm::GenerateEvent(event) => self.on_tried(event),
                // a question that is not put stays open until the next round
                ToSwarm::NotifyHandler { .. } if self.questions >= MAX_QUESTIONS => {}
                ToSwarm::NotifyHandler { peer_id, handler, event } => {
                    self.questions += 1;
                    // libp2p's client names the connection
                    if let NotifyHandler::One(id) = handler {
                        self.asked.insert(id);
                    }
                    return Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler, event });
                }
                // what counts as confirmed is decided here
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use libp2p::Swarm;
    use libp2p::identity::Keypair;
    use libp2p::metrics::Registry;
    use libp2p::swarm::SwarmEvent;
    use tokio::time::Instant;

    use super::*;
    use crate::behaviour::{self, Behaviour, BehaviourEvent, QuietEvent};
    use crate::config::NetworkConfig;
    use crate::relay::Holders;

    fn swarm() -> Swarm<Behaviour> {
        let config = NetworkConfig { autonat: true, ..NetworkConfig::for_testing("devnet-7/1".parse().unwrap()) };
        let key = Keypair::generate_ed25519();
        behaviour::swarm(&config, key, &mut Registry::default(), &Holders::default()).unwrap()
    }

    fn asking(swarm: &mut Swarm<Behaviour>) -> &mut Asking {
        swarm.behaviour_mut().quiet.asking.as_mut().unwrap()
    }

    /// An address where connections are made by the kernel, and nobody ever says a word on them.
    fn wall() -> (std::net::TcpListener, Multiaddr) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = format!("/ip4/127.0.0.1/tcp/{}", listener.local_addr().unwrap().port());
        (listener, addr.parse().unwrap())
    }

    /// One asks the other about an address, until what is seen of the asker is enough.
    async fn ask<T>(
        asks: &mut Swarm<Behaviour>,
        answers: &mut Swarm<Behaviour>,
        addr: &Multiaddr,
        seen: impl Fn(&mut Asking, Option<Verdict>) -> Option<T>,
    ) -> T {
        answers.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        let started = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        let asked = async {
            loop {
                let mut verdict = None;
                tokio::select! {
                    event = answers.select_next_some() => if let SwarmEvent::NewListenAddr { address, .. } = event {
                        asks.dial(address).unwrap();
                    },
                    event = asks.select_next_some() => {
                        if let SwarmEvent::Behaviour(BehaviourEvent::Quiet(QuietEvent::Asking(said))) = event {
                            verdict = Some(said);
                        }
                    }
                    _ = tick.tick() => {
                        let elapsed = started.elapsed();
                        asking(asks).tend(vec![addr.clone()], elapsed);
                        answers.behaviour_mut().quiet.answering.as_mut().unwrap().tend(elapsed);
                    }
                }
                if let Some(seen) = seen(asking(asks), verdict) {
                    return seen;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), asked).await.unwrap()
    }

    #[tokio::test]
    async fn an_address_whose_firewall_swallows_everything_is_judged_before_the_asker_gives_up() {
        let (mut asks, mut answers, (_listener, wall)) = (swarm(), swarm(), wall());
        let verdict = ask(&mut asks, &mut answers, &wall, |_, verdict| verdict).await;
        assert!(!verdict.is_open && verdict.addr == wall);
        let asking = asking(&mut asks);
        assert_eq!((asking.reach(), asking.questions), (Reach::No, 1), "the first question was answered");
    }

    #[tokio::test]
    async fn a_question_goes_with_its_connection_and_another_round_comes() {
        let (mut asks, mut answers, (_listener, wall)) = (swarm(), swarm(), wall());
        ask(&mut asks, &mut answers, &wall, |asking, _| asking.is_waiting().then_some(())).await;
        drop(answers);
        let closed = async {
            while asks.connected_peers().next().is_some() {
                asks.select_next_some().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), closed).await.unwrap();
        let asking = asking(&mut asks);
        assert!(!asking.is_waiting() && asking.questions == 1);
        let due = asking.due;
        asking.tend(vec![wall], due);
        assert_eq!((asking.questions, asking.begun), (0, Some(due)));
    }

    #[tokio::test]
    async fn a_question_that_nobody_answers_is_given_up_while_its_connection_stands() {
        let (mut asks, mut answers, (_listener, wall)) = (swarm(), swarm(), wall());
        ask(&mut asks, &mut answers, &wall, |asking, _| asking.is_waiting().then_some(())).await;
        let asking = asking(&mut asks);
        let (asked, pause) = (asking.begun.unwrap() + ANSWER_PATIENCE, asking.pause);
        asking.noted = (0, Duration::ZERO);
        asking.tend(vec![wall.clone()], asked);
        assert!(asking.is_waiting() && asking.noted == (1, asked), "it was put since the last look");
        let later = asked + ANSWER_PATIENCE;
        asking.tend(vec![wall], later);
        assert!(!asking.is_waiting() && asking.begun == Some(later), "another round");
        assert_eq!(asking.pause, pause, "nothing was learned");
    }
}
