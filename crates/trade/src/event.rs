//! What the rest of the node hears about orders, and what it sees of one.

use haggle_base::{Did, Hash, OrderId, RecordId, Side, Text, Timestamp, Usdc};

use crate::{
    error::FailureCode,
    order::{Clocks, OrderState, saga::Verdict},
    ports::TxRef,
    records::{Ending, HireId, Line},
};

/// Events a slow listener may fall behind before it loses some.
pub const EVENT_QUEUE: usize = 512;
/// Most lines a life line keeps.
pub const MAX_LINES: u32 = 64;

/// A step of one of our orders is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderEvent {
    /// Our side.
    pub side: Side,
    /// Our agent.
    pub agent: Did,
    /// The other side's agent.
    pub counterparty: Did,
    /// The hire, on the buyer's side.
    pub hire: Option<HireId>,
    /// The order, once there are terms.
    pub order: Option<OrderId>,
    /// The step's name.
    pub step: &'static str,
    /// The order's state after it.
    pub state: OrderState,
    /// Wall time.
    pub at: Timestamp,
    /// The transaction it is about.
    pub tx: Option<TxRef>,
    /// Why it ended badly, if it did.
    pub failure: Option<FailureCode>,
    /// Whether nothing is left to do.
    pub is_final: bool,
}

/// One order as its party sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderView {
    /// Our side.
    pub side: Side,
    /// The hire, on the buyer's side.
    pub hire: Option<HireId>,
    /// The order, once there are terms.
    pub id: Option<OrderId>,
    /// The buyer.
    pub buyer: Did,
    /// The provider.
    pub provider: Did,
    /// The listing's record, where known.
    pub listing: Option<RecordId>,
    /// The listing's slot.
    pub slot: Text<64>,
    /// What it is called.
    pub title: Text<120>,
    /// Where it stands.
    pub state: OrderState,
    /// The last step on disk.
    pub step: &'static str,
    /// Whether nothing is left to do.
    pub is_final: bool,
    /// Whether it waits until its seller's owner gives the output.
    pub awaits_output: bool,
    /// The price, once quoted.
    pub price: Option<Usdc>,
    /// The fee on it.
    pub fee: Option<Usdc>,
    /// What the buyer pays in.
    pub deposit: Option<Usdc>,
    /// The clocks, once there are terms.
    pub clocks: Option<Clocks>,
    /// blake3 of the input.
    pub input: Hash,
    /// blake3 of the output, once held; the bytes are in the blobs.
    pub output: Option<Hash>,
    /// What the buyer judged the output to be.
    pub verdict: Option<Verdict>,
    /// How the chain closed it.
    pub ending: Option<Ending>,
    /// The funding transaction, where known.
    pub fund_tx: Option<TxRef>,
    /// Why it ended badly, if it did.
    pub failure: Option<FailureCode>,
    /// Why this seller was chosen, in words, on the buyer's side.
    pub reason: Option<Text<240>>,
    /// Wall time after which nobody waits for the result, on the buyer's side.
    pub deadline: Option<Timestamp>,
    /// When it began, wall time.
    pub started: Timestamp,
    /// The life line, oldest first.
    pub lines: Vec<Line>,
}
