//! What an agent of this node says: signed here, then put through the same door as anyone's.

use std::time::Duration;

use haggle_base::{AgentKey, Body, Did, Record, Signed, Text, Verified};

use crate::{
    body::{
        CARD_SLOT, CardBody, LISTING_SLOT_PREFIX, ListingBody, RECORD_TTL, TOMBSTONE_MARGIN, TombstoneBody, is_due,
        listing_slot,
    },
    door::{Entry, Place},
    error::CatalogError,
    handle::{Catalog, Origin},
    shelf::event::{self, Quota},
};

impl Catalog {
    /// Publishes an agent's card, in the place of the one before.
    ///
    /// # Errors
    /// [`CatalogError::Record`] if it breaks a rule, [`CatalogError::Store`].
    pub async fn publish_card(&self, key: &AgentKey, body: CardBody) -> Result<Verified<CardBody>, CatalogError> {
        let slot = text(CARD_SLOT);
        self.publish(key, slot, &Place::card(&key.did()), RECORD_TTL, body).await
    }

    /// Publishes a listing under a name, in the place of the one before. One of the same name in another category is
    /// withdrawn once the new one stands: what is refused changes nothing.
    ///
    /// # Errors
    /// [`CatalogError::Record`] if it breaks a rule, [`CatalogError::InsufficientReputation`], [`CatalogError::OverQuota`],
    /// [`CatalogError::Store`].
    pub async fn publish_listing(
        &self,
        key: &AgentKey,
        name: &str,
        body: ListingBody,
    ) -> Result<Verified<ListingBody>, CatalogError> {
        body.check()?;
        self.check_listing(&key.did(), name, &body)?;
        let slot = listing_slot(name)?;
        let mut others = self.listings_of(&key.did())?;
        others.retain(|other| other.record().slot == slot && other.body().category != body.category);
        let published = match self.publish_at(key, &slot, body.clone()).await {
            // the one that it replaces may be the one too many
            Err(CatalogError::OverQuota(quota)) if self.may_give_way(&others, quota) => {
                return self.give_way(key, &slot, others, body).await;
            }
            published => published?,
        };
        for other in &others {
            self.bury(key, other).await?;
        }
        Ok(published)
    }

    /// Whether a listing may find room once these are withdrawn: of those that one author may have, or that is paid for.
    fn may_give_way(&self, others: &[Verified<ListingBody>], quota: Quota) -> bool {
        let shelf = self.shared.shelf.read();
        let is_paid = |other: &Verified<ListingBody>| shelf.get(&other.id()).is_some_and(Entry::is_paid);
        !others.is_empty() && (quota == Quota::AuthorListings || others.iter().any(is_paid))
    }

    /// Withdraws listings first for which one more is too many, and brings them back if the new one is refused all the same.
    async fn give_way(
        &self,
        key: &AgentKey,
        slot: &Text<64>,
        others: Vec<Verified<ListingBody>>,
        body: ListingBody,
    ) -> Result<Verified<ListingBody>, CatalogError> {
        for other in &others {
            self.bury(key, other).await?;
        }
        let published = self.publish_at(key, slot, body).await;
        if published.is_err() {
            for other in others {
                // the caller hears why the new one was refused
                if let Err(error) = self.publish_at(key, slot, other.body().clone()).await {
                    tracing::warn!(record.id = %other.id(), "a listing that gave way is not brought back: {error}");
                }
            }
        }
        published
    }

    async fn publish_at(
        &self,
        key: &AgentKey,
        slot: &Text<64>,
        body: ListingBody,
    ) -> Result<Verified<ListingBody>, CatalogError> {
        let place = Place::listing(&key.did(), slot, &body.category);
        self.publish(key, slot.clone(), &place, RECORD_TTL, body).await
    }

    /// Whether an agent may publish this listing under this name. One that is out and says the same may be renewed however
    /// its agent stands: it would be gone otherwise when the agent stands well again.
    ///
    /// # Errors
    /// [`CatalogError::InsufficientReputation`], [`CatalogError::Store`].
    pub fn check_listing(&self, agent: &Did, name: &str, body: &ListingBody) -> Result<(), CatalogError> {
        let Err(refused) = self.check_standing(agent) else { return Ok(()) };
        let slot = listing_slot(name)?;
        let is_out = |held: &Verified<ListingBody>| held.record().slot == slot && held.body() == body;
        if self.listings_of(agent)?.iter().any(is_out) { Ok(()) } else { Err(refused) }
    }

    /// Whether an agent stands well enough for new listings of it to be published, and for all of them to be shown, here.
    ///
    /// # Errors
    /// [`CatalogError::InsufficientReputation`].
    pub fn check_standing(&self, agent: &Did) -> Result<(), CatalogError> {
        let (net, least) = (self.shared.standing.figures(agent).net, self.shared.config.min_net);
        if net < least { Err(CatalogError::InsufficientReputation { net, least }) } else { Ok(()) }
    }

    /// Withdraws the listing of this name: a tombstone takes its place and outlives it by a day.
    ///
    /// # Errors
    /// [`CatalogError::NotListed`] if there is none, [`CatalogError::Store`].
    pub async fn withdraw(&self, key: &AgentKey, name: &str) -> Result<(), CatalogError> {
        let slot = listing_slot(name)?;
        let mut listings = self.listings_of(&key.did())?;
        listings.retain(|listing| listing.record().slot == slot);
        if listings.is_empty() {
            return Err(CatalogError::NotListed);
        }
        for listing in &listings {
            self.bury(key, listing).await?;
        }
        Ok(())
    }

    /// Signs the agent's card and listings anew that have lived half their time, however it stands. Returns how many; call
    /// it now and then for each agent.
    ///
    /// # Errors
    /// As publishing.
    pub async fn refresh(&self, key: &AgentKey) -> Result<usize, CatalogError> {
        let now = self.shared.clock.now();
        let mut refreshed = 0;
        if let Some(card) = self.card(&key.did())?
            && is_due(card.record().created, card.record().expires, now)
        {
            self.publish_card(key, card.body().clone()).await?;
            refreshed += 1;
        }
        for listing in self.listings_of(&key.did())? {
            let record = listing.record();
            if is_due(record.created, record.expires, now)
                && let Some(name) = record.slot.strip_prefix(LISTING_SLOT_PREFIX)
            {
                self.publish_listing(key, name, listing.body().clone()).await?;
                refreshed += 1;
            }
        }
        Ok(refreshed)
    }

    async fn bury(&self, key: &AgentKey, listing: &Verified<ListingBody>) -> Result<(), CatalogError> {
        let record = listing.record();
        let body = TombstoneBody { category: listing.body().category.clone() };
        let place = Place::listing(&key.did(), &record.slot, &body.category);
        let now = self.shared.clock.now();
        let ttl = record.expires.plus(TOMBSTONE_MARGIN).since(now).min(TombstoneBody::MAX_TTL);
        self.publish(key, record.slot.clone(), &place, ttl, body).await.map(drop)
    }

    /// Signs a record with a `seq` above what stands in its place, and puts it.
    async fn publish<B: Body>(
        &self,
        key: &AgentKey,
        slot: Text<64>,
        place: &Place,
        ttl: Duration,
        body: B,
    ) -> Result<Verified<B>, CatalogError> {
        let now = self.shared.clock.now();
        let mut record = Record::new(self.network().clone(), slot, now, ttl, body);
        if let Some(held) = self.shared.shelf.read().at(place) {
            record.seq = record.seq.max(held.seq.saturating_add(1));
        }
        let signed = Signed::sign(&record, key)?;
        let bytes = signed.bytes().to_vec();
        match self.put(bytes, Origin::Local).await? {
            event::Put::Fresh { .. } | event::Put::Replaced { .. } | event::Put::Known => {}
            event::Put::Stale { .. } => return Err(CatalogError::Superseded),
            event::Put::OverQuota { quota, .. } => return Err(CatalogError::OverQuota(quota)),
            // what is published here is kept here, and is no gossip
            event::Put::NotHeld | event::Put::Expired | event::Put::TooOften => {
                return Err(haggle_base::RecordError::Expired.into());
            }
        }
        Ok(signed.verify(self.network(), now)?)
    }
}

/// A slot of our own, which is short enough.
#[expect(clippy::expect_used, reason = "a constant of this crate that a test covers")]
fn text(slot: &'static str) -> Text<64> {
    Text::try_from(slot).expect("our own slots fit")
}
