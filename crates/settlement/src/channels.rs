//! Prepaid channels: many calls, few transactions. The x402 scheme `batch-settlement` (`docs/protocols/x402-batch.md`).
//!
//! A payer's money lies in a contract; every call carries a voucher over what may be claimed in all. [`Selling`] is the
//! seller's side: it checks vouchers without asking the chain, keeps the newest one, and claims many channels at once.
//! [`Buying`] is the payer's: it opens channels within the agent's budget and signs one voucher at a time on each.
//!
//! ```text
//! selling: take -> Work(ticket) -> worked (voucher on disk) -> answer leaves      tick: withdrawals seen, vouchers claimed
//!               \-> Answered (a repeat), AtWork (wait), Refused (with the state to correct from)
//! buying:  pay (voucher on disk) -> payload leaves -> answered | refused | given up      tick: deposits and withdrawals end
//! ```
//!
//! What holds, whatever is killed when:
//! - Nothing is charged without its voucher on disk, and nothing is claimed above what was signed.
//! - One voucher of a channel is at work at a time; the same payment delivered many times does the work once.
//! - A voucher is taken only up to what the chain says the channel holds, never after a withdrawal was seen.
//! - What was claimed is booked from what the chain says was claimed, once, whoever claimed it.
//! - A payer's key pays once: its voucher is stored before it leaves, and asking again gives the same one.

mod buying;
mod config;
mod records;
mod refusal;
mod selling;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod receipts;
#[cfg(test)]
mod repeats;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use buying::{BoughtChannel, Buying, ChannelTicked, Next, PaidByVoucher, Paying};
pub use config::ChannelsConfig;
pub use refusal::Refusal;
pub use selling::{ChannelSale, Charge, Selling, SoldChannel, Taken, Ticked, Ticket, Waiting};
