//! Keys, records and money: the ground floor of haggle.
//!
//! A market without a server rests on three things that every node must see alike, to the byte:
//! who says something, what exactly was said, and how much money is meant. This room holds them
//! and nothing else. It opens no socket and no file, and apart from [`SystemClock`] and
//! [`Seed::generate`] it reads nothing from the machine: time is handed in.
//!
//! # Keys
//! One [`Seed`] per home grows every key. The [`NodeKey`] is the node's libp2p [`PeerId`], the
//! [`AgentKey`] is an agent's [`Did`], the [`PaymentKey`] is the EVM address that pays. A
//! [`PaymentBinding`] ties the last two together.
//!
//! # Records
//! Everything that spreads is a [`Record`]: canonical CBOR ([`cbor`]) in a `COSE_Sign1` envelope
//! ([`cose`]). Bytes from the network are a [`Signed`] record and stay one until
//! [`Signed::verify`] has looked at the signature, the network, the clock and the rules of the
//! kind; only a [`Verified`] record has a readable content. Records are signed once and carried
//! as received.
//!
//! # Money
//! [`Usdc`] counts base units. What is signed about money is an EIP-712 structure in [`eip712`];
//! the digest of an [`eip712::Order`] is the order's only id ([`OrderId`]).
//!
//! # An example
//! ```
//! use std::time::Duration;
//! use haggle_base::{
//!     Body, Kind, Record, RecordError, Seed, Signed, Timestamp, Text, NetworkId,
//! };
//! use serde::{Deserialize, Serialize};
//!
//! /// A body of our own, standing in for the catalog's.
//! #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
//! struct Shout {
//!     words: Text<80>,
//! }
//!
//! impl Body for Shout {
//!     const KIND: Kind = Kind::Listing;
//!     const MAX_BYTES: usize = 4096;
//!     const MAX_TTL: Duration = Duration::from_secs(7 * 24 * 3600);
//!
//!     fn check(&self) -> Result<(), RecordError> {
//!         Ok(())
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let network: NetworkId = "devnet-7/1".parse()?;
//! let now = Timestamp::from_secs(1_795_000_000);
//! let alice = Seed::devnet(7, 0).agent_key(0);
//!
//! let body = Shout { words: "fresh digests, 0.02 each".try_into()? };
//! let slot = "listing/digest".try_into()?;
//! let record = Record::new(network.clone(), slot, now, Duration::from_secs(3600), body);
//! let bytes = Signed::sign(&record, &alice)?.bytes().to_vec();
//!
//! // Bob knows nothing but the bytes.
//! let verified = Signed::<Shout>::from_bytes(bytes)?.verify(&network, now)?;
//! assert_eq!(verified.author(), alice.did());
//! assert_eq!(verified.body().words, "fresh digests, 0.02 each");
//! # Ok(())
//! # }
//! ```
//!
//! # What it does not do
//! It does not know what is sold (`haggle-catalog`), what was agreed (`haggle-trade`) or whether
//! an order was paid (`haggle-escrow` asks the chain). It stores nothing (`haggle-store`).
//!
//! Errors are one enum per concern and all of them are [`Coded`]: a stable code for machines and
//! a hint for people. The formats, with test vectors for other languages, are in
//! `docs/protocols/records.md`.

pub mod attestation;
pub mod binding;
pub mod bounded;
mod bytes;
pub mod cbor;
pub mod clock;
pub mod cose;
pub mod did;
pub mod eip712;
pub mod error;
pub mod evm_signature;
pub mod hash;
pub mod ids;
pub mod keys;
pub mod money;
pub mod network_file;
pub mod pointer;
pub mod record;
pub mod seal;
pub mod secp;
mod slip10;

pub use alloy_primitives::{Address, B256, U256};

pub use attestation::{Attestation, AttestationKind, ClosedBy, Parties, Side, terms_hash, terms_hash_from};
pub use binding::{BindingError, PaymentBinding};
pub use bounded::{Blob, BoundError, List, Text};
pub use cbor::CborError;
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use cose::CoseError;
pub use did::{Did, DidError, PeerId};
pub use eip712::{Domain, Order};
pub use error::Coded;
pub use evm_signature::EvmSignature;
pub use hash::Hash;
pub use ids::{BadNetworkId, NetworkId, OrderId, RecordId};
pub use keys::{AgentKey, KeyError, NodeKey, PaymentKey, Seed};
pub use money::{AmountError, Usdc};
pub use network_file::{Arbitration, FeePayer, FeeRule, ListingFee, NetworkFile, NetworkFileError, TokenFacts};
pub use pointer::{Pointer, PointerHost};
pub use record::{Body, Kind, Record, RecordError, Signed, Unread, Verified, gossip_id};
