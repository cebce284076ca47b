//! A report for people: the card, what went over the wire, and what is wrong.

use super::{Report, SHOWN_BYTES};
use crate::cli::terminal;
use haggle_a2a::{answer, card};
use serde_json::{Value, json};

pub(super) fn report(report: &Report) {
    let card = &report.card;
    let text = |key: &str| card.get(key).and_then(Value::as_str).unwrap_or("?");
    if card.is_object() {
        terminal::heading(format!("{} {}", plain(text("name")), plain(text("version"))));
        terminal::pairs(rows(card));
    }
    for exchange in &report.exchanges {
        terminal::line("");
        terminal::heading(format!("{} {}", exchange.method, exchange.url));
        if let Some(request) = &exchange.request {
            terminal::line(format!("→ {request}"));
        }
        let kind = plain(&exchange.content_type);
        terminal::aside(format!("← {} {kind}, {} ms", exchange.status, exchange.milliseconds));
        terminal::line(shown(&exchange.body));
        if exchange.cut {
            terminal::aside(format!("… cut at {SHOWN_BYTES} bytes"));
        }
    }
    terminal::line("");
    if let Some(words) = answer::text(&report.reply) {
        let state = answer::state(&report.reply).unwrap_or("a message");
        terminal::done(format!("answered {}: {}", plain(state), plain(&words)));
    }
    for note in &report.notes {
        terminal::aside(format!("note: {}", plain(note)));
    }
    for fault in &report.problems {
        terminal::line(format!("✗ {} {} {}", fault.part, plain(&fault.path), plain(&fault.problem)));
    }
    if report.problems.is_empty() {
        terminal::done("nothing is wrong");
    }
}

fn rows(card: &Value) -> Vec<(&'static str, String)> {
    let list = |at: &str| card.pointer(at).and_then(Value::as_array).cloned().unwrap_or_default();
    let word = |value: &Value, key: &str| plain(value.get(key).and_then(Value::as_str).unwrap_or("?"));
    let mut rows = Vec::new();
    for interface in list("/supportedInterfaces") {
        let (binding, version) = (word(&interface, "protocolBinding"), word(&interface, "protocolVersion"));
        rows.push(("interface", format!("{} {binding} {version}", word(&interface, "url"))));
    }
    let able = card.get("capabilities").and_then(Value::as_object).into_iter().flatten();
    let able: Vec<_> = able.filter(|(_, value)| **value == json!(true)).map(|(name, _)| plain(name)).collect();
    rows.push(("can", if able.is_empty() { "nothing beyond the basics".to_owned() } else { able.join(", ") }));
    let extensions = card::extensions(card, false).join(", ");
    if !extensions.is_empty() {
        rows.push(("extensions", plain(&extensions)));
    }
    for skill in list("/skills") {
        rows.push(("skill", format!("{}: {}", word(&skill, "name"), word(&skill, "description"))));
    }
    rows
}

/// A stranger's words without what could steer a terminal.
fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// A stranger's body: lines stay lines.
fn shown(body: &str) -> String {
    body.lines().map(plain).collect::<Vec<_>>().join("\n")
}
