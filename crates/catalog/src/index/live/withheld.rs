//! Listings that are held and not shown: those of authors whose standing is too low.

use std::collections::{HashMap, HashSet};

use haggle_base::Did;

use super::Rows;

/// Who is not shown, and what its rows were before.
#[derive(Debug, Default)]
pub(super) struct Withheld {
    pub(super) authors: HashSet<Did>,
    /// When the listings expire whose gists say that they have.
    expires: HashMap<u32, u32>,
}

impl Withheld {
    /// A row is given up.
    pub(super) fn forget(&mut self, serial: u32) {
        if !self.expires.is_empty() {
            self.expires.remove(&serial);
        }
    }
}

impl Rows {
    /// Whether the listings of these authors are withheld, and of nobody else.
    pub(in crate::index) fn withholds(&self, authors: &HashSet<Did>) -> bool {
        self.withheld.authors == *authors
    }

    /// Withholds the listings of these authors, and of nobody else: to every search they have expired, so that a search
    /// has nothing more to ask of a listing. Looks at every row; who is withheld changes seldom.
    pub(in crate::index) fn withhold(&mut self, authors: HashSet<Did>) {
        for (serial, expires) in self.withheld.expires.drain() {
            if let Some(gist) = self.gists.get_mut(serial as usize) {
                gist.expires = expires;
            }
        }
        self.withheld.authors = authors;
        let mut is_withheld = vec![false; self.writers.len()];
        for writer in self.withheld.authors.iter().filter_map(|author| self.writers.number_of(author)) {
            if let Some(is_withheld) = is_withheld.get_mut(writer as usize) {
                *is_withheld = true;
            }
        }
        if !is_withheld.contains(&true) {
            return;
        }
        for serial in 0..u32::try_from(self.rests.len()).unwrap_or(u32::MAX) {
            let writer = self.rests.get(serial as usize).map_or(u32::MAX, |rest| rest.writer);
            if is_withheld.get(writer as usize).copied().unwrap_or(false) {
                self.hide(serial);
            }
        }
    }

    /// Withholds one row.
    pub(super) fn hide(&mut self, serial: u32) {
        if let Some(gist) = self.gists.get_mut(serial as usize) {
            self.withheld.expires.insert(serial, std::mem::take(&mut gist.expires));
        }
    }
}

#[cfg(test)]
mod tests {
    use haggle_base::{Signed, Timestamp};
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::testing::{START, agent, listing, network, signed_listing};

    /// What happens to four authors with two listings each.
    #[derive(Debug, Clone)]
    enum Change {
        Comes(u32, bool),
        Goes(u32, bool),
        Judged(HashSet<u32>),
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            (0..4_u32, any::<bool>()).prop_map(|(author, other)| Change::Comes(author, other)),
            (0..4_u32, any::<bool>()).prop_map(|(author, other)| Change::Goes(author, other)),
            proptest::collection::hash_set(0..4_u32, 0..4).prop_map(Change::Judged),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn exactly_the_listings_of_withheld_authors_seem_expired(changes in vec(change(), 0..40)) {
            let signed = |author: u32, other: bool| {
                let name = if other { "two" } else { "one" };
                let bytes = signed_listing(&agent(author), name, 1, listing("Digest", "text", "0.1"));
                Signed::<crate::ListingBody>::from_bytes(bytes).unwrap().verify(&network(), START).unwrap()
            };
            let (mut rows, mut judged) = (Rows::default(), HashSet::new());
            let mut held = HashMap::new();
            for change in changes {
                match change {
                    Change::Comes(author, other) => {
                        if let Some(serial) = rows.add(&signed(author, other)) {
                            held.insert((author, other), serial);
                        }
                    }
                    Change::Goes(author, other) => {
                        let gone = rows.remove(&signed(author, other).id());
                        prop_assert_eq!(gone, held.remove(&(author, other)));
                        let leaving = rows.leaving();
                        rows.release(leaving);
                    }
                    Change::Judged(authors) => {
                        let dids: HashSet<_> = authors.iter().map(|author| agent(*author).did()).collect();
                        rows.withhold(dids.clone());
                        prop_assert!(rows.withholds(&dids));
                        judged = authors;
                    }
                }
                for ((author, other), serial) in &held {
                    let expires = rows.facts(u64::from(*serial)).expires;
                    let signed = signed(*author, *other).record().expires;
                    prop_assert_eq!(expires > Timestamp::from_secs(1), !judged.contains(author));
                    prop_assert!(judged.contains(author) || expires == signed);
                }
                let withheld = held.keys().filter(|(author, _)| judged.contains(author)).count();
                prop_assert_eq!(rows.withheld.expires.len(), withheld, "no more is remembered than is withheld");
            }
        }
    }
}
