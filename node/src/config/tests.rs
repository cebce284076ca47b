//! The configuration's promises: the shipped file is the default, unknown keys are refused.

use super::{Config, EXPLANATIONS, Role, layers};
use std::iter;

const SHIPPED: &str = include_str!("../../../config/default.toml");

fn env(name: &str, value: &str) -> iter::Once<(String, String)> {
    iter::once((name.to_owned(), value.to_owned()))
}

#[test]
fn the_shipped_file_is_the_default() {
    let config = layers::layered(SHIPPED, iter::empty()).unwrap();
    assert_eq!(config, Config::default());
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(layers::layered("", iter::empty()).unwrap(), Config::default());
}

#[test]
fn an_unknown_key_is_refused_by_name() {
    let reason = layers::layered("[p2p]\ngosip = true\n", iter::empty()).unwrap_err();
    assert!(reason.contains("gosip"), "{reason}");
}

#[test]
fn the_environment_wins_over_the_file() {
    let config =
        layers::layered("[gateway]\nlisten = \"127.0.0.1:1\"\n", env("HAGGLE_GATEWAY__LISTEN", "127.0.0.1:2")).unwrap();
    assert_eq!(config.gateway.listen.port(), 2);
}

#[test]
fn the_role_is_one_of_those_that_there_are() {
    let role = |word: &str| layers::layered("", env("HAGGLE_MARKET__ROLE", word)).map(|config| config.market.role);
    for known in [Role::Full, Role::Index, Role::Interest, Role::Light] {
        assert_eq!(role(known.as_str()), Ok(known));
    }
    assert!(role("heavy").unwrap_err().contains("full, index, interest or light"));
}

#[test]
fn servers_behind_agents_are_asked_within_an_hour() {
    let check = |every: &str| layers::layered("", env("HAGGLE_AGENTS__PROBE_EVERY", every)).unwrap().check();
    assert_eq!((check("1s"), check("1h")), (Ok(()), Ok(())));
    for wrong in ["0s", "999ms", "61min"] {
        assert!(check(wrong).unwrap_err().contains("agents.probe_every"), "{wrong}");
    }
}

#[test]
fn a_newcomers_reputation_is_never_too_little() {
    let check =
        |least: i64| layers::layered(&format!("[market]\nmin_reputation = {least}\n"), iter::empty()).unwrap().check();
    assert_eq!((check(0), check(-1_000_000_000)), (Ok(()), Ok(())));
    for wrong in [1, -1_000_000_001] {
        assert!(check(wrong).unwrap_err().contains("market.min_reputation is between"), "{wrong}");
    }
}

#[test]
fn interests_are_a_few_categories_of_a_node_of_that_role() {
    let check = |role: &str, interests: &str| {
        let text = format!("[market]\nrole = \"{role}\"\ninterests = {interests}\n");
        layers::layered(&text, iter::empty()).unwrap().check()
    };
    assert_eq!(check("interest", "[\"data-processing\", \"custom:maps\"]"), Ok(()));
    assert_eq!(check("full", "[]"), Ok(()));
    let many = format!("[{}]", vec!["\"text\""; 33].join(","));
    for (role, interests) in [("interest", "[]"), ("interest", many.as_str()), ("light", "[\"text\"]")] {
        assert!(check(role, interests).unwrap_err().contains("interest"), "{role} {interests}");
    }
    for wrong in ["Text", "", "a b", &"x".repeat(65)] {
        let refused = check("interest", &format!("[\"{wrong}\"]")).unwrap_err();
        assert!(refused.contains("lower-case"), "{refused}");
    }
    let typed = layers::layered("", env("HAGGLE_MARKET__INTERESTS", "[\"text\"]")).unwrap();
    assert_eq!(typed.market.interests, ["text"]);
}

#[test]
fn a_node_on_loopback_alone_stays_on_this_machine() {
    let leaves =
        |listen: &str| layers::layered("", env("HAGGLE_P2P__LISTEN", listen)).unwrap().p2p.leaves_this_machine();
    assert!(Config::default().p2p.leaves_this_machine());
    assert!(leaves("[\"/ip4/127.0.0.1/tcp/1\", \"/ip4/192.168.1.9/tcp/1\"]"));
    assert!(!leaves("[\"/ip4/127.0.0.1/tcp/1\", \"/ip6/::1/udp/1/quic-v1\"]"));
    assert!(!leaves("[]"));
}

#[test]
fn an_amount_may_be_typed_without_a_point() {
    let config = layers::layered("", env("HAGGLE_PAYMENTS__CREDIT", "3")).unwrap();
    assert_eq!(config.payments.credit.units(), 3_000_000);
    let listed = layers::layered("", env("HAGGLE_CHAIN__RPC", "[\"http://a:1\", \"http://b:2\"]")).unwrap();
    assert_eq!(listed.chain.rpc.as_slice(), ["http://a:1", "http://b:2"]);
}

#[test]
fn one_rpc_or_several_are_written_as_they_come() {
    let read = |text: &str| layers::layered(text, iter::empty()).unwrap();
    let one = read("[chain]\nrpc = \"http://a:1\"\n");
    assert_eq!(one.chain.rpc.as_slice(), ["http://a:1"]);
    let several = read("[chain]\nrpc = [\"http://a:1\", \"http://b:2\"]\n");
    assert_eq!(several.chain.rpc.as_slice(), ["http://a:1", "http://b:2"]);
    let typed = layers::layered("", env("HAGGLE_CHAIN__RPC", "http://a:1, http://b:2")).unwrap();
    assert_eq!(typed, several);
    assert_eq!(read(&several.to_toml()), several);
    assert_eq!(read(&one.to_toml()), one);
    assert!(read("[chain]\nrpc = []\n").check().is_err());
}

#[test]
fn variables_without_a_section_are_no_configuration() {
    assert_eq!(layers::layered("", env("HAGGLE_HOME", "/nowhere")).unwrap(), Config::default());
}

#[test]
fn setting_a_key_keeps_comments_and_refuses_nonsense() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, SHIPPED).unwrap();
    super::set_in_file(&path, "budget.per_call", "2").unwrap();
    super::set_in_file(&path, "budget.per_call", "0.5").unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("# Most one call may cost"), "{text}");
    assert_eq!(layers::layered(&text, iter::empty()).unwrap().budget.per_call.to_string(), "0.5");
    assert!(super::set_in_file(&path, "budget.per_cal", "1").is_err());
    assert!(super::set_in_file(&path, "budget.per_call", "1.1234567").is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn every_key_is_explained() {
    let table: toml::Table = Config::default().to_toml().parse().unwrap();
    let mut keys = Vec::new();
    for (name, value) in &table {
        match value {
            toml::Value::Table(inner) if name != "unlock" => {
                keys.extend(inner.keys().map(|key| format!("{name}.{key}")));
            }
            _ => keys.push(name.clone()),
        }
    }
    keys.sort();
    let mut explained: Vec<_> = EXPLANATIONS.iter().map(|row| row.key.to_owned()).collect();
    explained.sort();
    assert_eq!(keys, explained);
}
