//! The frame reader meets any bytes at all.

use futures::FutureExt;
use haggle_base::Coded;
use haggle_network::frame::{FrameError, read_frame, write_frame};
use proptest::prelude::*;

const MAX: usize = 512;

/// Reads all frames of `bytes`; a slice never waits, so neither does this.
fn read_all(mut bytes: &[u8], max: usize) -> (Vec<Vec<u8>>, Option<FrameError>) {
    let mut frames = vec![];
    loop {
        match read_frame(&mut bytes, max).now_or_never().expect("a slice is always ready") {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, None),
            Err(error) => return (frames, Some(error)),
        }
    }
}

fn written(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![];
    for frame in frames {
        write_frame(&mut bytes, frame, MAX).now_or_never().unwrap().unwrap();
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic_and_never_allocate_beyond_the_limit(
        bytes in proptest::collection::vec(any::<u8>(), 0..64),
        small in any::<bool>(),
        length in 0..2 * MAX,
    ) {
        let mut input = vec![];
        if small {
            // A length that is near the limit is met far too seldom by chance.
            input.extend_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
        }
        input.extend_from_slice(&bytes);
        let (frames, error) = read_all(&input, MAX);
        let total: usize = frames.iter().map(|frame| frame.len() + 4).sum();
        prop_assert!(total <= input.len());
        for frame in &frames {
            prop_assert!(frame.capacity() <= MAX);
        }
        match error {
            None => prop_assert_eq!(total, input.len()),
            Some(FrameError::TooLarge { size, max }) => prop_assert!(size > max),
            Some(error) => prop_assert_eq!(error.code(), "frame_truncated"),
        }
    }

    #[test]
    fn frames_come_out_as_they_went_in_and_truncated_ones_not_at_all(
        frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..4),
        cut in 0_usize..200,
    ) {
        let bytes = written(&frames);
        let (read, error) = read_all(&bytes, MAX);
        prop_assert!(error.is_none());
        prop_assert_eq!(&read, &frames);

        let cut = cut.min(bytes.len());
        let (read, _) = read_all(&bytes[..cut], MAX);
        prop_assert_eq!(&frames[..read.len()], &read[..]);
    }
}

#[test]
fn a_forged_length_is_refused_before_anything_is_set_aside() {
    let (frames, error) = read_all(&[0xff, 0xff, 0xff, 0xff, 1, 2, 3], 1024 * 1024);
    assert!(frames.is_empty());
    assert_eq!(error.unwrap().code(), "frame_too_large");
}

#[test]
fn a_frame_larger_than_its_stream_is_not_set_aside_either() {
    let mut bytes = (1024_u32 * 1024).to_be_bytes().to_vec();
    bytes.extend_from_slice(&[7; 10]);
    let (frames, error) = read_all(&bytes, 1024 * 1024);
    assert!(frames.is_empty());
    assert_eq!(error.unwrap().code(), "frame_truncated");
}
