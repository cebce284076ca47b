//! What can be asked, and how it becomes a query that cannot fail to parse.

use haggle_base::{Did, Usdc};
use tantivy::{
    Term,
    query::{
        AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, FuzzyTermQuery, Occur, Query as IndexQuery, TermQuery,
    },
    schema::{Field, IndexRecordOption},
};

use super::{
    Fields,
    exact::Exact,
    reading::{Reading, Word},
    sort::Sort,
    weights::Weights,
};

/// How much more a word in the title weighs than one in the description.
pub(super) const TITLE_BOOST: f32 = 2.0;

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
    /// Least [net](crate::ports::Figures::net) of its author; a newcomer has nought.
    pub min_net: Option<i64>,
    /// Only of this author.
    pub author: Option<Did>,
    /// In which order.
    pub sort: Sort,
    /// What the parts of [`Sort::Combined`] weigh, if not what the catalog is configured with.
    pub weights: Option<Weights>,
    /// At most so many hits, up to [`MAX_LIMIT`].
    pub limit: usize,
    /// Go on after the page that gave this cursor.
    pub cursor: Option<String>,
    /// Whether to count all that matches by category, tag, skill, region, scheme and price.
    pub facets: bool,
    /// Whether to say of each hit why it stands where it stands.
    pub explain: bool,
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
            min_net: None,
            author: None,
            sort: Sort::default(),
            weights: None,
            limit: DEFAULT_LIMIT,
            cursor: None,
            facets: false,
            explain: false,
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

/// The part of a query that the index answers. Price, author, skill and what is said of the author
/// are not: the rows know them.
pub(super) fn build(query: &Query, reading: &Reading, fields: &Fields) -> Box<dyn IndexQuery> {
    let mut clauses: Vec<Clause> = Vec::new();
    let clause = |word| {
        let clause = clause_of(word, reading.is_weighed(), fields);
        if reading.is_rounded() { Box::new(Exact(clause)) } else { clause }
    };
    let found: Vec<_> = reading.words.iter().map(clause).collect();
    match query.words {
        Words::All => clauses.extend(found.into_iter().map(|word| (Occur::Must, word))),
        Words::Any if found.is_empty() => {}
        Words::Any => clauses.push((Occur::Must, either(found))),
    }
    // What is filtered by has no weight.
    let filter = |filter: Box<dyn IndexQuery>| -> Clause {
        (Occur::Must, if reading.is_weighed() { Box::new(ConstScoreQuery::new(filter, 0.0)) } else { filter })
    };
    let label = |field, text: &str| filter(term(field, &text.trim().to_lowercase()));
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
        clauses.push(filter(either(vec![term(fields.region, EVERYWHERE), there])));
    }
    match clauses.len() {
        0 => Box::new(AllQuery),
        1 => clauses.swap_remove(0).1,
        _ => Box::new(BooleanQuery::new(clauses)),
    }
}

/// A listing with this word anywhere, or with one that differs by a slip or two.
fn clause_of(word: &Word, is_weighed: bool, fields: &Fields) -> Box<dyn IndexQuery> {
    let anywhere = anywhere(word, fields);
    if word.slips > 0 || !is_weighed {
        return anywhere;
    }
    Box::new(BooleanQuery::new(vec![(Occur::Must, anywhere), (Occur::Should, in_title(word, fields))]))
}

/// The word anywhere, or one that differs by a slip or two.
pub(super) fn anywhere(word: &Word, fields: &Fields) -> Box<dyn IndexQuery> {
    if word.slips > 0 {
        let meant = Term::from_field_text(fields.text, &word.text);
        return Box::new(FuzzyTermQuery::new(meant, word.slips, true));
    }
    term(fields.text, &word.text)
}

/// The word in the title, where it scores more.
pub(super) fn in_title(word: &Word, fields: &Fields) -> Box<dyn IndexQuery> {
    Box::new(BoostQuery::new(term(fields.title, &word.text), TITLE_BOOST))
}

fn either(ways: Vec<Box<dyn IndexQuery>>) -> Box<dyn IndexQuery> {
    Box::new(BooleanQuery::new(ways.into_iter().map(|way| (Occur::Should, way)).collect()))
}

fn term(field: Field, text: &str) -> Box<dyn IndexQuery> {
    Box::new(TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::WithFreqs))
}
