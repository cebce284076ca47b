//! What settlement tells the rest of the node, in the past tense.

use alloy_primitives::{Address, B256};
use haggle_base::{Did, OrderId, Usdc};

use crate::{
    budget::ReservationKey,
    facts::{DeliveredFact, FundedFact, SettledFact},
};

/// Something happened to money or to an order on the chain. Sent after it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PaymentEvent {
    /// Money was set aside.
    Reserved {
        /// Who spends.
        agent: Did,
        /// On which reservation.
        key: ReservationKey,
        /// How much.
        amount: Usdc,
    },
    /// What was set aside is free again.
    Released {
        /// Whose it is.
        agent: Did,
        /// Of which reservation.
        key: ReservationKey,
        /// How much.
        amount: Usdc,
    },
    /// A payment was signed and stored.
    Authorised {
        /// Who pays.
        agent: Did,
        /// For which order.
        order: OrderId,
        /// How much, fee included.
        deposit: Usdc,
    },
    /// A signed payment was not used in time.
    Abandoned {
        /// Who would have paid.
        agent: Did,
        /// For which order.
        order: OrderId,
    },
    /// The chain says an order is funded. Told of every order on the escrow, not only of ours.
    Funded(FundedFact),
    /// The chain says a delivery was posted. Told of every order.
    Delivered(DeliveredFact),
    /// The chain says an order is over. Told of every order.
    Settled(SettledFact),
    /// A prepaid channel of ours holds more than before.
    ChannelFunded {
        /// Who pays.
        agent: Did,
        /// The channel.
        channel: B256,
        /// By how much.
        amount: Usdc,
    },
    /// What vouchers promised an agent was claimed and is on the chain.
    ChannelClaimed {
        /// Who is paid.
        agent: Did,
        /// The channel.
        channel: B256,
        /// What was claimed now.
        amount: Usdc,
    },
    /// A prepaid channel of ours gave back what was not charged.
    ChannelReturned {
        /// Who gets it.
        agent: Did,
        /// The channel.
        channel: B256,
        /// How much.
        amount: Usdc,
    },
    /// An agent of this home was paid without an order.
    Received {
        /// Who was paid.
        agent: Did,
        /// Who paid.
        payer: Address,
        /// How much.
        amount: Usdc,
        /// By which transaction.
        tx: B256,
    },
    /// The chain took such a payment back.
    ReceivedUndone {
        /// Who is no longer paid.
        agent: Did,
        /// How much.
        amount: Usdc,
        /// Which transaction is gone.
        tx: B256,
    },
    /// The chain took back what it said about this order.
    Undone {
        /// The order.
        order: OrderId,
    },
}
