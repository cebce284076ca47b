//! `a2a inspect`: an agent's card and answers, looked at closely.

use super::CliError;
use super::args::{Globals, Inspect};
use super::terminal;
use haggle_a2a::{A2aError, Kind, VERSION, answer, card, message, params::A2A_VERSION, rpc, types::methods};
use haggle_a2a_transport::HttpExecutor;
use haggle_base::Coded;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{RequestBuilder, redirect::Policy};
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;

mod show;

/// Largest card that is read.
const MAX_CARD: usize = 64 * 1024;
/// Largest answer that is read; a longer one is cut, which is a fault.
const MAX_ANSWER: usize = 1024 * 1024;
/// Most of a body that is shown.
const SHOWN_BYTES: usize = 16 * 1024;
/// Most events that are checked.
const MAX_EVENTS: usize = 1000;
/// Longest time until a connection is accepted.
const CONNECT: Duration = Duration::from_secs(5);
/// What is said to an agent whose card has no example.
const GREETING: &str = "hello";
/// Fields of a card that only older versions have.
const OLD_FIELDS: [&str; 4] = ["url", "protocolVersion", "preferredTransport", "additionalInterfaces"];

/// Something wrong.
#[derive(Debug, Serialize)]
struct Fault {
    /// What it is in: `card` or `answer`.
    part: &'static str,
    /// JSON pointer into that part.
    path: String,
    problem: String,
}

/// One request and what came back, as it went over the wire.
#[derive(Debug, Default, Serialize)]
struct Exchange {
    method: &'static str,
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
    status: u16,
    content_type: String,
    body: String,
    /// The body is longer than what is shown.
    cut: bool,
    milliseconds: u64,
}

/// Everything that was found.
#[derive(Debug, Default, Serialize)]
struct Report {
    target: String,
    problems: Vec<Fault>,
    notes: Vec<String>,
    #[serde(skip_serializing_if = "Value::is_null")]
    card: Value,
    #[serde(skip_serializing_if = "Value::is_null")]
    reply: Value,
    exchanges: Vec<Exchange>,
}

impl Report {
    fn fault(&mut self, part: &'static str, path: impl Into<String>, problem: impl Into<String>) {
        self.problems.push(Fault { part, path: path.into(), problem: problem.into() });
    }
}

/// Where an agent is asked.
struct Door {
    card: String,
    /// The URL of the JSON-RPC binding; `None` takes the card's.
    call: Option<String>,
    token: Option<String>,
    /// Finds what is wrong with the card where it is.
    wrapped: Option<HttpExecutor>,
}

pub(super) async fn run(globals: &Globals, args: Inspect) -> Result<(), CliError> {
    let door = door(globals, &args.target)?;
    let http = reqwest::Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .connect_timeout(CONNECT)
        .timeout(*args.wait)
        .build()
        .map_err(|cause| CliError::failure("http_error", cause.to_string(), "try again"))?;
    let mut report = Report { target: args.target.clone(), ..Report::default() };
    let progress = terminal::Progress::start(globals.json || globals.quiet, "asking for the card");
    look(&http, &door, &mut report).await?;
    if !args.no_send {
        progress.say("sending a message");
        call(&http, &door, &args, &mut report).await?;
    }
    drop(progress);
    if globals.json {
        terminal::json(&report);
    } else {
        show::report(&report);
    }
    match report.problems.len() {
        0 => Ok(()),
        found => Err(CliError::failure(
            "problems_found",
            format!("{} has {found} problem{}", args.target, if found == 1 { "" } else { "s" }),
            "mend what is named above; each path is a JSON pointer into the card or the answer",
        )
        .told()),
    }
}

fn door(globals: &Globals, target: &str) -> Result<Door, CliError> {
    if target.starts_with("did:") {
        let client = globals.client()?;
        let base = format!("{}/a2a/{target}", client.base());
        let token = Some(client.token().to_owned());
        return Ok(Door { card: format!("{base}/agent-card.json"), call: Some(base), token, wrapped: None });
    }
    let wrapped = HttpExecutor::new(target).map_err(|_| {
        CliError::failure(
            "usage",
            format!("{target:?} is neither a URL nor a DID"),
            "give http://…, https://… or did:key:…; `haggle find` names agents of the market",
        )
    })?;
    let card = wrapped.card_url().map_err(|error| CliError::failure(error.code(), error.to_string(), error.hint()))?;
    Ok(Door { card, call: None, token: None, wrapped: Some(wrapped) })
}

/// Fetches the card and checks it.
async fn look(http: &reqwest::Client, door: &Door, report: &mut Report) -> Result<(), CliError> {
    let asked = Exchange { method: "GET", url: door.card.clone(), ..Exchange::default() };
    let (exchange, body) = exchange(authorized(http.get(&door.card), door), asked, MAX_CARD).await?;
    let status = exchange.status;
    report.exchanges.push(exchange);
    if status != 200 {
        let code = if status == 404 { "card_not_found" } else { "no_card" };
        let hint = match door.token {
            Some(_) => "this node knows no agent of that DID: look with `haggle find`",
            None => "an A2A 1.0 agent serves its card at .well-known/agent-card.json below its URL",
        };
        return Err(CliError::failure(code, format!("{} answered HTTP {status}", door.card), hint));
    }
    let Ok(card) = serde_json::from_slice::<Value>(&body) else {
        report.fault("card", "", format!("is not JSON, or over {MAX_CARD} bytes"));
        return Ok(());
    };
    let faults = match &door.wrapped {
        Some(wrapped) => wrapped.faults(&card),
        None => card::check(&card).err().map(|wrong| wrong.faults).unwrap_or_default(),
    };
    for fault in faults {
        report.fault("card", fault.path, fault.problem);
    }
    for old in OLD_FIELDS.into_iter().filter(|old| card.get(*old).is_some()) {
        report.notes.push(format!("/{old} is a field of A2A 0.3; A2A 1.0 reads supportedInterfaces only"));
    }
    if let (Some(_), Err(wrong)) = (card.get("signatures"), card::check_signable(&card)) {
        for fault in wrong.faults {
            report.notes.push(format!("{} {}: SDKs disagree on what was signed", fault.path, fault.problem));
        }
    }
    if card.get("signatures").is_some() {
        look_at_signatures(&body, report);
    }
    report.card = card;
    Ok(())
}

/// Checks the signatures of a card as it was received.
fn look_at_signatures(body: &[u8], report: &mut Report) {
    let examined = match card::read(body).and_then(|card| card::examine(&card, card::Header::did)) {
        Ok(examined) => examined,
        Err(error) => return report.fault("card", "/signatures", error.to_string()),
    };
    for (n, one) in examined.into_iter().enumerate() {
        let path = format!("/signatures/{n}");
        match one.outcome {
            Ok(verified) => report.notes.push(format!("{path} verifies: {} signed this card", verified.signer)),
            Err(card::SignatureError::UnknownKey | card::SignatureError::Algorithm(_)) => {
                let by = one.header.map(|header| format!("by {} with {}", header.kid, header.alg)).unwrap_or_default();
                report.notes.push(format!("{path} was not checked: {by}; only EdDSA by a did:key is, here"));
            }
            Err(error) => report.fault("card", path, error.to_string()),
        }
    }
}

/// Sends a message and checks what comes back.
async fn call(http: &reqwest::Client, door: &Door, args: &Inspect, report: &mut Report) -> Result<(), CliError> {
    let interface = card::interface(&report.card, card::JSONRPC);
    let Some(url) = door.call.clone().or_else(|| interface.map(|found| found.url.to_owned())) else { return Ok(()) };
    let tenant = interface.and_then(|found| found.tenant).filter(|_| door.call.is_none()).map(str::to_owned);
    let example = report.card.pointer("/skills/0/examples/0").and_then(Value::as_str);
    let text = args.text.as_deref().or(example).unwrap_or(GREETING).to_owned();
    let mut params = json!({ "message": message::user("haggle-inspect-1", vec![message::text(&text)]) });
    if let Some(tenant) = tenant {
        params["tenant"] = json!(tenant);
    }
    let method = if args.stream { methods::SEND_STREAMING_MESSAGE } else { methods::SEND_MESSAGE };
    let body = rpc::request(1, method, params).to_string();
    let request = http
        .post(&url)
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json, text/event-stream")
        .header(A2A_VERSION, VERSION)
        .body(body.clone());
    let asked = Exchange { method: "POST", url, request: Some(body), ..Exchange::default() };
    let (exchange, body) = exchange(authorized(request, door), asked, MAX_ANSWER).await?;
    let is_stream = exchange.content_type.starts_with("text/event-stream");
    let status = exchange.status;
    report.exchanges.push(exchange);
    if status != 200 {
        report.fault("answer", "", format!("came with HTTP status {status}; JSON-RPC answers with 200"));
        return Ok(());
    }
    let answers = if is_stream { events(&body) } else { vec![body] };
    if args.stream && !is_stream {
        report.notes.push("the answer to SendStreamingMessage is no stream".to_owned());
    }
    if answers.is_empty() {
        report.fault("answer", "", "is a stream without an event");
    }
    let is_one = !is_stream;
    for (n, body) in answers.iter().enumerate() {
        let at = if is_one { String::new() } else { format!("/{n}") };
        judge(body, &at, is_one, report);
    }
    Ok(())
}

/// Checks one JSON-RPC answer.
fn judge(body: &[u8], at: &str, is_one: bool, report: &mut Report) {
    let Ok(answer) = serde_json::from_slice::<Value>(body) else {
        return report.fault("answer", at, "is not JSON");
    };
    if answer.get("id") != Some(&json!(1)) {
        report.fault("answer", format!("{at}/id"), "is not the id of the request");
    }
    match rpc::result(answer) {
        Ok(result) => {
            for fault in answer::check(&result) {
                report.fault("answer", format!("{at}/result{}", fault.path), fault.problem);
            }
            let only_in_streams = ["statusUpdate", "artifactUpdate"].iter().any(|kind| result.get(*kind).is_some());
            if is_one && only_in_streams {
                report.fault("answer", format!("{at}/result"), "holds an update, which belongs in a stream");
            }
            report.reply = result;
        }
        Err(error) => refusal(&error, at, report),
    }
}

/// A refusal by a rule is a proper answer; every other error is a fault.
fn refusal(error: &A2aError, at: &str, report: &mut Report) {
    match error.kind() {
        Kind::Refused | Kind::ExtensionSupportRequired => {
            let rule = error.metadata("code").unwrap_or(error.code());
            report.notes.push(format!("the agent refused ({rule}): {error}"));
        }
        _ => report.fault("answer", format!("{at}/error"), format!("{error} ({})", error.code())),
    }
}

/// The data of a finished stream's events.
fn events(body: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(body).replace("\r\n", "\n").replace('\r', "\n");
    let blocks = text.split("\n\n").map(|block| {
        let lines = block.lines().filter_map(|line| line.strip_prefix("data:"));
        lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
    });
    blocks.filter(|data| !data.is_empty()).take(MAX_EVENTS).map(String::into_bytes).collect()
}

fn authorized(request: RequestBuilder, door: &Door) -> RequestBuilder {
    match &door.token {
        Some(token) => request.bearer_auth(token),
        None => request,
    }
}

/// Sends a request; what came back, for people and as it was.
async fn exchange(
    request: RequestBuilder,
    mut exchange: Exchange,
    max: usize,
) -> Result<(Exchange, Vec<u8>), CliError> {
    let url = exchange.url.clone();
    let failed = |cause: &reqwest::Error| {
        let (code, what) = if cause.is_timeout() {
            ("timeout", "did not answer in time")
        } else if cause.is_connect() {
            ("unreachable", "accepts no connection")
        } else {
            ("connection_lost", "broke the connection off")
        };
        CliError::failure(code, format!("{url} {what}"), "check that the agent runs there, or wait longer with --wait")
    };
    let began = tokio::time::Instant::now();
    let mut response = request.send().await.map_err(|cause| failed(&cause))?;
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    (exchange.status, exchange.content_type) = (response.status().as_u16(), kind.unwrap_or_default().to_owned());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|cause| failed(&cause))? {
        let room = max - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            break;
        }
    }
    exchange.milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    exchange.cut = body.len() > SHOWN_BYTES;
    exchange.body = String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES)]).into_owned();
    Ok((exchange, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(answers: &[Value], is_one: bool) -> Vec<String> {
        let mut report = Report::default();
        for (n, answer) in answers.iter().enumerate() {
            let at = if is_one { String::new() } else { format!("/{n}") };
            judge(answer.to_string().as_bytes(), &at, is_one, &mut report);
        }
        let faults = report.problems.iter().map(|fault| format!("{} {}", fault.path, fault.problem));
        faults.chain(report.notes).collect()
    }

    #[test]
    fn answers_are_judged_field_by_field() {
        let result = |result: Value| json!({"jsonrpc": "2.0", "id": 1, "result": result});
        let message = json!({"message": {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"text": "hi"}]}});
        assert_eq!(judged(&[result(message)], true), [""; 0]);
        let update =
            json!({"statusUpdate": {"taskId": "t", "contextId": "c", "status": {"state": "TASK_STATE_WORKING"}}});
        assert_eq!(judged(&[result(update.clone())], true), ["/result holds an update, which belongs in a stream"]);
        assert_eq!(judged(&[result(update)], false), [""; 0]);
        let wrong = judged(&[json!({"jsonrpc": "2.0", "id": 2, "result": {"task": {"id": "t"}}})], false);
        assert_eq!(
            wrong,
            ["/0/id is not the id of the request", "/0/result/task/status is required and must be an object"]
        );
        let refused = A2aError::refused("order_needed", "agree on an order first");
        let told = judged(&[rpc::response(json!(1), Err(refused))], true);
        assert_eq!(told, ["the agent refused (order_needed): agree on an order first"]);
        let lost = judged(&[rpc::response(json!(1), Err(A2aError::task_not_found("t")))], true);
        assert_eq!(lost, ["/error Task not found (task_not_found)"]);
    }

    #[test]
    fn events_are_found_in_a_stream() {
        let body = b": hello\r\n\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\nevent: x\ndata:two\n\n";
        let found: Vec<_> = events(body).into_iter().map(|event| String::from_utf8(event).unwrap()).collect();
        assert_eq!(found, ["{\"a\":\n1}", "two"]);
    }
}
