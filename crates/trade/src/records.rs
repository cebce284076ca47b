//! What a trading node keeps: hires (we buy), jobs (we sell), live quotes, life lines.

use haggle_base::{Address, Blob, ClosedBy, Did, EvmSignature, Hash, OrderId, RecordId, Side, Text, Timestamp, Usdc};
use haggle_store::tables;
use serde::{Deserialize, Serialize};

use crate::{
    document::{MAX_QUOTE_BYTES, MAX_RECEIPT_BYTES},
    error::FailureCode,
    negotiation::{Asking, Bidding},
    order::{OrderMachine, OrderState, job, saga},
    ports::{Phase, TxRef},
    terms::MAX_TERMS_BYTES,
};

/// A buyer's local number of one purchase; the order id exists only once there are terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HireId(pub u64);

impl std::fmt::Display for HireId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "hire-{}", self.0)
    }
}

impl std::str::FromStr for HireId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("hire-").unwrap_or(text).parse().map(Self)
    }
}

impl HireId {
    /// The key of its budget reservation.
    pub fn reservation(self) -> String {
        self.to_string()
    }
}

/// How an order ended on chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ending {
    /// Which exit closed it.
    pub closed_by: ClosedBy,
    /// What the provider's side was paid of the price.
    pub paid: Usdc,
    /// The fee that was taken.
    pub fee: Usdc,
    /// The closing transaction, where known.
    pub tx: Option<TxRef>,
}

impl Ending {
    /// Whether an order in this phase ended just so, whichever transaction did it.
    pub(crate) fn holds(&self, now: Option<Phase>) -> bool {
        now == Some(Phase::Settled { closed_by: self.closed_by, paid: self.paid, fee: self.fee })
    }
}

/// A result that is held: its receipt and where the output lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// The provider's signed receipt, as received.
    pub receipt: Blob<MAX_RECEIPT_BYTES>,
    /// The output, in the blobs.
    pub output: Hash,
    /// When it was held, wall time.
    pub at: Timestamp,
}

/// Our part in a dispute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quarrel {
    /// Hash of what the buyer says went wrong; at the buyer's, the blobs hold it.
    pub evidence: Hash,
    /// Whether we hold to our side: always at the buyer's; at the provider's, if the delivery stands.
    pub stands: bool,
    /// Our bond's signature, once it is signed.
    pub bond: Option<EvmSignature>,
    /// The chain time that the signature is good until: the end of the window it was signed for.
    pub until: Option<Timestamp>,
}

/// One purchase of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hire {
    /// Our agent that buys.
    pub agent: Did,
    /// The seller.
    pub provider: Did,
    /// The listing's record.
    pub listing: RecordId,
    /// The listing's slot.
    pub slot: Text<64>,
    /// The listing's version.
    pub seq: u64,
    /// What it is called.
    pub title: Text<120>,
    /// The input, in the blobs.
    pub input: Hash,
    /// Size of the input in bytes.
    pub input_bytes: u64,
    /// The most this may cost, fee included.
    pub max_price: Usdc,
    /// What is reserved of the budget, fee included.
    pub reserved: Usdc,
    /// Our half of the negotiation.
    pub bidding: Bidding,
    /// Our name for the negotiation.
    pub request: Hash,
    /// What makes the order unlike any other.
    pub salt: Hash,
    /// The last step on disk.
    pub step: saga::Step,
    /// When it began, wall time.
    pub started: Timestamp,
    /// The provider's signed quote.
    pub quote: Option<Blob<MAX_QUOTE_BYTES>>,
    /// Our signed terms.
    pub own_terms: Option<Blob<MAX_TERMS_BYTES>>,
    /// The provider's signature over the terms (its whole signed copy is checked, then its id kept).
    pub their_terms: Option<Hash>,
    /// The order's id, once there are terms.
    pub order: Option<OrderId>,
    /// The order's machine, once there are terms.
    pub machine: Option<OrderMachine>,
    /// The provider's signature over the order.
    pub consent: Option<EvmSignature>,
    /// Our payment signature.
    pub authorisation: Option<EvmSignature>,
    /// The funding transaction, where known.
    pub fund_tx: Option<TxRef>,
    /// When the chain showed it funded, wall time.
    pub funded_at: Option<Timestamp>,
    /// The result.
    pub held: Option<Held>,
    /// What the result was judged to be.
    pub verdict: Option<saga::Verdict>,
    /// Our release signature.
    pub release: Option<EvmSignature>,
    /// When we signed the release, wall time.
    pub release_at: Option<Timestamp>,
    /// How the chain closed it.
    pub ending: Option<Ending>,
    /// Why it ended badly, if it did.
    pub failure: Option<FailureCode>,
    /// The caller's idempotency key.
    pub key: Option<Text<64>>,
    /// The rating to attest with, if one was given.
    pub rating: Option<u8>,
    /// Why this seller was chosen, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text<240>>,
    /// Wall time after which nobody waits for the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// When the provider said that it stops because nobody waits, wall time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Timestamp>,
    /// Why our owner wants a dispute, in its words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grievance: Option<Text<240>>,
    /// Our dispute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarrel: Option<Quarrel>,
    /// Lines in the life line so far.
    pub lines: u32,
}

/// One sale of ours, from signed terms on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Our agent that sells.
    pub agent: Did,
    /// The buyer.
    pub buyer: Did,
    /// The negotiation it came from.
    pub request: Hash,
    /// The listing's slot.
    pub slot: Text<64>,
    /// What it is called.
    pub title: Text<120>,
    /// The buyer's signed terms.
    pub their_terms: Blob<MAX_TERMS_BYTES>,
    /// Our signed copy.
    pub own_terms: Blob<MAX_TERMS_BYTES>,
    /// The last step on disk.
    pub step: job::Step,
    /// The order's machine.
    pub machine: OrderMachine,
    /// blake3 of the input that was agreed.
    pub input: Hash,
    /// Size of the input in bytes, as the buyer announced it.
    pub input_bytes: u64,
    /// The held input, in the blobs: the order's id and then the input, so that no other order shares it.
    pub input_blob: Option<Hash>,
    /// blake3 of the input schema's text, which lies in the blobs.
    pub input_schema: Option<Hash>,
    /// When it began, wall time.
    pub started: Timestamp,
    /// Our signature over the order.
    pub consent: Option<EvmSignature>,
    /// The buyer's payment signature.
    pub authorisation: Option<EvmSignature>,
    /// The funding transaction, where known.
    pub fund_tx: Option<TxRef>,
    /// When the chain showed it funded, wall time.
    pub funded_at: Option<Timestamp>,
    /// The output, in the blobs; set once, never recomputed.
    pub output: Option<Hash>,
    /// The result with our receipt.
    pub held: Option<Held>,
    /// The buyer's release.
    pub release: Option<EvmSignature>,
    /// How the chain closed it.
    pub ending: Option<Ending>,
    /// Why it ended badly, if it did.
    pub failure: Option<FailureCode>,
    /// When the buyer said, before there was a receipt, that it no longer waits; wall time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Timestamp>,
    /// Whether our owner wants to stand against a dispute.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub counter: bool,
    /// The buyer's dispute, and our answer to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarrel: Option<Quarrel>,
    /// Lines in the life line so far.
    pub lines: u32,
}

/// What a provider last answered in a negotiation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A signed quote.
    Quoted(Blob<MAX_QUOTE_BYTES>),
    /// A counter.
    Countered(Usdc),
    /// No agreement.
    Ended,
}

/// One negotiation of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Negotiation {
    /// Our agent that sells.
    pub agent: Did,
    /// The address the buyer proved to pay from.
    pub buyer_address: Address,
    /// The listing's record.
    pub listing: RecordId,
    /// The listing's slot.
    pub slot: Text<64>,
    /// The listing's version.
    pub seq: u64,
    /// What it is called.
    pub title: Text<120>,
    /// blake3 of the input.
    pub input: Hash,
    /// Size of the input in bytes, as the buyer announced it.
    pub input_bytes: u64,
    /// blake3 of the input schema's text, which lies in the blobs.
    pub input_schema: Option<Hash>,
    /// The bid of each round that was answered, the last one.
    pub last_bid: Usdc,
    /// Rounds answered so far.
    pub round: u8,
    /// Our half.
    pub asking: Asking,
    /// What we answered last.
    pub answer: Answer,
    /// Wall time after which it is forgotten.
    pub expires: Timestamp,
    /// The order that was made of it.
    pub order: Option<OrderId>,
}

/// One line of an order's life line: what was on disk, when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// The step's name.
    pub step: Text<32>,
    /// The order's state after it.
    pub state: OrderState,
    /// Wall time.
    pub at: Timestamp,
    /// Chain time, where it was looked at.
    pub chain: Option<Timestamp>,
    /// The transaction it is about.
    pub tx: Option<TxRef>,
}

/// Which row a life line belongs to.
pub(crate) fn line_key(side: Side, id: &str, line: u32) -> (String, u32) {
    let side = match side {
        Side::Buyer => "buyer",
        Side::Provider => "provider",
    };
    (format!("{side}/{id}"), line)
}

tables! {
    /// Hires by number.
    pub Hires = "trade-hires-1": u64 => Hire;
    /// Hires that are not over.
    pub OpenHires = "trade-hires-open-1": u64 => ();
    /// Hires by order id.
    pub HiresByOrder = "trade-hires-by-order-1": OrderId => u64;
    /// Hires by the caller's idempotency key.
    pub HiresByKey = "trade-hires-by-key-1": (Did, String) => u64;
    /// Jobs by order id.
    pub Jobs = "trade-jobs-1": OrderId => Job;
    /// Jobs that are not over.
    pub OpenJobs = "trade-jobs-open-1": OrderId => ();
    /// Live negotiations by buyer and request.
    pub Negotiations = "trade-negotiations-1": (Did, Hash) => Negotiation;
    /// Negotiations by when they are forgotten.
    pub NegotiationsByExpiry = "trade-negotiations-by-expiry-1": (Timestamp, Did, Hash) => ();
    /// Life lines.
    pub Lines = "trade-lines-1": (String, u32) => Line;
    /// The home's random half of every salt, drawn once.
    pub Salts = "trade-salt-1": () => Blob<16>;
}
