//! The token's signed transfers: the escrow room, with the gas of whoever asks.

use super::refused::{refused, shortened};
use crate::keyring::Keyring;
use async_trait::async_trait;
use haggle_base::{Address, B256, Coded as _, Did, PaymentKey, U256};
use haggle_escrow::{ChainReader, EscrowError, TransferClient, TransferPlace, TransferStanding};
use haggle_settlement::ports::exact::{ExactChain, Head, Mined, Standing, TransferError, TransferRefusal};
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

/// The token as the till sees it: every transfer is sent by one key.
pub(crate) struct TillPort {
    reader: ChainReader,
    client: TransferClient,
}

impl TillPort {
    /// `gas` sends, and pays for it.
    pub(crate) fn new(reader: ChainReader, gas: &PaymentKey) -> Result<Self, EscrowError> {
        Ok(Self { client: TransferClient::new(reader.clone(), gas)?, reader })
    }

    /// What a refusal of the token means, which tokens word differently: read from the chain.
    async fn why(&self, transfer: &Transfer, error: EscrowError) -> TransferError {
        match error {
            EscrowError::RpcDown { .. } | EscrowError::RpcBadAnswer => TransferError::Down,
            EscrowError::UnknownOutcome { tx } => TransferError::OutcomeUnknown { tx: Some(tx) },
            EscrowError::Reverted(_) | EscrowError::RevertedOnChain { .. } => {
                let refusal = self.refusal(transfer, &error).await;
                refusal.map_or(TransferError::Down, TransferError::Refused)
            }
            other => TransferError::NotNow { reason: shortened(&other) },
        }
    }

    async fn refusal(&self, transfer: &Transfer, error: &EscrowError) -> Option<TransferRefusal> {
        if self.reader.authorization_used(transfer.from, transfer.nonce).await.ok()? {
            return Some(TransferRefusal::Used);
        }
        let now = U256::from(self.reader.latest().await.ok()?.time.as_secs());
        if now >= transfer.valid_before {
            return Some(TransferRefusal::Expired);
        }
        if now <= transfer.valid_after {
            return Some(TransferRefusal::NotYetValid);
        }
        if self.reader.balance_of(transfer.from).await.ok()? < transfer.value {
            return Some(TransferRefusal::Funds);
        }
        let said = shortened(error);
        let is_signature = said.contains("signature") || error.code().contains("signature");
        Some(if is_signature { TransferRefusal::Signature } else { TransferRefusal::Other(said) })
    }

    async fn mined(&self, tx: B256, block: u64) -> Result<Mined, TransferError> {
        let place = self.client.place(tx, block).await;
        place.map(mined).map_err(|_| TransferError::OutcomeUnknown { tx: Some(tx) })
    }
}

impl fmt::Debug for TillPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TillPort").field("sender", &self.client.address()).finish_non_exhaustive()
    }
}

const fn mined(place: TransferPlace) -> Mined {
    Mined { tx: place.tx, block: place.block, hash: place.block_hash, time: place.time }
}

fn unread(error: &EscrowError) -> TransferError {
    match error {
        EscrowError::RpcDown { .. } | EscrowError::RpcBadAnswer => TransferError::Down,
        other => TransferError::NotNow { reason: shortened(other) },
    }
}

#[async_trait]
impl ExactChain for TillPort {
    async fn simulate(&self, transfer: &Transfer) -> Result<(), TransferError> {
        match self.client.would_pass(&transfer.message(), &transfer.signature).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.why(transfer, error).await),
        }
    }

    async fn transfer(&self, transfer: &Transfer) -> Result<Mined, TransferError> {
        match self.client.transfer(&transfer.message(), &transfer.signature).await {
            Ok(tx) => self.mined(tx.hash, tx.block).await,
            Err(error) => Err(self.why(transfer, error).await),
        }
    }

    async fn standing(&self, transfer: &Transfer) -> Result<Standing, TransferError> {
        match self.client.standing(&transfer.message()).await.map_err(|error| unread(&error))? {
            TransferStanding::Open => Ok(Standing::Open),
            TransferStanding::Made(place) => Ok(Standing::Paid(mined(place))),
            TransferStanding::Void => Ok(Standing::Void),
        }
    }

    async fn block_hash(&self, block: u64) -> Result<Option<B256>, TransferError> {
        self.reader.block_hash(block).await.map_err(|error| unread(&error))
    }

    async fn head(&self) -> Result<Head, TransferError> {
        let head = self.reader.latest().await.map_err(|error| unread(&error))?;
        Ok(Head { block: head.number, time: head.time })
    }

    fn senders(&self) -> Vec<Address> {
        vec![self.client.address()]
    }
}
