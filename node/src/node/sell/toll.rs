//! The toll before agents with a price: payments inside A2A tasks (`docs/protocols/a2a-x402.md`).
//!
//! The same till and the same channels as behind `/x402/{listing}` take the payment; only how it is asked for and what is
//! told of it is in the metadata of A2A messages.

mod again;
mod fare;

use super::{Counter, is_wish};
use crate::adapters::faults::points;
use crate::agents::Served;
use crate::node::api::coded;
use crate::records::{AgentRow, SchemaText};
use async_trait::async_trait;
use fare::{Bill, ExactFare, VoucherFare};
use haggle_a2a::types::TaskState;
use haggle_a2a::{A2aError, Kind, message};
use haggle_a2a_transport::{Call, Coming, Passage, Tendered, Toll};
use haggle_base::{Hash, Text, Usdc};
use haggle_gateway::ApiError;
use haggle_settlement::channels::{self, ChannelSale, Refusal};
use haggle_settlement::till::{Caller, Refused, Sale, Taken};
use haggle_trade::{TradeError, schema};
use haggle_x402::a2a::{self, Status};
use haggle_x402::{PaymentPayload, PaymentRequired, PaymentRequirements, Reason, Resource, Scheme, SettleResponse};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Letters and fields of a value that is checked at once.
const SHORT: usize = 16 * 1024;
/// What the toll keeps with a waiting task: the settlements so far.
const RECEIPTS: &str = "receipts";
/// What the toll keeps with a waiting task that began with a wish.
const WISH: &str = "wish";

/// One message that has to be paid.
struct Stall {
    /// The agent's row, unless it is gone.
    row: Option<AgentRow>,
    /// Whether its work is for sale by the call.
    is_open: bool,
    sale: Sale,
    task: String,
    /// Settlements that the task has seen.
    receipts: Vec<Value>,
    /// Whether the task began with a wish for a refund or a receipt, so that its message was not held against the schema.
    began_with_wish: bool,
}

#[async_trait]
impl Toll for Counter {
    async fn pass(&self, coming: &mut Coming) -> Result<Passage, A2aError> {
        let served = self.agents.get(&coming.call.agent);
        let is_on_the_market = served.as_ref().is_some_and(Served::is_on_the_market);
        let payload: Option<Result<PaymentPayload, _>> =
            coming.tendered.as_mut().map(|Tendered { payment, .. }| serde_json::from_value(payment.take()));
        let is_wish = payload.as_ref().is_some_and(|read| read.as_ref().is_ok_and(is_wish));
        let mut stall = Stall::of(coming, served.map(|served| served.row), is_on_the_market)?;
        // what was paid for is answered first; only what was not is held against what is for sale now
        if let Some(Ok(payload)) = &payload
            && let Some(passage) = self.again(&stall, payload).await?
        {
            return Ok(passage);
        }
        if is_wish && coming.asked.is_some() && !stall.began_with_wish {
            return Err(A2aError::invalid_params("message", "this task waits to be paid: wish in a task of its own"));
        }
        let row = stall.row.clone().filter(|_| is_on_the_market);
        if let (true, Some(Ok(payload))) = (is_wish, &payload) {
            if !stall.is_open {
                // it buys nothing, so its price is no matter
                let amount = payload.accepted.amount.to_usdc().filter(|amount| !amount.is_zero());
                stall.sale.amount = amount.unwrap_or(Usdc::from_units(1));
            }
            stall.began_with_wish = true;
            return self.pay(stall, payload).await;
        }
        let row = row.ok_or_else(|| A2aError::new(Kind::AgentNotFound, "this agent sells nothing any more"))?;
        let status = Status::of(&coming.call.message);
        let named = coming.call.extensions.iter().map(String::as_str);
        if status.is_none() && payload.is_none() && !a2a::is_named(named) {
            return Err(needs_extension(&row));
        }
        if status == Some(Status::Rejected) {
            return Ok(stall.end(TaskState::Canceled, "the offer was not taken", a2a::bare(Status::Rejected)));
        }
        if !row.is_sold_by_the_call() {
            return Err(by_outcome(&row));
        }
        if coming.asked.is_none() || stall.began_with_wish {
            check_input(&self.schemas, &row, coming.asked.as_ref().unwrap_or(&coming.call.message)).await?;
        }
        match payload {
            None => self.ask_for(&stall, None),
            Some(Ok(payload)) => self.pay(stall, &payload).await,
            Some(Err(_)) => Ok(self.turned_down(stall, &Reason::Payload.into())),
        }
    }
}

impl Counter {
    /// Takes what pays for the message, or what is wished for beside one.
    async fn pay(&self, stall: Stall, payload: &PaymentPayload) -> Result<Passage, A2aError> {
        match payload.accepted.scheme {
            Scheme::Exact => self.take_exact(stall, payload).await,
            Scheme::BatchSettlement => self.take_voucher(stall, payload).await,
            Scheme::HaggleEscrow | Scheme::Other(_) | _ => Ok(self.turned_down(stall, &Reason::Scheme.into())),
        }
    }

    /// Every rail that is live, for one call over A2A; for a wish where nothing is sold, the channel alone.
    fn offer_for(&self, stall: &Stall, refused: Option<&Refused>) -> Result<PaymentRequired, A2aError> {
        let sale = &stall.sale;
        let mut others = Vec::new();
        if let Some(channels) = &self.channels {
            let asked = channels.requirement(&sale.seller, sale.amount);
            others.push(asked.map_err(|error| internal(&coded(error)))?);
        }
        let Some(row) = stall.row.as_ref().filter(|_| stall.is_open) else {
            return Ok(PaymentRequired::new(Resource::new(sale.resource.as_str()), others));
        };
        let mut offer = self.till.offer(sale, others, refused).map_err(|error| internal(&coded(error)))?;
        offer.resource.rest.insert("description".to_owned(), row.description.as_str().into());
        Ok(offer)
    }

    /// The task waits for a payment.
    fn ask_for(&self, stall: &Stall, refused: Option<&Refused>) -> Result<Passage, A2aError> {
        Ok(stall.ask(&self.offer_for(stall, refused)?, refused.map(|refused| refused.reason.a2a_word())))
    }

    fn bill(&self, stall: &Stall) -> Bill {
        Bill {
            network: self.till.facts().network(),
            receipts: stall.receipts.clone(),
            output_schema: stall.row.as_ref().and_then(|row| row.output_schema.clone()),
            schemas: Arc::clone(&self.schemas),
            faults: Arc::clone(&self.faults),
        }
    }

    /// The payment can never be good: the task fails.
    fn turned_down(&self, stall: Stall, refused: &Refused) -> Passage {
        let settled = refused.response(self.till.facts().network());
        stall.fail(refused.reason.a2a_word(), &settled, &refused.message)
    }

    /// One signed transfer for one call.
    async fn take_exact(&self, mut stall: Stall, payload: &PaymentPayload) -> Result<Passage, A2aError> {
        loop {
            match self.till.take(&stall.sale, payload).await {
                Ok(Taken::Work(ticket)) => {
                    self.faults.at(points::EXACT_TAKEN);
                    stall.began();
                    let fare = ExactFare { till: self.till.clone(), ticket, bill: self.bill(&stall) };
                    return Ok(Passage::Pay(Box::new(fare)));
                }
                Ok(Taken::Answered { answer, settlement }) => {
                    let metadata = a2a::completed(a2a::with_receipt(stall.receipts, &settlement));
                    return fare::kept(&answer, metadata).ok_or_else(elsewhere);
                }
                Ok(Taken::Busy(waiting)) => waiting.done().await,
                Err(refused) if refused.is_retryable() => return Err(later(refused.reason.word(), &refused.message)),
                Err(refused) if refused.reason == Reason::Flow => {
                    let settled = refused.response(self.till.facts().network());
                    stall.receipts = a2a::with_receipt(stall.receipts, &settled);
                    return self.ask_for(&stall, Some(&refused));
                }
                Err(refused) => return Ok(self.turned_down(stall, &refused)),
            }
        }
    }

    /// One voucher for one call.
    async fn take_voucher(&self, stall: Stall, payload: &PaymentPayload) -> Result<Passage, A2aError> {
        let Some(channels) = &self.channels else {
            return Ok(self.turned_down(stall, &Reason::Scheme.into()));
        };
        let sale = ChannelSale { seller: stall.sale.seller, amount: stall.sale.amount, request: stall.sale.request };
        loop {
            match channels.take(&sale, payload).await {
                Ok(channels::Taken::Work(ticket)) => {
                    self.faults.at(points::VOUCHER_TAKEN);
                    stall.began();
                    let fare = VoucherFare { channels: channels.clone(), ticket, bill: self.bill(&stall) };
                    return Ok(Passage::Pay(Box::new(fare)));
                }
                Ok(channels::Taken::Answered { answer, .. }) => {
                    let task = answer.and_then(|answer| String::from_utf8(answer).ok()).ok_or_else(elsewhere)?;
                    return Ok(Passage::Done { task, kept: None });
                }
                Ok(channels::Taken::Returned(settled)) => {
                    let told = a2a::completed(a2a::with_receipt(stall.receipts.clone(), &settled));
                    return Ok(stall.end(TaskState::Completed, "what was left in the channel is sent back", told));
                }
                Ok(channels::Taken::Receipt(said)) => {
                    let told = a2a::completed(a2a::with_receipt(stall.receipts.clone(), &said));
                    return Ok(stall.end(TaskState::Completed, "what was charged on the channel is signed", told));
                }
                Ok(channels::Taken::AtWork(waiting)) => waiting.over().await,
                Err(refusal) if refusal.later => return Err(later(refusal.code, "the channel is busy")),
                Err(refusal) => return self.correct_in_task(stall, &refusal),
            }
        }
    }

    /// Where the channel stands, from which the payer corrects itself; what cannot be corrected fails the task.
    fn correct_in_task(&self, mut stall: Stall, refusal: &Refusal) -> Result<Passage, A2aError> {
        let mut offer = self.offer_for(&stall, None)?.with_error(refusal.code);
        let is_channel = |entry: &&mut PaymentRequirements| entry.scheme == Scheme::BatchSettlement;
        let word = a2a::channel_word(refusal.code);
        let Some(entry) = offer.accepts.iter_mut().find(is_channel) else {
            return Ok(self.turned_down(stall, &Reason::Scheme.into()));
        };
        let settled = refusal.settlement(entry);
        if refusal.state.is_none() {
            return Ok(stall.fail(word, &settled, refusal.code));
        }
        *entry = refusal.correct(entry.clone()).map_err(|error| internal(&coded(error)))?;
        stall.receipts = a2a::with_receipt(stall.receipts, &settled);
        Ok(stall.ask(&offer, Some(word)))
    }
}

impl Stall {
    fn of(coming: &mut Coming, row: Option<AgentRow>, is_on_the_market: bool) -> Result<Self, A2aError> {
        let receipts = match coming.memo.remove(RECEIPTS) {
            Some(Value::Array(receipts)) => receipts,
            _ => Vec::new(),
        };
        let began_with_wish = coming.memo.remove(WISH).is_some();
        let asked = coming.asked.as_ref().unwrap_or(&coming.call.message);
        let sale = sale(row.as_ref(), asked, &coming.call)?;
        let is_open = is_on_the_market && row.as_ref().is_some_and(AgentRow::is_sold_by_the_call);
        Ok(Self { row, is_open, sale, task: coming.call.task_id.clone(), receipts, began_with_wish })
    }

    /// Whether the agent still sells for what a payment pays.
    fn sells_for(&self, payload: &PaymentPayload) -> bool {
        self.is_open && payload.accepted.amount.to_usdc() == Some(self.sale.amount)
    }

    /// The agent goes to work on what is paid for.
    fn began(&self) {
        let agent = self.sale.seller;
        tracing::info!(agent.id = %agent, task.id = self.task, "agent {agent} began work on task {}", self.task);
    }

    fn message(&self, words: &str, metadata: Map<String, Value>) -> Value {
        let mut said =
            message::agent(&format!("{}-toll-{}", self.task, self.receipts.len()), vec![message::text(words)]);
        said = message::with_extension(said, a2a::URI);
        if let Some(fields) = said.as_object_mut() {
            fields.insert("metadata".to_owned(), Value::Object(metadata));
        }
        said
    }

    /// The task waits; `word` is why the last payment was not taken, if one came.
    fn ask(&self, offer: &PaymentRequired, word: Option<&str>) -> Passage {
        let mut metadata = a2a::required(offer);
        let mut memo = Map::new();
        if let Some(word) = word {
            metadata.insert(a2a::ERROR.to_owned(), word.into());
        }
        if !self.receipts.is_empty() {
            metadata.insert(a2a::RECEIPTS.to_owned(), self.receipts.clone().into());
            memo.insert(RECEIPTS.to_owned(), self.receipts.clone().into());
        }
        if self.began_with_wish {
            memo.insert(WISH.to_owned(), true.into());
        }
        let words = format!("This costs {} USDC. Pay one of the ways in {}.", self.sale.amount, a2a::REQUIRED);
        Passage::Ask { message: self.message(&words, metadata), memo }
    }

    fn end(&self, state: TaskState, words: &str, metadata: Map<String, Value>) -> Passage {
        Passage::End { state, message: self.message(words, metadata) }
    }

    fn fail(mut self, word: &str, settled: &SettleResponse, why: &str) -> Passage {
        let receipts = a2a::with_receipt(std::mem::take(&mut self.receipts), settled);
        let words = format!("The payment was not taken: {why}");
        self.end(TaskState::Failed, &words, a2a::failed(word, receipts))
    }
}

/// What is sold: the agent's answer to this message. The same message by the same agent is the same purchase, whatever it
/// is called and in which task it comes.
fn sale(row: Option<&AgentRow>, asked: &Value, call: &Call) -> Result<Sale, A2aError> {
    let parts = asked.get("parts").map(Value::to_string).unwrap_or_default();
    let seller = call.agent.to_string();
    let caller = match &call.caller.peer {
        Some(peer) => Caller::peer(peer),
        None => Caller::Key(Text::try_from(call.caller.scope.as_str()).unwrap_or_default()),
    };
    Ok(Sale {
        seller: call.agent,
        listing: row.and_then(|row| Text::try_from(row.name.as_str()).ok()).unwrap_or_default(),
        resource: Text::try_from(seller.as_str()).map_err(|_| A2aError::invalid_params("agent", "is too long"))?,
        amount: row.map_or(Usdc::ZERO, |row| row.price),
        request: Hash::of_fields(&[b"a2a", seller.as_bytes(), parts.as_bytes()]),
        caller,
    })
}

/// The input has to fit before anything is paid for it.
async fn check_input(schemas: &schema::Compiled, row: &AgentRow, asked: &Value) -> Result<(), A2aError> {
    let Some(schema) = &row.input_schema else { return Ok(()) };
    let text = || message::text_of(asked);
    let read = || text().and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let data = message::data_of(asked);
    let made = if data.is_some() { None } else { Some(read().unwrap_or_else(|| json!({"text": text()}))) };
    match fit(schemas, schema, data.or(made.as_ref()).unwrap_or(&Value::Null)).await {
        Ok(schema::Fit::Fits) => Ok(()),
        Ok(schema::Fit::Misfits) => {
            Err(A2aError::invalid_params("message.parts", "do not fit the listing's input schema; nothing was paid"))
        }
        Err(error) => Err(internal(&coded(error))),
    }
}

/// Short values are checked at once, long ones aside.
async fn fit(schemas: &schema::Compiled, schema: &SchemaText, value: &Value) -> Result<schema::Fit, TradeError> {
    if is_short(value) {
        return schemas.check(schema.as_str(), value);
    }
    schema::check_aside(Some(schema.as_str().to_owned()), value.to_string().into_bytes()).await
}

/// Whether a value has few parts and short texts, without writing it.
fn is_short(value: &Value) -> bool {
    fn spend(value: &Value, left: &mut usize) -> bool {
        *left = left.saturating_sub(value.as_str().map_or(1, str::len));
        *left > 0
            && match value {
                Value::Array(items) => items.iter().all(|item| spend(item, left)),
                Value::Object(fields) => fields.values().all(|field| spend(field, left)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
            }
    }
    let mut left = SHORT;
    spend(value, &mut left)
}

/// What is paid for its outcome is bought by an order, whose escrow waits for it.
fn by_outcome(row: &AgentRow) -> A2aError {
    let told = format!(
        "this agent's outcome costs {} USDC: agree on an order (extension {})",
        row.price,
        haggle_trade::EXTENSION_URI
    );
    let refusal = A2aError::new(Kind::ExtensionSupportRequired, told).with("extension", haggle_trade::EXTENSION_URI);
    refusal.with("code", "sold_by_outcome")
}

fn needs_extension(row: &AgentRow) -> A2aError {
    if !row.is_sold_by_the_call() {
        return by_outcome(row);
    }
    let told = format!(
        "this agent's work costs {} USDC: name the extension {} in A2A-Extensions to pay inside the task, or agree on an \
         order (extension {})",
        row.price,
        a2a::URI,
        haggle_trade::EXTENSION_URI
    );
    A2aError::new(Kind::ExtensionSupportRequired, told).with("extension", a2a::URI).with("code", "payment_needed")
}

fn later(code: &str, why: &str) -> A2aError {
    A2aError::new(Kind::Busy, format!("send the same payment again in a moment, sign no other: {why}"))
        .with("code", code)
}

fn elsewhere() -> A2aError {
    A2aError::refused("answer_elsewhere", "this payment was worked for, and its answer was given in another way")
}

fn internal(error: &ApiError) -> A2aError {
    tracing::error!(error.code = &*error.code, "a payment could not be asked for: {error}");
    A2aError::new(Kind::Internal, "the payment could not be asked for").with("code", &*error.code)
}
