//! Calling an agent and waiting for its answer: free ones are asked, priced ones are hired.

mod answers;
mod choice;

pub(crate) use answers::Answers;
pub(super) use choice::{Choice, fits};

use super::Inner;
use super::api::coded;
use super::views::{explain, hex};
use crate::adapters::trade::text;
use answers::Kept;
use haggle_a2a::{A2aError, Kind, ServiceParams, message, rpc};
use haggle_a2a_transport::{Answer, Caller, RemoteCall};
use haggle_base::{Coded, Did, Hash, Timestamp, Usdc, Verified};
use haggle_catalog::ListingBody;
use haggle_gateway::ApiError;
use haggle_gateway::view::{Invocation, Invoked, Target};
use haggle_trade::config::MAX_PAYLOAD_BYTES;
use haggle_trade::order::saga::Verdict;
use haggle_trade::ports::WorkError;
use haggle_trade::{HireId, OrderView, TradeError, schema};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

/// Whose tasks the node's own calls of its agents are: those of the gateway's one caller.
const OPERATOR: &str = "operator";

/// One call under way.
struct Call<'a> {
    wanted: &'a Invocation,
    key: &'a str,
    input: Vec<u8>,
    deadline: Timestamp,
}

impl Inner {
    /// Calls an agent and waits for its answer.
    pub(super) async fn call(&self, wanted: Invocation) -> Result<Invoked, ApiError> {
        let began = self.clock.now();
        let buyer = self.buyer_of(wanted.buyer.as_deref()).await?;
        let input = serde_json::to_vec(&wanted.input).map_err(|cause| ApiError::internal(&cause))?;
        if input.len() > MAX_PAYLOAD_BYTES {
            return Err(coded(TradeError::from(haggle_trade::Refusal::InputTooLarge)));
        }
        let deadline = began.plus(wanted.timeout);
        let Some(key) = &wanted.key else {
            let key = fresh_key("invoke")?;
            let call = Call { wanted: &wanted, key: &key, input, deadline };
            let choice = self.choose(&call).await?;
            return self.carry_out(&call, &choice).await;
        };
        let call = Call { wanted: &wanted, key, input, deadline };
        if let Some(hire) = self.buyer.find_key(&buyer, key).map_err(coded)? {
            return self.answer_of(&call, hire).await;
        }
        let slot = self.answers.slot(key);
        let held = tokio::time::timeout(wanted.timeout, slot.lock()).await;
        let mut held = held.map_err(|_| no_answer(&call))?;
        if let Some(kept) = held.as_ref() {
            return kept.repeated(&wanted, &call.input).ok_or_else(conflict);
        }
        let choice = self.choose(&call).await?;
        if choice.is_paid() {
            drop(held);
            return self.carry_out(&call, &choice).await;
        }
        let invoked = self.carry_out(&call, &choice).await?;
        *held = Some(Kept::new(&wanted, &call.input, &invoked));
        drop(held);
        self.answers.keep(key, invoked.output.to_string().len());
        Ok(invoked)
    }

    async fn choose(&self, call: &Call<'_>) -> Result<Choice, ApiError> {
        match &call.wanted.target {
            Target::Agent(id) => self.named(id, &call.input).await,
            Target::Capability(words) => self.best(words, &call.input, call.wanted.max_cost).await,
        }
    }

    async fn carry_out(&self, call: &Call<'_>, choice: &Choice) -> Result<Invoked, ApiError> {
        match choice {
            Choice::Market { listing, reason } if !listing.body().price.is_zero() => {
                self.buy(call, listing, reason).await
            }
            Choice::Own { .. } | Choice::Market { .. } => self.ask(call, choice).await,
        }
    }

    /// Asks an agent that needs no payment.
    async fn ask(&self, call: &Call<'_>, choice: &Choice) -> Result<Invoked, ApiError> {
        let (agent, schema) = (choice.agent(), self.output_schema(choice).await?);
        let left = call.deadline.since(self.clock.now());
        let began = self.clock.now();
        let asked = async {
            match choice {
                Choice::Own { served, .. } if !served.row.price.is_zero() => {
                    let input = call.wanted.input.clone();
                    self.agents.run(&agent, input, call.key).await.map_err(|error| not_done(&error))
                }
                Choice::Own { .. } => {
                    let (request, params) = send_message(call);
                    let caller = Caller::http(OPERATOR);
                    let response = self.server.call_with(caller, &agent, request, &params, Some(left)).await;
                    rpc::result(response).and_then(|result| output(&result)).map_err(|error| failed(call, &error))
                }
                Choice::Market { .. } => {
                    let (request, params) = send_message(call);
                    let passed = RemoteCall { request, params, scope: OPERATOR.to_owned(), deadline: left };
                    let result = match self.directory.perform(&agent, passed).await {
                        Ok(Answer::One(result)) => output(&result),
                        Ok(Answer::Many(_)) => {
                            Err(A2aError::new(Kind::InvalidAgentResponse, "a stream nobody asked for"))
                        }
                        Err(error) => Err(error),
                    };
                    result.map_err(|error| failed(call, &error))
                }
            }
        };
        let output = tokio::time::timeout(left, asked).await.map_err(|_| no_answer(call))??;
        let bytes = serde_json::to_vec(&output).map_err(|cause| ApiError::internal(&cause))?;
        match schema::check_aside(schema, bytes).await.map_err(coded)? {
            schema::Fit::Fits => {}
            schema::Fit::Misfits => return Err(coded(TradeError::SchemaMismatch)),
        }
        Ok(Invoked {
            key: call.key.to_owned(),
            output,
            seller: agent.to_string(),
            cost: Usdc::ZERO,
            fee: Usdc::ZERO,
            response_time_ms: milliseconds(began, self.clock.now()),
            order: None,
            reason: choice.reason().to_owned(),
        })
    }

    /// Hires an agent. The order carries the deadline, so that it ends in time also if this node restarts.
    async fn buy(&self, call: &Call<'_>, listing: &Verified<ListingBody>, reason: &str) -> Result<Invoked, ApiError> {
        let wanted = call.wanted;
        let id = listing.id().to_string();
        let mut wish = self.wish(&id, &wanted.input, None, wanted.buyer.as_deref(), Some(call.key)).await?;
        wish.max_price = wanted.max_cost.unwrap_or(wish.max_price);
        wish.reason = Some(text(reason));
        wish.deadline = Some(call.deadline);
        let hire = self.buyer.hire(wish).await.map_err(coded)?;
        self.answer_of(call, hire).await
    }

    /// Waits for the checked output of a hire, as long as the call and the hire itself wait.
    async fn answer_of(&self, call: &Call<'_>, hire: HireId) -> Result<Invoked, ApiError> {
        let view = self.buyer.show(hire).map_err(coded)?;
        self.check_same(call, &view)?;
        let until = view.deadline.map_or(call.deadline, |deadline| deadline.min(call.deadline));
        let left = until.since(self.clock.now());
        if let Ok(answer) = tokio::time::timeout(left, self.until_judged(call, hire)).await {
            return answer;
        }
        let ends_now = view.deadline == Some(until);
        let unpaid = ends_now && self.buyer.overdue(hire).await.map_err(coded)?;
        let view = self.buyer.show(hire).map_err(coded)?;
        if let Some(answer) = self.judged(call, &view) {
            return answer;
        }
        Err(match (ends_now, unpaid) {
            (_, true) => timed_out(call, NOTHING_PAID),
            (true, false) => timed_out(call, STOPPING),
            (false, false) => timed_out(call, GOES_ON),
        })
    }

    async fn until_judged(&self, call: &Call<'_>, hire: HireId) -> Result<Invoked, ApiError> {
        let mut events = self.buyer.subscribe();
        loop {
            let view = self.buyer.show(hire).map_err(coded)?;
            if let Some(answer) = self.judged(call, &view) {
                return answer;
            }
            loop {
                match events.recv().await {
                    Ok(event) if event.hire == Some(hire) => break,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => break,
                    // the node stops; the order goes on at the next start
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        }
    }

    /// What a hire came to, if that is known: its output is checked, or it ended without one.
    fn judged(&self, call: &Call<'_>, view: &OrderView) -> Option<Result<Invoked, ApiError>> {
        if view.verdict == Some(Verdict::Fits) {
            return Some(self.delivered(call, view));
        }
        let code = match (&view.failure, view.is_final) {
            (Some(code), _) => code.as_str(),
            (None, true) => "not_delivered",
            (None, false) => return None,
        };
        if code == TradeError::Timeout.code() {
            return Some(Err(timed_out(call, NOTHING_PAID)));
        }
        let detail = match explain(code) {
            "" => format!("the order ended with {code}"),
            words => words.to_owned(),
        };
        let hint = format!(
            "GET /v1/orders/{} shows its life line; send a new Idempotency-Key to try again or elsewhere",
            call.key
        );
        Some(Err(ApiError::of_code(code, detail).about_order(call.key, hint)))
    }

    fn delivered(&self, call: &Call<'_>, view: &OrderView) -> Result<Invoked, ApiError> {
        let missing = || ApiError::internal(&"a checked output is not in the store");
        let hash = view.output.ok_or_else(missing)?;
        let bytes = self.buyer.payload(&hash).map_err(coded)?.ok_or_else(missing)?;
        let cost = view.price.unwrap_or_default();
        let paid = view.deposit.unwrap_or(cost);
        let at = |step: &str| view.lines.iter().find(|line| line.step == *step).map_or(view.started, |line| line.at);
        Ok(Invoked {
            key: call.key.to_owned(),
            output: serde_json::from_slice(&bytes).map_err(|cause| ApiError::internal(&cause))?,
            seller: view.provider.to_string(),
            cost,
            fee: paid.checked_sub(cost).unwrap_or(Usdc::ZERO),
            response_time_ms: milliseconds(at("funded"), at("receipt_held")),
            order: Some(call.key.to_owned()),
            reason: view.reason.as_ref().map_or("ordered before", |reason| reason.as_str()).to_owned(),
        })
    }

    /// Refuses a key that names another call.
    fn check_same(&self, call: &Call<'_>, view: &OrderView) -> Result<(), ApiError> {
        let same_agent = match &call.wanted.target {
            Target::Capability(_) => true,
            Target::Agent(id) => {
                id.parse().is_ok_and(|did: Did| did == view.provider)
                    || view.listing.is_some_and(|listing| listing.to_string() == *id)
                    || self.listing_by_id(id).is_ok_and(|listing| listing.author() == view.provider)
            }
        };
        if same_agent && view.input == Hash::of(&call.input) { Ok(()) } else { Err(conflict()) }
    }
}

/// How a call that got no answer in time stands.
#[derive(Clone, Copy)]
struct Standing {
    detail: &'static str,
    hint: &'static str,
}

const NOTHING_PAID: Standing = Standing {
    detail: "the order ended: nothing was paid, or it came back",
    hint: "shows how far it came; to call again send a new Idempotency-Key, with a longer timeout_ms or another agent",
};
const STOPPING: Standing = Standing {
    detail: "the payment had left: the seller is told to stop and pays back, unless it had signed for a result",
    hint: "shows how it ends; the same Idempotency-Key answers the result if there was one in time",
};
const GOES_ON: Standing = Standing {
    detail: "the order goes on until its own deadline",
    hint: "shows where it stands; the same Idempotency-Key waits again",
};

fn timed_out(call: &Call<'_>, standing: Standing) -> ApiError {
    let waited = call.wanted.timeout.as_millis();
    let error = ApiError::of_code(TradeError::Timeout.code(), format!("no answer in {waited} ms; {}", standing.detail));
    error.about_order(call.key, format!("GET /v1/orders/{} {}", call.key, standing.hint))
}

/// The same for a call that nobody pays for.
fn no_answer(call: &Call<'_>) -> ApiError {
    ApiError::new(
        http::StatusCode::GATEWAY_TIMEOUT,
        "timeout",
        format!("no answer in {} ms; the call costs nothing", call.wanted.timeout.as_millis()),
        "call again with a longer timeout_ms, or another agent",
    )
}

fn conflict() -> ApiError {
    ApiError::new(
        http::StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency_conflict",
        "this key already names a call of another agent or with another input",
        "take a new key for a new call; keep the key only when you repeat the same one",
    )
}

fn failed(call: &Call<'_>, error: &A2aError) -> ApiError {
    if matches!(error.kind(), Kind::DeadlineExceeded) { no_answer(call) } else { ApiError::from_coded(error) }
}

fn not_done(error: &WorkError) -> ApiError {
    match error {
        WorkError::NotNow(why) => ApiError::new(
            http::StatusCode::SERVICE_UNAVAILABLE,
            "try_again",
            format!("the agent is not ready: {why}"),
            "call again in a moment",
        ),
        WorkError::Failed(why) => ApiError::from_coded(&A2aError::new(Kind::InvalidAgentResponse, why.clone())),
    }
}

/// The input as an A2A request, as [`haggle_a2a_transport::run`] would put it.
fn send_message(call: &Call<'_>) -> (Value, ServiceParams) {
    let part = match &call.wanted.input {
        Value::String(text) => message::text(text),
        input => message::data(input.clone()),
    };
    let params = json!({"message": message::user(call.key, vec![part])});
    let request = rpc::request(1, haggle_a2a::types::methods::SEND_MESSAGE, params);
    let params = ServiceParams::for_request(&request);
    (request, ServiceParams { idempotency: Some(call.key.to_owned()), ..params })
}

/// The output in a result: data first, else text.
pub(super) fn output(result: &Value) -> Result<Value, A2aError> {
    let task = result.get("task");
    let status = task.and_then(|task| task.get("status"));
    let said = result.get("message").or_else(|| status?.get("message"));
    if let Some(task) = task {
        let state = status.and_then(|status| status.get("state")).and_then(Value::as_str).unwrap_or("none");
        if state != "TASK_STATE_COMPLETED" {
            let words = said.and_then(message::text_of);
            let words = words.unwrap_or_else(|| format!("the agent's task is in state {state}"));
            return Err(A2aError::new(Kind::InvalidAgentResponse, words).with("task", task_id(task)));
        }
    }
    let artifacts = task.and_then(|task| task.get("artifacts")).and_then(Value::as_array);
    let mut holders = artifacts.into_iter().flatten().chain(said);
    if let Some(data) = holders.clone().find_map(message::data_of) {
        return Ok(data.clone());
    }
    let text = holders.find_map(message::text_of).map(Value::String);
    text.ok_or_else(|| A2aError::new(Kind::InvalidAgentResponse, "the agent answered with neither data nor text"))
}

fn task_id(task: &Value) -> String {
    task.get("id").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn milliseconds(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.since(from).as_millis()).unwrap_or(u64::MAX)
}

/// A key that nobody has used.
pub(super) fn fresh_key(word: &str) -> Result<String, ApiError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|cause| ApiError::internal(&cause))?;
    Ok(format!("{word}-{}", hex(&bytes)))
}
