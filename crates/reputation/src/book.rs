//! The book of evidence: which attestation stands for which side of which order, and what they add up to per agent.
//!
//! A machine without a clock or a store. What it answers depends only on the set of evidence that was put into it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use haggle_base::{AttestationKind, ClosedBy, Did, OrderId, Parties, RecordId, Side, Text, Timestamp, Usdc};

use crate::score::{Figures, Score, trust_score};
use nets::Nets;

mod nets;

pub use nets::MAX_PER_COUNTERPARTY;

/// An attestation that the chain agrees with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The record that carries it.
    pub record: RecordId,
    /// The record's `seq`: 1, or 2 for a corrected rating.
    pub seq: u64,
    /// What is attested.
    pub kind: AttestationKind,
    /// Which side says it.
    pub side: Side,
    /// The order.
    pub order: OrderId,
    /// Both agents and their addresses.
    pub parties: Parties,
    /// What was bought.
    pub capability: Text<64>,
    /// The order's amount.
    pub amount: Usdc,
    /// What the provider got.
    pub paid: Usdc,
    /// What the fee recipient is owed.
    pub fee: Usdc,
    /// What the buyer got back.
    #[serde(default)]
    pub refunded: Usdc,
    /// What ended the order.
    pub closed_by: ClosedBy,
    /// Whether it carries the provider's signature over the order.
    pub consented: bool,
    /// From request to answer, as this side measured it.
    pub latency_ms: u32,
    /// Whether there was an answer.
    pub responded: bool,
    /// One to five, in a rating.
    pub rating: Option<u8>,
    /// When the order ended, in chain time.
    pub settled_at: Timestamp,
    /// The transaction that ended it.
    pub tx: B256,
    /// Whether the other side is known to have bound its address to its agent.
    pub other_bound: bool,
}

impl Evidence {
    /// The agent that says it.
    #[must_use]
    pub fn author(&self) -> Did {
        self.parties.did(self.side)
    }

    /// The agent it is about.
    #[must_use]
    pub fn subject(&self) -> Did {
        self.parties.did(self.side.other())
    }

    /// Whether it lacks, and gets, the other side's link if `did` has bound `address`.
    fn gains_from(&self, did: &Did, address: &Address) -> bool {
        let other = self.side.other();
        !self.other_bound && self.parties.did(other) == *did && self.parties.address(other) == *address
    }
}

/// Outcome of [`Book::put`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Put {
    /// The first of its order, side and kind.
    Added,
    /// It takes the place of an older one.
    Replaced,
    /// The very same stands already.
    Known,
    /// A newer one stands already.
    Older,
}

/// Whether a piece of evidence moves its subject's figures, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Weight {
    /// It does.
    Counts,
    /// Nothing proves that the agent named owns the address that was paid or paid: it has not bound it and has not
    /// attested this order itself.
    AgentNotLinked,
    /// The order's end speaks against the provider, and the provider's signature over the order is not held: it may never have agreed.
    NoConsent,
    /// It rates an order of which no receipt is held.
    NoReceipt,
}

impl Weight {
    /// A stable word for it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Counts => "counts",
            Self::AgentNotLinked => "agent_not_linked",
            Self::NoConsent => "no_consent",
            Self::NoReceipt => "no_receipt",
        }
    }
}

/// All evidence about one order.
#[derive(Debug, Clone)]
struct OrderFile {
    parties: Parties,
    closed_by: ClosedBy,
    evidence: BTreeMap<(AttestationKind, Side), Evidence>,
}

/// What the end of an order says of its provider's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It was worth its pay.
    Worked,
    /// It was not.
    Failed,
    /// Nobody said.
    Unsaid,
}

/// What one order, or all orders, add to an agent's figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    attestations: u64,
    calls: u64,
    successes: u64,
    failures: u64,
    latency_ms: u64,
    latencies: u64,
    ratings: u64,
    stars: u64,
}

/// All evidence this node holds.
#[derive(Debug, Clone, Default)]
pub struct Book {
    orders: HashMap<OrderId, OrderFile>,
    by_agent: HashMap<Did, BTreeSet<(Timestamp, OrderId)>>,
    tallies: HashMap<Did, Tally>,
    nets: Nets,
}

impl Book {
    /// An empty book.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What would come of putting this evidence in.
    pub fn would_put(&self, new: &Evidence) -> Put {
        let standing = self.orders.get(&new.order).and_then(|file| file.evidence.get(&(new.kind, new.side)));
        match standing {
            None => Put::Added,
            Some(old) if old.record == new.record => Put::Known,
            Some(old) if (new.seq, Reverse(new.record)) > (old.seq, Reverse(old.record)) => Put::Replaced,
            Some(_) => Put::Older,
        }
    }

    /// Puts evidence in. Per order, side and kind the highest `seq` stands, of equal ones the lowest record id.
    pub fn put(&mut self, new: Evidence) -> Put {
        let outcome = self.would_put(&new);
        if matches!(outcome, Put::Added | Put::Replaced) {
            let at = (new.settled_at, new.order);
            for did in [new.parties.buyer, new.parties.provider] {
                self.by_agent.entry(did).or_default().insert(at);
            }
            self.alter(new.order, |file| {
                let file = file.get_or_insert_with(|| OrderFile {
                    parties: new.parties,
                    closed_by: new.closed_by,
                    evidence: BTreeMap::new(),
                });
                file.evidence.insert((new.kind, new.side), new);
            });
        }
        outcome
    }

    /// Takes all evidence about an order out, because the chain took back how it ended.
    pub fn remove(&mut self, order: &OrderId) -> Vec<Evidence> {
        let mut removed = Vec::new();
        self.alter(*order, |file| {
            removed = file.take().into_iter().flat_map(|file| file.evidence.into_values()).collect();
        });
        if let Some(first) = removed.first() {
            let at = (first.settled_at, first.order);
            for did in [first.parties.buyer, first.parties.provider] {
                if let Some(orders) = self.by_agent.get_mut(&did) {
                    orders.remove(&at);
                }
            }
        }
        removed
    }

    /// The evidence that would change if the agent were known to have bound the address, as it would be then.
    #[must_use]
    pub fn would_bind(&self, did: &Did, address: &Address) -> Vec<Evidence> {
        let orders = self.by_agent.get(did).into_iter().flatten();
        let held = orders.filter_map(|(_, order)| self.orders.get(order)).flat_map(|file| file.evidence.values());
        held.filter(|e| e.gains_from(did, address)).map(|e| Evidence { other_bound: true, ..e.clone() }).collect()
    }

    /// Learns that an agent has bound an address.
    pub fn bind(&mut self, did: &Did, address: &Address) {
        for bound in self.would_bind(did, address) {
            self.alter(bound.order, |file| {
                if let Some(file) = file {
                    file.evidence.insert((bound.kind, bound.side), bound);
                }
            });
        }
    }

    /// The agent's figures; `uptime_24h` is what this node saw itself.
    #[must_use]
    pub fn figures(&self, did: &Did, uptime_24h: Score) -> Figures {
        let tally = self.tallies.get(did).copied().unwrap_or_default();
        let success_rate = Score::share(tally.successes, tally.calls);
        let avg_response_ms = tally.latency_ms.checked_div(tally.latencies);
        Figures {
            attestations: tally.attestations,
            total_calls: tally.calls,
            successes: tally.successes,
            failures: tally.failures,
            net: self.nets.of(did),
            success_rate,
            avg_response_ms,
            uptime_24h,
            trust_score: trust_score(success_rate.unwrap_or_default(), avg_response_ms, uptime_24h),
            ratings: tally.ratings,
            rating: Score::share(tally.stars, tally.ratings * 5),
        }
    }

    /// Agents whose [net](Figures::net) is below `least`, which is nought or less.
    #[must_use]
    pub fn behind(&self, least: i64) -> Vec<Did> {
        self.nets.behind(least)
    }

    /// The evidence of the agent's orders, in either role, newest settlement first, of at most `orders` orders that ended
    /// before `before`, each piece with its weight.
    #[must_use]
    pub fn history(&self, did: &Did, before: Option<(Timestamp, OrderId)>, orders: usize) -> Vec<(Evidence, Weight)> {
        let Some(ended) = self.by_agent.get(did) else { return Vec::new() };
        let newest: Vec<_> = match before {
            Some(before) => ended.range(..before).rev().take(orders).collect(),
            None => ended.iter().rev().take(orders).collect(),
        };
        let files = newest.into_iter().filter_map(|(_, order)| self.orders.get(order));
        files.flat_map(|file| file.evidence.values().map(|e| (e.clone(), file.weight(e)))).collect()
    }

    /// How many pieces of evidence there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.orders.values().map(|file| file.evidence.len()).sum()
    }

    /// Whether there is no evidence at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    /// Changes an order's file, and moves both agents' figures by the difference.
    fn alter(&mut self, order: OrderId, change: impl FnOnce(&mut Option<OrderFile>)) {
        let mut file = self.orders.remove(&order);
        if let Some(file) = &file {
            self.count(file, Tally::take, -1);
        }
        change(&mut file);
        if let Some(file) = file {
            self.count(&file, Tally::add, 1);
            self.orders.insert(order, file);
        }
    }

    /// Puts what an order says into both agents' figures, or takes it out again, as `combine` and `sign` have it.
    fn count(&mut self, file: &OrderFile, combine: fn(&mut Tally, &Tally), sign: i64) {
        let [(provider, provided), (buyer, bought)] = file.tallies();
        combine(self.tallies.entry(provider).or_default(), &provided);
        combine(self.tallies.entry(buyer).or_default(), &bought);
        // only who provided can have failed
        self.nets.hear(provider, file.parties.buyer_address, sign * provided.signal());
    }
}

impl OrderFile {
    /// Whether the agent on this side is known to own its address: it attested the order itself, or bound the address.
    fn is_linked(&self, side: Side) -> bool {
        self.evidence.values().any(|e| e.side == side || e.other_bound)
    }

    /// What the order's end says of its provider's work. Whoever judged an order is taken at their word as the contract
    /// takes an arbitrator: at least half of the amount for the provider is for it.
    fn end(&self) -> End {
        match self.closed_by {
            ClosedBy::Release => End::Worked,
            ClosedBy::Refund | ClosedBy::Expired | ClosedBy::Uncountered => End::Failed,
            ClosedBy::Verdict | ClosedBy::Ruling if self.got_half() => End::Worked,
            ClosedBy::Verdict | ClosedBy::Ruling => End::Failed,
            ClosedBy::Timeout | ClosedBy::UndeliveredPaid | ClosedBy::Split | ClosedBy::Silent => End::Unsaid,
        }
    }

    /// Every piece of evidence was held against the same events, so any of them tells the amounts.
    fn got_half(&self) -> bool {
        self.evidence.values().next().is_some_and(|e| {
            let [amount, paid, fee, refunded] =
                [e.amount, e.paid, e.fee, e.refunded].map(|money| u128::from(money.units()));
            // Only a fee on top makes the deposit more than the amount; the other kind is part of what was given.
            let given = if paid + fee + refunded > amount { paid } else { paid + fee };
            2 * given >= amount
        })
    }

    /// The contract opens a dispute only against a provider that agreed.
    fn chain_proves_consent(&self) -> bool {
        matches!(self.closed_by, ClosedBy::Uncountered | ClosedBy::Ruling)
    }

    fn has_receipt(&self) -> bool {
        self.evidence.values().any(|e| e.kind == AttestationKind::Receipt)
    }

    /// Whether the order says anything about its provider.
    fn order_weight(&self) -> Weight {
        let needs_consent = self.end() == End::Failed && !self.chain_proves_consent();
        if !self.has_receipt() {
            Weight::NoReceipt
        } else if !self.is_linked(Side::Provider) {
            Weight::AgentNotLinked
        } else if needs_consent && !self.evidence.values().any(|e| e.consented) {
            Weight::NoConsent
        } else {
            Weight::Counts
        }
    }

    fn weight(&self, evidence: &Evidence) -> Weight {
        match evidence.side {
            Side::Buyer => self.order_weight(),
            Side::Provider if !self.has_receipt() => Weight::NoReceipt,
            Side::Provider if !self.is_linked(Side::Buyer) => Weight::AgentNotLinked,
            Side::Provider => Weight::Counts,
        }
    }

    /// What the order adds to its provider's and to its buyer's figures.
    fn tallies(&self) -> [(Did, Tally); 2] {
        let (mut provider, mut buyer) = (Tally::default(), Tally::default());
        if self.order_weight() == Weight::Counts {
            provider.calls = 1;
            match self.end() {
                End::Worked => provider.successes = 1,
                End::Failed => provider.failures = 1,
                End::Unsaid => {}
            }
            let measured = self.evidence.get(&(AttestationKind::Receipt, Side::Buyer)).filter(|e| e.responded);
            if let Some(receipt) = measured {
                (provider.latency_ms, provider.latencies) = (u64::from(receipt.latency_ms), 1);
            }
        }
        for evidence in self.evidence.values().filter(|e| self.weight(e) == Weight::Counts) {
            let subject = match evidence.side {
                Side::Buyer => &mut provider,
                Side::Provider => &mut buyer,
            };
            subject.attestations += 1;
            if let Some(stars) = evidence.rating {
                subject.ratings += 1;
                subject.stars += u64::from(stars);
            }
        }
        [(self.parties.provider, provider), (self.parties.buyer, buyer)]
    }
}

impl Tally {
    /// What one order says: one for its provider, one against, or nothing.
    fn signal(&self) -> i64 {
        i64::from(self.successes > 0) - i64::from(self.failures > 0)
    }

    fn add(&mut self, other: &Self) {
        self.each(other, u64::saturating_add);
    }

    fn take(&mut self, other: &Self) {
        self.each(other, u64::saturating_sub);
    }

    fn each(&mut self, other: &Self, combine: fn(u64, u64) -> u64) {
        self.attestations = combine(self.attestations, other.attestations);
        self.calls = combine(self.calls, other.calls);
        self.successes = combine(self.successes, other.successes);
        self.failures = combine(self.failures, other.failures);
        self.latency_ms = combine(self.latency_ms, other.latency_ms);
        self.latencies = combine(self.latencies, other.latencies);
        self.ratings = combine(self.ratings, other.ratings);
        self.stars = combine(self.stars, other.stars);
    }
}

#[cfg(test)]
mod tests;
