//! What a node asks of a keeper, or of the recipient's own node.

use std::time::Duration;

use haggle_base::{AgentKey, Blob, Did, Hash, List, NetworkId, PeerId, Timestamp};
use serde::Serialize;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::letter::{Letter, MAX_RECEIPT_BYTES, MAX_TOKEN_BYTES, PASS_TTL, Pass};
use super::wire::{Call, Half, MAX_LETTERS, MAX_QUESTIONS, MAX_RECEIPTS, Question, Reply};
use super::{LetterError, MailError};
use crate::{frames, wire::MAX_FRAME_BYTES};

/// How long a peer may take for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a caller may take for its one question: a frame on a slow line.
const HEAR_PATIENCE: Duration = Duration::from_secs(3);

/// What became of a letter that was brought somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Deposited {
    /// A keeper has it.
    Kept,
    /// The recipient has it, and says so.
    Taken(Blob<MAX_RECEIPT_BYTES>),
}

/// Asks one question and waits for its answer.
async fn ask<S, Q>(stream: &mut S, question: &Q) -> Result<Reply, MailError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    Q: Serialize + Sync,
{
    let asking = async {
        frames::write(stream, question).await?;
        stream.flush().await?;
        Ok::<_, MailError>(frames::read::<Reply, _>(stream, MAX_FRAME_BYTES).await?.0)
    };
    match timeout(PATIENCE, asking).await.map_err(|_| MailError::Timeout)?? {
        Reply::Refused { why } => Err(MailError::Refused(why)),
        reply => Ok(reply),
    }
}

/// Brings a letter: to a keeper with [`Question::Deposit`], to the recipient's own node with [`super::wire::Call::Letter`].
///
/// # Errors
/// [`MailError`].
pub async fn deposit<S, Q>(mut stream: S, question: &Q) -> Result<Deposited, MailError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    Q: Serialize + Sync,
{
    match ask(&mut stream, question).await? {
        Reply::Kept => Ok(Deposited::Kept),
        Reply::Taken { receipt } => Ok(Deposited::Taken(receipt)),
        _ => Err(MailError::NotAsked),
    }
}

/// The questions that bring a letter: to a keeper, and to the recipient's own node.
pub(super) fn bring(letter: &Letter, token: Option<Blob<MAX_TOKEN_BYTES>>) -> Result<(Question, Call), LetterError> {
    let long = |_| LetterError::Untimely;
    let letter = Blob::try_from(letter.document()).map_err(long)?;
    let call = Call::Letter { letter: letter.clone() };
    Ok((Question::Deposit { letter, token }, call))
}

/// Says that there is mail for an agent of the peer.
///
/// # Errors
/// [`MailError`].
pub async fn tell_news<S>(mut stream: S, agent: Did) -> Result<(), MailError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    match ask(&mut stream, &Call::News { agent }).await? {
        Reply::Done => Ok(()),
        _ => Err(MailError::NotAsked),
    }
}

/// Reads the one question of a stream of `inbox/1`, and says how many bytes it has.
///
/// # Errors
/// [`MailError`].
pub async fn hear<S>(stream: &mut S) -> Result<(Call, u64), MailError>
where
    S: AsyncRead + Unpin + Send,
{
    let reading = frames::read::<Call, _>(stream, MAX_FRAME_BYTES);
    let (call, bytes) = timeout(HEAR_PATIENCE, reading).await.map_err(|_| MailError::Timeout)??;
    Ok((call, bytes as u64))
}

/// Answers it.
///
/// # Errors
/// [`MailError`].
pub async fn say<S>(mut stream: S, reply: &Reply) -> Result<(), MailError>
where
    S: AsyncWrite + Unpin + Send,
{
    let writing = async {
        frames::write(&mut stream, reply).await?;
        stream.shutdown().await?;
        Ok(())
    };
    timeout(PATIENCE, writing).await.map_err(|_| MailError::Timeout)?
}

/// A stream to a keeper, for one agent after the other.
#[derive(Debug)]
pub struct Visit<S> {
    stream: S,
    asked: usize,
}

impl<S> Visit<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    /// Begins a visit.
    pub const fn new(stream: S) -> Self {
        Self { stream, asked: 0 }
    }

    /// Whether the stream has no room for what one round of letters takes: the rest is asked for on another one.
    #[must_use]
    pub const fn is_spent(&self) -> bool {
        self.asked + MAX_LETTERS + 8 > MAX_QUESTIONS
    }

    async fn ask(&mut self, question: &Question) -> Result<Reply, MailError> {
        self.asked += 1;
        ask(&mut self.stream, question).await
    }

    /// Speaks for an agent from now on; with `keep`, letters are to be kept for it. Says how many letters and receipts wait.
    ///
    /// # Errors
    /// [`MailError`].
    pub async fn open(
        &mut self,
        network: &NetworkId,
        key: &AgentKey,
        (node, keeper): (PeerId, PeerId),
        keep: bool,
        now: Timestamp,
    ) -> Result<(u32, u32), MailError> {
        let pass = Pass { network: network.clone(), node, keeper, expires: now.plus(PASS_TTL) };
        let pass = Blob::try_from(pass.sign(key)?).map_err(|_| MailError::NotAsked)?;
        match self.ask(&Question::Open { pass, keep }).await? {
            Reply::Opened { letters, receipts } => Ok((letters, receipts)),
            _ => Err(MailError::NotAsked),
        }
    }

    /// The next letters of a half, as signed; none if there are no more.
    ///
    /// # Errors
    /// [`MailError`].
    pub async fn collect(&mut self, half: Half) -> Result<Vec<Vec<u8>>, MailError> {
        match self.ask(&Question::Collect { half }).await? {
            Reply::Letters { letters } => Ok(letters.into_vec().into_iter().map(Blob::into_vec).collect()),
            _ => Err(MailError::NotAsked),
        }
    }

    /// Says that a letter is on disk here, or (without a receipt) that it cannot be used.
    ///
    /// # Errors
    /// [`MailError`].
    pub async fn acknowledge(
        &mut self,
        letter: Hash,
        receipt: Option<Blob<MAX_RECEIPT_BYTES>>,
    ) -> Result<(), MailError> {
        self.done(&Question::Acknowledge { letter, receipt }).await
    }

    /// Receipts for letters of the agent; none if there are no more.
    ///
    /// # Errors
    /// [`MailError`].
    pub async fn receipts(&mut self) -> Result<Vec<Vec<u8>>, MailError> {
        match self.ask(&Question::Receipts).await? {
            Reply::Receipts { receipts } => Ok(receipts.into_vec().into_iter().map(Blob::into_vec).collect()),
            _ => Err(MailError::NotAsked),
        }
    }

    /// Says that these receipts are on disk here.
    ///
    /// # Errors
    /// [`MailError`].
    pub async fn forget(&mut self, letters: List<Hash, MAX_RECEIPTS>) -> Result<(), MailError> {
        self.done(&Question::Forget { letters }).await
    }

    async fn done(&mut self, question: &Question) -> Result<(), MailError> {
        match self.ask(question).await? {
            Reply::Done => Ok(()),
            _ => Err(MailError::NotAsked),
        }
    }
}
