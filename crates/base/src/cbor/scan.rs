//! One pass over untrusted bytes that proves them canonical before anything is built from them.

use super::{CborError, Deviation, MAX_DEPTH};

/// A container that is being read.
#[derive(Copy, Clone)]
struct Open {
    /// Values still to come (for a map, keys and values both count).
    left: u64,
    map: bool,
    /// Where the current key begins, and the previous key's span.
    key_from: usize,
    previous: (usize, usize),
}

/// Checks that `bytes` are exactly one canonical value, with a fixed amount of memory.
pub(super) fn check(bytes: &[u8]) -> Result<(), CborError> {
    let mut stack = [Open::EMPTY; MAX_DEPTH];
    let mut depth = 0;
    let mut at = 0;
    loop {
        let head = Head::read(bytes, at)?;
        at = head.end;
        match head.major {
            0 | 1 | 7 => {}
            2 | 3 => at = text_or_bytes(bytes, &head)?,
            4 | 5 => {
                let map = head.major == 5;
                let left = if map { head.value.saturating_mul(2) } else { head.value };
                if left > 0 {
                    let slot = stack.get_mut(depth).ok_or(CborError::TooDeep)?;
                    *slot = Open { left, map, key_from: at, previous: (0, 0) };
                    depth += 1;
                    continue;
                }
                if depth == MAX_DEPTH {
                    return Err(CborError::TooDeep);
                }
            }
            _ => return Err(CborError::NotCanonical(Deviation::Tag)),
        }
        // A value just ended; so may the containers around it.
        loop {
            let Some(open) = depth.checked_sub(1).and_then(|top| stack.get_mut(top)) else {
                return if at == bytes.len() { Ok(()) } else { Err(CborError::NotCanonical(Deviation::Trailing)) };
            };
            open.value_ended(bytes, at)?;
            if open.left > 0 {
                break;
            }
            depth -= 1;
        }
    }
}

impl Open {
    const EMPTY: Self = Self { left: 0, map: false, key_from: 0, previous: (0, 0) };

    /// Counts a value that ended at `at`; a key must be greater than the key before it.
    fn value_ended(&mut self, bytes: &[u8], at: usize) -> Result<(), CborError> {
        self.left -= 1;
        if !self.map {
            return Ok(());
        }
        if self.left.is_multiple_of(2) {
            self.key_from = at;
            return Ok(());
        }
        let key = bytes.get(self.key_from..at).unwrap_or_default();
        let previous = bytes.get(self.previous.0..self.previous.1).unwrap_or_default();
        self.previous = (self.key_from, at);
        match key.cmp(previous) {
            std::cmp::Ordering::Greater => Ok(()),
            std::cmp::Ordering::Equal => Err(CborError::NotCanonical(Deviation::DuplicateKey)),
            std::cmp::Ordering::Less => Err(CborError::NotCanonical(Deviation::Unsorted)),
        }
    }
}

/// The head of a value: its major type, its argument, and where it ends.
struct Head {
    major: u8,
    value: u64,
    end: usize,
}

impl Head {
    fn read(bytes: &[u8], at: usize) -> Result<Self, CborError> {
        let first = *bytes.get(at).ok_or(CborError::Malformed)?;
        let (major, info) = (first >> 5, first & 0x1f);
        let start = at + 1;
        if major == 7 {
            return match info {
                20..=22 => Ok(Self { major, value: 0, end: start }),
                25..=27 => Err(CborError::NotCanonical(Deviation::Float)),
                28..=31 => Err(CborError::Malformed),
                _ => Err(CborError::NotCanonical(Deviation::Simple)),
            };
        }
        let width = match info {
            0..=23 => {
                let value = u64::from(info);
                return Ok(Self { major, value, end: start });
            }
            24..=27 => 1_usize << (info - 24),
            31 if (2..=5).contains(&major) => {
                return Err(CborError::NotCanonical(Deviation::Indefinite));
            }
            _ => return Err(CborError::Malformed),
        };
        let end = start + width;
        let digits = bytes.get(start..end).ok_or(CborError::Malformed)?;
        let value = digits.iter().fold(0_u64, |sum, digit| sum << 8 | u64::from(*digit));
        let least = match width {
            1 => 24,
            2 => 1 << 8,
            4 => 1 << 16,
            _ => 1 << 32,
        };
        if value < least {
            return Err(CborError::NotCanonical(Deviation::NotMinimal));
        }
        Ok(Self { major, value, end })
    }
}

/// The end of a string; a text must be UTF-8.
fn text_or_bytes(bytes: &[u8], head: &Head) -> Result<usize, CborError> {
    let len = usize::try_from(head.value).map_err(|_| CborError::Malformed)?;
    let end = head.end.checked_add(len).ok_or(CborError::Malformed)?;
    let content = bytes.get(head.end..end).ok_or(CborError::Malformed)?;
    if head.major == 3 && std::str::from_utf8(content).is_err() {
        return Err(CborError::Malformed);
    }
    Ok(end)
}
