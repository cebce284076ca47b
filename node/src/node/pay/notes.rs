//! Telling the agents that were paid by transfer what for: kept until they were told, and told again until they answer.

use super::super::Inner;
use super::super::api::coded;
use crate::events::Happened;
use crate::note::{self, Note, NoteReply};
use futures::StreamExt as _;
use haggle_a2a::{A2aError, ServiceParams};
use haggle_base::{Coded as _, Did, Text, Timestamp};
use haggle_gateway::ApiError;
use haggle_settlement::arrivals::Told;
use haggle_settlement::purse::{Purchase, PurchaseState};
use haggle_store::{Batch, tables};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Transfers that wait to be told of; with one more the oldest goes.
const MOST: usize = 1_000;
/// How long a transfer is told of: less than receivers take to forget.
const LIVES: Duration = Duration::from_secs(4 * 24 * 3600);
/// How long a transfer that was not made is waited for.
const UNMADE: Duration = Duration::from_secs(3600);
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// Receivers that are told at one time.
const AT_ONCE: usize = 4;
/// How often it is looked for something to tell.
const EVERY: Duration = Duration::from_secs(1);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A transfer by its agent and key.
type Name = (Did, String);

tables! {
    /// Transfers whose receivers are to be told.
    pub(crate) NotesToTell = "node-transfer-notes-1": Name => NoteRow;
}

/// Whom to tell of a transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoteRow {
    payee: Did,
    at: Timestamp,
}

/// What came of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tried {
    /// There is nothing more to tell.
    Done,
    /// It is to be tried again.
    Later,
}

impl Inner {
    /// Remembers that `payee` is to be told of a transfer. On disk before the transfer is signed.
    pub(super) async fn to_be_told(&self, agent: &Did, key: &str, payee: Did) -> Result<(), ApiError> {
        let rows = self.money.range::<NotesToTell>(Bound::Unbounded, MOST).map_err(coded)?;
        let mut batch = Batch::new();
        if rows.len() >= MOST
            && let Some((oldest, row)) = rows.iter().min_by_key(|(_, row)| row.at)
        {
            tracing::warn!(payment.key = oldest.1, agent.id = %row.payee, "{} is not told of a transfer: too many wait", row.payee);
            batch.delete::<NotesToTell>(oldest);
        }
        let row = NoteRow { payee, at: self.clock.now() };
        batch.put::<NotesToTell>(&(*agent, key.to_owned()), &row).map_err(coded)?;
        self.money.commit(batch).await.map_err(coded)
    }

    /// Tries to tell of one transfer.
    async fn tell_of_transfer(&self, name: &Name, row: &NoteRow) -> Result<Tried, ApiError> {
        let age = self.clock.now().since(row.at);
        let made = self.purse.find(&name.0, &name.1).map_err(coded)?;
        let Some(made) = made.filter(|purchase| purchase.state == PurchaseState::Paid) else {
            return Ok(if age > UNMADE { Tried::Done } else { Tried::Later });
        };
        let reply = match self.keys.get(&row.payee) {
            Some(_) => Some(self.tell_ourselves(&made, row).await?),
            None => match self.tell_node(&made, row).await {
                Ok(reply) => reply,
                Err(error) => {
                    tracing::debug!(payment.key = name.1, "{} cannot be told of a transfer: {error}", row.payee);
                    return Ok(if age > LIVES { Tried::Done } else { Tried::Later });
                }
            },
        };
        match reply {
            Some(NoteReply::Taken { .. }) => {
                self.events.tell(Happened::TransferTold, json!({"key": name.1, "agent": name.0, "to": row.payee}));
                Ok(Tried::Done)
            }
            Some(NoteReply::Reject { retryable: true, .. }) if age <= LIVES => Ok(Tried::Later),
            Some(NoteReply::Reject { code, .. }) => {
                tracing::warn!(
                    payment.key = name.1,
                    error.code = code,
                    "{} did not take a note about a transfer",
                    row.payee
                );
                Ok(Tried::Done)
            }
            None => Ok(Tried::Done),
        }
    }

    /// The payee is an agent of this node too.
    async fn tell_ourselves(&self, made: &Purchase, row: &NoteRow) -> Result<NoteReply, ApiError> {
        let transfer = note::transfer(&made.authorization, self.file.token.address);
        let transfer = transfer.ok_or_else(|| ApiError::internal(&"a transfer that was made cannot be read"))?;
        let told = Told { payee: row.payee, payer: made.agent, transfer, memo: memo(made) };
        Ok(self.notes.take(told).await)
    }

    /// Sends the signed note. `None` if the other node answers with something else: it does not speak of notes.
    async fn tell_node(&self, made: &Purchase, row: &NoteRow) -> Result<Option<NoteReply>, A2aError> {
        let internal = |cause: &str| A2aError::new(haggle_a2a::Kind::Internal, cause);
        let keys = self.keys.get(&made.agent).ok_or_else(|| internal("the payer's key is not held"))?;
        let binding = self.keys.bind(&made.agent).ok_or_else(|| internal("the payer's key is not held"))?;
        let note = Note {
            network: format!("eip155:{}", self.file.chain_id),
            token: self.file.token.address,
            authorization: made.authorization.clone(),
            tx: made.tx,
            memo: memo(made),
            binding,
        };
        let message = note.message(made.agent, &row.payee, self.clock.now());
        let signed = message.and_then(|message| message.sign(&keys.agent)).map_err(|error| internal(error.code()))?;
        let id = signed.message().id.as_str().to_owned();
        let request = json!({
            "jsonrpc": "2.0", "id": id, "method": "SendMessage", "params": {"message": note::carry(&signed)},
        });
        let params = ServiceParams::for_request(&request);
        let answer = self.directory.call(&row.payee, request, params, PATIENCE).await?;
        match answer.get("error").and_then(A2aError::from_json) {
            Some(error) if error.is_retryable() || error.is_outcome_unknown() => Err(error),
            _ => Ok(NoteReply::from_a2a(answer.pointer("/result/message").unwrap_or(&Value::Null))),
        }
    }
}

fn memo(made: &Purchase) -> Text<{ haggle_settlement::ledger::MAX_MEMO }> {
    Text::try_from(made.about.as_str()).unwrap_or_default()
}

/// Tells of transfers until everybody was told: at once, and again and again those who do not answer.
pub(in crate::node) async fn tell_of_transfers(inner: Arc<Inner>) {
    let mut tried: BTreeMap<Name, (u32, Instant)> = BTreeMap::new();
    loop {
        match inner.money.range::<NotesToTell>(Bound::Unbounded, MOST) {
            Ok(rows) => {
                tried.retain(|name, _| rows.iter().any(|(known, _)| known == name));
                let now = Instant::now();
                let is_due = |name: &Name| tried.get(name).is_none_or(|(_, next)| *next <= now);
                let due: Vec<_> = rows.into_iter().filter(|(name, _)| is_due(name)).collect();
                tell_all(&inner, due, &mut tried).await;
            }
            Err(error) => tracing::warn!(error.code = error.code(), "notes to tell cannot be read: {error}"),
        }
        // either somebody is to be told, or it is time to try again
        let _woken = tokio::time::timeout(EVERY, inner.told.notified()).await;
    }
}

async fn tell_all(inner: &Inner, due: Vec<(Name, NoteRow)>, tried: &mut BTreeMap<Name, (u32, Instant)>) {
    let telling = due.into_iter().map(|(name, row)| async move {
        let came = inner.tell_of_transfer(&name, &row).await;
        (name, came)
    });
    let mut telling = futures::stream::iter(telling).buffer_unordered(AT_ONCE);
    let mut done = Batch::new();
    while let Some((name, came)) = telling.next().await {
        match came {
            Ok(Tried::Done) => drop(done.delete::<NotesToTell>(&name)),
            came => {
                if let Err(error) = came {
                    tracing::warn!(error.code = &*error.code, "a transfer cannot be told of: {error}");
                }
                let (times, next) = tried.entry(name).or_insert((0, Instant::now()));
                *next = Instant::now() + LONGEST_PAUSE.min(EVERY * 2_u32.saturating_pow(*times));
                *times = times.saturating_add(1);
            }
        }
    }
    if !done.is_empty()
        && let Err(error) = inner.money.commit(done).await
    {
        tracing::warn!(error.code = error.code(), "that somebody was told of a transfer is not stored: {error}");
    }
}
