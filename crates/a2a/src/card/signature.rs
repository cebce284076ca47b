//! Signatures of cards: JWS (RFC 7515) with a detached payload, over canonical JSON (A2A section 8.4).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use haggle_base::{AgentKey, Coded, Did};
use serde_json::{Map, Value, json};

use super::canonical::{Form, bytes_of, canonical, covered};
use super::raw::{MAX_CARD_BYTES, strictly};
use super::{CardError, check_signable};

#[cfg(test)]
mod tests;

/// Most signatures of one card.
pub const MAX_SIGNATURES: usize = 8;
/// Longest protected header, in base64url letters.
const MAX_HEADER_LETTERS: usize = 2048;
/// What we sign with, by its name in RFC 8037.
const EDDSA: &str = "EdDSA";
/// The same by its newer name (RFC 9864).
const ED25519: &str = "Ed25519";

/// Why a card was not signed, or why its signature counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// More than [`MAX_CARD_BYTES`].
    #[error("the card is larger than 64 KiB")]
    TooLarge,
    /// Lists and objects within each other, deeper than [`super::MAX_DEPTH`].
    #[error("the card is nested more than 32 deep")]
    TooDeep,
    /// Not JSON, or a name stands twice in one object.
    #[error("the card cannot be read: {0}")]
    NotJson(String),
    /// An integer beyond 2^53, which has no canonical form.
    #[error("the card has a number beyond 2^53")]
    Number,
    /// Its canonical forms differ, so it is not signed.
    #[error("the card cannot be signed: {0}")]
    Unsignable(CardError),
    /// No `signatures`.
    #[error("the card is not signed")]
    Unsigned,
    /// More than [`MAX_SIGNATURES`].
    #[error("the card has more than 8 signatures")]
    TooMany,
    /// An entry of `signatures` that is not of the agreed form.
    #[error("a signature of the card is malformed: {0}")]
    Malformed(&'static str),
    /// Neither `EdDSA` nor `Ed25519`.
    #[error("the card is signed with an algorithm that is not taken here: {0}")]
    Algorithm(String),
    /// None of the signatures is by a key that the reader knows.
    #[error("none of the card's signatures is by the key that was expected")]
    UnknownKey,
    /// The key did not sign this card.
    #[error("the card's signature does not verify")]
    BadSignature,
}

impl Coded for SignatureError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge => "card_too_large",
            Self::TooDeep => "card_too_deep",
            Self::NotJson(_) => "card_not_json",
            Self::Number => "card_number",
            Self::Unsignable(_) => "card_unsignable",
            Self::Unsigned => "card_unsigned",
            Self::TooMany => "card_too_many_signatures",
            Self::Malformed(_) => "card_signature_malformed",
            Self::Algorithm(_) => "card_signature_algorithm",
            Self::UnknownKey => "card_signature_unknown_key",
            Self::BadSignature => "bad_signature",
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::TooLarge | Self::TooDeep => "shorten the card; long schemas and samples belong elsewhere",
            Self::NotJson(_) => "serve the card as one JSON object that names everything once",
            Self::Number => "write large numbers as texts",
            Self::Unsignable(_) => "leave out or correct the values named by their JSON paths",
            Self::Unsigned => "ask the agent's own node for its card: rewritten cards are not signed",
            Self::TooMany => "keep the signatures of the keys in use",
            Self::Malformed(_) => "sign as docs/protocols/cards.md says",
            Self::Algorithm(_) => "sign with EdDSA and an ed25519 key",
            Self::UnknownKey => "check that this card belongs to the agent that was asked for",
            Self::BadSignature => "the content was changed or signed by another key: ask again",
        }
    }
}

/// What the protected header of a signature says. Nothing of it is to be trusted: the signer wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The algorithm, as named.
    pub alg: String,
    /// Which key.
    pub kid: String,
    /// Where the signer says that its keys are; never fetched here.
    pub jku: Option<String>,
}

impl Header {
    /// The key that the key id itself is, if it is a `did:key` of an ed25519 key (or its DID URL).
    #[must_use]
    pub fn did(&self) -> Option<Did> {
        let (did, fragment) = self.kid.split_once('#').unwrap_or((&self.kid, ""));
        let is_own = fragment.is_empty() || did.strip_prefix("did:key:") == Some(fragment);
        if is_own { did.parse().ok() } else { None }
    }
}

/// A signature that verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// The protected header.
    pub header: Header,
    /// The key that signed.
    pub signer: Did,
    /// In which form.
    pub form: Form,
    /// What is signed, and nothing else: with [`Form::Sdk`] empty values of the card were left out.
    pub covered: Value,
}

/// One entry of `signatures` and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Examined {
    /// Its protected header, if that can be read.
    pub header: Option<Header>,
    /// Whether it verified.
    pub outcome: Result<Verified, SignatureError>,
}

/// Signs a card: appends an entry to `signatures`, in place of an earlier one by the same key. The key id is the
/// agent's DID. The same card and key give the same signature.
///
/// # Errors
/// [`SignatureError::Unsignable`] with every fault, [`SignatureError::TooLarge`], [`SignatureError::TooMany`].
pub fn sign(mut card: Value, key: &AgentKey) -> Result<Value, SignatureError> {
    check_signable(&card).map_err(SignatureError::Unsignable)?;
    let did = key.did();
    let header = bytes_of(&json!({ "alg": EDDSA, "kid": did.to_string(), "typ": "JOSE" }))?;
    let protected = URL_SAFE_NO_PAD.encode(header);
    let payload = canonical(&card, Form::Spec)?;
    let signature = URL_SAFE_NO_PAD.encode(key.sign(&signing_input(&protected, &payload)));
    let mut entries = match card.get_mut("signatures").map(Value::take) {
        Some(Value::Array(entries)) => entries,
        _ => Vec::new(),
    };
    entries.retain(|entry| header_of(entry).ok().and_then(|header| header.did()) != Some(did));
    entries.push(json!({ "protected": protected, "signature": signature }));
    if entries.len() > MAX_SIGNATURES {
        return Err(SignatureError::TooMany);
    }
    card["signatures"] = Value::Array(entries);
    if card.to_string().len() > MAX_CARD_BYTES { Err(SignatureError::TooLarge) } else { Ok(card) }
}

/// Checks that this agent signed the card as it was received ([`super::read`]).
///
/// # Errors
/// Any [`SignatureError`] but the signer's own.
pub fn verify(card: &Value, author: &Did) -> Result<Verified, SignatureError> {
    verify_with(card, |header| header.did().filter(|did| did == author))
}

/// Checks a card against keys that the reader has: `key` tells the key behind a header, or `None`.
/// One signature that verifies is enough.
///
/// # Errors
/// As [`verify`]; if several signatures fail, the error of the first that is by a known key.
pub fn verify_with(card: &Value, key: impl Fn(&Header) -> Option<Did>) -> Result<Verified, SignatureError> {
    let mut failed = SignatureError::UnknownKey;
    for examined in examine(card, key)? {
        match examined.outcome {
            Ok(verified) => return Ok(verified),
            Err(error) if failed == SignatureError::UnknownKey => failed = error,
            Err(_) => {}
        }
    }
    Err(failed)
}

/// Looks at every signature of a card.
///
/// # Errors
/// What is wrong with the card as a whole: [`SignatureError::Unsigned`], [`SignatureError::TooMany`],
/// [`SignatureError::TooLarge`], [`SignatureError::TooDeep`], [`SignatureError::Number`].
pub fn examine(card: &Value, key: impl Fn(&Header) -> Option<Did>) -> Result<Vec<Examined>, SignatureError> {
    super::raw::check(card, 0)?;
    let entries = match card.get("signatures") {
        Some(Value::Array(entries)) if !entries.is_empty() => entries,
        _ => return Err(SignatureError::Unsigned),
    };
    if entries.len() > MAX_SIGNATURES {
        return Err(SignatureError::TooMany);
    }
    let mut forms = Vec::with_capacity(2);
    for form in [Form::Spec, Form::Sdk] {
        let covered = covered(card, form);
        let payload = bytes_of(&covered)?;
        if payload.len() > MAX_CARD_BYTES {
            return Err(SignatureError::TooLarge);
        }
        forms.push((form, covered, payload));
    }
    let examined = entries.iter().map(|entry| match header_of(entry) {
        Err(error) => Examined { header: None, outcome: Err(error) },
        Ok(header) => Examined { outcome: one(entry, &header, &forms, &key), header: Some(header) },
    });
    Ok(examined.collect())
}

fn one(
    entry: &Value,
    header: &Header,
    forms: &[(Form, Value, Vec<u8>)],
    key: impl Fn(&Header) -> Option<Did>,
) -> Result<Verified, SignatureError> {
    if header.alg != EDDSA && header.alg != ED25519 {
        return Err(SignatureError::Algorithm(header.alg.chars().take(32).collect()));
    }
    let signer = key(header).ok_or(SignatureError::UnknownKey)?;
    let protected = text(entry, "protected").unwrap_or_default();
    let signature = text(entry, "signature").and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let signature: [u8; 64] = signature
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(SignatureError::Malformed("an EdDSA signature is 64 bytes in base64url"))?;
    forms
        .iter()
        .find(|(_, _, payload)| signer.verify(&signing_input(protected, payload), &signature).is_ok())
        .map(|(form, covered, _)| Verified { header: header.clone(), signer, form: *form, covered: covered.clone() })
        .ok_or(SignatureError::BadSignature)
}

fn text<'a>(entry: &'a Value, name: &str) -> Option<&'a str> {
    entry.get(name)?.as_str()
}

/// What a JWS signature is made over.
fn signing_input(protected: &str, payload: &[u8]) -> Vec<u8> {
    format!("{protected}.{}", URL_SAFE_NO_PAD.encode(payload)).into_bytes()
}

fn header_of(entry: &Value) -> Result<Header, SignatureError> {
    use SignatureError::Malformed;
    let protected = text(entry, "protected").ok_or(Malformed("it has no protected header"))?;
    if protected.len() > MAX_HEADER_LETTERS {
        return Err(Malformed("its protected header is longer than 2048 letters"));
    }
    let bytes = URL_SAFE_NO_PAD.decode(protected).map_err(|_| Malformed("its protected header is not base64url"))?;
    let Ok(Value::Object(mut header)) = strictly(&bytes) else {
        return Err(Malformed("its protected header is no JSON object that names everything once"));
    };
    // RFC 7515 section 4.1.11: what is critical has to be understood, and nothing is
    if header.contains_key("crit") {
        return Err(Malformed("its protected header has critical extensions"));
    }
    let alg = take(&mut header, "alg").ok_or(Malformed("its protected header names no alg"))?;
    let kid = take(&mut header, "kid").ok_or(Malformed("its protected header names no kid"))?;
    Ok(Header { alg, kid, jku: take(&mut header, "jku") })
}

fn take(header: &mut Map<String, Value>, name: &str) -> Option<String> {
    match header.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}
