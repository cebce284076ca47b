//! The tie between an agent's DID and the EVM address that pays for it.

use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::did::Did;
use crate::eip712::{DidBinding, binding_domain, digest};
use crate::error::Coded;
use crate::evm_signature::EvmSignature;
use crate::ids::NetworkId;
use crate::keys::PaymentKey;

/// The EVM key's half of the tie: it signs the DID, the network and an expiry. The DID's half is
/// its signature over the card that carries this. Without a valid binding nothing is paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentBinding {
    /// The address that says it belongs to the DID.
    pub address: Address,
    /// Until when, to the second.
    pub expires: Timestamp,
    /// By the key of `address`, over the [`DidBinding`].
    pub signature: EvmSignature,
}

/// Why a binding is worth nothing.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// The address did not sign this DID on this network and chain.
    #[error("the address did not sign this DID on this network")]
    Invalid,
    /// It was valid once.
    #[error("the binding has expired")]
    Expired,
}

impl Coded for BindingError {
    fn code(&self) -> &'static str {
        match self {
            Self::Invalid => "binding_invalid",
            Self::Expired => "binding_expired",
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Invalid => "publish the card again with this agent's own payment key",
            Self::Expired => "publish the card again: the binding is renewed with it",
        }
    }
}

impl PaymentBinding {
    /// Binds the key's address to `did` until `expires`, which is cut to whole seconds.
    #[must_use]
    pub fn make(key: &PaymentKey, network: &NetworkId, did: &Did, chain_id: u64, expires: Timestamp) -> Self {
        let expires = Timestamp::from_u40(expires.to_u40());
        let message = statement(network, did, expires);
        Self {
            address: key.address(),
            expires,
            signature: key.sign_digest(&digest(&message, &binding_domain(chain_id))),
        }
    }

    /// Checks the tie and returns the address that may be paid.
    ///
    /// # Errors
    /// [`BindingError`].
    pub fn verify(
        &self,
        network: &NetworkId,
        did: &Did,
        chain_id: u64,
        now: Timestamp,
    ) -> Result<Address, BindingError> {
        if Timestamp::from_u40(self.expires.to_u40()) != self.expires {
            return Err(BindingError::Invalid);
        }
        let message = statement(network, did, self.expires);
        self.signature
            .verify(&digest(&message, &binding_domain(chain_id)), self.address)
            .map_err(|_| BindingError::Invalid)?;
        if self.expires <= now {
            return Err(BindingError::Expired);
        }
        Ok(self.address)
    }
}

fn statement(network: &NetworkId, did: &Did, expires: Timestamp) -> DidBinding {
    DidBinding { network: network.to_string(), did: did.to_string(), expires: expires.to_u40() }
}

#[cfg(test)]
mod tests;
