//! The envelope: one form, one sender, every byte covered.

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

fn alice() -> AgentKey {
    AgentKey::from_bytes(&[1; 32])
}

fn eve() -> AgentKey {
    AgentKey::from_bytes(&[2; 32])
}

fn said(payload: &str) -> Result<Message, EnvelopeError> {
    Message::new("r-1", alice().did(), Some("digest"), MessageType::Request, NOW, payload)
}

#[test]
fn what_is_opened_is_what_was_signed_and_is_written_again_to_the_byte() {
    let message = said(r#"{ "budget": 0.10, "capability": "word count", "input": {"text": "é\u00e9"} }"#).unwrap();
    assert_eq!(message.payload(), r#"{"budget":0.1,"capability":"word count","input":{"text":"éé"}}"#);
    let signed = message.clone().sign(&alice()).unwrap();
    assert!(signed.is_by_sender());
    let opened = SignedMessage::open(signed.document().to_vec()).unwrap();
    assert_eq!(opened, signed);
    assert_eq!(opened.message().clone().sign(&alice()).unwrap().document(), signed.document());
    assert_eq!(message.signed_with(&signed.signature()).unwrap(), signed, "as it travels in JSON");
}

#[test]
fn a_forged_sender_is_refused_whatever_was_changed() {
    let message = said(r#"{"budget":1}"#).unwrap();
    let by_eve = message.clone().sign(&eve()).unwrap();
    assert!(!by_eve.is_by_sender(), "eve may write it down, but not as alice");
    assert_eq!(message.clone().signed_with(&by_eve.signature()).unwrap_err(), EnvelopeError::Forged);
    let good = message.clone().sign(&alice()).unwrap().signature();
    for changed in [
        said(r#"{"budget":2}"#).unwrap(),
        Message { to: None, ..message.clone() },
        Message { at: NOW.plus(std::time::Duration::from_millis(1)), ..message.clone() },
        Message { kind: MessageType::Response, ..message.clone() },
        Message { from: eve().did(), ..message.clone() },
        Message { id: Text::try_from("r-2").unwrap(), ..message.clone() },
    ] {
        assert_eq!(changed.signed_with(&good).unwrap_err(), EnvelopeError::Forged);
    }
    for nonsense in ["", "AAAA", "not base64!", &format!("{good}=")] {
        assert_eq!(message.clone().signed_with(nonsense).unwrap_err(), EnvelopeError::Forged, "{nonsense}");
    }
}

#[test]
fn what_has_no_one_form_is_no_payload() {
    for payload in ["", "1", "[]", r#"{"a":1,"a":2}"#, r#"{"a":9007199254740993}"#, "{} {}", "{\"a\":1e999}"] {
        assert_eq!(said(payload).unwrap_err().code(), "invalid_message", "{payload}");
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(40), "]".repeat(40));
    assert_eq!(said(&deep).unwrap_err().code(), "invalid_message");
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_PAYLOAD_BYTES));
    assert_eq!(said(&large).unwrap_err(), EnvelopeError::TooLarge);
}

#[test]
fn a_document_whose_payload_is_not_canonical_is_refused() {
    let mut message = said("{}").unwrap();
    message.payload = "{ }".to_owned();
    assert_eq!(message.sign(&alice()).unwrap_err().code(), "invalid_message");
}

#[test]
fn an_id_can_stand_in_a_path() {
    for id in ["", "-a", "a b", "a/b", &"x".repeat(65)] {
        let refused = Message::new(id, alice().did(), None, MessageType::Error, NOW, "{}").unwrap_err();
        assert_eq!(refused.code(), "invalid_message", "{id:?}");
    }
    assert!(Message::new(&"x".repeat(64), alice().did(), None, MessageType::Error, NOW, "{}").is_ok());
    assert_eq!(MessageType::of_word("notification"), Some(MessageType::Notification));
    assert_eq!(MessageType::of_word("Request"), None);
}
