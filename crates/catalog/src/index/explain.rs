//! Why a listing stands where it stands in an answer: the numbers that the order was made of.

use std::collections::HashMap;

use haggle_base::{RecordId, Usdc};
use tantivy::{
    DocAddress, DocId, Score, Searcher, SegmentReader, TERMINATED, TantivyError, query::Query as IndexQuery,
};

use super::{
    Fields,
    exact::on_grid,
    query::{self, TITLE_BOOST},
    reading::{Reading, Word},
    sort::{Position, Sort},
    weights::Weights,
};
use crate::ports::Figures;

/// Why a listing has its place. Places go by the rank, the smallest first, then by the price, then by the record id.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The order.
    pub sort: Sort,
    /// The rank. What it is made of says [`Sort`].
    pub rank: u64,
    /// The price.
    pub price: Usdc,
    /// How well each word matches; empty where the order does not go by it.
    pub words: Vec<WordMatch>,
    /// The sum of the words' scores; zero where the order does not go by it.
    pub text: f32,
    /// The author's figures; none where the order does not go by them.
    pub figures: Option<Figures>,
    /// What one success costs, from price and figures; none without any success, or where the order does not go by it.
    pub cost_per_success: Option<Usdc>,
    /// The parts of the combined order; empty for every other one.
    pub parts: Vec<Part>,
}

impl Explanation {
    /// What the combined order goes by: the sum of value times weight over the parts, in their order.
    #[must_use]
    pub fn score(&self) -> Option<f64> {
        (!self.parts.is_empty()).then(|| combined(&self.parts))
    }
}

/// How well one word of a search matches a listing.
#[derive(Debug, Clone, PartialEq)]
pub struct WordMatch {
    /// The word, as it was looked for.
    pub word: String,
    /// Whether it is in no listing as written, so that those count that differ by a slip.
    pub by_slip: bool,
    /// What it scores for being in the title, doubled.
    pub title: f32,
    /// What it scores for being anywhere: in title, description, skill, category or tags.
    pub anywhere: f32,
    /// The two together; of more than two words rounded to 1/1024.
    pub score: f32,
}

/// One part of the combined order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    /// `reputation`, `cost` or `speed`.
    pub name: &'static str,
    /// From 0 to 1.
    pub value: f64,
    /// What it is multiplied with before the parts are added: its share in all the weights.
    pub weight: f64,
}

/// How much more a word in the title scores than one elsewhere.
pub const TITLE_WEIGHT: f32 = TITLE_BOOST;

/// Cost of one success whose part is a half, in base units: ten cents.
const HALF_COST: f64 = 100_000.0;

/// Time to an answer that counts a half, in milliseconds.
const HALF_TIME: f64 = 1_000.0;

/// The parts of the combined order. Each goes by this listing alone, so that no other one moves it.
pub(super) fn parts(price: Usdc, figures: &Figures, shares: &[f64; 3]) -> [Part; 3] {
    let [reputation, cost_share, speed] = *shares;
    // What nobody knows counts nothing.
    let less_is_more = |amount: Option<u64>, half: f64| amount.map_or(0.0, |amount| half / (half + wide(amount)));
    let cost = figures.cost_per_success(price).map(Usdc::units);
    let quickness = less_is_more(figures.avg_response_ms, HALF_TIME);
    [
        Part { name: "reputation", value: figures.trust_score.clamp(0.0, 1.0), weight: reputation },
        Part { name: "cost", value: less_is_more(cost, HALF_COST), weight: cost_share },
        Part { name: "speed", value: (quickness + figures.uptime.clamp(0.0, 1.0)) / 2.0, weight: speed },
    ]
}

/// The sum of the parts, in their order.
pub(super) fn combined(parts: &[Part]) -> f64 {
    parts.iter().map(|part| part.value * part.weight).sum()
}

/// A number of any size, to 53 bits.
const fn wide(number: u64) -> f64 {
    number as f64
}

/// What a rank was made of, kept while its listing may be on the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made {
    pub(super) at: DocAddress,
    pub(super) score: Score,
    pub(super) figures: Figures,
}

/// One explanation for each place of a page, in an order whose parts weigh so much.
pub(super) fn explain(
    page: &[Position],
    made: &HashMap<RecordId, Made>,
    (sort, weights): (Sort, Weights),
    reading: &Reading,
    fields: &Fields,
    searcher: &Searcher,
) -> Result<Vec<Explanation>, TantivyError> {
    let mut found: Vec<Explanation> = Vec::with_capacity(page.len());
    let mut places = Vec::with_capacity(page.len());
    let shares = weights.shares();
    for position in page {
        let Some(made) = made.get(&position.id()) else { continue };
        places.push((made.at, found.len()));
        let figures = sort.needs_figures().then_some(made.figures);
        let by_cost = matches!(sort, Sort::CostPerSuccess | Sort::Combined);
        let combines = sort == Sort::Combined;
        found.push(Explanation {
            sort,
            rank: position.rank(),
            price: position.price(),
            words: Vec::new(),
            text: made.score,
            figures,
            cost_per_success: figures.filter(|_| by_cost).and_then(|seen| seen.cost_per_success(position.price())),
            parts: if combines { parts(position.price(), &made.figures, &shares).to_vec() } else { Vec::new() },
        });
    }
    if reading.is_weighed() {
        // A scorer only goes forward.
        places.sort_unstable();
        for word in &reading.words {
            for (at, matched) in matches(word, &places, reading, fields, searcher)? {
                if let Some(explanation) = found.get_mut(at) {
                    explanation.words.push(matched);
                }
            }
        }
    }
    Ok(found)
}

/// How well a word matches at each of these places, which are in order.
fn matches(
    word: &Word,
    places: &[(DocAddress, usize)],
    reading: &Reading,
    fields: &Fields,
    searcher: &Searcher,
) -> Result<Vec<(usize, WordMatch)>, TantivyError> {
    let scoring = reading.scoring(searcher);
    let weight = |query: Box<dyn IndexQuery>| query.weight(scoring);
    let anywhere = weight(query::anywhere(word, fields))?;
    let title = if word.slips > 0 { None } else { Some(weight(query::in_title(word, fields))?) };
    let mut found = Vec::with_capacity(places.len());
    for segment in places.chunk_by(|(one, _), (other, _)| one.segment_ord == other.segment_ord) {
        let Some((first, _)) = segment.first() else { continue };
        let reader: &SegmentReader = searcher.segment_reader(first.segment_ord);
        let mut anywhere = anywhere.scorer(reader, 1.0)?;
        let mut title = title.as_ref().map(|title| title.scorer(reader, 1.0)).transpose()?;
        for (place, at) in segment {
            let in_title = title.as_mut().map_or(0.0, |title| score_at(title.as_mut(), place.doc_id));
            let anywhere = score_at(anywhere.as_mut(), place.doc_id);
            let both = anywhere + in_title;
            let score = if reading.is_rounded() { on_grid(both) } else { both };
            let by_slip = word.slips > 0;
            found.push((*at, WordMatch { word: word.text.clone(), by_slip, title: in_title, anywhere, score }));
        }
    }
    Ok(found)
}

/// The score of a listing; zero if it does not match.
fn score_at(scorer: &mut dyn tantivy::query::Scorer, doc: DocId) -> Score {
    if scorer.doc() == TERMINATED || scorer.doc() > doc || scorer.seek(doc) != doc {
        return 0.0;
    }
    scorer.score()
}
