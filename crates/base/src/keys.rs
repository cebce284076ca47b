//! One seed per home, and the three kinds of key that grow from it.

use std::fmt;

use alloy_primitives::{Address, B256, keccak256};
use bip32::{ChildNumber, XPrv};
use bip39::{Language, Mnemonic};
use ed25519_dalek::{Signer, SigningKey};
use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};
use zeroize::{Zeroize, Zeroizing};

use crate::did::{Did, PeerId};
use crate::error::Coded;
use crate::evm_signature::EvmSignature;
use crate::slip10;

/// BIP-44's purpose, the first step of every path.
const PURPOSE: u32 = 44;
/// Our coin type for identities, after ERC-8004, the standard for agent identity.
const COIN: u32 = 8004;
/// Below the coin: 0 holds the node key, 1 the agents.
const NODE: u32 = 0;
const AGENTS: u32 = 1;

/// The first bytes of every devnet seed's entropy, so that one is recognised whatever happened
/// to it in between. 20 bytes, then the network's seed (8, big-endian) and an index (4).
const DEVNET_MARK: &[u8; 20] = b"haggle devnet only!\0";

/// Why a seed or a key could not be made.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 12 to 24 English BIP-39 words with a valid checksum.
    #[error("not a valid recovery phrase")]
    BadPhrase,
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness")]
    NoEntropy,
    /// Not a secret key of its curve.
    #[error("not a secret key")]
    BadKey,
    /// The signature is not canonical or belongs to another key.
    #[error("signature does not verify")]
    BadSignature,
}

impl Coded for KeyError {
    fn code(&self) -> &'static str {
        match self {
            Self::BadPhrase => "bad_phrase",
            Self::NoEntropy => "no_entropy",
            Self::BadKey => "bad_key",
            Self::BadSignature => "bad_signature",
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::BadPhrase => "type the 12 to 24 words in their order, separated by spaces",
            Self::NoEntropy => "check that the system's random device is readable",
            Self::BadKey => "the key file is damaged: restore it from the recovery phrase",
            Self::BadSignature => "the content was changed or signed by another key: ask again",
        }
    }
}

/// The secret from which every key of a home grows: a BIP-39 phrase without a passphrase.
///
/// It never shows itself: `Debug` prints no secret, and the memory is wiped on drop.
pub struct Seed {
    phrase: Zeroizing<String>,
    bytes: Zeroizing<[u8; 64]>,
    devnet: bool,
}

impl Seed {
    /// A fresh seed of 24 words.
    ///
    /// # Errors
    /// [`KeyError::NoEntropy`].
    pub fn generate() -> Result<Self, KeyError> {
        let mut entropy = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *entropy).map_err(|_| KeyError::NoEntropy)?;
        Self::from_entropy(&entropy)
    }

    /// The seed of a recovery phrase; letter case and extra spaces do not matter.
    ///
    /// # Errors
    /// [`KeyError::BadPhrase`] for unknown words, a wrong number of words or a wrong checksum.
    pub fn from_phrase(phrase: &str) -> Result<Self, KeyError> {
        let lower = Zeroizing::new(phrase.to_lowercase());
        let mut plain = Zeroizing::new(String::with_capacity(lower.len()));
        for word in lower.split_whitespace() {
            if !plain.is_empty() {
                plain.push(' ');
            }
            plain.push_str(word);
        }
        let mnemonic = Mnemonic::parse_in_normalized(Language::English, &plain).map_err(|_| KeyError::BadPhrase)?;
        Ok(Self::from_mnemonic(&mnemonic))
    }

    /// The public seed number `index` of the devnet `network_seed`: the same on every machine.
    ///
    /// Anyone can compute it, so it must never hold real money; [`Seed::is_devnet`] recognises
    /// it, even when it was typed in as a phrase, and a node refuses it off chain 31337.
    #[must_use]
    pub fn devnet(network_seed: u64, index: u32) -> Self {
        let mut entropy = Zeroizing::new([0; 32]);
        entropy[..20].copy_from_slice(DEVNET_MARK);
        entropy[20..28].copy_from_slice(&network_seed.to_be_bytes());
        entropy[28..].copy_from_slice(&index.to_be_bytes());
        match Mnemonic::from_entropy_in(Language::English, &*entropy) {
            Ok(mnemonic) => Self::from_mnemonic(&mnemonic),
            Err(_) => unreachable!("32 bytes are valid BIP-39 entropy"),
        }
    }

    fn from_entropy(entropy: &[u8; 32]) -> Result<Self, KeyError> {
        let mnemonic = Mnemonic::from_entropy_in(Language::English, entropy).map_err(|_| KeyError::BadPhrase)?;
        Ok(Self::from_mnemonic(&mnemonic))
    }

    fn from_mnemonic(mnemonic: &Mnemonic) -> Self {
        let entropy = Zeroizing::new(mnemonic.to_entropy());
        Self {
            phrase: Zeroizing::new(mnemonic.to_string()),
            bytes: Zeroizing::new(mnemonic.to_seed_normalized("")),
            devnet: entropy.starts_with(DEVNET_MARK),
        }
    }

    /// The recovery phrase, for showing once or for encrypting.
    #[must_use]
    pub fn phrase(&self) -> Zeroizing<String> {
        self.phrase.clone()
    }

    /// True for a public devnet seed, which is worth nothing as a secret.
    #[must_use]
    pub const fn is_devnet(&self) -> bool {
        self.devnet
    }

    /// The node's key, `m/44'/8004'/0'` (SLIP-0010).
    #[must_use]
    pub fn node_key(&self) -> NodeKey {
        NodeKey(self.ed25519(&[PURPOSE, COIN, NODE]))
    }

    /// The key of agent `index`, `m/44'/8004'/1'/index'` (SLIP-0010). The top bit of `index`
    /// means nothing, since every step is hardened.
    #[must_use]
    pub fn agent_key(&self, index: u32) -> AgentKey {
        AgentKey(self.ed25519(&[PURPOSE, COIN, AGENTS, index]))
    }

    /// The payment key of agent `index`, `m/44'/60'/0'/0/index` (BIP-32), as every Ethereum
    /// wallet derives it.
    ///
    /// # Panics
    /// Never in practice: BIP-32 names a failure that has a chance of 2^-127.
    #[must_use]
    pub fn payment_key(&self, index: u32) -> PaymentKey {
        match bip44_ethereum(&self.bytes, index & 0x7fff_ffff) {
            Ok(key) => key,
            Err(_) => unreachable!("a BIP-32 step fails with a chance of 2^-127"),
        }
    }

    fn ed25519(&self, path: &[u32]) -> SigningKey {
        SigningKey::from_bytes(&slip10::derive(&*self.bytes, path))
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(secret)")
    }
}

fn bip44_ethereum(seed: &[u8; 64], index: u32) -> Result<PaymentKey, KeyError> {
    const PATH: [(u32, bool); 4] = [(PURPOSE, true), (60, true), (0, true), (0, false)];
    let step = |key: XPrv, (number, hardened)| key.derive_child(ChildNumber::new(number, hardened)?);
    let derived = XPrv::new(seed)
        .and_then(|master| PATH.into_iter().try_fold(master, step))
        .and_then(|account| step(account, (index, false)))
        .map_err(|_| KeyError::BadKey)?;
    PaymentKey::from_bytes(&Zeroizing::new(derived.private_key().to_bytes().into()))
}

/// The key behind a node's [`PeerId`]; it authenticates connections, never trades.
pub struct NodeKey(SigningKey);

impl NodeKey {
    /// A node key from its 32 secret bytes.
    #[must_use]
    pub fn from_bytes(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// The node's public identity.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        PeerId::from_own_key(self.0.verifying_key().to_bytes())
    }

    /// The secret bytes, for handing to libp2p.
    #[must_use]
    pub fn secret_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// An ed25519 signature over `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({})", self.peer_id())
    }
}

/// The key behind an agent's [`Did`]; it signs records, quotes, terms and receipts.
#[derive(Clone)]
pub struct AgentKey(SigningKey);

impl AgentKey {
    /// An agent key from its 32 secret bytes.
    #[must_use]
    pub fn from_bytes(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// The agent's public identity.
    #[must_use]
    pub fn did(&self) -> Did {
        Did::from_own_key(self.0.verifying_key().to_bytes())
    }

    /// An ed25519 signature over `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// The X25519 secret of the same key (RFC 7748): for [`crate::seal`] alone, beside the signatures.
    pub(crate) fn x25519_secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_scalar_bytes())
    }

    /// The secret bytes, for signers of other formats such as the card's JWS.
    #[must_use]
    pub fn secret_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }
}

impl fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentKey({})", self.did())
    }
}

/// The key behind an EVM address; it signs payments, orders, bindings and settled receipts.
#[derive(Clone)]
pub struct PaymentKey {
    secret: Zeroizing<[u8; 32]>,
    address: Address,
}

impl PaymentKey {
    /// A payment key from its 32 secret bytes.
    ///
    /// # Errors
    /// [`KeyError::BadKey`] for zero or a number not below the order of the group.
    pub fn from_bytes(secret: &[u8; 32]) -> Result<Self, KeyError> {
        let mut key = SecretKey::from_byte_array(*secret).map_err(|_| KeyError::BadKey)?;
        let address = address_of(&PublicKey::from_secret_key(SECP256K1, &key));
        key.non_secure_erase();
        Ok(Self { secret: Zeroizing::new(*secret), address })
    }

    /// The address that pays and is paid.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }

    /// A recoverable, deterministic (RFC 6979), low-s signature over a 32-byte digest.
    #[must_use]
    pub fn sign_digest(&self, digest: &B256) -> EvmSignature {
        let Ok(mut key) = SecretKey::from_byte_array(*self.secret) else {
            unreachable!("the bytes were checked when the key was made");
        };
        let message = Message::from_digest(digest.0);
        let signature = SECP256K1.sign_ecdsa_recoverable(message, &key);
        key.non_secure_erase();
        EvmSignature::from_recoverable(&signature)
    }

    /// The secret bytes, for handing to the chain client.
    #[must_use]
    pub fn secret_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.secret.clone()
    }
}

impl Drop for PaymentKey {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl fmt::Debug for PaymentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PaymentKey({})", self.address)
    }
}

/// The EVM address of a public key: the last 20 bytes of keccak-256 of its coordinates.
pub(crate) fn address_of(key: &PublicKey) -> Address {
    let uncompressed = key.serialize_uncompressed();
    Address::from_slice(&keccak256(&uncompressed[1..])[12..])
}

#[cfg(test)]
mod tests;
