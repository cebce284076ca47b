//! The purse's tables.

use haggle_base::{Did, OrderId, Timestamp};
use haggle_store::tables;

use super::Purchase;

tables! {
    /// One row per payment: agent and key.
    pub(crate) Purchases = "purse-payments-1": (Did, String) => Purchase;
    /// The payments whose end is not known.
    pub(crate) OpenPurchases = "purse-open-1": (Did, String) => u8;
    /// The payments that went through so short a while ago that a reorganisation may take them back, and until when, in
    /// chain time.
    pub(crate) FreshPayments = "purse-fresh-1": (Did, String) => Timestamp;
    /// Payments by nonce.
    pub(crate) Nonces = "purse-nonces-1": OrderId => (Did, String);
}
