//! The fixed words of x402 as types, so that a wrong word cannot be built.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The protocol version. Only `2` can be read and written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct X402Version;

impl X402Version {
    /// The number on the wire.
    pub const NUMBER: u64 = 2;
}

impl Serialize for X402Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(Self::NUMBER)
    }
}

impl<'de> Deserialize<'de> for X402Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        if number == Self::NUMBER { Ok(Self) } else { Err(de::Error::custom("only x402Version 2 is spoken here")) }
    }
}

/// How money moves.
///
/// A word this version does not know is kept as it is, so that it can be skipped and echoed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// `haggle-escrow`: one signature funds an order in the escrow contract.
    HaggleEscrow,
    /// `exact`: one EIP-3009 transfer straight to the seller.
    Exact,
    /// `batch-settlement`: cumulative vouchers on a funded channel.
    BatchSettlement,
    /// Any other word.
    Other(Box<str>),
}

impl Scheme {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::HaggleEscrow => "haggle-escrow",
            Self::Exact => "exact",
            Self::BatchSettlement => "batch-settlement",
            Self::Other(word) => word,
        }
    }
}

impl From<&str> for Scheme {
    fn from(word: &str) -> Self {
        match word {
            "haggle-escrow" => Self::HaggleEscrow,
            "exact" => Self::Exact,
            "batch-settlement" => Self::BatchSettlement,
            other => Self::Other(other.into()),
        }
    }
}

/// When money moves relative to the work: `extra.paymentFlow`.
///
/// An unknown word is kept, and never paid.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PaymentFlow {
    /// Verify, work, settle. What a missing word means.
    Authorization,
    /// Settle, work.
    Upfront,
    /// Settle a deposit, work, settle the charge.
    Escrow,
    /// Any other word.
    Other(Box<str>),
}

impl PaymentFlow {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Authorization => "authorization",
            Self::Upfront => "upfront",
            Self::Escrow => "escrow",
            Self::Other(word) => word,
        }
    }
}

impl From<&str> for PaymentFlow {
    fn from(word: &str) -> Self {
        match word {
            "authorization" => Self::Authorization,
            "upfront" => Self::Upfront,
            "escrow" => Self::Escrow,
            other => Self::Other(other.into()),
        }
    }
}

macro_rules! word_serde {
    ($word:ty) => {
        impl fmt::Display for $word {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $word {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $word {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Ok(Self::from(word.as_ref()))
            }
        }
    };
}

word_serde!(Scheme);
word_serde!(PaymentFlow);
