//! `pay`.

use super::CliError;
use super::args::{Globals, Pay};
use super::orders::{MAX_INPUT, fresh_key, read_bounded};
use super::terminal;
use super::wallet::{send, show_payment};
use haggle_gateway::view::{PayRequest, PayView, TransferRequest};
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) async fn run(globals: &Globals, args: Pay) -> Result<(), CliError> {
    if let Some(amount) = args.amount {
        let sent = TransferRequest { to: args.url, amount, memo: args.reason, from: args.buyer };
        return send(globals, args.key, &sent).await;
    }
    let client = globals.client()?;
    let key = args.key.map_or_else(fresh_key, Ok)?;
    let request = PayRequest {
        url: args.url,
        message: args.message.as_deref().map(message).transpose()?,
        method: args.method,
        headers: args.headers.iter().map(|line| header(line)).collect::<Result<BTreeMap<_, _>, _>>()?,
        body: args.body.as_deref().map(body).transpose()?,
        max_price: args.max,
        rail: args.rail,
        dry_run: args.dry_run,
        buyer: args.buyer,
    };
    if !globals.json && !globals.quiet && !request.dry_run {
        terminal::aside(format!("key {key}: the same key never pays twice"));
    }
    let answer: PayView = client.post_once("/v1/pay", &key, &request).await?;
    if globals.json {
        terminal::json(&answer);
        return Ok(());
    }
    if let Some(why) = &answer.why {
        terminal::line(why);
        return Ok(());
    }
    if let Some(payment) = &answer.payment {
        show_payment(globals, payment);
    }
    let by = answer.rail.as_deref().map(|rail| format!(" by {rail}")).unwrap_or_default();
    terminal::heading(format!("answer {}, cost {} USDC{by}", answer.status, answer.cost));
    terminal::line(answer.text.or(answer.base64).unwrap_or_default());
    Ok(())
}

fn header(line: &str) -> Result<(String, String), CliError> {
    let (name, value) = line.split_once(':').ok_or_else(|| {
        CliError::failure("usage", format!("{line:?} is no header"), "write a header as `name: value`")
    })?;
    Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
}

/// A message argument: a JSON object or list, else a text.
fn message(argument: &str) -> Result<Value, CliError> {
    let text = body(argument)?;
    Ok(match serde_json::from_str(&text) {
        Ok(json @ (Value::Object(_) | Value::Array(_))) => json,
        _ => Value::String(text),
    })
}

/// A body argument: `@file`, `-`, or the text itself.
fn body(argument: &str) -> Result<String, CliError> {
    let unreadable = |cause: std::io::Error| {
        CliError::failure("invalid_input", format!("{argument}: {cause}"), "give text, @file, or - for standard input")
    };
    let text = if argument == "-" {
        read_bounded(std::io::stdin().lock()).map_err(unreadable)?
    } else if let Some(name) = argument.strip_prefix('@') {
        std::fs::File::open(name).and_then(read_bounded).map_err(unreadable)?
    } else {
        argument.to_owned()
    };
    if text.len() as u64 > MAX_INPUT {
        return Err(CliError::failure("input_too_large", "the body is larger than 512 KiB", "send a part of it"));
    }
    Ok(text)
}
