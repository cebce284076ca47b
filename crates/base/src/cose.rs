//! Signed bytes: untagged `COSE_Sign1` (RFC 9052) with exactly one way to write it.
//!
//! Protected header exactly `{1: -8, 4: kid}` where `kid` is the author's DID as UTF-8 text,
//! unprotected header empty, payload present, a 64-byte EdDSA signature, and
//! `external_aad` = `haggle/<kind>/v1`, so that a signature for one purpose is worth nothing for
//! another.

use coset::iana;
use coset::{CborSerializable, CoseSign1, CoseSign1Builder, HeaderBuilder};
use ed25519_dalek::{Signature, VerifyingKey};

use crate::cbor::{self, CborError};
use crate::did::Did;
use crate::error::Coded;
use crate::hash::Hash;
use crate::keys::AgentKey;

/// Why bytes are not a signed document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoseError {
    /// Refused by the CBOR gate.
    #[error(transparent)]
    Cbor(#[from] CborError),
    /// Canonical CBOR, but not a `COSE_Sign1` of the one form that is allowed here.
    #[error("not a COSE_Sign1 of the agreed form: {0}")]
    WrongForm(&'static str),
    /// The key id is not the DID of an ed25519 key.
    #[error("the key id is not a did:key of an ed25519 key")]
    BadAuthor,
    /// The author did not sign this payload for this purpose.
    #[error("signature does not verify")]
    BadSignature,
}

impl Coded for CoseError {
    fn code(&self) -> &'static str {
        match self {
            Self::Cbor(error) => error.code(),
            Self::WrongForm(_) => "bad_envelope",
            Self::BadAuthor => "bad_did",
            Self::BadSignature => "bad_signature",
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Cbor(error) => error.hint(),
            Self::WrongForm(_) => "build the envelope as docs/protocols/records.md says",
            Self::BadAuthor => "put the author's did:key text into the protected key id",
            Self::BadSignature => "the content was changed or signed by another key: ask again",
        }
    }
}

/// A document whose signature was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Who signed.
    pub author: Did,
    /// What was signed: canonical or not is the reader's business.
    pub payload: Vec<u8>,
    /// blake3-256 of the `Sig_structure`: names author, kind and payload, not the signature.
    pub id: Hash,
}

/// Signs `payload` for the purpose `kind` and returns the whole document.
#[must_use]
pub fn sign(kind: &str, payload: &[u8], key: &AgentKey) -> Vec<u8> {
    let header =
        HeaderBuilder::new().algorithm(iana::Algorithm::EdDSA).key_id(key.did().to_string().into_bytes()).build();
    let document = CoseSign1Builder::new()
        .protected(header)
        .payload(payload.to_vec())
        .create_signature(&aad(kind), |message| key.sign(message).to_vec())
        .build();
    match document.to_vec() {
        Ok(bytes) => bytes,
        Err(_) => unreachable!("a document of plain byte strings can always be written"),
    }
}

/// The document of a payload whose signature by `author` travelled apart from it; [`verify`] says whether it is one.
#[must_use]
pub fn assemble(payload: &[u8], author: &Did, signature: &[u8; 64]) -> Vec<u8> {
    let header = HeaderBuilder::new().algorithm(iana::Algorithm::EdDSA).key_id(author.to_string().into_bytes()).build();
    let document =
        CoseSign1Builder::new().protected(header).payload(payload.to_vec()).signature(signature.to_vec()).build();
    match document.to_vec() {
        Ok(bytes) => bytes,
        Err(_) => unreachable!("a document of plain byte strings can always be written"),
    }
}

/// Opens a document of at most `max` bytes that was signed for the purpose `kind`.
///
/// # Errors
/// Any [`CoseError`].
pub fn verify(kind: &str, bytes: &[u8], max: usize) -> Result<Opened, CoseError> {
    Envelope::parse(bytes, max)?.verify(kind)
}

/// A document of the right form whose signature nobody has looked at yet.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) author: Did,
    key: VerifyingKey,
    document: CoseSign1,
    signature: Signature,
}

impl Envelope {
    pub(crate) fn parse(bytes: &[u8], max: usize) -> Result<Self, CoseError> {
        use CoseError::WrongForm;
        cbor::check(bytes, max)?;
        let document = CoseSign1::from_slice(bytes)
            .map_err(|_| WrongForm("not an array of two headers, payload and signature"))?;
        if !document.unprotected.is_empty() {
            return Err(WrongForm("the unprotected header is not empty"));
        }
        if document.payload.is_none() {
            return Err(WrongForm("the payload is missing"));
        }
        let signature =
            Signature::from_slice(&document.signature).map_err(|_| WrongForm("the signature is not 64 bytes"))?;
        // base 58 has one text for each DID, so this text is the one that the author's header has
        let kid = std::str::from_utf8(&document.protected.header.key_id).map_err(|_| CoseError::BadAuthor)?;
        let (author, key) = Did::with_key(kid).map_err(|_| CoseError::BadAuthor)?;
        if document.protected.original_data.as_deref() != Some(&protected_header(kid)) {
            return Err(WrongForm("the protected header is not exactly {1: -8, 4: kid}"));
        }
        Ok(Self { author, key, document, signature })
    }

    pub(crate) fn payload(&self) -> &[u8] {
        self.document.payload.as_deref().unwrap_or_default()
    }

    pub(crate) fn verify(self, kind: &str) -> Result<Opened, CoseError> {
        let signed = self.document.tbs_data(&aad(kind));
        self.key.verify_strict(&signed, &self.signature).map_err(|_| CoseError::BadSignature)?;
        Ok(Opened { author: self.author, payload: self.document.payload.unwrap_or_default(), id: Hash::of(&signed) })
    }
}

/// The payload of a document that was verified before and kept under `id`, which stands for all its other checks: it names
/// header and payload byte for byte.
pub(crate) fn recall(kind: &str, bytes: &[u8], id: &Hash) -> Result<Vec<u8>, CoseError> {
    let document = CoseSign1::from_slice(bytes)
        .map_err(|_| CoseError::WrongForm("not an array of two headers, payload and signature"))?;
    if Hash::of(&document.tbs_data(&aad(kind))) != *id {
        return Err(CoseError::BadSignature);
    }
    Ok(document.payload.unwrap_or_default())
}

/// The only protected header that is accepted for an author, byte for byte.
fn protected_header(did: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(did.len() + 6);
    // map(2), 1: -8, 4: bytes(one-byte length)
    bytes.extend_from_slice(&[0xa2, 0x01, 0x27, 0x04, 0x58]);
    bytes.extend(u8::try_from(did.len()));
    bytes.extend_from_slice(did.as_bytes());
    bytes
}

fn aad(kind: &str) -> Vec<u8> {
    format!("haggle/{kind}/v1").into_bytes()
}

#[cfg(test)]
mod tests;
