//! The one thread that writes: apply what waits, flush once, then answer.

use std::{sync::Arc, thread, time::Duration};

use tokio::sync::{mpsc, oneshot};

use crate::{
    Batch, StoreError,
    batch::{Condition, MAX_BATCH_OPS, Op},
    engine::Engine,
};

/// Most batches that share one flush.
const MAX_GROUP: usize = 64;
/// A group of at least this many is followed by one that is given time to form: whoever waited together comes back
/// together. A lone committer never waits for others.
const CROWD: usize = 4;
/// That time.
const GATHER: Duration = Duration::from_millis(2);

/// Answer to one command.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// Work that wants the engine for itself, such as an export.
pub(crate) type Exclusive = Box<dyn FnOnce(&dyn Engine) + Send>;

/// What the writer can be asked for.
pub(crate) enum Command {
    Commit { batch: Batch, reply: Reply<()> },
    Exclusive(Exclusive),
    Shutdown { reply: Reply<()> },
}

/// Starts the writer; it ends on `Shutdown` or when the last sender is gone.
pub(crate) fn spawn(engine: Arc<dyn Engine>, commands: mpsc::Receiver<Command>) -> Result<(), StoreError> {
    let writer = Writer { engine, commands, before: 0, failed: None };
    thread::Builder::new().name("haggle-store-writer".to_owned()).spawn(move || writer.run())?;
    Ok(())
}

struct Writer {
    engine: Arc<dyn Engine>,
    commands: mpsc::Receiver<Command>,
    /// How many batches the group before had.
    before: usize,
    /// The failure after which no commit is taken: what is applied may not be on disk.
    failed: Option<StoreError>,
}

impl Writer {
    fn run(mut self) {
        while let Some(first) = self.commands.blocking_recv() {
            let mut group = Vec::new();
            let mut next = self.gather(Some(first), &mut group);
            if next.is_none() && self.before >= CROWD && group.len() < self.before {
                thread::park_timeout(GATHER);
                let more = self.commands.try_recv().ok();
                next = self.gather(more, &mut group);
            }
            if !group.is_empty() {
                self.before = group.len();
                self.commit(group);
            }
            match next {
                Some(Command::Exclusive(work)) => work(self.engine.as_ref()),
                Some(Command::Shutdown { reply }) => return self.shutdown(reply),
                Some(Command::Commit { .. }) | None => {}
            }
        }
    }

    /// Takes the batches that wait, as far as they fit one group; gives back what came after them.
    fn gather(&mut self, mut next: Option<Command>, group: &mut Vec<(Batch, Reply<()>)>) -> Option<Command> {
        while let Some(Command::Commit { batch, reply }) = next {
            group.push((batch, reply));
            next = if group.len() < MAX_GROUP { self.commands.try_recv().ok() } else { None };
        }
        next
    }

    /// Applies the batches whose conditions hold, all at once, flushes once, then answers. Each batch sees what those before
    /// it write.
    fn commit(&mut self, group: Vec<(Batch, Reply<()>)>) {
        let (mut ops, mut replies) = (Vec::new(), Vec::with_capacity(group.len()));
        let mut outcome = self.failed.clone().map_or(Ok(()), Err);
        for (batch, reply) in group {
            if ops.len() + batch.ops.len() > MAX_BATCH_OPS {
                outcome = outcome.and_then(|()| self.apply(&mut ops));
            }
            match outcome.clone().and_then(|()| self.require(&batch.conditions, &ops)) {
                Ok(()) => {
                    ops.extend(batch.ops);
                    replies.push(reply);
                }
                Err(error) => answer(reply, Err(error)),
            }
        }
        if replies.is_empty() {
            return;
        }
        let outcome = outcome.and_then(|()| self.apply(&mut ops)).and_then(|()| self.engine.flush());
        if let Err(error) = &outcome {
            self.fail(error);
        }
        for reply in replies {
            answer(reply, outcome.clone());
        }
    }

    /// Applies what has gathered, wholly or not at all.
    fn apply(&mut self, ops: &mut Vec<Op>) -> Result<(), StoreError> {
        let ops = std::mem::take(ops);
        if ops.is_empty() {
            return Ok(());
        }
        self.engine.apply(&ops).inspect_err(|error| self.fail(error))
    }

    /// Checks conditions against the engine and what is going to be written to it.
    fn require(&self, conditions: &[Condition], coming: &[Op]) -> Result<(), StoreError> {
        for condition in conditions {
            let same = |op: &&Op| op.key == condition.key && op.table == condition.table;
            let held = match coming.iter().rev().find(same) {
                Some(op) => op.value.clone(),
                None => self.engine.get(&condition.table, &condition.key)?,
            };
            if held != condition.value {
                return Err(StoreError::Precondition { table: condition.table.clone().into_owned() });
            }
        }
        Ok(())
    }

    fn fail(&mut self, error: &StoreError) {
        if error.is_fatal() && self.failed.is_none() {
            tracing::error!(error = %error, "the store takes no more writes: {error}");
            self.failed = Some(error.clone());
        }
    }

    fn shutdown(self, reply: Reply<()>) {
        let outcome = match self.failed {
            Some(error) => Err(error),
            None => self.engine.flush(),
        };
        drop(self.commands);
        drop(self.engine);
        answer(reply, outcome);
    }
}

/// The committer may have gone away; what it asked for is done all the same.
fn answer(reply: Reply<()>, outcome: Result<(), StoreError>) {
    if reply.send(outcome).is_err() {
        tracing::debug!("a committer left before its answer");
    }
}
