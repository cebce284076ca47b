//! A small chain in memory with the escrow's rules: enough to count every unit of money.

use std::{collections::HashMap, sync::Arc, time::Duration};

use alloy_primitives::aliases::U96;
use haggle_base::{Address, B256, ClosedBy, EvmSignature, Hash, Order, OrderId, Timestamp, U256, Usdc, eip712};
use haggle_trade::{Closing, OnChain, Phase, PortError, TxRef, Venue};
use parking_lot::Mutex;

/// One order's slot.
#[derive(Clone, Copy, Debug)]
struct Slot {
    phase: Phase,
    tx: TxRef,
    deliverable: Option<Hash>,
    evidence: Option<Hash>,
}

#[derive(Debug)]
struct State {
    now: Timestamp,
    block: u64,
    balances: HashMap<Address, u64>,
    held: u64,
    owed: u64,
    slots: HashMap<OrderId, Slot>,
    /// Every transaction that went through, by name.
    log: Vec<&'static str>,
    down: bool,
}

/// The chain; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    venue: Venue,
    state: Arc<Mutex<State>>,
}

fn reverted(code: &'static str) -> PortError {
    PortError { code, hint: "look at the order's state", retryable: false, detail: code.to_owned() }
}

impl Chain {
    pub(crate) fn new(venue: Venue, now: Timestamp) -> Self {
        let state = State {
            now,
            block: 1,
            balances: HashMap::new(),
            held: 0,
            owed: 0,
            slots: HashMap::new(),
            log: Vec::new(),
            down: false,
        };
        Self { venue, state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn mint(&self, to: Address, amount: Usdc) {
        *self.state.lock().balances.entry(to).or_default() += amount.units();
    }

    pub(crate) fn balance(&self, of: Address) -> Usdc {
        Usdc::from_units(self.state.lock().balances.get(&of).copied().unwrap_or_default())
    }

    pub(crate) fn owed(&self) -> Usdc {
        Usdc::from_units(self.state.lock().owed)
    }

    /// Every unit there is: balances, escrowed, owed.
    pub(crate) fn total(&self) -> u64 {
        let state = self.state.lock();
        state.balances.values().sum::<u64>() + state.held + state.owed
    }

    pub(crate) fn log(&self) -> Vec<&'static str> {
        self.state.lock().log.clone()
    }

    pub(crate) fn advance(&self, by: Duration) {
        let mut state = self.state.lock();
        state.now = state.now.plus(by);
        state.block += 1;
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.state.lock().down = down;
    }

    pub(crate) fn now(&self) -> Result<Timestamp, PortError> {
        let state = self.state.lock();
        if state.down { Err(PortError::unreachable("rpc down")) } else { Ok(state.now) }
    }

    fn id(&self, order: &Order) -> OrderId {
        eip712::order_id(order, &eip712::escrow_domain(self.venue.chain_id, self.venue.escrow))
    }

    pub(crate) fn look(&self, order: &Order) -> Result<OnChain, PortError> {
        let state = self.state.lock();
        if state.down {
            return Err(PortError::unreachable("rpc down"));
        }
        Ok(match state.slots.get(&self.id(order)) {
            None => OnChain { phase: Phase::Unfunded, tx: None, deliverable: None, evidence: None },
            Some(slot) => {
                OnChain { phase: slot.phase, tx: Some(slot.tx), deliverable: slot.deliverable, evidence: slot.evidence }
            }
        })
    }

    /// One transaction: a new block, a name in the log, and the order's new phase.
    fn act(
        &self,
        name: &'static str,
        order: &Order,
        rule: impl FnOnce(&mut State, Option<Phase>) -> Result<Phase, PortError>,
    ) -> Result<TxRef, PortError> {
        let id = self.id(order);
        let mut state = self.state.lock();
        if state.down {
            return Err(PortError::unreachable("rpc down"));
        }
        let before = state.slots.get(&id).map(|slot| slot.phase);
        let phase = rule(&mut state, before)?;
        state.block += 1;
        let tx = TxRef { hash: B256::from(U256::from(state.block)), block: state.block };
        let slot = state.slots.get(&id);
        let (deliverable, evidence) = (slot.and_then(|slot| slot.deliverable), slot.and_then(|slot| slot.evidence));
        state.slots.insert(id, Slot { phase, tx, deliverable, evidence });
        state.log.push(name);
        Ok(tx)
    }

    pub(crate) fn fund(
        &self,
        order: &Order,
        buyer: &EvmSignature,
        provider: &EvmSignature,
    ) -> Result<TxRef, PortError> {
        let id = self.id(order);
        let deposit = order.deposit().ok_or(reverted("overflow"))?.to::<u64>();
        let payment = eip712::ReceiveWithAuthorization {
            from: order.buyer,
            to: self.venue.escrow,
            value: U256::from(deposit),
            validAfter: U256::ZERO,
            validBefore: U256::from(order.fundBy),
            nonce: *id.as_b256(),
        };
        let digest = eip712::digest(&payment, &eip712::token_domain(self.venue.chain_id, &self.venue.token));
        buyer.verify(&digest, order.buyer).map_err(|_| reverted("bad_signature"))?;
        provider.verify(id.as_b256(), order.provider).map_err(|_| reverted("bad_signature"))?;
        self.act("fund", order, |state, before| {
            if before.is_some() {
                return Err(reverted("bad_state"));
            }
            if state.now >= Timestamp::from_u40(order.fundBy) || order.amount.is_zero() {
                return Err(reverted("too_late"));
            }
            let balance = state.balances.entry(order.buyer).or_default();
            *balance = balance.checked_sub(deposit).ok_or(reverted("insufficient_balance"))?;
            state.held += deposit;
            Ok(Phase::Funded)
        })
    }

    pub(crate) fn release(&self, order: &Order, buyer: &EvmSignature) -> Result<TxRef, PortError> {
        let release = eip712::Release { orderId: *self.id(order).as_b256() };
        let digest = eip712::digest(&release, &eip712::escrow_domain(self.venue.chain_id, self.venue.escrow));
        buyer.verify(&digest, order.buyer).map_err(|_| reverted("bad_signature"))?;
        self.act("release", order, |state, before| settle(state, order, live(before)?, ClosedBy::Release))
    }

    pub(crate) fn refund(&self, order: &Order) -> Result<TxRef, PortError> {
        self.act("refund", order, |state, before| settle(state, order, live(before)?, ClosedBy::Refund))
    }

    /// The buyer's dispute with its bond.
    pub(crate) fn dispute(&self, order: &Order, evidence: &Hash, bond: &EvmSignature) -> Result<TxRef, PortError> {
        let Some(Phase::Delivered { review_ends }) = self.phase(order) else { return Err(reverted("bad_state")) };
        self.check_bond(order, order.buyer, eip712::BOND_BUYER, evidence, review_ends, bond)?;
        let tx = self.act("dispute", order, |state, _| {
            if state.now >= review_ends {
                return Err(reverted("too_late"));
            }
            state.take(order.buyer, order.bond.to())?;
            Ok(Phase::Disputed { ends: state.now.plus(Duration::from_secs(order.counterSecs.into())) })
        })?;
        self.note(order, |slot| slot.evidence = Some(*evidence));
        Ok(tx)
    }

    /// The provider's bond against it.
    pub(crate) fn counter(&self, order: &Order, bond: &EvmSignature) -> Result<TxRef, PortError> {
        let evidence = self.look(order)?.evidence.ok_or(reverted("bad_state"))?;
        let Some(Phase::Disputed { ends }) = self.phase(order) else { return Err(reverted("bad_state")) };
        self.check_bond(order, order.provider, eip712::BOND_PROVIDER, &evidence, ends, bond)?;
        self.act("counter", order, |state, _| {
            if state.now >= ends {
                return Err(reverted("too_late"));
            }
            state.take(order.provider, order.bond.to())?;
            Ok(Phase::Arbitrating { ends: state.now.plus(Duration::from_secs(order.ruleSecs.into())) })
        })
    }

    /// The arbitrator's word.
    pub(crate) fn rule(&self, order: &Order, pay: Usdc) -> Result<TxRef, PortError> {
        self.act("rule", order, |state, before| match before {
            Some(Phase::Arbitrating { ends }) if state.now < ends => {
                let bond = order.bond.to::<u64>();
                let buyer_loses = 2 * pay.units() >= order.amount.to::<u64>();
                let winner = if buyer_loses { order.provider } else { order.buyer };
                state.give(winner, bond);
                state.give(order.arbitrator, bond);
                state.pay_out(order, pay.units(), ClosedBy::Ruling)
            }
            _ => Err(reverted("bad_state")),
        })
    }

    /// Forgets that the order was ever funded, as if its blocks had left the chain.
    pub(crate) fn take_back_funding(&self, order: &Order) {
        let mut state = self.state.lock();
        if let Some(Slot { phase: Phase::Funded | Phase::Delivered { .. }, .. }) = state.slots.remove(&self.id(order)) {
            let deposit = order.deposit().unwrap().to::<u64>();
            state.held -= deposit;
            *state.balances.entry(order.buyer).or_default() += deposit;
            state.log.push("taken_back");
        }
    }

    /// Takes a release back: the order is funded as before it.
    pub(crate) fn has_ended_so(&self, closing: &Closing) -> Result<(), PortError> {
        let end = Phase::Settled { closed_by: closing.closed_by, paid: closing.paid, fee: closing.fee };
        if self.look(&closing.order)?.phase == end {
            return Ok(());
        }
        let (code, hint) = ("order_not_settled", "try again after the next block");
        Err(PortError { code, hint, retryable: true, detail: "the order has not ended so".to_owned() })
    }

    pub(crate) fn take_back_release(&self, order: &Order) {
        let id = self.id(order);
        let mut state = self.state.lock();
        let Some(Phase::Settled { paid, fee, .. }) = state.slots.get(&id).map(|slot| slot.phase) else { return };
        let deposit = order.deposit().unwrap().to::<u64>();
        *state.balances.entry(order.provider).or_default() -= paid.units();
        state.owed -= fee.units();
        state.held += deposit;
        assert_eq!(deposit, paid.units() + fee.units(), "the fee is on top");
        if let Some(slot) = state.slots.get_mut(&id) {
            slot.phase = Phase::Funded;
        }
        state.log.push("taken_back");
    }

    fn phase(&self, order: &Order) -> Option<Phase> {
        self.state.lock().slots.get(&self.id(order)).map(|slot| slot.phase)
    }

    fn note(&self, order: &Order, note: impl FnOnce(&mut Slot)) {
        if let Some(slot) = self.state.lock().slots.get_mut(&self.id(order)) {
            note(slot);
        }
    }

    fn check_bond(
        &self,
        order: &Order,
        from: Address,
        side: u8,
        evidence: &Hash,
        until: Timestamp,
        signature: &EvmSignature,
    ) -> Result<(), PortError> {
        let digest = bond_digest(&self.venue, order, from, side, evidence, until);
        signature.verify(&digest, from).map_err(|_| reverted("bad_signature"))
    }

    pub(crate) fn deliver(&self, order: &Order, deliverable: &Hash) -> Result<TxRef, PortError> {
        let tx = self.post(order)?;
        self.note(order, |slot| slot.deliverable = Some(*deliverable));
        Ok(tx)
    }

    fn post(&self, order: &Order) -> Result<TxRef, PortError> {
        self.act("deliver", order, |state, before| {
            if before != Some(Phase::Funded) {
                return Err(reverted("bad_state"));
            }
            if state.now >= Timestamp::from_u40(order.deliverBy) {
                return Err(reverted("too_late"));
            }
            Ok(Phase::Delivered { review_ends: state.now.plus(Duration::from_secs(order.reviewSecs.into())) })
        })
    }

    pub(crate) fn finalize(&self, order: &Order) -> Result<TxRef, PortError> {
        self.act("finalize", order, |state, before| match live(before)? {
            Phase::Delivered { review_ends } if state.now >= review_ends => {
                settle(state, order, Phase::Funded, ClosedBy::Timeout)
            }
            Phase::Disputed { ends } if state.now >= ends => {
                state.give(order.buyer, order.bond.to());
                state.pay_out(order, 0, ClosedBy::Uncountered)
            }
            Phase::Arbitrating { ends } if state.now >= ends => {
                state.give(order.buyer, order.bond.to());
                state.give(order.provider, order.bond.to());
                let pay = order.amount.to::<u64>() * u64::from(order.silentBps) / 10_000;
                state.pay_out(order, pay, ClosedBy::Silent)
            }
            Phase::Funded if state.now >= Timestamp::from_u40(order.deliverBy) => {
                settle(state, order, Phase::Funded, ClosedBy::Expired)
            }
            _ => Err(reverted("too_early")),
        })
    }
}

fn live(before: Option<Phase>) -> Result<Phase, PortError> {
    match before {
        Some(
            phase @ (Phase::Funded | Phase::Delivered { .. } | Phase::Disputed { .. } | Phase::Arbitrating { .. }),
        ) => Ok(phase),
        Some(_) | None => Err(reverted("bad_state")),
    }
}

fn settle(state: &mut State, order: &Order, _live: Phase, closed_by: ClosedBy) -> Result<Phase, PortError> {
    let paid = match closed_by {
        ClosedBy::Release | ClosedBy::Timeout | ClosedBy::UndeliveredPaid => order.amount.to::<u64>(),
        ClosedBy::Refund | ClosedBy::Expired => 0,
        other => panic!("nothing here ends an order by {other:?}"),
    };
    state.pay_out(order, paid, closed_by)
}

impl State {
    /// Puts a bond into the escrow.
    fn take(&mut self, from: Address, units: u64) -> Result<(), PortError> {
        let balance = self.balances.entry(from).or_default();
        *balance = balance.checked_sub(units).ok_or(reverted("insufficient_balance"))?;
        self.held += units;
        Ok(())
    }

    /// Pays a bond out of the escrow.
    fn give(&mut self, to: Address, units: u64) {
        self.held -= units;
        *self.balances.entry(to).or_default() += units;
    }

    fn pay_out(&mut self, order: &Order, paid: u64, closed_by: ClosedBy) -> Result<Phase, PortError> {
        let deposit = order.deposit().ok_or(reverted("overflow"))?.to::<u64>();
        let fee = order.fee_on(U96::from(paid)).to::<u64>();
        let on_top = order.flags & eip712::FLAG_FEE_ON_TOP != 0;
        let to_provider = if on_top { paid } else { paid - fee };
        self.held -= deposit;
        self.owed += fee;
        *self.balances.entry(order.provider).or_default() += to_provider;
        *self.balances.entry(order.buyer).or_default() += deposit - fee - to_provider;
        Ok(Phase::Settled { closed_by, paid: Usdc::from_units(paid), fee: Usdc::from_units(fee) })
    }
}

/// What a side signs for its bond.
pub(crate) fn bond_digest(
    venue: &Venue,
    order: &Order,
    from: Address,
    side: u8,
    evidence: &Hash,
    until: Timestamp,
) -> B256 {
    let escrow = eip712::escrow_domain(venue.chain_id, venue.escrow);
    let id = eip712::order_id(order, &escrow);
    let bond = eip712::Bond { orderId: *id.as_b256(), side, evidence: B256::from(*evidence.as_bytes()) };
    let payment = eip712::ReceiveWithAuthorization {
        from,
        to: venue.escrow,
        value: order.bond.to(),
        validAfter: U256::ZERO,
        validBefore: U256::from(until.as_secs()),
        nonce: eip712::digest(&bond, &escrow),
    };
    eip712::digest(&payment, &eip712::token_domain(venue.chain_id, &venue.token))
}
