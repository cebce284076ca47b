//! Roots of attestations, posted for good.

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::RootProvider;
use alloy::sol_types::{SolCall as _, SolEvent as _};
use haggle_base::PaymentKey;

use crate::bindings::anchor::Anchor;
use crate::chain::{ChainReader, contract_answer};
use crate::error::EscrowError;
use crate::sender::{Sender, Tx};

/// A posted root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostedRoot {
    /// The root's number among its publisher's, from zero.
    pub epoch: U256,
    /// The transaction.
    pub tx: Tx,
}

/// The anchor contract through one payment key: the publisher.
///
/// Posting is the one step that is not safe to ask for twice: each post takes the publisher's next epoch. Look at
/// [`Self::root_of`] the latest one first if an earlier answer was lost.
#[derive(Debug, Clone)]
pub struct AnchorClient {
    sender: Sender,
    address: Address,
}

impl AnchorClient {
    /// A client of the anchor over an existing connection. Nothing is asked yet.
    ///
    /// # Errors
    /// [`EscrowError::BadKey`].
    pub fn new(chain: ChainReader, anchor: Address, signer: &PaymentKey) -> Result<Self, EscrowError> {
        Ok(Self { sender: Sender::new(chain, signer)?, address: anchor })
    }

    /// Posts the signer's next root. `cid` says where the batch can be had, in at most 64 bytes.
    ///
    /// # Errors
    /// As [`EscrowClient::fund`](crate::EscrowClient::fund); [`Revert::Anchor`](crate::Revert::Anchor).
    pub async fn post(&self, root: B256, cid: Bytes) -> Result<PostedRoot, EscrowError> {
        let input = Anchor::postCall { root, cid }.abi_encode().into();
        let receipt = self.sender.send_encoded(self.address, input, self.sender.chain.config.gas_cap).await?;
        let mut said = receipt.inner.logs().iter().filter(|log| log.address() == self.address);
        let epoch = said
            .find_map(|log| Anchor::Posted::decode_log(&log.inner).ok())
            .map(|posted| posted.epoch)
            .ok_or(EscrowError::UnknownOutcome { tx: receipt.transaction_hash })?;
        Ok(PostedRoot { epoch, tx: Tx::of(&receipt) })
    }

    /// How many roots a publisher has posted.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn epochs(&self, publisher: Address) -> Result<U256, EscrowError> {
        contract_answer(self.contract().epochs(publisher).call().await)
    }

    /// A publisher's root; `None` if it has not posted that many.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn root_of(&self, publisher: Address, epoch: U256) -> Result<Option<B256>, EscrowError> {
        let root = contract_answer(self.contract().rootOf(publisher, epoch).call().await)?;
        Ok((!root.is_zero()).then_some(root))
    }

    /// Whether the attestation with this hash is in the batch, shown by its siblings from the leaf up.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn verify(
        &self,
        publisher: Address,
        epoch: U256,
        attestation: B256,
        proof: Vec<B256>,
    ) -> Result<bool, EscrowError> {
        contract_answer(self.contract().verify(publisher, epoch, attestation, proof).call().await)
    }

    fn contract(&self) -> Anchor::AnchorInstance<RootProvider> {
        Anchor::new(self.address, self.sender.chain.provider.clone())
    }
}
