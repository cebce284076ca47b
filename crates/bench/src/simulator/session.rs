//! One sync session between two nodes of the simulated market: the catalog's machines, frame by frame.

use super::{World, node::Node};
use haggle_base::{Blob, Hash, List, RecordId};
use haggle_catalog::{
    Entry, Role, SyncError,
    sync::session::{Heard, Session, Step},
    wire::{Frame, MAX_RECORDS},
};
use std::sync::Arc;

/// What a record costs in a frame beside its bytes.
const RECORD_HEAD: u64 = 3;

/// How a session went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// All but the records.
    pub(super) bytes: u64,
    /// The records.
    pub(super) records: u64,
    pub(super) turns: u32,
    /// Records that one side gave.
    pub(super) given: u32,
    /// Of these, new on the other side.
    pub(super) moved: u32,
    pub(super) broken: bool,
}

/// Runs a session to its end, or until it breaks after so many turns.
pub(super) fn run(world: &mut World, leader: u32, follower: u32, breaks_after: Option<u32>) -> Outcome {
    let now = world.now;
    let Ok([first, second]) = world.nodes.get_disjoint_mut([leader as usize, follower as usize]) else {
        return Outcome { broken: true, ..Outcome::default() };
    };
    let sizes = |id: &RecordId| world.by_id.get(id).map_or(1024, |news| world.news[*news as usize].bytes);
    let lookup = |id: &RecordId| world.by_id.get(id).map(|news| &world.news[*news as usize].entry);
    between(first, second, now, sizes, lookup, breaks_after)
}

/// The same between any two nodes.
pub(super) fn between<'a>(
    leader: &mut Node,
    follower: &mut Node,
    now: u64,
    sizes: impl Fn(&RecordId) -> u64,
    lookup: impl Fn(&RecordId) -> Option<&'a Arc<Entry>>,
    breaks_after: Option<u32>,
) -> Outcome {
    let mut talk = Talk { now, sizes, lookup, outcome: Outcome::default() };
    if talk.run(leader, follower, breaks_after).is_err() {
        talk.outcome.broken = true;
    }
    talk.outcome
}

struct Talk<S, L> {
    now: u64,
    sizes: S,
    lookup: L,
    outcome: Outcome,
}

impl<'a, S, L> Talk<S, L>
where
    S: Fn(&RecordId) -> u64,
    L: Fn(&RecordId) -> Option<&'a Arc<Entry>>,
{
    fn run(&mut self, leader: &mut Node, follower: &mut Node, breaks_after: Option<u32>) -> Result<(), SyncError> {
        let network: haggle_base::NetworkId = "devnet-7/1".parse().map_err(|_| SyncError::WrongNetwork)?;
        let shards = leader.shelf.shards();
        let mut leads = Session::new(Role::Leader, network.clone(), shards);
        let mut follows = Session::new(Role::Follower, network, shards);
        let mut step = leads.start(&leader.shelf)?;
        loop {
            self.say(step, leader, follower, &mut follows)?;
            let answer = follows.take_turn()?;
            let done = answer.done;
            self.say(answer, follower, leader, &mut leads)?;
            self.outcome.turns += 2;
            if done {
                return Ok(());
            }
            if breaks_after.is_some_and(|turns| self.outcome.turns >= turns) {
                return Err(SyncError::Timeout);
            }
            step = leads.take_turn()?;
        }
    }

    /// One side's turn.
    fn say(&mut self, step: Step, from: &Node, to: &mut Node, hears: &mut Session) -> Result<(), SyncError> {
        let end = if step.done { Frame::Done } else { Frame::Turn };
        for frame in step.frames {
            self.count(&frame)?;
            let _more = hears.hear(frame, &to.shelf)?;
        }
        // the ids stand for the bytes, which all nodes share
        let held: Vec<RecordId> = step.give.into_iter().filter(|id| from.shelf.get(id).is_some()).collect();
        for ids in held.chunks(MAX_RECORDS) {
            self.outcome.records += ids.iter().map(|id| (self.sizes)(id) + RECORD_HEAD).sum::<u64>();
            let blobs: Vec<_> = ids.iter().filter_map(|id| Blob::try_from(id.as_bytes().to_vec()).ok()).collect();
            let records = List::try_from(blobs).map_err(|_| SyncError::TooLong)?;
            if let Heard::Records(records) = hears.hear(Frame::Records { records }, &to.shelf)? {
                for bytes in records {
                    self.put(&bytes, from, to);
                }
            }
        }
        self.count(&end)?;
        let _turn = hears.hear(end, &to.shelf)?;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8], from: &Node, to: &mut Node) {
        self.outcome.given += 1;
        let mut id = [0; 32];
        id.copy_from_slice(bytes);
        let id = RecordId::from(Hash::from_bytes(id));
        // records that were there from the beginning are not news; the giver's own entry is as good
        let entry = (self.lookup)(&id).cloned().or_else(|| from.shelf.get(&id).cloned().map(Arc::new));
        if let Some(entry) = entry
            && to.admit(entry, self.now)
        {
            self.outcome.moved += 1;
        }
    }

    fn count(&mut self, frame: &Frame) -> Result<(), SyncError> {
        let bytes = frame.encode().map_err(SyncError::BadFrame)?;
        self.outcome.bytes += bytes.len() as u64 + 4;
        Ok(())
    }
}
