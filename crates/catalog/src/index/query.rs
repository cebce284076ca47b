//! What can be asked, and how it becomes a query that cannot fail to parse.

use haggle_base::{Did, Usdc};
use tantivy::{
    Index, Searcher, TantivyError, Term,
    query::{AllQuery, BooleanQuery, BoostQuery, FuzzyTermQuery, Occur, Query as IndexQuery, TermQuery},
    schema::{Field, IndexRecordOption},
};

use super::{Fields, sort::Sort};

/// Words of a text that count; further ones are ignored.
const MAX_WORDS: usize = 16;

/// Bytes of a word that count; longer ones are not indexed either.
const MAX_WORD_BYTES: usize = 40;

/// How much more a word in the title weighs than one in the description.
const TITLE_BOOST: f32 = 2.0;

/// Shortest word, in characters, that is looked for with one slip; shorter ones are too much like others.
const SHORTEST_SLIP: usize = 4;

/// Shortest word that is looked for with two.
const LONG_WORD: usize = 8;

/// Stands in the index for the regions of a listing that names none; no region is called so.
pub(super) const EVERYWHERE: &str = "*";

/// Most hits in one answer.
pub const MAX_LIMIT: usize = 200;

/// Hits in one answer unless told otherwise.
pub const DEFAULT_LIMIT: usize = 20;

/// What of a text must occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Words {
    /// Every word.
    #[default]
    All,
    /// At least one; under [`Sort::Relevance`] more of them come first.
    Any,
}

/// A search. Everything given must hold; nothing given finds every listing.
#[derive(Debug, Clone)]
pub struct Query {
    /// Words that occur in title, description, skill, category or tags. Any text will do: there is no syntax to get
    /// wrong. A word of four letters or more that no listing has stands for those that differ from it by one slip of the
    /// hand, from eight letters by two.
    pub text: Option<String>,
    /// Whether all the words must occur.
    pub words: Words,
    /// The primary category.
    pub category: Option<String>,
    /// The skill that is sold, letter by letter.
    pub skill: Option<String>,
    /// Tags that it must all have.
    pub tags: Vec<String>,
    /// Lowest price.
    pub min_price: Option<Usdc>,
    /// Highest price.
    pub max_price: Option<Usdc>,
    /// A payment scheme it must take.
    pub scheme: Option<String>,
    /// A region it must be offered in, if it names any.
    pub region: Option<String>,
    /// Only of this author.
    pub author: Option<Did>,
    /// In which order.
    pub sort: Sort,
    /// At most so many hits, up to [`MAX_LIMIT`].
    pub limit: usize,
    /// Go on after the page that gave this cursor.
    pub cursor: Option<String>,
    /// Whether to count all that matches by category, tag, skill, region, scheme and price.
    pub facets: bool,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            text: None,
            words: Words::All,
            category: None,
            skill: None,
            tags: Vec::new(),
            min_price: None,
            max_price: None,
            scheme: None,
            region: None,
            author: None,
            sort: Sort::default(),
            limit: DEFAULT_LIMIT,
            cursor: None,
            facets: false,
        }
    }
}

impl Query {
    /// A search for words.
    #[must_use]
    pub fn words(text: &str) -> Self {
        Self { text: Some(text.to_owned()), ..Self::default() }
    }
}

type Clause = (Occur, Box<dyn IndexQuery>);

/// The part of a query that the index answers. Price, author and skill are not: the rows know them.
pub(super) fn build(query: &Query, fields: &Fields, searcher: &Searcher) -> Result<Box<dyn IndexQuery>, TantivyError> {
    let mut clauses: Vec<Clause> = Vec::new();
    if let Some(text) = &query.text {
        let mut found = Vec::new();
        for word in words(text, fields, searcher.index())? {
            found.push(clause_of(&word, query, fields, searcher)?);
        }
        match query.words {
            Words::All => clauses.extend(found.into_iter().map(|word| (Occur::Must, word))),
            Words::Any if found.is_empty() => {}
            Words::Any => clauses.push((Occur::Must, either(found))),
        }
    }
    let label = |field, text: &str| -> Clause { (Occur::Must, term(field, &text.trim().to_lowercase())) };
    if let Some(category) = &query.category {
        clauses.push(label(fields.category, category));
    }
    for tag in &query.tags {
        clauses.push(label(fields.tag, tag));
    }
    if let Some(scheme) = &query.scheme {
        clauses.push(label(fields.scheme, scheme));
    }
    if let Some(region) = &query.region {
        let there = term(fields.region, &region.trim().to_lowercase());
        clauses.push((Occur::Must, either(vec![term(fields.region, EVERYWHERE), there])));
    }
    Ok(match clauses.len() {
        0 => Box::new(AllQuery),
        1 => clauses.swap_remove(0).1,
        _ => Box::new(BooleanQuery::new(clauses)),
    })
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

/// A listing with this word anywhere; if there is none in the market, with one that differs by a slip or two.
fn clause_of(
    word: &str,
    query: &Query,
    fields: &Fields,
    searcher: &Searcher,
) -> Result<Box<dyn IndexQuery>, TantivyError> {
    let anywhere = Term::from_field_text(fields.text, word);
    let slips = match word.chars().count() {
        0..SHORTEST_SLIP => 0,
        SHORTEST_SLIP..LONG_WORD => 1,
        _ => 2,
    };
    if slips > 0 && searcher.doc_freq(&anywhere)? == 0 {
        return Ok(Box::new(FuzzyTermQuery::new(anywhere, slips, true)));
    }
    if query.sort != Sort::Relevance {
        return Ok(term(fields.text, word));
    }
    let title = BoostQuery::new(term(fields.title, word), TITLE_BOOST);
    let clauses: Vec<Clause> = vec![(Occur::Must, term(fields.text, word)), (Occur::Should, Box::new(title))];
    Ok(Box::new(BooleanQuery::new(clauses)))
}

fn either(ways: Vec<Box<dyn IndexQuery>>) -> Box<dyn IndexQuery> {
    Box::new(BooleanQuery::new(ways.into_iter().map(|way| (Occur::Should, way)).collect()))
}

fn term(field: Field, text: &str) -> Box<dyn IndexQuery> {
    Box::new(TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::WithFreqs))
}
