//! One stream to a peer with many calls on it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
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
    sync::{Semaphore, mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

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

type Answer = Result<Bytes, A2aError>;

/// The calls under way. Ids rise in the order in which calls are queued for writing.
#[derive(Debug, Default)]
struct Calls {
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    last: u64,
    dead: bool,
}

#[derive(Debug)]
pub(super) struct Connection {
    outbox: mpsc::Sender<Parcel>,
    calls: Arc<Mutex<Calls>>,
    /// Below the bound at which the other side answers "busy".
    places: Semaphore,
    closed: CancellationToken,
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
        let table = Arc::clone(&calls);
        tokio::spawn(async move {
            tokio::select! {
                () = read_replies(read, &table) => {}
                () = reader.cancelled() => {}
            }
            reader.cancel();
            bury(&table);
        });
        Self { outbox, calls, places: Semaphore::new(MAX_CALLS_PER_STREAM - 1), closed }
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
        let queued = async {
            let place = self.places.acquire().await.map_err(|_| SendError::NotSent)?;
            let permit = self.outbox.reserve().await.map_err(|_| SendError::NotSent)?;
            let (tell, answer) = oneshot::channel();
            let mut calls = lock(&self.calls);
            if calls.dead {
                return Err(SendError::NotSent);
            }
            calls.last += 1;
            let call = calls.last;
            calls.waiting.insert(call, tell);
            permit.send(vec![
                Frame { call, kind: FrameKind::Params, payload: head },
                Frame { call, kind: FrameKind::Request, payload: body },
            ]);
            drop(calls);
            Ok((place, call, answer))
        };
        let (_place, call, answer) = match tokio::time::timeout_at(until, queued).await {
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
        let waited = lock(&self.connection.calls).waiting.remove(&self.call);
        if waited.is_some() {
            let cancel = vec![Frame::bare(self.call, FrameKind::Cancel)];
            if self.connection.outbox.try_send(cancel).is_err() {
                tracing::trace!("a cancelled call was not announced: the stream is full or gone");
            }
        }
    }
}

async fn read_replies(mut read: ReadHalf<BoxStream>, calls: &Mutex<Calls>) {
    let mut buffer = BytesMut::new();
    while let Some(frame) = next(&mut read, &mut buffer).await {
        let (call, answer) = match binding::reply(frame) {
            Reply::Response { call, body } => (call, Ok(body)),
            Reply::Failed { call, error } => (call, Err(error)),
            Reply::End { call } => {
                let error = A2aError::new(Kind::InvalidAgentResponse, "the call ended without an answer");
                (call, Err(error))
            }
            Reply::Broken(error) => {
                tracing::debug!(error = %error, "the peer ended a stream: {error}");
                return;
            }
        };
        let waiting = lock(calls).waiting.remove(&call);
        if let Some(tell) = waiting
            && tell.send(answer).is_err()
        {
            tracing::trace!("an answer came after its caller had left");
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
