//! A lean HTTP/1.1 client, so that a bench measures the server: one connection, kept alive, whole bodies.

use std::fmt::Write as _;
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Most header fields of an answer.
const MAX_HEADERS: usize = 64;
/// Largest answer.
const MAX_ANSWER: usize = 4 << 20;

/// One connection to a server.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// The server does not accept.
    pub async fn open(server: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(8 * 1024) })
    }

    /// Sends a request that [`post`] made, and waits for the whole answer: its status and body.
    ///
    /// # Errors
    /// The connection broke, or the answer is not HTTP with a length.
    pub async fn ask(&mut self, request: &[u8]) -> Result<(u16, Vec<u8>)> {
        self.stream.write_all(request).await?;
        self.read.clear();
        loop {
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            if let Some((status, body_at, length)) = head(&self.read)? {
                while self.read.len() < body_at + length {
                    if self.stream.read_buf(&mut self.read).await? == 0 {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                }
                return Ok((status, self.read[body_at..body_at + length].to_vec()));
            }
            if self.read.len() > MAX_ANSWER {
                return Err(Error::new(ErrorKind::InvalidData, "the answer is too large"));
            }
        }
    }
}

/// The bytes of a JSON POST as an A2A 1.0 client sends it.
#[must_use]
pub fn post(server: SocketAddr, path: &str, token: &str, body: &str) -> Vec<u8> {
    let mut request = format!("POST {path} HTTP/1.1\r\nhost: {server}\r\na2a-version: 1.0\r\n");
    if !token.is_empty() {
        let _always_fits = write!(request, "authorization: Bearer {token}\r\n");
    }
    let _always_fits =
        write!(request, "content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    request.into_bytes()
}

/// The status, where the body begins and how long it is, once the head has come whole.
fn head(read: &[u8]) -> Result<Option<(u16, usize, usize)>> {
    let invalid = |what: &str| Error::new(ErrorKind::InvalidData, what.to_owned());
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut answer = httparse::Response::new(&mut fields);
    let parsed = answer.parse(read).map_err(|cause| invalid(&cause.to_string()))?;
    let httparse::Status::Complete(body_at) = parsed else { return Ok(None) };
    let length = answer.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|field| std::str::from_utf8(field.value).ok()?.trim().parse::<usize>().ok());
    let length = length.filter(|length| *length <= MAX_ANSWER).ok_or_else(|| invalid("no length"))?;
    Ok(Some((answer.code.unwrap_or_default(), body_at, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_whole_or_not_yet() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(head(answer).unwrap(), Some((200, answer.len() - 5, 5)));
        assert_eq!(head(&answer[..20]).unwrap(), None);
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err(), "without a length its end is unknown");
        assert!(head(b"nonsense").is_err());
    }
}
