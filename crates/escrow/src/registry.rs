//! The ERC-8004 identity and reputation registries, as far as the market uses them.

use alloy::primitives::{Address, Bytes, U256};
use alloy::providers::RootProvider;
use alloy::sol_types::{SolCall as _, SolEvent as _};
use haggle_base::PaymentKey;

use crate::bindings::registry::Registry8004;
use crate::chain::{ChainReader, contract_answer};
use crate::error::{EscrowError, RegistryRefusal, Revert};
use crate::sender::{Sender, Tx};

/// What clients said of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedbackSummary {
    /// How often.
    pub count: u64,
    /// The average, in units of ten to the minus `decimals`.
    pub value: i128,
    /// Decimals of the average.
    pub decimals: u8,
}

/// A registered agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisteredAgent {
    /// Its number there.
    pub agent_id: U256,
    /// The transaction.
    pub tx: Tx,
}

/// The registries through one payment key: the owner of the agents it registers.
#[derive(Debug, Clone)]
pub struct RegistryClient {
    sender: Sender,
    address: Address,
}

impl RegistryClient {
    /// A client of the registries over an existing connection. Nothing is asked yet.
    ///
    /// # Errors
    /// [`EscrowError::BadKey`].
    pub fn new(chain: ChainReader, registry: Address, signer: &PaymentKey) -> Result<Self, EscrowError> {
        Ok(Self { sender: Sender::new(chain, signer)?, address: registry })
    }

    /// Registers an agent of the signer's, paid at the signer's address. Asked for twice, it registers two.
    ///
    /// # Errors
    /// As [`EscrowClient::fund`](crate::EscrowClient::fund).
    pub async fn register(&self, card: String) -> Result<RegisteredAgent, EscrowError> {
        let input = Registry8004::register_2Call { agentURI: card }.abi_encode().into();
        let receipt = self.sender.send_encoded(self.address, input, self.sender.chain.config.gas_cap).await?;
        let mut said = receipt.inner.logs().iter().filter(|log| log.address() == self.address);
        let agent_id = said
            .find_map(|log| Registry8004::Registered::decode_log(&log.inner).ok())
            .map(|registered| registered.agentId)
            .ok_or(EscrowError::UnknownOutcome { tx: receipt.transaction_hash })?;
        Ok(RegisteredAgent { agent_id, tx: Tx::of(&receipt) })
    }

    /// Writes a piece of an agent's metadata, such as `libp2p.peerId`.
    ///
    /// # Errors
    /// As [`EscrowClient::fund`](crate::EscrowClient::fund); [`Revert::Registry`].
    pub async fn set_metadata(&self, agent_id: U256, key: String, value: Bytes) -> Result<Tx, EscrowError> {
        let call = Registry8004::setMetadataCall { agentId: agent_id, metadataKey: key, metadataValue: value };
        self.sender.send(self.address, call).await
    }

    /// A piece of an agent's metadata; empty if it was never set.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn metadata(&self, agent_id: U256, key: String) -> Result<Bytes, EscrowError> {
        contract_answer(self.contract().getMetadata(agent_id, key).call().await)
    }

    /// The address an agent is paid at; `None` if there is no such agent, or it has none since it changed hands.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn wallet_of(&self, agent_id: U256) -> Result<Option<Address>, EscrowError> {
        match contract_answer(self.contract().getAgentWallet(agent_id).call().await) {
            Ok(wallet) => Ok((!wallet.is_zero()).then_some(wallet)),
            Err(EscrowError::Reverted(Revert::Registry(RegistryRefusal::NoSuchAgent))) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the named clients said of an agent under `tag`, or at all if it is empty. With the escrow as the only client
    /// that is what buyers said of orders they paid for.
    ///
    /// # Errors
    /// That nobody answers; [`Revert::Registry`] if nobody is named.
    pub async fn summary(
        &self,
        agent_id: U256,
        clients: Vec<Address>,
        tag: String,
    ) -> Result<FeedbackSummary, EscrowError> {
        let said = contract_answer(self.contract().getSummary(agent_id, clients, tag, String::new()).call().await)?;
        Ok(FeedbackSummary { count: said.count, value: said.summaryValue, decimals: said.summaryValueDecimals })
    }

    fn contract(&self) -> Registry8004::Registry8004Instance<RootProvider> {
        Registry8004::new(self.address, self.sender.chain.provider.clone())
    }
}
