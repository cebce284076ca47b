//! An address belongs to the DID it signed, on that network and chain, until it expires.

use std::time::Duration;

use crate::keys::Seed;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
const CHAIN: u64 = 31_337;

fn network() -> NetworkId {
    "devnet-7/1".parse().unwrap()
}

#[test]
fn a_binding_ties_one_address_to_one_did_on_one_network() {
    let (alice, eve) = (Seed::devnet(7, 0), Seed::devnet(7, 1));
    let did = alice.agent_key(0).did();
    let key = alice.payment_key(0);
    let expires = NOW.plus(Duration::from_secs(3600));
    let binding = PaymentBinding::make(&key, &network(), &did, CHAIN, expires);
    assert_eq!(binding.verify(&network(), &did, CHAIN, NOW), Ok(key.address()));

    let invalid = Err(BindingError::Invalid);
    let other_network: NetworkId = "devnet-8/1".parse().unwrap();
    assert_eq!(binding.verify(&other_network, &did, CHAIN, NOW), invalid);
    assert_eq!(binding.verify(&network(), &eve.agent_key(0).did(), CHAIN, NOW), invalid);
    assert_eq!(binding.verify(&network(), &did, 8453, NOW), invalid);

    let stolen = PaymentBinding { address: eve.payment_key(0).address(), ..binding };
    assert_eq!(stolen.verify(&network(), &did, CHAIN, NOW), invalid);
    let prolonged = PaymentBinding { expires: expires.plus(Duration::from_secs(1)), ..binding };
    assert_eq!(prolonged.verify(&network(), &did, CHAIN, NOW), invalid);
    let fraction = PaymentBinding { expires: expires.plus(Duration::from_millis(1)), ..binding };
    assert_eq!(fraction.verify(&network(), &did, CHAIN, NOW), invalid);
}

#[test]
fn a_binding_ends_with_its_second() {
    let alice = Seed::devnet(7, 0);
    let did = alice.agent_key(0).did();
    let fraction = NOW.plus(Duration::from_millis(999));
    let binding = PaymentBinding::make(&alice.payment_key(0), &network(), &did, CHAIN, fraction);
    assert_eq!(binding.expires, NOW);
    let before = NOW.minus(Duration::from_millis(1));
    assert!(binding.verify(&network(), &did, CHAIN, before).is_ok());
    assert_eq!(binding.verify(&network(), &did, CHAIN, NOW), Err(BindingError::Expired));
}
