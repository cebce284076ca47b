//! The facts beside the index: what filters and orders need to know of each listing, in rows that are read by number.

use haggle_base::{Did, RecordId, Timestamp, Usdc, Verified};

use super::labels::Labels;
use super::numbered::Numbered;
use crate::body::ListingBody;
use withheld::Withheld;

mod withheld;

/// What filtering and sorting look at for every listing that matches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) price: Usdc,
    pub(crate) expires: Timestamp,
    /// The author's number.
    pub(crate) writer: u32,
}

/// The part of the facts that decides most: eight of them come from memory at once, where the facts come by twos.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gist {
    /// The whole seconds of the time when it expires, or the most that fits.
    pub(super) expires: u32,
    /// The price in base units, or the most that fits: then it may be more.
    pub(super) price: u32,
}

/// The rest of the facts.
#[derive(Debug, Clone, Copy)]
struct Rest {
    price: Usdc,
    writer: u32,
    /// By how much it expires later than its whole second.
    millis: u16,
}

/// Stands where there is no listing: it has expired at any time, so that no search has to ask whether there is one.
const GONE: (Gist, Rest) = (Gist { expires: 0, price: 0 }, Rest { price: Usdc::ZERO, writer: u32::MAX, millis: 0 });

/// The most that fits, of what is more.
pub(super) fn clipped(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Facts {
    fn parts(self) -> (Gist, Rest) {
        let expires = self.expires.as_millis();
        let gist = Gist { expires: clipped(expires / 1000), price: clipped(self.price.units()) };
        let millis = u16::try_from(expires % 1000).unwrap_or_default();
        (gist, Rest { price: self.price, writer: self.writer, millis })
    }

    fn of((gist, rest): (Gist, Rest)) -> Self {
        let expires = Timestamp::from_millis(u64::from(gist.expires) * 1000 + u64::from(rest.millis));
        Self { price: rest.price, expires, writer: rest.writer }
    }
}

/// The listings that can be found. Each has a row, whose number the index knows as its serial.
///
/// A row that is given up is used again only after the index has forgotten its serial: see [`Rows::release`].
#[derive(Debug, Default)]
pub(super) struct Rows {
    gists: Vec<Gist>,
    rests: Vec<Rest>,
    /// The ids of the rows.
    ids: Numbered<RecordId>,
    /// The labels of the rows, apart from the facts: few searches look at them.
    drawers: Vec<Box<[u32]>>,
    labels: Labels,
    writers: Numbered<Did>,
    withheld: Withheld,
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
        let facts = Facts { price, expires: listing.record().expires, writer }.parts();
        let labels = self.labels.take_all(listing.body());
        let at = serial as usize;
        if at < self.gists.len() {
            self.set(at, facts);
            if let Some(drawers) = self.drawers.get_mut(at) {
                *drawers = labels;
            }
        } else {
            self.gists.push(facts.0);
            self.rests.push(facts.1);
            self.drawers.push(labels);
        }
        if self.withheld.authors.contains(&author) {
            self.hide(serial);
        }
        Some(serial)
    }

    /// Gives a listing's row up.
    pub(super) fn remove(&mut self, id: &RecordId) -> Option<u32> {
        let serial = self.ids.take_back(id)?;
        self.withheld.forget(serial);
        self.set(serial as usize, GONE);
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

    /// The gists of some serials; those of a listing that has expired for one that is of none.
    pub(super) fn gists(&self, serials: &[Option<u64>], gists: &mut [Gist]) {
        // Nothing but this in the loop, so that as many of them as can be are on their way from memory at once.
        for (gist, serial) in gists.iter_mut().zip(serials) {
            let row = serial.and_then(|serial| self.gists.get(usize::try_from(serial).ok()?));
            *gist = *row.unwrap_or(&GONE.0);
        }
    }

    /// The facts of a serial; those of a listing that has expired if it is of none.
    pub(super) fn facts(&self, serial: u64) -> Facts {
        let row = usize::try_from(serial).ok().and_then(|at| Some((*self.gists.get(at)?, *self.rests.get(at)?)));
        Facts::of(row.unwrap_or(GONE))
    }

    /// How many rows there are, those that were given up among them.
    pub(super) fn len(&self) -> usize {
        self.gists.len()
    }

    fn set(&mut self, at: usize, (gist, rest): (Gist, Rest)) {
        if let (Some(old), Some(other)) = (self.gists.get_mut(at), self.rests.get_mut(at)) {
            (*old, *other) = (gist, rest);
        }
    }

    /// The price of a listing that has a row.
    pub(super) fn price_of(&self, id: &RecordId) -> Option<Usdc> {
        let serial = self.ids.number_of(id)?;
        self.rests.get(serial as usize).map(|rest| rest.price)
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
    fn facts_are_the_same_when_they_are_put_together_again() {
        let most = u64::from(u32::MAX);
        for (price, expires) in
            [(0, 1), (1, 999), (most - 1, 1_795_000_000_123), (most, 1_000), (most + 1, most * 1000)]
        {
            let facts = Facts { price: Usdc::from_units(price), expires: Timestamp::from_millis(expires), writer: 7 };
            let (gist, rest) = facts.parts();
            assert_eq!(u64::from(gist.price), price.min(most));
            let again = Facts::of((gist, rest));
            assert_eq!((again.price, again.expires, again.writer), (facts.price, facts.expires, facts.writer));
        }
    }

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
        let held = |serial| rows.facts(serial).expires > START;
        assert_eq!([0, 1, 2].map(held), [false, true, false]);
        assert!(rows.labels_of(0).is_empty() && !rows.labels_of(1).is_empty());
        assert_eq!(add(&mut rows, 2), Some(2), "the index may still find serial 0");
        rows.release(rows.leaving());
        assert_eq!(add(&mut rows, 3), Some(0));
        assert_eq!((rows.writers(), rows.remove(&RecordId::from(haggle_base::Hash::of(b"other")))), (1, None));
    }
}
