//! Gossip: publishing, the way of a received message to the inbox, and the verdict's way back.

use std::time::Duration;

use haggle_base::PeerId;
use libp2p::gossipsub::{self, IdentTopic, MessageAcceptance, MessageId, PublishError};

use super::Worker;
use crate::address;
use crate::error::NetworkError;
use crate::events::{NetworkEvent, Severity};
use crate::inbox::{Gossip, Ruling, Verdict};

/// A flood is told of so often at most: whoever hears of it does something about it.
const DROPPED_PAUSE: Duration = Duration::from_secs(60);

impl Worker {
    pub(super) fn publish(&mut self, topic: String, bytes: Vec<u8>) -> Result<(), NetworkError> {
        let (size, max) = (bytes.len(), self.config.max_gossip_bytes);
        let Some(gossip) = self.swarm.behaviour_mut().gossip.as_mut() else {
            return Err(NetworkError::GossipOff);
        };
        if size > max {
            return Err(NetworkError::MessageTooLarge { size, max });
        }
        let published = gossip.publish(IdentTopic::new(&topic).hash(), bytes);
        let (outcome, result) = match published {
            Ok(_) => ("ok", Ok(())),
            // It is on its way already: publishing twice is no fault of the caller.
            Err(PublishError::Duplicate) => ("duplicate", Ok(())),
            Err(PublishError::NoPeersSubscribedToTopic) => ("no_peers", Err(NetworkError::NoPeers { topic })),
            Err(PublishError::MessageTooLarge) => ("too_large", Err(NetworkError::MessageTooLarge { size, max })),
            Err(PublishError::AllQueuesFull(_)) => ("busy", Err(NetworkError::Busy)),
            Err(error @ (PublishError::SigningError(_) | PublishError::TransformFailed(_))) => {
                ("failed", Err(NetworkError::Setup { source: error.into() }))
            }
        };
        self.metrics.published(outcome);
        result
    }

    /// How many connected peers listen to a topic.
    pub(super) fn subscribers(&self, topic: &str) -> usize {
        let Some(gossip) = self.swarm.behaviour().gossip.as_ref() else { return 0 };
        let hash = IdentTopic::new(topic).hash();
        gossip.all_peers().filter(|(_, topics)| topics.contains(&&hash)).count()
    }

    pub(super) fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                self.on_message(propagation_source, &message_id, message);
            }
            gossipsub::Event::Subscribed { peer_id, topic } => {
                if let Some(peer) = address::from_libp2p(&peer_id) {
                    self.tell(NetworkEvent::Subscribed { peer, topic: topic.into_string() });
                }
            }
            gossipsub::Event::SlowPeer { peer_id, .. } => {
                tracing::debug!(peer.id = %peer_id, "peer {peer_id} takes gossip too slowly");
            }
            gossipsub::Event::Unsubscribed { .. } | gossipsub::Event::GossipsubNotSupported { .. } => {}
        }
    }

    fn on_message(&mut self, source: libp2p::PeerId, id: &MessageId, message: gossipsub::Message) {
        let (outcome, acceptance) = match address::from_libp2p(&source) {
            None => ("refused", MessageAcceptance::Ignore),
            Some(peer) if message.data.len() > self.config.max_gossip_bytes => {
                self.penalise(peer, Severity::Medium);
                ("too_large", MessageAcceptance::Reject)
            }
            Some(from) => match self.hand_over(from, source, id, message) {
                Ok(()) => {
                    self.metrics.gossip("received");
                    return;
                }
                Err(outcome) => {
                    self.has_dropped = true;
                    (outcome, MessageAcceptance::Ignore)
                }
            },
        };
        self.metrics.gossip(outcome);
        self.rule(id, &source, acceptance);
    }

    /// Tells that news may be missing. What is dropped meanwhile is told after the pause.
    pub(super) fn tell_of_dropped(&mut self, elapsed: Duration) {
        if self.has_dropped && elapsed >= self.tell_dropped {
            self.has_dropped = false;
            self.tell_dropped = elapsed + DROPPED_PAUSE;
            self.tell(NetworkEvent::GossipDropped);
        }
    }

    /// Puts a message into the inbox, or says why it is ignored.
    fn hand_over(
        &mut self,
        from: PeerId,
        source: libp2p::PeerId,
        id: &MessageId,
        message: gossipsub::Message,
    ) -> Result<(), &'static str> {
        let elapsed = self.shared.elapsed();
        if !self.shared.with(|book| book.takes_gossip(&from, elapsed)) {
            return Err("over_rate");
        }
        let place = self.inbox.try_reserve().map_err(|_| "inbox_full")?;
        let permit = self.ruling.clone().try_reserve_owned().map_err(|_| "inbox_full")?;
        place.send(Gossip {
            topic: message.topic.into_string(),
            from,
            bytes: message.data.into(),
            verdict: Verdict::new(permit, id.clone(), source),
        });
        Ok(())
    }

    pub(super) fn on_ruling(&mut self, ruling: &Ruling) {
        let outcome = match ruling.acceptance {
            MessageAcceptance::Accept => "accepted",
            MessageAcceptance::Reject => "rejected",
            MessageAcceptance::Ignore => "ignored",
        };
        self.metrics.gossip(outcome);
        self.rule(&ruling.message, &ruling.from, ruling.acceptance);
        if matches!(ruling.acceptance, MessageAcceptance::Reject)
            && let Some(peer) = address::from_libp2p(&ruling.from)
        {
            self.penalise(peer, Severity::Medium);
        }
    }

    fn rule(&mut self, id: &MessageId, source: &libp2p::PeerId, acceptance: MessageAcceptance) {
        if let Some(gossip) = self.swarm.behaviour_mut().gossip.as_mut() {
            let _in_cache = gossip.report_message_validation_result(id, source, acceptance);
        }
    }
}
