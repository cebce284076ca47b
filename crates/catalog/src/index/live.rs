//! The facts beside the index: what filters and orders need to know of each listing, in rows that are read by number.

use std::collections::HashMap;

use haggle_base::{Did, RecordId, Timestamp, Usdc};

/// What filtering and sorting look at for every listing that matches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
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
    /// The ids of the rows.
    ids: Vec<RecordId>,
    serials: HashMap<RecordId, u32>,
    writers: Vec<Did>,
    numbers: HashMap<Did, u32>,
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
        let writer = match self.numbers.get(&author) {
            Some(writer) => *writer,
            None => {
                let next = u32::try_from(self.writers.len()).ok()?;
                self.writers.push(author);
                self.numbers.insert(author, next);
                next
            }
        };
        let facts = Some(Facts { price, expires, writer });
        match (self.rows.get_mut(serial as usize), self.ids.get_mut(serial as usize)) {
            (Some(row), Some(name)) => (*row, *name) = (facts, id),
            _ => {
                self.rows.push(facts);
                self.ids.push(id);
            }
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

    /// The id of a serial that has facts.
    pub(super) fn id(&self, serial: u64) -> Option<RecordId> {
        self.ids.get(usize::try_from(serial).ok()?).copied()
    }

    /// Who has this number.
    pub(super) fn writer(&self, number: u32) -> Option<Did> {
        self.writers.get(number as usize).copied()
    }

    /// The number of an author who has, or had, a row.
    pub(super) fn number_of(&self, author: &Did) -> Option<u32> {
        self.numbers.get(author).copied()
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
