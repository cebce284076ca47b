//! Frames on a stream, as `sync/1` and `search/1` have them: a u32 big-endian length and one canonical CBOR item.

use std::io;

use haggle_base::{CborError, cbor};
use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Largest frame without its length, in bytes.
pub const MAX_FRAME_BYTES: usize = 64 * 1024;

/// Why a frame was not read or written.
#[derive(Debug)]
pub(crate) enum FrameFault {
    /// The stream broke.
    Io(io::Error),
    /// It is above the limit.
    TooLarge {
        /// Its announced size.
        bytes: u64,
    },
    /// It is no frame.
    Bad(CborError),
}

impl From<io::Error> for FrameFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Canonical bytes of a frame without the length.
pub(crate) fn encode<T: Serialize>(frame: &T) -> Result<Vec<u8>, CborError> {
    let bytes = cbor::to_vec(frame)?;
    cbor::check(&bytes, MAX_FRAME_BYTES)?;
    Ok(bytes)
}

/// Writes a frame, and says how many bytes it has without its length.
pub(crate) async fn write<T, S>(stream: &mut S, frame: &T) -> Result<usize, FrameFault>
where
    T: Serialize + Sync,
    S: AsyncWrite + Unpin,
{
    let bytes = encode(frame).map_err(FrameFault::Bad)?;
    let length = u32::try_from(bytes.len()).map_err(|_| FrameFault::TooLarge { bytes: u64::MAX })?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(&bytes).await?;
    Ok(bytes.len())
}

/// Reads a frame of at most `most` bytes, and says how many it had.
pub(crate) async fn read<T, S>(stream: &mut S, most: usize) -> Result<(T, usize), FrameFault>
where
    T: Serialize + DeserializeOwned,
    S: AsyncRead + Unpin,
{
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let size = u32::from_be_bytes(length);
    let bytes = usize::try_from(size).unwrap_or(usize::MAX);
    if bytes > most {
        return Err(FrameFault::TooLarge { bytes: size.into() });
    }
    let mut body = vec![0; bytes];
    stream.read_exact(&mut body).await?;
    Ok((cbor::from_slice(&body, most).map_err(FrameFault::Bad)?, bytes))
}
