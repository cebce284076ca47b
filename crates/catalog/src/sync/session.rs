//! One reconciliation session as a pure machine: frames in, frames and ids out.

use std::collections::{BTreeMap, BTreeSet, VecDeque, btree_map::Entry};

use haggle_base::{Blob, List, NetworkId, RecordId, Timestamp};
use negentropy::{Id, Negentropy, NegentropyStorageVector};

use super::{
    Role,
    digest::{DIGEST_BYTES, Digest},
};
use crate::{
    error::SyncError,
    shards::Shards,
    wire::{Frame, MAX_WANTED},
};

/// Frame limit given to negentropy; its messages stay below [`crate::wire::MAX_MESSAGE_BYTES`].
const NEGENTROPY_LIMIT: u64 = 58_000;

/// Turns of each side in one session.
const MAX_TURNS: u32 = 4096;

/// Requests in one turn.
const WANTS_PER_TURN: usize = 2;

/// Records the leader gives unasked in one turn.
const GIVEN_PER_TURN: usize = 2048;

/// Ids that the leader notes as lacking or to be given.
const MAX_NOTED: usize = 500_000;

/// What one shard holds, in any order.
pub type ShardSet = Vec<(Timestamp, RecordId)>;

/// What a node holds, as far as a session looks at it: of most shards the digest alone.
pub trait Sets {
    /// A digest of each shard's set, in order.
    fn digests(&self) -> Vec<Digest>;

    /// The set of a shard; empty if there is no such shard.
    fn set(&self, shard: u16) -> ShardSet;
}

/// What this side says in its turn.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    /// Frames to send first.
    pub frames: Vec<Frame>,
    /// Records to send then; those no longer held are left out.
    pub give: Vec<RecordId>,
    /// True if the turn ends with `Done` instead of `Turn`.
    pub done: bool,
}

/// What a frame meant.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Noted; more will come.
    More,
    /// Records to put.
    Records(Vec<Vec<u8>>),
    /// The other side's turn is over.
    YourTurn,
    /// The session is over.
    Finished,
}

/// The state of one side.
#[derive(Debug)]
pub struct Session {
    role: Role,
    network: NetworkId,
    /// Number of shards.
    shards: u16,
    /// The shards that this side holds, and whether it says so.
    mine: Shards,
    says: bool,
    /// Those that the other side holds: all, unless it says which.
    theirs: Shards,
    /// Leader: records of its own in shards that it does not hold.
    own: Vec<(u16, RecordId)>,
    gifted: usize,
    /// The shards that are compared item by item.
    sealed: BTreeMap<u16, Negentropy<'static, NegentropyStorageVector>>,
    /// The digests have been said or heard.
    compared: bool,
    /// Leader: nothing is compared, the other side is given what it is given.
    gift: bool,
    /// Follower: the shards that it said differ.
    differ: Vec<u16>,
    /// The other side has said hello; we have.
    met: bool,
    introduced: bool,
    /// Leader: shards whose reconciliation goes on. Follower: shards asked about in this turn.
    open: BTreeSet<u16>,
    /// Reconciliation messages for our next turn.
    replies: Vec<Frame>,
    /// Leader: what we lack and have not asked for yet.
    lacking: VecDeque<RecordId>,
    /// Leader: how many records we asked for, and how many came.
    wanted: usize,
    given_to_us: usize,
    /// What to give: the leader's own finds, or what the leader wants.
    giving: VecDeque<RecordId>,
    turns: u32,
    /// We, or for the follower the leader, said that all is done.
    done: bool,
}

impl Session {
    /// A session over so many shards.
    #[must_use]
    pub fn new(role: Role, network: NetworkId, shards: u16) -> Self {
        Self {
            role,
            network,
            shards,
            mine: Shards::all(shards),
            says: false,
            theirs: Shards::all(shards),
            own: Vec::new(),
            gifted: 0,
            sealed: BTreeMap::new(),
            compared: false,
            gift: false,
            differ: Vec::new(),
            met: false,
            introduced: false,
            open: BTreeSet::new(),
            replies: Vec::new(),
            lacking: VecDeque::new(),
            wanted: 0,
            given_to_us: 0,
            giving: VecDeque::new(),
            turns: 0,
            done: false,
        }
    }

    /// The leader of a session in which it only gives these records: what a node does that does not hold the market.
    #[must_use]
    pub fn giving(network: NetworkId, shards: u16, records: impl IntoIterator<Item = RecordId>) -> Self {
        let giving = records.into_iter().collect();
        Self { gift: true, compared: true, giving, ..Self::new(Role::Leader, network, shards) }
    }

    /// The same for a node that holds these shards alone. It compares no others, and as the leader it gives these records
    /// of its own that lie elsewhere. Whether it `says` what it holds depends on whether the other side can read that.
    #[must_use]
    pub fn of_part(mut self, mine: Shards, says: bool, own: Vec<(u16, RecordId)>) -> Self {
        self.mine = mine;
        self.says = says && mine != Shards::all(self.shards);
        // a follower gives what it is asked for, and nothing else
        self.own = if self.role == Role::Leader { own } else { Vec::new() };
        self
    }

    /// Which side this is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Whether not everything that this side holds was compared: the leader gave what it liked or left out shards that
    /// differ, or the other side does not hold all of them.
    #[must_use]
    pub fn is_gift(&self) -> bool {
        !self.covered().covers(self.mine)
    }

    /// The shards that both sides hold and in which, once the session has ended well, nothing differs.
    #[must_use]
    pub fn covered(&self) -> Shards {
        if self.gift || !self.compared {
            return Shards::NONE;
        }
        let left_out = self.differ.iter().copied().filter(|shard| !self.sealed.contains_key(shard)).collect();
        self.mine.shared_with(self.theirs).without(left_out)
    }

    /// Records of its own that this side gave without comparing.
    #[must_use]
    pub fn gifted(&self) -> u32 {
        u32::try_from(self.gifted).unwrap_or(u32::MAX)
    }

    /// Turns this side has taken.
    #[must_use]
    pub const fn turns(&self) -> u32 {
        self.turns
    }

    /// Ids asked for and not given: replaced in the meantime, or refused by the peer for quota.
    #[must_use]
    pub fn missing(&self) -> u32 {
        u32::try_from(self.wanted.saturating_sub(self.given_to_us)).unwrap_or(u32::MAX)
    }

    /// The leader's first turn: it says what stands for each of its shards, or gives.
    ///
    /// # Errors
    /// [`SyncError::TooLong`] for more shards than a frame has room for.
    pub fn start(&mut self, ours: &dyn Sets) -> Result<Step, SyncError> {
        if !self.gift {
            let digests = ours.digests().concat();
            let digests = Blob::try_from(digests).map_err(|_| SyncError::TooLong)?;
            self.replies.push(Frame::Digests { digests });
        }
        self.take_turn()
    }

    /// Takes in one frame of the other side's turn.
    ///
    /// # Errors
    /// [`SyncError`] if the frame breaks the protocol.
    pub fn hear(&mut self, frame: Frame, ours: &dyn Sets) -> Result<Heard, SyncError> {
        if let Frame::Hello { network, shards, holds } = frame {
            return self.meet(&network, shards, holds.as_deref());
        }
        if !self.met {
            return Err(SyncError::OutOfTurn);
        }
        match (frame, self.role) {
            (Frame::Digests { digests }, Role::Follower) => self.compare(&digests, ours),
            (Frame::Differ { shards }, Role::Leader) => self.open_all(&shards, ours),
            (Frame::Reconcile { shard, message }, Role::Leader) => self.lead(shard, &message),
            (Frame::Reconcile { shard, message }, Role::Follower) => self.follow(shard, &message, ours),
            (Frame::Want { ids }, Role::Follower) => {
                if self.giving.len() + ids.len() > WANTS_PER_TURN * MAX_WANTED {
                    return Err(SyncError::OutOfTurn);
                }
                self.giving.extend(ids);
                Ok(Heard::More)
            }
            (Frame::Records { records }, role) => {
                if role == Role::Leader {
                    self.given_to_us += records.len();
                    if self.given_to_us > self.wanted {
                        return Err(SyncError::OutOfTurn);
                    }
                }
                Ok(Heard::Records(records.into_iter().map(Blob::into_vec).collect()))
            }
            (Frame::Turn, _) => Ok(Heard::YourTurn),
            (Frame::Done, Role::Leader) if self.done => Ok(Heard::Finished),
            (Frame::Done, Role::Follower) => {
                self.done = true;
                Ok(Heard::YourTurn)
            }
            (Frame::Want { .. } | Frame::Digests { .. } | Frame::Done, Role::Leader)
            | (Frame::Differ { .. }, Role::Follower)
            | (Frame::Hello { .. }, _) => Err(SyncError::OutOfTurn),
        }
    }

    /// What this side says now that it is its turn.
    ///
    /// # Errors
    /// [`SyncError::TooLong`] after too many turns.
    pub fn take_turn(&mut self) -> Result<Step, SyncError> {
        self.turns += 1;
        if self.turns > MAX_TURNS {
            return Err(SyncError::TooLong);
        }
        let mut frames = Vec::new();
        if !self.introduced {
            self.introduced = true;
            let holds = self.says.then(|| self.mine.to_list());
            frames.push(Frame::Hello { network: self.network.clone(), shards: self.shards, holds });
        }
        frames.append(&mut self.replies);
        let give = self.giving.drain(..self.giving.len().min(GIVEN_PER_TURN)).collect();
        if self.role == Role::Follower {
            self.open.clear();
            return Ok(Step { frames, give, done: self.done });
        }
        let asked = self.ask(&mut frames)?;
        self.done = self.compared && !asked && self.open.is_empty() && self.giving.is_empty();
        Ok(Step { frames, give, done: self.done })
    }

    /// Asks for some of what we lack; true if there was something to ask for.
    fn ask(&mut self, frames: &mut Vec<Frame>) -> Result<bool, SyncError> {
        for _ in 0..WANTS_PER_TURN {
            let ids: Vec<RecordId> = self.lacking.drain(..self.lacking.len().min(MAX_WANTED)).collect();
            if ids.is_empty() {
                break;
            }
            self.wanted += ids.len();
            let ids = List::try_from(ids).map_err(|_| SyncError::TooLong)?;
            frames.push(Frame::Want { ids });
        }
        Ok(frames.iter().any(|frame| matches!(frame, Frame::Want { .. })))
    }

    fn meet(&mut self, network: &NetworkId, shards: u16, holds: Option<&[u16]>) -> Result<Heard, SyncError> {
        if self.met {
            return Err(SyncError::OutOfTurn);
        }
        if *network != self.network {
            return Err(SyncError::WrongNetwork);
        }
        if shards != self.shards {
            return Err(SyncError::WrongShard);
        }
        if let Some(holds) = holds {
            self.theirs = Shards::said(holds, self.shards).ok_or(SyncError::WrongShard)?;
        }
        // what lies in a shard that both hold is found by comparing
        let (theirs, compared) = (self.theirs, self.mine.shared_with(self.theirs));
        let given = std::mem::take(&mut self.own).into_iter();
        let given = given.filter(|(shard, _)| theirs.contains(*shard) && !compared.contains(*shard));
        let before = self.giving.len();
        self.giving.extend(given.map(|(_, id)| id));
        self.gifted = self.giving.len() - before;
        self.met = true;
        Ok(Heard::More)
    }

    /// The follower says which shards are not the same.
    fn compare(&mut self, digests: &[u8], ours: &dyn Sets) -> Result<Heard, SyncError> {
        if self.compared {
            return Err(SyncError::OutOfTurn);
        }
        self.compared = true;
        if digests.len() != usize::from(self.shards) * DIGEST_BYTES {
            return Err(SyncError::WrongShard);
        }
        let ours = ours.digests();
        let both = self.mine.shared_with(self.theirs);
        let pairs = (0_u16..).zip(digests.chunks(DIGEST_BYTES).zip(&ours));
        let differ = pairs.filter(|(shard, (theirs, ours))| both.contains(*shard) && *theirs != ours.as_slice());
        let differ: Vec<u16> = differ.map(|(shard, _)| shard).collect();
        self.differ.clone_from(&differ);
        let shards = List::try_from(differ).map_err(|_| SyncError::TooLong)?;
        self.replies.push(Frame::Differ { shards });
        Ok(Heard::More)
    }

    /// The leader begins to reconcile the shards that differ.
    fn open_all(&mut self, shards: &[u16], ours: &dyn Sets) -> Result<Heard, SyncError> {
        if self.compared {
            return Err(SyncError::OutOfTurn);
        }
        self.compared = true;
        for &shard in shards {
            if !self.theirs.contains(shard) {
                return Err(SyncError::WrongShard);
            }
            // the other side does not know which ones this side holds, unless it was told
            if !self.mine.contains(shard) {
                continue;
            }
            if !self.open.insert(shard) {
                return Err(SyncError::WrongShard);
            }
            let message = self.seal(shard, ours)?.initiate().map_err(bad_message)?;
            self.replies.push(reconcile(shard, message)?);
        }
        Ok(Heard::More)
    }

    /// The leader learns what differs in a shard and goes on until nothing does.
    fn lead(&mut self, shard: u16, message: &[u8]) -> Result<Heard, SyncError> {
        if !self.open.contains(&shard) {
            return Err(SyncError::OutOfTurn);
        }
        let negentropy = self.sealed.get_mut(&shard).ok_or(SyncError::WrongShard)?;
        let (mut have, mut need) = (Vec::new(), Vec::new());
        let next = negentropy.reconcile_with_ids(message, &mut have, &mut need).map_err(bad_message)?;
        self.giving.extend(have.iter().map(record_id));
        self.lacking.extend(need.iter().map(record_id));
        if self.giving.len() + self.lacking.len() > MAX_NOTED {
            return Err(SyncError::TooLong);
        }
        match next {
            Some(message) => self.replies.push(reconcile(shard, message)?),
            None => {
                self.open.remove(&shard);
            }
        }
        Ok(Heard::More)
    }

    /// The follower answers one message per shard and turn.
    fn follow(&mut self, shard: u16, message: &[u8], ours: &dyn Sets) -> Result<Heard, SyncError> {
        if !self.mine.contains(shard) {
            return Err(SyncError::WrongShard);
        }
        if !self.open.insert(shard) {
            return Err(SyncError::OutOfTurn);
        }
        let answer = self.seal(shard, ours)?.reconcile(message).map_err(bad_message)?;
        self.replies.push(reconcile(shard, answer)?);
        Ok(Heard::More)
    }

    /// The set of a shard as it was when the session first looked at it.
    fn seal(
        &mut self,
        shard: u16,
        ours: &dyn Sets,
    ) -> Result<&mut Negentropy<'static, NegentropyStorageVector>, SyncError> {
        match self.sealed.entry(shard) {
            Entry::Occupied(sealed) => Ok(sealed.into_mut()),
            Entry::Vacant(free) => Ok(free.insert(seal(ours.set(shard)).map_err(bad_message)?)),
        }
    }
}

fn seal(set: ShardSet) -> Result<Negentropy<'static, NegentropyStorageVector>, negentropy::Error> {
    let mut storage = NegentropyStorageVector::with_capacity(set.len());
    for (created, id) in set {
        storage.insert(created.as_millis(), Id::from_byte_array(*id.as_bytes()))?;
    }
    storage.seal()?;
    Negentropy::owned(storage, NEGENTROPY_LIMIT)
}

fn record_id(id: &Id) -> RecordId {
    RecordId::from(haggle_base::Hash::from_bytes(id.to_bytes()))
}

fn reconcile(shard: u16, message: Vec<u8>) -> Result<Frame, SyncError> {
    let message = Blob::try_from(message).map_err(|_| SyncError::TooLong)?;
    Ok(Frame::Reconcile { shard, message })
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that map_err wants")]
fn bad_message(error: negentropy::Error) -> SyncError {
    tracing::debug!(?error, "a reconciliation message cannot be read");
    SyncError::BadMessage
}
