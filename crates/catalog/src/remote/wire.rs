//! The frames of `/haggle/<network>/search/1`: a u32 big-endian length and one canonical CBOR item.

use haggle_base::{Blob, CborError, Did, List, Text, Usdc, cbor, record::MAX_RECORD_BYTES};
use serde::{Deserialize, Serialize};

use super::SearchError;
use crate::{
    body::ListingBody,
    frames,
    index::{
        query::{MAX_LIMIT, Query, Words},
        sort::Sort,
    },
    wire::{MAX_FRAME_BYTES, MAX_RECORDS},
};

/// Largest question without its length, in bytes.
pub const MAX_QUESTION_BYTES: usize = 2048;

/// A search, as it is asked of another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Words that occur in it.
    pub text: Option<Text<256>>,
    /// Whether one of the words will do.
    pub any: bool,
    /// The primary category.
    pub category: Option<Text<64>>,
    /// The skill, letter by letter.
    pub skill: Option<Text<64>>,
    /// Tags that it must all have.
    pub tags: List<Text<32>, 16>,
    /// A payment scheme it must take.
    pub scheme: Option<Text<32>>,
    /// A region it must be offered in, if it names any.
    pub region: Option<Text<16>>,
    /// Lowest price.
    pub min_price: Option<Usdc>,
    /// Highest price.
    pub max_price: Option<Usdc>,
    /// Only of this author.
    pub author: Option<Did>,
    /// Of more matches than `limit` the first in this order are wanted.
    pub sort: Sort,
    /// At most so many listings, 1 to 200.
    pub limit: u16,
}

/// What is answered: records, as many frames of them as it takes, and an end; or a refusal alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reply {
    /// Listings that match, each with the card of its author unless that came before.
    Records {
        /// Their bytes as signed.
        records: List<Blob<MAX_RECORD_BYTES>, MAX_RECORDS>,
    },
    /// That is all.
    End {
        /// Listings that match here. More than were sent means that the answer is cut off.
        total: u32,
        /// Whether this node has reconciled with another one since it started.
        complete: bool,
    },
    /// Nothing is answered now.
    Refused {
        /// Why.
        why: Refusal,
    },
}

/// Why a search is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The node answers as many at once as it does.
    Busy,
    /// This peer has asked for more than its share of this minute.
    TooOften,
    /// The node cannot search now.
    Failed,
}

impl Refusal {
    /// Its name in logs, metrics and error codes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "search_busy",
            Self::TooOften => "search_too_often",
            Self::Failed => "search_failed",
        }
    }
}

impl Question {
    /// The question for a query: its first page, at the largest size. Pages, counts and explanations are made by who asks.
    ///
    /// # Errors
    /// [`SearchError::Unaskable`] for words or labels that no question has room for.
    pub fn of(query: &Query) -> Result<Self, SearchError> {
        fn fit<const N: usize>(text: Option<&str>) -> Result<Option<Text<N>>, SearchError> {
            text.map(|text| Text::try_from(text.trim())).transpose().map_err(|_| SearchError::Unaskable)
        }
        let tags: Result<Vec<_>, _> = query.tags.iter().map(|tag| Text::try_from(tag.trim())).collect();
        let tags = tags.map_err(|_| SearchError::Unaskable)?;
        // a line break parts words as a space does
        let words = query.text.as_deref().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
        Ok(Self {
            text: fit(words.as_deref())?,
            any: query.words == Words::Any,
            category: fit(query.category.as_deref())?,
            skill: fit(query.skill.as_deref())?,
            tags: List::try_from(tags).map_err(|_| SearchError::Unaskable)?,
            scheme: fit(query.scheme.as_deref())?,
            region: fit(query.region.as_deref())?,
            min_price: query.min_price,
            max_price: query.max_price,
            author: query.author,
            sort: query.sort,
            limit: u16::try_from(MAX_LIMIT).unwrap_or(u16::MAX),
        })
    }

    /// The query that answers it.
    pub(super) fn query(&self) -> Query {
        fn owned<const N: usize>(text: Option<&Text<N>>) -> Option<String> {
            text.map(|text| text.as_str().to_owned())
        }
        Query {
            text: owned(self.text.as_ref()),
            words: if self.any { Words::Any } else { Words::All },
            category: owned(self.category.as_ref()),
            skill: owned(self.skill.as_ref()),
            tags: self.tags.iter().map(|tag| tag.as_str().to_owned()).collect(),
            min_price: self.min_price,
            max_price: self.max_price,
            scheme: owned(self.scheme.as_ref()),
            region: owned(self.region.as_ref()),
            author: self.author,
            sort: self.sort,
            limit: usize::from(self.limit),
            ..Query::default()
        }
    }

    /// Whether a listing is what was asked for, as far as that is no matter of words: an honest node sends no other.
    pub(super) fn admits(&self, author: &Did, body: &ListingBody) -> bool {
        fn label<const N: usize>(asked: Option<&Text<N>>, is_there: impl Fn(&str) -> bool) -> bool {
            asked.is_none_or(|asked| is_there(&asked.trim().to_lowercase()))
        }
        self.author.is_none_or(|asked| asked == *author)
            && self.min_price.is_none_or(|least| body.price >= least)
            && self.max_price.is_none_or(|most| body.price <= most)
            && self.skill.as_ref().is_none_or(|skill| *skill == body.skill)
            && label(self.category.as_ref(), |category| body.category == *category)
            && self.tags.iter().all(|tag| label(Some(tag), |tag| body.tags.iter().any(|held| *held == *tag)))
            && label(self.scheme.as_ref(), |scheme| body.schemes.iter().any(|held| *held == *scheme))
            && label(self.region.as_ref(), |region| {
                body.regions.is_empty() || body.regions.iter().any(|held| *held == *region)
            })
    }

    /// Canonical bytes without the length.
    ///
    /// # Errors
    /// [`CborError`]; not for a value of this version.
    pub fn encode(&self) -> Result<Vec<u8>, CborError> {
        cbor::to_vec(self)
    }

    /// Reads it from all of `bytes`.
    ///
    /// # Errors
    /// [`CborError`] unless `bytes` are its canonical encoding, at most [`MAX_QUESTION_BYTES`] long.
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        cbor::from_slice(bytes, MAX_QUESTION_BYTES)
    }
}

impl Reply {
    /// Canonical bytes without the length.
    ///
    /// # Errors
    /// [`CborError`] if the frame is above [`MAX_FRAME_BYTES`].
    pub fn encode(&self) -> Result<Vec<u8>, CborError> {
        frames::encode(self)
    }

    /// Reads it from all of `bytes`.
    ///
    /// # Errors
    /// [`CborError`] unless `bytes` are its canonical encoding, at most [`MAX_FRAME_BYTES`] long.
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        cbor::from_slice(bytes, MAX_FRAME_BYTES)
    }
}
