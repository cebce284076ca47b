//! Which of the records on the shelf listing fees pay for.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use haggle_base::{Address, Did, Hash, Kind, RecordId};

use super::{ById, Entry, Refused, SLOTS_OF_PAID, Shelf, command, event, mark};
use crate::ports::PaidRoom;

/// How many cards, listings and tombstones stand on the shelf at each payer's cost.
#[derive(Debug, Clone, Default)]
pub(super) struct Charged(HashMap<Address, [u64; 3]>);

impl Charged {
    pub(super) fn add(&mut self, entry: &Entry) {
        if let (Some(payer), Some(of)) = (entry.payer.as_deref(), column(entry.kind)) {
            self.0.entry(*payer).or_default()[of] += 1;
        }
    }

    pub(super) fn take_off(&mut self, entry: &Entry) {
        if let (Some(payer), Some(of)) = (entry.payer.as_deref(), column(entry.kind))
            && let Some(counts) = self.0.get_mut(payer)
        {
            counts[of] = counts[of].saturating_sub(1);
            if *counts == [0; 3] {
                self.0.remove(payer);
            }
        }
    }

    /// Records of this kind at this payer's cost.
    fn count(&self, payer: &Address, kind: Kind) -> u64 {
        column(kind).zip(self.0.get(payer)).map_or(0, |(of, counts)| counts[of])
    }
}

/// What is paid for: a listing, the card of whoever lists, and tombstones of what was paid for. Attestations have bounds of
/// their own.
const fn column(kind: Kind) -> Option<usize> {
    match kind {
        Kind::Card => Some(0),
        Kind::Listing => Some(1),
        Kind::Tombstone => Some(2),
        Kind::Attestation | Kind::Pointer => None,
    }
}

impl Shelf {
    /// Listings held whose room is paid for.
    #[must_use]
    pub fn paid_listings(&self) -> usize {
        let counts = self.charged.0.values().map(|[_, listings, _]| *listings);
        usize::try_from(counts.sum::<u64>()).unwrap_or(usize::MAX)
    }

    /// Who pays for a record of an author with this room, if there is room left.
    #[must_use]
    pub fn payer_of(&self, entry: &Entry, room: PaidRoom) -> Option<Address> {
        column(entry.kind)?;
        let was = self.at(&entry.place).filter(|held| held.payer.as_deref() == Some(&room.payer));
        let most = match entry.kind {
            // only what was paid for is withdrawn at its payer's cost
            Kind::Tombstone if was.is_none() => return None,
            Kind::Tombstone => room.listings.saturating_mul(SLOTS_OF_PAID as u64),
            _ => room.listings,
        };
        // what it would replace gives its room to it
        let gives = was.is_some_and(|held| held.kind == entry.kind);
        let others = self.charged.count(&room.payer, entry.kind) - u64::from(gives);
        (others < most).then_some(room.payer)
    }

    /// Who pays for what a record would replace: it goes on paying, whoever is bound to it by now.
    #[must_use]
    pub fn payer_before(&self, entry: &Entry) -> Option<Address> {
        if self.charged.0.is_empty() {
            return None;
        }
        self.at(&entry.place)?.payer.as_deref().copied()
    }

    /// Notes the wallet that a refused card claims, if the id is still remembered: it may come again when a fee of that wallet is
    /// seen.
    pub fn claims(&mut self, card: &RecordId, wallet: Option<Address>) {
        if let Some(refused) = self.refused.get_mut(card) {
            refused.wallet = wallet;
        }
    }

    /// Forgets the refused cards that claim one of these wallets, which have paid now; gives their ids.
    pub fn forget_cards_of(&mut self, wallets: &HashSet<Address>) -> Vec<RecordId> {
        let claims = |refused: &Refused| refused.wallet.is_some_and(|wallet| wallets.contains(&wallet));
        let cards: Vec<_> = self.refused.iter().filter(|(_, refused)| claims(refused)).map(|(id, _)| *id).collect();
        cards.iter().for_each(|id| self.forget(id));
        cards
    }

    /// Charges an author's card and listings to its room, the oldest first, as far as it reaches.
    ///
    /// # State Transition
    /// What is `raised` stands outside the share of those who paid for nothing. If anything is, or there is room left, the
    /// author's refused ids are `forgotten`: a reconciliation brings their records. Else nothing changes.
    pub fn pay(&mut self, command::Pay { author, room }: command::Pay) -> event::Pay {
        let mut own: Vec<_> = self
            .by_author(&author)
            .filter(|own| !own.is_paid() && column(own.kind).is_some())
            .map(|own| (own.created, own.id))
            .collect();
        own.sort_unstable();
        let mut raised = Vec::new();
        for (_, id) in own {
            let Some(ById(entry)) = self.entries.get(&id) else { continue };
            if let Some(payer) = self.payer_of(entry, room) {
                let paid = Arc::new(Entry { payer: Some(Box::new(payer)), ..Entry::clone(entry) });
                self.remove(&id);
                self.insert(Arc::clone(&paid));
                raised.push(paid);
            }
        }
        let has_room = self.charged.count(&room.payer, Kind::Listing) < room.listings;
        // what is charged now takes nothing of what is free, so others of the author may stand there
        let forgotten = if raised.is_empty() && !has_room { Vec::new() } else { self.refused_of(&author) };
        forgotten.iter().for_each(|id| self.forget(id));
        event::Pay { raised, forgotten }
    }

    fn refused_of(&self, author: &Did) -> Vec<RecordId> {
        let mark = mark(author);
        let alike = self.refused_by.range((mark, RecordId::from(Hash::from_bytes([0; 32])))..);
        let alike = alike.take_while(|(of, _)| *of == mark).map(|(_, id)| *id);
        alike.filter(|id| self.refused.get(id).is_some_and(|refused| refused.author == *author)).collect()
    }
}

#[cfg(test)]
mod tests;
