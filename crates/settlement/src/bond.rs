//! Bonds: what each side of a dispute puts up, bound to the order, the side and the evidence.
//!
//! A bond that was signed is on disk before its signature leaves, so that the books know whose money the escrow took.
//!
//! ```text
//! signed -> posted -> returned
//!               \---> lost: the arbitrator ruled against this side
//! ```

use alloy_primitives::{B256, U256};

use haggle_base::{
    ClosedBy, Did, EvmSignature, Order, OrderId, Side, Timestamp, Usdc,
    eip712::{self, BOND_BUYER, BOND_PROVIDER, FLAG_FEE_ON_TOP, ReceiveWithAuthorization, digest},
};

use serde::{Deserialize, Serialize};

use crate::{
    SettlementError,
    books::Change,
    facts::SettledFact,
    handle::Settlement,
    ledger::{About, Account, EntryKind, Side as Flow},
};

/// Where a bond is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BondState {
    /// In the wallet; it may be taken.
    Signed,
    /// In the escrow.
    Posted,
    /// In the wallet again.
    Returned,
    /// With the arbitrator.
    Lost,
}

impl BondState {
    const fn account(self) -> Account {
        match self {
            Self::Signed | Self::Returned => Account::Available,
            Self::Posted => Account::Escrowed,
            Self::Lost => Account::Forfeited,
        }
    }
}

/// A bond of one of our agents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bond {
    agent: Did,
    amount: Usdc,
    /// The order's amount, and whether its fee comes on top: with them the end of the order tells what was ruled.
    price: Usdc,
    fee_on_top: bool,
    state: BondState,
}

impl Bond {
    /// Where a settlement leaves the posted bond of `side`. The contract takes the buyer's for the arbitrator if the
    /// provider was awarded half or more, and the provider's if it was awarded less; without a ruling both go back.
    fn end(&self, side: u8, fact: &SettledFact) -> BondState {
        if fact.closed_by != ClosedBy::Ruling {
            return BondState::Returned;
        }
        let fee = if self.fee_on_top { 0 } else { fact.fee.units() };
        let awarded = u128::from(fact.paid.units()) + u128::from(fee);
        let buyer_lost = 2 * awarded >= u128::from(self.price.units());
        if buyer_lost == (side == BOND_BUYER) { BondState::Lost } else { BondState::Returned }
    }
}

impl Change<'_> {
    /// Moves a bond of ours from one state to another, and its money with it. One that is elsewhere stays.
    pub(crate) fn move_bond(
        &mut self,
        order: &OrderId,
        side: u8,
        from: BondState,
        to: BondState,
    ) -> Result<(), SettlementError> {
        let Some(mut bond) = self.bond(order, side)?.filter(|bond| bond.state == from) else { return Ok(()) };
        let kind = match (from, to) {
            (BondState::Signed, BondState::Posted) => EntryKind::BondPosted,
            (BondState::Posted, BondState::Returned) => EntryKind::BondReturned,
            (BondState::Posted, BondState::Lost) => EntryKind::BondLost,
            _ => EntryKind::BondUndone,
        };
        let moves = [(from.account(), Flow::Out, bond.amount), (to.account(), Flow::In, bond.amount)];
        self.post(&bond.agent, About { kind, order: Some(*order), key: None }, &moves)?;
        bond.state = to;
        self.put_bond(*order, side, bond);
        Ok(())
    }

    /// The order is over: what of its bonds is ours comes back, or is lost.
    pub(crate) fn end_bonds(&mut self, fact: &SettledFact) -> Result<(), SettlementError> {
        for side in [BOND_BUYER, BOND_PROVIDER] {
            if let Some(bond) = self.bond(&fact.order, side)? {
                self.move_bond(&fact.order, side, BondState::Posted, bond.end(side, fact))?;
            }
        }
        Ok(())
    }

    /// The chain took back how the order ended: its bonds are in the escrow again.
    pub(crate) fn reopen_bonds(&mut self, order: &OrderId) -> Result<(), SettlementError> {
        for side in [BOND_BUYER, BOND_PROVIDER] {
            for ended in [BondState::Returned, BondState::Lost] {
                self.move_bond(order, side, ended, BondState::Posted)?;
            }
        }
        Ok(())
    }
}

impl Settlement {
    /// The agent's bond for its side of a dispute about `evidence`, good until chain time `until`. Its nonce is the digest
    /// of order, side and evidence, so that the token takes it once, however often it is signed. Without a bond in the
    /// order it is the signature over that digest.
    ///
    /// # Errors
    /// `not_a_party`, `wallet_missing`, `insufficient_funds` if the wallet does not hold it, `rpc_down`.
    pub async fn sign_bond(
        &self,
        agent: &Did,
        order: &Order,
        side: Side,
        evidence: B256,
        until: Timestamp,
    ) -> Result<EvmSignature, SettlementError> {
        let (party, side) = match side {
            Side::Buyer => (order.buyer, BOND_BUYER),
            Side::Provider => (order.provider, BOND_PROVIDER),
        };
        self.own(agent, party)?;
        let id = self.escrow().order_id(order);
        let nonce = digest(&eip712::Bond { orderId: *id.as_b256(), side, evidence }, self.escrow().escrow_domain());
        if order.bond.is_zero() {
            return Ok(self.inner.wallet.sign(agent, &nonce)?);
        }
        let wanted = Usdc::try_from(order.bond).map_err(|_| SettlementError::OrderAmountInvalid)?;
        let wallet = self.wallet(agent).await?;
        if wallet.available < wanted {
            return Err(SettlementError::InsufficientFunds { available: wallet.available });
        }
        let payment = ReceiveWithAuthorization {
            from: party,
            to: self.escrow().escrow(),
            value: U256::from(order.bond),
            validAfter: U256::ZERO,
            validBefore: U256::from(until.as_secs()),
            nonce,
        };
        let signature = self.inner.wallet.sign(agent, &digest(&payment, self.escrow().token_domain()))?;
        let price = Usdc::try_from(order.amount).map_err(|_| SettlementError::OrderAmountInvalid)?;
        let fee_on_top = order.flags & FLAG_FEE_ON_TOP != 0;
        let bond = Bond { agent: *agent, amount: wanted, price, fee_on_top, state: BondState::Signed };
        self.change(move |_, change| {
            if change.bond(&id, side)?.is_none() {
                change.put_bond(id, side, bond);
            }
            Ok(())
        })
        .await?;
        Ok(signature)
    }
}

#[cfg(test)]
mod tests;
