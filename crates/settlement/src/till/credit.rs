//! How much work is done before it is paid: three budgets at once, and nothing for a listing that was just cheated.
//!
//! Work that is under way or waits for its settlement is exposure; work that was never paid is a loss and stands for an
//! hour. Both count. What is settled counts no more, so an honest buyer is bounded only in what is open at one time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use haggle_base::{Did, Text, Timestamp, Usdc};

use super::record::{Loss, SpendKey};
use super::sale::Caller;

/// The limits of credit. Zero for any of them means that every call is paid before the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreditLimits {
    /// For one payer, whether it has a settled payment here or not.
    pub payer: Usdc,
    /// For one caller: a peer, an API key, or a /24.
    pub caller: Usdc,
    /// For one listing, over all payers without a settled payment here.
    pub listing: Usdc,
    /// How long a loss counts, and a cheated listing is paid upfront.
    pub window: Duration,
}

impl CreditLimits {
    /// No credit at all: every call is paid before the work.
    pub const NONE: Self =
        Self { payer: Usdc::ZERO, caller: Usdc::ZERO, listing: Usdc::ZERO, window: Duration::from_secs(3600) };
}

impl Default for CreditLimits {
    /// 0.05 for a payer, 0.05 for a caller, 1.00 for a listing, an hour.
    fn default() -> Self {
        Self {
            payer: Usdc::from_units(50_000),
            caller: Usdc::from_units(50_000),
            listing: Usdc::from_units(1_000_000),
            window: Duration::from_secs(3600),
        }
    }
}

/// Who would owe, and to which listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Debt {
    pub(crate) payer: [u8; 20],
    pub(crate) caller: Caller,
    pub(crate) seller: Did,
    pub(crate) listing: Text<128>,
    pub(crate) units: u64,
    /// Whether the payer has a settled payment here; then the listing's budget is not touched.
    pub(crate) proven: bool,
}

/// One account whose sum is bounded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Account {
    Payer([u8; 20]),
    Caller(Caller),
    Listing(Did, Text<128>),
}

/// What is owed now.
#[derive(Debug, Default)]
pub(crate) struct Credit {
    sums: BTreeMap<Account, u64>,
    open: BTreeMap<SpendKey, Debt>,
    losses: VecDeque<(Timestamp, Debt)>,
}

/// What came of asking for credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Hold {
    /// The debt counts from now on.
    Held,
    /// One of the budgets is used up, or the listing was cheated within the window.
    Full,
}

impl Credit {
    /// Whether a call of this price may be worked for before it is paid, as far as that shows without a payer.
    pub(crate) fn has_room(
        &mut self,
        limits: &CreditLimits,
        caller: &Caller,
        listing: (&Did, &Text<128>),
        units: u64,
        now: Timestamp,
    ) -> bool {
        self.forget(limits, now);
        units > 0
            && units <= limits.payer.units()
            && self.fits(&Account::Caller(caller.clone()), units, limits.caller)
            && units <= limits.listing.units()
            && !self.was_cheated(listing)
    }

    /// Takes a debt on, if all three budgets allow it.
    pub(crate) fn hold(&mut self, limits: &CreditLimits, key: SpendKey, debt: Debt, now: Timestamp) -> Hold {
        self.forget(limits, now);
        if self.open.contains_key(&key) {
            return Hold::Held;
        }
        let fits = self.fits(&Account::Payer(debt.payer), debt.units, limits.payer)
            && self.fits(&Account::Caller(debt.caller.clone()), debt.units, limits.caller)
            && (debt.proven || self.fits(&listing_of(&debt), debt.units, limits.listing))
            && !limits.listing.is_zero()
            && !self.was_cheated((&debt.seller, &debt.listing));
        if !fits {
            return Hold::Full;
        }
        self.add(&debt);
        self.open.insert(key, debt);
        Hold::Held
    }

    /// Counts a debt that is known from before a restart, whatever the limits are now.
    pub(crate) fn restore(&mut self, key: SpendKey, debt: Debt) {
        if !self.open.contains_key(&key) {
            self.add(&debt);
            self.open.insert(key, debt);
        }
    }

    /// Counts a loss that is known from before a restart.
    pub(crate) fn restore_loss(&mut self, at: Timestamp, loss: Loss) {
        let Loss { payer, caller, seller, listing, units, proven } = loss;
        let debt = Debt { payer, caller, seller, listing, units, proven };
        self.add(&debt);
        self.losses.push_back((at, debt));
    }

    /// The debt was paid, or the work was not done: it counts no more.
    pub(crate) fn release(&mut self, key: &SpendKey) {
        if let Some(debt) = self.open.remove(key) {
            self.subtract(&debt);
        }
    }

    /// The work was done and will not be paid: the debt goes on counting for the window. Returns it for the store.
    pub(crate) fn lose(&mut self, key: &SpendKey, now: Timestamp) -> Option<Loss> {
        let debt = self.open.remove(key)?;
        let Debt { payer, caller, seller, listing, units, proven } = debt.clone();
        self.losses.push_back((now, debt));
        Some(Loss { payer, caller, seller, listing, units, proven })
    }

    /// Lets go of losses that are older than the window.
    fn forget(&mut self, limits: &CreditLimits, now: Timestamp) {
        while self.losses.front().is_some_and(|(at, _)| now.since(*at) >= limits.window) {
            if let Some((_, debt)) = self.losses.pop_front() {
                self.subtract(&debt);
            }
        }
    }

    fn was_cheated(&self, (seller, listing): (&Did, &Text<128>)) -> bool {
        self.losses.iter().any(|(_, debt)| debt.seller == *seller && debt.listing == *listing)
    }

    fn fits(&self, account: &Account, units: u64, limit: Usdc) -> bool {
        let owed = self.sums.get(account).copied().unwrap_or_default();
        owed.checked_add(units).is_some_and(|sum| sum <= limit.units())
    }

    fn add(&mut self, debt: &Debt) {
        for account in accounts_of(debt) {
            let sum = self.sums.entry(account).or_default();
            *sum = sum.saturating_add(debt.units);
        }
    }

    fn subtract(&mut self, debt: &Debt) {
        for account in accounts_of(debt) {
            let left = self.sums.get(&account).copied().unwrap_or_default().saturating_sub(debt.units);
            if left == 0 {
                self.sums.remove(&account);
            } else {
                self.sums.insert(account, left);
            }
        }
    }
}

fn listing_of(debt: &Debt) -> Account {
    Account::Listing(debt.seller, debt.listing.clone())
}

fn accounts_of(debt: &Debt) -> Vec<Account> {
    let mut accounts = vec![Account::Payer(debt.payer), Account::Caller(debt.caller.clone())];
    if !debt.proven {
        accounts.push(listing_of(debt));
    }
    accounts
}

#[cfg(test)]
mod tests;
