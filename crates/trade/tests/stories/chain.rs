//! A small chain in memory with the escrow's rules: enough to count every unit of money.

use std::{collections::HashMap, sync::Arc, time::Duration};

use haggle_base::{Address, B256, ClosedBy, EvmSignature, Order, OrderId, Timestamp, U256, Usdc, eip712};
use haggle_trade::{OnChain, Phase, PortError, TxRef, Venue};
use parking_lot::Mutex;

/// One order's slot.
#[derive(Clone, Copy, Debug)]
struct Slot {
    phase: Phase,
    tx: TxRef,
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
            None => OnChain { phase: Phase::Unfunded, tx: None },
            Some(slot) => OnChain { phase: slot.phase, tx: Some(slot.tx) },
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
        state.slots.insert(id, Slot { phase, tx });
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

    pub(crate) fn deliver(&self, order: &Order) -> Result<TxRef, PortError> {
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
            Phase::Funded if state.now >= Timestamp::from_u40(order.deliverBy) => {
                settle(state, order, Phase::Funded, ClosedBy::Expired)
            }
            _ => Err(reverted("too_early")),
        })
    }
}

fn live(before: Option<Phase>) -> Result<Phase, PortError> {
    match before {
        Some(phase @ (Phase::Funded | Phase::Delivered { .. })) => Ok(phase),
        Some(_) | None => Err(reverted("bad_state")),
    }
}

fn settle(state: &mut State, order: &Order, _live: Phase, closed_by: ClosedBy) -> Result<Phase, PortError> {
    let deposit = order.deposit().ok_or(reverted("overflow"))?.to::<u64>();
    let amount = order.amount.to::<u64>();
    let (paid, fee) = match closed_by {
        ClosedBy::Release | ClosedBy::Timeout | ClosedBy::UndeliveredPaid => {
            (amount, order.fee_on(order.amount).to::<u64>())
        }
        ClosedBy::Refund | ClosedBy::Expired => (0, 0),
        other => panic!("nothing here ends an order by {other:?}"),
    };
    let on_top = order.flags & eip712::FLAG_FEE_ON_TOP != 0;
    let to_provider = if on_top { paid } else { paid - fee };
    state.held -= deposit;
    state.owed += fee;
    *state.balances.entry(order.provider).or_default() += to_provider;
    *state.balances.entry(order.buyer).or_default() += deposit - fee - to_provider;
    Ok(Phase::Settled { closed_by, paid: Usdc::from_units(paid), fee: Usdc::from_units(fee) })
}
