//! The facts beside the index: what filters and orders need to know of each listing, in rows that are read by number.

use std::collections::HashMap;

use haggle_base::{Did, RecordId, Timestamp, Usdc};

/// What filtering and sorting need to know of a listing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) id: RecordId,
    pub(crate) author: Did,
    pub(crate) price: Usdc,
    pub(crate) expires: Timestamp,
    /// The author's number.
    pub(crate) writer: u32,
}

/// The listings that can be found. Each has a row, whose number the index knows as its serial.
///
/// A row that is given up is used again only after the index has forgotten its serial: see [`Rows::release`].
#[derive(Debug, Default)]
pub(super) struct Rows {
    rows: Vec<Option<Facts>>,
    serials: HashMap<RecordId, u32>,
    writers: HashMap<Did, u32>,
    /// Rows that were given up since the last commit.
    leaving: Vec<u32>,
    free: Vec<u32>,
}

impl Rows {
    /// A row for a listing; `None` if it has one, or if there are four thousand million.
    pub(super) fn add(&mut self, id: RecordId, author: Did, price: Usdc, expires: Timestamp) -> Option<u32> {
        if self.serials.contains_key(&id) {
            return None;
        }
        let serial = match self.free.pop() {
            Some(serial) => serial,
            None => u32::try_from(self.rows.len()).ok()?,
        };
        let next = u32::try_from(self.writers.len()).ok()?;
        let writer = *self.writers.entry(author).or_insert(next);
        let facts = Some(Facts { id, author, price, expires, writer });
        match self.rows.get_mut(serial as usize) {
            Some(row) => *row = facts,
            None => self.rows.push(facts),
        }
        self.serials.insert(id, serial);
        Some(serial)
    }

    /// Gives a listing's row up.
    pub(super) fn remove(&mut self, id: &RecordId) -> Option<u32> {
        let serial = self.serials.remove(id)?;
        if let Some(row) = self.rows.get_mut(serial as usize) {
            *row = None;
        }
        self.leaving.push(serial);
        Some(serial)
    }

    /// How many rows have been given up since the last commit.
    pub(super) fn leaving(&self) -> usize {
        self.leaving.len()
    }

    /// The first `count` rows given up may be used again: no searcher that is handed out from now on finds their serials.
    pub(super) fn release(&mut self, count: usize) {
        self.free.extend(self.leaving.drain(..count));
    }

    /// The facts of a serial, unless its listing is gone.
    pub(super) fn get(&self, serial: u64) -> Option<&Facts> {
        self.rows.get(usize::try_from(serial).ok()?)?.as_ref()
    }

    /// How many authors have a number.
    pub(super) fn writers(&self) -> usize {
        self.writers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haggle_base::{Hash, Seed};

    #[test]
    fn a_row_is_used_again_only_after_it_was_released() {
        let author = Seed::devnet(7, 1).agent_key(0).did();
        let id = |number: u8| RecordId::from(Hash::of(&[number]));
        let mut rows = Rows::default();
        let add = |rows: &mut Rows, number| rows.add(id(number), author, Usdc::ZERO, Timestamp::from_secs(1));
        assert_eq!((add(&mut rows, 0), add(&mut rows, 1)), (Some(0), Some(1)));
        assert_eq!(add(&mut rows, 0), None, "it has its row");
        assert_eq!(rows.remove(&id(0)), Some(0));
        assert!(rows.get(0).is_none() && rows.get(1).is_some() && rows.get(2).is_none());
        assert_eq!(add(&mut rows, 2), Some(2), "the index may still find serial 0");
        rows.release(rows.leaving());
        assert_eq!(add(&mut rows, 3), Some(0));
        assert_eq!((rows.writers(), rows.remove(&id(9))), (1, None));
    }
}
