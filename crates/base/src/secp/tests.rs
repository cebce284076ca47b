//! The fast recovery says what the strict type says, for every form of a signature and for random bytes.

use alloy_primitives::keccak256;
use proptest::prelude::*;

use super::*;
use crate::PaymentKey;

/// The order of the group, big-endian.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae, 0xdc,
    0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];

fn minus(a: &[u8; 32], b: &[u8]) -> [u8; 32] {
    let difference = alloy_primitives::U256::from_be_bytes(*a) - alloy_primitives::U256::from_be_slice(b);
    difference.to_be_bytes()
}

fn key(number: u8) -> PaymentKey {
    PaymentKey::from_bytes(&[number + 1; 32]).unwrap()
}

fn signed(number: u8, message: &[u8]) -> (Address, B256, [u8; 65]) {
    let key = key(number);
    let digest = keccak256(message);
    (key.address(), digest, *key.sign_digest(&digest).as_bytes())
}

/// The same signature as EIP-2098 packs it.
fn compact(full: &[u8; 65]) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes.copy_from_slice(&full[..64]);
    bytes[32] |= (full[64] - 27) << 7;
    bytes
}

/// The other signature that the same key makes for the same digest, which EIP-2 forbids.
fn mirrored(full: &[u8; 65]) -> [u8; 65] {
    let mut bytes = *full;
    bytes[32..64].copy_from_slice(&minus(&ORDER, &full[32..64]));
    bytes[64] = if full[64] == 27 { 28 } else { 27 };
    bytes
}

#[test]
fn every_form_of_a_signature_names_the_same_signer_and_becomes_the_same_bytes() {
    let mut parities = [false; 2];
    for number in 0..32_u8 {
        let (signer, digest, full) = signed(number % 3, &[number]);
        parities[usize::from(full[64] - 27)] = true;
        let mut old = full;
        old[64] -= 27;
        for form in [&full[..], &old[..], &compact(&full)[..]] {
            assert_eq!(recover(&digest, form).unwrap(), (signer, EvmSignature::from_bytes(full).unwrap()));
            assert_eq!(read(form).unwrap().as_bytes(), &full);
            assert!(verify_signature(&digest, form, signer).is_ok());
            assert!(verify_signature(&keccak256(b"another"), form, signer).is_err());
        }
    }
    assert_eq!(parities, [true, true], "both parities have to come up");
}

#[test]
fn the_mirrored_signature_is_refused_in_every_form() {
    let (_, digest, full) = signed(0, b"pay");
    let mirror = mirrored(&full);
    assert!(recover(&digest, &mirror).is_err());
    let mut old = mirror;
    old[64] -= 27;
    assert!(recover(&digest, &old).is_err());
    assert!(EvmSignature::from_bytes(mirror).is_err());
}

#[test]
fn s_is_canonical_up_to_half_the_order_and_not_one_further() {
    let half_up = minus(&ORDER, &HALF_ORDER);
    assert_eq!(minus(&half_up, &HALF_ORDER), alloy_primitives::U256::from(1).to_be_bytes());
    let (_, _, mut full) = signed(0, b"pay");
    full[32..64].copy_from_slice(&HALF_ORDER);
    assert!(read(&full).is_ok() && EvmSignature::from_bytes(full).is_ok());
    full[32..64].copy_from_slice(&half_up);
    assert!(read(&full).is_err() && EvmSignature::from_bytes(full).is_err());
}

#[test]
fn what_is_no_signature_is_refused() {
    let (_, digest, full) = signed(0, b"pay");
    for length in [0, 1, 63, 66, 97, 4096] {
        assert!(recover(&digest, &vec![1; length]).is_err(), "{length}");
    }
    for v in (2..27).chain(29..=255) {
        let mut wrong = full;
        wrong[64] = v;
        assert!(recover(&digest, &wrong).is_err(), "{v}");
    }
    let mut zero_r = full;
    zero_r[..32].fill(0);
    let mut zero_s = full;
    zero_s[32..64].fill(0);
    let mut great_r = full;
    great_r[..32].copy_from_slice(&ORDER);
    for wrong in [zero_r, zero_s, great_r] {
        assert!(recover(&digest, &wrong).is_err());
    }
}

proptest! {
    #[test]
    fn it_agrees_with_the_strict_type_on_any_bytes(
        digest in any::<[u8; 32]>(),
        bytes in prop::array::uniform32(any::<u8>()),
        s in prop::array::uniform32(any::<u8>()),
        v in prop_oneof![Just(27_u8), Just(28_u8), any::<u8>()],
    ) {
        let mut full = [0; 65];
        full[..32].copy_from_slice(&bytes);
        full[32..64].copy_from_slice(&s);
        full[64] = v;
        let digest = B256::from(digest);
        let strict = EvmSignature::from_bytes(full).and_then(|signature| signature.recover(&digest));
        let fast = recover(&digest, &full).map(|(signer, _)| signer);
        if v > 1 {
            prop_assert_eq!(strict.ok(), fast.ok());
        } else {
            prop_assert!(strict.is_err());
        }
    }

    #[test]
    fn a_signature_of_any_digest_is_recovered(digest in any::<[u8; 32]>(), number in 0_u8..4) {
        let key = key(number);
        let digest = B256::from(digest);
        let full = *key.sign_digest(&digest).as_bytes();
        prop_assert_eq!(recover(&digest, &compact(&full)).unwrap().0, key.address());
        prop_assert!(recover(&digest, &mirrored(&full)).is_err());
    }
}
