//! One RPC URL or several, written as a text or as a list.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// JSON-RPC endpoints of one chain, the preferred first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcUrls(Vec<String>);

impl RpcUrls {
    /// The URLs.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

/// URLs with commas between them.
impl From<&str> for RpcUrls {
    fn from(text: &str) -> Self {
        Self(text.split(',').map(|url| url.trim().to_owned()).filter(|url| !url.is_empty()).collect())
    }
}

impl From<String> for RpcUrls {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl Serialize for RpcUrls {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for RpcUrls {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a URL, or a list of URLs")]
        enum Written {
            One(String),
            Several(Vec<String>),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::One(text) => Self::from(text),
            Written::Several(urls) => Self(urls),
        })
    }
}
