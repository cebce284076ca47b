//! One pass over what matches: counted whole, and the best of it kept.

use std::collections::{BinaryHeap, HashMap, HashSet};

use haggle_base::{RecordId, Timestamp, Usdc};
use tantivy::{
    DocAddress, DocId, Score, Searcher, SegmentOrdinal, SegmentReader, TantivyError,
    columnar::Column,
    query::{EnableScoring, Query as IndexQuery},
};

use super::{
    explain::{Explanation, Made},
    facets::{Facets, Tally},
    live::{Facts, Rows},
    query::Query,
    reading::Carried,
    sort::Position,
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
    pub(crate) page: Vec<Position>,
    /// Whether more follow.
    pub(crate) more: bool,
    /// How the words were taken, for the next page.
    pub(crate) carried: Option<Carried>,
    /// Counts of all that matches, if they were asked for.
    pub(crate) facets: Option<Facets>,
    /// What the ranks of the page were made of, if that was asked for.
    pub(super) made: HashMap<RecordId, Made>,
    /// Why each of the page has its place, in its order.
    pub(crate) explanations: Vec<Explanation>,
}

/// The part of a query that the rows answer, and the page that is wanted.
pub(super) struct Wanted<'a> {
    pub(super) query: &'a Query,
    /// The number of the author that is asked for.
    pub(super) writer: Option<u32>,
    /// The number of the skill that is asked for.
    pub(super) skill: Option<u32>,
    /// Nothing else is looked at.
    pub(super) among: Option<&'a HashSet<RecordId>>,
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
            && self.writer.is_none_or(|writer| writer == facts.writer)
    }
}

/// Keeps the best positions, one more than the page has.
struct Best<'a, F> {
    wanted: &'a Wanted<'a>,
    rows: &'a Rows,
    figures: F,
    total: usize,
    /// Whether more of a row matters than its facts.
    by_labels: bool,
    tally: Option<Tally>,
    heap: BinaryHeap<Position>,
    /// Of what is in the heap, if it is to be explained.
    made: Option<HashMap<RecordId, Made>>,
}

impl<F: FnMut(u32) -> Figures> Best<'_, F> {
    fn see(&mut self, serial: Option<u64>, at: DocAddress, score: Score) {
        let Some((serial, facts)) = serial.and_then(|serial| Some((serial, self.rows.get(serial)?))) else { return };
        if !self.wanted.takes(facts)
            || !self.has_standing(facts.writer)
            || (self.by_labels && !self.look(serial, facts.price))
        {
            return;
        }
        self.total += 1;
        let sort = self.wanted.query.sort;
        let figures = if sort.needs_figures() { (self.figures)(facts.writer) } else { Figures::default() };
        let rank = sort.rank(facts.price, score, &figures);
        let is_full = self.heap.len() > self.wanted.limit;
        if is_full && self.heap.peek().is_some_and(|worst| worst.is_before(rank, facts.price)) {
            return;
        }
        let Some(id) = self.rows.id(serial) else { return };
        let position = Position::new(rank, facts.price, id);
        if self.wanted.after.is_some_and(|after| position <= after) {
            return;
        }
        let mut gone = None;
        if !is_full {
            self.heap.push(position);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && position < *worst
        {
            gone = Some(std::mem::replace(&mut *worst, position));
        } else {
            return;
        }
        if let Some(made) = &mut self.made {
            if let Some(gone) = gone {
                made.remove(&gone.id());
            }
            made.insert(id, Made { at, score, figures });
        }
    }

    /// Whether the author of this number has done as well as is asked for.
    fn has_standing(&mut self, writer: u32) -> bool {
        self.wanted.query.min_net.is_none_or(|least| (self.figures)(writer).net >= least)
    }

    /// Whether a row is among those that are looked at and has the skill that is asked for; if so, it is counted. Few
    /// searches need any of it.
    #[cold]
    fn look(&mut self, serial: u64, price: Usdc) -> bool {
        if let Some(among) = self.wanted.among
            && !self.rows.id(serial).is_some_and(|id| among.contains(&id))
        {
            return false;
        }
        let labels = self.rows.labels_of(serial);
        if self.wanted.skill.is_some_and(|skill| !labels.contains(&skill)) {
            return false;
        }
        if let Some(tally) = &mut self.tally {
            tally.see(labels, price);
        }
        true
    }

    fn found(self) -> Found {
        let more = self.heap.len() > self.wanted.limit;
        let mut page = self.heap.into_sorted_vec();
        page.truncate(self.wanted.limit);
        let facets = self.tally.map(|tally| tally.facets(self.rows));
        let made = self.made.unwrap_or_default();
        Found { total: self.total, page, more, facets, made, ..Found::default() }
    }
}

/// Searches. `figures` says how the author of a number has done.
pub(super) fn find(
    scoring: EnableScoring<'_>,
    matching: &dyn IndexQuery,
    rows: &Rows,
    wanted: &Wanted<'_>,
    tally: Option<Tally>,
    figures: impl FnMut(u32) -> Figures,
) -> Result<Found, TantivyError> {
    let heap = BinaryHeap::with_capacity(wanted.limit + 2);
    let made = wanted.query.explain.then(HashMap::new);
    let by_labels = tally.is_some() || wanted.skill.is_some() || wanted.among.is_some();
    let mut best = Best { wanted, rows, figures, total: 0, by_labels, tally, heap, made };
    let scored = scoring.is_scoring_enabled();
    let weight = matching.weight(scoring)?;
    let readers = scoring.searcher().map_or(&[][..], Searcher::segment_readers);
    for (ord, reader) in (0..).zip(readers) {
        let serials = reader.fast_fields().u64("serial")?;
        if scored {
            weight.for_each(reader, &mut |doc, score| {
                if is_alive(reader, doc) {
                    best.see(serials.first(doc), DocAddress::new(ord, doc), score);
                }
            })?;
        } else {
            weight.for_each_no_score(reader, &mut |docs| see_block(ord, reader, &serials, docs, &mut best))?;
        }
    }
    Ok(best.found())
}

fn see_block<F: FnMut(u32) -> Figures>(
    ord: SegmentOrdinal,
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
                best.see(serial, DocAddress::new(ord, *doc), 0.0);
            }
        }
    }
}

fn is_alive(reader: &SegmentReader, doc: DocId) -> bool {
    reader.alive_bitset().is_none_or(|alive| alive.is_alive(doc))
}
