//! How the words of a search are taken: as written or with a slip, and what each of them weighs.
//!
//! Both depend on what the market holds at the time. So that the pages of one search are of one piece, the first page
//! decides, and its cursor carries the decision to the next ones: a listing that was there then has the same place
//! in the order, whatever has come since.

use std::fmt::Write as _;

use tantivy::{
    Index, Searcher, TantivyError, Term,
    query::{Bm25StatisticsProvider, EnableScoring},
    schema::Field,
};

use super::{Fields, query::Query};
use crate::error::CatalogError;

/// Words of a text that count; further ones are ignored.
pub(super) const MAX_WORDS: usize = 16;

/// Bytes of a word that count; longer ones are not indexed either.
const MAX_WORD_BYTES: usize = 40;

/// Shortest word, in characters, that is looked for with one slip; shorter ones are too much like others.
const SHORTEST_SLIP: usize = 4;

/// Shortest word that is looked for with two.
const LONG_WORD: usize = 8;

/// Most listings and words of a market that a cursor may speak of.
const MAX_COUNT: u64 = u32::MAX as u64;

/// The words of one search.
#[derive(Debug, Clone, Default)]
pub(super) struct Reading {
    pub(super) words: Vec<Word>,
    /// What their weight follows from; only where the order goes by it.
    counts: Option<Counts>,
}

/// One word.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub(super) text: String,
    /// By how many slips of the hand a listing's word may differ.
    pub(super) slips: u8,
}

/// What the weight of words follows from, in BM25.
#[derive(Debug, Clone)]
struct Counts {
    listings: u64,
    /// Words of all listings, in each field.
    lengths: [(Field, u64); 2],
    /// Listings that have a word in a field.
    found: Vec<(Term, u64)>,
}

/// What a cursor carries of a reading, in numbers: which words are taken with a slip, as bits; then, if they are weighed,
/// the listings, the words of all titles and of all texts, and for each word the listings that have it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Carried(Vec<u64>);

impl Reading {
    /// Reads the text of a query: as a page before did, or as the market is now.
    pub(super) fn of(
        query: &Query,
        fields: &Fields,
        searcher: &Searcher,
        carried: Option<&Carried>,
    ) -> Result<Self, CatalogError> {
        let texts = match &query.text {
            Some(text) => words(text, fields, searcher.index())?,
            None => Vec::new(),
        };
        match carried {
            Some(carried) => {
                Self::again(texts, fields, carried, query.sort.weighs_words()).ok_or(CatalogError::BadCursor)
            }
            None => Ok(Self::now(texts, fields, searcher, query.sort.weighs_words())?),
        }
    }

    fn now(texts: Vec<String>, fields: &Fields, searcher: &Searcher, weighed: bool) -> Result<Self, TantivyError> {
        let mut words = Vec::with_capacity(texts.len());
        let mut found = Vec::new();
        for text in texts {
            let anywhere = Term::from_field_text(fields.text, &text);
            let slips = match slips_of(&text) {
                slips if slips > 0 && searcher.doc_freq(&anywhere)? == 0 => slips,
                _ => 0,
            };
            if weighed {
                let title = Term::from_field_text(fields.title, &text);
                let counted = (searcher.doc_freq(&title)?, searcher.doc_freq(&anywhere)?);
                found.extend([(title, counted.0), (anywhere, counted.1)]);
            }
            words.push(Word { text, slips });
        }
        let counts = if found.is_empty() {
            None
        } else {
            let length = |field| -> Result<_, TantivyError> { Ok((field, searcher.total_num_tokens(field)?)) };
            let lengths = [length(fields.title)?, length(fields.text)?];
            Some(Counts { listings: searcher.total_num_docs()?, lengths, found })
        };
        Ok(Self { words, counts })
    }

    /// `None` unless these numbers are of a search for as many words in such an order.
    fn again(texts: Vec<String>, fields: &Fields, carried: &Carried, weighed: bool) -> Option<Self> {
        let (slipped, counted) = carried.0.split_first()?;
        let counts = match counted {
            [] if !weighed || texts.is_empty() => None,
            [listings, titles, lengths, found @ ..] if weighed && found.len() == 2 * texts.len() => {
                // More listings with a word than listings would be a weight that is none.
                let is_one = |count: &u64| count <= listings;
                if *listings == 0 || !counted.iter().all(|count| *count <= MAX_COUNT) || !found.iter().all(is_one) {
                    return None;
                }
                let terms = texts
                    .iter()
                    .flat_map(|text| [fields.title, fields.text].map(|field| Term::from_field_text(field, text)));
                let found = terms.zip(found.iter().copied()).collect();
                let lengths = [(fields.title, *titles), (fields.text, *lengths)];
                Some(Counts { listings: *listings, lengths, found })
            }
            _ => return None,
        };
        let word = |(at, text): (usize, String)| {
            let slips = if slipped >> at & 1 == 1 { slips_of(&text) } else { 0 };
            Word { text, slips }
        };
        Some(Self { words: texts.into_iter().enumerate().map(word).collect(), counts })
    }

    /// What the cursor of the next page carries; nothing if there are no words.
    pub(super) fn carried(&self) -> Option<Carried> {
        if self.words.is_empty() {
            return None;
        }
        let slipped = self.words.iter().enumerate().map(|(at, word)| u64::from(word.slips > 0) << at).sum();
        let mut numbers = vec![slipped];
        if let Some(counts) = &self.counts {
            numbers.push(counts.listings);
            numbers.extend(counts.lengths.iter().map(|(_, length)| *length));
            numbers.extend(counts.found.iter().map(|(_, count)| *count));
        }
        Some(Carried(numbers))
    }

    /// How a query of these words is to be weighed.
    pub(super) fn scoring<'a>(&'a self, searcher: &'a Searcher) -> EnableScoring<'a> {
        match &self.counts {
            Some(counts) => EnableScoring::enabled_from_statistics_provider(counts, searcher),
            None => EnableScoring::disabled_from_searcher(searcher),
        }
    }

    /// Whether the order goes by what the words weigh.
    pub(super) const fn is_weighed(&self) -> bool {
        self.counts.is_some()
    }

    /// Whether the weight of each word is rounded, so that they add up exactly. Two do so in any case.
    pub(super) const fn is_rounded(&self) -> bool {
        self.is_weighed() && self.words.len() > 2
    }
}

impl Bm25StatisticsProvider for Counts {
    fn total_num_tokens(&self, field: Field) -> Result<u64, TantivyError> {
        Ok(self.lengths.iter().find(|(known, _)| *known == field).map_or(0, |(_, length)| *length))
    }

    fn total_num_docs(&self) -> Result<u64, TantivyError> {
        Ok(self.listings)
    }

    fn doc_freq(&self, term: &Term) -> Result<u64, TantivyError> {
        Ok(self.found.iter().find(|(known, _)| known == term).map_or(0, |(_, count)| *count))
    }
}

impl Carried {
    /// As it stands in a cursor.
    pub(super) fn write(&self, cursor: &mut String) {
        for number in &self.0 {
            // Writing to a string cannot fail.
            let _written = write!(cursor, ".{number:x}");
        }
    }

    /// Reads what stands in a cursor after its place.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut numbers = Vec::new();
        for number in text.split('.') {
            if numbers.len() == 4 + 2 * MAX_WORDS {
                return None;
            }
            numbers.push(u64::from_str_radix(number, 16).ok()?);
        }
        Some(Self(numbers))
    }
}

/// The words of a text as the index splits them.
fn words(text: &str, fields: &Fields, index: &Index) -> Result<Vec<String>, TantivyError> {
    let mut analyzer = index.tokenizer_for_field(fields.title)?;
    let mut stream = analyzer.token_stream(text);
    let mut words: Vec<String> = Vec::new();
    while words.len() < MAX_WORDS && stream.advance() {
        let word = &stream.token().text;
        if word.len() < MAX_WORD_BYTES && !words.contains(word) {
            words.push(word.clone());
        }
    }
    Ok(words)
}

/// How many slips of the hand are forgiven in a word that no listing has.
fn slips_of(word: &str) -> u8 {
    match word.chars().count() {
        0..SHORTEST_SLIP => 0,
        SHORTEST_SLIP..LONG_WORD => 1,
        _ => 2,
    }
}
