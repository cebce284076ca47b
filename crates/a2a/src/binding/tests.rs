//! Stories of one stream: calls open, run, are cancelled, and rule breakers are shown the door.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

/// Derived once: a seed phrase takes its time.
static AGENT: LazyLock<Did> = LazyLock::new(|| haggle_base::Seed::devnet(7, 1).agent_key(0).did());

fn params() -> CallParams {
    CallParams {
        agent: *AGENT,
        params: ServiceParams {
            version: Some("1.0".into()),
            extensions: vec!["urn:x".into()],
            ..ServiceParams::default()
        },
        timeout: Some(Duration::from_millis(1500)),
    }
}

fn open(call: u64) -> Frame {
    Frame { call, kind: FrameKind::Params, payload: params().to_payload() }
}

fn ask(call: u64) -> Frame {
    Frame { call, kind: FrameKind::Request, payload: Bytes::from_static(b"{}") }
}

#[test]
fn two_calls_run_side_by_side() {
    let mut stream = Serving::new();
    assert_eq!(stream.receive(open(1)), Inbound::Waiting);
    assert_eq!(stream.receive(open(2)), Inbound::Waiting);
    for call in [2, 1] {
        let started = stream.receive(ask(call));
        assert_eq!(started, Inbound::Start { call, params: params(), request: Bytes::from_static(b"{}") });
    }
    assert!(stream.done(1));
    assert_eq!(stream.receive(Frame::bare(2, FrameKind::Cancel)), Inbound::Cancelled { call: 2 });
    assert!(!stream.done(2), "a cancelled call is not answered");
    assert_eq!(stream.receive(Frame::bare(2, FrameKind::Cancel)), Inbound::Late);
    assert_eq!(stream.open_calls(), 0);
}

#[test]
fn rule_breakers_end_the_stream() {
    for broken in [ask(1), Frame::bare(1, FrameKind::Cancel), Frame::bare(1, FrameKind::End), open(0)] {
        assert!(matches!(Serving::new().receive(broken), Inbound::Violation(_)));
    }
    let mut stream = Serving::new();
    assert_eq!(stream.receive(open(5)), Inbound::Waiting);
    assert!(matches!(stream.receive(open(5)), Inbound::Violation(_)));
    assert!(matches!(stream.receive(ask(5)), Inbound::Start { .. }));
    assert!(matches!(stream.receive(ask(5)), Inbound::Violation(_)));
}

#[test]
fn a_call_with_bad_parameters_is_refused_alone() {
    let mut stream = Serving::new();
    let bad = Frame { call: 1, kind: FrameKind::Params, payload: Bytes::from_static(b"{\"agent\":\"bob\"}") };
    assert!(matches!(stream.receive(bad), Inbound::Refused { call: 1, .. }));
    assert_eq!(stream.receive(ask(1)), Inbound::Late, "its request is on the way already");
    assert_eq!(stream.receive(open(2)), Inbound::Waiting);
}

#[test]
fn a_flood_of_calls_is_refused_with_busy() {
    let mut stream = Serving::new();
    let bound = u64::try_from(MAX_CALLS_PER_STREAM).unwrap();
    for call in 1..=bound {
        assert_eq!(stream.receive(open(call)), Inbound::Waiting);
    }
    let refused = stream.receive(open(bound + 1));
    assert!(matches!(refused, Inbound::Refused { error, .. } if error.kind() == Kind::Busy));
}

#[test]
fn replies_are_read_and_strangers_frames_break_the_stream() {
    let body = Bytes::from_static(b"{}");
    let response = Frame { call: 3, kind: FrameKind::Response, payload: body.clone() };
    assert_eq!(reply(response), Reply::Response { call: 3, body });
    let busy = A2aError::new(Kind::Busy, "later");
    assert!(matches!(reply(error_frame(3, &busy)), Reply::Failed { call: 3, error } if error.is_retryable()));
    assert!(matches!(reply(error_frame(0, &busy)), Reply::Broken(_)));
    assert!(matches!(reply(open(1)), Reply::Broken(_)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]

    /// Random payloads of a parameters frame never panic and never open a call for nobody.
    #[test]
    fn random_parameters_are_refused_or_read(payload in prop::collection::vec(any::<u8>(), 0..128)) {
        if let Ok(read) = CallParams::from_payload(&payload) {
            prop_assert_eq!(CallParams::from_payload(&read.to_payload()), Ok(read));
        }
    }

    /// Any sequence of frames keeps the table bounded and starts each call at most once.
    #[test]
    fn any_sequence_of_frames_is_judged(script in prop::collection::vec((0_u64..6, 0_usize..7), 0..24)) {
        let mut stream = Serving::new();
        let mut started = std::collections::HashSet::new();
        for (call, what) in script {
            let kind = [FrameKind::Params, FrameKind::Request, FrameKind::Response, FrameKind::End, FrameKind::Error, FrameKind::Cancel];
            let frame = match what {
                0 => open(call),
                6 => { stream.done(call); continue }
                other => Frame::bare(call, kind[other]),
            };
            if let Inbound::Start { call, .. } = stream.receive(frame) {
                prop_assert!(started.insert(call));
            }
            prop_assert!(stream.open_calls() <= MAX_CALLS_PER_STREAM);
        }
    }
}
