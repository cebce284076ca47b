//! Weights of words that add up to the same sum in every order.
//!
//! The index adds the weights of a listing's words in an order that changes with what else it holds, and sums of floats
//! differ with the order. Weights on a grid of 1/1024 do not: a word weighs less than 256, so sixteen of them fit into a
//! float's 24 bits.

use tantivy::{
    DocId, DocSet, Score, SeekDangerResult, SegmentReader, TantivyError,
    query::{EnableScoring, Explanation, Query, Scorer, Weight},
};

/// Steps of the grid between two whole numbers.
const STEPS: Score = 1024.0;

/// The weight nearest to this one that adds up exactly.
pub(super) fn on_grid(score: Score) -> Score {
    (score * STEPS).round() / STEPS
}

/// A query whose weights are on the grid.
#[derive(Debug)]
pub(super) struct Exact(pub(super) Box<dyn Query>);

struct ExactWeight(Box<dyn Weight>);

struct ExactScorer(Box<dyn Scorer>);

impl Clone for Exact {
    fn clone(&self) -> Self {
        Self(self.0.box_clone())
    }
}

impl Query for Exact {
    fn weight(&self, scoring: EnableScoring<'_>) -> Result<Box<dyn Weight>, TantivyError> {
        let is_weighed = scoring.is_scoring_enabled();
        let weight = self.0.weight(scoring)?;
        Ok(if is_weighed { Box::new(ExactWeight(weight)) } else { weight })
    }
}

impl Weight for ExactWeight {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> Result<Box<dyn Scorer>, TantivyError> {
        Ok(Box::new(ExactScorer(self.0.scorer(reader, boost)?)))
    }

    fn explain(&self, reader: &SegmentReader, doc: DocId) -> Result<Explanation, TantivyError> {
        self.0.explain(reader, doc)
    }
}

impl DocSet for ExactScorer {
    fn advance(&mut self) -> DocId {
        self.0.advance()
    }

    fn seek(&mut self, target: DocId) -> DocId {
        self.0.seek(target)
    }

    fn seek_danger(&mut self, target: DocId) -> SeekDangerResult {
        self.0.seek_danger(target)
    }

    fn doc(&self) -> DocId {
        self.0.doc()
    }

    fn size_hint(&self) -> u32 {
        self.0.size_hint()
    }

    fn cost(&self) -> u64 {
        self.0.cost()
    }
}

impl Scorer for ExactScorer {
    fn score(&mut self) -> Score {
        on_grid(self.0.score())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_on_the_grid_add_up_to_the_same_in_every_order() {
        let weights: Vec<Score> =
            (0..16_u8).map(|at| on_grid(1.0 / (f32::from(at) + 3.0) + 7.9 * f32::from(at))).collect();
        let sum =
            |weights: &mut dyn Iterator<Item = &Score>| weights.fold(0.0_f32, |sum, weight| sum + weight).to_bits();
        let forth = sum(&mut weights.iter());
        assert_eq!(sum(&mut weights.iter().rev()), forth);
        assert_eq!(sum(&mut weights.iter().skip(5).chain(weights.iter().take(5))), forth);
    }
}
