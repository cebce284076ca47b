//! Following the chain: new facts are booked once, facts that left the chain are taken back.

use std::ops::Bound;

use haggle_base::{Did, OrderId};

use crate::{
    SettlementError,
    facts::{Cursor, Fact, SettledFact},
    handle::{Inner, Settlement},
    payment::PaymentState,
    ports::{News, OnChain},
    records::{Checkpoints, CursorRow, Facts, Payments, TakenBack},
};

/// Facts booked in one transaction; a block with more is still booked whole.
const FACTS_AT_ONCE: usize = 128;
/// Empty blocks after which the cursor is stored although nothing happened.
const QUIET_BLOCKS: u64 = 64;
/// Earlier cursors kept for reorganisations. One that is deeper starts over from the beginning.
const CHECKPOINTS: usize = 128;

impl Settlement {
    /// One step of following the chain: reads news, books them, ends what has run out. Returns how many facts were booked.
    /// Call it in a loop, at the chain's pace.
    ///
    /// # Errors
    /// `rpc_down` leaves everything as it was; `chain_facts_inconsistent` books nothing of what was read.
    pub async fn follow_once(&self) -> Result<usize, SettlementError> {
        let _alone = self.inner.following.lock().await;
        let cursor = self.cursor().await;
        let (from, facts, next) = self.read_on(cursor).await?;
        if from != cursor {
            tracing::warn!(
                chain.block = cursor.block,
                chain.back_to = from.block,
                "block {} left the chain, going back to {}",
                cursor.block,
                from.block
            );
            self.rewind(from).await?;
        }
        let booked = self.ingest_facts(facts, next).await?;
        self.end_what_ran_out().await?;
        Ok(booked)
    }

    /// Reads on from the cursor. If its block left the chain, from the newest checkpoint whose block did not: nothing that
    /// still holds is taken back, and one call finds the way however deep the reorganisation is.
    async fn read_on(&self, cursor: Cursor) -> Result<(Cursor, Vec<Fact>, Cursor), SettlementError> {
        let mut from = cursor;
        loop {
            match self.inner.chain.poll(&from).await? {
                News::Facts { facts, next } => return Ok((from, facts, next)),
                News::Reorged if from == self.inner.config.start => return Ok((from, Vec::new(), from)),
                News::Reorged => from = self.checkpoint_before(from.block)?,
            }
        }
    }

    /// How far the chain was read.
    pub async fn cursor(&self) -> Cursor {
        self.inner.books.lock().await.cursor
    }

    /// Books the facts of whole blocks, in the order of the chain, and moves the cursor to `next`, in one transaction.
    /// Facts at or before the cursor were booked before and are skipped. Returns how many were new.
    ///
    /// # Errors
    /// `chain_facts_inconsistent` books nothing of the blocks at fault.
    pub async fn ingest_facts(&self, mut facts: Vec<Fact>, next: Cursor) -> Result<usize, SettlementError> {
        facts.sort_by_key(|fact| (fact.place().block, fact.place().index));
        let mut booked = 0;
        while !facts.is_empty() {
            let rest = facts.split_off(whole_blocks(&facts));
            let until = match (rest.is_empty(), facts.last()) {
                (false, Some(last)) => Cursor { block: last.place().block, hash: last.place().hash },
                _ => next,
            };
            booked += self.book(facts, until).await?;
            facts = rest;
        }
        self.book(Vec::new(), next).await?;
        Ok(booked)
    }

    /// Takes back everything after `to` and reads the chain again from there.
    ///
    /// # Errors
    /// The store failed; the next call, or the next start, goes on where this one stopped.
    pub async fn rewind(&self, to: Cursor) -> Result<(), SettlementError> {
        self.change(move |inner, change| {
            if change.cursor().block < to.block {
                return Ok(());
            }
            for (block, _) in inner.store.range::<Checkpoints>(Bound::Excluded(&to.block), usize::MAX)? {
                change.batch.delete::<Checkpoints>(&block);
            }
            change.batch.put::<CursorRow>(&(), &to)?;
            change.move_cursor(to, true);
            Ok(())
        })
        .await?;
        self.undo_beyond_cursor().await
    }

    /// Takes back stored facts that are after the cursor, newest first, a few at a time.
    pub(crate) async fn undo_beyond_cursor(&self) -> Result<(), SettlementError> {
        loop {
            let undone = self
                .change(|inner, change| {
                    let beyond = (change.cursor().block, u32::MAX);
                    let newest = inner.store.range_back::<Facts>(Bound::Unbounded, FACTS_AT_ONCE)?;
                    let gone = newest.into_iter().take_while(|(place, _)| *place > beyond);
                    let mut undone = 0;
                    for (_, fact) in gone {
                        change.undo(&fact, inner.earner(&fact))?;
                        undone += 1;
                    }
                    Ok(undone)
                })
                .await?;
            if undone < FACTS_AT_ONCE {
                return Ok(());
            }
        }
    }

    /// Orders whose end the chain took back and whose followers were not told, at most `limit`. It is stored with the
    /// bookings that were undone: an event may be missed, this is there until [`Self::told_of_taking_back`].
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn orders_taken_back(&self, limit: usize) -> Result<Vec<OrderId>, SettlementError> {
        let rows = self.inner.store.range::<TakenBack>(Bound::Unbounded, limit)?;
        Ok(rows.into_iter().map(|(order, _)| order).collect())
    }

    /// Whoever follows the order has stored what follows from its end being `seen` now. If that has changed since, the
    /// order stays in the list.
    ///
    /// # Errors
    /// The store failed.
    pub async fn told_of_taking_back(&self, order: &OrderId, seen: Option<SettledFact>) -> Result<(), SettlementError> {
        let (order, settlement) = (*order, self.clone());
        self.change(move |_, change| {
            if settlement.facts_of(&order)?.settled == seen {
                change.batch.delete::<TakenBack>(&order);
            }
            Ok(())
        })
        .await
    }

    async fn book(&self, facts: Vec<Fact>, until: Cursor) -> Result<usize, SettlementError> {
        self.change(move |inner, change| {
            let cursor = change.cursor();
            if until.block < cursor.block {
                return Ok(0);
            }
            let mut booked = 0;
            for fact in facts.iter().filter(|fact| fact.place().block > cursor.block) {
                change.book(fact, inner.earner(fact))?;
                booked += 1;
            }
            let quiet = booked == 0 && until.block < change.stored_block() + QUIET_BLOCKS;
            if until.block > cursor.block && !quiet {
                change.batch.put::<CursorRow>(&(), &until)?;
                change.batch.put::<Checkpoints>(&until.block, &until.hash)?;
                let kept = inner.store.range_back::<Checkpoints>(Bound::Unbounded, CHECKPOINTS)?;
                if let Some((oldest, _)) = kept.last().filter(|_| kept.len() == CHECKPOINTS) {
                    change.batch.delete::<Checkpoints>(oldest);
                }
            }
            change.move_cursor(until, !quiet);
            Ok(booked)
        })
        .await
    }

    fn checkpoint_before(&self, block: u64) -> Result<Cursor, SettlementError> {
        let earlier = self.inner.store.range_back::<Checkpoints>(Bound::Excluded(&block), 1)?;
        Ok(earlier.first().map_or(self.inner.config.start, |(block, hash)| Cursor { block: *block, hash: *hash }))
    }

    /// Frees reservations whose time is over, and payments that can no longer be funded.
    async fn end_what_ran_out(&self) -> Result<(), SettlementError> {
        let (agents, signed): (Vec<Did>, Vec<OrderId>) = {
            let books = self.inner.books.lock().await;
            (books.agents.keys().copied().collect(), books.signed_orders())
        };
        self.change(move |_, change| agents.iter().try_for_each(|agent| change.expire(agent))).await?;
        for order in signed {
            self.abandon_if_over(order).await?;
        }
        Ok(())
    }

    /// Gives a signed payment up if the chain's clock has passed its `fundBy` and the order is not funded.
    pub(crate) async fn abandon_if_over(&self, order: OrderId) -> Result<(), SettlementError> {
        let Some(payment) = self.inner.store.get::<Payments>(&order)? else { return Ok(()) };
        if payment.state != PaymentState::Authorised {
            return Ok(());
        }
        let chain_now = self.chain_now().await?;
        if chain_now >= payment.fund_by && self.inner.chain.status(&payment.signed).await? == OnChain::None {
            self.change(move |_, change| change.abandon(&order, chain_now)).await?;
        }
        Ok(())
    }
}

impl Inner {
    /// The agent of this home that the fact pays.
    fn earner(&self, fact: &Fact) -> Option<Did> {
        match fact {
            Fact::Settled(settled) => self.wallet.agent_at(&settled.provider),
            Fact::Funded(_)
            | Fact::Delivered(_)
            | Fact::Disputed(_)
            | Fact::Countered(_)
            | Fact::Credited(_)
            | Fact::Withdrawn(_) => None,
        }
    }
}

/// How many facts to book at once: at most [`FACTS_AT_ONCE`], cut between blocks.
fn whole_blocks(facts: &[Fact]) -> usize {
    let Some(last) = facts.get(FACTS_AT_ONCE) else { return facts.len() };
    let block = last.place().block;
    match facts.iter().position(|fact| fact.place().block == block) {
        Some(0) | None => facts.iter().position(|fact| fact.place().block > block).unwrap_or(facts.len()),
        Some(first) => first,
    }
}

#[cfg(test)]
mod tests;
