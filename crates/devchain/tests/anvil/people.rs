//! Someone who signs transactions one after the other.

use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718 as _;
use alloy::primitives::{Address, Bytes, Signature, TxKind};
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use haggle_devchain::{DEV_CHAIN_ID, DevAccount};

/// A billion wei.
pub(crate) const GWEI: u128 = 1_000_000_000;
/// Gas enough for anything but creations.
pub(crate) const GAS: u64 = 5_000_000;

/// Someone who signs transactions one after the other.
pub(crate) struct Person {
    pub(crate) key: PrivateKeySigner,
    pub(crate) nonce: u64,
}

impl Person {
    pub(crate) fn new(index: u32) -> Self {
        Self { key: PrivateKeySigner::from_bytes(DevAccount::numbered(index).key()).unwrap(), nonce: 0 }
    }

    pub(crate) fn address(&self) -> Address {
        self.key.address()
    }

    pub(crate) fn sign<T: SignableTransaction<Signature>>(&self, tx: T) -> Bytes
    where
        TxEnvelope: From<alloy::consensus::Signed<T>>,
    {
        let signature = self.key.sign_hash_sync(&tx.signature_hash()).unwrap();
        TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into()
    }

    pub(crate) fn tx(&self, to: TxKind, input: impl Into<Bytes>) -> TxEip1559 {
        TxEip1559 {
            chain_id: DEV_CHAIN_ID,
            nonce: self.nonce,
            gas_limit: GAS,
            max_fee_per_gas: 3 * GWEI,
            max_priority_fee_per_gas: GWEI / 2,
            to,
            input: input.into(),
            ..TxEip1559::default()
        }
    }

    /// The next transaction, signed.
    pub(crate) fn next(&mut self, to: TxKind, input: impl Into<Bytes>) -> Bytes {
        let raw = self.sign(self.tx(to, input));
        self.nonce += 1;
        raw
    }

    pub(crate) fn next_call(&mut self, to: Address, input: impl Into<Bytes>) -> Bytes {
        self.next(TxKind::Call(to), input)
    }
}
