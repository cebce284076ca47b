//! The facts beside the index: what filters and orders need to know of each listing, in rows that are read by number.

use haggle_base::{Did, RecordId, Timestamp, Usdc, Verified};

use super::labels::Labels;
use super::numbered::Numbered;
use crate::body::ListingBody;

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
    ids: Numbered<RecordId>,
    /// The labels of the rows, apart from the facts: few searches look at them.
    drawers: Vec<Box<[u32]>>,
    labels: Labels,
    writers: Numbered<Did>,
    /// Rows that were given up since the last commit.
    leaving: Vec<u32>,
    free: Vec<u32>,
}

impl Rows {
    /// A row for a listing; `None` if it has one, or if there are four thousand million.
    pub(super) fn add(&mut self, listing: &Verified<ListingBody>) -> Option<u32> {
        let (id, author, price) = (listing.id(), listing.author(), listing.body().price);
        if self.ids.number_of(&id).is_some() {
            return None;
        }
        let writer = self.writers.number(author)?;
        let serial = match self.free.pop() {
            Some(serial) => {
                self.ids.give_again(serial, id);
                serial
            }
            None => self.ids.number(id)?,
        };
        let facts = Some(Facts { price, expires: listing.record().expires, writer });
        let labels = self.labels.take_all(listing.body());
        let at = serial as usize;
        match (self.rows.get_mut(at), self.drawers.get_mut(at)) {
            (Some(row), Some(drawers)) => (*row, *drawers) = (facts, labels),
            _ => {
                self.rows.push(facts);
                self.drawers.push(labels);
            }
        }
        Some(serial)
    }

    /// Gives a listing's row up.
    pub(super) fn remove(&mut self, id: &RecordId) -> Option<u32> {
        let serial = self.ids.take_back(id)?;
        if let Some(row) = self.rows.get_mut(serial as usize) {
            *row = None;
        }
        if let Some(drawers) = self.drawers.get_mut(serial as usize) {
            self.labels.give_back(&std::mem::take(drawers));
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

    /// The price of a listing that has a row.
    pub(super) fn price_of(&self, id: &RecordId) -> Option<Usdc> {
        let serial = self.ids.number_of(id)?;
        self.get(serial.into()).map(|facts| facts.price)
    }

    /// The numbers of a row's labels.
    pub(super) fn labels_of(&self, serial: u64) -> &[u32] {
        usize::try_from(serial).ok().and_then(|at| self.drawers.get(at)).map_or(&[], |labels| labels)
    }

    /// The labels of all rows.
    pub(super) fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The id of a serial that has facts.
    pub(super) fn id(&self, serial: u64) -> Option<RecordId> {
        self.ids.name(u32::try_from(serial).ok()?)
    }

    /// Who has this number.
    pub(super) fn writer(&self, number: u32) -> Option<Did> {
        self.writers.name(number)
    }

    /// The number of an author who has, or had, a row.
    pub(super) fn number_of(&self, author: &Did) -> Option<u32> {
        self.writers.number_of(author)
    }

    /// How many authors have a number.
    pub(super) fn writers(&self) -> usize {
        self.writers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{START, agent, listing, network, signed_listing};
    use haggle_base::Signed;

    #[test]
    fn a_row_is_used_again_only_after_it_was_released() {
        let made: Vec<_> = (0..4_u64)
            .map(|seq| {
                let bytes = signed_listing(&agent(0), "digest", seq, listing("Digest", "text", "0.1"));
                Signed::<ListingBody>::from_bytes(bytes).unwrap().verify(&network(), START).unwrap()
            })
            .collect();
        let id = |number: usize| made[number].id();
        let mut rows = Rows::default();
        let add = |rows: &mut Rows, number: usize| rows.add(&made[number]);
        assert_eq!((add(&mut rows, 0), add(&mut rows, 1)), (Some(0), Some(1)));
        assert_eq!(add(&mut rows, 0), None, "it has its row");
        assert_eq!(rows.remove(&id(0)), Some(0));
        assert!(rows.get(0).is_none() && rows.get(1).is_some() && rows.get(2).is_none());
        assert!(rows.labels_of(0).is_empty() && !rows.labels_of(1).is_empty());
        assert_eq!(add(&mut rows, 2), Some(2), "the index may still find serial 0");
        rows.release(rows.leaving());
        assert_eq!(add(&mut rows, 3), Some(0));
        assert_eq!((rows.writers(), rows.remove(&RecordId::from(haggle_base::Hash::of(b"other")))), (1, None));
    }
}
