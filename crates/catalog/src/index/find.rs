//! One pass over what matches: counted whole, and the best of it kept.

use std::collections::BinaryHeap;

use haggle_base::Timestamp;
use tantivy::{
    DocId, Score, Searcher, SegmentReader, TantivyError,
    columnar::Column,
    query::{EnableScoring, Query as IndexQuery},
};

use super::{
    Facts,
    live::Rows,
    query::Query,
    sort::{Position, Sort},
};
use crate::ports::Figures;

/// Serials are read so many at a time.
const BLOCK: usize = 64;

/// What a search found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Listings that match, on all pages.
    pub(crate) total: usize,
    /// The page, in its order.
    pub(crate) page: Vec<(Position, Facts)>,
    /// Whether more follow.
    pub(crate) more: bool,
}

/// The part of a query that the rows answer, and the page that is wanted.
pub(super) struct Wanted<'a> {
    pub(super) query: &'a Query,
    pub(super) after: Option<Position>,
    pub(super) limit: usize,
    pub(super) now: Timestamp,
}

impl Wanted<'_> {
    fn takes(&self, facts: &Facts) -> bool {
        let query = self.query;
        facts.expires > self.now
            && query.min_price.is_none_or(|least| facts.price >= least)
            && query.max_price.is_none_or(|most| facts.price <= most)
            && query.author.is_none_or(|author| author == facts.author)
    }
}

/// Keeps the best positions, one more than the page has.
struct Best<'a, F> {
    wanted: &'a Wanted<'a>,
    rows: &'a Rows,
    figures: F,
    total: usize,
    heap: BinaryHeap<(Position, u32)>,
}

impl<F: FnMut(&Facts) -> Figures> Best<'_, F> {
    fn see(&mut self, serial: Option<u64>, score: Score) {
        let Some((serial, facts)) =
            serial.and_then(|serial| Some((u32::try_from(serial).ok()?, self.rows.get(serial)?)))
        else {
            return;
        };
        if !self.wanted.takes(facts) {
            return;
        }
        self.total += 1;
        let sort = self.wanted.query.sort;
        let figures = if sort.needs_figures() { (self.figures)(facts) } else { Figures::default() };
        let position = Position::of(sort, facts, score, &figures);
        if self.wanted.after.is_some_and(|after| position <= after) {
            return;
        }
        if self.heap.len() <= self.wanted.limit {
            self.heap.push((position, serial));
        } else if let Some(mut worst) = self.heap.peek_mut()
            && position < worst.0
        {
            *worst = (position, serial);
        }
    }

    fn found(self) -> Found {
        let more = self.heap.len() > self.wanted.limit;
        let mut best = self.heap.into_sorted_vec();
        best.truncate(self.wanted.limit);
        let facts = |(position, serial): (Position, u32)| Some((position, *self.rows.get(serial.into())?));
        Found { total: self.total, page: best.into_iter().filter_map(facts).collect(), more }
    }
}

/// Searches. `figures` says how a listing's author has done.
pub(super) fn find(
    searcher: &Searcher,
    matching: &dyn IndexQuery,
    rows: &Rows,
    wanted: &Wanted<'_>,
    figures: impl FnMut(&Facts) -> Figures,
) -> Result<Found, TantivyError> {
    let mut best = Best { wanted, rows, figures, total: 0, heap: BinaryHeap::with_capacity(wanted.limit + 2) };
    let scored = wanted.query.sort == Sort::Relevance;
    let scoring = if scored {
        EnableScoring::enabled_from_searcher(searcher)
    } else {
        EnableScoring::disabled_from_searcher(searcher)
    };
    let weight = matching.weight(scoring)?;
    for reader in searcher.segment_readers() {
        let serials = reader.fast_fields().u64("serial")?;
        if scored {
            weight.for_each(reader, &mut |doc, score| {
                if is_alive(reader, doc) {
                    best.see(serials.first(doc), score);
                }
            })?;
        } else {
            weight.for_each_no_score(reader, &mut |docs| see_block(reader, &serials, docs, &mut best))?;
        }
    }
    Ok(best.found())
}

fn see_block<F: FnMut(&Facts) -> Figures>(
    reader: &SegmentReader,
    serials: &Column<u64>,
    docs: &[DocId],
    best: &mut Best<'_, F>,
) {
    let mut read = [None; BLOCK];
    for docs in docs.chunks(BLOCK) {
        serials.first_vals(docs, &mut read[..docs.len()]);
        for (doc, serial) in docs.iter().zip(read) {
            if is_alive(reader, *doc) {
                best.see(serial, 0.0);
            }
        }
    }
}

fn is_alive(reader: &SegmentReader, doc: DocId) -> bool {
    reader.alive_bitset().is_none_or(|alive| alive.is_alive(doc))
}
