//! CAIP-2 chain names, such as `eip155:31337`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Longest namespace CAIP-2 allows.
const MAX_NAMESPACE: usize = 8;
/// Longest reference CAIP-2 allows.
const MAX_REFERENCE: usize = 32;

/// A chain by its CAIP-2 name: a namespace and a reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChainRef {
    namespace: Box<str>,
    reference: Box<str>,
}

/// The text is not a CAIP-2 chain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a CAIP-2 chain name such as eip155:31337")]
pub struct BadChainRef;

impl ChainRef {
    /// The EVM chain with this id.
    #[must_use]
    pub fn eip155(chain_id: u64) -> Self {
        Self { namespace: "eip155".into(), reference: chain_id.to_string().into() }
    }

    /// The EVM chain id, if this is an EVM chain.
    ///
    /// A reference with leading zeros names no chain: two texts would name the same one.
    #[must_use]
    pub fn evm_chain_id(&self) -> Option<u64> {
        let id: u64 = (&*self.namespace == "eip155").then(|| self.reference.parse().ok())??;
        (id.to_string() == *self.reference).then_some(id)
    }
}

impl FromStr for ChainRef {
    type Err = BadChainRef;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (namespace, reference) = text.split_once(':').ok_or(BadChainRef)?;
        let namespace_ok = (3..=MAX_NAMESPACE).contains(&namespace.len())
            && namespace.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let reference_ok = (1..=MAX_REFERENCE).contains(&reference.len())
            && reference.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if namespace_ok && reference_ok {
            Ok(Self { namespace: namespace.into(), reference: reference.into() })
        } else {
            Err(BadChainRef)
        }
    }
}

impl fmt::Display for ChainRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.namespace, self.reference)
    }
}

impl Serialize for ChainRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ChainRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_evm_chain_has_a_name_and_an_id() {
        let chain: ChainRef = "eip155:31337".parse().unwrap();
        assert_eq!(chain, ChainRef::eip155(31337));
        assert_eq!(chain.evm_chain_id(), Some(31337));
    }

    #[test]
    fn another_chain_is_a_name_without_an_evm_id() {
        let chain: ChainRef = "cosmos:cosmoshub-3".parse().unwrap();
        assert_eq!(chain.evm_chain_id(), None);
        assert_eq!("eip155:007".parse::<ChainRef>().unwrap().evm_chain_id(), None);
    }

    #[test]
    fn what_caip_2_forbids_is_refused() {
        for text in ["", ":", "eip155", "eip155:", "EIP155:1", "ab:1", "eip155:1:2", "toolongname:1", "eip155:a b"] {
            assert_eq!(text.parse::<ChainRef>(), Err(BadChainRef), "{text}");
        }
        assert_eq!(format!("eip155:{}", "1".repeat(33)).parse::<ChainRef>(), Err(BadChainRef));
    }
}
