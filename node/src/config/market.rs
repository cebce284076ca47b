//! How much of the market a node holds, and of whom it shows.

use super::Role;
use haggle_catalog::{Shards, body::is_label};
use serde::{Deserialize, Serialize};

/// How much of the market this node holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Market {
    /// Its part in the market.
    pub role: Role,
    /// The categories whose shards a node of the role `interest` holds.
    pub interests: Vec<String>,
    /// Least net (buyers served well less buyers failed) of an author whose listings are shown, and published here. At most
    /// 0: a newcomer has 0.
    pub min_reputation: i64,
    /// Whether each listing of this node's agents is paid for, out of the agent's wallet: the network's listing fee before it
    /// is published, and again for each 30 days. What is paid for has room on other nodes' shelves where the free share is full.
    pub pay_listing_fee: bool,
    /// MiB of documents of others that are kept on disk: long schemas that their listings name.
    pub documents_mib: u32,
    /// Whether it keeps letters for agents of other nodes that are away; a light node never does.
    pub mailbox: bool,
    /// MiB of letters that it keeps, for all agents together.
    pub mailbox_mib: u32,
    /// Agents that it keeps letters for.
    pub mailbox_agents: u32,
}

impl Default for Market {
    fn default() -> Self {
        Self {
            role: Role::default(),
            interests: Vec::new(),
            min_reputation: 0,
            pay_listing_fee: false,
            documents_mib: 64,
            mailbox: true,
            mailbox_mib: 256,
            mailbox_agents: 4096,
        }
    }
}

/// Most categories that a node takes an interest in.
const MOST_INTERESTS: usize = 32;

/// Lowest bound on reputation that can be set: nobody is below it.
const LEAST_REPUTATION: i64 = -1_000_000_000;

impl Market {
    /// Shards that are held in full, of so many.
    pub(crate) fn held(&self, shards: u16) -> Shards {
        match self.role {
            Role::Full | Role::Index => Shards::all(shards),
            Role::Interest => Shards::of_categories(self.interests.iter().map(String::as_str), shards),
            Role::Light => Shards::NONE,
        }
    }

    pub(crate) const fn documents_bytes(&self) -> u64 {
        (self.documents_mib as u64) << 20
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if !(LEAST_REPUTATION..=0).contains(&self.min_reputation) {
            return Err(format!("market.min_reputation is between {LEAST_REPUTATION} and 0: a newcomer has 0"));
        }
        if !(1..=65_536).contains(&self.documents_mib) {
            return Err("market.documents_mib is between 1 and 65536".to_owned());
        }
        if !(1..=16_384).contains(&self.mailbox_mib) || !(1..=65_536).contains(&self.mailbox_agents) {
            return Err(
                "market.mailbox_mib is between 1 and 16384, market.mailbox_agents between 1 and 65536".to_owned()
            );
        }
        if self.role != Role::Interest {
            let unused = "market.interests counts with market.role = \"interest\" alone: set that, or leave it empty";
            return if self.interests.is_empty() { Ok(()) } else { Err(unused.to_owned()) };
        }
        if !(1..=MOST_INTERESTS).contains(&self.interests.len()) {
            let example = "market.interests = [\"data-processing\"]";
            return Err(format!("the role interest takes one category to {MOST_INTERESTS}, such as {example}"));
        }
        match self.interests.iter().find(|category| !(is_label(category) && category.len() <= 64)) {
            Some(wrong) => Err(format!(
                "market.interests: a category is 1 to 64 lower-case letters, digits and -_.:/, and not {wrong:?}"
            )),
            None => Ok(()),
        }
    }
}
