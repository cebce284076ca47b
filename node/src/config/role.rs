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
    /// It holds what its own agents say and what it looked up, and its searches go to index nodes.
    Light,
}

impl Role {
    /// The word for it: `full`, `index` or `light`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Index => "index",
            Self::Light => "light",
        }
    }
}

impl TryFrom<String> for Role {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        match &*word {
            "full" => Ok(Self::Full),
            "index" => Ok(Self::Index),
            "light" => Ok(Self::Light),
            "interest" => {
                Err("market.role \"interest\" is not known to this version: take full, index or light".to_owned())
            }
            _ => Err(format!("market.role is full, index or light, and not {word:?}")),
        }
    }
}
