//! Seeds and the keys that grow from them, against published wallets.

use alloy_primitives::{U256, address, b256};

use super::*;

const ABANDON: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon \
                       abandon abandon about";
const JUNK: &str = "test test test test test test test test test test test junk";

#[test]
fn payment_addresses_are_those_of_every_ethereum_wallet() {
    let abandon = Seed::from_phrase(ABANDON).unwrap();
    let first = address!("9858EfFD232B4033E47d90003D41EC34EcaEda94");
    assert_eq!(abandon.payment_key(0).address(), first);
    let junk = Seed::from_phrase(JUNK).unwrap();
    let first = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
    let second = address!("70997970C51812dc3A010C7d01b50e0d17dc79C8");
    assert_eq!(junk.payment_key(0).address(), first);
    assert_eq!(junk.payment_key(1).address(), second);
}

#[test]
fn a_phrase_brings_back_every_key_whatever_its_case_and_spacing() {
    let seed = Seed::generate().unwrap();
    assert_eq!(seed.phrase().split(' ').count(), 24);
    let typed = format!("  {}\n", seed.phrase().to_uppercase().replace(' ', "  "));
    let again = Seed::from_phrase(&typed).unwrap();
    assert_eq!(again.node_key().peer_id(), seed.node_key().peer_id());
    assert_eq!(again.agent_key(3).did(), seed.agent_key(3).did());
    assert_eq!(again.payment_key(3).address(), seed.payment_key(3).address());
    assert_ne!(seed.agent_key(3).did(), seed.agent_key(4).did());
    assert_ne!(Seed::generate().unwrap().phrase(), seed.phrase());
}

#[test]
fn a_wrong_phrase_is_refused() {
    let one_word_changed = ABANDON.replace("about", "abandon");
    for phrase in ["", "abandon", one_word_changed.as_str(), "not words of the list at all"] {
        assert_eq!(Seed::from_phrase(phrase).unwrap_err().code(), "bad_phrase", "{phrase}");
    }
}

#[test]
fn a_devnet_seed_is_the_same_everywhere_and_is_recognised_from_its_phrase() {
    let seed = Seed::devnet(7, 1);
    assert!(seed.is_devnet());
    assert_eq!(Seed::devnet(7, 1).phrase(), seed.phrase());
    assert_ne!(Seed::devnet(7, 2).phrase(), seed.phrase());
    assert_ne!(Seed::devnet(8, 1).phrase(), seed.phrase());
    assert!(Seed::from_phrase(&seed.phrase()).unwrap().is_devnet());
    assert!(!Seed::generate().unwrap().is_devnet());
    assert!(!Seed::from_phrase(JUNK).unwrap().is_devnet());
}

#[test]
fn nothing_that_is_printed_holds_a_secret() {
    let seed = Seed::devnet(7, 0);
    let (node, agent, payment) = (seed.node_key(), seed.agent_key(0), seed.payment_key(0));
    let shown = format!("{seed:?} {node:?} {agent:?} {payment:?}");
    let first_words = seed.phrase().split(' ').take(2).collect::<Vec<_>>().join(" ");
    assert!(!shown.contains(&first_words));
    for secret in [node.secret_bytes(), agent.secret_bytes(), payment.secret_bytes()] {
        assert!(!shown.contains(&hex::encode(*secret)));
    }
    assert!(shown.contains(&agent.did().to_string()), "public halves may be shown");
}

#[test]
fn a_number_outside_the_group_is_not_a_payment_key() {
    for bytes in [[0; 32], [0xff; 32]] {
        assert_eq!(PaymentKey::from_bytes(&bytes).unwrap_err(), KeyError::BadKey);
    }
}

#[test]
fn a_digest_signature_names_its_signer_and_nobody_else() {
    let seed = Seed::devnet(7, 0);
    let (alice, eve) = (seed.payment_key(0), seed.payment_key(1));
    let digest = b256!("1111111111111111111111111111111111111111111111111111111111111111");
    let other = b256!("2222222222222222222222222222222222222222222222222222222222222222");
    let signature = alice.sign_digest(&digest);
    assert_eq!(signature, alice.sign_digest(&digest), "deterministic");
    assert_eq!(signature.recover(&digest), Ok(alice.address()));
    assert_eq!(signature.verify(&digest, alice.address()), Ok(()));
    assert_eq!(signature.verify(&digest, eve.address()), Err(KeyError::BadSignature));
    assert_eq!(signature.verify(&other, alice.address()), Err(KeyError::BadSignature));
    assert_eq!(signature.to_string().parse(), Ok(signature));
    let json = serde_json::to_string(&signature).unwrap();
    assert_eq!(serde_json::from_str::<EvmSignature>(&json).unwrap(), signature);
}

#[test]
fn the_malleable_twin_of_a_signature_is_refused() {
    let digest = B256::repeat_byte(9);
    let bytes = *Seed::devnet(7, 0).payment_key(0).sign_digest(&digest).as_bytes();
    let order = b256!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");
    let s = U256::from_be_slice(&bytes[32..64]);
    let mut twin = bytes;
    twin[32..64].copy_from_slice(&(U256::from_be_bytes(order.0) - s).to_be_bytes::<32>());
    twin[64] = 55 - bytes[64];
    assert_eq!(EvmSignature::from_bytes(twin), Err(KeyError::BadSignature));
    for v in [0, 1, 26, 29, 255] {
        let mut odd = bytes;
        odd[64] = v;
        assert_eq!(EvmSignature::from_bytes(odd), Err(KeyError::BadSignature), "v = {v}");
    }
    let mut zero_r = bytes;
    zero_r[..32].fill(0);
    let refused = EvmSignature::from_bytes(zero_r).and_then(|s| s.recover(&digest));
    assert_eq!(refused, Err(KeyError::BadSignature));
}
