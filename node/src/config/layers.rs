//! Layers of configuration: file over defaults, environment over file, and edits that keep comments.

use super::Config;
use crate::error::NodeError;
use std::path::Path;
use toml::{Table, Value};
use toml_edit::DocumentMut;

/// Environment variables that set a key start with this.
pub const ENV_PREFIX: &str = "HAGGLE_";

/// Reads the file's text with the environment over it.
pub(super) fn layered(text: &str, env: impl Iterator<Item = (String, String)>) -> Result<Config, String> {
    let mut table: Table = text.parse().map_err(|cause: toml::de::Error| cause.to_string())?;
    for (name, value) in env {
        // only names with a section count: HAGGLE_HOME and its like are not configuration
        let Some((section, key)) = name.strip_prefix(ENV_PREFIX).and_then(|rest| rest.split_once("__")) else {
            continue;
        };
        let section = section.to_lowercase();
        let entry = table.entry(section.as_str()).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(inner) = entry else {
            return Err(format!("{name} sets a key of {section:?}, which is no section"));
        };
        let key = key.to_lowercase();
        let typed = match scalar(&value) {
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) if is_text(&section, &key) => Value::String(value),
            other => other,
        };
        inner.insert(key, typed);
    }
    table.try_into().map_err(|cause: toml::de::Error| cause.to_string())
}

/// Whether the key holds a text, as every amount does: a bare `5` is one too, then.
fn is_text(section: &str, key: &str) -> bool {
    let defaults = Table::try_from(Config::default()).unwrap_or_default();
    defaults.get(section).and_then(|section| section.get(key)).is_some_and(Value::is_str)
}

/// Whether a value is better left as the text it was typed as: amounts are never floats.
fn is_decimal(text: &str) -> bool {
    text.contains('.') && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// A value as typed on a command line or in the environment: TOML if it parses as such, else text.
fn scalar(text: &str) -> Value {
    if is_decimal(text) {
        return Value::String(text.to_owned());
    }
    format!("value = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Sets one dotted `key` in the file at `path`; comments and order stay.
///
/// # Errors
/// `bad_config` when the key is unknown or the value does not fit: the file is then unchanged.
pub fn set_in_file(path: &Path, key: &str, value: &str) -> Result<(), NodeError> {
    let text = std::fs::read_to_string(path).map_err(NodeError::file(path))?;
    let edited = edited(&text, key, value).map_err(|reason| NodeError::BadConfig(path.to_owned(), reason))?;
    crate::home::write_atomically(path, edited.as_bytes())
}

fn edited(text: &str, key: &str, value: &str) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|cause: toml_edit::TomlError| cause.to_string())?;
    let holds_text = key.split_once('.').is_some_and(|(section, inner)| is_text(section, inner));
    let is_bare = |typed: &toml_edit::Value| typed.is_integer() || typed.is_float() || typed.is_bool();
    let typed = value
        .parse::<toml_edit::Value>()
        .ok()
        .filter(|typed| !(is_decimal(value) || holds_text && is_bare(typed)))
        .unwrap_or_else(|| toml_edit::Value::from(value));
    match key.split_once('.') {
        None => document[key] = toml_edit::value(typed),
        Some((section, inner)) => {
            document[section].or_insert(toml_edit::table())[inner] = toml_edit::value(typed);
        }
    }
    let edited = document.to_string();
    layered(&edited, std::iter::empty()).and_then(|config| config.check())?;
    Ok(edited)
}
