//! The one thread that writes: apply what waits, flush once, then answer.

use std::{sync::Arc, thread};

use tokio::sync::{mpsc, oneshot};

use crate::{Batch, StoreError, batch::Condition, engine::Engine};

/// Most batches that share one flush. Batches never wait for others to arrive: a group is what
/// queued up during the flush before, so it forms and applies well within 5 ms.
const MAX_GROUP: usize = 64;

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
    let writer = Writer { engine, commands, failed: None };
    thread::Builder::new().name("haggle-store-writer".to_owned()).spawn(move || writer.run())?;
    Ok(())
}

struct Writer {
    engine: Arc<dyn Engine>,
    commands: mpsc::Receiver<Command>,
    /// The failure after which no commit is taken: what is applied may not be on disk.
    failed: Option<StoreError>,
}

impl Writer {
    fn run(mut self) {
        while let Some(first) = self.commands.blocking_recv() {
            let mut group = Vec::new();
            let mut next = Some(first);
            while let Some(Command::Commit { batch, reply }) = next {
                group.push((batch, reply));
                next = if group.len() < MAX_GROUP { self.commands.try_recv().ok() } else { None };
            }
            self.commit(group);
            match next {
                Some(Command::Exclusive(work)) => work(self.engine.as_ref()),
                Some(Command::Shutdown { reply }) => return self.shutdown(reply),
                Some(Command::Commit { .. }) | None => {}
            }
        }
    }

    /// Applies each batch by itself, flushes once, then answers all.
    fn commit(&mut self, group: Vec<(Batch, Reply<()>)>) {
        if group.is_empty() {
            return;
        }
        let mut applied = Vec::with_capacity(group.len());
        for (batch, reply) in group {
            match self.apply(&batch) {
                Ok(()) => applied.push(reply),
                Err(error) => answer(reply, Err(error)),
            }
        }
        if applied.is_empty() {
            return;
        }
        let outcome = match &self.failed {
            Some(error) => Err(error.clone()),
            None => self.engine.flush(),
        };
        if let Err(error) = &outcome {
            self.fail(error);
        }
        for reply in applied {
            answer(reply, outcome.clone());
        }
    }

    fn apply(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        for condition in &batch.conditions {
            self.require(condition)?;
        }
        if batch.ops.is_empty() {
            return Ok(());
        }
        self.engine.apply(&batch.ops).inspect_err(|error| self.fail(error))
    }

    fn require(&self, condition: &Condition) -> Result<(), StoreError> {
        let held = self.engine.get(&condition.table, &condition.key)?;
        if held == condition.value {
            Ok(())
        } else {
            Err(StoreError::Precondition { table: condition.table.clone().into_owned() })
        }
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
