//! The prices that a listing has had, as far as this node has seen them.
//!
//! The listing itself is the first entry, so taking one in writes nothing here. Only a version with another price than the
//! one it replaces does, in the commit that stores it; and what is written goes with the listing.

use std::collections::HashMap;

use haggle_base::{Did, Hash, List, RecordId, Timestamp, Usdc, Verified};
use haggle_store::{Batch, Store, StoreError, tables};
use serde::{Deserialize, Serialize};

use crate::{
    body::ListingBody,
    door::{AnyRecord, Entry, Place},
    error::CatalogError,
    handle::Catalog,
};

/// Changes kept of a listing; the oldest goes first when there are more.
pub const MAX_PRICE_CHANGES: usize = 32;

/// The price before the first change that is kept, and the one after each.
type Log = List<PricePoint, { MAX_PRICE_CHANGES + 1 }>;

tables! {
    /// The prices of the listing in a place, the oldest first; no row for one whose price was never changed.
    pub(crate) Prices = "listing-prices-1": Hash => Log;
}

/// A price, from one signed version of a listing on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PricePoint {
    /// The version's `seq`.
    pub version: u64,
    /// The price.
    pub price: Usdc,
    /// When the version was signed, by its author's clock.
    pub signed: Timestamp,
    /// When this node took it in. Unknown for the version that a listing was first changed from: nothing was written then.
    pub seen: Option<Timestamp>,
}

/// The prices of one listing.
#[derive(Debug, Clone)]
pub struct PriceHistory {
    /// The listing as it is now.
    pub listing: Verified<ListingBody>,
    /// Its prices, the oldest first; the last one is the price now.
    pub points: Vec<PricePoint>,
}

impl Catalog {
    /// The prices that each live listing of an agent has had here, the oldest listing first.
    ///
    /// # Errors
    /// [`CatalogError::Store`].
    pub fn prices_of(&self, agent: &Did) -> Result<Vec<PriceHistory>, CatalogError> {
        self.listings_of(agent)?.into_iter().map(|listing| self.prices(listing)).collect()
    }

    /// The prices that a listing has had here, the last of them its own.
    ///
    /// # Errors
    /// [`CatalogError::Store`].
    pub fn prices(&self, listing: Verified<ListingBody>) -> Result<PriceHistory, CatalogError> {
        let record = listing.record();
        let place = Place::listing(&listing.author(), &record.slot, &listing.body().category);
        let mut points = self.shared.store.get::<Prices>(&place.hash())?.map_or_else(Vec::new, List::into_vec);
        // a newer version may have come since the listing was read: the history ends with the listing
        points.retain(|point| point.version <= record.seq);
        if points.is_empty() {
            let (version, price, signed) = (record.seq, listing.body().price, record.created);
            points.push(PricePoint { version, price, signed, seen: None });
        }
        Ok(PriceHistory { listing, points })
    }
}

/// What one commit changes in the prices.
#[derive(Debug)]
pub(crate) struct Changes<'a> {
    store: &'a Store,
    /// Each changed row as it will be; none if it goes.
    logs: HashMap<Place, Option<Log>>,
}

impl<'a> Changes<'a> {
    pub(crate) fn to(store: &'a Store) -> Self {
        Self { store, logs: HashMap::new() }
    }

    /// A version of a listing takes the place of an older one, which had the price `before`.
    pub(crate) fn replace(
        &mut self,
        old: &Entry,
        before: Usdc,
        new: &Verified<ListingBody>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let price = new.body().price;
        if price == before {
            return Ok(());
        }
        let log = match self.logs.remove(&old.place) {
            Some(log) => log,
            None => self.store.get::<Prices>(&old.place.hash())?,
        };
        let first = || vec![PricePoint { version: old.seq, price: before, signed: old.created, seen: None }];
        let mut points = log.map_or_else(first, List::into_vec);
        let record = new.record();
        points.push(PricePoint { version: record.seq, price, signed: record.created, seen: Some(now) });
        if points.len() > MAX_PRICE_CHANGES + 1 {
            points.remove(0);
        }
        self.logs.insert(old.place, List::try_from(points).ok());
        Ok(())
    }

    /// The listing in a place is gone.
    pub(crate) fn forget(&mut self, place: Place) {
        self.logs.insert(place, None);
    }

    /// Adds the changes to the commit.
    pub(crate) fn write(self, batch: &mut Batch) -> Result<(), StoreError> {
        for (place, log) in self.logs {
            match log {
                Some(log) => drop(batch.put::<Prices>(&place.hash(), &log)?),
                None => drop(batch.delete::<Prices>(&place.hash())),
            }
        }
        Ok(())
    }
}

/// The price of a listing of this group, if it is in there.
pub(crate) fn price_in(records: &[AnyRecord], id: &RecordId) -> Option<Usdc> {
    records.iter().find_map(|record| match record {
        AnyRecord::Listing(listing) if listing.id() == *id => Some(listing.body().price),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
