//! Payments that are good for one piece of work, until the work is over.

use super::fit;
use crate::adapters::faults::{CrashPoint, points};
use crate::records::SchemaText;
use async_trait::async_trait;
use haggle_a2a::message;
use haggle_a2a::types::TaskState;
use haggle_a2a_transport::{Charged, Fare, Kept, Outcome, Passage};
use haggle_settlement::channels::{self, Selling};
use haggle_settlement::till::{Ticket, Till};
use haggle_store::Batch;
use haggle_trade::schema;
use haggle_x402::a2a::{self, Status};
use haggle_x402::{ChainRef, Reason, SettleResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Said to the payer of work that came to nothing.
const NOT_CHARGED: &str = "the work came to nothing; nothing was charged";
/// The same where the money has moved already.
const STAYS_PAID: &str = "the output does not fit the listing's schema; the payment stands for the same message again";
const MISFIT: &str = "the output does not fit the listing's schema; nothing was charged";

/// What both rails need when the work is over.
#[derive(Debug)]
pub(super) struct Bill {
    pub(super) network: ChainRef,
    pub(super) receipts: Vec<Value>,
    pub(super) output_schema: Option<SchemaText>,
    pub(super) schemas: Arc<schema::Compiled>,
    pub(super) faults: Arc<CrashPoint>,
}

/// How the work came out, as far as the payment is concerned.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    Misfit,
    Failed,
}

impl Bill {
    /// An agent that asks back has worked, and its question is part of the answer.
    async fn judge(&self, outcome: &Outcome) -> Verdict {
        let Outcome::Task { state, artifacts, message, .. } = outcome else { return Verdict::Good };
        match state {
            TaskState::Completed => {}
            TaskState::InputRequired | TaskState::AuthRequired => return Verdict::Good,
            _ => return Verdict::Failed,
        }
        let Some(schema) = &self.output_schema else { return Verdict::Good };
        let mut holders = artifacts.iter().chain(message);
        let data = holders.clone().find_map(message::data_of);
        let text = if data.is_some() { None } else { holders.find_map(message::text_of).map(Value::String) };
        match fit(&self.schemas, schema, data.or(text.as_ref()).unwrap_or(&Value::Null)).await {
            Ok(schema::Fit::Fits) => Verdict::Good,
            Ok(schema::Fit::Misfits) | Err(_) => Verdict::Misfit,
        }
    }

    fn stands(self, settled: &SettleResponse) -> Map<String, Value> {
        a2a::completed(a2a::with_receipt(self.receipts, settled))
    }

    fn not_charged(self, reason: Reason, why: &str) -> Map<String, Value> {
        let settled = SettleResponse::refused(self.network, reason, why, None, None);
        a2a::failed(reason.a2a_word(), a2a::with_receipt(self.receipts, &settled))
    }
}

/// One signed transfer.
#[derive(Debug)]
pub(super) struct ExactFare {
    pub(super) till: Till,
    pub(super) ticket: Ticket,
    pub(super) bill: Bill,
}

#[async_trait]
impl Fare for ExactFare {
    fn verified(&self) -> Map<String, Value> {
        a2a::bare(Status::Verified)
    }

    async fn done(self: Box<Self>, task: &str, context: &str, outcome: &Outcome) -> Charged {
        let Self { till, ticket, bill } = *self;
        let verdict = bill.judge(outcome).await;
        if verdict == Verdict::Good {
            bill.faults.at(points::EXACT_WORKED);
            let answer = Answered::bytes(task, context, outcome);
            return match till.worked(ticket, answer).await {
                Ok(settled) => {
                    bill.faults.at(points::EXACT_ANSWERED);
                    Charged::settled(bill.stands(&settled))
                }
                Err(refused) => {
                    let why = format!("the payment was not settled: {refused}");
                    let settled = refused.response(bill.network.clone());
                    let receipts = a2a::with_receipt(bill.receipts, &settled);
                    Charged::withheld(a2a::failed(refused.reason.a2a_word(), receipts), why)
                }
            };
        }
        let paid = till.failed(ticket).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "a payment whose work failed could not be let go: {error}");
            None
        });
        let is_misfit = verdict == Verdict::Misfit;
        match paid {
            Some(settled) if is_misfit => Charged::withheld(bill.stands(&settled), STAYS_PAID),
            Some(settled) => Charged::settled(bill.stands(&settled)),
            None if is_misfit => Charged::withheld(bill.not_charged(Reason::SettleFailed, MISFIT), MISFIT),
            None => Charged::settled(bill.not_charged(Reason::SettleFailed, NOT_CHARGED)),
        }
    }
}

/// One voucher.
#[derive(Debug)]
pub(super) struct VoucherFare {
    pub(super) channels: Selling,
    pub(super) ticket: Box<channels::Ticket>,
    pub(super) bill: Bill,
}

#[async_trait]
impl Fare for VoucherFare {
    fn verified(&self) -> Map<String, Value> {
        a2a::bare(Status::Verified)
    }

    async fn done(self: Box<Self>, task: &str, _: &str, outcome: &Outcome) -> Charged {
        let Self { channels, ticket, bill } = *self;
        match bill.judge(outcome).await {
            Verdict::Failed => return Charged::settled(bill.not_charged(Reason::SettleFailed, NOT_CHARGED)),
            Verdict::Misfit => return Charged::withheld(bill.not_charged(Reason::SettleFailed, MISFIT), MISFIT),
            Verdict::Good => bill.faults.at(points::VOUCHER_WORKED),
        }
        let faults = Arc::clone(&bill.faults);
        // what is kept beside the voucher is the task's name: voucher and task are stored in one commit
        let mut batch = Batch::new();
        match channels.charge(ticket, task.as_bytes(), &mut batch) {
            Ok(charge) => {
                let metadata = bill.stands(charge.settled());
                let stands = Box::new(move || {
                    drop(charge.stored());
                    faults.at(points::VOUCHER_KEPT);
                });
                Charged { metadata, withheld: None, batch, stands: Some(stands) }
            }
            Err(error) => {
                let why = format!("the voucher was not charged: {error}");
                Charged::withheld(bill.not_charged(Reason::SettleFailed, &why), why)
            }
        }
    }
}

/// An answer as the till keeps it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answered {
    task: String,
    context: String,
    state: TaskState,
    artifacts: Vec<Value>,
    message: Option<Value>,
    extra: Map<String, Value>,
}

impl Answered {
    fn bytes(task: &str, context: &str, outcome: &Outcome) -> Vec<u8> {
        let (task, context) = (task.to_owned(), context.to_owned());
        let answered = match outcome.clone() {
            Outcome::Task { state, artifacts, message, extra, .. } => {
                Self { task, context, state, artifacts, message, extra }
            }
            Outcome::Message(said) => Self {
                task,
                context,
                state: TaskState::Completed,
                artifacts: Vec::new(),
                message: Some(said),
                extra: Map::new(),
            },
        };
        serde_json::to_vec(&answered).unwrap_or_default()
    }
}

/// The answer that the till kept; nothing if it was not given in an A2A task.
pub(super) fn kept(answer: &[u8], metadata: Map<String, Value>) -> Option<Passage> {
    let Answered { task, state, artifacts, message, extra, .. } = serde_json::from_slice(answer).ok()?;
    let outcome = Outcome::Task { state, artifacts, message, extra, resume: None };
    Some(Passage::Done { task, kept: Some(Box::new(Kept { outcome, metadata })) })
}
