//! Streams between peers: opened with a deadline and an answer, accepted with bounds.
//!
//! libp2p-stream drops an inbound stream without a word when its acceptor is busy for a moment.
//! So the accepting side always answers with one byte before anything else is sent, and the
//! opening side tries again until it has that byte: nothing of the caller is lost or sent twice.
//! A stream takes a direct connection if there is one, and a relayed one only if there is not.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::select;
use haggle_base::PeerId;
use libp2p::StreamProtocol;
use libp2p_stream::{Control, OpenStreamError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::address;
use crate::error::NetworkError;
use crate::metrics::Metrics;
use crate::offer::Edition;
use crate::shared::Shared;

/// Accepted streams of one protocol that wait to be taken.
const INCOMING_QUEUE: usize = 64;
/// Inbound streams that are being answered at the same time, all protocols of a node together.
const MAX_ANSWERING: usize = 256;
/// How long an inbound stream waits for its peer to tell who it is.
const ADMIT_PATIENCE: Duration = Duration::from_secs(5);
/// How long writing the answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// First and longest pause between two attempts to open a stream.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));

/// How long after connecting a peer may still be setting up its services. Until then a protocol
/// that it does not speak is asked for again.
const SETTLING: Duration = Duration::from_secs(2);

/// The answer to an opened stream.
const ACCEPTED: u8 = 0;
/// The peer holds as many streams as it may.
const TOO_MANY: u8 = 1;
/// The acceptor's queue is full; try again.
const BUSY: u8 = 2;
/// The peer has not told who it is, or is of another network.
const NOT_ADMITTED: u8 = 3;

/// A stream of bytes to or from a peer. Call `shutdown` when all is written: dropping a stream
/// resets it.
#[derive(Debug)]
pub struct Stream {
    inner: Compat<libp2p::Stream>,
    peer: PeerId,
    _permit: Option<OwnedSemaphorePermit>,
    /// The connection is not closed under the stream.
    _held: Arc<()>,
}

impl Stream {
    /// The peer at the other end, authenticated by the transport.
    #[must_use]
    pub const fn peer(&self) -> &PeerId {
        &self.peer
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// The streams that peers open for one protocol. Dropping it stops accepting them.
#[derive(Debug)]
pub struct Incoming {
    streams: mpsc::Receiver<(PeerId, Stream)>,
}

impl Incoming {
    /// The next stream; `None` once the network is shut down.
    pub async fn next(&mut self) -> Option<(PeerId, Stream)> {
        self.streams.recv().await
    }
}

/// The two ways of a stream.
#[derive(Clone)]
pub(crate) struct Lanes {
    /// Over direct connections.
    pub(crate) direct: Control,
    /// Over relayed ones.
    pub(crate) relayed: Control,
    /// Which protocols they take.
    pub(crate) edition: Edition,
}

/// Opens and accepts streams for a node.
#[derive(Clone)]
pub(crate) struct Streams {
    pub(crate) lanes: Lanes,
    pub(crate) shared: Arc<Shared>,
    pub(crate) answering: Arc<Semaphore>,
    pub(crate) metrics: Metrics,
    pub(crate) token: CancellationToken,
    pub(crate) tracker: TaskTracker,
}

impl Streams {
    pub(crate) fn new(
        lanes: Lanes,
        shared: Arc<Shared>,
        metrics: Metrics,
        token: CancellationToken,
        tracker: TaskTracker,
    ) -> Self {
        let answering = Arc::new(Semaphore::new(MAX_ANSWERING));
        Self { lanes, shared, answering, metrics, token, tracker }
    }

    /// Opens a stream to a connected peer, trying again until `deadline` when it is dropped.
    pub(crate) async fn open(
        &self,
        peer: &PeerId,
        protocol: &StreamProtocol,
        deadline: Instant,
    ) -> Result<Stream, NetworkError> {
        let opened = timeout_at(deadline, self.open_with_retries(peer, protocol)).await;
        let opened =
            opened.unwrap_or_else(|_| Err(NetworkError::OpenTimeout { peer: *peer, protocol: protocol.to_string() }));
        self.metrics.opened(if opened.is_ok() { "ok" } else { "failed" });
        opened
    }

    async fn open_with_retries(&self, peer: &PeerId, protocol: &StreamProtocol) -> Result<Stream, NetworkError> {
        let (mut pause, longest) = RETRY_PAUSE;
        loop {
            let relayed = !self.shared.with(|book| book.has_lane(peer, false));
            let opened = tokio::select! {
                opened = self.open_once(peer, protocol, relayed) => opened,
                () = self.shared.lane_gone(peer, relayed) => Err(NetworkError::StreamReset { peer: *peer }),
            };
            let elapsed = self.shared.elapsed();
            let again = match &opened {
                Err(NetworkError::StreamReset { .. }) => true,
                Err(NetworkError::Unsupported { .. }) => {
                    self.shared.with(|book| book.is_younger(peer, SETTLING, elapsed))
                }
                _ => false,
            };
            if !again {
                return opened;
            }
            tokio::time::sleep(jittered(pause)).await;
            pause = (pause * 2).min(longest);
            if !self.shared.with(|book| book.is_linked(peer)) {
                return Err(NetworkError::PeerUnreachable { peer: *peer });
            }
        }
    }

    async fn open_once(&self, peer: &PeerId, protocol: &StreamProtocol, relayed: bool) -> Result<Stream, NetworkError> {
        let reset = || NetworkError::StreamReset { peer: *peer };
        let mut control = if relayed { self.lanes.relayed.clone() } else { self.lanes.direct.clone() };
        let held = self.hold(peer, relayed);
        let opened = control.open_stream(address::to_libp2p(peer), protocol.clone()).await;
        let mut inner = match opened {
            Ok(stream) => stream.compat(),
            Err(OpenStreamError::UnsupportedProtocol(protocol)) => {
                return Err(NetworkError::Unsupported { peer: *peer, protocol: protocol.to_string() });
            }
            Err(_) => return Err(reset()),
        };
        match inner.read_u8().await {
            Ok(ACCEPTED) => Ok(Stream { inner, peer: *peer, _permit: None, _held: held }),
            Ok(TOO_MANY) => Err(NetworkError::TooManyStreams { peer: *peer }),
            Ok(NOT_ADMITTED) => Err(NetworkError::WrongNetwork { peer: *peer }),
            Ok(_) | Err(_) => Err(reset()),
        }
    }

    fn hold(&self, peer: &PeerId, relayed: bool) -> Arc<()> {
        let elapsed = self.shared.elapsed();
        self.shared.with(|book| book.hold(peer, relayed, elapsed))
    }

    /// Accepts streams of a protocol. The loop only spawns, so it is always ready for the next.
    pub(crate) fn accept(&self, protocol: &StreamProtocol) -> Result<Incoming, NetworkError> {
        let taken = || NetworkError::AlreadyAccepted { protocol: protocol.to_string() };
        let direct = self.lanes.direct.clone().accept(protocol.clone()).map_err(|_| taken())?;
        let Ok(relayed) = self.lanes.relayed.clone().accept(protocol.clone()) else {
            drop(direct);
            self.lanes.edition.renew();
            return Err(taken());
        };
        self.lanes.edition.renew();
        let mut inbound = select(direct.map(|next| (next, false)), relayed.map(|next| (next, true)));
        let (sender, streams) = mpsc::channel(INCOMING_QUEUE);
        let this = self.clone();
        self.tracker.spawn(async move {
            loop {
                let next = tokio::select! {
                    () = this.token.cancelled() => break,
                    () = sender.closed() => break,
                    next = inbound.next() => next,
                };
                let Some(((peer, stream), relayed)) = next else { break };
                let Ok(slot) = Arc::clone(&this.answering).try_acquire_owned() else {
                    this.metrics.accepted("dropped");
                    continue;
                };
                let (this, sender) = (this.clone(), sender.clone());
                this.tracker.clone().spawn(async move {
                    let outcome = tokio::select! {
                        () = this.token.cancelled() => "shutdown",
                        outcome = this.answer(peer, stream, relayed, sender) => outcome,
                    };
                    this.metrics.accepted(outcome);
                    drop(slot);
                });
            }
            drop(inbound);
            this.lanes.edition.renew();
        });
        Ok(Incoming { streams })
    }

    /// Answers one inbound stream and hands it over. Returns the outcome's name.
    async fn answer(
        &self,
        peer: libp2p::PeerId,
        stream: libp2p::Stream,
        relayed: bool,
        sender: mpsc::Sender<(PeerId, Stream)>,
    ) -> &'static str {
        let mut inner = stream.compat();
        let Some(peer) = address::from_libp2p(&peer) else { return "refused" };
        let held = self.hold(&peer, relayed);
        if !self.shared.admitted(&peer, ADMIT_PATIENCE).await {
            refuse(&mut inner, NOT_ADMITTED).await;
            return "not_admitted";
        }
        let elapsed = self.shared.elapsed();
        let streams = self.shared.with(|book| book.streams(&peer, elapsed));
        let Ok(permit) = streams.try_acquire_owned() else {
            refuse(&mut inner, TOO_MANY).await;
            return "too_many";
        };
        let Ok(place) = sender.try_reserve() else {
            refuse(&mut inner, BUSY).await;
            return "busy";
        };
        let accepted = async {
            inner.write_u8(ACCEPTED).await?;
            inner.flush().await
        };
        match timeout(ANSWER_TIMEOUT, accepted).await {
            Ok(Ok(())) => {
                place.send((peer, Stream { inner, peer, _permit: Some(permit), _held: held }));
                "ok"
            }
            _ => "lost",
        }
    }
}

/// Says why a stream is refused and closes it.
async fn refuse(stream: &mut Compat<libp2p::Stream>, answer: u8) {
    let refusal = async {
        stream.write_u8(answer).await?;
        stream.shutdown().await
    };
    if !matches!(timeout(ANSWER_TIMEOUT, refusal).await, Ok(Ok(()))) {
        tracing::debug!(stream.answer = answer, "a refused stream was gone before the answer");
    }
}

/// A pause of half to one and a half times `pause`, so that many openers do not meet again.
fn jittered(pause: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(0) % 1000;
    pause / 2 + pause * random / 1000
}
