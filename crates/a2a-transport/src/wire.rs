//! Frames on an async stream: both ends of the libp2p binding read and write with these.

use std::{io, time::Duration};

use bytes::BytesMut;
use haggle_a2a::frame::{Frame, FrameError};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
};

/// Frames that wait to be written to one stream; when it is full, answers wait.
pub(crate) const OUTBOX: usize = 64;
/// Bytes collected before one write.
const WRITE_BYTES: usize = 64 * 1024;
/// Bytes asked of the stream at a time.
const READ_BYTES: usize = 16 * 1024;

/// Frames that belong together and are written in one go.
pub(crate) type Parcel = Vec<Frame>;

/// Why a stream has no next frame.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The stream broke, or ended in the middle of a frame.
    Io,
    /// The bytes are no frame.
    Frame(FrameError),
}

impl From<io::Error> for ReadError {
    fn from(_: io::Error) -> Self {
        Self::Io
    }
}

/// The next frame; `None` at the end of the stream. Cancel safe: what was read stays in `buffer`.
pub(crate) async fn read_frame<R: AsyncRead + Unpin>(
    read: &mut R,
    buffer: &mut BytesMut,
) -> Result<Option<Frame>, ReadError> {
    loop {
        if let Some(frame) = Frame::decode(buffer).map_err(ReadError::Frame)? {
            return Ok(Some(frame));
        }
        buffer.reserve(READ_BYTES);
        if read.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err(ReadError::Io) };
        }
    }
}

/// Writes parcels until there are no more or the stream fails; closes the stream.
pub(crate) async fn write_parcels<W: AsyncWrite + Unpin>(
    mut write: W,
    mut parcels: mpsc::Receiver<Parcel>,
    patience: Duration,
) {
    let mut buffer = BytesMut::new();
    while let Some(parcel) = parcels.recv().await {
        encode(&parcel, &mut buffer);
        while buffer.len() < WRITE_BYTES {
            let Ok(next) = parcels.try_recv() else { break };
            encode(&next, &mut buffer);
        }
        let flushed = async {
            write.write_all(&buffer).await?;
            write.flush().await
        };
        match tokio::time::timeout(patience, flushed).await {
            Ok(Ok(())) => buffer.clear(),
            Ok(Err(_)) | Err(_) => return,
        }
    }
    if let Ok(Err(error)) = tokio::time::timeout(patience, write.shutdown()).await {
        tracing::trace!(error = %error, "a stream did not close cleanly");
    }
}

fn encode(parcel: &Parcel, buffer: &mut BytesMut) {
    for frame in parcel {
        if let Err(error) = frame.encode(buffer) {
            tracing::warn!(error = %error, "dropped a frame that is too large: {error}");
        }
    }
}
