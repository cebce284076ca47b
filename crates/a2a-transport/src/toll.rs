//! What this room asks of whoever takes money for work: a toll before the agent, and a fare that stands until the work is
//! done. Nothing here knows what a payment looks like.
//!
//! ```text
//! message without a payment   Toll::pass -> Ask      the task waits in input-required
//! message with a payment      Toll::pass -> Pay(fare) -> the agent works -> Fare::done -> one commit, answer
//!                                        \-> Done     the same payment again: the answer it was given
//!                                        \-> End      the payment, or the offer, was turned down
//! ```

use std::fmt;

use async_trait::async_trait;
use haggle_a2a::{A2aError, types::TaskState};
use haggle_store::Batch;
use serde_json::{Map, Value};

use crate::{Call, Outcome};

/// A payment that came with a message, taken out of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tendered {
    /// The payment's name: the same payment has the same one, however often it comes.
    pub name: String,
    /// The payment itself.
    pub payment: Value,
}

/// A message before a toll.
#[derive(Debug)]
pub struct Coming {
    /// The message, its caller and its task. What pays for it is taken out.
    pub call: Call,
    /// The message that the task began with, if it waits to be paid: that one the agent will see.
    pub asked: Option<Value>,
    /// The payment that came with the message.
    pub tendered: Option<Tendered>,
    /// What the toll left with the task when it asked.
    pub memo: Map<String, Value>,
}

/// What a toll decides.
#[derive(Debug)]
pub enum Passage {
    /// The task waits to be paid.
    Ask {
        /// What its caller is told.
        message: Value,
        /// What the toll is to be shown with the next message.
        memo: Map<String, Value>,
    },
    /// The task ends without work.
    End {
        /// A terminal state.
        state: TaskState,
        /// Its closing words.
        message: Value,
    },
    /// The payment is good and reserved: the agent shall work, once.
    Pay(Box<dyn Fare>),
    /// The work was done for this payment before.
    Done {
        /// The task it was done in.
        task: String,
        /// What came of it, if the toll has kept it: for a task whose end never was stored.
        kept: Option<Box<Kept>>,
    },
}

/// What came of paid work, as a toll kept it.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// What the agent answered.
    pub outcome: Outcome,
    /// What is added to the metadata of the task's last message.
    pub metadata: Map<String, Value>,
}

/// What becomes of a fare when the work is over.
pub struct Charged {
    /// Added to the metadata of the task's last message.
    pub metadata: Map<String, Value>,
    /// Why the outcome is not to be given away; the task fails with these words.
    pub withheld: Option<String>,
    /// Stored together with the task's end, in one commit.
    pub batch: Batch,
    /// To be called once that is stored; the payment stands from then on. Dropped if it cannot be stored.
    pub stands: Option<Box<dyn FnOnce() + Send>>,
}

impl fmt::Debug for Charged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Charged").field("withheld", &self.withheld).finish_non_exhaustive()
    }
}

impl Charged {
    /// Nothing is left to be stored.
    pub fn settled(metadata: Map<String, Value>) -> Self {
        Self { metadata, withheld: None, batch: Batch::new(), stands: None }
    }

    /// The outcome is not given away, for this reason.
    pub fn withheld(metadata: Map<String, Value>, why: impl Into<String>) -> Self {
        Self { withheld: Some(why.into()), ..Self::settled(metadata) }
    }
}

/// A payment that is good for one piece of work. Dropping it is giving up: the same payment may be taken again.
#[async_trait]
pub trait Fare: Send + Sync {
    /// Added to the metadata of the task's status while the agent works.
    fn verified(&self) -> Map<String, Value>;

    /// The work is over. Runs to its end also if the caller goes away. Until what it charged is stored nobody else may take
    /// the same payment: the fare keeps it, or [`Charged::stands`] does.
    async fn done(self: Box<Self>, task: &str, context: &str, outcome: &Outcome) -> Charged;
}

impl fmt::Debug for dyn Fare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fare")
    }
}

/// Takes payments for the work of agents.
#[async_trait]
pub trait Toll: Send + Sync {
    /// Decides about a message, whose payment it may take out. It may wait, for a payment that is worked for at this moment. It runs to its end even if
    /// the caller goes away.
    ///
    /// # Errors
    /// The message changes nothing: the caller lacks an extension, or the very same message may be sent again later
    /// ([`haggle_a2a::Kind::Busy`]).
    async fn pass(&self, coming: &mut Coming) -> Result<Passage, A2aError>;
}

impl fmt::Debug for dyn Toll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Toll")
    }
}
