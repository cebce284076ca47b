//! Making two shelves equal over one stream, all shards at once.
//!
//! The sides take turns, so neither ever writes while the other does. The dialling side leads:
//! in its turn it sends negentropy messages, asks for what it lacks and gives what the other
//! lacks; the following side answers. When nothing is left to say the leader sends `Done`, the
//! follower answers `Done` after it has put everything, and both hold the same set.
//!
//! [`session`] is the pure machine; this file drives it over a stream.

use std::time::Duration;

use haggle_base::{Coded, PeerId, RecordId};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::Instant,
};

use crate::{
    door::is_senders_fault,
    error::{CatalogError, SyncError},
    frames,
    handle::{Catalog, Origin, PendingPut},
    shards::Shards,
    shelf::event,
    wire::{Frame, MAX_FRAME_BYTES, pack},
};

pub mod digest;
pub mod pace;
#[cfg(test)]
mod parts;
pub mod session;
#[cfg(test)]
mod tests;

use session::{Session, Step};

/// Bytes of frames that one side may send in a session: 128 MiB.
const MAX_BYTES_IN: u64 = 128 * 1024 * 1024;

/// Frames in one turn.
const MAX_FRAMES_PER_TURN: usize = 4096;

/// Which side of a sync this node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Opened the stream and leads.
    Leader,
    /// Accepted the stream and follows.
    Follower,
}

/// What a finished sync did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SyncReport {
    /// Turns this side took.
    pub turns: u32,
    /// Records that were new to this node.
    pub received: u32,
    /// Records this node gave.
    pub sent: u32,
    /// Records that came but were not new, refused for quota or outdated.
    pub declined: u32,
    /// Ids asked for and not given: replaced in the meantime, or refused by the peer for quota.
    pub missing: u32,
    /// Bytes read.
    pub bytes_in: u64,
    /// Time this side was at work, and not waiting for the other.
    pub busy: Duration,
    /// Not everything that this node holds was compared: the leader gave what it has of its own or left out shards that
    /// differ, or the peer does not hold all of them.
    pub is_gift: bool,
    /// The shards in which nothing differs now.
    pub covered: Shards,
    /// Records of its own that this node gave without comparing; they are no sign of loss.
    pub gifted: u32,
}

impl SyncReport {
    /// What the session cost this side.
    #[must_use]
    pub const fn spent(&self) -> pace::Spent {
        pace::Spent { sessions: 1, turns: self.turns, bytes: self.bytes_in, busy: self.busy }
    }

    /// What it says about how complete the two were.
    #[must_use]
    pub const fn ended(&self) -> pace::Ended {
        match (self.is_gift, self.received > 0 || self.sent > self.gifted) {
            (true, _) => pace::Ended::Given { news: self.received > 0 },
            (false, true) => pace::Ended::Found,
            (false, false) => pace::Ended::Equal,
        }
    }
}

/// Runs one session to its end.
pub(crate) async fn drive<S>(
    catalog: &Catalog,
    stream: S,
    mut session: Session,
    peer: PeerId,
    patience: Duration,
) -> Result<SyncReport, SyncError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut talk = Talk { catalog, stream, peer, patience, report: SyncReport::default() };
    let role = session.role();
    if role == Role::Leader {
        let step = session.start(&*catalog.shelf())?;
        talk.send(step).await?;
    }
    loop {
        if talk.read_turn(&mut session).await? {
            break;
        }
        let begun = Instant::now();
        let step = session.take_turn()?;
        talk.report.busy += begun.elapsed();
        let done = step.done;
        talk.send(step).await?;
        if done && role == Role::Follower {
            break;
        }
    }
    talk.report.turns = session.turns();
    talk.report.missing = session.missing();
    talk.report.is_gift = session.is_gift();
    talk.report.covered = session.covered();
    talk.report.gifted = session.gifted();
    Ok(talk.report)
}

struct Talk<'a, S> {
    catalog: &'a Catalog,
    stream: S,
    peer: PeerId,
    patience: Duration,
    report: SyncReport,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<'_, S> {
    /// Reads frames until it is our turn; true if the other side says that all is done and we
    /// have nothing to answer.
    async fn read_turn(&mut self, session: &mut Session) -> Result<bool, SyncError> {
        let mut storing = None;
        for _ in 0..MAX_FRAMES_PER_TURN {
            let frame = self.read_frame().await?;
            let begun = Instant::now();
            let heard = session.hear(frame, &*self.catalog.shelf())?;
            self.report.busy += begun.elapsed();
            match heard {
                session::Heard::More => {}
                session::Heard::Records(records) => {
                    // these are verified while those before them are stored; no more than two frames are in memory
                    let next = self.catalog.begin_put(records, Origin::Sync { peer: self.peer }).await?;
                    let at_fault = next.is_refused();
                    self.stored(storing.replace(next)).await?;
                    if at_fault {
                        // whoever sends what does not verify is told at once
                        self.stored(storing.take()).await?;
                    }
                    self.report.busy += begun.elapsed();
                }
                turn @ (session::Heard::YourTurn | session::Heard::Finished) => {
                    self.stored(storing).await?;
                    self.report.busy += begun.elapsed();
                    return Ok(matches!(turn, session::Heard::Finished));
                }
            }
        }
        Err(SyncError::TooLong)
    }

    /// Waits until these records are stored, and counts them.
    async fn stored(&mut self, storing: Option<PendingPut>) -> Result<(), SyncError> {
        let Some(storing) = storing else { return Ok(()) };
        for outcome in storing.outcomes().await? {
            match outcome {
                Ok(event) if event.is_new() => self.report.received += 1,
                Ok(
                    event::Put::Fresh { .. }
                    | event::Put::Replaced { .. }
                    | event::Put::Known
                    | event::Put::Stale { .. }
                    | event::Put::OverQuota { .. }
                    | event::Put::Expired
                    | event::Put::NotHeld
                    | event::Put::TooOften,
                ) => self.report.declined += 1,
                Err(error) if is_senders_fault(&error) => return Err(SyncError::BadRecord(error)),
                Err(error) => {
                    tracing::debug!(error.code = error.code(), "a synced record was declined: {error}");
                    self.report.declined += 1;
                }
            }
        }
        Ok(())
    }

    /// Sends a turn: frames, then records, then whose turn it is.
    async fn send(&mut self, step: Step) -> Result<(), SyncError> {
        for frame in &step.frames {
            self.write_frame(frame).await?;
        }
        // Bodies are read a few at a time, so that memory stays bounded.
        for ids in step.give.chunks(64) {
            let records = self.read_bodies(ids)?;
            self.report.sent += u32::try_from(records.len()).unwrap_or(u32::MAX);
            for frame in pack(records) {
                self.write_frame(&frame).await?;
            }
        }
        let end = if step.done { Frame::Done } else { Frame::Turn };
        self.write_frame(&end).await?;
        self.flush().await
    }

    fn read_bodies(&self, ids: &[RecordId]) -> Result<Vec<Vec<u8>>, CatalogError> {
        let mut records = Vec::with_capacity(ids.len());
        for id in ids {
            records.extend(self.catalog.bytes(id)?);
        }
        Ok(records)
    }

    async fn write_frame(&mut self, frame: &Frame) -> Result<(), SyncError> {
        let writing = frames::write(&mut self.stream, frame);
        tokio::time::timeout(self.patience, writing).await.map_err(|_| SyncError::Timeout)??;
        Ok(())
    }

    async fn read_frame(&mut self) -> Result<Frame, SyncError> {
        let reading = frames::read(&mut self.stream, MAX_FRAME_BYTES);
        let (frame, bytes) = tokio::time::timeout(self.patience, reading).await.map_err(|_| SyncError::Timeout)??;
        self.report.bytes_in += bytes as u64;
        if self.report.bytes_in > MAX_BYTES_IN {
            return Err(SyncError::TooLong);
        }
        Ok(frame)
    }

    async fn flush(&mut self) -> Result<(), SyncError> {
        let flushed = tokio::time::timeout(self.patience, self.stream.flush()).await;
        Ok(flushed.map_err(|_| SyncError::Timeout)??)
    }
}
