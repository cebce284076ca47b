//! Server-sent events (WHATWG HTML, section 9.2) as they come in pieces: only their data counts here.

/// Puts bytes together to events.
#[derive(Debug)]
pub(super) struct Reader {
    line: Vec<u8>,
    data: Option<Vec<u8>>,
    /// The last byte was a carriage return; a line feed after it is part of the same line end.
    returned: bool,
    max: usize,
}

/// An event is over the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

impl Reader {
    /// A reader of events of at most `max` bytes.
    pub(super) fn new(max: usize) -> Self {
        Self { line: Vec::new(), data: None, returned: false, max }
    }

    /// The data of the events that end in these bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut events = Vec::new();
        for &byte in bytes {
            let is_second_half = byte == b'\n' && self.returned;
            self.returned = byte == b'\r';
            match byte {
                b'\n' if is_second_half => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ => self.line.push(byte),
            }
            if self.line.len() + self.data.as_ref().map_or(0, Vec::len) > self.max {
                return Err(TooLong);
            }
        }
        Ok(events)
    }

    /// An empty line ends an event; its data, if it had any.
    fn end_line(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return self.data.take();
        }
        if let Some(value) = line.strip_prefix(b"data:") {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match &mut self.data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => self.data = Some(value.to_vec()),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&str]) -> Vec<String> {
        let mut reader = Reader::new(64);
        let events = pieces.iter().flat_map(|piece| reader.feed(piece.as_bytes()).unwrap());
        events.map(|event| String::from_utf8(event).unwrap()).collect()
    }

    #[test]
    fn events_are_the_same_however_their_lines_end_and_wherever_they_are_cut() {
        let text =
            ": hello\nevent: x\ndata: {\"a\":\ndata:1}\nid: 7\n\ndata: two\n\nevent: without data\n\ndata: cut off";
        let wanted = ["{\"a\":\n1}", "two"];
        for end in ["\n", "\r\n", "\r"] {
            let text = text.replace('\n', end);
            assert_eq!(read(&[&text]), wanted, "{end:?}");
            for at in 0..text.len() {
                assert_eq!(read(&[&text[..at], &text[at..]]), wanted, "{end:?} at {at}");
            }
        }
    }

    #[test]
    fn an_event_without_an_end_is_given_up_at_the_bound() {
        let mut reader = Reader::new(64);
        assert_eq!(reader.feed(&[b'x'; 65]), Err(TooLong));
        let mut reader = Reader::new(64);
        let lines = "data: 12345678\n".repeat(9);
        assert_eq!(reader.feed(lines.as_bytes()), Err(TooLong));
    }
}
