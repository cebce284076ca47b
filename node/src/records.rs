//! What the node itself keeps: its agents, and which hire belongs to which key.

use haggle_base::{Blob, Did, Hash, List, Text, Timestamp, Usdc};
use haggle_catalog::PricingModel;
use haggle_store::{Blobs, StoreError, tables};
use serde::{Deserialize, Serialize};

/// Longest body of an answer that is kept in its row; a row has at most 7 KiB.
const MAX_INLINE_BYTES: usize = 4 * 1024;

/// Longest extension of a card, as compact JSON.
const MAX_EXTENDED_BYTES: usize = 16 * 1024;

tables! {
    /// The agents this node serves, by the index of their keys.
    pub(crate) AgentTable = "node-agents-1": u64 => AgentRow;
    /// Keys that call one agent, by their public name.
    pub(crate) ApiKeys = "node-api-keys-1": String => ApiKeyRow;
    /// The most that calls of a key can cost which are not settled yet, by the key's name and the order's key.
    pub(crate) ApiKeyHolds = "node-api-key-holds-1": (String, String) => Usdc;
    /// What was bought by voucher: agent and key.
    pub(crate) PaidAnswers = "node-paid-answers-1": (Did, String) => PaidAnswer;
    /// The tasks of other agents that wait for a payment: agent and key.
    pub(crate) PaidTasks = "node-paid-tasks-1": (Did, String) => PaidTask;
}

/// A task of another agent that a payment is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PaidTask {
    /// The task.
    pub(crate) task: Text<128>,
    /// Its context.
    pub(crate) context: Text<128>,
}

/// A key that calls one agent on an allowance. The key itself is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKeyRow {
    /// blake3 of the key.
    pub(crate) hash: Hash,
    /// The one agent it calls.
    pub(crate) agent: Did,
    /// Our agent that pays.
    pub(crate) buyer: Did,
    /// The most it may ever spend, fees included.
    pub(crate) allowance: Usdc,
    /// What its settled calls cost.
    pub(crate) spent: Usdc,
    /// How many those were.
    pub(crate) calls: u64,
    /// When it was made.
    pub(crate) created: Timestamp,
    /// When it was revoked.
    pub(crate) revoked: Option<Timestamp>,
}

/// A call that was paid by voucher, and its answer once it came. Fields stand in the order in which they are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PaidAnswer {
    /// The body, once it came.
    pub(crate) body: Option<PaidBody>,
    /// What was charged.
    pub(crate) cost: Usdc,
    /// HTTP status.
    pub(crate) status: u16,
    /// Hash of what was asked: a key is for one request.
    pub(crate) request: Hash,
    /// Its `content-type`, or nothing.
    pub(crate) content_type: Text<128>,
}

/// The body of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum PaidBody {
    /// A short one.
    Inline(Blob<MAX_INLINE_BYTES>),
    /// A longer one's name among the blobs.
    File(Hash),
}

impl PaidBody {
    /// Keeps a body: a long one among the blobs.
    pub(crate) fn keep(body: &[u8], blobs: &Blobs) -> Result<Self, StoreError> {
        match Blob::try_from(body.to_vec()) {
            Ok(short) => Ok(Self::Inline(short)),
            Err(_) => blobs.put(body).map(Self::File),
        }
    }

    /// Reads it back; nothing if it is gone.
    pub(crate) fn read(self, blobs: &Blobs) -> Result<Vec<u8>, StoreError> {
        match self {
            Self::Inline(body) => Ok(body.into_vec()),
            Self::File(name) => Ok(blobs.get(&name)?.unwrap_or_default()),
        }
    }
}

impl PaidAnswer {
    /// A call that is about to go out.
    pub(crate) fn unanswered(request: Hash) -> Self {
        Self { request, status: 0, content_type: Text::default(), body: None, cost: Usdc::ZERO }
    }
}

/// Room for a schema, which a listing names as a document if it is long.
pub(crate) type SchemaText = Text<{ haggle_catalog::body::MAX_BLOB_BYTES as usize }>;

/// One agent of this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentRow {
    /// Its DID, which its index gives too; kept to notice a home with another seed.
    pub(crate) did: Did,
    /// Name of the agent and its listing.
    pub(crate) name: Text<48>,
    /// What it does.
    pub(crate) description: Text<512>,
    /// Primary category.
    pub(crate) category: Text<64>,
    /// Tags.
    pub(crate) tags: List<Text<32>, 16>,
    /// Price of one call.
    pub(crate) price: Usdc,
    /// What the price is for; older rows do not say, nor do those of one call.
    #[serde(default = "per_call", skip_serializing_if = "is_per_call")]
    pub(crate) pricing: PricingModel,
    /// Where it is offered; nowhere named is everywhere.
    #[serde(default, skip_serializing_if = "is_everywhere")]
    pub(crate) regions: List<Text<16>, 8>,
    /// JSON Schema of the input. On disk a long one is a document that the row names.
    pub(crate) input_schema: Option<SchemaText>,
    /// JSON Schema of the output, in the same way.
    pub(crate) output_schema: Option<SchemaText>,
    /// Seconds between funding and delivery that it promises.
    pub(crate) deliver_within_secs: u32,
    /// Whether the node posts an on-chain delivery when a buyer stays silent.
    pub(crate) posts_delivery: bool,
    /// What runs it.
    pub(crate) runner: Runner,
    /// What a wrapped agent's own card says of its skills and media types, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) face: Option<Text<4096>>,
    /// Where it stands on the market.
    #[serde(rename = "withdrawn")]
    pub(crate) status: AgentStatus,
    /// What its extended card says beyond the public one, as a JSON object.
    #[serde(default)]
    pub(crate) extended: Option<Text<MAX_EXTENDED_BYTES>>,
    /// When it was added; older rows do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<Timestamp>,
    /// When its owner last changed what it says, or where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) changed: Option<Timestamp>,
}

impl AgentRow {
    /// Whether a call is paid whatever comes of it, and answered at once, as it must be where the payment comes first.
    pub(crate) fn is_sold_by_the_call(&self) -> bool {
        is_per_call(&self.pricing) && !self.is_by_hand()
    }

    /// Whether its owner gives the output of each order.
    pub(crate) fn is_by_hand(&self) -> bool {
        self.runner == Runner::ByHand
    }
}

const fn per_call() -> PricingModel {
    PricingModel::PerCall
}

const fn is_per_call(pricing: &PricingModel) -> bool {
    matches!(pricing, PricingModel::PerCall)
}

fn is_everywhere(regions: &List<Text<16>, 8>) -> bool {
    regions.is_empty()
}

/// Where an agent of this node stands on the market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredStatus", into = "StoredStatus")]
pub(crate) enum AgentStatus {
    /// Nobody else knows of it.
    Draft,
    /// Its card and its listing are on the market.
    Approved,
    /// Its listing was withdrawn; it may come back.
    Suspended,
    /// It is gone. Its row stays, for its keys still own money and nobody may get them again.
    Deleted,
}

impl AgentStatus {
    /// The word for it, as the owner spells it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Approved => "approved",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }
}

/// How a row has it: rows of older nodes say only whether the agent was withdrawn, and stay as they are.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StoredStatus {
    Withdrawn(bool),
    Aside(Aside),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Aside {
    Draft,
    Deleted,
}

impl From<AgentStatus> for StoredStatus {
    fn from(status: AgentStatus) -> Self {
        match status {
            AgentStatus::Approved => Self::Withdrawn(false),
            AgentStatus::Suspended => Self::Withdrawn(true),
            AgentStatus::Draft => Self::Aside(Aside::Draft),
            AgentStatus::Deleted => Self::Aside(Aside::Deleted),
        }
    }
}

impl From<StoredStatus> for AgentStatus {
    fn from(stored: StoredStatus) -> Self {
        match stored {
            StoredStatus::Withdrawn(false) => Self::Approved,
            StoredStatus::Withdrawn(true) => Self::Suspended,
            StoredStatus::Aside(Aside::Draft) => Self::Draft,
            StoredStatus::Aside(Aside::Deleted) => Self::Deleted,
        }
    }
}

/// What runs an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Runner {
    /// A built-in agent.
    Builtin(Text<48>),
    /// An A2A server at a URL that the operator typed.
    Http(Text<512>),
    /// A program of the operator's.
    Command(CommandRow),
    /// A closure of the program that embeds the node; it has to be given again after a restart.
    Embedded,
    /// Nothing: its owner gives the output of each order.
    ByHand,
}

/// A program that is an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CommandRow {
    /// The program and its arguments.
    pub(crate) argv: List<Text<1024>, 64>,
    /// The directory it runs in.
    pub(crate) dir: Option<Text<1024>>,
    /// Names of the node's environment variables that it gets.
    pub(crate) env: List<Text<128>, 32>,
    /// Longest time for one call, in seconds.
    pub(crate) call_secs: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::AgentDraft;
    use haggle_base::{Seed, cbor};

    #[test]
    fn rows_of_older_nodes_are_read_and_written_as_they_were() {
        let did = Seed::devnet(7, 1).agent_key(1).did();
        let row = crate::agents::row(did, &AgentDraft::new("echo"), Runner::Embedded).unwrap();
        for (status, stored) in [
            (AgentStatus::Approved, &b"\x69withdrawn\xf4"[..]),
            (AgentStatus::Suspended, b"\x69withdrawn\xf5"),
            (AgentStatus::Draft, b"\x69withdrawn\x65draft"),
            (AgentStatus::Deleted, b"\x69withdrawn\x67deleted"),
        ] {
            let row = AgentRow { status, ..row.clone() };
            let bytes = cbor::to_vec(&row).unwrap();
            assert!(bytes.windows(stored.len()).any(|part| part == stored), "{status:?}");
            for later in [&b"created"[..], b"changed", b"pricing", b"regions"] {
                assert!(!bytes.windows(7).any(|part| part == later), "older rows have none");
            }
            assert_eq!(cbor::from_slice::<AgentRow>(&bytes, 7 * 1024).unwrap(), row);
        }
        let bytes = cbor::to_vec(&row).unwrap();
        assert!(bytes.windows(16).any(|part| part == b"\x66runner\x68embedded"), "runners are told by their words");
        let by_hand = crate::agents::row(did, &AgentDraft::new("echo"), Runner::ByHand).unwrap();
        assert_eq!(cbor::from_slice::<AgentRow>(&cbor::to_vec(&by_hand).unwrap(), 7 * 1024).unwrap(), by_hand);
        assert_eq!((row.is_sold_by_the_call(), by_hand.is_sold_by_the_call()), (true, false));
        let draft = AgentDraft::new("echo").by_outcome().regions(["eu"]);
        let later = crate::agents::row(did, &draft, Runner::Embedded).unwrap();
        assert_eq!(cbor::from_slice::<AgentRow>(&cbor::to_vec(&later).unwrap(), 7 * 1024).unwrap(), later);
    }
}
