//! What part a node takes in the market.

use serde::{Deserialize, Serialize};

/// What part a node takes in the market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "String")]
pub enum Role {
    /// It holds every record, and searches its own copy.
    #[default]
    Full,
    /// As a full one, and it answers the searches of light ones.
    Index,
    /// It holds every record of the shards of some categories, and what its own agents say. Searches of these categories it
    /// answers from its own copy; others go to index nodes too.
    Interest,
    /// It holds what its own agents say and what it looked up, and its searches go to index nodes.
    Light,
}

impl Role {
    /// The word for it: `full`, `index`, `interest` or `light`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Index => "index",
            Self::Interest => "interest",
            Self::Light => "light",
        }
    }

    /// Whether it holds the whole market.
    #[must_use]
    pub const fn holds_all(self) -> bool {
        matches!(self, Self::Full | Self::Index)
    }
}

impl TryFrom<String> for Role {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        match &*word {
            "full" => Ok(Self::Full),
            "index" => Ok(Self::Index),
            "interest" => Ok(Self::Interest),
            "light" => Ok(Self::Light),
            _ => Err(format!("market.role is full, index, interest or light, and not {word:?}")),
        }
    }
}
