//! SLIP-0010 key derivation for ed25519 (hardened steps only, as the curve demands).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;
use zeroize::Zeroizing;

/// The HMAC key of the master node, fixed by SLIP-0010.
const CURVE: &[u8] = b"ed25519 seed";

/// The bit that marks a hardened step.
const HARDENED: u32 = 1 << 31;

/// A private key and the chain code that derives its children.
struct Node {
    key: Zeroizing<[u8; 32]>,
    chain_code: Zeroizing<[u8; 32]>,
}

/// The secret key at `path` below the master key of `seed`; every step is taken hardened.
pub(crate) fn derive(seed: &[u8], path: &[u32]) -> Zeroizing<[u8; 32]> {
    let master = split(CURVE, &[seed]);
    path.iter().fold(master, |node, step| child(&node, *step)).key
}

fn child(parent: &Node, step: u32) -> Node {
    let index = (step | HARDENED).to_be_bytes();
    split(&*parent.chain_code, &[&[0], &*parent.key, &index])
}

fn split(key: &[u8], data: &[&[u8]]) -> Node {
    let Ok(mut mac) = Hmac::<Sha512>::new_from_slice(key) else {
        unreachable!("HMAC takes a key of any length");
    };
    for part in data {
        mac.update(part);
    }
    let mut out = mac.finalize().into_bytes();
    let mut node = Node { key: Zeroizing::new([0; 32]), chain_code: Zeroizing::new([0; 32]) };
    node.key.copy_from_slice(&out[..32]);
    node.chain_code.copy_from_slice(&out[32..]);
    zeroize::Zeroize::zeroize(out.as_mut_slice());
    node
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    /// Seed, then (path, private key, public key without its leading zero byte), as published in
    /// SLIP-0010 under "Test vector 1/2 for ed25519".
    type Vector = (&'static str, &'static [(&'static [u32], &'static str, &'static str)]);

    const ONE: Vector = (
        "000102030405060708090a0b0c0d0e0f",
        &[
            (
                &[],
                "2b4be7f19ee27bbf30c667b642d5f4aa69fd169872f8fc3059c08ebae2eb19e7",
                "a4b2856bfec510abab89753fac1ac0e1112364e7d250545963f135f2a33188ed",
            ),
            (
                &[0],
                "68e0fe46dfb67e368c75379acec591dad19df3cde26e63b93a8e704f1dade7a3",
                "8c8a13df77a28f3445213a0f432fde644acaa215fc72dcdf300d5efaa85d350c",
            ),
            (
                &[0, 1],
                "b1d0bad404bf35da785a64ca1ac54b2617211d2777696fbffaf208f746ae84f2",
                "1932a5270f335bed617d5b935c80aedb1a35bd9fc1e31acafd5372c30f5c1187",
            ),
            (
                &[0, 1, 2],
                "92a5b23c0b8a99e37d07df3fb9966917f5d06e02ddbd909c7e184371463e9fc9",
                "ae98736566d30ed0e9d2f4486a64bc95740d89c7db33f52121f8ea8f76ff0fc1",
            ),
            (
                &[0, 1, 2, 2],
                "30d1dc7e5fc04c31219ab25a27ae00b50f6fd66622f6e9c913253d6511d1e662",
                "8abae2d66361c879b900d204ad2cc4984fa2aa344dd7ddc46007329ac76c429c",
            ),
            (
                &[0, 1, 2, 2, 1_000_000_000],
                "8f94d394a8e8fd6b1bc2f3f49f5c47e385281d5c17e65324b0f62483e37e8793",
                "3c24da049451555d51a7014a37337aa4e12d41e485abccfa46b47dfb2af54b7a",
            ),
        ],
    );

    const TWO: Vector = (
        "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a29f9c999693908d8a8784817e7b7875726f6c696663605d5a5754514e4b484542",
        &[
            (
                &[],
                "171cb88b1b3c1db25add599712e36245d75bc65a1a5c9e18d76f9f2b1eab4012",
                "8fe9693f8fa62a4305a140b9764c5ee01e455963744fe18204b4fb948249308a",
            ),
            (
                &[0],
                "1559eb2bbec5790b0c65d8693e4d0875b1747f4970ae8b650486ed7470845635",
                "86fab68dcb57aa196c77c5f264f215a112c22a912c10d123b0d03c3c28ef1037",
            ),
            (
                &[0, 2_147_483_647],
                "ea4f5bfe8694d8bb74b7b59404632fd5968b774ed545e810de9c32a4fb4192f4",
                "5ba3b9ac6e90e83effcd25ac4e58a1365a9e35a3d3ae5eb07b9e4d90bcf7506d",
            ),
            (
                &[0, 2_147_483_647, 1, 2_147_483_646, 2],
                "551d333177df541ad876a60ea71f00447931c0a9da16f227c11ea080d7391b8d",
                "47150c75db263559a70d5778bf36abbab30fb061ad69f69ece61a72b0cfa4fc0",
            ),
        ],
    );

    #[test]
    fn official_vectors_of_slip_0010_hold() {
        for (seed, rows) in [ONE, TWO] {
            let seed = hex::decode(seed).unwrap();
            for (path, secret, public) in rows {
                let derived = derive(&seed, path);
                assert_eq!(hex::encode(*derived), *secret, "secret at {path:?}");
                let key = SigningKey::from_bytes(&derived);
                assert_eq!(hex::encode(key.verifying_key().as_bytes()), *public);
            }
        }
    }
}
