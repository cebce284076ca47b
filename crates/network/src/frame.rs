//! Length-prefixed frames: a big-endian `u32` length, then that many bytes.
//!
//! The reader takes its bound as an argument and never holds more than the bytes that really
//! arrived, so a forged length costs nothing.

use std::io;

use haggle_base::Coded;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The largest frame of record and sync protocols, in bytes.
pub const SYNC_FRAME_BYTES: usize = 64 * 1024;
/// The largest frame of an A2A call, in bytes.
pub const A2A_FRAME_BYTES: usize = 1024 * 1024;

/// How much is set aside for a frame before any of its bytes arrived.
const FIRST_RESERVE: usize = 4 * 1024;

/// Why a frame was refused.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The frame is larger than the protocol allows.
    #[error("a frame of {size} bytes is larger than {max}")]
    TooLarge {
        /// The announced size in bytes.
        size: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame")]
    Truncated,
    /// The stream failed.
    #[error("the stream failed")]
    Io(#[from] io::Error),
}

impl Coded for FrameError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "frame_too_large",
            Self::Truncated => "frame_truncated",
            Self::Io(_) => "stream_failed",
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "send less in one message",
            Self::Truncated | Self::Io(_) => "open a new stream and send the message again",
        }
    }
}

/// Writes one frame and flushes it.
///
/// # Errors
/// [`FrameError::TooLarge`] when `bytes` is longer than `max` (nothing is written), or the error
/// of the stream.
pub async fn write_frame<W>(writer: &mut W, bytes: &[u8], max: usize) -> Result<(), FrameError>
where
    W: AsyncWrite + Unpin + ?Sized,
{
    let size = bytes.len();
    let length = match u32::try_from(size) {
        Ok(length) if size <= max => length,
        _ => return Err(FrameError::TooLarge { size, max }),
    };
    // One buffer, one write: small frames then leave in one packet.
    let mut frame = Vec::with_capacity(size + 4);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(bytes);
    writer.write_all(&frame).await?;
    writer.flush().await?;
    Ok(())
}

/// Reads one frame of at most `max` bytes; `None` when the stream ended cleanly between frames.
///
/// Not cancel-safe: after a dropped call the stream stands inside a frame.
///
/// # Errors
/// [`FrameError::TooLarge`] before any byte of the body is read, [`FrameError::Truncated`] when
/// the stream ends early, or the error of the stream.
pub async fn read_frame<R>(reader: &mut R, max: usize) -> Result<Option<Vec<u8>>, FrameError>
where
    R: AsyncRead + Unpin + ?Sized,
{
    let mut prefix = [0_u8; 4];
    let mut filled = 0;
    while filled < prefix.len() {
        match reader.read(&mut prefix[filled..]).await? {
            0 if filled == 0 => return Ok(None),
            0 => return Err(FrameError::Truncated),
            read => filled += read,
        }
    }
    let length = u32::from_be_bytes(prefix);
    let size = usize::try_from(length).unwrap_or(usize::MAX);
    if size > max {
        return Err(FrameError::TooLarge { size, max });
    }
    let mut body = Vec::new();
    while body.len() < size {
        if body.len() == body.capacity() {
            let step = (size - body.len()).min(body.len().max(FIRST_RESERVE));
            body.reserve_exact(step);
        }
        let room = (body.capacity() - body.len()).min(size - body.len());
        let room = u64::try_from(room).unwrap_or(u64::MAX);
        if (&mut *reader).take(room).read_buf(&mut body).await? == 0 {
            return Err(FrameError::Truncated);
        }
    }
    Ok(Some(body))
}
