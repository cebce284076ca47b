//! The keys of the agents this node serves, in one place: nothing else in the process holds a secret.

use async_trait::async_trait;
use haggle_a2a::card;
use haggle_a2a_transport::CardSigner;
use haggle_base::{Address, AgentKey, B256, Clock, Did, EvmSignature, NetworkFile, PaymentBinding, PaymentKey, Seed};
use haggle_settlement::ports::{NoKey, Wallet};
use parking_lot::RwLock;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How long a payment binding stands; the card that carries it is renewed long before.
const BINDING_LIVES: Duration = Duration::from_secs(30 * 24 * 3600);

/// One agent's two keys.
#[derive(Clone, Debug)]
pub(crate) struct AgentKeys {
    /// Its DID's key.
    pub(crate) agent: Arc<AgentKey>,
    /// Its money's key.
    pub(crate) payment: PaymentKey,
}

/// Every agent whose keys this node uses, by DID.
pub(crate) struct Keyring {
    seed: Seed,
    network: NetworkFile,
    clock: Arc<dyn Clock>,
    held: RwLock<Held>,
}

#[derive(Default)]
struct Held {
    agents: HashMap<Did, AgentKeys>,
    by_index: HashMap<u32, Did>,
    by_address: HashMap<Address, Did>,
}

impl Keyring {
    pub(crate) fn new(seed: Seed, network: NetworkFile, clock: Arc<dyn Clock>) -> Self {
        Self { seed, network, clock, held: RwLock::default() }
    }

    /// The keys of agent `index`; derived the first time, which takes most of a millisecond, and held from then on.
    pub(crate) fn add(&self, index: u32) -> AgentKeys {
        if let Some(keys) = self.numbered(index) {
            return keys;
        }
        let keys = AgentKeys { agent: Arc::new(self.seed.agent_key(index)), payment: self.seed.payment_key(index) };
        let mut held = self.held.write();
        held.by_address.insert(keys.payment.address(), keys.agent.did());
        held.by_index.insert(index, keys.agent.did());
        held.agents.insert(keys.agent.did(), keys.clone());
        keys
    }

    /// The DID of agent `index`, whose keys need not be held.
    pub(crate) fn did(&self, index: u32) -> Did {
        self.numbered(index).map_or_else(|| self.seed.agent_key(index).did(), |keys| keys.agent.did())
    }

    fn numbered(&self, index: u32) -> Option<AgentKeys> {
        let held = self.held.read();
        held.agents.get(held.by_index.get(&index)?).cloned()
    }

    /// The keys of one agent.
    pub(crate) fn get(&self, did: &Did) -> Option<AgentKeys> {
        self.held.read().agents.get(did).cloned()
    }

    /// The agent and the payment key behind an address.
    pub(crate) fn at(&self, address: &Address) -> Option<(Did, PaymentKey)> {
        let held = self.held.read();
        let did = held.by_address.get(address)?;
        held.agents.get(did).map(|keys| (*did, keys.payment.clone()))
    }

    /// A fresh binding of the agent's address to its DID.
    pub(crate) fn bind(&self, did: &Did) -> Option<PaymentBinding> {
        let keys = self.get(did)?;
        let expires = self.clock.now().plus(BINDING_LIVES);
        Some(PaymentBinding::make(&keys.payment, &self.network.id, did, self.network.chain_id, expires))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("agents", &self.held.read().agents.len()).finish_non_exhaustive()
    }
}

impl CardSigner for Keyring {
    fn sign(&self, agent: &Did, card: Value) -> Value {
        let signed = self.get(agent).and_then(|keys| card::sign(card.clone(), &keys.agent).ok());
        signed.unwrap_or(card)
    }
}

#[async_trait]
impl Wallet for Keyring {
    fn address(&self, agent: &Did) -> Option<Address> {
        self.get(agent).map(|keys| keys.payment.address())
    }

    fn agent_at(&self, address: &Address) -> Option<Did> {
        self.at(address).map(|(did, _)| did)
    }

    fn sign(&self, agent: &Did, digest: &B256) -> Result<EvmSignature, NoKey> {
        self.get(agent).map(|keys| keys.payment.sign_digest(digest)).ok_or(NoKey)
    }
}
