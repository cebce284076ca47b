//! The payment key of a home's one agent, as the node's adapters ask for it.

use haggle_base::{Address, B256, Did, EvmSignature, PaymentKey};
use haggle_settlement::ports::{NoKey, Wallet};

/// The keys of one agent.
#[derive(Clone)]
pub(crate) struct AgentKeys {
    pub(crate) payment: PaymentKey,
}

/// One agent's key.
pub(crate) struct Keyring {
    pub(crate) agent: Did,
    pub(crate) key: PaymentKey,
}

impl Keyring {
    pub(crate) fn get(&self, agent: &Did) -> Option<AgentKeys> {
        (self.agent == *agent).then(|| AgentKeys { payment: self.key.clone() })
    }

    pub(crate) fn at(&self, address: &Address) -> Option<(Did, PaymentKey)> {
        (self.key.address() == *address).then(|| (self.agent, self.key.clone()))
    }
}

impl Wallet for Keyring {
    fn address(&self, agent: &Did) -> Option<Address> {
        self.get(agent).map(|keys| keys.payment.address())
    }

    fn agent_at(&self, address: &Address) -> Option<Did> {
        self.at(address).map(|(agent, _)| agent)
    }

    fn sign(&self, agent: &Did, digest: &B256) -> Result<EvmSignature, NoKey> {
        self.get(agent).map(|keys| keys.payment.sign_digest(digest)).ok_or(NoKey)
    }
}
