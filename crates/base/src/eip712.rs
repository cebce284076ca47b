//! Every EIP-712 structure of the house, and their digests with cached domain separators.
//!
//! The structures live here and nowhere else, because their digests are identities: the digest of
//! [`Order`] is the order's only id and the nonce of its payment.

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::{Eip712Domain, SolStruct};

use crate::ids::OrderId;
use crate::network_file::TokenFacts;

pub mod channel;
pub mod statement;
mod structs;

pub use structs::{
    Bond, DidBinding, Feedback, Order, ReceiveWithAuthorization, Refund, Release, SettledReceipt, Split,
    TransferWithAuthorization, Verdict, Vote,
};

/// Name and version of the escrow contract's domain.
pub const ESCROW_NAME: &str = "haggle Escrow";
/// Version of the escrow contract's domain.
pub const ESCROW_VERSION: &str = "1";
/// Name of the domain of panels.
pub const PANEL_NAME: &str = "haggle Panel";
/// Version of the domain of panels.
pub const PANEL_VERSION: &str = "1";
/// Name of the domain of statements that no contract reads.
pub const BINDING_NAME: &str = "haggle";
/// Version of the domain of statements that no contract reads.
pub const BINDING_VERSION: &str = "1";

/// [`Order::flags`]: the buyer pays the fee on top of the amount.
pub const FLAG_FEE_ON_TOP: u8 = 1;
/// [`Order::flags`]: an undelivered order pays the provider when its time is over.
pub const FLAG_PAY_UNDELIVERED: u8 = 2;

/// [`Bond::side`]: the buyer's bond.
pub const BOND_BUYER: u8 = 0;
/// [`Bond::side`]: the provider's bond.
pub const BOND_PROVIDER: u8 = 1;
/// [`Vote::role`]: the panel is the order's validator.
pub const VOTE_VALIDATOR: u8 = 0;
/// [`Vote::role`]: the panel is the order's arbitrator.
pub const VOTE_ARBITRATOR: u8 = 1;

/// An EIP-712 domain with its separator computed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    separator: B256,
    facts: Eip712Domain,
}

impl Domain {
    /// Caches the separator of a domain.
    #[must_use]
    pub fn new(facts: Eip712Domain) -> Self {
        Self { separator: facts.separator(), facts }
    }

    /// The cached separator.
    #[must_use]
    pub const fn separator(&self) -> &B256 {
        &self.separator
    }

    /// Name, version, chain and contract.
    #[must_use]
    pub const fn facts(&self) -> &Eip712Domain {
        &self.facts
    }
}

/// The domain of an escrow deployment: orders, everything that is said about them, and settled receipts.
#[must_use]
pub fn escrow_domain(chain_id: u64, escrow: Address) -> Domain {
    domain(ESCROW_NAME, ESCROW_VERSION, chain_id, Some(escrow))
}

/// The domain of a panel: its members' votes.
#[must_use]
pub fn panel_domain(chain_id: u64, panel: Address) -> Domain {
    domain(PANEL_NAME, PANEL_VERSION, chain_id, Some(panel))
}

/// The domain of the token: EIP-3009 payments.
#[must_use]
pub fn token_domain(chain_id: u64, token: &TokenFacts) -> Domain {
    domain(&token.name, &token.version, chain_id, Some(token.address))
}

/// The domain of DID bindings, which no contract reads.
#[must_use]
pub fn binding_domain(chain_id: u64) -> Domain {
    domain(BINDING_NAME, BINDING_VERSION, chain_id, None)
}

fn domain(name: &str, version: &str, chain_id: u64, contract: Option<Address>) -> Domain {
    Domain::new(Eip712Domain::new(
        Some(name.to_owned().into()),
        Some(version.to_owned().into()),
        Some(U256::from(chain_id)),
        contract,
        None,
    ))
}

/// The digest that is signed: `keccak256(0x1901 ‖ separator ‖ hashStruct(message))`.
#[must_use]
pub fn digest<T: SolStruct>(message: &T, domain: &Domain) -> B256 {
    prefixed(&message.eip712_hash_struct(), domain)
}

/// The digest of a structure's hash in a domain.
fn prefixed(structure: &B256, domain: &Domain) -> B256 {
    let mut preimage = [0; 66];
    preimage[..2].copy_from_slice(&[0x19, 0x01]);
    preimage[2..34].copy_from_slice(domain.separator.as_slice());
    preimage[34..].copy_from_slice(structure.as_slice());
    keccak256(preimage)
}

/// The order's only id: its digest in the domain of the escrow that will hold it.
#[must_use]
pub fn order_id(order: &Order, escrow: &Domain) -> OrderId {
    OrderId::new(digest(order, escrow))
}

#[cfg(test)]
mod tests;
