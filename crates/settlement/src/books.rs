//! The open books in memory, and a change to them that is stored before it is believed.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use haggle_base::{
    Did, OrderId, Text, Timestamp, Usdc,
    eip712::{BOND_BUYER, BOND_PROVIDER},
};
use haggle_store::{Batch, Store};

use crate::{
    bond::{Bond, BondState},
    budget::{self, Budget, Limits, Reservation, ReservationKey, Stage},
    error::SettlementError,
    events::PaymentEvent,
    facts::{Cursor, Fact, FundedFact, SettledFact},
    ledger::{About, Account, Accounts, Entry, EntryKind, Side},
    payment::{self, Payment},
    records::{AgentRow, Agents, Bonds, Facts, FactsByOrder, Ledger, Payments, Reservations, TakenBack},
};

/// One agent's budget and accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AgentBooks {
    pub(crate) budget: Budget,
    /// The limits that were set for this agent; without them the config's apply.
    pub(crate) own_limits: Option<Limits>,
    pub(crate) accounts: Accounts,
    pub(crate) next_entry: u64,
}

/// Everything settlement keeps in memory. Only a stored [`Change`] alters it.
#[derive(Debug)]
pub(crate) struct Books {
    pub(crate) agents: BTreeMap<Did, AgentBooks>,
    pub(crate) cursor: Cursor,
    /// The block of the cursor that is stored; the one in memory runs ahead over empty blocks.
    pub(crate) stored_block: u64,
    /// Rises with every change that came from the chain.
    pub(crate) chain_changes: u64,
    pub(crate) limits: Limits,
}

impl Books {
    /// Reads the agents and their open reservations from the store.
    pub(crate) fn load(store: &Store, limits: Limits, cursor: Cursor) -> Result<Self, SettlementError> {
        let mut agents = BTreeMap::new();
        for (did, row) in store.range::<Agents>(std::ops::Bound::Unbounded, usize::MAX)? {
            let budget = Budget::restored(row.limits.unwrap_or(limits), row.day, row.spent);
            let (own_limits, accounts, next_entry) = (row.limits, row.accounts, row.next_entry);
            agents.insert(did, AgentBooks { budget, own_limits, accounts, next_entry });
        }
        for (key, reservation) in store.range::<Reservations>(std::ops::Bound::Unbounded, usize::MAX)? {
            let key = ReservationKey::try_from(key).map_err(|_| SettlementError::ReservationKeyInvalid)?;
            if let Some(books) = agents.get_mut(&reservation.agent) {
                books.budget.restore(key, reservation);
            }
        }
        Ok(Self { agents, cursor, stored_block: cursor.block, chain_changes: 0, limits })
    }
}

/// Where money moved without an order: by which transaction, what for, and with whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Direct<'a> {
    pub(crate) tx: B256,
    pub(crate) memo: &'a str,
    pub(crate) party: Option<Did>,
}

/// A change being prepared: reads through to the books and the store, writes only to itself.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    books: &'a Books,
    store: &'a Store,
    now: Timestamp,
    agents: BTreeMap<Did, AgentBooks>,
    payments: BTreeMap<OrderId, Payment>,
    bonds: BTreeMap<(OrderId, u8), Bond>,
    reservations: BTreeMap<ReservationKey, Option<Reservation>>,
    entries: Vec<((Did, u64), Entry)>,
    cursor: Option<(Cursor, bool)>,
    from_chain: bool,
    pub(crate) events: Vec<PaymentEvent>,
    pub(crate) batch: Batch,
}

/// A change ready to be stored.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) batch: Batch,
    pub(crate) memory: Memory,
    pub(crate) events: Vec<PaymentEvent>,
}

/// What the books take over once a change is stored.
#[derive(Debug)]
pub(crate) struct Memory {
    agents: BTreeMap<Did, AgentBooks>,
    cursor: Option<(Cursor, bool)>,
    from_chain: bool,
}

impl Memory {
    pub(crate) fn remember(self, books: &mut Books) {
        books.agents.extend(self.agents);
        let mut moved = self.from_chain;
        if let Some((cursor, stored)) = self.cursor {
            if stored {
                books.stored_block = cursor.block;
                moved = true;
            }
            books.cursor = cursor;
        }
        books.chain_changes += u64::from(moved);
    }
}

impl<'a> Change<'a> {
    pub(crate) fn new(books: &'a Books, store: &'a Store, now: Timestamp) -> Self {
        Self {
            books,
            store,
            now,
            agents: BTreeMap::new(),
            payments: BTreeMap::new(),
            bonds: BTreeMap::new(),
            reservations: BTreeMap::new(),
            entries: Vec::new(),
            cursor: None,
            from_chain: false,
            events: Vec::new(),
            batch: Batch::new(),
        }
    }

    /// When the change is made, in wall time.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// How far the chain was read before this change.
    pub(crate) fn cursor(&self) -> Cursor {
        self.books.cursor
    }

    /// The block of the cursor that is stored.
    pub(crate) fn stored_block(&self) -> u64 {
        self.books.stored_block
    }

    /// See [`Books::chain_changes`].
    pub(crate) fn chain_changes(&self) -> u64 {
        self.books.chain_changes
    }

    /// Moves the cursor in memory when the change is stored; `stored` says whether the change stores it too.
    pub(crate) fn move_cursor(&mut self, to: Cursor, stored: bool) {
        self.cursor = Some((to, stored));
    }

    /// The agent's books in this change.
    pub(crate) fn agent(&mut self, did: &Did) -> &mut AgentBooks {
        let (books, limits) = (self.books, self.books.limits);
        self.agents.entry(*did).or_insert_with(|| {
            books.agents.get(did).cloned().unwrap_or_else(|| AgentBooks {
                budget: Budget::new(limits),
                own_limits: None,
                accounts: Accounts::default(),
                next_entry: 0,
            })
        })
    }

    /// The payment of this order as this change sees it.
    pub(crate) fn payment(&self, order: &OrderId) -> Result<Option<Payment>, SettlementError> {
        match self.payments.get(order) {
            Some(payment) => Ok(Some(payment.clone())),
            None => Ok(self.store.get::<Payments>(order)?),
        }
    }

    pub(crate) fn put_payment(&mut self, payment: Payment) {
        self.payments.insert(payment.order, payment);
    }

    /// The bond of one side of an order, if this node signed it.
    pub(crate) fn bond(&self, order: &OrderId, side: u8) -> Result<Option<Bond>, SettlementError> {
        match self.bonds.get(&(*order, side)) {
            Some(bond) => Ok(Some(bond.clone())),
            None => Ok(self.store.get::<Bonds>(&(*order, side))?),
        }
    }

    pub(crate) fn put_bond(&mut self, order: OrderId, side: u8, bond: Bond) {
        self.bonds.insert((order, side), bond);
    }

    /// The stored row of a reservation, also of a closed one.
    pub(crate) fn reservation_row(&self, key: &ReservationKey) -> Result<Option<Reservation>, SettlementError> {
        match self.reservations.get(key) {
            Some(row) => Ok(row.clone()),
            None => Ok(self.store.get::<Reservations>(&key.as_str().to_owned())?),
        }
    }

    /// Stores the reservation as the agent's budget has it now; without one the row goes.
    pub(crate) fn keep_reservation(&mut self, agent: &Did, key: &ReservationKey) {
        let row = self.agent(agent).budget.reservation(key).cloned();
        self.reservations.insert(key.clone(), row);
    }

    /// Stores a reservation that is over.
    pub(crate) fn keep_closed(&mut self, key: ReservationKey, row: Reservation) {
        self.reservations.insert(key, Some(row));
    }

    /// Posts an entry to the agent's accounts.
    pub(crate) fn post(
        &mut self,
        agent: &Did,
        about: About,
        moves: &[(Account, Side, Usdc)],
    ) -> Result<(), SettlementError> {
        let now = self.now;
        let books = self.agent(agent);
        if let Some(entry) = books.accounts.post(about, moves, now)? {
            let number = books.next_entry;
            books.next_entry += 1;
            self.entries.push(((*agent, number), entry));
        }
        Ok(())
    }

    /// Posts an entry for money that moved without an order.
    pub(crate) fn post_direct(
        &mut self,
        agent: &Did,
        kind: EntryKind,
        moves: &[(Account, Side, Usdc)],
        direct: &Direct<'_>,
    ) -> Result<(), SettlementError> {
        let posted = self.entries.len();
        self.post(agent, About { kind, order: None, key: None }, moves)?;
        for (_, entry) in self.entries.iter_mut().skip(posted) {
            entry.tx = Some(direct.tx);
            entry.memo = Text::try_from(direct.memo).ok().filter(|memo| !memo.is_empty());
            entry.party = direct.party;
        }
        Ok(())
    }

    /// Frees what a reservation set aside.
    pub(crate) fn post_release(
        &mut self,
        agent: &Did,
        key: &ReservationKey,
        amount: Usdc,
    ) -> Result<(), SettlementError> {
        let about = About { kind: EntryKind::Released, order: None, key: Some(key.clone()) };
        self.post(agent, about, &[(Account::Reserved, Side::Out, amount), (Account::Available, Side::In, amount)])?;
        self.events.push(PaymentEvent::Released { agent: *agent, key: key.clone(), amount });
        Ok(())
    }

    /// Ends unsigned reservations whose time is over.
    pub(crate) fn expire(&mut self, agent: &Did) -> Result<(), SettlementError> {
        let now = self.now;
        for key in self.agent(agent).budget.expired(now) {
            if let budget::event::Cancel::Cancelled { amount } = self.agent(agent).budget.cancel(&key) {
                self.post_release(agent, &key, amount)?;
                self.keep_reservation(agent, &key);
            }
        }
        Ok(())
    }

    /// Books one new fact. `earner` is the agent of this home that the fact pays, if it pays one.
    pub(crate) fn book(&mut self, fact: &Fact, earner: Option<Did>) -> Result<(), SettlementError> {
        self.keep_fact(fact)?;
        match fact {
            Fact::Funded(funded) => {
                self.book_funded(funded)?;
                self.events.push(PaymentEvent::Funded(*funded));
            }
            Fact::Delivered(delivered) => self.events.push(PaymentEvent::Delivered(*delivered)),
            Fact::Disputed(disputed) => {
                self.move_bond(&disputed.order, BOND_BUYER, BondState::Signed, BondState::Posted)?;
            }
            Fact::Countered(countered) => {
                self.move_bond(&countered.order, BOND_PROVIDER, BondState::Signed, BondState::Posted)?;
            }
            Fact::Settled(settled) => {
                self.book_settled(settled)?;
                if let Some(earner) = earner {
                    let about = About { kind: EntryKind::Earned, order: Some(settled.order), key: None };
                    let moves =
                        [(Account::Available, Side::In, settled.paid), (Account::Earned, Side::Out, settled.paid)];
                    self.post(&earner, about, &moves)?;
                }
                self.end_bonds(settled)?;
                self.events.push(PaymentEvent::Settled(*settled));
            }
            Fact::Credited(_) | Fact::Withdrawn(_) => {}
        }
        Ok(())
    }

    fn keep_fact(&mut self, fact: &Fact) -> Result<(), SettlementError> {
        let place = fact.place();
        self.batch.put::<Facts>(&(place.block, place.index), fact)?;
        if let Some(order) = fact.order() {
            self.batch.put::<FactsByOrder>(&(order, place.block, place.index), &0)?;
        }
        Ok(())
    }

    fn book_funded(&mut self, fact: &FundedFact) -> Result<(), SettlementError> {
        let Some(mut payment) = self.payment(&fact.order)? else { return Ok(()) };
        let (agent, key, deposit) = (payment.agent, payment.key.clone(), payment.deposit);
        let about = About { kind: EntryKind::Funded, order: Some(fact.order), key: Some(key.clone()) };
        match payment.fund(*fact) {
            payment::Fund::AlreadyFunded => return Ok(()),
            payment::Fund::Funded => {
                let budget::event::Fund::Funded { reserved } = self.agent(&agent).budget.fund(&key) else {
                    return Err(SettlementError::FactsInconsistent);
                };
                let rest = reserved.checked_sub(deposit).ok_or(SettlementError::FactsInconsistent)?;
                let moves = [
                    (Account::Reserved, Side::Out, reserved),
                    (Account::Escrowed, Side::In, deposit),
                    (Account::Available, Side::In, rest),
                ];
                self.post(&agent, about, &moves)?;
            }
            payment::Fund::Revived => {
                let row = self.reservation_row(&key)?.ok_or(SettlementError::FactsInconsistent)?;
                self.agent(&agent).budget.reopen(key.clone(), row);
                let moves = [(Account::Available, Side::Out, deposit), (Account::Escrowed, Side::In, deposit)];
                self.post(&agent, about, &moves)?;
            }
        }
        self.keep_reservation(&agent, &key);
        self.put_payment(payment);
        Ok(())
    }

    fn book_settled(&mut self, fact: &SettledFact) -> Result<(), SettlementError> {
        let Some(mut payment) = self.payment(&fact.order)? else { return Ok(()) };
        let (agent, key, deposit) = (payment.agent, payment.key.clone(), payment.deposit);
        let kind = match payment.close(*fact) {
            payment::Close::AlreadyClosed => return Ok(()),
            payment::Close::Inconsistent => return Err(SettlementError::FactsInconsistent),
            payment::Close::Settled => EntryKind::Settled,
            payment::Close::Refunded => EntryKind::Refunded,
        };
        let gone = deposit.checked_sub(fact.refunded).ok_or(SettlementError::FactsInconsistent)?;
        let budget::event::Close::Closed(row) = self.agent(&agent).budget.close(&key, gone) else {
            return Err(SettlementError::FactsInconsistent);
        };
        self.reservations.insert(key.clone(), Some(row));
        let about = About { kind, order: Some(fact.order), key: Some(key) };
        self.post(&agent, about, &settled_moves(deposit, fact))?;
        self.put_payment(payment);
        Ok(())
    }

    /// Takes one fact back that is no longer on the chain.
    pub(crate) fn undo(&mut self, fact: &Fact, earner: Option<Did>) -> Result<(), SettlementError> {
        let place = fact.place();
        self.batch.delete::<Facts>(&(place.block, place.index));
        if let Some(order) = fact.order() {
            self.batch.delete::<FactsByOrder>(&(order, place.block, place.index));
            self.events.push(PaymentEvent::Undone { order });
        }
        match fact {
            Fact::Funded(funded) => self.undo_funded(funded),
            Fact::Settled(settled) => {
                self.batch.put::<TakenBack>(&settled.order, &0)?;
                self.reopen_bonds(&settled.order)?;
                if let Some(earner) = earner {
                    let about = About { kind: EntryKind::EarningUndone, order: Some(settled.order), key: None };
                    let moves =
                        [(Account::Available, Side::Out, settled.paid), (Account::Earned, Side::In, settled.paid)];
                    self.post(&earner, about, &moves)?;
                }
                self.undo_settled(settled)
            }
            Fact::Disputed(disputed) => {
                self.move_bond(&disputed.order, BOND_BUYER, BondState::Posted, BondState::Signed)
            }
            Fact::Countered(countered) => {
                self.move_bond(&countered.order, BOND_PROVIDER, BondState::Posted, BondState::Signed)
            }
            Fact::Delivered(_) | Fact::Credited(_) | Fact::Withdrawn(_) => Ok(()),
        }
    }

    fn undo_funded(&mut self, fact: &FundedFact) -> Result<(), SettlementError> {
        let Some(mut payment) = self.payment(&fact.order)? else { return Ok(()) };
        let (agent, key, deposit) = (payment.agent, payment.key.clone(), payment.deposit);
        if payment.unfund().is_none() {
            return Ok(());
        }
        let Some(reserved) = self.agent(&agent).budget.unfund(&key).map(|r| r.amount) else {
            return Err(SettlementError::FactsInconsistent);
        };
        let rest = reserved.checked_sub(deposit).ok_or(SettlementError::FactsInconsistent)?;
        let about = About { kind: EntryKind::FundingUndone, order: Some(fact.order), key: Some(key.clone()) };
        let moves = [
            (Account::Escrowed, Side::Out, deposit),
            (Account::Available, Side::Out, rest),
            (Account::Reserved, Side::In, reserved),
        ];
        self.post(&agent, about, &moves)?;
        self.keep_reservation(&agent, &key);
        self.put_payment(payment);
        Ok(())
    }

    fn undo_settled(&mut self, fact: &SettledFact) -> Result<(), SettlementError> {
        let Some(mut payment) = self.payment(&fact.order)? else { return Ok(()) };
        let (agent, key, deposit) = (payment.agent, payment.key.clone(), payment.deposit);
        let Some(fact) = payment.reopen() else { return Ok(()) };
        let row = self.reservation_row(&key)?.ok_or(SettlementError::FactsInconsistent)?;
        self.agent(&agent).budget.reopen(key.clone(), row);
        let about = About { kind: EntryKind::SettlementUndone, order: Some(fact.order), key: Some(key.clone()) };
        let moves = settled_moves(deposit, &fact).map(|(account, side, amount)| match side {
            Side::In => (account, Side::Out, amount),
            Side::Out => (account, Side::In, amount),
        });
        self.post(&agent, about, &moves)?;
        self.keep_reservation(&agent, &key);
        self.put_payment(payment);
        Ok(())
    }

    /// Gives up a payment that was not funded in time.
    pub(crate) fn abandon(&mut self, order: &OrderId, chain_now: Timestamp) -> Result<(), SettlementError> {
        let Some(mut payment) = self.payment(order)? else { return Ok(()) };
        if payment.abandon(chain_now) != payment::Abandon::Abandoned {
            return Ok(());
        }
        let (agent, key) = (payment.agent, payment.key.clone());
        let budget::event::Close::Closed(row) = self.agent(&agent).budget.close(&key, Usdc::ZERO) else {
            return Err(SettlementError::FactsInconsistent);
        };
        self.post_release(&agent, &key, row.amount)?;
        self.reservations.insert(key, Some(row));
        self.events.push(PaymentEvent::Abandoned { agent, order: *order });
        self.put_payment(payment);
        Ok(())
    }

    /// A signed transfer has left the wallet: what its reservation held went to `account`.
    pub(crate) fn pay_out(
        &mut self,
        agent: &Did,
        key: &ReservationKey,
        amount: Usdc,
        kind: EntryKind,
        account: Account,
    ) -> Result<(), SettlementError> {
        let order = self.close_signed(agent, key, amount)?.order();
        let about = About { kind, order, key: Some(key.clone()) };
        self.post(agent, about, &[(Account::Reserved, Side::Out, amount), (account, Side::In, amount)])
    }

    /// A signed transfer can no longer be used: what its reservation held is free.
    pub(crate) fn let_lapse(&mut self, agent: &Did, key: &ReservationKey) -> Result<(), SettlementError> {
        let row = self.close_signed(agent, key, Usdc::ZERO)?;
        self.post_release(agent, key, row.amount)
    }

    /// The chain took a transfer back: its signature is out, and the money is in the wallet.
    pub(crate) fn take_back(
        &mut self,
        agent: &Did,
        key: &ReservationKey,
        amount: Usdc,
        account: Account,
    ) -> Result<(), SettlementError> {
        let row = self.reservation_row(key)?.ok_or(SettlementError::FactsInconsistent)?;
        let order = row.order();
        self.agent(agent).budget.reopen(key.clone(), row);
        if self.agent(agent).budget.unfund(key).is_none() {
            return Err(SettlementError::FactsInconsistent);
        }
        self.keep_reservation(agent, key);
        self.from_chain = true;
        let about = About { kind: EntryKind::PaymentUndone, order, key: Some(key.clone()) };
        self.post(agent, about, &[(account, Side::Out, amount), (Account::Reserved, Side::In, amount)])
    }

    fn close_signed(&mut self, agent: &Did, key: &ReservationKey, spent: Usdc) -> Result<Reservation, SettlementError> {
        let budget::event::Close::Closed(row) = self.agent(agent).budget.close(key, spent) else {
            return Err(SettlementError::FactsInconsistent);
        };
        self.reservations.insert(key.clone(), Some(row.clone()));
        self.from_chain = true;
        Ok(row)
    }

    /// Turns the change into rows.
    pub(crate) fn finish(mut self) -> Result<Ready, SettlementError> {
        let before = &self.books.agents;
        self.agents.retain(|did, books| before.get(did) != Some(books));
        for (did, books) in &self.agents {
            let (day, spent) = books.budget.spent_on_day();
            let row = AgentRow {
                limits: books.own_limits,
                day,
                spent,
                accounts: books.accounts,
                next_entry: books.next_entry,
            };
            self.batch.put::<Agents>(did, &row)?;
        }
        for (order, payment) in &self.payments {
            self.batch.put::<Payments>(order, payment)?;
        }
        for (key, bond) in &self.bonds {
            self.batch.put::<Bonds>(key, bond)?;
        }
        for (key, row) in &self.reservations {
            let key = key.as_str().to_owned();
            match row {
                Some(row) => self.batch.put::<Reservations>(&key, row)?,
                None => self.batch.delete::<Reservations>(&key),
            };
        }
        for (key, entry) in &self.entries {
            self.batch.put::<Ledger>(key, entry)?;
        }
        let memory = Memory { agents: self.agents, cursor: self.cursor, from_chain: self.from_chain };
        Ok(Ready { batch: self.batch, memory, events: self.events })
    }
}

/// How a settlement moves the deposit of the buyer.
fn settled_moves(deposit: Usdc, fact: &SettledFact) -> [(Account, Side, Usdc); 4] {
    [
        (Account::Escrowed, Side::Out, deposit),
        (Account::Spent, Side::In, fact.paid),
        (Account::Fees, Side::In, fact.fee),
        (Account::Available, Side::In, fact.refunded),
    ]
}

impl Books {
    /// The orders whose payment is signed and not funded.
    pub(crate) fn signed_orders(&self) -> Vec<OrderId> {
        let signed = |r: &Reservation| match r.stage {
            Stage::Signed { order } => Some(order),
            Stage::Held | Stage::Funded { .. } | Stage::Closed { .. } => None,
        };
        self.agents.values().flat_map(|books| books.budget.open()).filter_map(|(_, r)| signed(r)).collect()
    }
}
