//! What the budget machine is asked.

use std::time::Duration;

use haggle_base::{Did, OrderId, Usdc};

use super::ReservationKey;

/// Set money aside.
#[derive(Debug, Clone)]
pub struct Reserve {
    /// Names the reservation.
    pub key: ReservationKey,
    /// Who spends.
    pub agent: Did,
    /// The most the order may take, fee included.
    pub amount: Usdc,
    /// How long an unsigned reservation stands.
    pub lives: Duration,
    /// What the wallet holds on chain.
    pub balance: Usdc,
}

/// Bind a reservation to an order that is about to be signed.
#[derive(Debug, Clone)]
pub struct Authorise {
    /// The reservation.
    pub key: ReservationKey,
    /// The order.
    pub order: OrderId,
    /// What the order takes from the buyer, fee included.
    pub deposit: Usdc,
}
