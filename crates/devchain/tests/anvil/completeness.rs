//! That nothing is left out: every function that changes something is in one of the stories, every question is asked.

use alloy::primitives::{Bytes, keccak256};
use serde_json::{Value, json};

use crate::stage::{CHANNEL, COLLECTOR, MULTICALL, Stage};

/// The stories, as they are written.
const STORIES: [&str; 4] =
    [include_str!("channels.rs"), include_str!("orders.rs"), include_str!("refusing.rs"), include_str!("tools.rs")];

/// What was built of each contract.
const ARTIFACTS: [(&str, &str); 9] = [
    ("Anchor", include_str!("../../../../contracts/artifacts/Anchor.json")),
    ("Channel", include_str!("../../../../contracts/artifacts/Channel.json")),
    ("Erc3009Collector", include_str!("../../../../contracts/artifacts/Erc3009Collector.json")),
    ("Escrow", include_str!("../../../../contracts/artifacts/Escrow.json")),
    ("Multicall3", include_str!("../../../../contracts/artifacts/Multicall3.json")),
    ("Panel", include_str!("../../../../contracts/artifacts/Panel.json")),
    ("Registry8004", include_str!("../../../../contracts/artifacts/Registry8004.json")),
    ("Stake", include_str!("../../../../contracts/artifacts/Stake.json")),
    ("TestUSDC", include_str!("../../../../contracts/artifacts/TestUSDC.json")),
];

/// Called by the escrow alone, and so inside the stories of orders; from outside only their refusal can be seen.
const INSIDE: [(&str, &str); 2] = [("Stake", "lock"), ("Stake", "slash")];

/// A contract's functions.
fn functions(artifact: &str) -> Vec<Value> {
    let artifact: Value = serde_json::from_str(artifact).unwrap();
    let abi = artifact["abi"].as_array().unwrap().iter();
    abi.filter(|entry| entry["type"] == "function").cloned().collect()
}

fn is_question(function: &Value) -> bool {
    matches!(function["stateMutability"].as_str(), Some("view" | "pure"))
}

/// The type of a parameter as signatures have it.
fn type_of(parameter: &Value) -> String {
    let name = parameter["type"].as_str().unwrap();
    match name.strip_prefix("tuple") {
        None => name.to_owned(),
        Some(array) => format!("({}){array}", types(&parameter["components"])),
    }
}

fn types(parameters: &Value) -> String {
    parameters.as_array().unwrap().iter().map(type_of).collect::<Vec<_>>().join(",")
}

#[test]
fn every_operation_is_in_a_story() {
    let missing = ARTIFACTS.into_iter().flat_map(|(contract, artifact)| {
        let functions = functions(artifact);
        let mut seen: Vec<String> = Vec::new();
        let mut missing = Vec::new();
        for function in functions.iter() {
            let name = function["name"].as_str().unwrap().to_owned();
            let alone = functions.iter().filter(|other| other["name"] == function["name"]).count() == 1;
            let earlier = seen.iter().filter(|earlier| **earlier == name).count();
            let call = if alone { format!("{name}Call") } else { format!("{name}_{earlier}Call") };
            let is_told = STORIES.iter().any(|story| story.contains(&format!("{contract}::{call}")));
            if !is_question(function) && !is_told && !INSIDE.contains(&(contract, &name)) {
                missing.push(format!("{contract}::{call}"));
            }
            seen.push(name);
        }
        missing
    });
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<String>::new());
}

#[tokio::test]
#[ignore = "needs anvil from npm; cargo xtask test runs it"]
async fn every_question_is_answered_alike() {
    let stage = Stage::set().await;
    let mut asked = 0;
    for (contract, artifact) in ARTIFACTS {
        let place = match contract {
            "Anchor" => stage.anchor,
            "Channel" => CHANNEL,
            "Erc3009Collector" => COLLECTOR,
            "Escrow" => stage.escrow,
            "Multicall3" => MULTICALL,
            "Panel" => stage.panel,
            "Registry8004" => stage.registry,
            "Stake" => stage.stake,
            _ => stage.token,
        };
        for question in functions(artifact).iter().filter(|function| is_question(function)) {
            let signature = format!("{}({})", question["name"].as_str().unwrap(), types(&question["inputs"]));
            // Zero fits every fixed parameter, and is a wrong offset for the others: both have to say so alike.
            for filling in [0_u8, 1, 0xff] {
                let data = [&keccak256(&signature)[..4], &[filling; 32 * 24]].concat();
                stage.pair.call(&signature, json!({"to": place, "data": Bytes::from(data)})).await;
            }
            asked += 1;
        }
    }
    assert!(asked > 50, "{asked} questions");
}
