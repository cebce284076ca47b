//! The libp2p binding, both ends in one process over in-memory streams.

use bytes::BytesMut;
use haggle_a2a::frame::{Frame, FrameKind};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    task::JoinHandle,
};

use super::*;
use crate::{BoxStream, Client, ClientLimits, Dial};

/// Reaches the server by in-memory streams that can be cut.
pub(super) struct Cable {
    server: Server,
    plugged: Mutex<bool>,
    streams: Mutex<Vec<JoinHandle<()>>>,
}

impl Cable {
    pub(super) fn to(node: &Node) -> Arc<Self> {
        Arc::new(Self { server: node.server.clone(), plugged: Mutex::new(true), streams: Mutex::default() })
    }

    fn opened(&self) -> usize {
        self.streams.lock().unwrap().len()
    }

    /// Cuts every stream; the server's ends are gone at once.
    pub(super) fn cut(&self) {
        for stream in self.streams.lock().unwrap().iter() {
            stream.abort();
        }
    }
}

#[async_trait]
impl Dial for Cable {
    async fn open(&self, _: &PeerId) -> Result<BoxStream, A2aError> {
        if !*self.plugged.lock().unwrap() {
            return Err(A2aError::new(Kind::Unreachable, "unplugged"));
        }
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        self.streams.lock().unwrap().push(tokio::spawn(self.server.serve_stream(alice(), theirs)));
        Ok(Box::new(ours))
    }
}

pub(super) async fn call(client: &Client, request: Value) -> Result<Value, A2aError> {
    rpc::result(client.call(&ALICE, &AGENT, request, PATIENCE).await?)
}

#[tokio::test]
async fn two_hundred_calls_share_two_streams() {
    let node = node().await;
    let cable = Cable::to(&node);
    let client = Client::new(Arc::clone(&cable) as Arc<dyn Dial>);
    let calls = (0..200).map(|n| {
        let client = client.clone();
        tokio::spawn(async move { (n, call(&client, send(&format!("number {n}"))).await) })
    });
    for answer in futures::future::join_all(calls).await {
        let (n, answer) = answer.unwrap();
        assert_eq!(answer.unwrap()["task"]["artifacts"][0]["parts"][0]["text"], format!("number {n}"));
    }
    assert!(cable.opened() <= 2, "{} streams", cable.opened());
    assert_eq!(node.agent.runs.load(Ordering::SeqCst), 200);
}

#[tokio::test]
async fn a_slow_call_does_not_hold_up_the_others() {
    let node = node().await;
    let client = Client::new(Cable::to(&node));
    let slow = tokio::spawn({
        let client = client.clone();
        async move { call(&client, send("wait")).await }
    });
    soon(&node.agent.begun).await;
    assert!(call(&client, send("quick")).await.is_ok());
    node.agent.go.notify_one();
    assert_eq!(slow.await.unwrap().unwrap()["task"]["artifacts"][0]["parts"][0]["text"], "waited");
}

#[tokio::test]
async fn a_cut_stream_leaves_the_call_in_doubt_and_is_replaced() {
    let node = node().await;
    let cable = Cable::to(&node);
    let client = Client::new(Arc::clone(&cable) as Arc<dyn Dial>);
    let doubtful = tokio::spawn({
        let client = client.clone();
        async move { call(&client, send("wait")).await }
    });
    soon(&node.agent.begun).await;
    cable.cut();
    let error = doubtful.await.unwrap().unwrap_err();
    assert_eq!(error.message(), "connection lost: unknown whether processed");
    assert!(error.is_outcome_unknown() && !error.is_retryable());
    soon(&node.agent.stopped).await;
    assert!(call(&client, send("again")).await.is_ok());
    assert_eq!(cable.opened(), 2);
}

#[tokio::test]
async fn an_unreachable_peer_is_safe_to_ask_again() {
    let node = node().await;
    let cable = Cable::to(&node);
    *cable.plugged.lock().unwrap() = false;
    let limits = ClientLimits { redial: Duration::ZERO, retries: 0, ..ClientLimits::default() };
    let client = Client::with_limits(Arc::clone(&cable) as Arc<dyn Dial>, limits);
    let error = call(&client, send("x")).await.unwrap_err();
    assert!(error.kind() == Kind::Unreachable && error.is_retryable());
    *cable.plugged.lock().unwrap() = true;
    assert!(call(&client, send("x")).await.is_ok());
}

/// A cable that is plugged in after so many attempts.
struct LateCable {
    cable: Arc<Cable>,
    refusals: AtomicUsize,
}

#[async_trait]
impl Dial for LateCable {
    async fn open(&self, peer: &PeerId) -> Result<BoxStream, A2aError> {
        let refused = self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match refused {
            Ok(_) => Err(A2aError::new(Kind::Unreachable, "not yet")),
            Err(_) => self.cable.open(peer).await,
        }
    }
}

#[tokio::test]
async fn a_call_that_never_left_is_tried_again_within_its_deadline_and_runs_once() {
    let node = node().await;
    let limits = ClientLimits { redial: Duration::ZERO, retry: Duration::from_millis(1), ..ClientLimits::default() };
    let late = |refusals| Arc::new(LateCable { cable: Cable::to(&node), refusals: AtomicUsize::new(refusals) });
    let client = Client::with_limits(late(2), limits.clone());
    assert!(call(&client, send("x")).await.is_ok(), "the third attempt is let through");
    assert_eq!(node.agent.runs.load(Ordering::SeqCst), 1);

    let gone = Client::with_limits(late(3), limits.clone());
    assert_eq!(call(&gone, send("x")).await.unwrap_err().message(), "not yet", "two further attempts, no more");

    let hurried = Client::with_limits(late(1), ClientLimits { retry: PATIENCE, ..limits });
    let error = hurried.call(&ALICE, &AGENT, send("x"), Duration::from_secs(5)).await.unwrap_err();
    assert_eq!(error.message(), "not yet", "a wait that the deadline does not allow is not begun");
}

#[tokio::test]
async fn a_peer_that_fails_again_and_again_is_left_alone_and_then_tried_with_one_call() {
    let node = node().await;
    let cable = Cable::to(&node);
    *cable.plugged.lock().unwrap() = false;
    let limits =
        ClientLimits { redial: Duration::ZERO, retries: 0, failures: 3, rest: PATIENCE, ..ClientLimits::default() };
    let client = Client::with_limits(Arc::clone(&cable) as Arc<dyn Dial>, limits.clone());
    for _ in 0..3 {
        assert_eq!(call(&client, send("x")).await.unwrap_err().metadata("retryAfterMs"), None);
    }
    *cable.plugged.lock().unwrap() = true;
    let left_alone = call(&client, send("x")).await.unwrap_err();
    assert!(left_alone.kind() == Kind::Unreachable && left_alone.metadata("retryAfterMs").is_some());
    assert_eq!(cable.opened(), 0, "nothing is tried meanwhile");

    let client =
        Client::with_limits(Arc::clone(&cable) as Arc<dyn Dial>, ClientLimits { rest: Duration::ZERO, ..limits });
    *cable.plugged.lock().unwrap() = false;
    for _ in 0..5 {
        assert_eq!(call(&client, send("x")).await.unwrap_err().metadata("retryAfterMs"), None);
    }
    *cable.plugged.lock().unwrap() = true;
    assert!(call(&client, send("x")).await.is_ok(), "after its rest it is tried, and is back");
}

#[tokio::test]
async fn a_caller_that_stops_waiting_stops_the_work() {
    let node = node().await;
    let client = Client::new(Cable::to(&node));
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { call(&client, send("wait")).await }
    });
    soon(&node.agent.begun).await;
    waiting.abort();
    soon(&node.agent.stopped).await;
    let error = client.call(&ALICE, &AGENT, send("wait"), Duration::from_millis(50)).await;
    let timed_out = match error {
        Err(error) => error.kind() == Kind::DeadlineExceeded,
        Ok(answer) => answer["result"]["task"]["status"]["state"] == "TASK_STATE_FAILED",
    };
    assert!(timed_out);
}

#[tokio::test]
async fn errors_of_the_agent_come_through_whole() {
    let node = node().await;
    let client = Client::new(Cable::to(&node));
    let refused = call(&client, send("refuse")).await.unwrap_err();
    assert_eq!((refused.kind(), refused.metadata("code")), (Kind::Refused, Some("not_today")));
    let missing = call(&client, get("nope")).await.unwrap_err();
    assert_eq!(missing.kind(), Kind::TaskNotFound);
    let big = call(&client, send(&"x".repeat(1024 * 1024))).await.unwrap_err();
    assert_eq!(big.kind(), Kind::TooLarge);
    assert!(call(&client, send(&"x".repeat(500 * 1024))).await.is_ok(), "half a mebibyte passes, both ways");
}

/// A hand-made caller on one stream.
pub(super) struct ByHand {
    pub(super) stream: DuplexStream,
    pub(super) serving: JoinHandle<()>,
}

pub(super) fn by_hand(node: &Node) -> ByHand {
    let (stream, theirs) = tokio::io::duplex(64 * 1024);
    ByHand { stream, serving: tokio::spawn(node.server.serve_stream(eve(), theirs)) }
}

impl ByHand {
    /// Sends bytes; the answer must be a stream error, and the end.
    async fn door_shown(mut self, bytes: &[u8]) -> Kind {
        self.stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let read = self.stream.read_to_end(&mut answer);
        tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        tokio::time::timeout(PATIENCE, self.serving).await.unwrap().unwrap();
        let mut answer = BytesMut::from(&answer[..]);
        let frame = Frame::decode(&mut answer).unwrap().unwrap();
        assert_eq!((frame.call, frame.kind, answer.len()), (0, FrameKind::Error, 0));
        let error: Value = serde_json::from_slice(&frame.payload).unwrap();
        A2aError::from_json(&error).unwrap().kind()
    }
}

#[tokio::test]
async fn oversize_frames_and_garbage_end_the_stream_and_nothing_else() {
    let node = node().await;
    let oversize = 0x0010_0001_u32.to_be_bytes();
    assert_eq!(by_hand(&node).door_shown(&oversize).await, Kind::TooLarge);
    assert_eq!(by_hand(&node).door_shown(b"GET / HTTP/1.1\r\n\r\n").await, Kind::TooLarge);
    assert_eq!(by_hand(&node).door_shown(&[0, 0, 0, 9, 200, 1, 1, 1]).await, Kind::Parse);
    let mut early = BytesMut::new();
    Frame::bare(4, FrameKind::Request).encode(&mut early).unwrap();
    assert_eq!(by_hand(&node).door_shown(&early).await, Kind::InvalidRequest);
    assert!(node.ask(alice(), send("still here")).await.is_ok());
    assert_eq!(node.server.open_streams(), 0);
}

#[tokio::test]
async fn a_request_that_is_not_json_gets_a_parse_error_on_its_own_call() {
    let node = node().await;
    let mut peer = by_hand(&node);
    let head = haggle_a2a::binding::CallParams { agent: *AGENT, params: Default::default(), timeout: None };
    let mut wire = BytesMut::new();
    Frame { call: 1, kind: FrameKind::Params, payload: head.to_payload() }.encode(&mut wire).unwrap();
    Frame { call: 1, kind: FrameKind::Request, payload: "{nope".into() }.encode(&mut wire).unwrap();
    peer.stream.write_all(&wire).await.unwrap();
    peer.stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    peer.stream.read_to_end(&mut answer).await.unwrap();
    let mut answer = BytesMut::from(&answer[..]);
    let frame = Frame::decode(&mut answer).unwrap().unwrap();
    assert_eq!((frame.call, frame.kind), (1, FrameKind::Response));
    let response: Value = serde_json::from_slice(&frame.payload).unwrap();
    assert_eq!(rpc::result(response).unwrap_err().kind(), Kind::Parse);
    assert_eq!(Frame::decode(&mut answer).unwrap(), Some(Frame::bare(1, FrameKind::End)));
}

#[tokio::test]
async fn one_peer_has_a_bounded_number_of_streams() {
    let limits = Limits { streams_per_caller: 2, ..Limits::default() };
    let node = node_with(Arc::new(OpenGate), limits).await;
    let (first, second) = (by_hand(&node), by_hand(&node));
    let mut third = by_hand(&node);
    let mut nothing = Vec::new();
    let read = third.stream.read_to_end(&mut nothing);
    assert_eq!(tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap(), 0);
    drop((first.stream, second.stream));
    first.serving.await.unwrap();
    second.serving.await.unwrap();
    assert_eq!(node.server.open_streams(), 0);
}

#[tokio::test]
async fn calls_beyond_the_bound_wait_for_their_turn() {
    let node = node().await;
    let limits = ClientLimits { calls_per_peer: 1, waiting_per_peer: 1, ..ClientLimits::default() };
    let client = Client::with_limits(Cable::to(&node), limits);
    let first = tokio::spawn({
        let client = client.clone();
        async move { call(&client, send("wait")).await }
    });
    soon(&node.agent.begun).await;
    let impatient = client.call(&ALICE, &AGENT, send("x"), Duration::from_millis(20)).await.unwrap_err();
    assert_eq!(impatient.kind(), Kind::Busy);
    node.agent.go.notify_one();
    assert!(first.await.unwrap().is_ok());
    assert!(call(&client, send("x")).await.is_ok());
}

#[tokio::test]
async fn any_bytes_leave_the_server_whole() {
    let node = node().await;
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..200_usize {
        let mut bytes = Vec::new();
        for _ in 0..round {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            bytes.extend(noise.to_le_bytes());
        }
        let mut peer = by_hand(&node);
        if peer.stream.write_all(&bytes).await.is_ok() {
            drop(peer.stream);
        }
        tokio::time::timeout(PATIENCE, peer.serving).await.unwrap().unwrap();
    }
    assert_eq!(node.agent.runs.load(Ordering::SeqCst), 0);
    assert!(node.ask(alice(), send("still here")).await.is_ok());
}

/// Tells who called.
struct Doorkeeper(Mutex<Vec<Vec<Did>>>);

#[async_trait]
impl Gate for Doorkeeper {
    async fn admit(&self, caller: &Caller, _: &Did, _: &Value) -> Result<crate::Admission, A2aError> {
        self.0.lock().unwrap().push(caller.dids.clone());
        Ok(crate::Admission::Run)
    }
}

/// Shows the agent to whoever says who it is, and is not a peer.
pub(super) struct Curtain;

#[async_trait]
impl Gate for Curtain {
    async fn admit(&self, _: &Caller, _: &Did, _: &Value) -> Result<crate::Admission, A2aError> {
        Ok(crate::Admission::Run)
    }

    fn shows(&self, caller: Option<&Caller>, _: &Did) -> bool {
        caller.is_some_and(|caller| caller.peer.is_none())
    }
}

#[tokio::test]
async fn an_agent_that_is_not_shown_to_a_caller_is_not_there() {
    let node = node_with(Arc::new(Curtain), Limits::default()).await;
    assert!(node.ask(Caller::http("owner"), send("work")).await.is_ok());
    for request in [send("work"), get("t-1"), cancel("t-1")] {
        assert_eq!(node.ask_kind(alice(), request).await, Kind::AgentNotFound);
    }
}

/// Opens streams whose proven identities grow.
struct Growing {
    server: Server,
    proven: Arc<Mutex<Vec<Did>>>,
}

#[async_trait]
impl Dial for Growing {
    async fn open(&self, _: &PeerId) -> Result<BoxStream, A2aError> {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let proven = Arc::clone(&self.proven);
        let now = move || std::future::ready(proven.lock().unwrap().clone());
        tokio::spawn(self.server.serve_stream_proving(alice(), now, theirs));
        Ok(Box::new(ours))
    }
}

#[tokio::test]
async fn an_identity_proven_later_counts_on_an_open_stream() {
    let keeper = Arc::new(Doorkeeper(Mutex::default()));
    let node = node_with(Arc::clone(&keeper) as Arc<dyn Gate>, Limits::default()).await;
    let proven: Arc<Mutex<Vec<Did>>> = Arc::default();
    let client = Client::new(Arc::new(Growing { server: node.server.clone(), proven: Arc::clone(&proven) }));
    call(&client, send("x")).await.unwrap();
    proven.lock().unwrap().push(*OTHER_AGENT);
    call(&client, send("x")).await.unwrap();
    assert_eq!(*keeper.0.lock().unwrap(), [vec![], vec![*OTHER_AGENT]]);
}
