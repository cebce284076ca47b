//! x402 version 2: what is asked for, what is paid with, what came of it.
//!
//! A seller says what it wants in a [`PaymentRequired`], a list of [`PaymentRequirements`]. A buyer picks one with
//! [`choose()`], copies it into a [`PaymentPayload`] and signs. The answer is a [`SettleResponse`]. The same objects travel
//! in HTTP headers ([`header`]), in A2A metadata ([`a2a`]) and inside haggle's own trade messages. What a facilitator is
//! asked and answers is in [`facilitator`]; why a payment is refused is a [`Reason`]; [`extensions`] holds identifiers, signed offers
//! and receipts, and discovery.
//!
//! The objects are lossless: a field this version does not know survives being read and written again, because x402
//! grows in place and a payload has to carry the chosen entry as it was offered.
//!
//! The rail that every client speaks is `exact` ([`exact`], `docs/protocols/x402-exact.md`): one signed transfer of the
//! token. haggle's own rail is the scheme `haggle-escrow` ([`escrow`], `docs/protocols/x402-haggle-escrow.md`): one EIP-3009
//! signature funds an order in an escrow contract and is, at the same time, the buyer's agreement to every field of the
//! order. A client that does not know the scheme skips it.
//!
//! Repeated calls are paid on channels ([`batch`], `docs/protocols/x402-batch.md`): the scheme `batch-settlement`, where each
//! call costs a signature and the chain is asked once in a while.
//!
//! ```
//! use haggle_x402::{ChainRef, PaymentRequired};
//!
//! let offer = r#"{"x402Version":2,"resource":{"url":"haggle:order"},"accepts":[],"extensions":{},"later":1}"#;
//! let read: PaymentRequired = serde_json::from_str(offer)?;
//! assert_eq!(serde_json::to_value(&read)?["later"], 1);
//! assert_eq!(ChainRef::eip155(31337).to_string(), "eip155:31337");
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! Not here: reaching a chain, keeping keys, deciding whether an agent may spend. Settlement does those.

pub mod a2a;
pub mod batch;
pub mod choose;
pub mod escrow;
pub mod exact;
pub mod extensions;
pub mod facilitator;
pub mod header;
pub mod proof;

mod chain;
mod error;
mod reason;
mod wire;
mod words;

pub use batch::{
    BatchExtra, BatchPayload, BatchSettled, ChannelFacts, ChannelState, Deposit, DepositTerms, SignedVoucher,
    VoucherState,
    receipt::{ChannelProof, ChannelProven, ChannelReceipt},
};
pub use chain::{BadChainRef, ChainRef};
pub use choose::choose;
pub use error::X402Error;
pub use escrow::{
    EscrowExtra, EscrowFacts, EscrowPayload, check_payload_against_order, check_requirement_against_order, deposit_of,
    payload_for_order, requirement_for_order, settle_response_for_order,
};
pub use exact::ExactFacts;
pub use facilitator::{FacilitatorRequest, SupportedKind, SupportedResponse, VerifyResponse};
pub use proof::{PaymentFacts, PaymentProof, PaymentProofError};
pub use reason::Reason;
pub use wire::{Atomic, PaymentPayload, PaymentRequired, PaymentRequirements, Resource, SettleResponse};
pub use words::{PaymentFlow, Scheme, X402Version};
