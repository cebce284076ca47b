//! Figures of authors between searches, kept as long as whoever knows them says that nothing has changed.

use std::time::Duration;

use haggle_base::Timestamp;
use parking_lot::{RwLock, RwLockReadGuard};

use super::live::Rows;
use crate::ports::{Figures, Standing};

/// Figures depend on the time of day too: what was seen a day ago is forgotten.
const OLDEST: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct Book {
    version: u64,
    read_at: Timestamp,
    /// By the author's number.
    figures: Vec<Option<Figures>>,
}

/// The figures that were asked for so far.
#[derive(Debug, Default)]
pub(super) struct Known {
    book: RwLock<Book>,
}

/// The figures during one search.
pub(super) struct Open<'a> {
    known: &'a Known,
    standing: &'a dyn Standing,
    /// What may be believed; nothing if all of it is out of date.
    book: Option<RwLockReadGuard<'a, Book>>,
    rows: &'a Rows,
    version: Option<u64>,
    now: Timestamp,
    asked: Vec<(u32, Figures)>,
}

impl Known {
    /// The figures for one search over these listings.
    pub(super) fn open<'a>(&'a self, standing: &'a dyn Standing, rows: &'a Rows, now: Timestamp) -> Open<'a> {
        let version = standing.version();
        let book = self.book.read();
        let book = (version == Some(book.version) && now.since(book.read_at) <= OLDEST).then_some(book);
        Open { known: self, standing, book, rows, version, now, asked: Vec::new() }
    }
}

impl Open<'_> {
    /// The figures of the author of this number.
    pub(super) fn figures(&mut self, writer: u32) -> Figures {
        let kept = self.book.as_ref().and_then(|book| book.figures.get(writer as usize).copied().flatten());
        kept.unwrap_or_else(|| {
            let figures = self.rows.writer(writer).map(|author| self.standing.figures(&author)).unwrap_or_default();
            if self.version.is_some() {
                self.asked.push((writer, figures));
            }
            figures
        })
    }
}

impl Drop for Open<'_> {
    /// What was asked for is kept for the next search.
    fn drop(&mut self) {
        let is_current = self.book.take().is_some();
        let Some(version) = self.version.filter(|_| !self.asked.is_empty()) else { return };
        let mut book = self.known.book.write();
        if !is_current && (book.version != version || self.now.since(book.read_at) > OLDEST) {
            *book = Book { version, read_at: self.now, figures: Vec::new() };
        }
        if book.version != version {
            return;
        }
        if book.figures.len() < self.rows.writers() {
            book.figures.resize(self.rows.writers(), None);
        }
        for (writer, figures) in self.asked.drain(..) {
            if let Some(kept) = book.figures.get_mut(writer as usize) {
                *kept = Some(figures);
            }
        }
    }
}
