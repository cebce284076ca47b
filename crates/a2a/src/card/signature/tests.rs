//! Stories of signed cards: who signed what, and what a stranger can get past us.

use super::*;
use crate::card::{Draft, Places, Skill, own, read};
use haggle_base::Seed;
use std::sync::LazyLock;

static KEYS: LazyLock<[AgentKey; 2]> = LazyLock::new(|| {
    let seed = Seed::devnet(7, 1);
    [seed.agent_key(1), seed.agent_key(2)]
});

fn alice() -> &'static AgentKey {
    &KEYS[0]
}

fn eve() -> &'static AgentKey {
    &KEYS[1]
}

fn card() -> Value {
    let draft = Draft {
        name: "Digest".into(),
        description: "Counts words — in 日本語 too.".into(),
        version: "1.0.0".into(),
        skills: vec![Skill {
            id: "digest".into(),
            name: "Digest".into(),
            description: "Counts.".into(),
            tags: vec!["text".into()],
        }],
        modes: vec!["text/plain".into()],
        extensions: vec!["urn:haggle:a2a:negotiate:1".into()],
        extended: true,
    };
    own(&draft, &alice().did(), &Places { http: vec!["https://a.example".into()], peers: vec![] })
}

fn signed() -> Value {
    sign(card(), alice()).unwrap()
}

/// An entry of `signatures` with any header, over any form.
fn entry(card: &Value, header: &Value, form: Form, key: &AgentKey) -> Value {
    let protected = URL_SAFE_NO_PAD.encode(header.to_string());
    let signature = key.sign(&signing_input(&protected, &canonical(card, form).unwrap()));
    json!({ "protected": protected, "signature": URL_SAFE_NO_PAD.encode(signature) })
}

fn with(mut card: Value, entries: Vec<Value>) -> Value {
    card["signatures"] = Value::Array(entries);
    card
}

fn header(alg: &str, kid: &str) -> Value {
    json!({ "alg": alg, "kid": kid, "typ": "JOSE" })
}

fn refusal(card: &Value) -> &'static str {
    verify(card, &alice().did()).unwrap_err().code()
}

#[test]
fn a_signed_card_survives_the_wire_and_names_its_signer() {
    let bytes = serde_json::to_vec_pretty(&signed()).unwrap();
    let received = read(&bytes).unwrap();
    let verified = verify(&received, &alice().did()).unwrap();
    assert_eq!((verified.signer, verified.form), (alice().did(), Form::Spec));
    assert_eq!(verified.covered, card());
    assert_eq!(verified.header.kid, alice().did().to_string());
    assert_eq!(sign(card(), alice()).unwrap(), signed(), "the same card gets the same signature");
    assert_eq!(sign(signed(), alice()).unwrap(), signed(), "signing again replaces the signature");
}

#[test]
fn another_agents_signature_is_not_the_authors() {
    assert_eq!(verify(&signed(), &eve().did()).unwrap_err(), SignatureError::UnknownKey);
    let forged = with(card(), vec![entry(&card(), &header(EDDSA, &alice().did().to_string()), Form::Spec, eve())]);
    assert_eq!(verify(&forged, &alice().did()).unwrap_err(), SignatureError::BadSignature);
}

#[test]
fn a_change_anywhere_breaks_the_signature() {
    let changes: [(&str, Value); 5] = [
        ("/name", json!("digest")),
        ("/supportedInterfaces/0/url", json!("https://evil.example")),
        ("/capabilities/extendedAgentCard", json!(false)),
        ("/skills/0/tags", json!(["text", "more"])),
        ("/capabilities/extensions/0/uri", json!("")),
    ];
    for (path, value) in changes {
        let mut card = signed();
        *card.pointer_mut(path).unwrap() = value;
        assert_eq!(refusal(&card), "bad_signature", "{path}");
    }
    let mut added = signed();
    added["vendorField"] = json!({ "trusted": true });
    assert_eq!(refusal(&added), "bad_signature", "an unknown field is covered too");
    let mut emptied = signed();
    emptied["iconUrl"] = json!("");
    assert_eq!(verify(&emptied, &alice().did()).unwrap().form, Form::Sdk);
    assert_eq!(verify(&emptied, &alice().did()).unwrap().covered, card(), "what is not covered is not there");
}

#[test]
fn unknown_fields_that_were_signed_verify() {
    let mut newer = card();
    newer["generation"] = json!({ "number": 7, "notes": ["kept"] });
    let newer =
        with(newer.clone(), vec![entry(&newer, &header(EDDSA, &alice().did().to_string()), Form::Spec, alice())]);
    let verified = verify(&newer, &alice().did()).unwrap();
    assert_eq!(verified.covered["generation"]["notes"][0], "kept");
}

#[test]
fn a_card_with_empty_values_verifies_as_the_sdks_signed_it_without_them() {
    let mut loose = card();
    loose["securityRequirements"] = json!([{ "schemes": { "bearer": {} } }]);
    loose["description"] = json!("");
    let kid = alice().did().to_string();
    let by_spec = with(loose.clone(), vec![entry(&loose, &header(EDDSA, &kid), Form::Spec, alice())]);
    assert_eq!(verify(&by_spec, &alice().did()).unwrap().covered, loose);
    let by_sdk = with(loose.clone(), vec![entry(&loose, &header(EDDSA, &kid), Form::Sdk, alice())]);
    let verified = verify(&by_sdk, &alice().did()).unwrap();
    assert_eq!(verified.form, Form::Sdk);
    assert_eq!(verified.covered.get("securityRequirements"), None, "the SDKs did not sign it");
}

#[test]
fn keys_may_have_names_that_only_the_reader_knows() {
    let card = with(card(), vec![entry(&card(), &header(ED25519, "key-1"), Form::Spec, alice())]);
    assert_eq!(refusal(&card), "card_signature_unknown_key");
    let known = verify_with(&card, |header| (header.kid == "key-1").then(|| alice().did())).unwrap();
    assert_eq!(known.signer, alice().did());
}

#[test]
fn a_did_url_is_the_key_of_its_did_and_of_no_other() {
    let did = alice().did().to_string();
    let own = format!("{did}#{}", did.strip_prefix("did:key:").unwrap());
    let at = |kid: &str| with(card(), vec![entry(&card(), &header(EDDSA, kid), Form::Spec, alice())]);
    assert!(verify(&at(&own), &alice().did()).is_ok());
    assert_eq!(refusal(&at(&format!("{did}#key-2"))), "card_signature_unknown_key");
}

#[test]
fn one_good_signature_is_enough_and_each_is_told() {
    let kid = alice().did().to_string();
    let entries = vec![
        json!({ "protected": "%", "signature": "" }),
        entry(&card(), &header("ES256", "key-1"), Form::Spec, eve()),
        entry(&card(), &header(EDDSA, &eve().did().to_string()), Form::Spec, eve()),
        entry(&card(), &header(EDDSA, &kid), Form::Spec, alice()),
    ];
    let card = with(card(), entries);
    verify(&card, &alice().did()).unwrap();
    let told = examine(&card, Header::did).unwrap();
    let codes: Vec<_> = told.iter().map(|one| one.outcome.as_ref().map_err(Coded::code).map(|ok| ok.signer)).collect();
    assert_eq!(
        codes,
        [Err("card_signature_malformed"), Err("card_signature_algorithm"), Ok(eve().did()), Ok(alice().did())]
    );
    assert_eq!(told[1].header.as_ref().unwrap().alg, "ES256");
    let both = sign(card, alice()).unwrap();
    assert_eq!(both["signatures"].as_array().unwrap().len(), 4, "signatures by other keys stay");
}

#[test]
fn entries_out_of_form_are_refused() {
    let kid = alice().did().to_string();
    let by = |header: Value| entry(&card(), &header, Form::Spec, alice());
    let raw_header = |text: &str| {
        let protected = URL_SAFE_NO_PAD.encode(text);
        let signature = alice().sign(&signing_input(&protected, &canonical(&card(), Form::Spec).unwrap()));
        json!({ "protected": protected, "signature": URL_SAFE_NO_PAD.encode(signature) })
    };
    let good = by(header(EDDSA, &kid));
    let changed = |name: &str, value: Value| {
        let mut entry = good.clone();
        entry[name] = value;
        entry
    };
    let letters = good["signature"].as_str().unwrap();
    let malformed = [
        json!("text"),
        json!({}),
        changed("signature", json!(format!("{letters}=="))),
        changed("signature", json!("AAAA")),
        changed("signature", json!(7)),
        changed("protected", json!("e30=")),
        changed("protected", json!("A".repeat(4096))),
        by(json!({ "alg": EDDSA })),
        by(json!({ "kid": kid })),
        by(json!({ "alg": EDDSA, "kid": kid, "b64": false, "crit": ["b64"] })),
        raw_header(&format!(r#"{{"alg":"none","alg":"EdDSA","kid":"{kid}"}}"#)),
        raw_header("[]"),
    ];
    for entry in malformed {
        assert_eq!(refusal(&with(card(), vec![entry.clone()])), "card_signature_malformed", "{entry}");
    }
    for alg in ["none", "HS256", "ES256", "eddsa"] {
        assert_eq!(refusal(&with(card(), vec![by(header(alg, &kid))])), "card_signature_algorithm", "{alg}");
    }
}

#[test]
fn everything_is_bounded() {
    assert_eq!(refusal(&card()), "card_unsigned");
    assert_eq!(refusal(&with(card(), vec![])), "card_unsigned");
    assert_eq!(refusal(&with(card(), vec![json!({}); MAX_SIGNATURES + 1])), "card_too_many_signatures");
    let mut big = card();
    big["description"] = json!("x".repeat(MAX_CARD_BYTES));
    assert_eq!(sign(big.clone(), alice()).unwrap_err(), SignatureError::TooLarge);
    big["signatures"] = signed()["signatures"].clone();
    assert_eq!(refusal(&big), "card_too_large");
    let mut deep = signed();
    deep["x"] = (0..40).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(refusal(&deep), "card_too_deep");
    let mut number = signed();
    number["x"] = json!(1_u64 << 53);
    assert_eq!(refusal(&number), "card_number");
    let others: Vec<Value> = (0..MAX_SIGNATURES).map(|_| json!({})).collect();
    assert_eq!(sign(with(card(), others), alice()).unwrap_err(), SignatureError::TooMany);
}

#[test]
fn bytes_that_readers_could_disagree_on_are_not_read() {
    let text = signed().to_string();
    let twice = text.replacen('{', r#"{"name":"Digest","#, 1);
    for (bytes, code) in [
        (twice.as_str(), "card_not_json"),
        ("[]", "card_not_json"),
        ("{} {}", "card_not_json"),
        ("{\"a\":1e999}", "card_not_json"),
        ("{\"a\":9007199254740993}", "card_number"),
    ] {
        assert_eq!(read(bytes.as_bytes()).unwrap_err().code(), code, "{bytes}");
    }
    assert_eq!(read(b"{\"a\":\"\xff\"}").unwrap_err().code(), "card_not_json");
    assert_eq!(read(&vec![b' '; MAX_CARD_BYTES + 1]).unwrap_err(), SignatureError::TooLarge);
    assert_eq!(read("[".repeat(60_000).as_bytes()).unwrap_err().code(), "card_not_json");
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(40), "]".repeat(40));
    assert_eq!(read(deep.as_bytes()).unwrap_err(), SignatureError::TooDeep);
}
