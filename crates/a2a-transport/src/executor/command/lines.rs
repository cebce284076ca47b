//! Lines of a program's output, each of bounded length.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

/// One line without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) bytes: Vec<u8>,
    /// The line is longer than the bound; what is too much is not here.
    pub(super) cut: bool,
}

/// Reads lines of at most `max` bytes. Reading may be given up at any await: nothing is lost.
#[derive(Debug)]
pub(super) struct Lines<R> {
    from: R,
    max: usize,
    /// A line over the bound is told at once, whether or not its end ever comes.
    impatient: bool,
    held: Vec<u8>,
    cut: bool,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    /// Cuts lines that are too long.
    pub(super) fn cutting(from: R, max: usize) -> Self {
        Self { from, max, impatient: false, held: Vec::new(), cut: false }
    }

    /// Stops at a line that is too long.
    pub(super) fn refusing(from: R, max: usize) -> Self {
        Self { impatient: true, ..Self::cutting(from, max) }
    }

    /// The next line; a last one without an end counts. `None` when the stream has ended.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let piece = self.from.fill_buf().await?;
            let has_ended = piece.is_empty();
            let end = piece.iter().position(|byte| *byte == b'\n');
            let text = &piece[..end.unwrap_or(piece.len())];
            let room = self.max - self.held.len();
            self.cut |= text.len() > room;
            self.held.extend_from_slice(&text[..text.len().min(room)]);
            let used = end.map_or(piece.len(), |end| end + 1);
            self.from.consume(used);
            if has_ended && self.held.is_empty() && !self.cut {
                return Ok(None);
            }
            if has_ended || end.is_some() || (self.impatient && self.cut) {
                let bytes = std::mem::take(&mut self.held);
                return Ok(Some(Line { bytes, cut: std::mem::take(&mut self.cut) }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::*;

    async fn all(mut lines: Lines<BufReader<&[u8]>>) -> Vec<(String, bool)> {
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push((String::from_utf8(line.bytes).unwrap(), line.cut));
        }
        found
    }

    #[tokio::test]
    async fn lines_end_at_line_ends_and_at_the_end_and_long_ones_are_cut() {
        // a small buffer, so that lines come in pieces
        let from = || BufReader::with_capacity(3, b"one\n\nlonger than eight\nlast".as_slice());
        let lines = all(Lines::cutting(from(), 8)).await;
        let told: Vec<_> = lines.iter().map(|(text, cut)| (text.as_str(), *cut)).collect();
        assert_eq!(told, [("one", false), ("", false), ("longer t", true), ("last", false)]);
        let exactly = all(Lines::cutting(BufReader::new(b"12345678\n".as_slice()), 8)).await;
        assert_eq!(exactly, [("12345678".to_owned(), false)]);
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_refused_as_soon_as_it_is_too_long() {
        let (mut program, node) = tokio::io::duplex(64);
        tokio::io::AsyncWriteExt::write_all(&mut program, b"123456789").await.unwrap();
        let mut lines = Lines::refusing(BufReader::new(node), 8);
        let line = lines.next().await.unwrap().unwrap();
        assert!(line.cut);
        drop(program);
    }
}
