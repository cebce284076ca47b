//! Cards between us and the unmodified A2A SDKs: who signs, the other verifies.

use std::process::Stdio;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use haggle_base::AgentKey;
use tokio::io::AsyncWriteExt;

use super::{
    cards::{gateway, public_card, skills, with_extended_card},
    sdks::{listen, script},
    *,
};

/// The card tools of both SDKs: the same arguments, the same output.
const TOOLS: [&str; 2] = ["a2a-python/cards.py", "a2a-js/cards.mjs"];

fn key() -> AgentKey {
    Seed::devnet(7, 1).agent_key(0)
}

/// Runs a tool on a card; what it printed, or how it refused.
async fn run_tool(tool: &str, action: &[&str], card: &str) -> Result<String, String> {
    let (did, public) = (AGENT.to_string(), URL_SAFE_NO_PAD.encode(AGENT.public_key()));
    let mut command = script(tool);
    command.args(action).args(["--kid", &did, "--public", &public]).stdin(Stdio::piped());
    let work = async {
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(card.as_bytes()).await.unwrap();
        child.wait_with_output().await.unwrap()
    };
    let output = tokio::time::timeout(2 * PATIENCE, work).await.unwrap();
    let [printed, complained] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    if output.status.success() { Ok(printed.trim().to_owned()) } else { Err(complained) }
}

/// Cards that say more than the smallest one: schemes, letters of other scripts, numbers below `params`.
fn rich_card() -> Value {
    let mut card = agent_card();
    card["description"] = json!("Ça va — 日本語 😂");
    card["provider"] = json!({ "url": "https://example.org", "organization": "Example" });
    card["capabilities"]["extensions"][0]["params"] =
        json!({ "on": false, "zero": 0, "part": 0.5, "list": ["x", [1]], "é": 1e-7 });
    card["capabilities"]["pushNotifications"] = json!(false);
    card["securitySchemes"] = json!({ "bearer": { "httpAuthSecurityScheme": { "scheme": "Bearer" } } });
    card["securityRequirements"] = json!([{ "schemes": { "bearer": { "list": ["a2a"] } } }]);
    card
}

#[tokio::test]
#[ignore = "needs the A2A SDKs; cargo xtask test runs it"]
async fn the_sdks_verify_what_we_sign() {
    let signed = card::sign(rich_card(), &key()).unwrap();
    for tool in TOOLS {
        assert_eq!(run_tool(tool, &["verify"], &signed.to_string()).await.as_deref(), Ok("verified"), "{tool}");
        let mut changed = signed.clone();
        changed["skills"][0]["name"] = json!("Disobey");
        let refused = run_tool(tool, &["verify"], &changed.to_string()).await.unwrap_err();
        assert!(refused.contains("not verified"), "{tool}: {refused}");
    }
}

#[tokio::test]
#[ignore = "needs the A2A SDKs; cargo xtask test runs it"]
async fn we_verify_what_the_sdks_sign() {
    let secret = hex::encode(*key().secret_bytes());
    let mut loose = rich_card();
    loose["securityRequirements"] = json!([{ "schemes": { "bearer": {} } }]);
    loose["documentationUrl"] = json!("");
    for tool in TOOLS {
        let also = ["sign", "--secret", &secret, "--jku", "https://keys.example/jwks.json"];
        for (unsigned, form) in [(rich_card(), card::Form::Spec), (loose.clone(), card::Form::Sdk)] {
            let printed = run_tool(tool, &also, &unsigned.to_string()).await.unwrap();
            let verified = card::verify(&card::read(printed.as_bytes()).unwrap(), &AGENT).unwrap();
            assert_eq!((verified.form, verified.header.jku.is_some()), (form, true), "{tool}");
        }
        let same = run_tool(tool, &["sign", "--secret", &secret], &rich_card().to_string()).await.unwrap();
        let ours = card::sign(rich_card(), &key()).unwrap();
        let theirs = card::read(same.as_bytes()).unwrap();
        assert_eq!(theirs["signatures"][0]["signature"], ours["signatures"][0]["signature"], "{tool}: bit by bit");
    }
}

#[tokio::test]
#[ignore = "needs the A2A SDKs; cargo xtask test runs it"]
async fn the_sdks_clients_verify_the_cards_that_a_gateway_serves() {
    let node = node().await;
    with_extended_card(&node);
    let url = format!("{}/a2a/{}", listen(gateway(&node.server, None)).await, *AGENT);
    for tool in TOOLS {
        let printed = run_tool(tool, &["fetch", &url, "--token", "secret"], "").await.unwrap();
        let seen: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(skills(&seen["public"]), skills(&public_card()), "{tool}");
        assert_eq!(skills(&seen["extended"]), ["obey", "secret"], "{tool}");
    }
}
