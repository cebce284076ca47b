//! One pass over what matches: counted whole, and the best of it kept.

use std::collections::{BinaryHeap, HashMap, HashSet};

use haggle_base::{RecordId, Timestamp, Usdc};
use tantivy::{
    DocAddress, DocId, Score, Searcher, SegmentOrdinal, TantivyError,
    columnar::Column,
    fastfield::AliveBitSet,
    query::{EnableScoring, Query as IndexQuery},
};

use super::{
    explain::{Explanation, Made},
    facets::{Facets, Tally},
    known::Open,
    live::{Facts, Gist, Rows, clipped},
    query::Query,
    reading::Carried,
    sort::{Position, Sort},
};
use crate::ports::Figures;

/// Listings are looked at so many at a time.
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
    /// The lowest and the highest price.
    pub(super) prices: (Usdc, Usdc),
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
        let (least, most) = self.prices;
        facts.expires > self.now
            && (least..=most).contains(&facts.price)
            && self.writer.is_none_or(|writer| writer == facts.writer)
    }

    /// Which gists are of listings that may be taken.
    fn sieve(&self) -> Sieve {
        let (least, most) = self.prices;
        let prices = (clipped(least.units()), clipped(most.units()));
        Sieve { now: clipped(self.now.as_millis() / 1000), prices, any_writer: self.writer.is_none() }
    }
}

/// The part of the filters that gists answer.
struct Sieve {
    now: u32,
    prices: (u32, u32),
    any_writer: bool,
}

impl Sieve {
    /// Without a branch: which listings a filter takes no processor can guess.
    fn may_take(&self, gist: Gist) -> bool {
        (gist.expires >= self.now) & (gist.price >= self.prices.0) & (gist.price <= self.prices.1)
    }

    /// Whether what may be taken is taken.
    fn is_sure(&self, gist: Gist) -> bool {
        self.any_writer && gist.expires > self.now && gist.price < u32::MAX
    }
}

/// What matches in one segment, some at a time, so that the facts of all of them are on their way from memory at once.
struct Block {
    docs: [DocId; BLOCK],
    /// Nought where nothing is weighed.
    scores: [Score; BLOCK],
    serials: [Option<u64>; BLOCK],
    len: usize,
}

impl Block {
    const fn new() -> Self {
        Self { docs: [0; BLOCK], scores: [0.0; BLOCK], serials: [None; BLOCK], len: 0 }
    }

    /// Adds one; `true` if it is full now.
    fn push(&mut self, doc: DocId, score: Score) -> bool {
        if let (Some(to), Some(weight)) = (self.docs.get_mut(self.len), self.scores.get_mut(self.len)) {
            (*to, *weight) = (doc, score);
            self.len += 1;
        }
        self.len >= BLOCK
    }
}

/// One segment of the index.
struct Segment<'a> {
    ord: SegmentOrdinal,
    serials: Column<u64>,
    alive: Option<&'a AliveBitSet>,
}

/// Keeps the best positions, one more than the page has.
struct Best<'a, 'k> {
    wanted: &'a Wanted<'a>,
    sieve: Sieve,
    rows: &'a Rows,
    known: &'a mut Open<'k>,
    total: usize,
    /// Whether more of a row matters than its facts.
    by_labels: bool,
    tally: Option<Tally>,
    heap: BinaryHeap<Position>,
    /// Of what is in the heap, if it is to be explained.
    made: Option<HashMap<RecordId, Made>>,
}

impl Best<'_, '_> {
    /// Sees a block, which is empty then.
    fn see(&mut self, segment: &Segment<'_>, block: &mut Block) {
        let len = std::mem::take(&mut block.len);
        let (Some(docs), Some(serials)) = (block.docs.get(..len), block.serials.get_mut(..len)) else { return };
        segment.serials.first_vals(docs, serials);
        let mut gists = [Gist { expires: 0, price: 0 }; BLOCK];
        self.rows.gists(serials, &mut gists);
        let (mut taken, mut rows, mut count) = ([0; BLOCK], [0; BLOCK], 0);
        for (at, ((doc, serial), gist)) in docs.iter().zip(&*serials).zip(gists).enumerate() {
            let is_alive = segment.alive.is_none_or(|alive| alive.is_alive(*doc));
            if let (Some(next), Some(row)) = (taken.get_mut(count), rows.get_mut(count)) {
                (*next, *row) = (at, serial.unwrap_or(u64::MAX));
            }
            count += usize::from(is_alive & self.sieve.may_take(gist));
        }
        let mut ranks = [None; BLOCK];
        self.known.ranks(rows.get(..count).unwrap_or_default(), &mut ranks);
        for ((at, serial), rank) in taken.into_iter().zip(rows).zip(ranks).take(count) {
            if let (Some(doc), Some(score), Some(gist)) = (docs.get(at), block.scores.get(at), gists.get(at))
                && (self.sieve.is_sure(*gist) || self.wanted.takes(&self.rows.facts(serial)))
            {
                self.take(serial, rank, DocAddress::new(segment.ord, *doc), *score);
            }
        }
    }

    /// Counts a listing that the filters take, and keeps it if it is among the best. Its facts are looked at only where they
    /// matter.
    fn take(&mut self, serial: u64, rank: Option<u64>, at: DocAddress, score: Score) {
        if !self.has_standing(serial) || (self.by_labels && !self.look(serial)) {
            return;
        }
        self.total += 1;
        let sort = self.wanted.query.sort;
        let rank = match (sort, rank) {
            (_, Some(rank)) => rank,
            (Sort::Relevance, None) => sort.rank(Usdc::ZERO, score, &Figures::default(), &[0.0; 3]),
            (Sort::PriceAsc, None) => self.rows.facts(serial).price.units(),
            (Sort::CostPerSuccess | Sort::TrustScoreDesc | Sort::ResponseTimeAsc | Sort::Combined, None) => {
                self.known.work_out(serial, self.rows.facts(serial))
            }
        };
        let is_full = self.heap.len() > self.wanted.limit;
        if is_full && self.heap.peek().is_some_and(|worst| worst.rank() < rank) {
            return;
        }
        let facts = self.rows.facts(serial);
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
            let figures = if sort.needs_figures() { self.known.figures(facts.writer) } else { Figures::default() };
            made.insert(id, Made { at, score, figures });
        }
    }

    /// Whether the author has done as well as is asked for.
    fn has_standing(&mut self, serial: u64) -> bool {
        self.wanted.query.min_net.is_none_or(|least| {
            let writer = self.rows.facts(serial).writer;
            self.known.figures(writer).net >= least
        })
    }

    /// Whether a row is among those that are looked at and has the skill that is asked for; if so, it is counted. Few
    /// searches need any of it.
    #[cold]
    fn look(&mut self, serial: u64) -> bool {
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
            tally.see(labels, self.rows.facts(serial).price);
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

/// Searches. What is `known` of the authors is for this order.
pub(super) fn find(
    scoring: EnableScoring<'_>,
    matching: &dyn IndexQuery,
    rows: &Rows,
    wanted: &Wanted<'_>,
    tally: Option<Tally>,
    known: &mut Open<'_>,
) -> Result<Found, TantivyError> {
    let heap = BinaryHeap::with_capacity(wanted.limit + 2);
    let made = wanted.query.explain.then(HashMap::new);
    let by_labels = tally.is_some() || wanted.skill.is_some() || wanted.among.is_some();
    let mut best = Best { wanted, sieve: wanted.sieve(), rows, known, total: 0, by_labels, tally, heap, made };
    let scored = scoring.is_scoring_enabled();
    let weight = matching.weight(scoring)?;
    let readers = scoring.searcher().map_or(&[][..], Searcher::segment_readers);
    let mut block = Block::new();
    for (ord, reader) in (0..).zip(readers) {
        let segment = Segment { ord, serials: reader.fast_fields().u64("serial")?, alive: reader.alive_bitset() };
        if scored {
            weight.for_each(reader, &mut |doc, score| {
                if block.push(doc, score) {
                    best.see(&segment, &mut block);
                }
            })?;
        } else {
            weight.for_each_no_score(reader, &mut |docs| {
                for doc in docs {
                    if block.push(*doc, 0.0) {
                        best.see(&segment, &mut block);
                    }
                }
            })?;
        }
        best.see(&segment, &mut block);
    }
    Ok(best.found())
}
