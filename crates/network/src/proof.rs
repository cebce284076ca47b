//! The proof that a peer speaks for a DID: a statement signed by the agent key for one
//! connection pair, one question and a short time.
//!
//! Pure: bytes in, verdict out. [`crate::did`] carries them over a stream.

use std::time::Duration;

use haggle_base::cose::{self, CoseError};
use haggle_base::{AgentKey, Coded, Did, NetworkId, PeerId, Timestamp, cbor};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

/// The COSE kind of a proof; its `external_aad` is `haggle/did-proof/v1`.
const KIND: &str = "did-proof";
/// Most DIDs that one peer may prove.
pub const MAX_DIDS_PER_PEER: usize = 32;
/// The largest single proof in bytes.
const MAX_PROOF_BYTES: usize = 1024;
/// The largest question in bytes.
pub(crate) const MAX_QUESTION_BYTES: usize = 128;
/// The largest answer in bytes.
pub(crate) const MAX_ANSWER_BYTES: usize = MAX_DIDS_PER_PEER * (MAX_PROOF_BYTES + 8);
/// How long a proof may be shown after it was signed.
const LIFETIME: Duration = Duration::from_secs(60);
/// How far a prover's clock may be ahead of ours.
const MAX_SKEW: Duration = Duration::from_secs(600);

/// The random part of a question; a proof answers exactly one.
pub(crate) type Nonce = [u8; 32];

/// Why a DID proof was refused. All of these carry the code `did_proof_invalid`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The proof is not a signed statement, or its signature does not fit the DID.
    #[error("the proof is not a valid signed statement")]
    Signature(#[from] CoseError),
    /// The signed statement cannot be read.
    #[error("the proof's statement cannot be read")]
    Statement(#[source] cbor::CborError),
    /// The proof is for another network.
    #[error("the proof is for another network")]
    WrongNetwork,
    /// The proof was made by, or for, another peer: somebody shows it again.
    #[error("the proof belongs to another pair of peers")]
    WrongPeers,
    /// The proof answers another question: somebody shows it again.
    #[error("the proof answers another question")]
    WrongNonce,
    /// The proof is no longer valid, or claims to be valid for too long.
    #[error("the proof has expired")]
    Expired,
    /// The peer proves more DIDs than one peer may.
    #[error("more than {MAX_DIDS_PER_PEER} proofs")]
    TooMany,
}

impl Coded for ProofError {
    fn code(&self) -> &'static str {
        "did_proof_invalid"
    }

    fn hint(&self) -> &'static str {
        "the peer must sign the verifier's own question with the agent key, for this connection"
    }
}

/// What is signed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    network: NetworkId,
    prover: PeerId,
    verifier: PeerId,
    nonce: ByteArray<32>,
    expires: Timestamp,
}

/// What one side asks the other.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub(crate) enum Question {
    /// Prove your DIDs, for this nonce.
    Prove {
        /// Random bytes of the verifier.
        nonce: ByteArray<32>,
    },
    /// My DIDs have changed: ask me again.
    Changed {},
}

/// The answer to [`Question::Prove`]: one COSE_Sign1 per DID.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    pub(crate) proofs: Vec<ByteBuf>,
}

/// Who asks whom, in which network.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Pair<'a> {
    pub(crate) network: &'a NetworkId,
    pub(crate) prover: &'a PeerId,
    pub(crate) verifier: &'a PeerId,
}

impl Pair<'_> {
    /// Signs a proof that `key` speaks through the prover.
    pub(crate) fn prove(self, key: &AgentKey, nonce: Nonce, now: Timestamp) -> Vec<u8> {
        self.prove_until(key, nonce, now.plus(LIFETIME))
    }

    fn prove_until(self, key: &AgentKey, nonce: Nonce, expires: Timestamp) -> Vec<u8> {
        let statement = Statement {
            network: self.network.clone(),
            prover: *self.prover,
            verifier: *self.verifier,
            nonce: ByteArray::new(nonce),
            expires,
        };
        let payload = cbor::to_vec(&statement).expect("a statement has an encoding");
        cose::sign(KIND, &payload, key)
    }

    /// Checks one proof and says which DID it proves.
    pub(crate) fn verify(self, proof: &[u8], nonce: &Nonce, now: Timestamp) -> Result<Did, ProofError> {
        let opened = cose::verify(KIND, proof, MAX_PROOF_BYTES)?;
        let statement: Statement = cbor::from_slice(&opened.payload, MAX_PROOF_BYTES).map_err(ProofError::Statement)?;
        if statement.network != *self.network {
            return Err(ProofError::WrongNetwork);
        }
        if statement.prover != *self.prover || statement.verifier != *self.verifier {
            return Err(ProofError::WrongPeers);
        }
        if statement.nonce.as_slice() != nonce {
            return Err(ProofError::WrongNonce);
        }
        if statement.expires <= now || statement.expires > now.plus(LIFETIME + MAX_SKEW) {
            return Err(ProofError::Expired);
        }
        Ok(opened.author)
    }

    /// Checks all proofs of an answer; one bad proof refuses the whole answer.
    pub(crate) fn verify_all(self, answer: &Answer, nonce: &Nonce, now: Timestamp) -> Result<Vec<Did>, ProofError> {
        if answer.proofs.len() > MAX_DIDS_PER_PEER {
            return Err(ProofError::TooMany);
        }
        answer.proofs.iter().map(|proof| self.verify(proof, nonce, now)).collect()
    }
}

#[cfg(test)]
mod tests;
