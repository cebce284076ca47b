//! `agent` and `publish`.

mod standing;

pub(super) use standing::publish;

use super::CliError;
use super::args::{AgentAdd, AgentCommand, AgentLogs, Globals};
use super::client::Client;
use super::terminal;
use crate::builtin;
use crate::imports;
use haggle_a2a::{answer, card};
use haggle_base::Usdc;
use haggle_gateway::view::{
    AgentSummary, BY_HAND_DELIVER_SECONDS, Executor, LogQuery, LogView, NewAgent, PriceFor, Probe, ProbeView,
};
use serde::Serialize;
use serde_json::{Value, json};

/// What is asked when nothing else is known.
const GREETING: &str = "hello";
/// Most letters of an answer that a line shows.
const SHOWN_CHARS: usize = 160;

pub(super) async fn run(globals: &Globals, command: AgentCommand) -> Result<(), CliError> {
    match command {
        AgentCommand::Add(args) => add(globals, *args).await,
        AgentCommand::Suspend(args) => standing::suspend(globals, &args.agent).await,
        AgentCommand::Delete(args) => standing::delete(globals, &args.agent).await,
        AgentCommand::List => standing::list(globals).await,
        AgentCommand::Logs(args) => logs(globals, &args).await,
    }
}

/// One input that was tried, and what came back.
#[derive(Debug, Serialize)]
struct Tried {
    input: Value,
    reply: Value,
    milliseconds: u64,
}

/// What `agent add --json` prints.
#[derive(Debug, Serialize)]
struct Added {
    #[serde(flatten)]
    agent: AgentSummary,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    self_test: Vec<Tried>,
}

async fn add(globals: &Globals, args: AgentAdd) -> Result<(), CliError> {
    let source = source(&args)?;
    let client = globals.client()?;
    let self_test = !args.no_self_test;
    let samples = args.sample.clone();
    let draft = args.draft;
    let (mut new, samples) = match source {
        Executor::Http { url } => from_card(&client, args, url).await?,
        Executor::Builtin { .. } => (with_flags(built_in(&args)?, args)?, Vec::new()),
        Executor::ByHand => {
            let new =
                NewAgent { deliver_within_seconds: BY_HAND_DELIVER_SECONDS, ..plain(&args.what, Executor::ByHand) };
            (with_flags(new, args)?, Vec::new())
        }
        executor => {
            let given = if samples.is_empty() { vec![GREETING.to_owned()] } else { samples };
            (with_flags(plain(&args.what, executor), args)?, given.iter().map(|sample| input_of(sample)).collect())
        }
    };
    let mut tried = Vec::new();
    for input in samples.into_iter().filter(|_| self_test) {
        tried.push(try_out(globals, &client, &new.executor, input).await?);
    }
    new.draft = draft;
    let agent: AgentSummary = client.post("/v1/agents", &new).await?;
    if globals.json {
        terminal::json(&Added { agent, self_test: tried });
    } else {
        standing::show(globals, &agent, "on the market");
    }
    Ok(())
}

/// What is to run the agent.
fn source(args: &AgentAdd) -> Result<Executor, CliError> {
    let usage = |detail: &str| CliError::failure("usage", detail, "see `haggle agent add --help`");
    if let Some(name) = &args.builtin {
        return Ok(Executor::Builtin { name: name.clone() });
    }
    if args.by_hand {
        return Ok(Executor::ByHand);
    }
    if let Some(command) = &args.command {
        let mut argv = shell_words::split(command).map_err(|_| usage("--command has a quote that is not closed"))?;
        argv.extend(args.arg.iter().cloned());
        if argv.is_empty() {
            return Err(usage("--command names no program"));
        }
        let dir = match &args.dir {
            Some(dir) => std::path::absolute(dir),
            None => std::env::current_dir(),
        };
        let dir =
            dir.map_err(|cause| CliError::failure("file_error", cause.to_string(), "name a directory with --dir"))?;
        return Ok(Executor::Command {
            argv,
            dir: Some(dir.display().to_string()),
            env: args.env.clone(),
            call_seconds: u32::try_from(args.call_time.as_secs()).unwrap_or(u32::MAX),
        });
    }
    match &args.url {
        Some(url) => Ok(Executor::Http { url: url.clone() }),
        None if args.what.contains("://") => Ok(Executor::Http { url: args.what.clone() }),
        None => Err(usage("an agent needs a URL, --command, --builtin or --by-hand")),
    }
}

fn built_in(args: &AgentAdd) -> Result<NewAgent, CliError> {
    let name = args.builtin.as_deref().unwrap_or_default();
    let new = from_builtin(name).ok_or_else(|| {
        CliError::failure(
            "agent_not_found",
            format!("there is no built-in agent named {name:?}"),
            format!("take one of {}", builtin::NAMES.join(", ")),
        )
    })?;
    Ok(NewAgent { name: args.what.clone(), ..new })
}

/// An agent of which nothing is known but its name.
fn plain(name: &str, executor: Executor) -> NewAgent {
    NewAgent {
        name: name.to_owned(),
        description: String::new(),
        category: "tools".to_owned(),
        tags: Vec::new(),
        price: Usdc::ZERO,
        input_schema: None,
        output_schema: None,
        deliver_within_seconds: 300,
        executor,
        extended: None,
        draft: false,
        regions: Vec::new(),
        pricing: PriceFor::PerCall,
    }
}

fn with_flags(mut new: NewAgent, args: AgentAdd) -> Result<NewAgent, CliError> {
    if let Some(name) = args.name {
        new.name = name;
    }
    if let Some(price) = args.price {
        new.price = price;
    }
    if let Some(time) = args.deliver_within {
        new.deliver_within_seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    }
    if let Some(pricing) = args.pricing {
        new.pricing = pricing;
    }
    if !args.region.is_empty() {
        new.regions = args.region;
    }
    if let Some(description) = args.description {
        new.description = description;
    }
    if let Some(category) = args.category {
        new.category = category;
    }
    if !args.tag.is_empty() {
        new.tags = args.tag;
    }
    if let Some(schema) = args.input_schema {
        new.input_schema = Some(read_json(&schema, "the schema")?);
    }
    if let Some(schema) = args.output_schema {
        new.output_schema = Some(read_json(&schema, "the schema")?);
    }
    if let Some(extended) = args.extended {
        new.extended = Some(read_json(&extended, "the extended card")?);
    }
    Ok(new)
}

fn read_json(given: &str, what: &str) -> Result<Value, CliError> {
    let hint = "give it as JSON, or @ and the name of a file that holds it";
    let text = match given.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|cause| CliError::failure("file_error", format!("{path}: {cause}"), hint))?,
        None => given.to_owned(),
    };
    serde_json::from_str(&text)
        .map_err(|cause| CliError::failure("usage", format!("{what} is not JSON: {cause}"), hint))
}

/// Reads the card of a running agent; what to add, and what to try it with.
async fn from_card(client: &Client, args: AgentAdd, url: String) -> Result<(NewAgent, Vec<Value>), CliError> {
    let executor = Executor::Http { url: url.clone() };
    let looked = client.post("/v1/agents/probe", &Probe { executor: executor.clone(), input: None }).await;
    let looked: ProbeView = looked.map_err(|mut problem: CliError| {
        problem.hint = format!("start the agent first; `haggle a2a inspect {url}` shows what it answers");
        problem
    })?;
    if !looked.problems.is_empty() {
        let faults: Vec<_> = looked.problems.iter().map(|fault| format!("{} {}", fault.path, fault.problem)).collect();
        return Err(CliError::failure(
            "card_invalid",
            format!("the agent's card cannot be used: {}", faults.join("; ")),
            format!("correct these fields, then look with `haggle a2a inspect {url}`"),
        ));
    }
    let card = looked.card.unwrap_or_default();
    let known = imports::describe(&card);
    let mut new = plain(&known.name, executor);
    (new.description, new.tags) = (known.description, known.tags);
    (new.input_schema, new.output_schema) = (known.input_schema, known.output_schema);
    let takes_json = card::accepts(&card, "application/json");
    let samples = match (args.sample.is_empty(), known.samples.is_empty()) {
        (false, _) => args.sample.iter().map(|text| if takes_json { input_of(text) } else { json!(text) }).collect(),
        (true, false) => known.samples.into_iter().map(Value::String).collect(),
        (true, true) => vec![json!(GREETING)],
    };
    if args.url.is_some() {
        new.name.clone_from(&args.what);
    }
    let new = with_flags(new, args)?;
    if new.name.is_empty() {
        return Err(CliError::failure(
            "bad_name",
            "the card's name has no letter that a listing's name may have",
            "name it with --name: 1 to 48 of a-z, 0-9 and -",
        ));
    }
    Ok((new, samples))
}

/// A JSON object or list is data, everything else is text.
fn input_of(sample: &str) -> Value {
    match serde_json::from_str(sample) {
        Ok(data @ (Value::Object(_) | Value::Array(_))) => data,
        _ => json!(sample),
    }
}

/// Asks the agent something before it is served.
async fn try_out(globals: &Globals, client: &Client, executor: &Executor, input: Value) -> Result<Tried, CliError> {
    let probe = Probe { executor: executor.clone(), input: Some(input.clone()) };
    let found: ProbeView = client.post("/v1/agents/probe", &probe).await?;
    let shown = input.as_str().map_or_else(|| input.to_string(), str::to_owned);
    let shown = beginning(&shown);
    let failed = |detail: String| {
        let aside: Vec<_> = found.log.iter().map(|line| format!("\n  {}: {}", line.from, line.text)).collect();
        CliError::failure(
            "self_test_failed",
            format!("asked {shown:?}, {detail}{}", aside.concat()),
            "mend the agent, ask something else with --sample, or add it untried with --no-self-test",
        )
    };
    if let Some(failure) = &found.failure {
        return Err(failed(format!("the agent did not answer: {} ({})", failure.detail, failure.code)));
    }
    let Some(reply) = found.reply.clone() else { return Err(failed("the agent did not answer".to_owned())) };
    let words = beginning(&answer::text(&reply).unwrap_or_default());
    let state = answer::state(&reply).unwrap_or("a message");
    if matches!(state, "TASK_STATE_FAILED" | "TASK_STATE_REJECTED") {
        return Err(failed(format!("the agent answered {state}: {words}")));
    }
    if !globals.json {
        terminal::done(format!("asked {shown:?}: {state} in {} ms: {words}", found.milliseconds));
    }
    Ok(Tried { input, reply, milliseconds: found.milliseconds })
}

fn beginning(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

async fn logs(globals: &Globals, args: &AgentLogs) -> Result<(), CliError> {
    let path = format!("/v1/agents/{}/logs", args.agent);
    let log: LogView = globals.client()?.get_with(&path, &LogQuery { lines: Some(args.lines) }).await?;
    if globals.json {
        terminal::json(&log);
        return Ok(());
    }
    if log.items.is_empty() {
        terminal::aside("nothing was said yet");
    }
    for line in &log.items {
        terminal::line(format!("{}  {:7}  {}", line.at, line.from, line.text));
    }
    if log.forgotten > 0 {
        terminal::aside(format!("{} older lines are gone", log.forgotten));
    }
    Ok(())
}

/// The request that serves a built-in agent as it is meant.
#[must_use]
pub(crate) fn from_builtin(name: &str) -> Option<NewAgent> {
    let draft = builtin::draft(name)?;
    Some(NewAgent {
        name: draft.name,
        description: draft.description,
        category: draft.category,
        tags: draft.tags,
        price: draft.price,
        input_schema: draft.input_schema,
        output_schema: draft.output_schema,
        deliver_within_seconds: u32::try_from(draft.deliver_within.as_secs()).unwrap_or(u32::MAX),
        executor: Executor::Builtin { name: name.to_owned() },
        extended: None,
        draft: false,
        regions: Vec::new(),
        pricing: PriceFor::PerCall,
    })
}
