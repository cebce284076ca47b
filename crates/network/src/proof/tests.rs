//! Stories of DID proofs: Alice proves, Bob checks, Eve shows what she has got hold of.

use haggle_base::NodeKey;

use super::*;

fn peer(number: u8) -> PeerId {
    NodeKey::from_bytes(&[number; 32]).peer_id()
}

struct Scene {
    network: NetworkId,
    alice: PeerId,
    bob: PeerId,
    eve: PeerId,
    key: AgentKey,
    now: Timestamp,
}

const NONCE: Nonce = [7; 32];

fn scene() -> Scene {
    Scene {
        network: "devnet-7/1".parse().unwrap(),
        alice: peer(1),
        bob: peer(2),
        eve: peer(9),
        key: AgentKey::from_bytes(&[11; 32]),
        now: Timestamp::from_secs(1_795_000_000),
    }
}

impl Scene {
    fn pair<'a>(&'a self, prover: &'a PeerId, verifier: &'a PeerId) -> Pair<'a> {
        Pair { network: &self.network, prover, verifier }
    }

    fn proof(&self) -> Vec<u8> {
        self.pair(&self.alice, &self.bob).prove(&self.key, NONCE, self.now)
    }
}

#[test]
fn a_true_proof_names_the_did() {
    let scene = scene();
    let proof = scene.proof();
    assert!(proof.len() <= MAX_PROOF_BYTES);
    let did = scene.pair(&scene.alice, &scene.bob).verify(&proof, &NONCE, scene.now).unwrap();
    assert_eq!(did, scene.key.did());
}

#[test]
fn a_proof_replayed_from_a_third_peer_is_refused() {
    let scene = scene();
    let seen_by_bob = scene.pair(&scene.eve, &scene.bob).verify(&scene.proof(), &NONCE, scene.now);
    assert!(matches!(seen_by_bob, Err(ProofError::WrongPeers)));
    let seen_by_eve = scene.pair(&scene.alice, &scene.eve).verify(&scene.proof(), &NONCE, scene.now);
    assert!(matches!(seen_by_eve, Err(ProofError::WrongPeers)));
}

#[test]
fn a_proof_for_an_older_question_is_refused() {
    let scene = scene();
    let answer = scene.pair(&scene.alice, &scene.bob).verify(&scene.proof(), &[8; 32], scene.now);
    assert!(matches!(answer, Err(ProofError::WrongNonce)));
}

#[test]
fn an_expired_proof_and_one_that_lives_too_long_are_refused() {
    let scene = scene();
    let pair = scene.pair(&scene.alice, &scene.bob);
    let later = scene.now.plus(LIFETIME);
    assert!(matches!(pair.verify(&scene.proof(), &NONCE, later), Err(ProofError::Expired)));
    let eternal = pair.prove_until(&scene.key, NONCE, Timestamp::MAX);
    assert!(matches!(pair.verify(&eternal, &NONCE, scene.now), Err(ProofError::Expired)));
}

#[test]
fn a_proof_of_another_network_is_refused() {
    let scene = scene();
    let other = "devnet-8/1".parse().unwrap();
    let pair = Pair { network: &other, prover: &scene.alice, verifier: &scene.bob };
    assert!(matches!(pair.verify(&scene.proof(), &NONCE, scene.now), Err(ProofError::WrongNetwork)));
}

#[test]
fn no_changed_byte_goes_unnoticed() {
    let scene = scene();
    let proof = scene.proof();
    let pair = scene.pair(&scene.alice, &scene.bob);
    for index in 0..proof.len() {
        let mut forged = proof.clone();
        forged[index] ^= 1;
        let error = pair.verify(&forged, &NONCE, scene.now).unwrap_err();
        assert_eq!(error.code(), "did_proof_invalid", "byte {index}");
    }
    for length in 0..proof.len() {
        assert!(pair.verify(&proof[..length], &NONCE, scene.now).is_err());
    }
}

#[test]
fn a_record_of_the_agent_is_no_proof() {
    let scene = scene();
    let statement = Statement {
        network: scene.network.clone(),
        prover: scene.alice,
        verifier: scene.bob,
        nonce: ByteArray::new(NONCE),
        expires: scene.now.plus(LIFETIME),
    };
    let other_kind = cose::sign("card", &cbor::to_vec(&statement).unwrap(), &scene.key);
    let answer = scene.pair(&scene.alice, &scene.bob).verify(&other_kind, &NONCE, scene.now);
    assert!(matches!(answer, Err(ProofError::Signature(_))));
}

#[test]
fn too_many_proofs_are_refused_unread() {
    let scene = scene();
    let answer = Answer { proofs: vec![ByteBuf::from(scene.proof()); MAX_DIDS_PER_PEER + 1] };
    let refused = scene.pair(&scene.alice, &scene.bob).verify_all(&answer, &NONCE, scene.now);
    assert!(matches!(refused, Err(ProofError::TooMany)));
}

#[test]
fn questions_and_full_answers_fit_their_frames() {
    let scene = scene();
    let question = cbor::to_vec(&Question::Prove { nonce: ByteArray::new(NONCE) }).unwrap();
    assert!(question.len() <= MAX_QUESTION_BYTES);
    let read: Question = cbor::from_slice(&question, MAX_QUESTION_BYTES).unwrap();
    assert_eq!(read, Question::Prove { nonce: ByteArray::new(NONCE) });
    let changed = cbor::to_vec(&Question::Changed {}).unwrap();
    assert_eq!(cbor::from_slice::<Question>(&changed, MAX_QUESTION_BYTES).unwrap(), Question::Changed {});

    let answer = Answer { proofs: vec![ByteBuf::from(scene.proof()); MAX_DIDS_PER_PEER] };
    let bytes = cbor::to_vec(&answer).unwrap();
    assert!(bytes.len() <= MAX_ANSWER_BYTES);
    let read: Answer = cbor::from_slice(&bytes, MAX_ANSWER_BYTES).unwrap();
    assert_eq!(read.proofs.len(), MAX_DIDS_PER_PEER);
}
