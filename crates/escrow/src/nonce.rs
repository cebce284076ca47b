//! One nonce allocator per signer: transactions of one key leave one after the other, without gaps.

use std::collections::HashMap;
use std::sync::Arc;

use alloy::primitives::Address;
use tokio::sync::{Mutex, MutexGuard};

/// The next nonce of one signer, `None` when the chain has to be asked.
#[derive(Debug, Default)]
pub(crate) struct Nonces(Mutex<Option<u64>>);

impl Nonces {
    /// Waits for the signer's turn. While the turn is held nobody else signs with this key.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        Turn(self.0.lock().await)
    }
}

/// The right to use the signer's next nonce.
#[derive(Debug)]
pub(crate) struct Turn<'a>(MutexGuard<'a, Option<u64>>);

impl Turn<'_> {
    /// The next nonce, if it is known.
    pub(crate) fn known(&self) -> Option<u64> {
        *self.0
    }

    /// `nonce` went out with a transaction that was accepted.
    pub(crate) fn used(&mut self, nonce: u64) {
        *self.0 = Some(nonce + 1);
    }

    /// What happened to the last nonce is not certain: the chain has to be asked.
    pub(crate) fn lost(&mut self) {
        *self.0 = None;
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
