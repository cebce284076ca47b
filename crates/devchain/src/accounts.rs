//! The keys of the dev chain. They are public and the same everywhere, and worth nothing anywhere else.

use std::fmt;

use alloy::primitives::{Address, B256, U256, keccak256};
use alloy::signers::local::PrivateKeySigner;

/// Accounts that own ether from genesis on.
pub const DEV_ACCOUNTS: u32 = 10;

/// Wei each of them owns: ten thousand ether.
pub(crate) const DEV_ACCOUNT_WEI: U256 = U256::from_limbs([0x19e0_c9ba_b240_0000, 0x021e, 0, 0]);

/// An account whose key everybody knows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DevAccount {
    key: B256,
    address: Address,
}

impl DevAccount {
    /// Account `index`; the first [`DEV_ACCOUNTS`] own ether.
    #[must_use]
    pub fn numbered(index: u32) -> Self {
        Self::named(&format!("account {index}"))
    }

    /// The account that may mint the test token.
    #[must_use]
    pub fn minter() -> Self {
        Self::named("minter")
    }

    /// The account that deployed the contracts; their addresses follow from it.
    #[must_use]
    pub fn deployer() -> Self {
        Self::named("deployer")
    }

    /// The account that fees go to on the local market.
    #[must_use]
    pub fn fee_sink() -> Self {
        Self::named("fee sink")
    }

    fn named(name: &str) -> Self {
        // A hash is a valid key but for a chance of 2^-128; hashing on would then find one.
        let mut key = keccak256(format!("haggle dev chain: {name}"));
        loop {
            match PrivateKeySigner::from_bytes(&key) {
                Ok(signer) => return Self { key, address: signer.address() },
                Err(_) => key = keccak256(key),
            }
        }
    }

    /// The secp256k1 secret key.
    #[must_use]
    pub const fn key(&self) -> &B256 {
        &self.key
    }

    /// The address that belongs to the key.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }
}

impl fmt::Debug for DevAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DevAccount({})", self.address)
    }
}
