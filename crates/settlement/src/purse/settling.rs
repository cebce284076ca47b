//! What became of signed payments: the chain's word, booked.

use std::{ops::Bound, time::Duration};

use super::{
    Purchase, PurchaseState, Purse, PurseError,
    records::{FreshPayments, OpenPurchases, Purchases},
};
use crate::{
    SettlementError,
    books::Change,
    ledger::{Account, EntryKind},
};

/// Payments looked at in one round.
const AT_ONCE: usize = 256;
/// How much chain time has to pass until the chain is believed: after the last moment a signature was good before it
/// counts as unused, and after a payment was seen before it counts as made for good. A reorganisation may have put another
/// block there.
const GRACE: Duration = Duration::from_secs(60);

impl Purse {
    /// Looks at the chain for what became of a signed payment, and books it.
    ///
    /// # Errors
    /// `rpc_down` leaves everything as it was.
    pub async fn settle_up(&self, purchase: &Purchase) -> Result<Purchase, PurseError> {
        if purchase.state == PurchaseState::Signed { self.look(purchase).await } else { Ok(purchase.clone()) }
    }

    /// Looks at every payment whose end is not known. Call it in a loop, at the chain's pace, and after a start. Returns how
    /// many ended.
    ///
    /// # Errors
    /// `rpc_down` leaves everything as it was.
    pub async fn settle_up_all(&self) -> Result<usize, PurseError> {
        let store = &self.settlement.inner.store;
        let open = store.range::<OpenPurchases>(Bound::Unbounded, AT_ONCE).map_err(SettlementError::from)?;
        let mut ended = 0;
        for ((agent, key), _) in open {
            if let Some(purchase) = self.find(&agent, &key)? {
                let seen = self.settle_up(&purchase).await?;
                ended += usize::from(seen.state != PurchaseState::Signed);
            }
        }
        Ok(ended)
    }

    /// Looks again at payments that went through a short while ago: a reorganisation may have taken them back. Call it now
    /// and then. Returns how many were taken back.
    ///
    /// # Errors
    /// `rpc_down` leaves everything as it was.
    pub async fn look_again(&self) -> Result<usize, PurseError> {
        let store = &self.settlement.inner.store;
        let fresh = store.range::<FreshPayments>(Bound::Unbounded, AT_ONCE).map_err(SettlementError::from)?;
        let mut undone = 0;
        for ((agent, key), _) in fresh {
            if let Some(purchase) = self.find(&agent, &key)? {
                let seen = self.look(&purchase).await?;
                undone += usize::from(seen.state == PurchaseState::Signed);
            }
        }
        Ok(undone)
    }

    async fn look(&self, purchase: &Purchase) -> Result<Purchase, PurseError> {
        let (row, from, nonce) = (purchase.row(), purchase.authorization.from, purchase.nonce());
        // the time first: what is unused after its time was over stays unused
        let chain_now = self.settlement.chain_now().await?;
        let used = self.chain.is_used(from, nonce).await.map_err(SettlementError::from)?;
        let over = chain_now >= purchase.ends.plus(GRACE);
        let fresh_until = self.settlement.inner.store.get::<FreshPayments>(&row).map_err(SettlementError::from)?;
        let fresh = fresh_until.is_some_and(|until| chain_now < until);
        let nothing_new = match (purchase.state, used) {
            (PurchaseState::Signed, false) => !over,
            (PurchaseState::Paid, true) => fresh,
            _ => false,
        };
        if nothing_new {
            return Ok(purchase.clone());
        }
        let looked = self.settlement.change(move |inner, change| {
            let mut purchase = inner.store.get::<Purchases>(&row)?.ok_or(SettlementError::ReservationUnknown)?;
            if purchase.nonce() != nonce {
                return Ok(purchase);
            }
            let was = purchase.state;
            let next = match (was, used) {
                (PurchaseState::Signed, true) => PurchaseState::Paid,
                (PurchaseState::Signed, false) if over => PurchaseState::Lapsed,
                (PurchaseState::Paid, false) => PurchaseState::Signed,
                (state, _) => state,
            };
            if next != was {
                book(change, &purchase, next)?;
                purchase.state = next;
                change.batch.put::<Purchases>(&row, &purchase)?;
            }
            match next {
                PurchaseState::Signed => change.batch.put::<OpenPurchases>(&row, &0)?,
                PurchaseState::Paid | PurchaseState::Lapsed => change.batch.delete::<OpenPurchases>(&row),
            };
            match next {
                PurchaseState::Paid if was == PurchaseState::Signed => {
                    change.batch.put::<FreshPayments>(&row, &chain_now.plus(GRACE))?
                }
                PurchaseState::Paid if fresh => &mut change.batch,
                _ => change.batch.delete::<FreshPayments>(&row),
            };
            Ok(purchase)
        });
        Ok(looked.await?)
    }
}

/// Moves the money in the books as the payment moves to `next`.
fn book(change: &mut Change<'_>, purchase: &Purchase, next: PurchaseState) -> Result<(), SettlementError> {
    let (agent, key, amount) = (&purchase.agent, &purchase.reservation, purchase.amount);
    let (kind, account) = match purchase.echo {
        Some(_) => (EntryKind::Paid, Account::Spent),
        None => (EntryKind::Sent, Account::Outside),
    };
    match next {
        PurchaseState::Paid => change.pay_out(agent, key, amount, kind, account),
        PurchaseState::Lapsed => change.let_lapse(agent, key),
        PurchaseState::Signed => change.take_back(agent, key, amount, account),
    }
}
