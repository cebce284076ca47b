//! The token's signed transfers: the escrow room, with the gas of whoever asks.

use super::refused::refused;
use crate::keyring::Keyring;
use async_trait::async_trait;
use haggle_base::{Address, B256, Did, PaymentKey};
use haggle_escrow::{ChainReader, EscrowError, TransferClient};
use haggle_settlement::ports::{ChainError, TxRef};
use haggle_settlement::purse::TokenChain;
use haggle_x402::exact::Transfer;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The token as the purse sees it.
pub(crate) struct TokenPort {
    reader: ChainReader,
    keys: Arc<Keyring>,
    gas: PaymentKey,
    clients: Mutex<BTreeMap<Address, TransferClient>>,
}

impl TokenPort {
    /// `gas` pays for agents whose key is not here.
    pub(crate) fn new(reader: ChainReader, keys: Arc<Keyring>, gas: PaymentKey) -> Self {
        Self { reader, keys, gas, clients: Mutex::default() }
    }

    fn client(&self, agent: &Did) -> Result<TransferClient, EscrowError> {
        let key = self.keys.get(agent).map_or_else(|| self.gas.clone(), |keys| keys.payment);
        let mut clients = self.clients.lock();
        if let Some(client) = clients.get(&key.address()) {
            return Ok(client.clone());
        }
        let client = TransferClient::new(self.reader.clone(), &key)?;
        clients.insert(key.address(), client.clone());
        Ok(client)
    }
}

impl fmt::Debug for TokenPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenPort").finish_non_exhaustive()
    }
}

#[async_trait]
impl TokenChain for TokenPort {
    async fn is_used(&self, payer: Address, nonce: B256) -> Result<bool, ChainError> {
        self.reader.authorization_used(payer, nonce).await.map_err(|error| refused(&error))
    }

    async fn transfer(&self, agent: &Did, transfer: &Transfer) -> Result<TxRef, ChainError> {
        let client = self.client(agent).map_err(|error| refused(&error))?;
        let sent = client.transfer(&transfer.message(), &transfer.signature).await;
        sent.map(|tx| TxRef { hash: tx.hash, block: tx.block }).map_err(|error| refused(&error))
    }
}
