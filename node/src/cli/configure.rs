//! `config`.

use super::CliError;
use super::args::{ConfigCommand, Globals};
use super::terminal;
use crate::config::{Config, EXPLANATIONS, explain, set_in_file};
use toml::{Table, Value};

pub(super) fn run(globals: &Globals, command: &ConfigCommand) -> Result<(), CliError> {
    match command {
        ConfigCommand::Explain { key } => explain_keys(globals, key.as_deref()),
        ConfigCommand::Show => {
            let config = load(globals)?;
            if globals.json {
                terminal::json(&config);
            } else {
                terminal::line(config.to_toml());
            }
            Ok(())
        }
        ConfigCommand::Get { key } => {
            let value = value_of(&load(globals)?, key).ok_or_else(|| no_such_key(key))?;
            if globals.json {
                terminal::json(&serde_json::json!({"key": key, "value": value}));
            } else {
                terminal::line(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            }
            Ok(())
        }
        ConfigCommand::Set { key, value } => {
            if explain(key).is_none() {
                return Err(no_such_key(key));
            }
            set_in_file(&globals.home.config(), key, value)?;
            if globals.json {
                terminal::json(&serde_json::json!({"key": key, "value": value}));
            } else {
                terminal::done(format!("{key} is {value} from the next start on"));
            }
            Ok(())
        }
    }
}

fn load(globals: &Globals) -> Result<Config, CliError> {
    let path = globals.home.config();
    if path.is_file() {
        return Ok(Config::load(&path)?);
    }
    Ok(Config::default())
}

fn value_of(config: &Config, key: &str) -> Option<Value> {
    let table: Table = config.to_toml().parse().ok()?;
    match key.split_once('.') {
        None => table.get(key).cloned(),
        Some((section, inner)) => table.get(section)?.get(inner).cloned(),
    }
}

fn explain_keys(globals: &Globals, key: Option<&str>) -> Result<(), CliError> {
    let defaults = Config::default();
    let wanted: Vec<_> = match key {
        Some(key) => vec![explain(key).ok_or_else(|| no_such_key(key))?],
        None => EXPLANATIONS.to_vec(),
    };
    let rows: Vec<_> = wanted
        .into_iter()
        .map(|row| (row, value_of(&defaults, row.key).map(|value| value.to_string()).unwrap_or_default()))
        .collect();
    if globals.json {
        let items: Vec<_> = rows
            .iter()
            .map(|(row, default)| serde_json::json!({"key": row.key, "meaning": row.meaning, "default": default}))
            .collect();
        terminal::json(&serde_json::json!({"items": items, "next": null}));
        return Ok(());
    }
    for (row, default) in rows {
        terminal::heading(row.key);
        terminal::line(format!("  {}", row.meaning));
        terminal::aside(format!("  default {default}"));
    }
    Ok(())
}

fn no_such_key(key: &str) -> CliError {
    CliError::failure("no_such_key", format!("there is no key {key:?}"), "`haggle config explain` lists every key")
}
