//! Answers, kept until nobody asks for them any more: short ones in the store, long ones in files.

use std::sync::Arc;

use haggle_base::Hash;
use haggle_store::{Batch, StoreError};

use super::{
    Inner,
    record::{SMALL_ANSWER, SpendKey, StoredAnswer, TillAnswers},
};
use crate::SettlementError;

/// Bytes of the mark in front of a file's answer, which makes the file this payment's own.
const MARK: usize = 32;

impl Inner {
    /// Prepares an answer to be stored with `batch`. Its file, if it needs one, is on disk when this returns.
    pub(super) async fn keep_answer(
        self: &Arc<Self>,
        key: &SpendKey,
        answer: &[u8],
        batch: &mut Batch,
    ) -> Result<(), SettlementError> {
        let stored = if answer.len() <= SMALL_ANSWER {
            let bytes = answer.try_into().map_err(|_| SettlementError::Stopped)?;
            StoredAnswer::Here(bytes)
        } else {
            let mut bytes = mark(key).as_bytes().to_vec();
            bytes.extend_from_slice(answer);
            let blobs = self.blobs.clone();
            let put = tokio::task::spawn_blocking(move || blobs.put(&bytes));
            StoredAnswer::File(put.await.map_err(|_| SettlementError::Stopped)??)
        };
        batch.put::<TillAnswers>(key, &stored)?;
        Ok(())
    }

    /// The stored answer of a payment.
    pub(super) async fn answer(&self, key: &SpendKey) -> Result<Vec<u8>, SettlementError> {
        match self.store().get::<TillAnswers>(key)? {
            Some(StoredAnswer::Here(bytes)) => Ok(bytes.into_vec()),
            Some(StoredAnswer::File(name)) => {
                let blobs = self.blobs.clone();
                let got = tokio::task::spawn_blocking(move || blobs.get(&name));
                let mut bytes = got.await.map_err(|_| SettlementError::Stopped)??.ok_or(StoreError::BlobDamaged)?;
                bytes.drain(..MARK.min(bytes.len()));
                Ok(bytes)
            }
            None => Err(StoreError::BlobDamaged.into()),
        }
    }

    /// Deletes the file of an answer whose row is gone.
    pub(super) async fn drop_file(&self, stored: Option<StoredAnswer>) -> Result<(), SettlementError> {
        if let Some(StoredAnswer::File(name)) = stored {
            let blobs = self.blobs.clone();
            let gone = tokio::task::spawn_blocking(move || blobs.delete(&name));
            gone.await.map_err(|_| SettlementError::Stopped)??;
        }
        Ok(())
    }
}

/// What makes a payment's file its own: two equal answers are two files, and the end of one leaves the other.
fn mark(key: &SpendKey) -> Hash {
    let (chain, token, payer, nonce) = key;
    let parts = [&chain.to_be_bytes()[..], &token[..], &payer[..], &nonce[..]];
    Hash::of(&parts.concat())
}
