//! `hire` and `order`.

use super::args::{Globals, Hire, OrderCommand};
use super::client::Client;
use super::terminal::{self, Progress};
use super::{CliError, Exit};
use haggle_base::{Clock, Hash, SystemClock};
use haggle_gateway::view::{DisputeRequest, GivenOutput, HireRequest, OrderPage, OrderQuery, OrderView, StepView};
use serde_json::{Value, json};
use std::io::Read;
use std::time::Duration;

/// Largest input taken: the document a call may carry.
pub(super) const MAX_INPUT: u64 = 512 * 1024;
/// How often a waiting command looks at the order.
const LOOK_EVERY: Duration = Duration::from_millis(50);

pub(super) async fn hire(globals: &Globals, args: Hire) -> Result<(), CliError> {
    let client = globals.client()?;
    let key = args.key.map_or_else(fresh_key, Ok)?;
    let request =
        HireRequest { listing: args.listing, input: read_input(&args.input)?, max_price: args.max, buyer: None };
    if !globals.json && !globals.quiet {
        terminal::aside(format!("order key {key}: the same key never buys twice"));
    }
    let order: OrderView = client.post_once("/v1/orders", &key, &request).await?;
    if args.no_wait {
        show_order(globals, &order);
        return Ok(());
    }
    let order = follow(globals, &client, &order.key, args.wait.into()).await?;
    show_order(globals, &order);
    verdict(&order)
}

/// Waits until the order is final, showing each step as it is stored.
pub(super) async fn follow(
    globals: &Globals,
    client: &Client,
    key: &str,
    patience: Duration,
) -> Result<OrderView, CliError> {
    let progress = Progress::start(globals.json || globals.quiet, "waiting for the first step");
    let mut shown = 0;
    let waiting = async {
        loop {
            let order: OrderView = client.get(&format!("/v1/orders/{key}")).await?;
            if !globals.json && !globals.quiet {
                for step in order.steps.iter().skip(shown) {
                    progress.above(&step_line(step));
                }
                shown = order.steps.len();
                progress.say(&format!("{} …", order.state));
            }
            if order.is_final() || (order.problem.is_some() && order.fund_tx.is_none()) {
                return Ok(order);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(patience, waiting).await.unwrap_or_else(|_| {
        Err(CliError {
            exit: Exit::Timeout,
            ..CliError::failure(
                "timeout",
                format!("the order is not final after {patience:?}; it goes on"),
                format!("follow it with `haggle order wait {key}`"),
            )
        })
    })
}

pub(super) async fn run(globals: &Globals, command: OrderCommand) -> Result<(), CliError> {
    let client = globals.client()?;
    match command {
        OrderCommand::List { role, state } => {
            let query = OrderQuery { role, state, limit: Some(100) };
            let page: OrderPage = client.get_with("/v1/orders", &query).await?;
            if globals.json {
                terminal::json(&page);
                return Ok(());
            }
            if page.items.is_empty() {
                terminal::line("No orders yet.");
            }
            for order in &page.items {
                terminal::heading(format!("{}  {} as {}", order.state, order.total, order.role));
                terminal::aside(format!("  key {}  id {}", order.key, order.id.as_deref().unwrap_or("not agreed yet")));
                if let Some(waiting) = waiting_line(order) {
                    terminal::aside(format!("  {waiting}"));
                }
            }
            Ok(())
        }
        OrderCommand::Show { id } => {
            let order: OrderView = client.get(&format!("/v1/orders/{id}")).await?;
            show_order(globals, &order);
            Ok(())
        }
        OrderCommand::Wait { id, wait } => {
            let order = follow(globals, &client, &id, wait.into()).await?;
            show_order(globals, &order);
            verdict(&order)
        }
        OrderCommand::Dispute { id, reason } => {
            let order: OrderView = client.post(&format!("/v1/orders/{id}/dispute"), &DisputeRequest { reason }).await?;
            show_order(globals, &order);
            Ok(())
        }
        OrderCommand::Counter { id } => {
            let order: OrderView = client.post(&format!("/v1/orders/{id}/counter"), &json!({})).await?;
            show_order(globals, &order);
            Ok(())
        }
        OrderCommand::Deliver { id, output } => {
            let given = GivenOutput { output: read_output(&output)? };
            let order: OrderView = client.post(&format!("/v1/orders/{id}/output"), &given).await?;
            show_order(globals, &order);
            Ok(())
        }
        OrderCommand::Cancel { id } => {
            let order: OrderView = client.post(&format!("/v1/orders/{id}/cancel"), &json!({})).await?;
            show_order(globals, &order);
            Ok(())
        }
    }
}

/// What an order waits for, if that is its seller's owner.
fn waiting_line(order: &OrderView) -> Option<String> {
    let what = order.waits_for.as_ref()?;
    Some(format!("waits for its {what} until {}", order.waits_until.as_deref().unwrap_or("the deadline")))
}

/// One line of a life line.
pub(super) fn step_line(step: &StepView) -> String {
    let tx = step.tx.as_deref().map(|tx| format!("  tx {}", terminal::short(tx))).unwrap_or_default();
    format!("  {:<20} {}{tx}", step.step, step.note)
}

fn show_order(globals: &Globals, order: &OrderView) {
    if globals.json {
        terminal::json(order);
        return;
    }
    terminal::heading(format!("order {}", order.state));
    terminal::pairs([
        ("key", order.key.clone()),
        ("id", order.id.clone().unwrap_or_else(|| "not agreed yet".to_owned())),
        ("seller", order.seller.clone()),
        ("price", format!("{} + fee {} = {} USDC", order.price, order.fee, order.total)),
        ("funded by", order.fund_tx.clone().unwrap_or_else(|| "-".to_owned())),
        ("settled by", order.settle_tx.clone().unwrap_or_else(|| "-".to_owned())),
    ]);
    if let Some(input) = &order.input {
        terminal::heading("input");
        terminal::line(serde_json::to_string_pretty(input).unwrap_or_default());
    }
    if let Some(output) = &order.output {
        terminal::heading("result");
        terminal::line(serde_json::to_string_pretty(output).unwrap_or_default());
    }
    if let Some(problem) = &order.problem {
        terminal::line(format!("problem: {problem}: {}", order.problem_detail.as_deref().unwrap_or("")));
    }
    if let Some(waiting) = waiting_line(order) {
        terminal::line(waiting);
        let deliver = format!("haggle order deliver {} --output JSON", order.key);
        terminal::next(globals.quiet, &[(deliver, "give it, and be paid")]);
        return;
    }
    terminal::next(globals.quiet, &[(format!("haggle order show {}", order.key), "its whole life line, again")]);
}

/// An order that ended badly ends the command badly.
fn verdict(order: &OrderView) -> Result<(), CliError> {
    match (order.state.as_str(), &order.problem) {
        ("settled", None) => Ok(()),
        // the order is over and nothing was paid: that is known, unlike a command that stops waiting
        (_, Some(problem)) if problem == "timeout" && order.fund_tx.is_none() => Err(CliError {
            exit: Exit::Remote,
            ..CliError::failure(problem, "the seller did not answer in time; nothing was paid", "try another seller")
        }),
        (state, problem) => Err(CliError::failure(
            problem.as_deref().unwrap_or(state),
            order.problem_detail.clone().unwrap_or_else(|| format!("the order ended {state}")),
            format!("its life line: `haggle order show {}`", order.key),
        )),
    }
}

/// Reads an input argument: `@file`, `-`, JSON, or plain text, which becomes `{"text": …}`.
pub(super) fn read_input(argument: &str) -> Result<Value, CliError> {
    let text = read_argument(argument)?;
    let input = match serde_json::from_str::<Value>(&text) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => value,
        _ => json!({"text": text}),
    };
    fits_a_call(&input)?;
    Ok(input)
}

/// Reads an output argument as [`read_input`] does, but any JSON is taken as it is.
fn read_output(argument: &str) -> Result<Value, CliError> {
    let text = read_argument(argument)?;
    Ok(serde_json::from_str(&text).unwrap_or_else(|_| json!({"text": text})))
}

/// The text of an argument, of the file it names, or of standard input.
fn read_argument(argument: &str) -> Result<String, CliError> {
    let unreadable = |name: &str, cause: std::io::Error| {
        CliError::failure(
            "invalid_input",
            format!("{name}: {cause}"),
            "give JSON, text, @file, or - for standard input",
        )
    };
    let text = if argument == "-" {
        read_bounded(std::io::stdin().lock()).map_err(|cause| unreadable("standard input", cause))?
    } else if let Some(name) = argument.strip_prefix('@') {
        let file = std::fs::File::open(name).map_err(|cause| unreadable(name, cause))?;
        read_bounded(file).map_err(|cause| unreadable(name, cause))?
    } else {
        argument.to_owned()
    };
    if text.len() as u64 > MAX_INPUT {
        return Err(too_large());
    }
    Ok(text)
}

/// Refuses an input that is too large as JSON, where quotes and line ends take two bytes, before anything starts.
pub(super) fn fits_a_call(input: &Value) -> Result<(), CliError> {
    if input.to_string().len() > haggle_trade::MAX_PAYLOAD_BYTES { Err(too_large()) } else { Ok(()) }
}

fn too_large() -> CliError {
    CliError::failure(
        "input_too_large",
        "what is given is larger than 512 KiB, or than 640 KiB as JSON",
        "give a part of it; a call carries at most 512 KiB each way",
    )
}

/// Reads one byte more than allowed, so that what is too large is noticed and not read whole.
pub(super) fn read_bounded(source: impl Read) -> std::io::Result<String> {
    let mut text = String::new();
    source.take(MAX_INPUT + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// A key nobody used before.
pub(super) fn fresh_key() -> Result<String, CliError> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random)
        .map_err(|cause| CliError::failure("no_randomness", cause.to_string(), "give a key with --key"))?;
    let now = SystemClock.now().as_millis();
    let digest = Hash::of(&[now.to_be_bytes().as_slice(), random.as_slice()].concat()).to_string();
    Ok(format!("ord_{}", &digest[..24]))
}
