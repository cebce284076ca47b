//! The serving side of the libp2p binding: one stream, many calls side by side.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, future::BoxFuture};
use haggle_a2a::{
    A2aError, Kind,
    binding::{self, CallParams, Inbound, MAX_CALLS_PER_STREAM, Serving},
    frame::{Frame, FrameKind, MAX_PAYLOAD_BYTES},
    rpc,
};
use haggle_base::Did;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};

use crate::{
    Answer, Caller, Server,
    wire::{self, OUTBOX, Parcel, ReadError, read_frame},
};

/// Asks which identities the peer has proven by now.
pub(crate) type Proven = Arc<dyn Fn() -> BoxFuture<'static, Vec<Did>> + Send + Sync>;

struct Session {
    server: Server,
    caller: Caller,
    proven: Proven,
    serving: Arc<Mutex<Serving>>,
    outbox: mpsc::Sender<Parcel>,
    calls: JoinSet<()>,
    aborts: HashMap<u64, AbortHandle>,
}

/// Serves until the stream ends. Calls under way are finished if the caller only stopped sending,
/// and stopped if the stream broke.
pub(crate) async fn serve<S>(server: Server, caller: Caller, proven: Proven, stream: S, patience: Duration)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (mut read, write) = tokio::io::split(stream);
    let (outbox, parcels) = mpsc::channel(OUTBOX);
    let writer = tokio::spawn(wire::write_parcels(write, parcels, patience));
    let mut session = Session {
        server,
        caller,
        proven,
        serving: Arc::default(),
        outbox,
        calls: JoinSet::new(),
        aborts: HashMap::new(),
    };
    let mut buffer = BytesMut::new();
    let hung_up = session.outbox.clone();
    loop {
        let next = tokio::select! {
            next = read_frame(&mut read, &mut buffer) => next,
            () = hung_up.closed() => Err(ReadError::Io),
        };
        match next {
            Ok(Some(frame)) => {
                if let Err(error) = session.take(frame).await {
                    session.close_with(&error).await;
                    break;
                }
            }
            Ok(None) => break,
            Err(ReadError::Frame(error)) => {
                session.close_with(&binding::framing_error(error)).await;
                break;
            }
            Err(ReadError::Io) => {
                session.calls.abort_all();
                break;
            }
        }
    }
    session.drain(&hung_up).await;
    drop((session, hung_up));
    if writer.await.is_err() {
        tracing::warn!("the writer of a stream broke down");
    }
}

impl Session {
    /// Deals with one frame; an error ends the stream.
    async fn take(&mut self, frame: Frame) -> Result<(), A2aError> {
        let inbound = self.serving.lock().unwrap_or_else(PoisonError::into_inner).receive(frame);
        match inbound {
            Inbound::Waiting | Inbound::Late => {}
            Inbound::Start { call, params, request } => self.start(call, params, request),
            Inbound::Cancelled { call } => {
                if let Some(running) = self.aborts.remove(&call) {
                    running.abort();
                }
            }
            Inbound::Refused { call, error } => self.send(vec![binding::error_frame(call, &error)]).await,
            Inbound::Violation(error) => return Err(error),
        }
        self.reap();
        Ok(())
    }

    fn start(&mut self, call: u64, params: CallParams, request: Bytes) {
        let (server, mut caller, proven) = (self.server.clone(), self.caller.clone(), Arc::clone(&self.proven));
        let (serving, outbox) = (Arc::clone(&self.serving), self.outbox.clone());
        let running = self.calls.spawn(async move {
            caller.dids = proven().await;
            let mut parcel = answer(server, caller, call, params, &request, &outbox).await;
            let waited_for = serving.lock().unwrap_or_else(PoisonError::into_inner).done(call);
            parcel.push(Frame::bare(call, FrameKind::End));
            if waited_for && outbox.send(parcel).await.is_err() {
                tracing::trace!("a stream broke before its answer was sent");
            }
        });
        self.aborts.insert(call, running);
    }

    /// Lets the calls under way end, as long as a blocking call may take and somebody is there to read the answers.
    async fn drain(&mut self, hung_up: &mpsc::Sender<Parcel>) {
        let longest = self.server.longest_call();
        let all = async { while self.calls.join_next().await.is_some() {} };
        let in_time = tokio::select! {
            done = tokio::time::timeout(longest, all) => done.is_ok(),
            () = hung_up.closed() => false,
        };
        if !in_time {
            self.calls.shutdown().await;
        }
    }

    async fn send(&self, parcel: Parcel) {
        if self.outbox.send(parcel).await.is_err() {
            tracing::trace!("a stream broke before an error was sent");
        }
    }

    async fn close_with(&mut self, error: &A2aError) {
        tracing::debug!(caller = %self.caller.scope, error = %error, "closed a stream of {}: {error}", self.caller.scope);
        self.calls.abort_all();
        self.send(vec![binding::error_frame(0, error)]).await;
    }

    fn reap(&mut self) {
        while self.calls.try_join_next().is_some() {}
        if self.aborts.len() > 2 * MAX_CALLS_PER_STREAM {
            self.aborts.retain(|_, running| !running.is_finished());
        }
    }
}

/// The answer's last frames. Events of a stream are sent as they come; the caller who gives up stops this at any await.
async fn answer(
    server: Server,
    caller: Caller,
    call: u64,
    params: CallParams,
    request: &[u8],
    outbox: &mpsc::Sender<Parcel>,
) -> Parcel {
    let CallParams { agent, params, timeout } = params;
    let (id, answer) = match rpc::value_from_slice(request) {
        Err(unreadable) => (unreadable.id, Err(unreadable.error)),
        Ok(request) => server.answer(caller, &agent, request, &params, timeout).await,
    };
    let mut events = match answer {
        Err(error) => return vec![response(call, &id, Err(error))],
        Ok(Answer::One(result)) => return vec![response(call, &id, Ok(result))],
        Ok(Answer::Many(events)) => events,
    };
    while let Some(event) = events.next().await {
        if outbox.send(vec![response(call, &id, event)]).await.is_err() {
            tracing::trace!("a stream broke before its events were sent");
            break;
        }
    }
    Parcel::new()
}

fn response(call: u64, id: &Value, outcome: Result<Value, A2aError>) -> Frame {
    let mut body = Bytes::from(rpc::response(id.clone(), outcome).to_string());
    if body.len() > MAX_PAYLOAD_BYTES {
        let error = A2aError::new(Kind::TooLarge, "the answer is over 1 MiB");
        body = Bytes::from(rpc::response(id.clone(), Err(error)).to_string());
    }
    Frame { call, kind: FrameKind::Response, payload: body }
}
