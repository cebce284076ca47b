//! The book of this node's agents: by place, by name, by DID.

use super::Engine;
use crate::records::{AgentRow, AgentStatus};
use haggle_base::Did;
use parking_lot::RwLock;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// One served agent.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) index: u64,
    pub(crate) row: AgentRow,
    pub(crate) engine: Option<Engine>,
}

impl Served {
    /// Whether strangers may buy from it.
    pub(crate) fn is_on_the_market(&self) -> bool {
        self.row.status == AgentStatus::Approved
    }
}

/// The agents of this node; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Agents(Arc<RwLock<Book>>);

/// Agents by what they are asked for by. An agent keeps its place, its name and its DID.
#[derive(Debug, Default)]
struct Book {
    served: BTreeMap<u64, Served>,
    by_did: HashMap<Did, u64>,
    by_name: HashMap<String, u64>,
    /// Those that are gone. Nobody gets their places: to each belong keys, and money that may still come.
    deleted: BTreeMap<u64, Did>,
}

impl Agents {
    /// Puts an agent in its place.
    pub(crate) fn insert(&self, served: Served) {
        let mut book = self.0.write();
        book.by_did.insert(served.row.did, served.index);
        book.by_name.insert(served.row.name.as_str().to_owned(), served.index);
        book.served.insert(served.index, served);
    }

    pub(crate) fn get(&self, did: &Did) -> Option<Served> {
        let book = self.0.read();
        book.by_did.get(did).and_then(|index| book.served.get(index)).cloned()
    }

    /// All of them, in the order they were added.
    pub(crate) fn all(&self) -> Vec<Served> {
        self.0.read().served.values().cloned().collect()
    }

    /// Their DIDs, in the order they were added.
    pub(crate) fn dids(&self) -> Vec<Did> {
        self.0.read().served.values().map(|served| served.row.did).collect()
    }

    /// The DIDs of those that others may know of: of all but drafts.
    pub(crate) fn shown(&self) -> Vec<Did> {
        let book = self.0.read();
        let shown = book.served.values().filter(|served| served.row.status != AgentStatus::Draft);
        shown.map(|served| served.row.did).collect()
    }

    pub(crate) fn named(&self, name: &str) -> Option<Served> {
        let book = self.0.read();
        book.by_name.get(name).and_then(|index| book.served.get(index)).cloned()
    }

    /// Those whose money and orders this node answers for, in the order they were added: all that ever were.
    pub(crate) fn owners(&self) -> Vec<Did> {
        let book = self.0.read();
        let mut owners: BTreeMap<u64, Did> = book.deleted.clone();
        owners.extend(book.served.iter().map(|(index, served)| (*index, served.row.did)));
        owners.into_values().collect()
    }

    /// Takes an agent out of the book for good; its place stays taken.
    pub(crate) fn delete(&self, index: u64, did: Did) {
        let mut book = self.0.write();
        if let Some(served) = book.served.remove(&index) {
            book.by_name.remove(served.row.name.as_str());
        }
        book.by_did.remove(&did);
        book.deleted.insert(index, did);
    }

    /// Whether an agent was here, and was deleted.
    pub(crate) fn is_deleted(&self, did: &Did) -> bool {
        let book = self.0.read();
        !book.by_did.contains_key(did) && book.deleted.values().any(|deleted| deleted == did)
    }

    /// Those that were deleted.
    pub(crate) fn deleted(&self) -> Vec<Did> {
        self.0.read().deleted.values().copied().collect()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.read().served.len()
    }

    /// The place of the next one; the first is 1.
    pub(crate) fn next_index(&self) -> u64 {
        let book = self.0.read();
        let last = book.served.keys().next_back().max(book.deleted.keys().next_back());
        last.map_or(1, |last| last + 1)
    }

    /// Whether an agent is known to its owner only.
    pub(crate) fn is_draft(&self, did: &Did) -> bool {
        let book = self.0.read();
        let served = book.by_did.get(did).and_then(|index| book.served.get(index));
        served.is_some_and(|served| served.row.status == AgentStatus::Draft)
    }

    /// Whether letters to one who is said to be of this node are taken: to a draft nobody can write, and who was deleted reads
    /// nothing.
    pub(crate) fn takes_letters(&self, did: &Did) -> bool {
        !self.is_draft(did) && !self.is_deleted(did)
    }

    pub(crate) fn is_free(&self, did: &Did) -> bool {
        let book = self.0.read();
        let served = book.by_did.get(did).and_then(|index| book.served.get(index));
        served.is_some_and(|served| served.row.price.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::AgentDraft;
    use crate::agents::row;
    use crate::records::Runner;
    use haggle_base::Seed;

    fn served(index: u32, name: &str, status: AgentStatus) -> Served {
        let did = Seed::devnet(7, 1).agent_key(index).did();
        let row = AgentRow { status, ..row(did, &AgentDraft::new(name), Runner::Embedded).unwrap() };
        Served { index: index.into(), row, engine: None }
    }

    #[test]
    fn the_place_of_a_deleted_agent_is_given_to_nobody() {
        let agents = Agents::default();
        let (first, second) = (served(1, "one", AgentStatus::Approved), served(2, "two", AgentStatus::Draft));
        agents.insert(first.clone());
        agents.insert(second.clone());
        agents.delete(2, second.row.did);
        assert_eq!((agents.next_index(), agents.dids(), agents.count()), (3, vec![first.row.did], 1));
        assert_eq!((agents.named("two").is_none(), agents.get(&second.row.did).is_none()), (true, true));
        assert_eq!((agents.is_deleted(&second.row.did), agents.is_deleted(&first.row.did)), (true, false));
        let again = served(3, "two", AgentStatus::Approved);
        agents.insert(again.clone());
        assert_eq!(agents.named("two").unwrap().row.did, again.row.did, "its name is free");
        assert_eq!(agents.owners(), [first.row.did, second.row.did, again.row.did]);
    }

    #[test]
    fn only_what_is_approved_is_on_the_market_and_only_a_draft_is_unknown_to_others() {
        use AgentStatus::{Approved, Draft, Suspended};
        let agents = Agents::default();
        for (index, status, on_the_market, is_draft) in
            [(1, Draft, false, true), (2, Approved, true, false), (3, Suspended, false, false)]
        {
            let served = served(index, status.as_str(), status);
            agents.insert(served.clone());
            assert_eq!((served.is_on_the_market(), agents.is_draft(&served.row.did)), (on_the_market, is_draft));
            assert_eq!(agents.shown().contains(&served.row.did), !is_draft);
        }
    }
}
