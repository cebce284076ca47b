//! What an agent's program says on the side: the last lines of it, for its operator.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use haggle_base::{Clock, Timestamp};

/// Who said a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// The program, on its standard error.
    Program,
    /// The node, about the program: starts, ends, answers that cannot be read.
    Node,
}

impl Voice {
    /// The word for it: `program` or `node`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Node => "node",
        }
    }
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was heard.
    pub at: Timestamp,
    /// Who said it.
    pub voice: Voice,
    /// What was said, without control characters.
    pub text: String,
}

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<LogLine>,
    forgotten: u64,
}

/// The last lines; clones share them.
#[derive(Debug, Clone)]
pub struct CommandLog {
    agent: Arc<str>,
    ring: Arc<Mutex<Ring>>,
    clock: Arc<dyn Clock>,
    keep: usize,
}

impl CommandLog {
    pub(super) fn new(agent: &str, clock: Arc<dyn Clock>, keep: usize) -> Self {
        Self { agent: agent.into(), ring: Arc::default(), clock, keep }
    }

    /// The newest lines, at most `most`, oldest first; and how many older ones are gone for good.
    #[must_use]
    pub fn tail(&self, most: usize) -> (Vec<LogLine>, u64) {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let skip = ring.lines.len().saturating_sub(most);
        (ring.lines.iter().skip(skip).cloned().collect(), ring.forgotten)
    }

    /// What the program said; bytes that are no UTF-8 are replaced.
    pub(super) fn heard(&self, bytes: &[u8], cut: bool) {
        let mut text = plain(&String::from_utf8_lossy(bytes));
        if cut {
            text.push('…');
        }
        tracing::debug!(agent.name = %self.agent, "{} says: {text}", self.agent);
        self.keep(Voice::Program, text);
    }

    /// What the node has to say.
    pub(super) fn note(&self, text: &str) {
        let text = plain(text);
        tracing::info!(agent.name = %self.agent, "agent {}: {text}", self.agent);
        self.keep(Voice::Node, text);
    }

    fn keep(&self, voice: Voice, text: String) {
        let line = LogLine { at: self.clock.now(), voice, text };
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.lines.len() >= self.keep {
            ring.lines.pop_front();
            ring.forgotten += 1;
        }
        ring.lines.push_back(line);
    }
}

/// Without control characters: a log is shown on terminals.
fn plain(text: &str) -> String {
    text.trim_end().chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use haggle_base::ManualClock;

    use super::*;

    #[test]
    fn the_newest_lines_are_kept_and_the_rest_is_counted() {
        let clock = ManualClock::new(Timestamp::from_secs(1));
        let log = CommandLog::new("shout", Arc::new(clock), 2);
        log.note("one");
        log.heard(b"two \x1b[31m\xff\r", true);
        log.heard(b"three", false);
        let (lines, forgotten) = log.tail(10);
        let texts: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["two \u{fffd}[31m\u{fffd}…", "three"]);
        assert_eq!(forgotten, 1);
        assert_eq!(log.tail(1).0[0].text, "three");
    }
}
