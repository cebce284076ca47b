//! One stream to a peer with many calls on it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use haggle_a2a::{
    A2aError, Kind,
    binding::{self, MAX_CALLS_PER_STREAM, Reply},
    frame::{Frame, FrameKind},
};
use tokio::{
    io::{AsyncRead, ReadHalf},
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, mpsc::error::TrySendError, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::pool::Followed;
use crate::{
    BoxStream,
    wire::{self, OUTBOX, Parcel, read_frame},
};

/// Why a call did not come back.
#[derive(Debug)]
pub(super) enum SendError {
    /// The stream was dead before the call went out: send it elsewhere.
    NotSent,
    /// The call failed.
    Failed(A2aError),
}

type Heard = Result<Bytes, A2aError>;

/// Answers of one call that wait to be read; a reader further behind is cut off, because other calls share the stream.
const UNREAD: usize = 64;
/// Bytes of answers of one call that wait to be read.
const UNREAD_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of answers of all calls of one stream that wait to be read.
const ALL_UNREAD_BYTES: usize = 32 * 1024 * 1024;

/// Who waits for a call's answers.
#[derive(Debug)]
enum Waiting {
    One(oneshot::Sender<Heard>),
    Many(mpsc::Sender<Heard>, Arc<Unread>),
}

/// Bytes that wait to be read: of one call, and of all calls of its stream.
#[derive(Debug, Default)]
struct Unread {
    own: AtomicUsize,
    all: Arc<AtomicUsize>,
}

impl Unread {
    /// Counts an answer, unless there is no room for it.
    fn add(&self, bytes: usize) -> bool {
        let is_room = self.own.load(Ordering::Relaxed) + bytes <= UNREAD_BYTES
            && self.all.load(Ordering::Relaxed) + bytes <= ALL_UNREAD_BYTES;
        if is_room {
            self.own.fetch_add(bytes, Ordering::Relaxed);
            self.all.fetch_add(bytes, Ordering::Relaxed);
        }
        is_room
    }

    fn take(&self, bytes: usize) {
        self.own.fetch_sub(bytes, Ordering::Relaxed);
        self.all.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.all.fetch_sub(self.own.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

fn weight(heard: &Heard) -> usize {
    heard.as_ref().map_or(0, Bytes::len)
}

/// The answers of one call, as they come. Dropping it tells the other side that nobody waits any more.
#[derive(Debug)]
pub(super) struct Answers {
    connection: Arc<Connection>,
    call: u64,
    queue: mpsc::Receiver<Heard>,
    unread: Arc<Unread>,
    _place: OwnedSemaphorePermit,
    _followed: Arc<Followed>,
}

impl Answers {
    /// The next answer; `None` when there are no more.
    pub(super) async fn next(&mut self) -> Option<Heard> {
        let heard = self.queue.recv().await?;
        self.unread.take(weight(&heard));
        Some(heard)
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.connection.give_up(self.call);
    }
}

/// The calls under way. Ids rise in the order in which calls are queued for writing.
#[derive(Debug, Default)]
struct Calls {
    waiting: HashMap<u64, Waiting>,
    last: u64,
    dead: bool,
}

#[derive(Debug)]
pub(super) struct Connection {
    outbox: mpsc::Sender<Parcel>,
    calls: Arc<Mutex<Calls>>,
    /// Below the bound at which the other side answers "busy".
    places: Arc<Semaphore>,
    closed: CancellationToken,
    unread: Arc<AtomicUsize>,
    runtime: Handle,
}

impl Connection {
    pub(super) fn start(stream: BoxStream, patience: Duration) -> Self {
        let (read, write) = tokio::io::split(stream);
        let (outbox, parcels) = mpsc::channel(OUTBOX);
        let calls: Arc<Mutex<Calls>> = Arc::default();
        let closed = CancellationToken::new();
        let (writer, reader) = (closed.clone(), closed.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = wire::write_parcels(write, parcels, patience) => {}
                () = writer.cancelled() => {}
            }
            writer.cancel();
        });
        let (table, cancels) = (Arc::clone(&calls), outbox.downgrade());
        tokio::spawn(async move {
            tokio::select! {
                () = read_replies(read, &table, &cancels) => {}
                () = reader.cancelled() => {}
            }
            reader.cancel();
            bury(&table);
        });
        let places = Arc::new(Semaphore::new(MAX_CALLS_PER_STREAM - 1));
        Self { outbox, calls, places, closed, unread: Arc::default(), runtime: Handle::current() }
    }

    pub(super) fn is_dead(&self) -> bool {
        self.closed.is_cancelled() || lock(&self.calls).dead
    }

    pub(super) fn close(&self) {
        self.closed.cancel();
    }

    /// Sends one call and waits for its answer, at most until `until`. Dropping the future tells
    /// the other side that nobody waits any more.
    pub(super) async fn call(&self, head: Bytes, body: Bytes, until: Instant) -> Result<Bytes, SendError> {
        let busy = || SendError::Failed(A2aError::new(Kind::Busy, "too many calls to this peer"));
        let (tell, answer) = oneshot::channel();
        let (_place, call) = match tokio::time::timeout_at(until, self.queue(head, body, Waiting::One(tell))).await {
            Ok(queued) => queued?,
            Err(_) => return Err(busy()),
        };
        let _gives_up = GivesUp { connection: self, call };
        match tokio::time::timeout_at(until, answer).await {
            Ok(Ok(answer)) => answer.map_err(SendError::Failed),
            Ok(Err(_)) => Err(SendError::Failed(A2aError::connection_lost())),
            Err(_) => Err(SendError::Failed(A2aError::new(
                Kind::DeadlineExceeded,
                "no answer in time: unknown whether processed",
            ))),
        }
    }
}

impl Connection {
    /// Sends one call whose answers are read as they come.
    pub(super) async fn open(
        self: &Arc<Self>,
        head: Bytes,
        body: Bytes,
        until: Instant,
        followed: &Arc<Followed>,
    ) -> Result<Answers, SendError> {
        let (tell, queue) = mpsc::channel(UNREAD);
        let unread = Arc::new(Unread { own: AtomicUsize::new(0), all: Arc::clone(&self.unread) });
        let waiting = Waiting::Many(tell, Arc::clone(&unread));
        match tokio::time::timeout_at(until, self.queue(head, body, waiting)).await {
            Ok(queued) => {
                let (place, call) = queued?;
                Ok(Answers {
                    connection: Arc::clone(self),
                    call,
                    queue,
                    unread,
                    _place: place,
                    _followed: Arc::clone(followed),
                })
            }
            Err(_) => Err(SendError::Failed(A2aError::new(Kind::Busy, "too many calls to this peer"))),
        }
    }

    /// Queues a call for writing as soon as there is a place for it.
    async fn queue(
        &self,
        head: Bytes,
        body: Bytes,
        waiting: Waiting,
    ) -> Result<(OwnedSemaphorePermit, u64), SendError> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| SendError::NotSent)?;
        let permit = self.outbox.reserve().await.map_err(|_| SendError::NotSent)?;
        let mut calls = lock(&self.calls);
        if calls.dead {
            return Err(SendError::NotSent);
        }
        calls.last += 1;
        let call = calls.last;
        calls.waiting.insert(call, waiting);
        permit.send(vec![
            Frame { call, kind: FrameKind::Params, payload: head },
            Frame { call, kind: FrameKind::Request, payload: body },
        ]);
        Ok((place, call))
    }

    /// Tells the other side that nobody waits, unless the call is over.
    fn give_up(&self, call: u64) {
        let waited = lock(&self.calls).waiting.remove(&call);
        if waited.is_some() {
            cancel(&self.outbox, &self.runtime, call);
        }
    }
}

/// Queues a Cancel frame. Where the queue is full it waits for its turn, before any call that comes later.
fn cancel(outbox: &mpsc::Sender<Parcel>, runtime: &Handle, call: u64) {
    let Err(TrySendError::Full(frame)) = outbox.try_send(vec![Frame::bare(call, FrameKind::Cancel)]) else { return };
    let outbox = outbox.clone();
    runtime.spawn(async move {
        let announced = outbox.send(frame).await.is_ok();
        tracing::trace!(call, announced, "nobody waits for this call any more");
    });
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

/// Tells the other side that nobody waits, unless the answer has come.
struct GivesUp<'a> {
    connection: &'a Connection,
    call: u64,
}

impl Drop for GivesUp<'_> {
    fn drop(&mut self) {
        self.connection.give_up(self.call);
    }
}

async fn read_replies(mut read: ReadHalf<BoxStream>, calls: &Mutex<Calls>, cancels: &mpsc::WeakSender<Parcel>) {
    let mut buffer = BytesMut::new();
    while let Some(frame) = next(&mut read, &mut buffer).await {
        let (call, answer) = match binding::reply(frame) {
            Reply::Response { call, body } => (call, Some(Ok(body))),
            Reply::Failed { call, error } => (call, Some(Err(error))),
            Reply::End { call } => (call, None),
            Reply::Broken(error) => {
                tracing::debug!(error = %error, "the peer ended a stream: {error}");
                return;
            }
        };
        if let Some(slow) = deliver(calls, call, answer) {
            tracing::debug!(call = slow, "the reader of a stream is too slow and was cut off");
            if let Some(outbox) = cancels.upgrade() {
                cancel(&outbox, &Handle::current(), slow);
            }
        }
    }
}

/// Hands an answer, or the end of the answers, to whoever waits. The call whose reader is too far behind, if it is.
fn deliver(calls: &Mutex<Calls>, call: u64, answer: Option<Heard>) -> Option<u64> {
    let mut calls = lock(calls);
    let is_last = !matches!(answer, Some(Ok(_)));
    match calls.waiting.get(&call) {
        None => None,
        Some(Waiting::Many(tell, unread)) => {
            let is_behind = answer.is_some_and(|answer| {
                !unread.add(weight(&answer)) || matches!(tell.try_send(answer), Err(TrySendError::Full(_)))
            });
            let is_over = is_last || is_behind || tell.is_closed();
            if is_over {
                calls.waiting.remove(&call);
            }
            (is_behind && !is_last).then_some(call)
        }
        Some(Waiting::One(_)) => {
            let ended = || Err(A2aError::new(Kind::InvalidAgentResponse, "the call ended without an answer"));
            if let Some(Waiting::One(tell)) = calls.waiting.remove(&call)
                && tell.send(answer.unwrap_or_else(ended)).is_err()
            {
                tracing::trace!("an answer came after its caller had left");
            }
            None
        }
    }
}

async fn next<R: AsyncRead + Unpin>(read: &mut R, buffer: &mut BytesMut) -> Option<Frame> {
    match read_frame(read, buffer).await {
        Ok(frame) => frame,
        Err(error) => {
            tracing::debug!(error = ?error, "a stream to a peer broke");
            None
        }
    }
}

/// Everybody who still waits learns that the connection is lost: their senders are dropped.
fn bury(calls: &Mutex<Calls>) {
    let mut calls = lock(calls);
    calls.dead = true;
    calls.waiting.clear();
}

fn lock(calls: &Mutex<Calls>) -> std::sync::MutexGuard<'_, Calls> {
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}
