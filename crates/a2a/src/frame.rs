//! The frames of the libp2p binding: how calls are cut into bytes on a shared stream.
//!
//! ```text
//! length u32 BE | kind u8 | call u64 BE | payload (JSON, may be empty)
//! ```
//! `length` counts everything after itself and is at most [`MAX_FRAME_BYTES`]. A decoder never
//! allocates for a length it has not accepted.

use bytes::{Buf, BufMut, Bytes, BytesMut};

#[cfg(test)]
mod tests;

/// Largest value of the length field: 1 MiB.
pub const MAX_FRAME_BYTES: usize = 1024 * 1024;
/// Bytes of kind and call id.
pub const HEAD_BYTES: usize = 9;
/// Largest payload.
pub const MAX_PAYLOAD_BYTES: usize = MAX_FRAME_BYTES - HEAD_BYTES;
const LENGTH_BYTES: usize = 4;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// Opens a call: the agent and the service parameters.
    Params,
    /// The JSON-RPC request, right after the parameters.
    Request,
    /// One JSON-RPC response.
    Response,
    /// No more responses.
    End,
    /// The call failed before JSON-RPC could answer; call 0: the whole stream failed.
    Error,
    /// The caller no longer waits.
    Cancel,
}

impl FrameKind {
    fn byte(self) -> u8 {
        match self {
            Self::Params => 1,
            Self::Request => 2,
            Self::Response => 3,
            Self::End => 4,
            Self::Error => 5,
            Self::Cancel => 6,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Params, Self::Request, Self::Response, Self::End, Self::Error, Self::Cancel]
            .into_iter()
            .find(|kind| kind.byte() == byte)
    }
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Which call of the stream; the caller counts up from 1.
    pub call: u64,
    /// What it carries.
    pub kind: FrameKind,
    /// JSON, or empty for [`FrameKind::End`] and [`FrameKind::Cancel`].
    pub payload: Bytes,
}

/// Why bytes are no frame. The stream is of no use after that: there is no way back into step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length field, or a payload to be sent, is over the limit.
    #[error("a frame of {length} bytes is over the limit of 1 MiB")]
    Oversize {
        /// The length claimed.
        length: usize,
    },
    /// The length field is too small to hold a head.
    #[error("a frame of {length} bytes has no room for its head")]
    Short {
        /// The length claimed.
        length: usize,
    },
    /// No such kind.
    #[error("frame kind {byte} is unknown")]
    UnknownKind {
        /// The kind byte.
        byte: u8,
    },
}

impl Frame {
    /// A frame without payload.
    pub fn bare(call: u64, kind: FrameKind) -> Self {
        Self { call, kind, payload: Bytes::new() }
    }

    /// Appends the frame's bytes.
    ///
    /// # Errors
    /// [`FrameError::Oversize`]; nothing is appended then.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), FrameError> {
        let length = HEAD_BYTES + self.payload.len();
        let field = u32::try_from(length).ok().filter(|_| length <= MAX_FRAME_BYTES);
        let Some(field) = field else {
            return Err(FrameError::Oversize { length });
        };
        out.reserve(LENGTH_BYTES + length);
        out.put_u32(field);
        out.put_u8(self.kind.byte());
        out.put_u64(self.call);
        out.put_slice(&self.payload);
        Ok(())
    }

    /// Takes the first whole frame off the buffer; `None` means that more bytes are needed.
    ///
    /// # Errors
    /// [`FrameError`]; the head is judged as soon as it is there, before the payload arrives.
    pub fn decode(buffer: &mut BytesMut) -> Result<Option<Self>, FrameError> {
        let Some(field) = buffer.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*field)).unwrap_or(usize::MAX);
        if length > MAX_FRAME_BYTES {
            return Err(FrameError::Oversize { length });
        }
        if length < HEAD_BYTES {
            return Err(FrameError::Short { length });
        }
        let Some(&byte) = buffer.get(LENGTH_BYTES) else {
            return Ok(None);
        };
        let kind = FrameKind::from_byte(byte).ok_or(FrameError::UnknownKind { byte })?;
        if buffer.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        buffer.advance(LENGTH_BYTES + 1);
        let call = buffer.get_u64();
        let payload = buffer.split_to(length - HEAD_BYTES).freeze();
        Ok(Some(Self { call, kind, payload }))
    }
}
