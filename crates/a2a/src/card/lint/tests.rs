//! What the lint finds, and the law it stands for: a card without faults has one canonical form.

use super::*;
use crate::card::{Form, canonical, signable};
use proptest::prelude::*;
use serde_json::json;

fn paths(card: &Value) -> Vec<String> {
    check_signable(card).err().map_or_else(Vec::new, |error| error.faults.into_iter().map(|fault| fault.path).collect())
}

#[test]
fn every_trap_is_named_by_its_path() {
    let card = json!({
        "name": "x",
        "description": "",
        "version": null,
        "a/b": 1,
        "supported_interfaces": [{ "url": "u" }],
        "provider": {},
        "capabilities": {
            "streaming": false,
            "pushNotifications": false,
            "extendedAgentCard": false,
            "extensions": [{ "uri": "urn:x", "required": false, "params": { "off": false, "zero": 0, "no": null, "deep": [[]] } }],
        },
        "securitySchemes": {
            "two": { "httpAuthSecurityScheme": { "scheme": "Bearer" }, "mtlsSecurityScheme": { "description": "m" } },
            "oauth": { "oauth2SecurityScheme": { "flows": { "deviceCode": {
                "deviceAuthorizationUrl": "d", "tokenUrl": "t", "scopes": {} } } } },
            "pkce": { "oauth2SecurityScheme": { "flows": { "authorizationCode": {
                "authorizationUrl": "a", "tokenUrl": "t", "scopes": { "s": "" }, "pkceRequired": false } } } },
        },
        "securityRequirements": [{ "schemes": { "bearer": {}, "other": { "list": [] } } }],
        "defaultInputModes": ["text/plain", ""],
        "defaultOutputModes": "text/plain",
        "skills": [],
        "signatures": [],
    });
    let expected = [
        "/a~1b",
        "/capabilities/extensions/0/params/deep/0",
        "/capabilities/extensions/0/params/no",
        "/capabilities/extensions/0/required",
        "/defaultInputModes/1",
        "/defaultOutputModes",
        "/description",
        "/provider",
        "/securityRequirements/0/schemes/bearer",
        "/securityRequirements/0/schemes/other/list",
        "/securitySchemes/oauth/oauth2SecurityScheme/flows/deviceCode/scopes",
        "/securitySchemes/pkce/oauth2SecurityScheme/flows/authorizationCode/pkceRequired",
        "/securitySchemes/pkce/oauth2SecurityScheme/flows/authorizationCode/scopes/s",
        "/securitySchemes/two",
        "/skills",
        "/supported_interfaces",
        "/version",
    ];
    assert_eq!(paths(&card), expected);
    assert_eq!(paths(&json!([])), [""]);
}

#[test]
fn numbers_and_names_that_a_reader_would_lose_are_found() {
    let params = json!({ "big": 9_007_199_254_740_993_u64, "float": 1e30, "fine": 1.5, "most": -9_007_199_254_740_991_i64,
        "__proto__": "x", "deep": (0..40).fold(json!(1), |inner, _| json!([inner])) });
    let card = json!({ "name": "x", "capabilities": { "extensions": [{ "uri": "urn:x", "params": params }] } });
    let at = "/capabilities/extensions/0/params";
    let deep = format!("{at}/deep{}", "/0".repeat(27));
    assert_eq!(paths(&card), [format!("{at}/__proto__"), format!("{at}/big"), deep, format!("{at}/float")]);
}

#[test]
fn what_can_be_left_out_is_left_out() {
    let card = json!({ "name": "x", "iconUrl": "", "vendor": 1, "skills": [{ "id": "s", "tags": [], "x": 1 }],
        "capabilities": { "streaming": false, "extensions": [{ "uri": "urn:x", "required": false }] }, "signatures": [1] });
    let left = json!({ "name": "x", "skills": [{ "id": "s" }],
        "capabilities": { "streaming": false, "extensions": [{ "uri": "urn:x" }] } });
    assert_eq!(signable(&card), left);
    check_signable(&left).unwrap();
    assert_eq!(signable(&json!([1])), json!({}));
}

/// Values of every kind, empty ones often.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!("")),
        Just(json!("text")),
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3..3_i64).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let name = prop_oneof![Just("list"), Just("schemes"), Just("params"), Just("uri"), Just("required"), Just("x")];
        let name = name.prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..3).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Cards with such values in fields that the standard has, and in one that it does not.
fn any_card() -> impl Strategy<Value = Value> {
    let names = ["name", "iconUrl", "skills", "provider", "securityRequirements", "capabilities", "other"];
    prop::collection::btree_map(prop::sample::select(names.to_vec()), any_value(), 0..5).prop_map(|mut map| {
        if let Some(value) = map.get("capabilities").cloned() {
            map.insert("capabilities", json!({ "streaming": false, "extensions": [value] }));
        }
        Value::Object(map.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_card_without_faults_has_one_canonical_form(card in any_card()) {
        let [spec, sdk] = [Form::Spec, Form::Sdk].map(|form| canonical(&card, form).unwrap());
        if check_signable(&card).is_ok() {
            prop_assert_eq!(&spec, &sdk);
            prop_assert_eq!(canonical(&signable(&card), Form::Spec).unwrap(), sdk, "and nothing unknown in it");
        }
    }

    #[test]
    fn two_canonical_forms_are_always_a_fault(card in any_card()) {
        if canonical(&card, Form::Spec).unwrap() != canonical(&card, Form::Sdk).unwrap() {
            prop_assert!(check_signable(&card).is_err());
        }
    }

    #[test]
    fn what_was_left_signable_keeps_the_sdks_form(card in any_card()) {
        let signable = signable(&card);
        prop_assert_eq!(canonical(&signable, Form::Spec).unwrap(), canonical(&signable, Form::Sdk).unwrap());
    }
}
