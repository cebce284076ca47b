//! The golden vectors of signed cards, `docs/protocols/vectors/cards.json`: what other languages must reproduce.
//!
//! `HAGGLE_WRITE_VECTORS=1` writes the file anew after a deliberate change of the format; `verify.py` beside it then
//! checks it with other libraries. Another Rust implementation (`a2a-protocol-types`) is asked here.

#![expect(clippy::unwrap_used, reason = "a test stops where its story does not hold")]

use std::path::PathBuf;

use a2a_protocol_types::signing::{Jwk, Jwks, canonicalize_card_json, sign_card_ed25519, verify_card_json_with_jwks};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use haggle_a2a::card::{self, Form, Places};
use haggle_base::{AgentKey, Coded, Did, Seed};
use serde_json::{Value, json};

/// The key and card of the A2A reference's vector, which the Python and JavaScript SDKs 1.3.0 verified.
const REFERENCE_KEY: &str = "2uObMIkNNHghrTaLnqtMDuVq5nAo4oDpE-Qa8I53oeQ";
const REFERENCE_CARD: &str = r#"{"name":"Echo Agent","description":"Echoes text back.","supportedInterfaces":[{"url":"https://node.example.org/agents/echo","protocolBinding":"JSONRPC","protocolVersion":"1.0"},{"url":"https://node.example.org/agents/echo/rest","protocolBinding":"HTTP+JSON","protocolVersion":"1.0"},{"url":"libp2p:12D3KooWQxExamplePeerId/echo","protocolBinding":"https://example.org/a2a/bindings/libp2p/v1","protocolVersion":"1.0"}],"provider":{"url":"https://example.org","organization":"Example Org"},"version":"1.0.0","capabilities":{"streaming":true,"pushNotifications":false,"extensions":[{"uri":"https://github.com/google-agentic-commerce/a2a-x402/blob/main/spec/v0.2","description":"x402 payments","required":true}]},"securitySchemes":{"bearer":{"httpAuthSecurityScheme":{"scheme":"Bearer","bearerFormat":"JWT"}}},"securityRequirements":[{"schemes":{"bearer":{"list":["a2a"]}}}],"defaultInputModes":["text/plain"],"defaultOutputModes":["text/plain"],"skills":[{"id":"echo","name":"Echo","description":"Echo the input.","tags":["echo"]}],"signatures":[{"protected":"eyJhbGciOiJFZERTQSIsImprdSI6Imh0dHBzOi8vbm9kZS5leGFtcGxlLm9yZy8ud2VsbC1rbm93bi9qd2tzLmpzb24iLCJraWQiOiJrZXktMSIsInR5cCI6IkpPU0UifQ","signature":"tsnAG_Xok9Maz2LXXjIAeUBMy7EaZg4rhJZsx2bQJopqQwFltkYNYE_jiOZ3W0SSW3xYZJ9QTtbkDChyYtlKBA"}]}"#;

/// Cards of which the two forms are written down: (name, card).
const FORMS: [(&str, &str); 7] = [
    ("a card without empty values has one form", r#"{"name":"x","capabilities":{"streaming":false}}"#),
    (
        "A2A 8.4.1's own example",
        r#"{"name":"Example Agent","description":"","capabilities":{"streaming":false,"pushNotifications":false,"extensions":[]},"skills":[]}"#,
    ),
    (
        "a scheme without scopes is not signed by the SDKs",
        r#"{"name":"x","securityRequirements":[{"schemes":{"bearer":{}}}]}"#,
    ),
    (
        "defaults without presence are left out",
        r#"{"name":"x","capabilities":{"extensions":[{"uri":"urn:x","required":false,"description":""}]},"supportedInterfaces":[{"url":"u","tenant":""}]}"#,
    ),
    ("fields that the standard does not have are kept", r#"{"name":"x","generation":{"number":0,"note":""}}"#),
    (
        "keys are in the order of UTF-16",
        r#"{"name":"x","securitySchemes":{"\ue000":{"mtlsSecurityScheme":{"description":"private use"}},"\ud83d\ude02":{"mtlsSecurityScheme":{"description":"emoji"}},"a":{"mtlsSecurityScheme":{"description":"é"}}}}"#,
    ),
    (
        "RFC 8785 3.2.2 below params",
        r#"{"name":"x","capabilities":{"extensions":[{"uri":"urn:x","params":{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}}]}}"#,
    ),
];

fn golden(name: &str, value: &Value) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocols/vectors").join(name);
    let text = format!("{}\n", serde_json::to_string_pretty(value).unwrap());
    if std::env::var_os("HAGGLE_WRITE_VECTORS").is_some() {
        std::fs::write(&file, text).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&file).unwrap();
    assert_eq!(committed, text, "{name} differs; HAGGLE_WRITE_VECTORS=1 writes it anew");
}

fn key() -> AgentKey {
    Seed::devnet(7, 1).agent_key(1)
}

/// The card of an agent that lives on one node.
fn own() -> Value {
    let seed = Seed::devnet(7, 1);
    let draft = card::Draft {
        name: "Digest".into(),
        description: "Counts words — in 日本語 too.".into(),
        version: "1.0.0".into(),
        skills: vec![card::Skill {
            id: "digest".into(),
            name: "Digest".into(),
            description: "Counts.".into(),
            tags: vec!["text".into()],
        }],
        modes: vec!["text/plain".into(), "application/json".into()],
        extensions: vec!["urn:haggle:a2a:negotiate:1".into()],
        extended: true,
    };
    card::own(&draft, &key().did(), &Places { http: vec![], peers: vec![seed.node_key().peer_id()] })
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn signed_row(name: &str, unsigned: &Value) -> Value {
    let signed = card::sign(unsigned.clone(), &key()).unwrap();
    let entry = &signed["signatures"][0];
    json!({
        "name": name,
        "card": unsigned,
        "canonical": text(card::canonical(unsigned, Form::Spec).unwrap()),
        "header": text(URL_SAFE_NO_PAD.decode(entry["protected"].as_str().unwrap()).unwrap()),
        "protected": entry["protected"],
        "signature": entry["signature"],
        "signed": signed.to_string(),
    })
}

/// A signature over any form, under any header.
fn signed_as(unsigned: &Value, header: &str, form: Form, key: &AgentKey) -> Value {
    let protected = URL_SAFE_NO_PAD.encode(header);
    let payload = URL_SAFE_NO_PAD.encode(card::canonical(unsigned, form).unwrap());
    let signature = URL_SAFE_NO_PAD.encode(key.sign(format!("{protected}.{payload}").as_bytes()));
    let mut signed = unsigned.clone();
    signed["signatures"] = json!([{ "protected": protected, "signature": signature }]);
    signed
}

fn header(alg: &str, kid: &str) -> String {
    format!(r#"{{"alg":"{alg}","kid":"{kid}","typ":"JOSE"}}"#)
}

/// Cards that verify: (name, text, form).
fn accepted() -> Vec<(&'static str, String, Form)> {
    let did = key().did().to_string();
    let mut loose = own();
    loose["securityRequirements"] = json!([{ "schemes": { "bearer": {} } }]);
    let mut newer = own();
    newer["generation"] = json!(7);
    let other = Seed::devnet(7, 1).agent_key(2);
    let two = signed_as(&own(), &header("EdDSA", &other.did().to_string()), Form::Spec, &other);
    let url = format!("{did}#{}", did.strip_prefix("did:key:").unwrap());
    vec![
        ("as we sign", card::sign(own(), &key()).unwrap().to_string(), Form::Spec),
        ("beside another key's signature", card::sign(two, &key()).unwrap().to_string(), Form::Spec),
        (
            "empty values, signed as the standard has it",
            signed_as(&loose, &header("EdDSA", &did), Form::Spec, &key()).to_string(),
            Form::Spec,
        ),
        (
            "empty values, signed as the SDKs do",
            signed_as(&loose, &header("EdDSA", &did), Form::Sdk, &key()).to_string(),
            Form::Sdk,
        ),
        (
            "a field of a later version",
            signed_as(&newer, &header("EdDSA", &did), Form::Spec, &key()).to_string(),
            Form::Spec,
        ),
        (
            "the algorithm's newer name, a DID URL, a jku",
            signed_as(
                &own(),
                &format!(r#"{{"alg":"Ed25519","jku":"https://keys.example/jwks.json","kid":"{url}"}}"#),
                Form::Spec,
                &key(),
            )
            .to_string(),
            Form::Spec,
        ),
    ]
}

/// Cards that do not: (name, text).
fn refused() -> Vec<(&'static str, String)> {
    let did = key().did().to_string();
    let signed = card::sign(own(), &key()).unwrap();
    let changed = |pointer: &str, value: Value| {
        let mut card = signed.clone();
        *card.pointer_mut(pointer).unwrap() = value;
        card.to_string()
    };
    let by = |header: &str| signed_as(&own(), header, Form::Spec, &key()).to_string();
    let letters = signed["signatures"][0]["signature"].as_str().unwrap();
    let mut added = signed.clone();
    added["vendorField"] = json!(true);
    let other = Seed::devnet(7, 1).agent_key(2);
    vec![
        ("no signature", own().to_string()),
        ("a changed name", changed("/name", json!("digest"))),
        ("a changed address", changed("/supportedInterfaces/0/tenant", json!("did:key:z6Mkother"))),
        ("an added field", added.to_string()),
        (
            "signed by another key under our name",
            signed_as(&own(), &header("EdDSA", &did), Form::Spec, &other).to_string(),
        ),
        ("signed by somebody else", card::sign(own(), &other).unwrap().to_string()),
        ("a key id that only the signer knows", by(&header("EdDSA", "key-1"))),
        ("another fragment of the DID", by(&header("EdDSA", &format!("{did}#key-2")))),
        ("no algorithm at all", by(&header("none", &did))),
        ("another algorithm", by(&header("ES256", &did))),
        ("critical extensions", by(&format!(r#"{{"alg":"EdDSA","b64":false,"crit":["b64"],"kid":"{did}"}}"#))),
        ("a header that names alg twice", by(&format!(r#"{{"alg":"none","alg":"EdDSA","kid":"{did}"}}"#))),
        ("no key id", by(r#"{"alg":"EdDSA"}"#)),
        ("a padded signature", changed("/signatures/0/signature", json!(format!("{letters}==")))),
        ("a cut signature", changed("/signatures/0/signature", json!(letters[..80]))),
        ("a card that names its name twice", signed.to_string().replacen('{', r#"{"name":"Other","#, 1)),
        ("nine signatures", changed("/signatures", json!(vec![signed["signatures"][0].clone(); 9]))),
    ]
}

fn code_of(text: &str) -> &'static str {
    let read = card::read(text.as_bytes()).and_then(|card| card::verify(&card, &key().did()));
    read.unwrap_err().code()
}

#[test]
fn cards_are_signed_and_refused_as_written_down() {
    let reference = card::read(REFERENCE_CARD.as_bytes()).unwrap();
    let reference_key: [u8; 32] = URL_SAFE_NO_PAD.decode(REFERENCE_KEY).unwrap().try_into().unwrap();
    let signer = Did::from_public_key(reference_key).unwrap();
    card::verify_with(&reference, |header| (header.kid == "key-1").then_some(signer)).unwrap();

    let forms = FORMS.map(|(name, source)| {
        let card = card::read(source.as_bytes()).unwrap();
        let [spec, sdk] = [Form::Spec, Form::Sdk].map(|form| text(card::canonical(&card, form).unwrap()));
        let faults = card::check_signable(&card).err().map_or_else(Vec::new, |error| error.faults);
        let faults: Vec<String> = faults.into_iter().map(|fault| fault.path).collect();
        json!({ "name": name, "card": source, "spec": spec, "sdk": sdk, "faults": faults })
    });
    let accepted: Vec<Value> = accepted()
        .into_iter()
        .map(|(name, text, form)| {
            let read = card::read(text.as_bytes()).unwrap();
            assert_eq!(card::verify(&read, &key().did()).unwrap().form, form, "{name}");
            json!({ "name": name, "card": text, "form": if form == Form::Spec { "spec" } else { "sdk" } })
        })
        .collect();
    let refused: Vec<Value> = refused()
        .into_iter()
        .map(|(name, text)| json!({ "name": name, "code": code_of(&text), "card": text }))
        .collect();
    let about = "Signed agent cards (docs/protocols/cards.md). Cards are given as the text that was received. \
                 accepted and refused are read by somebody who expects the author's signature.";
    golden(
        "cards.json",
        &json!({
            "about": about,
            "author": { "did": key().did(), "secret": hex::encode(*key().secret_bytes()) },
            "forms": forms,
            "signed": [signed_row("an agent's own card", &own())],
            "reference": { "key": REFERENCE_KEY, "kid": "key-1", "card": REFERENCE_CARD },
            "accepted": accepted,
            "refused": refused,
        }),
    );
}

#[test]
fn another_implementation_has_the_same_canonical_form() {
    let sources = FORMS.iter().map(|(_, source)| (*source).to_owned());
    for source in sources.chain([REFERENCE_CARD.to_owned(), own().to_string()]) {
        let card = card::read(source.as_bytes()).unwrap();
        let theirs = text(canonicalize_card_json(&card).unwrap());
        assert_eq!(text(card::canonical(&card, Form::Spec).unwrap()), theirs);
    }
}

#[test]
fn another_implementation_verifies_what_we_sign_and_we_what_it_signs() {
    let did = key().did();
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": did.to_string(),
        "x": URL_SAFE_NO_PAD.encode(did.public_key()) });
    let mut keys = Jwks::default();
    keys.keys.push(serde_json::from_value::<Jwk>(jwk).unwrap());
    let signed = card::sign(own(), &key()).unwrap();
    verify_card_json_with_jwks(&signed, &keys).unwrap();
    let mut changed = signed;
    changed["name"] = json!("digest");
    assert!(verify_card_json_with_jwks(&changed, &keys).is_err());

    // RFC 8410: an ed25519 secret key as PKCS#8
    let mut pkcs8 = hex::decode("302e020100300506032b657004220420").unwrap();
    pkcs8.extend_from_slice(&*key().secret_bytes());
    let typed = serde_json::from_value(own()).unwrap();
    let signature = sign_card_ed25519(&typed, &pkcs8, &did.to_string()).unwrap();
    let mut theirs = own();
    theirs["signatures"] = json!([signature]);
    let received = card::read(theirs.to_string().as_bytes()).unwrap();
    card::verify(&received, &did).unwrap();
}
