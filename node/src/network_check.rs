//! What a network file comes to, looked at without a network: facts, spelling of addresses, and the rails it leaves open.

use crate::error::NodeError;
use crate::setup;
use alloy_primitives::Address;
use haggle_base::NetworkFile;
use serde::Serialize;
use std::path::Path;
use toml::Value;

/// One way of paying, and whether this network has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rail {
    /// The x402 scheme: `exact`, `batch-settlement` or `haggle-escrow`.
    pub scheme: &'static str,
    /// Whether it can be used.
    pub offered: bool,
    /// Why, in words.
    pub why: String,
}

/// A network file that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The network's id.
    pub id: String,
    /// Its chain, by its CAIP-2 name.
    pub chain: String,
    /// The token's symbol and address.
    pub token: String,
    /// Ways of paying.
    pub rails: Vec<Rail>,
    /// Keys whose address is written without its checksum, so that a slip of one digit would go unnoticed.
    pub unchecked: Vec<String>,
}

/// The ways of paying that a network leaves open, each with its reason.
#[must_use]
pub fn rails(file: &NetworkFile) -> Vec<Rail> {
    let symbol = &file.token.symbol;
    let exact = Rail { scheme: "exact", offered: true, why: format!("{symbol} moves by a signed transfer (EIP-3009)") };
    let channels = match &file.channels {
        Some(channels) => format!("vouchers on prepaid channels of {}", channels.contract),
        None => "the network file names no channel contract".to_owned(),
    };
    let escrow = if file.has_escrow() {
        format!("orders are held by {}", file.escrow)
    } else {
        "haggle's escrow is not deployed on this chain: nobody places orders".to_owned()
    };
    vec![
        exact,
        Rail { scheme: "batch-settlement", offered: file.channels.is_some(), why: channels },
        Rail { scheme: "haggle-escrow", offered: file.has_escrow(), why: escrow },
    ]
}

/// Reads a network file as a node would, and looks at how its addresses are spelt.
///
/// # Errors
/// `bad_network`: it cannot be used, or an address contradicts its own checksum (EIP-55).
pub fn check(path: &Path) -> Result<Report, NodeError> {
    let file = setup::read_network(path)?;
    let text = std::fs::read_to_string(path).map_err(NodeError::file(path))?;
    let bad = |reason: String| NodeError::BadNetwork(path.to_owned(), reason);
    let table: toml::Table = toml::from_str(&text).map_err(|cause| bad(cause.to_string()))?;
    let mut unchecked = Vec::new();
    for (key, address) in addresses(&Value::Table(table), "") {
        let digits = address.trim_start_matches("0x");
        let one_case = !digits.contains(|letter: char| letter.is_ascii_uppercase())
            || !digits.contains(|letter: char| letter.is_ascii_lowercase());
        if Address::parse_checksummed(&address, None).is_ok() {
            continue;
        }
        if !one_case {
            return Err(bad(format!("{key} contradicts its own checksum: a letter or digit of {address} is wrong")));
        }
        unchecked.push(key);
    }
    Ok(Report {
        id: file.id.to_string(),
        chain: format!("eip155:{}", file.chain_id),
        token: format!("{} {}", file.token.symbol, file.token.address),
        rails: rails(&file),
        unchecked,
    })
}

/// Every address of a file, with its dotted key.
fn addresses(value: &Value, key: &str) -> Vec<(String, String)> {
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match value {
        Value::String(text) if text.starts_with("0x") && text.len() == 42 => vec![(key.to_owned(), text.clone())],
        Value::Table(table) => table.iter().flat_map(|(name, value)| addresses(value, &below(name))).collect(),
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(at, value)| addresses(value, &below(&at.to_string()))).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
