//! Identities: published vectors, keys that must not become one, strict signatures.

use crate::cbor;
use crate::keys::{AgentKey, NodeKey};

use super::*;

/// From the did:key method specification (W3C CCG), the ed25519 example and its public key.
const SPEC_DID: &str = "did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH";

fn key(hex_text: &str) -> [u8; 32] {
    hex::decode(hex_text).unwrap().try_into().unwrap()
}

#[test]
fn the_example_of_the_did_key_method_reads_and_prints() {
    let did: Did = SPEC_DID.parse().unwrap();
    assert_eq!(did.to_string(), SPEC_DID);
    assert_eq!(Did::from_public_key(*did.public_key()), Ok(did));
    let json = serde_json::to_string(&did).unwrap();
    assert_eq!(json, format!("\"{SPEC_DID}\""));
    let bytes = cbor::to_vec(&did).unwrap();
    assert_eq!(cbor::from_slice::<Did>(&bytes, 64).unwrap(), did);
}

#[test]
fn a_peer_id_is_the_libp2p_text_of_the_key() {
    // The ed25519 key of the libp2p peer-id specification's test vectors.
    let node = NodeKey::from_bytes(&key("7e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d"));
    let peer = node.peer_id();
    let public = "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e";
    assert_eq!(hex::encode(peer.public_key()), public);
    assert!(peer.to_string().starts_with("12D3KooW"));
    assert_eq!(peer.to_string().parse(), Ok(peer));
    assert_eq!(PeerId::from_multihash(&peer.to_multihash()), Ok(peer));
}

#[test]
fn other_texts_are_not_identities() {
    let other_key_kinds = [
        "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
        "did:key:z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc",
    ];
    let damaged = [
        "",
        "did:key:",
        "did:key:z",
        "did:web:example.org",
        "z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH",
        "did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvkt",
        "did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktHH",
        "did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvkt0",
        " did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH",
    ];
    for text in other_key_kinds.into_iter().chain(damaged) {
        assert_eq!(text.parse::<Did>(), Err(DidError::BadDid), "{text}");
        assert_eq!(text.parse::<PeerId>(), Err(DidError::BadPeerId), "{text}");
    }
    let long = format!("did:key:z{}", "6".repeat(100_000));
    assert_eq!(long.parse::<Did>(), Err(DidError::BadDid));
}

#[test]
fn small_order_and_non_canonical_keys_cannot_become_identities() {
    let weak = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        // The neutral element written with its y above the field's prime.
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    for bytes in weak {
        assert_eq!(Did::from_public_key(key(bytes)), Err(DidError::BadDid), "{bytes}");
        assert_eq!(PeerId::from_public_key(key(bytes)), Err(DidError::BadPeerId), "{bytes}");
    }
}

#[test]
fn only_the_signers_identity_verifies_the_message() {
    let alice = AgentKey::from_bytes(&[1; 32]);
    let eve = AgentKey::from_bytes(&[2; 32]);
    let signature = alice.sign(b"hello bob");
    assert_eq!(alice.did().verify(b"hello bob", &signature), Ok(()));
    assert_eq!(alice.did().verify(b"hello eve", &signature), Err(DidError::BadSignature));
    assert_eq!(eve.did().verify(b"hello bob", &signature), Err(DidError::BadSignature));
    let mut stretched = signature;
    // s + the group order is the same signature to a sloppy verifier.
    add_group_order(&mut stretched[32..]);
    assert_eq!(alice.did().verify(b"hello bob", &stretched), Err(DidError::BadSignature));
}

fn add_group_order(s: &mut [u8]) {
    let order = key("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut carry = 0_u16;
    for (digit, add) in s.iter_mut().zip(order) {
        let sum = u16::from(*digit) + u16::from(add) + carry;
        *digit = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
}
