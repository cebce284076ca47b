//! What settlement refuses, and whether trying again can help.

use haggle_base::{Coded, OrderId, Text, Usdc};
use haggle_store::StoreError;

use crate::ports::{ChainError, NoKey};

/// Why settlement did not do something. Unless a variant says otherwise, nothing changed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SettlementError {
    /// One order may not take that much.
    #[error("the order takes more than the {limit} USDC one call may cost")]
    BudgetPerCall {
        /// The limit.
        limit: Usdc,
    },
    /// The orders of this day may not take that much together.
    #[error("only {left} USDC of the {limit} USDC for today are left")]
    BudgetPerDay {
        /// The limit.
        limit: Usdc,
        /// What is left of it.
        left: Usdc,
    },
    /// The wallet does not hold that much beside what is reserved.
    #[error("the wallet has only {available} USDC free")]
    InsufficientFunds {
        /// What it could give.
        available: Usdc,
    },
    /// The reservation, or the order, has been paid for already.
    #[error("this reservation already paid for order {order}")]
    AlreadyAuthorised {
        /// The order it paid for.
        order: OrderId,
    },
    /// The key is longer than 128 bytes or holds control characters.
    #[error("the reservation key is not a text of at most 128 bytes")]
    ReservationKeyInvalid,
    /// There is no open reservation with this key.
    #[error("there is no open reservation with this key")]
    ReservationUnknown,
    /// The reservation ended before anything was signed on it.
    #[error("the reservation has expired")]
    ReservationExpired,
    /// The key belongs to a different reservation.
    #[error("this reservation key is in use for something else")]
    ReservationTaken,
    /// The order takes more than was reserved.
    #[error("the order takes more than the {reserved} USDC reserved for it")]
    ReservationTooSmall {
        /// What was reserved.
        reserved: Usdc,
    },
    /// The agent has too many open reservations.
    #[error("too many reservations are open")]
    TooManyReservations,
    /// Nothing was to be reserved.
    #[error("an amount of zero cannot be reserved")]
    NothingToReserve,
    /// The agent's payment key is not in this home.
    #[error("the payment key of this agent is not in this home")]
    WalletMissing,
    /// The agent's payment address is not the one the order names for this step.
    #[error("the agent is not the party of the order that may do this")]
    NotParty,
    /// The order cannot be paid: a zero or overflowing amount, or a fee above the contract's cap.
    #[error("the order's amounts cannot be paid")]
    OrderAmountInvalid,
    /// A signature is not by whom it has to be.
    #[error("the signature is not by the order's {by}")]
    BadSignature {
        /// Whose it has to be.
        by: &'static str,
    },
    /// This node has not authorised a payment for the order.
    #[error("this node has paid for no such order")]
    OrderUnknown,
    /// The order has to be funded first.
    #[error("the order is not funded")]
    NotFunded,
    /// The order's end has not been seen on the chain yet. Retry.
    #[error("the order's end is not on the chain yet")]
    NotSettled,
    /// The chain says something else about how the order ended.
    #[error("the chain says something else about how the order ended")]
    SettlementMismatch,
    /// The order is past the step that was asked for.
    #[error("the order is past this step")]
    TooLate,
    /// The chain's facts contradict each other or an order this node signed.
    #[error("the facts read from the chain contradict each other")]
    FactsInconsistent,
    /// The contract refused the call.
    #[error("the chain refused the call: {reason}")]
    ChainRefused {
        /// The contract's error name or the node's reason.
        reason: Text<128>,
    },
    /// No RPC answers. Nothing was sent. Retry.
    #[error("no chain RPC answers")]
    RpcDown,
    /// A transaction was sent and its outcome is not known. Retry: the chain is read first, nothing is signed again.
    #[error("a transaction was sent, its outcome is not known yet")]
    OutcomeUnknown,
    /// An entry would not sum to zero, or would overflow an account.
    #[error("the ledger refused an entry that does not add up")]
    LedgerRefused,
    /// Every channel with the seller is used up and has had all its deposits.
    #[error("every channel with this seller is used up")]
    ChannelsFull,
    /// The seller asks for a channel in a way that is not spoken here, or on terms that are not agreed to.
    #[error("the channel that is asked for cannot be used: {what}")]
    ChannelTerms {
        /// What is wrong with it.
        what: &'static str,
    },
    /// There is no such channel of the agent.
    #[error("the agent has no such channel")]
    ChannelUnknown,
    /// The key has paid before, on a voucher that the seller has charged or can still charge. It never pays again.
    #[error("this key has paid before")]
    KeyUsed,
    /// The voucher of another call is out. Retry.
    #[error("a voucher of this channel is out and not answered")]
    ChannelBusy,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopped,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SettlementError {
    /// Whether the same call can succeed later without anything being changed by the caller.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::RpcDown | Self::OutcomeUnknown | Self::NotSettled | Self::ChannelBusy => true,
            Self::BudgetPerCall { .. }
            | Self::BudgetPerDay { .. }
            | Self::InsufficientFunds { .. }
            | Self::AlreadyAuthorised { .. }
            | Self::ReservationKeyInvalid
            | Self::ReservationUnknown
            | Self::ReservationExpired
            | Self::ReservationTaken
            | Self::ReservationTooSmall { .. }
            | Self::TooManyReservations
            | Self::NothingToReserve
            | Self::WalletMissing
            | Self::NotParty
            | Self::OrderAmountInvalid
            | Self::BadSignature { .. }
            | Self::OrderUnknown
            | Self::NotFunded
            | Self::SettlementMismatch
            | Self::TooLate
            | Self::FactsInconsistent
            | Self::ChainRefused { .. }
            | Self::LedgerRefused
            | Self::ChannelsFull
            | Self::ChannelTerms { .. }
            | Self::ChannelUnknown
            | Self::KeyUsed
            | Self::Stopped
            | Self::Store(_) => false,
        }
    }
}

impl Coded for SettlementError {
    fn code(&self) -> &'static str {
        match self {
            Self::BudgetPerCall { .. } => "budget_per_call",
            Self::BudgetPerDay { .. } => "budget_per_day",
            Self::InsufficientFunds { .. } => "insufficient_funds",
            Self::AlreadyAuthorised { .. } => "already_authorised",
            Self::ReservationKeyInvalid => "reservation_key_invalid",
            Self::ReservationUnknown => "reservation_unknown",
            Self::ReservationExpired => "reservation_expired",
            Self::ReservationTaken => "reservation_taken",
            Self::ReservationTooSmall { .. } => "reservation_too_small",
            Self::TooManyReservations => "reservations_full",
            Self::NothingToReserve => "amount_zero",
            Self::WalletMissing => "wallet_missing",
            Self::NotParty => "not_a_party",
            Self::OrderAmountInvalid => "order_amount_invalid",
            Self::BadSignature { .. } => "payment_signature_invalid",
            Self::OrderUnknown => "order_unknown",
            Self::NotFunded => "order_not_funded",
            Self::NotSettled => "order_not_settled",
            Self::SettlementMismatch => "settlement_mismatch",
            Self::TooLate => "order_past_step",
            Self::FactsInconsistent => "chain_facts_inconsistent",
            Self::ChainRefused { .. } => "chain_refused",
            Self::RpcDown => "rpc_down",
            Self::OutcomeUnknown => "chain_outcome_unknown",
            Self::LedgerRefused => "ledger_refused",
            Self::ChannelsFull => "channels_full",
            Self::ChannelTerms { .. } => "channel_terms",
            Self::ChannelUnknown => "channel_unknown",
            Self::KeyUsed => "payment_key_used",
            Self::ChannelBusy => "channel_busy",
            Self::Stopped => "node_stopping",
            Self::Store(error) => error.code(),
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::BudgetPerCall { .. } => "raise the agent's limit per call, or agree on a lower price",
            Self::BudgetPerDay { .. } => "wait for the next UTC day, or raise the agent's limit per day",
            Self::InsufficientFunds { .. } => "send USDC to the agent's payment address",
            Self::AlreadyAuthorised { .. } => "go on with the order that was paid for; reserve anew for another one",
            Self::ReservationKeyInvalid => "use a short printable key",
            Self::ReservationUnknown | Self::ReservationExpired => "reserve again before signing",
            Self::ReservationTaken => "choose a fresh reservation key",
            Self::ReservationTooSmall { .. } => "reserve the order's whole deposit, fee included",
            Self::TooManyReservations => "finish or cancel open orders first",
            Self::NothingToReserve => "call free agents without an order",
            Self::WalletMissing => "use an agent of this home",
            Self::NotParty => "act with the agent whose payment address the order names",
            Self::OrderAmountInvalid => "agree on an amount above zero and a fee of at most 1000 bps",
            Self::BadSignature { .. } => "ask the party to sign this very order",
            Self::OrderUnknown => "authorise the order first",
            Self::NotFunded => "wait until the order is funded",
            Self::NotSettled => "try again after the next block",
            Self::SettlementMismatch => "read the order's facts; the chain decides",
            Self::TooLate => "read the order's status and go on from there",
            Self::FactsInconsistent => "check the chain RPC; it may be lying",
            Self::ChainRefused { .. } => "read the order's status and its deadlines",
            Self::RpcDown => "check the chain RPC; nothing was sent, it is safe to try again",
            Self::OutcomeUnknown => "try again; the chain is read before anything is sent",
            Self::LedgerRefused => "report this: the books would not balance",
            Self::ChannelsFull => "close one of them, which gives back what is left, or pay in another way",
            Self::ChannelTerms { .. } => "pay in another way, or ask the seller for other terms",
            Self::ChannelUnknown => "list the agent's channels",
            Self::KeyUsed => "look at what the first payment bought; use a fresh key for another call",
            Self::ChannelBusy => "wait for the answer to that call, or give it up",
            Self::Stopped => "start the node again; what was stored stands",
            Self::Store(error) => error.hint(),
        }
    }
}

impl From<ChainError> for SettlementError {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Down => Self::RpcDown,
            ChainError::OutcomeUnknown => Self::OutcomeUnknown,
            ChainError::Refused { reason } => Self::ChainRefused { reason },
        }
    }
}

impl From<NoKey> for SettlementError {
    fn from(_: NoKey) -> Self {
        Self::WalletMissing
    }
}
