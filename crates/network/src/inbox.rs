//! Gossip on its way to whoever judges it: a bounded queue, and a verdict for each message.

use bytes::Bytes;
use haggle_base::PeerId;
use libp2p::gossipsub::{MessageAcceptance, MessageId};
use tokio::sync::mpsc;

/// Messages received by gossip, not yet verified. They spread further only when accepted.
#[derive(Debug)]
pub struct Inbox {
    /// The queue. When it is full, further messages are ignored.
    pub gossip: mpsc::Receiver<Gossip>,
}

/// One message.
#[derive(Debug)]
pub struct Gossip {
    /// The topic it came on.
    pub topic: String,
    /// The peer that handed it to us: not its author.
    pub from: PeerId,
    /// The message, as received.
    pub bytes: Bytes,
    /// What to do with it.
    pub verdict: Verdict,
}

/// The decision about one message. Dropping it ignores the message.
#[derive(Debug)]
#[must_use = "a dropped verdict ignores the message"]
pub struct Verdict {
    ruling: Option<(mpsc::OwnedPermit<Ruling>, MessageId, libp2p::PeerId)>,
}

/// What the worker is told.
#[derive(Debug)]
pub(crate) struct Ruling {
    pub(crate) message: MessageId,
    pub(crate) from: libp2p::PeerId,
    pub(crate) acceptance: MessageAcceptance,
}

impl Verdict {
    pub(crate) const fn new(permit: mpsc::OwnedPermit<Ruling>, message: MessageId, from: libp2p::PeerId) -> Self {
        Self { ruling: Some((permit, message, from)) }
    }

    /// The message is good: pass it on.
    pub fn accept(mut self) {
        self.rule(MessageAcceptance::Accept);
    }

    /// The message is bad by the fault of the peer that sent it: do not pass it on, penalise the
    /// peer. Our own troubles are never a reason to reject.
    pub fn reject(mut self) {
        self.rule(MessageAcceptance::Reject);
    }

    /// The message is of no use (already held, or we cannot tell): do not pass it on.
    pub fn ignore(mut self) {
        self.rule(MessageAcceptance::Ignore);
    }

    fn rule(&mut self, acceptance: MessageAcceptance) {
        if let Some((permit, message, from)) = self.ruling.take() {
            // The place in the queue was reserved with the message: this never waits or fails.
            let _queue = permit.send(Ruling { message, from, acceptance });
        }
    }
}

impl Drop for Verdict {
    fn drop(&mut self) {
        self.rule(MessageAcceptance::Ignore);
    }
}
