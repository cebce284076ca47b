//! Paying agents inside A2A tasks (a2a-x402, `docs/protocols/a2a-x402.md`): asked, paid within the budget, asked again with
//! the same payment until there is an answer.

use super::channel::bound;
use super::line::Line;
use super::route::Rail;
use super::{SENDS, about, conflict, key_text, own_headers, views};
use crate::adapters::faults::points;
use crate::config::Prefer;
use crate::node::Inner;
use crate::node::api::coded;
use crate::node::invoke::output;
use crate::records::{PaidAnswer, PaidBody, PaidTask, PaidTasks};
use haggle_a2a::types::methods;
use haggle_a2a::{A2aError, Kind, message};
use haggle_base::{Did, Hash, Text, Usdc};
use haggle_gateway::ApiError;
use haggle_gateway::view::{PayRequest, PayView};
use haggle_settlement::channels::{Next, Paying};
use haggle_settlement::purse::{Purchase, PurchaseState, Wanted};
use haggle_store::Batch;
use haggle_x402::a2a::{self, Status};
use haggle_x402::{PaymentPayload, PaymentRequired, PaymentRequirements, SettleResponse};
use http::StatusCode;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for a task that the agent works on behind its answer.
const WORK_PATIENCE: Duration = Duration::from_secs(300);
/// Times a voucher is sent in one call: corrected, or later, or on another channel.
const VOUCHERS: usize = 4;

/// One message to an agent that may want money for it.
struct Ask<'a> {
    line: Line,
    /// Who pays.
    agent: Did,
    key: &'a str,
    /// What the key is bound to.
    request: Hash,
    parts: Value,
    max: Usdc,
    rail: Option<&'a str>,
}

/// A task that waits to be paid.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) id: String,
    pub(super) context: String,
}

/// What an agent answered, read for its payment.
pub(super) struct Said<'a> {
    result: &'a Value,
    message: Option<&'a Value>,
}

impl<'a> Said<'a> {
    pub(super) fn of(result: &'a Value) -> Self {
        let status = result.get("task").and_then(|task| task.get("status"));
        let message = result.get("message").or_else(|| status?.get("message"));
        Self { result, message }
    }

    pub(super) fn payment(&self) -> Option<Status> {
        self.message.and_then(Status::of)
    }

    pub(super) fn offer(&self) -> Option<PaymentRequired> {
        self.message.and_then(a2a::offer_in)
    }

    /// The newest settlement.
    pub(super) fn settled(&self) -> Option<SettleResponse> {
        self.message.map(a2a::receipts_in)?.pop()
    }

    pub(super) fn task(&self) -> Option<Waiting> {
        let task = self.result.get("task")?;
        let text = |key: &str| task.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(Waiting { id: text("id"), context: text("contextId") })
    }

    fn state(&self) -> Option<&'a str> {
        self.result.get("task")?.get("status")?.get("state")?.as_str()
    }

    fn is_at_work(&self) -> bool {
        matches!(self.state(), Some("TASK_STATE_WORKING" | "TASK_STATE_SUBMITTED" | "working" | "submitted"))
    }

    /// Why the payment was not taken, or the work not done, in the agent's words.
    pub(super) fn words(&self) -> String {
        let settled = self.settled();
        let told = settled.as_ref().and_then(SettleResponse::error_reason).map(str::to_owned);
        let code = told.or_else(|| self.message.and_then(a2a::error_in).map(str::to_owned));
        let text = self.message.and_then(message::text_of).unwrap_or_else(|| "no reason".to_owned());
        let both = code.map_or_else(|| text.clone(), |code| format!("{text} ({code})"));
        both.chars().filter(|letter| !letter.is_control()).take(300).collect()
    }
}

impl Inner {
    /// Sends an agent a message and pays for it if it asks; see [`haggle_gateway::NodeApi::pay`].
    pub(super) async fn pay_agent(&self, key: &str, request: &PayRequest, asked: &Value) -> Result<PayView, ApiError> {
        let wrong = |detail: &str| ApiError::bad_request("invalid_request", detail, "see `haggle pay --help`");
        if request.body.is_some() || request.method.is_some() {
            return Err(wrong("a message to an agent goes without method and body"));
        }
        let agent = self.own_agent(request.buyer.as_deref())?;
        let about = Text::try_from(request.url.as_str()).map_err(|_| wrong("the agent's name is over 2 KiB"))?;
        let part = match asked {
            Value::String(text) => message::text(text),
            other => message::data(other.clone()),
        };
        let parts = Value::Array(vec![part]);
        let hash = Hash::of_fields(&[b"agent", request.url.as_bytes(), parts.to_string().as_bytes()]);
        let headers = own_headers(&request.headers).ok_or_else(|| wrong("a header cannot be sent"))?;
        let _turn = self.paying.take(&format!("{agent} {key}")).await;
        if let Some(answer) = self.answer_on_channel(&agent, key, &hash)? {
            return Ok(answer);
        }
        let wanted = Wanted { agent, key: key_text(key)?, request: hash, about };
        let known = self.known(&wanted).await?;
        if let Some(known) = known.as_ref().filter(|known| known.answer.is_some()) {
            return self.answered_view(known);
        }
        let line = self.line_to(&request.url, &headers).await?;
        let (max, rail) = (request.max_price.unwrap_or(Usdc::MAX), request.rail.as_deref());
        let ask = Ask { line, agent, key, request: hash, parts, max, rail };
        if let Some(known) = known.filter(|known| known.state != PurchaseState::Lapsed) {
            let task = self.money.get::<PaidTasks>(&(agent, key.to_owned())).map_err(coded)?;
            let task = task.map(|task| Waiting { id: task.task.to_string(), context: task.context.to_string() });
            return self.pay_in_task(&ask, known, task).await;
        }
        if let Some(entry) = self.remembered(&ask).filter(|_| !request.dry_run) {
            return self.pay_on_voucher(&ask, &entry, None, None).await;
        }
        let result = self.say(&ask.line, methods::SEND_MESSAGE, ask.first(Map::new())).await.map_err(coded)?;
        let result = self.until_done(&ask.line, result).await.map_err(coded)?;
        let said = Said::of(&result);
        let (Some(Status::Required), Some(task)) = (said.payment(), said.task()) else {
            return answer(&ask, &result, Usdc::ZERO);
        };
        let offer = said.offer().ok_or_else(unreadable)?;
        let (route, entry) = self.routed(&agent, key, &offer, max, rail)?;
        if request.dry_run {
            return Ok(views::quoted(key, &route));
        }
        if route.rail == Rail::Channel {
            self.remember(&ask, entry);
            return self.pay_on_voucher(&ask, entry, Some(&offer), Some(task)).await;
        }
        self.keep_task(&ask, &task).await?;
        let purchase = self.purse.sign(&wanted, &offer, entry).await.map_err(coded)?;
        self.faults.at(points::PAYMENT_SIGNED);
        self.paid_singly(&agent, entry);
        self.pay_in_task(&ask, purchase, Some(task)).await
    }

    /// Shows the stored payment, the same one every time, until there is an answer or a reason why not.
    async fn pay_in_task(
        &self,
        ask: &Ask<'_>,
        mut purchase: Purchase,
        mut task: Option<Waiting>,
    ) -> Result<PayView, ApiError> {
        let payload = self.purse.payload(&purchase).map_err(coded)?;
        let mut last = None;
        for _ in 0..=SENDS {
            let sent = self.say(&ask.line, methods::SEND_MESSAGE, ask.paying(&payload, task.as_ref())).await;
            let heard = match sent {
                Ok(heard) => self.until_done(&ask.line, heard).await,
                Err(error) => Err(error),
            };
            let result = match heard {
                Ok(result) => result,
                // it was sent and is not through: the chain knows first
                Err(error) if error.kind() == Kind::Busy => {
                    purchase = self.until_known(purchase).await;
                    last = Some(error);
                    continue;
                }
                // the task is gone: the payment is good all the same, for the same message
                Err(error) if task.is_some() && is_gone(&error) => {
                    task = None;
                    last = Some(error);
                    continue;
                }
                Err(error) => return Err(about(coded(error), &purchase.key)),
            };
            self.faults.at(points::PAYMENT_SENT);
            let said = Said::of(&result);
            if let Some(settled) = said.settled() {
                purchase = self.purse.heard(&purchase, &settled).await.map_err(coded)?;
                self.faults.at(points::PAYMENT_HEARD);
            }
            let stands = matches!(said.payment(), Some(Status::Completed) | None);
            purchase = self.purse.settle_up(&purchase).await.unwrap_or(purchase);
            if !stands {
                return Err(super::refused(&said.words(), &purchase));
            }
            let output = output(&result).map_err(|error| about(ApiError::from_coded(&error), &purchase.key))?;
            let (kind, body) = shown(&output);
            let kind = Text::try_from(kind).unwrap_or_default();
            purchase = self.purse.answered(&purchase, 200, kind, body.as_bytes()).await.map_err(coded)?;
            self.faults.at(points::PAYMENT_ANSWERED);
            return self.answered_view(&purchase);
        }
        let error = last.unwrap_or_else(|| A2aError::new(Kind::Busy, "the seller did not take the payment yet"));
        Err(about(coded(error), &purchase.key))
    }

    /// Pays by voucher: as an answer to a task that waits, or with the message itself. The voucher is on disk before it
    /// leaves.
    async fn pay_on_voucher(
        &self,
        ask: &Ask<'_>,
        entry: &PaymentRequirements,
        offer: Option<&PaymentRequired>,
        mut task: Option<Waiting>,
    ) -> Result<PayView, ApiError> {
        let (agent, key) = (ask.agent, ask.key);
        let buying = self.buying.as_ref().ok_or_else(|| ApiError::internal(&"channels are off"))?;
        let bound = bound(&agent, key, ask.request)?;
        let mut paying: Paying = buying.pay_beside(&agent, key, entry, offer, bound).await.map_err(coded)?;
        self.faults.at(points::VOUCHER_SIGNED);
        for _ in 0..VOUCHERS {
            let body = ask.paying(&paying.payment, task.as_ref());
            let heard = match self.say(&ask.line, methods::SEND_MESSAGE, body).await {
                Ok(heard) => self.until_done(&ask.line, heard).await,
                Err(error) => Err(error),
            };
            let result = match heard {
                Ok(result) => result,
                Err(error) if error.kind() == Kind::Busy => {
                    tokio::time::sleep(self.config.chain.poll).await;
                    continue;
                }
                Err(error) if task.is_some() && is_gone(&error) => {
                    task = None;
                    continue;
                }
                Err(error) => {
                    buying.give_up(&agent, key).map_err(coded)?;
                    return Err(about(coded(error), key));
                }
            };
            self.faults.at(points::VOUCHER_SENT);
            let said = Said::of(&result);
            let mut kept = None;
            let next = match (said.payment(), said.offer(), said.settled()) {
                (Some(Status::Required), Some(again), _) => {
                    task = said.task();
                    let next = buying.refused(&agent, key, entry, &again).await.map_err(coded)?;
                    (next, Some(again))
                }
                (_, _, Some(settled)) => {
                    if settled.success {
                        // before the channel is free: nothing is to come between the voucher and its answer
                        let cost = entry.amount.to_usdc().unwrap_or_default();
                        self.keep_view(ask, kept.insert(answer(ask, &result, cost)?)).await?;
                        self.faults.at(points::VOUCHER_ANSWERED);
                    }
                    (buying.answered(&agent, key, &settled).await.map_err(coded)?, None)
                }
                _ => {
                    buying.give_up(&agent, key).map_err(coded)?;
                    return answer(ask, &result, Usdc::ZERO);
                }
            };
            match next {
                (Next::Charged(cost), _) => {
                    self.faults.at(points::VOUCHER_CHARGED);
                    if let Some(view) = kept.take_if(|view| view.cost == cost) {
                        return Ok(view);
                    }
                    let view = answer(ask, &result, cost)?;
                    self.keep_view(ask, &view).await?;
                    return Ok(view);
                }
                (Next::Again(corrected), _) => paying = *corrected,
                (Next::Anew, again) => {
                    paying = buying.pay(&agent, key, entry, again.as_ref()).await.map_err(coded)?;
                }
                (Next::Later, _) => tokio::time::sleep(self.config.chain.poll).await,
                (Next::Over | Next::Paid, _) => {
                    self.forget(ask);
                    return Err(super::not_taken(&said.words(), key));
                }
            }
        }
        buying.give_up(&agent, key).map_err(coded)?;
        Err(about(ApiError::of_code("try_again", "the seller did not take the voucher yet"), key))
    }

    /// Waits for a task that is worked on behind its answer.
    pub(super) async fn until_done(&self, line: &Line, result: Value) -> Result<Value, A2aError> {
        let Some(task) = Said::of(&result).task().filter(|_| Said::of(&result).is_at_work()) else { return Ok(result) };
        let looking = async {
            loop {
                tokio::time::sleep(self.config.chain.poll).await;
                let body = json!({ "id": task.id, "historyLength": 0 });
                let seen = json!({ "task": self.say(line, methods::GET_TASK, body).await? });
                if !Said::of(&seen).is_at_work() {
                    return Ok(seen);
                }
            }
        };
        let late = || A2aError::new(Kind::DeadlineExceeded, "the agent is still at work; ask again with the same key");
        tokio::time::timeout(WORK_PATIENCE, looking).await.unwrap_or_else(|_| Err(late()))
    }

    /// What an agent of the market asked last time, if there is a channel for it: the voucher goes with the first message.
    fn remembered(&self, ask: &Ask<'_>) -> Option<Arc<PaymentRequirements>> {
        let Line::Peer(did) = &ask.line else { return None };
        let settings = &self.config.payments;
        let asks_for_it = match ask.rail {
            Some(word) => word == Rail::Channel.word(),
            None => settings.prefer != Prefer::Exact,
        };
        let buying = self.buying.as_ref().filter(|_| asks_for_it)?;
        let entry = self.offers.lock().get(did).cloned()?;
        let may = |price: Usdc| price <= ask.max && (ask.rail.is_some() || price < settings.escrow_from);
        let fits = entry.amount.to_usdc().is_some_and(may);
        let receiver = entry.pay_to.parse().ok().filter(|_| fits)?;
        buying.has_channel(&ask.agent, &receiver).then_some(entry)
    }

    fn remember(&self, ask: &Ask<'_>, entry: &PaymentRequirements) {
        if let Line::Peer(did) = &ask.line {
            let mut offers = self.offers.lock();
            if offers.len() >= super::MAX_OFFERS {
                offers.clear();
            }
            offers.insert(*did, Arc::new(entry.clone()));
        }
    }

    fn forget(&self, ask: &Ask<'_>) {
        if let Line::Peer(did) = &ask.line {
            self.offers.lock().remove(did);
        }
    }

    /// Which task a payment belongs to, stored before it is signed.
    async fn keep_task(&self, ask: &Ask<'_>, task: &Waiting) -> Result<(), ApiError> {
        let text = |text: &str| Text::try_from(text).map_err(|_| unreadable());
        let row = PaidTask { task: text(&task.id)?, context: text(&task.context)? };
        let mut batch = Batch::new();
        batch.put::<PaidTasks>(&(ask.agent, ask.key.to_owned()), &row).map_err(coded)?;
        self.money.commit(batch).await.map_err(coded)
    }

    /// Keeps the answer that a voucher bought.
    async fn keep_view(&self, ask: &Ask<'_>, view: &PayView) -> Result<(), ApiError> {
        let body = PaidBody::keep(view.text.as_deref().unwrap_or_default().as_bytes(), &self.blobs).map_err(coded)?;
        let kept = PaidAnswer {
            status: view.status,
            content_type: Text::try_from(view.content_type.as_str()).unwrap_or_default(),
            body: Some(body),
            cost: view.cost,
            ..PaidAnswer::unanswered(ask.request)
        };
        self.keep_answer(&ask.agent, ask.key, kept).await
    }

    /// The payment of this key, with what became of it as far as the chain can be asked.
    pub(super) async fn known(&self, wanted: &Wanted) -> Result<Option<Purchase>, ApiError> {
        match self.purse.find(&wanted.agent, &wanted.key).map_err(coded)? {
            Some(known) if known.request != wanted.request => Err(conflict()),
            // what became of it may not be known yet; without a chain the seller is asked all the same
            Some(known) => Ok(Some(self.purse.settle_up(&known).await.unwrap_or(known))),
            None => Ok(None),
        }
    }
}

impl Ask<'_> {
    /// The message itself, with metadata if there is any.
    fn first(&self, metadata: Map<String, Value>) -> Value {
        let id = Hash::of_fields(&[self.key.as_bytes(), self.request.as_bytes()]).to_string();
        let mut said = json!({
            "messageId": id,
            "role": "ROLE_USER",
            "parts": self.parts,
            "extensions": [a2a::URI],
        });
        if let (false, Some(fields)) = (metadata.is_empty(), said.as_object_mut()) {
            fields.insert("metadata".to_owned(), Value::Object(metadata));
        }
        message::object([("message", said), ("configuration", json!({ "historyLength": 0 }))])
    }

    /// A message that pays: the answer to a task that waits, or the first one of a new task.
    fn paying(&self, payload: &PaymentPayload, task: Option<&Waiting>) -> Value {
        let mut body = self.first(a2a::submitted(payload));
        if let (Some(task), Some(said)) = (task, body.get_mut("message").and_then(Value::as_object_mut)) {
            let parts = Value::Array(vec![message::text("Here is the payment.")]);
            let id = said.get("messageId").and_then(Value::as_str).map(|id| format!("{id}-pay"));
            said.extend([
                ("messageId".to_owned(), json!(id)),
                ("parts".to_owned(), parts),
                ("taskId".to_owned(), json!(task.id)),
                ("contextId".to_owned(), json!(task.context)),
            ]);
        }
        body
    }
}

/// The task has ended, or is not there any more.
fn is_gone(error: &A2aError) -> bool {
    matches!(error.kind(), Kind::TaskNotFound | Kind::UnsupportedOperation)
}

/// The answer of an agent.
fn answer(ask: &Ask<'_>, result: &Value, cost: Usdc) -> Result<PayView, ApiError> {
    let output = output(result).map_err(|error| ApiError::from_coded(&error))?;
    let (kind, body) = shown(&output);
    let rail = (!cost.is_zero()).then(|| Rail::Channel.to_string());
    Ok(PayView { cost, rail, ..views::view(ask.key, 200, kind.to_owned(), body.as_bytes()) })
}

/// An output as a body, and its content type.
fn shown(output: &Value) -> (&'static str, String) {
    match output {
        Value::String(text) => ("text/plain; charset=utf-8", text.clone()),
        other => ("application/json", other.to_string()),
    }
}

fn unreadable() -> ApiError {
    ApiError::new(
        StatusCode::BAD_GATEWAY,
        "payment_required_unreadable",
        "the agent's task asks for a payment without an x402 version 2 offer that can be read",
        "the seller speaks another protocol; this node pays x402 version 2",
    )
}
