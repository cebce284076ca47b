//! What a host says of an agent that it serves: the exchange of `/haggle/<network>/agent/1`.
//!
//! One question, [`About`], and one frame of [`Reply`]: the agent's card first, then its listings, as they were signed. Whoever
//! asks came by a pointer, or has the card of another day, so it can say exactly what an honest host sends.

use std::{collections::HashSet, time::Duration};

use haggle_base::{Blob, Did, List, PeerId};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::wire::{Refusal, Reply};
use super::{Answered, QUESTION_PATIENCE, READING_PATIENCE, SearchError};
use crate::{
    door::{AnyRecord, is_senders_fault},
    error::CatalogError,
    frames,
    handle::Catalog,
    wire::MAX_FRAME_BYTES,
};

/// Largest question without its length, in bytes.
pub const MAX_ABOUT_BYTES: usize = 128;

/// Records of one answer: a card and its listings.
pub const MAX_OF_AGENT: usize = 17;

/// What of the one frame is for records; the rest is for their heads.
const RECORD_BUDGET: usize = MAX_FRAME_BYTES - 1024;

/// What do you say of this agent?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The agent.
    pub agent: Did,
}

impl Catalog {
    /// Asks a host over a stream for an agent's card and listings, and keeps what stands every check; true if the shelf holds
    /// something new then.
    ///
    /// # Errors
    /// [`SearchError`]; [`SearchError::is_peers_fault`] tells whether to penalise the host.
    pub async fn ask_about<S>(
        &self,
        mut stream: S,
        peer: PeerId,
        agent: &Did,
        patience: Duration,
    ) -> Result<bool, SearchError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let asking = async {
            frames::write(&mut stream, &About { agent: *agent }).await?;
            stream.flush().await?;
            Ok::<_, SearchError>(frames::read::<Reply, _>(&mut stream, MAX_FRAME_BYTES).await?.0)
        };
        let records = match timeout(patience, asking).await.map_err(|_| SearchError::Timeout)?? {
            Reply::Records { records } if records.len() > MAX_OF_AGENT => return Err(SearchError::TooMuch),
            Reply::Records { records } => records,
            Reply::Refused { why } => return Err(SearchError::Refused(why)),
            Reply::End { .. } => return Err(SearchError::NotAsked),
        };
        let mut verified = Vec::with_capacity(records.len());
        for (at, bytes) in records.into_iter().enumerate() {
            match AnyRecord::open(bytes.into_vec(), self.network(), self.shared.clock.now()) {
                Ok(record) if record.author() != *agent || record.is_card() != (at == 0) => {
                    return Err(SearchError::NotAsked);
                }
                Ok(record @ (AnyRecord::Card(_) | AnyRecord::Listing(_))) => verified.push(record),
                Ok(AnyRecord::Tombstone(_) | AnyRecord::Attestation(_)) => return Err(SearchError::NotAsked),
                Err(error) if is_senders_fault(&error) => return Err(SearchError::BadRecord(error)),
                Err(error) => tracing::debug!(%error, "a record of {agent} is left out: {error}"),
            }
        }
        let is_news = self.keep(peer, verified, &mut HashSet::new()).await?;
        if is_news {
            self.flush().await?;
        }
        Ok(is_news)
    }

    /// Answers the question of one stream; of agents that `serves` says no to it has nothing to say.
    ///
    /// # Errors
    /// [`SearchError`]; [`SearchError::is_peers_fault`] tells whether to penalise the peer.
    pub async fn answer_about<S>(
        &self,
        mut stream: S,
        serves: impl FnOnce(&Did) -> bool + Send,
    ) -> Result<Answered, SearchError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let reading = frames::read::<About, _>(&mut stream, MAX_ABOUT_BYTES);
        let (About { agent }, _) = timeout(QUESTION_PATIENCE, reading).await.map_err(|_| SearchError::Timeout)??;
        let said = if serves(&agent) {
            let catalog = self.clone();
            let reading = tokio::task::spawn_blocking(move || catalog.said_by(&agent)).await;
            reading.map_err(|_| CatalogError::Closed).flatten()
        } else {
            Ok(List::new())
        };
        let reply = match said {
            Ok(records) => Reply::Records { records },
            Err(error) => {
                tracing::warn!(%error, "the records of {agent} cannot be read: {error}");
                Reply::Refused { why: Refusal::Failed }
            }
        };
        let records = if let Reply::Records { records } = &reply { records.len() } else { 0 };
        let writing = async {
            let bytes = frames::write(&mut stream, &reply).await?;
            stream.shutdown().await?;
            Ok(Answered { records, bytes: bytes as u64 })
        };
        timeout(READING_PATIENCE, writing).await.map_err(|_| SearchError::Timeout)?
    }

    /// An agent's card and as many of its listings as fit, the newest first; nothing without a card.
    fn said_by<const N: usize, const M: usize>(&self, agent: &Did) -> Result<List<Blob<N>, M>, CatalogError> {
        let mut said = List::new();
        let Some(card) = self.card(agent)? else { return Ok(said) };
        let listings = self.listings_of(agent)?;
        let listings = listings.iter().rev().map(haggle_base::Verified::bytes);
        let mut left = RECORD_BUDGET;
        for bytes in std::iter::once(card.bytes()).chain(listings).take(MAX_OF_AGENT) {
            let Some(rest) = left.checked_sub(bytes.len()) else { break };
            let Ok(blob) = Blob::try_from(&**bytes) else { break };
            if said.push(blob).is_err() {
                break;
            }
            left = rest;
        }
        Ok(said)
    }
}

#[cfg(test)]
mod tests;
