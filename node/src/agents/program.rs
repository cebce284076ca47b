//! Agents that are programs: what may be asked for, and how it is run.

use crate::records::CommandRow;
use haggle_a2a_transport::{CommandConfig, CommandLimits};
use haggle_base::Text;
use haggle_gateway::ApiError;
use std::path::PathBuf;
use std::time::Duration;

/// Variables of the node's environment that every program gets.
const HARMLESS: [&str; 7] = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// How a program is run.
pub(super) fn config(name: &str, row: &CommandRow) -> CommandConfig {
    let named = row.env.iter().map(Text::as_str);
    let env = HARMLESS.into_iter().chain(named).filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)));
    CommandConfig {
        name: name.to_owned(),
        argv: row.argv.iter().map(|word| word.as_str().to_owned()).collect(),
        dir: row.dir.as_ref().map(|dir| PathBuf::from(dir.as_str())),
        env: env.collect(),
        limits: CommandLimits { call: Duration::from_secs(u64::from(row.call_secs)), ..CommandLimits::default() },
    }
}

/// The stored form of a program, every field checked.
pub(super) fn row(argv: &[String], dir: Option<&str>, env: &[String], call_secs: u32) -> Result<CommandRow, ApiError> {
    let wrong = |detail: String| {
        Err(ApiError::bad_request(
            "invalid_command",
            detail,
            "give the program and its arguments as at most 64 words of 1024 bytes without control characters",
        ))
    };
    let words: Result<Vec<Text<1024>>, _> = argv.iter().map(|word| Text::try_from(word.as_str())).collect();
    let Some(argv) = words.ok().filter(|words| !words.is_empty()).and_then(|words| words.try_into().ok()) else {
        return wrong("the command has no words, too many, or one that is too long".to_owned());
    };
    let plain = |name: &str| {
        let mut letters = name.bytes();
        letters.next().is_some_and(|first| first == b'_' || first.is_ascii_alphabetic())
            && letters.all(|letter| letter == b'_' || letter.is_ascii_alphanumeric())
            && !name.starts_with("HAGGLE_")
    };
    if let Some(name) = env.iter().find(|name| !plain(name)) {
        return wrong(format!("{name:?} is no variable that a program may get"));
    }
    let names: Result<Vec<Text<128>>, _> = env.iter().map(|name| Text::try_from(name.as_str())).collect();
    let Some(env) = names.ok().and_then(|names| names.try_into().ok()) else {
        return wrong("there are more than 32 variables, or one has a name of over 128 bytes".to_owned());
    };
    let Ok(dir) = dir.map(Text::try_from).transpose() else {
        return wrong("the directory's path is too long or holds control characters".to_owned());
    };
    if !(1..=3600).contains(&call_secs) {
        return wrong("a call takes 1 second to 1 hour".to_owned());
    }
    Ok(CommandRow { argv, dir, env, call_secs })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_program_is_kept_as_it_was_typed() {
        let asked =
            row(&words(&["python3", "shout.py", "--loud"]), Some("/agents"), &words(&["MODEL_KEY"]), 60).unwrap();
        let config = config("shout", &asked);
        assert_eq!(config.argv, ["python3", "shout.py", "--loud"]);
        assert_eq!(config.dir, Some(PathBuf::from("/agents")));
        assert_eq!(config.limits.call, Duration::from_secs(60));
        let names: Vec<_> = config.env.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.contains(&"PATH"));
        assert!(!names.contains(&"CARGO_MANIFEST_DIR"), "only what was named");
    }

    #[test]
    fn what_cannot_be_run_or_would_leak_is_refused() {
        let python = words(&["python3"]);
        for (argv, env, call) in [
            (vec![], vec![], 60),
            (words(&["a\nb"]), vec![], 60),
            (vec!["x".to_owned(); 65], vec![], 60),
            (python.clone(), words(&["HAGGLE_PASSPHRASE"]), 60),
            (python.clone(), words(&["A=B"]), 60),
            (python.clone(), words(&["1A"]), 60),
            (python.clone(), vec![], 0),
            (python, vec![], 3601),
        ] {
            let refused = row(&argv, None, &env, call).unwrap_err();
            assert_eq!(refused.code, "invalid_command", "{argv:?} {env:?} {call}");
        }
    }
}
