//! The exchange of DID proofs: each side of a connection asks the other once, and again when the
//! other says that its DIDs have changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use haggle_base::{AgentKey, Clock, Did, NetworkId, PeerId, cbor};
use libp2p::StreamProtocol;
use parking_lot::{Mutex, RwLock};
use serde_bytes::{ByteArray, ByteBuf};
use tokio::io::AsyncWriteExt;
use tokio::sync::broadcast;
use tokio::time::{Instant, timeout};

use crate::book::Meeting;
use crate::error::NetworkError;
use crate::events::{NetworkEvent, Severity};
use crate::frame::{FrameError, read_frame, write_frame};
use crate::proof::{
    Answer, MAX_ANSWER_BYTES, MAX_DIDS_PER_PEER, MAX_QUESTION_BYTES, Nonce, Pair, ProofError, Question,
};
use crate::stream::{Incoming, Stream, Streams};

/// How long one exchange may take, opening its stream included.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);
/// Exchanges tried with a peer before it counts as proving nothing.
const ATTEMPTS: u32 = 3;

/// Peers remembered that asked before they were admitted here.
const MAX_EARLY: usize = 256;

/// Proves our DIDs to others and asks others for theirs.
pub(crate) struct Proofs {
    pub(crate) network: NetworkId,
    pub(crate) local: PeerId,
    pub(crate) protocol: StreamProtocol,
    pub(crate) keys: RwLock<Vec<Arc<AgentKey>>>,
    /// How many keys a peer was answered with that has admitted us, but is not admitted here yet.
    pub(crate) early: Mutex<BTreeMap<PeerId, usize>>,
    pub(crate) streams: Streams,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) events: broadcast::Sender<NetworkEvent>,
    pub(crate) penalise: Box<dyn Fn(PeerId, Severity) + Send + Sync>,
    /// Told of a peer that takes this node for newly connected, and is not.
    pub(crate) anew: Box<dyn Fn(PeerId) + Send + Sync>,
}

impl Proofs {
    /// Starts to answer questions.
    pub(crate) fn serve(self: &Arc<Self>) -> Result<(), NetworkError> {
        let mut incoming: Incoming = self.streams.accept(&self.protocol)?;
        let this = Arc::clone(self);
        self.streams.tracker.spawn(async move {
            while let Some((peer, stream)) = incoming.next().await {
                let this = Arc::clone(&this);
                let tracker = this.streams.tracker.clone();
                tracker.spawn(async move { this.answer_in_time(peer, stream).await });
            }
        });
        Ok(())
    }

    /// Asks an admitted peer for its proofs, in the background; tells it first if keys came since it asked for ours.
    pub(crate) fn begin(self: &Arc<Self>, peer: PeerId, round: u64) {
        let held = self.keys.read().len();
        if self.early.lock().remove(&peer).is_some_and(|answered| answered < held) {
            let this = Arc::clone(self);
            self.streams.tracker.spawn(async move {
                if let Ok(Err(error)) = timeout(EXCHANGE_TIMEOUT, this.tell_changed(peer)).await {
                    tracing::debug!(peer.id = %peer, error = %error, "could not tell {peer} that our DIDs changed");
                }
            });
        }
        let this = Arc::clone(self);
        self.streams.tracker.spawn(async move {
            let token = this.streams.token.clone();
            tokio::select! {
                () = token.cancelled() => {}
                () = this.ask_until_answered(peer, round) => {}
            }
        });
    }

    /// Adds a key and tells all connected peers; returns when they know that proofs will follow.
    pub(crate) async fn present(self: &Arc<Self>, key: Arc<AgentKey>, patience: Duration) -> Result<(), NetworkError> {
        {
            let mut keys = self.keys.write();
            if keys.iter().any(|held| held.did() == key.did()) {
                return Ok(());
            }
            if keys.len() >= MAX_DIDS_PER_PEER {
                return Err(NetworkError::TooManyDids { max: MAX_DIDS_PER_PEER });
            }
            keys.push(key);
        }
        let peers = self.streams.shared.with(|book| book.admitted());
        let told = peers.into_iter().map(|peer| async move {
            if let Ok(Err(error)) = timeout(patience, self.tell_changed(peer)).await {
                tracing::debug!(peer.id = %peer, error = %error, "could not tell {peer} that our DIDs changed");
            }
        });
        futures::future::join_all(told).await;
        Ok(())
    }

    async fn tell_changed(&self, peer: PeerId) -> Result<(), NetworkError> {
        let mut stream = self.open(peer).await?;
        send(&mut stream, &Question::Changed {}, MAX_QUESTION_BYTES).await?;
        stream.shutdown().await.map_err(FrameError::from)?;
        // An empty frame says that the peer has noted it.
        let _noted = read_frame(&mut stream, MAX_QUESTION_BYTES).await?;
        Ok(())
    }

    async fn ask_until_answered(&self, peer: PeerId, round: u64) {
        let mut pause = Duration::from_millis(50);
        let mut proved = Vec::new();
        for attempt in 1..=ATTEMPTS {
            match timeout(EXCHANGE_TIMEOUT, self.ask(peer)).await {
                Ok(Ok(dids)) => {
                    self.streams.metrics.proofs("ok");
                    proved = dids;
                    break;
                }
                Ok(Err(NetworkError::Proof(error))) => {
                    tracing::warn!(peer.id = %peer, error = %error, "refused the DID proofs of {peer}");
                    self.streams.metrics.proofs("refused");
                    (self.penalise)(peer, Severity::High);
                    break;
                }
                Ok(Err(error)) => {
                    tracing::debug!(peer.id = %peer, error = %error, "asking {peer} for DID proofs failed, attempt {attempt}");
                }
                Err(_) => {
                    tracing::debug!(peer.id = %peer, "asking {peer} for DID proofs took too long");
                }
            }
            if !self.streams.shared.with(|book| book.is_admitted(&peer)) {
                break;
            }
            tokio::time::sleep(pause).await;
            pause *= 4;
        }
        let fresh = self.streams.shared.change(|book| book.proofs_done(&peer, round, proved));
        for did in fresh {
            tracing::debug!(peer.id = %peer, did = %did, "peer {peer} speaks for {did}");
            self.tell(NetworkEvent::Proven { peer, did });
        }
    }

    async fn ask(&self, peer: PeerId) -> Result<Vec<Did>, NetworkError> {
        let mut nonce: Nonce = [0; 32];
        getrandom::fill(&mut nonce).map_err(|_| NetworkError::Busy)?;
        let mut stream = self.open(peer).await?;
        // of the connections that stand now, one of which carries the stream
        let meeting = self.streams.shared.with(|book| book.meeting(&peer, meeting_in(&nonce)));
        nonce[..meeting.len()].copy_from_slice(&meeting);
        let question = Question::Prove { nonce: ByteArray::new(nonce) };
        send(&mut stream, &question, MAX_QUESTION_BYTES).await?;
        let frame = read_frame(&mut stream, MAX_ANSWER_BYTES).await?;
        let frame = frame.ok_or(FrameError::Truncated)?;
        let answer: Answer = cbor::from_slice(&frame, MAX_ANSWER_BYTES).map_err(ProofError::Statement)?;
        let pair = Pair { network: &self.network, prover: &peer, verifier: &self.local };
        Ok(pair.verify_all(&answer, &nonce, self.clock.now())?)
    }

    async fn open(&self, peer: PeerId) -> Result<Stream, NetworkError> {
        self.streams.open(&peer, &self.protocol, Instant::now() + EXCHANGE_TIMEOUT).await
    }

    async fn answer_in_time(self: &Arc<Self>, peer: PeerId, stream: Stream) {
        let token = self.streams.token.clone();
        let answered = tokio::select! {
            () = token.cancelled() => return,
            answered = timeout(EXCHANGE_TIMEOUT, self.answer(peer, stream)) => answered,
        };
        if let Ok(Err(error)) = answered {
            tracing::debug!(peer.id = %peer, error = %error, "could not answer the DID question of {peer}");
        }
    }

    async fn answer(self: &Arc<Self>, peer: PeerId, mut stream: Stream) -> Result<(), NetworkError> {
        let shared = &self.streams.shared;
        let elapsed = shared.elapsed();
        if !shared.with(|book| book.takes_question(&peer, elapsed)) {
            (self.penalise)(peer, Severity::Low);
            return Err(NetworkError::Busy);
        }
        let Some(frame) = read_frame(&mut stream, MAX_QUESTION_BYTES).await? else { return Ok(()) };
        let question = cbor::from_slice(&frame, MAX_QUESTION_BYTES).map_err(ProofError::Statement)?;
        match question {
            Question::Prove { nonce } => {
                let nonce = nonce.into_array();
                if shared.with(|book| book.has_begun_anew(&peer, meeting_in(&nonce))) {
                    (self.anew)(peer);
                    return Ok(());
                }
                let answer = self.prove(&peer, nonce);
                if !shared.with(|book| book.is_admitted(&peer)) {
                    let mut early = self.early.lock();
                    if early.len() >= MAX_EARLY {
                        early.clear();
                    }
                    early.insert(peer, answer.proofs.len());
                }
                send(&mut stream, &answer, MAX_ANSWER_BYTES).await?;
            }
            Question::Changed {} => {
                if let Some(round) = shared.change(|book| book.proofs_pending(&peer)) {
                    self.begin(peer, round);
                }
                write_frame(&mut stream, &[], MAX_QUESTION_BYTES).await?;
            }
        }
        stream.shutdown().await.map_err(FrameError::from)?;
        Ok(())
    }

    /// Signs one proof per key for the peer's question.
    fn prove(&self, verifier: &PeerId, nonce: Nonce) -> Answer {
        let pair = Pair { network: &self.network, prover: &self.local, verifier };
        let now = self.clock.now();
        let keys = self.keys.read();
        let proofs = keys.iter().map(|key| ByteBuf::from(pair.prove(key, nonce, now))).collect();
        Answer { proofs }
    }

    fn tell(&self, event: NetworkEvent) {
        // Nobody needs to listen.
        let _listeners = self.events.send(event);
    }
}

/// What a question names the meeting of its two peers.
const fn meeting_in(nonce: &Nonce) -> Meeting {
    let [a, b, c, d, e, f, g, h, ..] = *nonce;
    [a, b, c, d, e, f, g, h]
}

/// Sends a message as one frame of canonical CBOR.
async fn send<T: serde::Serialize>(stream: &mut Stream, message: &T, max: usize) -> Result<(), NetworkError> {
    let bytes = cbor::to_vec(message).map_err(ProofError::Statement)?;
    Ok(write_frame(stream, &bytes, max).await?)
}
