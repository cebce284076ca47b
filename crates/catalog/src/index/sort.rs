//! The orders of an answer. Each is total and stable: ties go by price, then by record id.

use std::{cmp::Ordering, str::FromStr};

use haggle_base::{RecordId, Usdc};
use serde::{Deserialize, Serialize};

use super::{explain, reading::Carried, weights::Weights};
use crate::{error::CatalogError, ports::Figures};

/// In which order hits come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// Lowest price per success first; without any success last.
    #[default]
    CostPerSuccess,
    /// Highest trust first.
    TrustScoreDesc,
    /// Lowest price first.
    PriceAsc,
    /// Fastest answer first; unknown last.
    ResponseTimeAsc,
    /// Best match of the words first.
    Relevance,
    /// Best of trust, cost and speed together first, as [`Weights`] says: see [`Explanation`](crate::Explanation).
    Combined,
}

/// An order of a name that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such sort; use cost_per_success, trust_score_desc, price_asc, response_time_asc, relevance or combined")]
pub struct UnknownSort;

impl Sort {
    /// Every order.
    pub const ALL: [Self; 6] = [
        Self::CostPerSuccess,
        Self::TrustScoreDesc,
        Self::PriceAsc,
        Self::ResponseTimeAsc,
        Self::Relevance,
        Self::Combined,
    ];

    /// Its name in URLs and commands.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CostPerSuccess => "cost_per_success",
            Self::TrustScoreDesc => "trust_score_desc",
            Self::PriceAsc => "price_asc",
            Self::ResponseTimeAsc => "response_time_asc",
            Self::Relevance => "relevance",
            Self::Combined => "combined",
        }
    }
}

impl Sort {
    /// The rank of a listing at this price, whose words match as well as `score` says and whose author has these figures;
    /// a smaller one comes first. The parts of the combined order have these `shares`.
    pub(crate) fn rank(self, price: Usdc, score: f32, figures: &Figures, shares: &[f64; 3]) -> u64 {
        match self {
            Self::CostPerSuccess => figures.cost_per_success(price).map_or(u64::MAX, Usdc::units),
            Self::TrustScoreDesc => descending(figures.trust_score),
            Self::PriceAsc => price.units(),
            Self::ResponseTimeAsc => figures.avg_response_ms.unwrap_or(u64::MAX),
            Self::Relevance => descending(f64::from(score)),
            Self::Combined => descending(explain::combined(&explain::parts(price, figures, shares))),
        }
    }

    /// The letter it has in cursors.
    const fn letter(self) -> char {
        match self {
            Self::CostPerSuccess => 's',
            Self::TrustScoreDesc => 't',
            Self::PriceAsc => 'p',
            Self::ResponseTimeAsc => 'r',
            Self::Relevance => 'w',
            Self::Combined => 'c',
        }
    }

    /// Whether it matters how well the words match.
    #[must_use]
    pub const fn weighs_words(self) -> bool {
        matches!(self, Self::Relevance)
    }

    /// Whether the author's figures count.
    pub(crate) const fn needs_figures(self) -> bool {
        match self {
            Self::CostPerSuccess | Self::TrustScoreDesc | Self::ResponseTimeAsc | Self::Combined => true,
            Self::PriceAsc | Self::Relevance => false,
        }
    }

    /// How many orders go by price and figures alone, so that a listing has the same rank in every search.
    pub(super) const BY_FIGURES: usize = 4;

    /// Which of those it is.
    pub(super) const fn by_figures(self) -> Option<usize> {
        match self {
            Self::CostPerSuccess => Some(0),
            Self::TrustScoreDesc => Some(1),
            Self::ResponseTimeAsc => Some(2),
            Self::Combined => Some(3),
            Self::PriceAsc | Self::Relevance => None,
        }
    }
}

impl FromStr for Sort {
    type Err = UnknownSort;

    fn from_str(name: &str) -> Result<Self, UnknownSort> {
        Self::ALL.into_iter().find(|sort| sort.as_str() == name).ok_or(UnknownSort)
    }
}

/// A place in an order: smaller comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// What the order is by.
    rank: u64,
    price: Usdc,
    id: RecordId,
}

impl Position {
    /// A place.
    pub(crate) const fn new(rank: u64, price: Usdc, id: RecordId) -> Self {
        Self { rank, price, id }
    }

    /// What the order is by.
    pub(crate) const fn rank(&self) -> u64 {
        self.rank
    }

    /// What ties go by.
    pub(crate) const fn price(&self) -> Usdc {
        self.price
    }

    /// Whose place it is.
    pub(crate) const fn id(&self) -> RecordId {
        self.id
    }

    /// Whether it comes before every place of this rank and price.
    pub(crate) fn is_before(&self, rank: u64, price: Usdc) -> bool {
        (self.rank, self.price) < (rank, price)
    }
}

/// Where the next page begins and in which order, what the order weighed, and how the pages before it took the words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) sort: Sort,
    pub(crate) position: Position,
    /// Of the combined order alone.
    pub(crate) weights: Option<Weights>,
    pub(crate) carried: Option<Carried>,
}

impl Cursor {
    /// The opaque text that stands for it: the order, the place, the weights, and behind a dot each what is carried.
    pub(crate) fn to_text(&self) -> String {
        let Position { rank, price, id } = self.position;
        let mut text = format!("{}{rank:016x}{:016x}{id}", self.sort.letter(), price.units());
        text.extend(self.weights.map(Weights::to_text));
        if let Some(carried) = &self.carried {
            carried.write(&mut text);
        }
        text
    }

    /// Reads a cursor, which has to be of this order, and of these weights if it is the combined one.
    pub(crate) fn of(text: &str, sort: Sort, weights: Option<Weights>) -> Result<Self, CatalogError> {
        let cursor = Self::from_text(text, sort).ok_or(CatalogError::BadCursor)?;
        match (cursor.weights, weights) {
            (Some(before), Some(now)) if before != now => Err(CatalogError::OtherWeights),
            (Some(_), Some(_)) | (None, None) => Ok(cursor),
            (Some(_), None) | (None, Some(_)) => Err(CatalogError::BadCursor),
        }
    }

    fn from_text(text: &str, sort: Sort) -> Option<Self> {
        let text = text.strip_prefix(sort.letter())?;
        let (place, carried) = text.split_once('.').map_or((text, None), |(place, carried)| (place, Some(carried)));
        let number = |from: usize| u64::from_str_radix(place.get(from..from + 16)?, 16).ok();
        let (rank, price) = (number(0)?, Usdc::from_units(number(16)?));
        let (id, weights) = (place.get(32..96)?.parse().ok()?, place.get(96..)?);
        let weights = if weights.is_empty() { None } else { Some(Weights::from_text(weights)?) };
        let carried = match carried {
            Some(carried) => Some(Carried::read(carried)?),
            None => None,
        };
        Some(Self { sort, position: Position { rank, price, id }, weights, carried })
    }
}

/// A rank that is smaller the larger the number is.
pub(super) fn descending(number: f64) -> u64 {
    // For numbers from zero up the bits sort as the numbers do.
    match number.partial_cmp(&0.0) {
        Some(Ordering::Greater) => u64::MAX - number.to_bits(),
        _ => u64::MAX,
    }
}
