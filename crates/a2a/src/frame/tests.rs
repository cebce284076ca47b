//! Laws of the frame codec, over at least 100,000 cases each.

use proptest::prelude::*;

use super::*;

const KINDS: [FrameKind; 6] =
    [FrameKind::Params, FrameKind::Request, FrameKind::Response, FrameKind::End, FrameKind::Error, FrameKind::Cancel];

fn frames() -> impl Strategy<Value = Frame> {
    (any::<u64>(), 0..KINDS.len(), prop::collection::vec(any::<u8>(), 0..64)).prop_map(|(call, kind, payload)| Frame {
        call,
        kind: KINDS[kind],
        payload: payload.into(),
    })
}

#[test]
fn the_bytes_are_as_the_specification_shows() {
    let mut out = BytesMut::new();
    let frame = Frame { call: 2, kind: FrameKind::Request, payload: Bytes::from_static(b"{}") };
    frame.encode(&mut out).unwrap();
    assert_eq!(&out[..], [0, 0, 0, 11, 2, 0, 0, 0, 0, 0, 0, 0, 2, b'{', b'}']);
    assert_eq!(Frame::decode(&mut out), Ok(Some(frame)));
    assert!(out.is_empty());
}

#[test]
fn an_oversize_frame_is_refused_by_its_head_alone() {
    let mut claimed = BytesMut::from(&0x0010_0001_u32.to_be_bytes()[..]);
    assert_eq!(Frame::decode(&mut claimed), Err(FrameError::Oversize { length: MAX_FRAME_BYTES + 1 }));
    let mut short = BytesMut::from(&8_u32.to_be_bytes()[..]);
    assert_eq!(Frame::decode(&mut short), Err(FrameError::Short { length: 8 }));
    let mut strange = BytesMut::from(&[0, 0, 0, 9, 77][..]);
    assert_eq!(Frame::decode(&mut strange), Err(FrameError::UnknownKind { byte: 77 }));
    let mut out = BytesMut::new();
    let huge = Frame { call: 1, kind: FrameKind::Request, payload: vec![0; MAX_PAYLOAD_BYTES + 1].into() };
    assert!(huge.encode(&mut out).is_err() && out.is_empty());
    let full = Frame { call: 1, kind: FrameKind::Request, payload: vec![0; MAX_PAYLOAD_BYTES].into() };
    full.encode(&mut out).unwrap();
    assert_eq!(Frame::decode(&mut out), Ok(Some(full)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]

    /// Frames come out as they went in, however the bytes are cut on the way.
    #[test]
    fn any_cut_gives_the_same_frames(sent in prop::collection::vec(frames(), 1..5), cut in 1_usize..40) {
        let mut wire = BytesMut::new();
        for frame in &sent {
            frame.encode(&mut wire).unwrap();
        }
        let mut buffer = BytesMut::new();
        let mut seen = Vec::new();
        for chunk in wire.chunks(cut) {
            buffer.put_slice(chunk);
            while let Some(frame) = Frame::decode(&mut buffer).unwrap() {
                seen.push(frame);
            }
        }
        prop_assert_eq!(seen, sent);
        prop_assert!(buffer.is_empty());
    }

    /// Random bytes never panic, never make frames out of nothing, and what decodes encodes back.
    #[test]
    fn random_bytes_are_frames_or_errors(bytes in prop::collection::vec(any::<u8>(), 0..96)) {
        let mut buffer = BytesMut::from(&bytes[..]);
        let mut again = BytesMut::new();
        while let Ok(Some(frame)) = Frame::decode(&mut buffer) {
            frame.encode(&mut again).unwrap();
        }
        prop_assert!(bytes.starts_with(&again));
    }

    /// A frame with one byte changed or cut short is a frame, an error or unfinished, never a panic.
    #[test]
    fn mutated_frames_are_judged(frame in frames(), at in any::<prop::sample::Index>(), byte in any::<u8>(), keep in any::<prop::sample::Index>()) {
        let mut wire = BytesMut::new();
        frame.encode(&mut wire).unwrap();
        let at = at.index(wire.len());
        wire[at] = byte;
        wire.truncate(keep.index(wire.len()) + 1);
        if let Ok(Some(seen)) = Frame::decode(&mut wire) {
            prop_assert!(seen.payload.len() <= frame.payload.len());
        }
    }
}
