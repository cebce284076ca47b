//! Stories of cards: built, checked, shown by a gateway.

use super::*;
use crate::types::AgentCard;

/// The signed card of the A2A reference, as sent by somebody else.
const STRANGER: &str = r#"{"name":"Echo Agent","description":"Echoes text back.","supportedInterfaces":[{"url":"https://node.example.org/agents/echo","protocolBinding":"JSONRPC","protocolVersion":"1.0"},{"url":"https://node.example.org/agents/echo/rest","protocolBinding":"HTTP+JSON","protocolVersion":"1.0"}],"provider":{"url":"https://example.org","organization":"Example Org"},"version":"1.0.0","capabilities":{"streaming":true,"pushNotifications":false,"extensions":[{"uri":"urn:pay","description":"payments","required":true}]},"securitySchemes":{"bearer":{"httpAuthSecurityScheme":{"scheme":"Bearer","bearerFormat":"JWT"}}},"securityRequirements":[{"schemes":{"bearer":{"list":["a2a"]}}}],"defaultInputModes":["text/plain"],"defaultOutputModes":["text/plain"],"skills":[{"id":"echo","name":"Echo","description":"Echo the input.","tags":["echo"]}],"signatures":[{"protected":"e30","signature":"AA"}],"vendorField":{"kept":true}}"#;

fn stranger() -> Value {
    serde_json::from_str(STRANGER).unwrap()
}

fn alice() -> (Did, PeerId) {
    let seed = haggle_base::Seed::devnet(7, 1);
    (seed.agent_key(0).did(), seed.node_key().peer_id())
}

fn draft() -> Draft {
    Draft {
        name: "Digest".into(),
        description: "Counts words.".into(),
        version: "1.0.0".into(),
        skills: vec![Skill {
            id: "digest".into(),
            name: "Digest".into(),
            description: "Counts.".into(),
            tags: vec!["text".into()],
        }],
        modes: vec!["text/plain".into()],
        extensions: vec!["urn:haggle:a2a:negotiate:1".into()],
        extended: false,
    }
}

#[test]
fn our_own_card_is_valid_signable_and_names_its_node() {
    let (did, peer) = alice();
    let places = Places { http: vec!["https://a.example/a2a".into()], peers: vec![peer] };
    let card = own(&draft(), &did, &places);
    check(&card).unwrap();
    check_signable(&card).unwrap();
    assert_eq!(peers(&card), [peer]);
    let libp2p = interface(&card, binding::URI).unwrap();
    assert_eq!(libp2p.tenant, Some(did.to_string().as_str()));
    assert_eq!(interface(&card, JSONRPC).unwrap().url, "https://a.example/a2a");
    assert_eq!(extensions(&card, false), ["urn:haggle:a2a:negotiate:1"]);
    let view: AgentCard = serde_json::from_value(card).unwrap();
    assert_eq!(view.supported_interfaces.len(), 3);
    assert_eq!(interface(&own(&draft(), &did, &places), HTTP_JSON).unwrap().url, "https://a.example/a2a");
}

#[test]
fn a_gateway_card_says_what_passes_through_the_gateway() {
    let card = gateway(&stranger(), "http://127.0.0.1:7070/a2a/did:key:z6Mk", true);
    check(&card).unwrap();
    assert_eq!(card["capabilities"]["streaming"], true);
    assert_eq!(card["capabilities"]["pushNotifications"], true);
    assert_eq!(card["supportedInterfaces"].as_array().unwrap().len(), 2);
    assert_eq!(card["vendorField"], json!({"kept": true}));
    assert_eq!(card.get("signatures"), None);
    assert_eq!(extensions(&card, true), ["urn:pay"]);
    assert_eq!(card["securityRequirements"][0]["schemes"]["bearer"]["list"][0], "a2a");
    assert_eq!(gateway(&stranger(), "http://x", false).get("securitySchemes"), None);
    let (did, peer) = alice();
    let adopted = adopt(&stranger(), &did, &Places { http: vec![], peers: vec![peer] });
    check(&adopted).unwrap();
    assert_eq!(peers(&adopted), [peer]);
}

#[test]
fn faults_are_named_by_their_paths() {
    let mut card = stranger();
    card["skills"][0]["tags"] = json!([]);
    card["supportedInterfaces"][1]["url"] = json!(7);
    card["name"] = json!("");
    card.as_object_mut().unwrap().remove("capabilities");
    let faults = check(&card).unwrap_err().faults;
    let paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(paths, ["/name", "/capabilities", "/supportedInterfaces/1/url", "/skills/0/tags"]);
    assert!(check(&json!([])).is_err());
}

#[test]
fn an_adopted_card_can_be_signed_whatever_the_backend_served() {
    let (did, peer) = alice();
    let mut backend = stranger();
    backend["iconUrl"] = json!("");
    backend["capabilities"]["extendedAgentCard"] = json!(true);
    let adopted = adopt(&backend, &did, &Places { http: vec![], peers: vec![peer] });
    check(&adopted).unwrap();
    check_signable(&adopted).unwrap();
    assert_eq!(adopted.get("signatures"), None, "the backend signed another card");
    assert_eq!(adopted.get("vendorField"), None, "SDKs would not sign it");
    assert!(!has_extended(&adopted), "the backend's extended card is not passed on");
    assert_eq!(adopted["provider"], backend["provider"]);
}

#[test]
fn an_extended_card_adds_to_the_public_one() {
    let (did, peer) = alice();
    let public = own(&Draft { extended: true, ..draft() }, &did, &Places { http: vec![], peers: vec![peer] });
    assert!(has_extended(&public));
    let extra = json!({
        "description": "More for friends.",
        "skills": [{ "id": "digest", "name": "Deep digest" }, { "id": "count", "name": "Count" }],
        "capabilities": { "streaming": false },
        "supportedInterfaces": [],
        "signatures": [{}],
    });
    let card = extended(&public, extra.as_object().unwrap());
    assert_eq!(card["description"], "More for friends.");
    assert_eq!(card["capabilities"], public["capabilities"]);
    assert_eq!(card["supportedInterfaces"], public["supportedInterfaces"]);
    let names: Vec<&str> =
        card["skills"].as_array().unwrap().iter().filter_map(|skill| skill["name"].as_str()).collect();
    assert_eq!(names, ["Deep digest", "Count"]);
    assert_eq!(card.get("signatures"), None);
    assert!(has_extended(&gateway(&public, "http://127.0.0.1:7070/a2a/x", true)));
}

#[test]
fn a_card_says_which_media_types_its_agent_takes() {
    let card = json!({
        "defaultInputModes": ["text/plain", "image/*"],
        "skills": [{"inputModes": ["application/pdf"]}, {}],
    });
    for taken in ["text/plain", "Text/Plain; charset=utf-8", "image/png", "application/pdf"] {
        assert!(accepts(&card, taken), "{taken}");
    }
    for other in ["application/json", "text/html", "imag/png", ""] {
        assert!(!accepts(&card, other), "{other}");
    }
    assert!(accepts(&json!({"defaultInputModes": ["*/*"]}), "application/x-anything"));
}
