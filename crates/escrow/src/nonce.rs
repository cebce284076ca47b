//! One nonce allocator per signer: every transaction has a nonce of its own, without gaps, and every step has one
//! transaction until that is mined or can no longer be.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use alloy::primitives::{Address, B256, Bytes};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

/// Transactions of one signer that may be under way at once.
pub(crate) const MAX_UNDER_WAY: usize = 1_024;
/// Mined transactions whose bytes are kept, should the chain take their blocks back.
const MINED_KEPT: usize = 256;

/// A transaction that was signed for a nonce, in all its prices.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    /// What it does: the hash of the contract's address and the calldata.
    pub(crate) step: B256,
    /// Whom it calls.
    pub(crate) to: Address,
    /// With what.
    pub(crate) input: Bytes,
    /// Gas it may use.
    pub(crate) gas: u64,
    /// The newest price.
    pub(crate) max_fee: u128,
    /// The newest tip.
    pub(crate) tip: u128,
    /// Hash and bytes of every price that was signed, the newest last.
    pub(crate) versions: Vec<(B256, Bytes)>,
    /// When the newest was signed.
    pub(crate) signed_at: Instant,
    /// When its receipt was seen.
    pub(crate) mined_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct State {
    /// The next free nonce, `None` when the chain has to be asked.
    next: Option<u64>,
    out: BTreeMap<u64, Outgoing>,
}

/// The nonces of one signer.
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    turn: Mutex<()>,
    state: parking_lot::Mutex<State>,
}

impl Nonces {
    /// Waits for the signer's turn. While the turn is held nobody else signs with this key.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// The next nonce, if it is known.
    pub(crate) fn known(&self) -> Option<u64> {
        self.state.lock().next
    }

    /// The nonce with which this step is under way, or was mined since then.
    pub(crate) fn under_way(&self, step: &B256, since: Instant) -> Option<u64> {
        let state = self.state.lock();
        let counts = |out: &Outgoing| out.step == *step && out.mined_at.is_none_or(|at| at >= since);
        state.out.iter().find(|(_, out)| counts(out)).map(|(nonce, _)| *nonce)
    }

    /// Whether another transaction may be signed before one is mined.
    pub(crate) fn has_room(&self) -> bool {
        self.state.lock().out.values().filter(|out| out.mined_at.is_none()).count() < MAX_UNDER_WAY
    }

    /// `outgoing` is signed for this nonce and about to leave.
    pub(crate) fn begin(&self, nonce: u64, outgoing: Outgoing) {
        let mut state = self.state.lock();
        state.out.insert(nonce, outgoing);
        state.next = Some(nonce + 1);
    }

    /// The transaction with this nonce, if it is that step's.
    pub(crate) fn get(&self, nonce: u64, step: &B256) -> Option<Outgoing> {
        self.state.lock().out.get(&nonce).filter(|out| out.step == *step).cloned()
    }

    /// Another price was signed for it.
    pub(crate) fn replaced(&self, nonce: u64, version: (B256, Bytes), max_fee: u128, tip: u128) {
        if let Some(out) = self.state.lock().out.get_mut(&nonce) {
            out.versions.push(version);
            (out.max_fee, out.tip, out.signed_at) = (max_fee, tip, Instant::now());
        }
    }

    /// Nobody took it: the nonce is free again.
    pub(crate) fn refused(&self, nonce: u64) {
        let mut state = self.state.lock();
        state.out.remove(&nonce);
        state.next = Some(nonce);
    }

    /// It can never be mined any more.
    pub(crate) fn displaced(&self, nonce: u64) {
        let mut state = self.state.lock();
        state.out.remove(&nonce);
        state.next = None;
    }

    /// Its receipt was seen.
    pub(crate) fn mined(&self, nonce: u64) {
        let mut state = self.state.lock();
        if let Some(out) = state.out.get_mut(&nonce) {
            out.mined_at = Some(Instant::now());
        }
        let mined: Vec<_> =
            state.out.iter().filter(|(_, out)| out.mined_at.is_some()).map(|(nonce, _)| *nonce).collect();
        for old in mined.iter().take(mined.len().saturating_sub(MINED_KEPT)) {
            state.out.remove(old);
        }
    }

    /// The bytes of what is signed and should be on the chain, of an account of which the chain has mined `mined`
    /// transactions: the oldest first, none after `upto`. What was mined and is not any more counts again.
    pub(crate) fn to_repeat(&self, mined: u64, upto: u64) -> Vec<Bytes> {
        let mut state = self.state.lock();
        let mut found = Vec::new();
        for (_, out) in state.out.range_mut(mined..=upto.max(mined)) {
            out.mined_at = None;
            found.extend(out.versions.last().map(|(_, raw)| raw.clone()));
        }
        found
    }

    /// The first nonce from `from` that nothing is signed for.
    pub(crate) fn first_free(&self, from: u64) -> u64 {
        let state = self.state.lock();
        (from..).find(|nonce| !state.out.contains_key(nonce)).unwrap_or(from)
    }
}

/// The allocators of all signers that share a connection.
#[derive(Debug, Default)]
pub(crate) struct Signers(parking_lot::Mutex<HashMap<Address, Arc<Nonces>>>);

impl Signers {
    /// The one allocator of `signer`.
    pub(crate) fn nonces(&self, signer: Address) -> Arc<Nonces> {
        Arc::clone(self.0.lock().entry(signer).or_default())
    }
}
