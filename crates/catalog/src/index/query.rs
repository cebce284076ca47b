//! What can be asked, and how it becomes a query that cannot fail to parse.

use std::ops::Bound;

use haggle_base::{Did, Usdc};
use tantivy::{
    Index, TantivyError, Term,
    query::{AllQuery, BooleanQuery, BoostQuery, Occur, Query as IndexQuery, RangeQuery, TermQuery},
    schema::{Field, IndexRecordOption},
};

use super::{Fields, sort::Sort};

/// Words of a text that count; further ones are ignored.
const MAX_WORDS: usize = 16;

/// Bytes of a word that count; longer ones are not indexed either.
const MAX_WORD_BYTES: usize = 40;

/// How much more a word in the title weighs than one in the description.
const TITLE_BOOST: f32 = 2.0;

/// Stands in the index for the regions of a listing that names none; no region is called so.
pub(super) const EVERYWHERE: &str = "*";

/// Most hits in one answer.
pub const MAX_LIMIT: usize = 200;

/// Hits in one answer unless told otherwise.
pub const DEFAULT_LIMIT: usize = 20;

/// A search. Everything given must hold; nothing given finds every listing.
#[derive(Debug, Clone)]
pub struct Query {
    /// Words that must all occur in title, description, skill, category or tags. Any text will
    /// do: there is no syntax to get wrong.
    pub text: Option<String>,
    /// The primary category.
    pub category: Option<String>,
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
}

impl Default for Query {
    fn default() -> Self {
        Self {
            text: None,
            category: None,
            tags: Vec::new(),
            min_price: None,
            max_price: None,
            scheme: None,
            region: None,
            author: None,
            sort: Sort::default(),
            limit: DEFAULT_LIMIT,
            cursor: None,
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

/// The index's own form of a query.
pub(super) fn build(query: &Query, fields: &Fields, index: &Index) -> Result<BooleanQuery, TantivyError> {
    let mut clauses: Vec<Clause> = vec![(Occur::Must, Box::new(AllQuery))];
    if let Some(text) = &query.text {
        for word in words(text, fields, index)? {
            clauses.push((Occur::Must, any_field(&word, fields)));
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
        let everywhere: Clause = (Occur::Should, term(fields.region, EVERYWHERE));
        let there: Clause = (Occur::Should, term(fields.region, &region.trim().to_lowercase()));
        clauses.push((Occur::Must, Box::new(BooleanQuery::new(vec![everywhere, there]))));
    }
    if query.min_price.is_some() || query.max_price.is_some() {
        let bound = |price: Option<Usdc>| {
            price.map_or(Bound::Unbounded, |price| Bound::Included(Term::from_field_u64(fields.price, price.units())))
        };
        clauses.push((Occur::Must, Box::new(RangeQuery::new(bound(query.min_price), bound(query.max_price)))));
    }
    Ok(BooleanQuery::new(clauses))
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

fn any_field(word: &str, fields: &Fields) -> Box<dyn IndexQuery> {
    let title = BoostQuery::new(term(fields.title, word), TITLE_BOOST);
    Box::new(BooleanQuery::new(vec![
        (Occur::Should, Box::new(title)),
        (Occur::Should, term(fields.description, word)),
        (Occur::Should, term(fields.words, word)),
    ]))
}

fn term(field: Field, text: &str) -> Box<dyn IndexQuery> {
    Box::new(TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::WithFreqs))
}
