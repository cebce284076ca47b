//! Double-entry bookkeeping per agent: every entry moves money between accounts and sums to zero.

use serde::{Deserialize, Serialize};

use alloy_primitives::B256;
use haggle_base::{Did, List, OrderId, Text, Timestamp, Usdc};

use crate::{budget::ReservationKey, error::SettlementError};

/// An account of one agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// In the wallet and free.
    Available,
    /// In the wallet, set aside for orders that are not funded.
    Reserved,
    /// In the escrow, for orders that are not settled: deposits, and bonds of disputes.
    Escrowed,
    /// Paid to providers.
    Spent,
    /// Paid to fee recipients.
    Fees,
    /// Bonds of lost disputes, which the arbitrator got.
    Forfeited,
    /// Received as a provider. As an income account it stands below zero.
    Earned,
    /// In prepaid channels, paid in and neither charged nor returned.
    Channels,
    /// Where money from outside the market came from, and where direct transfers went. Stands below zero by what was
    /// deposited and not sent on.
    Outside,
}

/// Why an entry was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// Money was set aside.
    Reserved,
    /// What was set aside is free again.
    Released,
    /// The deposit went to the escrow.
    Funded,
    /// The order ended and the provider was paid.
    Settled,
    /// The order ended and the buyer got everything back.
    Refunded,
    /// The agent was paid for its work.
    Earned,
    /// A payment went straight to a seller.
    Paid,
    /// A direct transfer left the wallet.
    Sent,
    /// A direct transfer came in, and its payer said so.
    Received,
    /// The chain took back a payment or transfer of this agent's.
    PaymentUndone,
    /// Money came in from outside.
    Deposited,
    /// The bond of a dispute went to the escrow.
    BondPosted,
    /// The bond came back.
    BondReturned,
    /// The arbitrator ruled against this side, and got its bond.
    BondLost,
    /// The chain took back what had happened to a bond.
    BondUndone,
    /// The chain took back a funding.
    FundingUndone,
    /// The chain took back how an order ended.
    SettlementUndone,
    /// The chain took back a payment the agent had received.
    EarningUndone,
    /// Money went into a prepaid channel.
    ChannelFunded,
    /// Vouchers on a prepaid channel paid for calls.
    ChannelCharged,
    /// A prepaid channel gave back what was not charged.
    ChannelReturned,
    /// What vouchers promised the agent was claimed.
    ChannelClaimed,
}

/// Moves in one entry at most.
const MAX_MOVES: usize = 5;

/// Longest word of what a payment was for.
pub const MAX_MEMO: usize = 256;

/// One row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was made, in wall time.
    pub at: Timestamp,
    /// Why.
    pub kind: EntryKind,
    /// For which order, if there is one.
    pub order: Option<OrderId>,
    /// On which reservation, if there is one.
    pub key: Option<ReservationKey>,
    /// The transaction that moved it, for payments without an order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tx: Option<B256>,
    /// What it was for, for payments without an order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memo: Option<Text<MAX_MEMO>>,
    /// The agent on the other side, where nothing else that is kept names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<Did>,
    /// What moved: base units added to each account. They sum to zero.
    pub moves: List<(Account, i64), MAX_MOVES>,
}

/// What an entry is about, besides the moves.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) kind: EntryKind,
    pub(crate) order: Option<OrderId>,
    pub(crate) key: Option<ReservationKey>,
}

/// What stands on an agent's accounts, in base units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    /// See [`Account::Available`]. Below zero if the wallet was filled from outside without a deposit entry.
    pub available: i64,
    /// See [`Account::Reserved`].
    pub reserved: i64,
    /// See [`Account::Escrowed`].
    pub escrowed: i64,
    /// See [`Account::Spent`].
    pub spent: i64,
    /// See [`Account::Fees`].
    pub fees: i64,
    /// See [`Account::Forfeited`].
    #[serde(default)]
    pub forfeited: i64,
    /// See [`Account::Earned`].
    pub earned: i64,
    /// See [`Account::Channels`].
    #[serde(default)]
    pub channels: i64,
    /// See [`Account::Outside`].
    pub outside: i64,
}

impl Accounts {
    /// The sum over all accounts: always zero.
    #[must_use]
    pub fn sum(&self) -> i128 {
        let kept = [self.available, self.reserved, self.escrowed, self.channels];
        let gone = [self.spent, self.fees, self.forfeited, self.earned, self.outside];
        kept.into_iter().chain(gone).map(i128::from).sum()
    }

    /// Makes an entry of `moves` and posts it. Moves of zero are left out; an entry that moves nothing is not made.
    ///
    /// # Errors
    /// [`SettlementError::LedgerRefused`] if the moves do not sum to zero or an account would overflow; then nothing
    /// is posted.
    pub(crate) fn post(
        &mut self,
        about: About,
        moves: &[(Account, Side, Usdc)],
        at: Timestamp,
    ) -> Result<Option<Entry>, SettlementError> {
        let mut posted = *self;
        let mut kept = List::new();
        let mut sum: i128 = 0;
        for (account, side, amount) in moves.iter().filter(|(_, _, amount)| !amount.is_zero()) {
            let units = i64::try_from(amount.units()).map_err(|_| SettlementError::LedgerRefused)?;
            let delta = match side {
                Side::In => units,
                Side::Out => -units,
            };
            let balance = posted.account_mut(*account);
            *balance = balance.checked_add(delta).ok_or(SettlementError::LedgerRefused)?;
            sum += i128::from(delta);
            kept.push((*account, delta)).map_err(|_| SettlementError::LedgerRefused)?;
        }
        if sum != 0 {
            return Err(SettlementError::LedgerRefused);
        }
        *self = posted;
        let About { kind, order, key } = about;
        Ok((!kept.is_empty()).then_some(Entry { at, kind, order, key, tx: None, memo: None, party: None, moves: kept }))
    }

    fn account_mut(&mut self, account: Account) -> &mut i64 {
        match account {
            Account::Available => &mut self.available,
            Account::Reserved => &mut self.reserved,
            Account::Escrowed => &mut self.escrowed,
            Account::Spent => &mut self.spent,
            Account::Fees => &mut self.fees,
            Account::Forfeited => &mut self.forfeited,
            Account::Earned => &mut self.earned,
            Account::Channels => &mut self.channels,
            Account::Outside => &mut self.outside,
        }
    }
}

/// Whether money enters or leaves an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    In,
    Out,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About {
        About { kind: EntryKind::Reserved, order: None, key: None }
    }

    fn units(n: u64) -> Usdc {
        Usdc::from_units(n)
    }

    #[test]
    fn an_entry_that_does_not_sum_to_zero_is_refused_and_changes_nothing() {
        let mut accounts = Accounts::default();
        let moves = [(Account::Available, Side::Out, units(5)), (Account::Reserved, Side::In, units(4))];
        assert!(accounts.post(about(), &moves, Timestamp::ZERO).is_err());
        assert_eq!(accounts, Accounts::default());
    }

    #[test]
    fn an_amount_beyond_the_ledger_is_refused_and_changes_nothing() {
        let mut accounts = Accounts::default();
        let moves = [(Account::Available, Side::Out, Usdc::MAX), (Account::Reserved, Side::In, Usdc::MAX)];
        assert!(accounts.post(about(), &moves, Timestamp::ZERO).is_err());
        assert_eq!(accounts, Accounts::default());
    }

    #[test]
    fn an_entry_that_moves_nothing_is_not_made() {
        let mut accounts = Accounts::default();
        let moves = [(Account::Available, Side::Out, Usdc::ZERO), (Account::Reserved, Side::In, Usdc::ZERO)];
        assert_eq!(accounts.post(about(), &moves, Timestamp::ZERO).unwrap(), None);
    }
}
