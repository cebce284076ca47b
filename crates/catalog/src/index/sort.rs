//! The orders of an answer. Each is total and stable: ties go by price, then by record id.

use std::{cmp::Ordering, str::FromStr};

use haggle_base::{RecordId, Usdc};

use crate::{error::CatalogError, ports::Figures};

/// In which order hits come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
}

/// An order of a name that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such sort; use cost_per_success, trust_score_desc, price_asc, response_time_asc or relevance")]
pub struct UnknownSort;

impl Sort {
    /// Every order.
    pub const ALL: [Self; 5] =
        [Self::CostPerSuccess, Self::TrustScoreDesc, Self::PriceAsc, Self::ResponseTimeAsc, Self::Relevance];

    /// Its name in URLs and commands.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CostPerSuccess => "cost_per_success",
            Self::TrustScoreDesc => "trust_score_desc",
            Self::PriceAsc => "price_asc",
            Self::ResponseTimeAsc => "response_time_asc",
            Self::Relevance => "relevance",
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
        }
    }

    /// Whether the author's figures count.
    pub(crate) const fn needs_figures(self) -> bool {
        match self {
            Self::CostPerSuccess | Self::TrustScoreDesc | Self::ResponseTimeAsc => true,
            Self::PriceAsc | Self::Relevance => false,
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

    /// Whose place it is.
    pub(crate) const fn id(&self) -> RecordId {
        self.id
    }

    /// Whether it comes before every place of this rank and price.
    pub(crate) fn is_before(&self, rank: u64, price: Usdc) -> bool {
        (self.rank, self.price) < (rank, price)
    }

    /// The opaque text that stands for this place.
    pub(crate) fn to_cursor(self) -> String {
        format!("{:016x}{:016x}{}", self.rank, self.price.units(), self.id)
    }

    /// Reads a cursor.
    pub(crate) fn from_cursor(cursor: &str) -> Result<Self, CatalogError> {
        let number = |from: usize| {
            let digits = cursor.get(from..from + 16)?;
            u64::from_str_radix(digits, 16).ok()
        };
        let read = || {
            Some(Self { rank: number(0)?, price: Usdc::from_units(number(16)?), id: cursor.get(32..)?.parse().ok()? })
        };
        read().ok_or(CatalogError::BadCursor)
    }
}

/// A rank that is smaller the larger the number is.
fn descending(number: f64) -> u64 {
    // For numbers from zero up the bits sort as the numbers do.
    match number.partial_cmp(&0.0) {
        Some(Ordering::Greater) => u64::MAX - number.to_bits(),
        _ => u64::MAX,
    }
}
