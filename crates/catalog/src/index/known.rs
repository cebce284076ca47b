//! Figures of authors between searches, and the ranks that follow from them, kept as long as whoever knows the figures says
//! that nothing has changed.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use haggle_base::Timestamp;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{
    live::{Facts, Rows},
    query::Query,
    sort::Sort,
    weights::Weights,
};
use crate::ports::{Figures, Standing};

/// Figures depend on the time of day too: what was seen a day ago is forgotten.
const OLDEST: Duration = Duration::from_secs(60);

/// The ranks are kept with all their bits turned but the last: nought, which a column is made of, then stands for a rank that
/// no listing has but by a rare chance, and is taken for one that is not known.
const TURNED: u64 = u64::MAX - 1;

#[derive(Debug, Default)]
struct Book {
    version: u64,
    read_at: Timestamp,
    /// By the author's number.
    figures: Vec<Option<Figures>>,
    /// By the row, for each order that goes by price and figures alone: empty until it is asked for.
    ranks: [Vec<AtomicU64>; Sort::BY_FIGURES],
}

/// The figures that were asked for so far.
#[derive(Debug)]
pub(super) struct Known {
    book: RwLock<Book>,
    /// Those of the combined order whose ranks are kept.
    weights: Weights,
}

/// The figures during one search.
pub(super) struct Open<'a> {
    known: &'a Known,
    standing: &'a dyn Standing,
    /// What may be believed; nothing if nobody says whether figures have changed.
    book: Option<RwLockReadGuard<'a, Book>>,
    rows: &'a Rows,
    sort: Sort,
    /// Of the parts of the combined order.
    shares: [f64; 3],
    /// Which ranks of the book are those of the order.
    column: Option<usize>,
    /// What the book did not have: nobody is asked twice, and the next search may want to know it too.
    asked: HashMap<u32, Figures>,
}

impl Known {
    /// Nothing yet. The combined order goes by these weights where a search does not say.
    pub(super) fn new(weights: Weights) -> Self {
        Self { book: RwLock::default(), weights }
    }

    /// What the parts of the combined order weigh in this search.
    pub(super) fn weights_of(&self, query: &Query) -> Weights {
        query.weights.unwrap_or(self.weights)
    }

    /// The figures for one search over these listings. Ranks are kept of the orders that go by price and figures alone, but
    /// not of other weights than the configured ones, nor where they are to be explained: then each is made of the figures
    /// that are shown beside it.
    pub(super) fn open<'a>(
        &'a self,
        standing: &'a dyn Standing,
        rows: &'a Rows,
        query: &Query,
        now: Timestamp,
    ) -> Open<'a> {
        let (sort, weights) = (query.sort, self.weights_of(query));
        let is_kept = !query.explain && (sort != Sort::Combined || weights == self.weights);
        let column = sort.by_figures().filter(|_| is_kept);
        let book = self.current(standing, now, column.map(|column| (column, rows.len())));
        Open { known: self, standing, book, rows, sort, shares: weights.shares(), column, asked: HashMap::new() }
    }

    /// A row has, or will have, another listing: the ranks of the one before are forgotten.
    pub(super) fn forget(&self, row: u32) {
        for ranks in &self.book.read().ranks {
            if let Some(rank) = ranks.get(row as usize) {
                rank.store(0, Ordering::Relaxed);
            }
        }
    }

    /// The book as it is to be believed now, with room for so many ranks in this column.
    fn current(
        &self,
        standing: &dyn Standing,
        now: Timestamp,
        room: Option<(usize, usize)>,
    ) -> Option<RwLockReadGuard<'_, Book>> {
        let has_room = |book: &Book| {
            let ranks = room.and_then(|(column, rows)| Some((book.ranks.get(column)?, rows)));
            ranks.is_none_or(|(ranks, rows)| ranks.len() >= rows)
        };
        let version = standing.version()?;
        let book = self.book.read();
        if book.is_of(version, now) && has_room(&book) {
            return Some(book);
        }
        drop(book);
        let mut book = self.book.write();
        // Whoever was first may have seen to it, and more may have changed since.
        let version = standing.version()?;
        if !book.is_of(version, now) {
            book.begin(version, now);
        }
        if !has_room(&book)
            && let Some((column, rows)) = room
            && let Some(ranks) = book.ranks.get_mut(column)
        {
            // With room for more, so that not every new listing moves them.
            let room = rows + rows / 4;
            ranks.reserve_exact(room.saturating_sub(ranks.len()));
            ranks.resize_with(room, AtomicU64::default);
        }
        Some(RwLockWriteGuard::downgrade(book))
    }
}

impl Book {
    fn is_of(&self, version: u64, now: Timestamp) -> bool {
        self.version == version && now.since(self.read_at) <= OLDEST
    }

    /// Forgets everything. The columns keep their room: figures may change often.
    fn begin(&mut self, version: u64, now: Timestamp) {
        (self.version, self.read_at, self.figures) = (version, now, Vec::new());
        for rank in self.ranks.iter_mut().flatten() {
            *rank.get_mut() = 0;
        }
    }
}

impl Open<'_> {
    /// The figures of the author of this number.
    pub(super) fn figures(&mut self, writer: u32) -> Figures {
        if let Some(figures) = self.noted(writer).or_else(|| self.asked.get(&writer).copied()) {
            return figures;
        }
        let figures = self.rows.writer(writer).map(|author| self.standing.figures(&author)).unwrap_or_default();
        self.asked.insert(writer, figures);
        figures
    }

    /// The ranks of some rows as far as they are known, in an order that goes by price and figures alone.
    pub(super) fn ranks(&self, rows: &[u64], ranks: &mut [Option<u64>]) {
        let column = self.book.as_ref().zip(self.column).and_then(|(book, column)| book.ranks.get(column));
        // Nothing but this in the loop, so that as many of them as can be are on their way from memory at once.
        for (rank, row) in ranks.iter_mut().zip(rows) {
            let kept = column.and_then(|column| column.get(usize::try_from(*row).ok()?));
            *rank = kept.map(|kept| kept.load(Ordering::Relaxed)).filter(|kept| *kept != 0).map(|kept| kept ^ TURNED);
        }
    }

    /// The rank of a row that is not known yet, in such an order.
    #[cold]
    pub(super) fn work_out(&mut self, row: u64, facts: Facts) -> u64 {
        let figures = self.figures(facts.writer);
        let rank = self.sort.rank(facts.price, 0.0, &figures, &self.shares);
        if let Some(kept) = self.kept(row) {
            kept.store(rank ^ TURNED, Ordering::Relaxed);
        }
        rank
    }

    /// The figures of an author as the book has them.
    fn noted(&self, writer: u32) -> Option<Figures> {
        self.book.as_ref()?.figures.get(writer as usize).copied().flatten()
    }

    /// Where the rank of a row is kept.
    fn kept(&self, row: u64) -> Option<&AtomicU64> {
        self.book.as_ref()?.ranks.get(self.column?)?.get(usize::try_from(row).ok()?)
    }
}

impl Drop for Open<'_> {
    /// What was asked for is kept for the next search.
    fn drop(&mut self) {
        let Some(version) = self.book.take().map(|book| (book.version, book.read_at)) else { return };
        if self.asked.is_empty() {
            return;
        }
        let mut book = self.known.book.write();
        if (book.version, book.read_at) != version {
            return;
        }
        if book.figures.len() < self.rows.writers() {
            book.figures.resize(self.rows.writers(), None);
        }
        for (writer, figures) in self.asked.drain() {
            if let Some(kept) = book.figures.get_mut(writer as usize) {
                *kept = Some(figures);
            }
        }
    }
}
