//! The budget machine: what one agent may still spend, decided without doing anything.
//!
//! A reservation is made before anybody is asked for a price and checked again when its payment is signed, so that many
//! calls at once cannot pass a limit together. It is closed exactly once: by cancelling, by expiry, or by how the order
//! ended.

pub mod command;
pub mod event;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use haggle_base::{Did, OrderId, Text, Timestamp, Usdc};

/// Names a reservation: chosen by the caller, unique for ever.
pub type ReservationKey = Text<128>;

/// Open reservations one agent may have. Each costs about 300 bytes of memory.
pub const MAX_OPEN: usize = 4096;

/// One day, the window of [`Limits::per_day`]. Days are counted in UTC.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What an agent may spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The most one order may take from the buyer, fee included.
    pub per_call: Usdc,
    /// The most all orders of one UTC day may take together, fees included.
    pub per_day: Usdc,
}

impl Default for Limits {
    /// 5 USDC a call, 50 USDC a day.
    fn default() -> Self {
        Self { per_call: Usdc::from_units(5_000_000), per_day: Usdc::from_units(50_000_000) }
    }
}

/// How far a reservation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Nothing is signed; it ends by itself at its expiry.
    Held,
    /// The payment for this order is signed, and may be used until the order can no longer be funded.
    Signed {
        /// The order.
        order: OrderId,
    },
    /// The money has left the wallet for the escrow.
    Funded {
        /// The order.
        order: OrderId,
    },
    /// Over. `spent` did not come back.
    Closed {
        /// The order.
        order: OrderId,
        /// What the provider and the fee recipient got together.
        spent: Usdc,
    },
}

/// Money set aside for one order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Who spends.
    pub agent: Did,
    /// The most the order may take, fee included.
    pub amount: Usdc,
    /// The UTC day it counts against, in days since 1970.
    pub day: u64,
    /// When a reservation without a signature ends.
    pub expires: Timestamp,
    /// How far it has come.
    pub stage: Stage,
}

impl Reservation {
    /// Whether it still lowers what the wallet can give: set aside, but not yet gone to the escrow.
    #[must_use]
    pub fn holds_wallet_money(&self) -> bool {
        match self.stage {
            Stage::Held | Stage::Signed { .. } => true,
            Stage::Funded { .. } | Stage::Closed { .. } => false,
        }
    }

    /// The order it is bound to, if any.
    #[must_use]
    pub fn order(&self) -> Option<OrderId> {
        match self.stage {
            Stage::Signed { order } | Stage::Funded { order } | Stage::Closed { order, .. } => Some(order),
            Stage::Held => None,
        }
    }
}

/// One agent's limits, what it has spent today, and its open reservations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    limits: Limits,
    day: u64,
    spent: Usdc,
    open: BTreeMap<ReservationKey, Reservation>,
}

impl Budget {
    /// A budget with nothing spent and nothing reserved.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, day: 0, spent: Usdc::ZERO, open: BTreeMap::new() }
    }

    /// A budget as it was stored: its limits, the day it was last used on and what was spent on that day.
    #[must_use]
    pub fn restored(limits: Limits, day: u64, spent: Usdc) -> Self {
        Self { limits, day, spent, open: BTreeMap::new() }
    }

    /// Puts a stored open reservation back; a closed one is ignored.
    pub fn restore(&mut self, key: ReservationKey, reservation: Reservation) {
        if !matches!(reservation.stage, Stage::Closed { .. }) {
            self.open.insert(key, reservation);
        }
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Changes the limits. Payments that are signed already stand.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The last day this budget was used on, in days since 1970, and what was spent on it.
    #[must_use]
    pub fn spent_on_day(&self) -> (u64, Usdc) {
        (self.day, self.spent)
    }

    /// The open reservation with this key.
    #[must_use]
    pub fn reservation(&self, key: &ReservationKey) -> Option<&Reservation> {
        self.open.get(key)
    }

    /// All open reservations.
    pub fn open(&self) -> impl Iterator<Item = (&ReservationKey, &Reservation)> {
        self.open.iter()
    }

    /// What reservations keep in the wallet for later.
    #[must_use]
    pub fn held(&self) -> Usdc {
        sum(self.open.values().filter(|r| r.holds_wallet_money()).map(|r| r.amount))
    }

    /// What counts against the limit of the day of `now`: spent and reserved.
    #[must_use]
    pub fn committed_on_day_of(&self, now: Timestamp) -> Usdc {
        let today = day_of(now).max(self.day);
        let spent = if today == self.day { self.spent } else { Usdc::ZERO };
        sum(self.open.values().filter(|r| r.day == today).map(|r| r.amount).chain([spent]))
    }

    /// Sets money aside.
    ///
    /// # State Transition
    /// none -> held. The same request again answers [`event::Reserve::AlreadyHeld`] and changes nothing.
    pub fn reserve(&mut self, command: command::Reserve, now: Timestamp) -> event::Reserve {
        let command::Reserve { key, agent, amount, lives, balance } = command;
        if let Some(before) = self.open.get(&key) {
            return if before.agent == agent && before.amount == amount {
                event::Reserve::AlreadyHeld
            } else {
                event::Reserve::KeyTaken
            };
        }
        if amount.is_zero() {
            return event::Reserve::NothingToReserve;
        }
        if self.open.len() >= MAX_OPEN {
            return event::Reserve::TooManyOpen;
        }
        if amount > self.limits.per_call {
            return event::Reserve::OverPerCall { limit: self.limits.per_call };
        }
        let left = self.limits.per_day.saturating_sub(self.committed_on_day_of(now));
        if amount > left {
            return event::Reserve::OverPerDay { limit: self.limits.per_day, left };
        }
        let available = balance.saturating_sub(self.held());
        if amount > available {
            return event::Reserve::InsufficientFunds { available };
        }
        self.turn_to(now);
        let reservation = Reservation { agent, amount, day: self.day, expires: now.plus(lives), stage: Stage::Held };
        self.open.insert(key, reservation);
        event::Reserve::Held
    }

    /// Binds a reservation to an order, just before its payment is signed. Checks the limits again as they are now.
    ///
    /// # State Transition
    /// held -> signed. The same order again answers [`event::Authorise::AlreadyGranted`]; another order is refused for
    /// ever.
    pub fn authorise(&mut self, command: &command::Authorise, now: Timestamp) -> event::Authorise {
        let committed = self.committed_on_day_of(now);
        let today = day_of(now).max(self.day);
        let limits = self.limits;
        let Some(reservation) = self.open.get_mut(&command.key) else {
            return event::Authorise::Unknown;
        };
        match reservation.stage {
            Stage::Signed { order } | Stage::Funded { order } if order == command.order => {
                return event::Authorise::AlreadyGranted;
            }
            Stage::Signed { order } | Stage::Funded { order } => return event::Authorise::OtherOrder { order },
            Stage::Closed { .. } => return event::Authorise::Unknown,
            Stage::Held => {}
        }
        if now >= reservation.expires {
            return event::Authorise::Expired;
        }
        if command.deposit > reservation.amount {
            return event::Authorise::OverReserved { reserved: reservation.amount };
        }
        if command.deposit > limits.per_call {
            return event::Authorise::OverPerCall { limit: limits.per_call };
        }
        let own = if reservation.day == today { reservation.amount } else { Usdc::ZERO };
        let left = limits.per_day.saturating_sub(committed.saturating_sub(own));
        if command.deposit > left {
            return event::Authorise::OverPerDay { limit: limits.per_day, left };
        }
        reservation.stage = Stage::Signed { order: command.order };
        reservation.day = today;
        self.turn_to(now);
        event::Authorise::Granted
    }

    /// Gives a reservation back before anything was signed.
    ///
    /// # State Transition
    /// held -> closed. A signed one stays: its signature is out and may be used.
    pub fn cancel(&mut self, key: &ReservationKey) -> event::Cancel {
        match self.open.get(key).map(|r| (r.stage, r.amount)) {
            None | Some((Stage::Closed { .. }, _)) => event::Cancel::NotOpen,
            Some((Stage::Held, amount)) => {
                self.open.remove(key);
                event::Cancel::Cancelled { amount }
            }
            Some((Stage::Signed { order } | Stage::Funded { order }, _)) => event::Cancel::Signed { order },
        }
    }

    /// The money of a signed reservation is in the escrow.
    ///
    /// # State Transition
    /// signed -> funded.
    pub fn fund(&mut self, key: &ReservationKey) -> event::Fund {
        match self.open.get_mut(key) {
            Some(Reservation { stage: stage @ Stage::Signed { .. }, amount, .. }) => {
                if let Stage::Signed { order } = *stage {
                    *stage = Stage::Funded { order };
                }
                event::Fund::Funded { reserved: *amount }
            }
            Some(Reservation { stage: Stage::Funded { .. }, .. }) => event::Fund::AlreadyFunded,
            Some(_) | None => event::Fund::NotSigned,
        }
    }

    /// The order is over; `spent` did not come back.
    ///
    /// # State Transition
    /// signed | funded -> closed. The returned reservation is what has to be stored.
    pub fn close(&mut self, key: &ReservationKey, spent: Usdc) -> event::Close {
        let Some(order) = self.open.get(key).and_then(Reservation::order) else {
            return event::Close::NotOpen;
        };
        let Some(mut reservation) = self.open.remove(key) else {
            return event::Close::NotOpen;
        };
        if reservation.day == self.day {
            self.spent = self.spent.checked_add(spent).unwrap_or(Usdc::MAX);
        }
        reservation.stage = Stage::Closed { order, spent };
        event::Close::Closed(reservation)
    }

    /// The chain took back how the order ended: the reservation is funded again.
    ///
    /// # State Transition
    /// closed -> funded.
    pub fn reopen(&mut self, key: ReservationKey, mut closed: Reservation) {
        if let Stage::Closed { order, spent } = closed.stage {
            if closed.day == self.day {
                self.spent = self.spent.saturating_sub(spent);
            }
            closed.stage = Stage::Funded { order };
            self.open.insert(key, closed);
        }
    }

    /// The chain took back the funding: the signature is out, the money is in the wallet.
    ///
    /// # State Transition
    /// funded -> signed.
    pub fn unfund(&mut self, key: &ReservationKey) -> Option<&Reservation> {
        let reservation = self.open.get_mut(key)?;
        if let Stage::Funded { order } = reservation.stage {
            reservation.stage = Stage::Signed { order };
        }
        Some(reservation)
    }

    /// The keys of reservations that ended unsigned by `now`.
    #[must_use]
    pub fn expired(&self, now: Timestamp) -> Vec<ReservationKey> {
        let ended = |r: &Reservation| matches!(r.stage, Stage::Held) && now >= r.expires;
        self.open.iter().filter(|(_, r)| ended(r)).map(|(key, _)| key.clone()).collect()
    }

    /// Starts counting a new day if `now` is on a later one. A clock that goes back does not give a day twice.
    fn turn_to(&mut self, now: Timestamp) {
        let today = day_of(now);
        if today > self.day {
            self.day = today;
            self.spent = Usdc::ZERO;
        }
    }
}

fn day_of(now: Timestamp) -> u64 {
    now.as_secs() / DAY.as_secs()
}

fn sum(amounts: impl Iterator<Item = Usdc>) -> Usdc {
    amounts.fold(Usdc::ZERO, |total, amount| total.checked_add(amount).unwrap_or(Usdc::MAX))
}

#[cfg(test)]
mod tests;
