//! The orders of an answer. Each is total and stable: ties go by price, then by record id.

use std::{cmp::Ordering, str::FromStr};

use haggle_base::{RecordId, Usdc};
use serde::{Deserialize, Serialize};

use super::{explain, reading::Carried};
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
    /// Best of match, trust, cost and speed together first: see [`Explanation`](crate::Explanation).
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
    /// a smaller one comes first.
    pub(crate) fn rank(self, price: Usdc, score: f32, figures: &Figures) -> u64 {
        match self {
            Self::CostPerSuccess => figures.cost_per_success(price).map_or(u64::MAX, Usdc::units),
            Self::TrustScoreDesc => descending(figures.trust_score),
            Self::PriceAsc => price.units(),
            Self::ResponseTimeAsc => figures.avg_response_ms.unwrap_or(u64::MAX),
            Self::Relevance => descending(f64::from(score)),
            Self::Combined => descending(explain::combined(&explain::parts(price, score, figures))),
        }
    }

    /// Whether it matters how well the words match.
    #[must_use]
    pub const fn weighs_words(self) -> bool {
        matches!(self, Self::Relevance | Self::Combined)
    }

    /// Whether the author's figures count.
    pub(crate) const fn needs_figures(self) -> bool {
        match self {
            Self::CostPerSuccess | Self::TrustScoreDesc | Self::ResponseTimeAsc | Self::Combined => true,
            Self::PriceAsc | Self::Relevance => false,
        }
    }

    /// How many orders go by price and figures alone, so that a listing has the same rank in every search.
    pub(super) const BY_FIGURES: usize = 3;

    /// Which of those it is.
    pub(super) const fn by_figures(self) -> Option<usize> {
        match self {
            Self::CostPerSuccess => Some(0),
            Self::TrustScoreDesc => Some(1),
            Self::ResponseTimeAsc => Some(2),
            Self::PriceAsc | Self::Relevance | Self::Combined => None,
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

/// Where the next page begins, and how the pages before it took the words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) position: Position,
    pub(crate) carried: Option<Carried>,
}

impl Cursor {
    /// The opaque text that stands for it: the place, and behind a dot each what is carried.
    pub(crate) fn to_text(&self) -> String {
        let Position { rank, price, id } = self.position;
        let mut text = format!("{rank:016x}{:016x}{id}", price.units());
        if let Some(carried) = &self.carried {
            carried.write(&mut text);
        }
        text
    }

    /// Reads a cursor.
    pub(crate) fn from_text(text: &str) -> Result<Self, CatalogError> {
        let (place, carried) = text.split_once('.').map_or((text, None), |(place, carried)| (place, Some(carried)));
        let number = |from: usize| {
            let digits = place.get(from..from + 16)?;
            u64::from_str_radix(digits, 16).ok()
        };
        let read = || {
            let (rank, price, id) = (number(0)?, Usdc::from_units(number(16)?), place.get(32..)?.parse().ok()?);
            let carried = match carried {
                Some(carried) => Some(Carried::read(carried)?),
                None => None,
            };
            Some(Self { position: Position { rank, price, id }, carried })
        };
        read().ok_or(CatalogError::BadCursor)
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
