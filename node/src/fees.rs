//! The listing fees that this node has seen on the chain, and whom they give room.
//!
//! A row for each, as long as it pays for something, and how far the chain was read, in one transaction. Where the blocks
//! that were read are no longer on the chain, everything is read anew.

use haggle_base::network_file::LISTING_FEE_PERIOD;
use haggle_base::{Address, Did, Timestamp};
use haggle_catalog::PaidRoom;
use haggle_escrow::{Cursor, FeePaid};
use haggle_store::{Batch, Rows, Store, StoreError, tables};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

/// Most fees that are kept; of a network that takes in more within a period the later ones give no room here.
const MOST_FEES: u64 = 1_000_000;
/// Rows read or deleted at once.
const PAGE: usize = 1024;

/// One fee, by block and place in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeeRow {
    payer: Address,
    listings: u64,
    /// Chain time of its block.
    at: Timestamp,
}

tables! {
    /// The fees that pay for something still.
    pub(crate) FeeTable = "node-listing-fees-1": (u64, u64) => FeeRow;
    /// How far the chain was read for fees: one row.
    pub(crate) FeeCursor = "node-listing-fees-cursor-1": () => Cursor;
}

/// The fees. Clones share everything.
#[derive(Clone)]
pub(crate) struct FeeBook(Arc<Inner>);

struct Inner {
    store: Store,
    sums: RwLock<Sums>,
}

#[derive(Default)]
struct Sums {
    /// Listings that each wallet pays for.
    listings: HashMap<Address, u64>,
    /// Agents of this node that have paid for the period, with their wallets: also before the block is deep.
    expected: HashMap<Did, Address>,
    rows: u64,
}

impl Sums {
    fn add(&mut self, payer: Address, listings: u64) {
        let sum = self.listings.entry(payer).or_default();
        *sum = sum.saturating_add(listings);
        self.rows += 1;
    }

    fn take_off(&mut self, payer: &Address, listings: u64) {
        if let Some(sum) = self.listings.get_mut(payer) {
            *sum = sum.saturating_sub(listings);
            if *sum == 0 {
                self.listings.remove(payer);
            }
        }
        self.rows = self.rows.saturating_sub(1);
    }
}

impl FeeBook {
    /// Reads what was seen before, without what is over.
    ///
    /// # Errors
    /// The store failed.
    pub(crate) async fn open(store: Store, now: Timestamp) -> Result<Self, StoreError> {
        let mut sums = Sums::default();
        let mut from = None;
        loop {
            let page = store.range::<FeeTable>(from.as_ref().map_or(Bound::Unbounded, Bound::Excluded), PAGE)?;
            let Some((last, _)) = page.last() else { break };
            from = Some(*last);
            page.iter().for_each(|(_, row)| sums.add(row.payer, row.listings));
        }
        let book = Self(Arc::new(Inner { store, sums: RwLock::new(sums) }));
        if book.cursor()?.is_none() {
            // what is left of a chain that was to be forgotten
            book.begin_anew().await?;
        }
        book.forget_old(now).await?;
        Ok(book)
    }

    /// The oldest fees, as far as their time is over.
    fn old(&self, now: Timestamp) -> Result<Rows<FeeTable>, StoreError> {
        let mut rows = self.0.store.range::<FeeTable>(Bound::Unbounded, PAGE)?;
        let over = rows.iter().take_while(|(_, row)| row.at.plus(LISTING_FEE_PERIOD) <= now).count();
        rows.truncate(over);
        Ok(rows)
    }

    /// What the fees of a wallet pay for; of an agent of this node that has paid it is known which one that is.
    pub(crate) fn room(&self, agent: &Did, wallet: Option<Address>) -> Option<PaidRoom> {
        let sums = self.0.sums.read();
        let expected = sums.expected.get(agent).copied().filter(|own| wallet.is_none_or(|wallet| wallet == *own));
        // the card of an agent that is new comes after its listing
        let payer = expected.or(wallet)?;
        let seen = sums.listings.get(&payer).copied().unwrap_or_default();
        let listings = seen.max(u64::from(expected.is_some()));
        (listings > 0).then_some(PaidRoom { payer, listings })
    }

    /// An agent of this node has paid for its listing out of this wallet.
    pub(crate) fn expect(&self, agent: Did, payer: Address) {
        self.0.sums.write().expected.insert(agent, payer);
    }

    /// An agent of this node has to pay again.
    pub(crate) fn expect_no_more(&self, agent: &Did) {
        self.0.sums.write().expected.remove(agent);
    }

    /// Everybody who paid for something.
    pub(crate) fn payers(&self) -> Vec<Address> {
        self.0.sums.read().listings.keys().copied().collect()
    }

    /// How far the chain was read, if it was.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(crate) fn cursor(&self) -> Result<Option<Cursor>, StoreError> {
        self.0.store.get::<FeeCursor>(&())
    }

    /// Keeps fees, with how far the chain was read for them. Returns who paid.
    ///
    /// # Errors
    /// The store failed; nothing changes.
    pub(crate) async fn take(&self, paid: &[FeePaid], next: Cursor) -> Result<Vec<Address>, StoreError> {
        let mut batch = Batch::new();
        batch.put::<FeeCursor>(&(), &next)?;
        let left = MOST_FEES.saturating_sub(self.0.sums.read().rows);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        if paid.len() > left {
            tracing::warn!("there is no place for {} listing fees: {MOST_FEES} are kept", paid.len() - left);
        }
        let (mut taken, mut told) = (Vec::new(), HashSet::new());
        for fee in paid.iter().take(left) {
            let key = (fee.at.block, fee.at.log_index);
            if told.insert(key) && !self.0.store.contains::<FeeTable>(&key)? {
                batch.put::<FeeTable>(&key, &FeeRow { payer: fee.payer, listings: fee.listings, at: fee.at.time })?;
                taken.push((fee.payer, fee.listings));
            }
        }
        self.0.store.commit(batch).await?;
        let mut sums = self.0.sums.write();
        for (payer, listings) in &taken {
            sums.add(*payer, *listings);
        }
        Ok(taken.into_iter().map(|(payer, _)| payer).collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// Lets go of the fees whose time is over.
    ///
    /// # Errors
    /// The store failed.
    pub(crate) async fn forget_old(&self, now: Timestamp) -> Result<(), StoreError> {
        loop {
            let old = self.old(now)?;
            if old.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::new();
            old.iter().for_each(|(key, _)| {
                batch.delete::<FeeTable>(key);
            });
            self.0.store.commit(batch).await?;
            let mut sums = self.0.sums.write();
            old.iter().for_each(|(_, row)| sums.take_off(&row.payer, row.listings));
        }
    }

    /// Forgets everything: the chain is another one than was read.
    ///
    /// # Errors
    /// The store failed.
    pub(crate) async fn begin_anew(&self) -> Result<(), StoreError> {
        loop {
            let page = self.0.store.range::<FeeTable>(Bound::Unbounded, PAGE)?;
            let mut batch = Batch::new();
            batch.delete::<FeeCursor>(&());
            page.iter().for_each(|(key, _)| {
                batch.delete::<FeeTable>(key);
            });
            self.0.store.commit(batch).await?;
            if page.len() < PAGE {
                *self.0.sums.write() = Sums::default();
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haggle_base::Seed;
    use haggle_escrow::Place;
    use std::time::Duration;

    const START: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn fee(payer: u8, listings: u64, block: u64, at: Timestamp) -> FeePaid {
        let place =
            Place { block, block_hash: [1; 32].into(), time: at, tx: [2; 32].into(), log_index: u64::from(payer) };
        FeePaid { payer: Address::repeat_byte(payer), listings, at: place }
    }

    fn cursor(block: u64) -> Cursor {
        Cursor { block, hash: [3; 32].into() }
    }

    fn sums(book: &FeeBook) -> Vec<(u8, u64)> {
        let mut sums: Vec<_> = book.0.sums.read().listings.iter().map(|(payer, sum)| (payer[0], *sum)).collect();
        sums.sort_unstable();
        sums
    }

    #[tokio::test]
    async fn a_fee_counts_once_for_its_period_and_also_after_a_restart() {
        let store = Store::memory();
        let book = FeeBook::open(store.clone(), START).await.unwrap();
        let paid = [fee(1, 2, 10, START), fee(2, 1, 10, START)];
        assert_eq!(book.take(&paid, cursor(10)).await.unwrap().len(), 2);
        assert!(book.take(&paid, cursor(10)).await.unwrap().is_empty(), "the same again");
        let twice = [fee(3, 1, 11, START), fee(3, 1, 11, START)];
        book.take(&twice, cursor(11)).await.unwrap();
        assert_eq!(
            book.room(&Seed::devnet(7, 1).agent_key(1).did(), Some(Address::repeat_byte(3))).unwrap().listings,
            1
        );
        let later = START.plus(Duration::from_secs(3600));
        book.take(&[fee(1, 1, 20, later)], cursor(20)).await.unwrap();
        assert_eq!(sums(&book), [(1, 3), (2, 1), (3, 1)]);
        let book = FeeBook::open(store.clone(), later).await.unwrap();
        assert_eq!((sums(&book), book.cursor().unwrap()), (vec![(1, 3), (2, 1), (3, 1)], Some(cursor(20))));
        book.forget_old(START.plus(LISTING_FEE_PERIOD)).await.unwrap();
        assert_eq!(sums(&book), [(1, 1)]);
        let book = FeeBook::open(store, later.plus(LISTING_FEE_PERIOD)).await.unwrap();
        assert_eq!((sums(&book), book.payers()), (vec![], vec![]));
    }

    #[tokio::test]
    async fn another_chain_is_read_from_its_beginning() {
        let store = Store::memory();
        let book = FeeBook::open(store.clone(), START).await.unwrap();
        let many: Vec<_> = (1..=3).map(|block| fee(1, 1, block, START)).collect();
        book.take(&many, cursor(3)).await.unwrap();
        book.begin_anew().await.unwrap();
        assert_eq!((sums(&book), book.cursor().unwrap()), (vec![], None));
        // of a stop half-way through it rows without a cursor are left
        let mut batch = Batch::new();
        let row = FeeRow { payer: Address::repeat_byte(1), listings: 1, at: START };
        batch.put::<FeeTable>(&(7, 0), &row).unwrap();
        store.commit(batch).await.unwrap();
        assert_eq!(sums(&FeeBook::open(store, START).await.unwrap()), []);
    }

    #[tokio::test]
    async fn a_fee_that_this_node_paid_gives_room_before_the_chain_is_read() {
        let book = FeeBook::open(Store::memory(), START).await.unwrap();
        let (agent, payer) = (Seed::devnet(7, 1).agent_key(1).did(), Address::repeat_byte(1));
        assert_eq!(book.room(&agent, Some(payer)), None);
        book.expect(agent, payer);
        let room = Some(PaidRoom { payer, listings: 1 });
        assert_eq!((book.room(&agent, None), book.room(&agent, Some(payer))), (room, room));
        assert_eq!(book.room(&agent, Some(Address::repeat_byte(2))), None, "another wallet's room is not its own");
        assert_eq!(book.room(&Seed::devnet(7, 1).agent_key(2).did(), Some(payer)), None);
        book.take(&[fee(1, 1, 10, START)], cursor(10)).await.unwrap();
        assert_eq!(book.room(&agent, Some(payer)), room, "it is the same fee");
        book.expect_no_more(&agent);
        assert_eq!((book.room(&agent, None), book.room(&agent, Some(payer))), (None, room));
    }
}
