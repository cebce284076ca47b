//! Peers that mean harm, over the libp2p binding: each is cut off within its bounds, and others are served meanwhile.

use std::collections::BTreeSet;

use bytes::BytesMut;
use haggle_a2a::{
    ServiceParams,
    binding::{CallParams, MAX_CALLS_PER_STREAM},
    frame::{Frame, FrameKind},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc,
};

use super::{
    binding::{ByHand, Cable, by_hand, call},
    streams::{stream, subscribe},
    *,
};
use crate::{Admission, BoxStream, Client, ClientLimits, Dial};

/// The two frames of a call.
fn frames(call: u64, request: &Value, params: ServiceParams) -> BytesMut {
    let head = CallParams { agent: *AGENT, params, timeout: None };
    let mut wire = BytesMut::new();
    Frame { call, kind: FrameKind::Params, payload: head.to_payload() }.encode(&mut wire).unwrap();
    let payload = request.to_string().into();
    Frame { call, kind: FrameKind::Request, payload }.encode(&mut wire).unwrap();
    wire
}

fn plain(call: u64, request: &Value) -> BytesMut {
    frames(call, request, ServiceParams::for_request(request))
}

/// The next frame from the other side; `None` at the end.
async fn frame(stream: &mut DuplexStream, buffer: &mut BytesMut) -> Option<Frame> {
    let read = async {
        loop {
            if let Some(frame) = Frame::decode(buffer).unwrap() {
                return Some(frame);
            }
            if stream.read_buf(buffer).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap()
}

impl ByHand {
    /// One call and its first answer.
    async fn ask(&mut self, wire: &[u8]) -> Result<Value, A2aError> {
        self.stream.write_all(wire).await.unwrap();
        let mut buffer = BytesMut::new();
        let answer = frame(&mut self.stream, &mut buffer).await.unwrap();
        assert_eq!(answer.kind, FrameKind::Response);
        let end = frame(&mut self.stream, &mut buffer).await.unwrap();
        assert_eq!((end.kind, buffer.len()), (FrameKind::End, 0));
        rpc::result(serde_json::from_slice(&answer.payload).unwrap())
    }

    async fn ended(self) {
        tokio::time::timeout(PATIENCE, self.serving).await.expect("the server lets go of the stream").unwrap();
    }
}

async fn serves_others(node: &Node) {
    let client = Client::new(Cable::to(node));
    assert_eq!(state(&call(&client, send("hi")).await.unwrap()["task"]), "TASK_STATE_COMPLETED");
}

#[tokio::test]
async fn a_peer_that_does_not_read_its_answers_is_cut_off() {
    let limits = Limits { write: Duration::from_millis(50), ..Limits::default() };
    let node = node_with(Arc::new(OpenGate), limits).await;
    let mut peer = by_hand(&node);
    for call in 1..=8 {
        peer.stream.write_all(&plain(call, &send("long"))).await.unwrap();
    }
    serves_others(&node).await;
    peer.ended().await;
    assert!(by_hand(&node).ask(&plain(1, &send("hi"))).await.is_ok(), "it may begin anew");
}

#[tokio::test]
async fn a_stream_that_would_never_end_is_ended() {
    let limits =
        Limits { follow: Duration::from_millis(50), background: Duration::from_millis(500), ..Limits::default() };
    let node = node_with(Arc::new(OpenGate), limits).await;
    let (mut peer, mut buffer) = (by_hand(&node), BytesMut::new());
    peer.stream.write_all(&plain(1, &stream("endless"))).await.unwrap();
    serves_others(&node).await;
    let mut last = None;
    while let Some(next) = frame(&mut peer.stream, &mut buffer).await {
        last = Some(next.kind);
        if last == Some(FrameKind::End) {
            break;
        }
    }
    assert_eq!(last, Some(FrameKind::End));
    assert_eq!(node.server.followed(), 0);
    drop(peer.stream);
}

#[tokio::test]
async fn a_peer_that_half_closes_under_a_stream_is_let_go() {
    let limits = Limits { blocking: Duration::from_millis(50), ..Limits::default() };
    let node = node_with(Arc::new(OpenGate), limits).await;
    let mut peer = by_hand(&node);
    peer.stream.write_all(&plain(1, &stream("wait"))).await.unwrap();
    soon(&node.agent.begun).await;
    peer.stream.shutdown().await.unwrap();
    let mut told = Vec::new();
    tokio::time::timeout(PATIENCE, peer.stream.read_to_end(&mut told)).await.unwrap().unwrap();
    peer.ended().await;
    assert_eq!((node.server.open_streams(), node.server.followed()), (0, 0));
    node.agent.go.notify_one();
}

#[tokio::test]
async fn ten_thousand_streams_are_no_more_than_the_bound() {
    let node = node().await;
    let bound = Limits::default().streams_per_caller;
    let mut kept = Vec::new();
    for _ in 0..10_000 {
        let peer = by_hand(&node);
        if kept.len() < bound {
            kept.push(peer);
        } else {
            peer.ended().await;
        }
    }
    assert_eq!(node.server.open_streams(), bound);
    serves_others(&node).await;
    for peer in &mut kept {
        assert!(peer.ask(&plain(1, &send("hi"))).await.is_ok(), "those that were let in are served");
    }
}

#[tokio::test]
async fn calls_that_are_opened_and_left_are_bounded() {
    let node = node().await;
    let (mut peer, mut buffer) = (by_hand(&node), BytesMut::new());
    let head = CallParams { agent: *AGENT, params: ServiceParams::default(), timeout: None }.to_payload();
    let mut wire = BytesMut::new();
    let bound = u64::try_from(MAX_CALLS_PER_STREAM).unwrap();
    for call in 1..=bound + 1 {
        Frame { call, kind: FrameKind::Params, payload: head.clone() }.encode(&mut wire).unwrap();
    }
    peer.stream.write_all(&wire).await.unwrap();
    let refused = frame(&mut peer.stream, &mut buffer).await.unwrap();
    assert_eq!((refused.call, refused.kind), (bound + 1, FrameKind::Error));
    serves_others(&node).await;
}

#[tokio::test]
async fn a_giant_frame_ends_its_stream_before_it_is_read() {
    let node = node().await;
    let mut peer = by_hand(&node);
    peer.stream.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
    let mut buffer = BytesMut::new();
    let error = frame(&mut peer.stream, &mut buffer).await.unwrap();
    assert_eq!((error.call, error.kind), (0, FrameKind::Error));
    peer.ended().await;
    serves_others(&node).await;
}

#[tokio::test]
async fn knowing_a_task_or_naming_another_caller_opens_nothing() {
    let node = node().await;
    let asked = node.ask(alice(), send("ask")).await.unwrap();
    let id = asked["task"]["id"].as_str().unwrap();
    let mut answer = send("the red one");
    answer["params"]["message"]["taskId"] = json!(id);
    answer["params"]["message"]["metadata"] = json!({ "caller": alice().scope });
    let mut peer = by_hand(&node);
    let mut calls = 0;
    let forged = [None, Some(alice().scope), Some(format!("/../{}", alice().scope)), Some(String::new())];
    for sub_caller in forged {
        for request in [get(id), cancel(id), subscribe(id), answer.clone()] {
            calls += 1;
            let params = ServiceParams { sub_caller: sub_caller.clone(), ..ServiceParams::for_request(&request) };
            let refused = peer.ask(&frames(calls, &request, params)).await.unwrap_err();
            assert_eq!(refused.kind(), Kind::TaskNotFound, "{request} as {sub_caller:?}");
        }
    }
    assert_eq!(state(&node.ask(alice(), get(id)).await.unwrap()), "TASK_STATE_INPUT_REQUIRED");
}

/// Answers nobody, and counts who waits.
#[derive(Default)]
struct Stuck {
    waiting: AtomicUsize,
    asked: Notify,
}

#[async_trait]
impl Gate for Stuck {
    async fn admit(&self, caller: &Caller, _: &Did, _: &Value) -> Result<Admission, A2aError> {
        if *caller == eve() {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            self.asked.notify_one();
            std::future::pending::<()>().await;
        }
        Ok(Admission::Run)
    }
}

#[tokio::test]
async fn calls_that_are_cancelled_at_once_do_not_pile_up_behind_the_gate() {
    let gate = Arc::new(Stuck::default());
    let limits = Limits { running_per_caller: 4, ..Limits::default() };
    let node = node_with(Arc::clone(&gate) as Arc<dyn Gate>, limits).await;
    let (mut peer, mut buffer) = (by_hand(&node), BytesMut::new());
    for call in 1..=4 {
        peer.stream.write_all(&plain(call, &send("hi"))).await.unwrap();
        soon(&gate.asked).await;
        let mut wire = BytesMut::new();
        Frame::bare(call, FrameKind::Cancel).encode(&mut wire).unwrap();
        peer.stream.write_all(&wire).await.unwrap();
    }
    peer.stream.write_all(&plain(5, &send("hi"))).await.unwrap();
    let refused = frame(&mut peer.stream, &mut buffer).await.unwrap();
    let refused: Value = serde_json::from_slice(&refused.payload).unwrap();
    assert_eq!(rpc::result(refused).unwrap_err().kind(), Kind::Busy);
    assert_eq!(gate.waiting.load(Ordering::SeqCst), 4);
    serves_others(&node).await;
}

/// Gives out narrow streams, whose other ends a test holds.
struct Narrow(mpsc::Sender<DuplexStream>);

#[async_trait]
impl Dial for Narrow {
    async fn open(&self, _: &PeerId) -> Result<BoxStream, A2aError> {
        let (ours, theirs) = tokio::io::duplex(64);
        self.0.send(theirs).await.unwrap();
        Ok(Box::new(ours))
    }
}

#[tokio::test]
async fn a_peer_that_reads_late_learns_of_every_call_that_was_given_up() {
    let (sender, mut ends) = mpsc::channel(2);
    let client = Client::new(Arc::new(Narrow(sender)));
    let calls: Vec<_> = (0..200)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { call(&client, send("hi")).await })
        })
        .collect();
    let mut ends = [ends.recv().await.unwrap(), ends.recv().await.unwrap()];
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    for call in &calls {
        call.abort();
    }
    for end in &mut ends {
        let (mut buffer, mut opened, mut given_up) = (BytesMut::new(), BTreeSet::new(), BTreeSet::new());
        while opened.is_empty() || opened != given_up {
            let next = frame(end, &mut buffer).await.unwrap();
            match next.kind {
                FrameKind::Params => assert!(opened.insert(next.call)),
                FrameKind::Cancel => assert!(given_up.insert(next.call)),
                _ => {}
            }
        }
        assert!(opened.len() > 60, "more than could wait: {}", opened.len());
    }
}

#[tokio::test]
async fn streams_of_events_leave_room_for_other_calls_to_the_same_peer() {
    let limits = Limits { followed_per_caller: 1000, running_per_caller: 1000, ..Limits::default() };
    let node = node_with(Arc::new(OpenGate), limits).await;
    let client = Client::new(Cable::to(&node));
    let params = ServiceParams::for_request(&stream("wait"));
    let mut open = Vec::new();
    let refused = loop {
        match client.stream(&ALICE, &AGENT, stream("wait"), params.clone(), PATIENCE).await {
            Ok(events) => open.push(events),
            Err(error) => break error,
        }
    };
    assert_eq!((refused.kind(), open.len()), (Kind::Busy, MAX_CALLS_PER_STREAM));
    assert!(call(&client, send("hi")).await.is_ok());
    open.pop();
    assert!(client.stream(&ALICE, &AGENT, stream("hi"), params, PATIENCE).await.is_ok(), "a place is free again");
}

/// A host that opens every stream of events and ends it at once, without an end of the task.
struct Teaser(Arc<AtomicUsize>);

#[async_trait]
impl Dial for Teaser {
    async fn open(&self, _: &PeerId) -> Result<BoxStream, A2aError> {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        let asked = Arc::clone(&self.0);
        tokio::spawn(async move {
            let mut buffer = BytesMut::new();
            while let Some(next) = frame(&mut theirs, &mut buffer).await {
                if next.kind != FrameKind::Request {
                    continue;
                }
                asked.fetch_add(1, Ordering::SeqCst);
                let task = json!({ "id": "t", "contextId": "c", "status": { "state": "TASK_STATE_WORKING" } });
                let payload = rpc::response(json!(1), Ok(json!({ "task": task }))).to_string().into();
                let mut wire = BytesMut::new();
                Frame { call: next.call, kind: FrameKind::Response, payload }.encode(&mut wire).unwrap();
                Frame::bare(next.call, FrameKind::End).encode(&mut wire).unwrap();
                theirs.write_all(&wire).await.unwrap();
            }
        });
        Ok(Box::new(ours))
    }
}

#[tokio::test]
async fn a_host_that_only_ever_begins_a_stream_is_asked_so_often_and_no_more() {
    use futures::StreamExt as _;
    let asked = Arc::new(AtomicUsize::new(0));
    let limits = ClientLimits { resume: Duration::from_millis(1), ..ClientLimits::default() };
    let client = Client::with_limits(Arc::new(Teaser(Arc::clone(&asked))), limits);
    let params = ServiceParams::for_request(&stream("hi"));
    let events = client.stream(&ALICE, &AGENT, stream("hi"), params, PATIENCE).await.unwrap();
    let all: Vec<_> = tokio::time::timeout(PATIENCE, events.collect()).await.expect("it is given up");
    assert_eq!((all.len(), asked.load(Ordering::SeqCst)), (7, 6));
    assert_eq!(all[6].as_ref().unwrap_err().kind(), Kind::ConnectionLost);
}
