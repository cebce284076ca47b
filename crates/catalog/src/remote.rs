//! Searching at other nodes, for a node that does not hold the market itself.
//!
//! A light node asks [`ASKED`] index nodes the same question. Each answers with records as they were signed; every one is
//! verified here, put on the shelf by the one door, and found by the node's own index among what was answered: in its own
//! order, by its own figures. An answer with one record in it that an honest node would not send counts for nothing.

use std::{collections::HashSet, time::Duration};

use haggle_base::{Did, PeerId, RecordId};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use crate::{
    door::{AnyRecord, is_senders_fault},
    error::CatalogError,
    frames,
    handle::{Catalog, Origin},
    index::query::Query,
    shelf::event,
    wire::{MAX_FRAME_BYTES, lists},
};

pub mod agent;
pub mod blob;
pub mod budget;
mod error;
#[cfg(test)]
mod tests;
pub mod wire;

pub use error::SearchError;
use wire::{MAX_QUESTION_BYTES, Question, Refusal, Reply};

/// Index nodes that a search asks.
pub const ASKED: usize = 3;

/// Most bytes of one answer, all its frames together.
pub const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// What of an answer is for records; the rest is for the heads of frames.
const RECORD_BUDGET: usize = MAX_ANSWER_BYTES - 16 * 1024;

/// How long a peer that opened a stream may take to say what it searches for.
const QUESTION_PATIENCE: Duration = Duration::from_secs(5);

/// How long a peer may take to read its answer.
const READING_PATIENCE: Duration = Duration::from_secs(10);

/// How far what was asked can be taken for the whole market.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverage {
    /// Index nodes that were asked.
    pub asked: usize,
    /// Those whose answers came in time and stood every check.
    pub answered: usize,
    /// Answers that left matches out.
    pub cut_off: usize,
    /// Answers of nodes that have not reconciled with anybody yet.
    pub behind: usize,
}

impl Coverage {
    /// Whether [`ASKED`] nodes answered, and none of them left anything out.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.answered >= ASKED && self.cut_off == 0 && self.behind == 0
    }

    /// Why the answer is partial, in plain words; `None` if it is complete.
    #[must_use]
    pub fn why_partial(&self) -> Option<String> {
        if self.is_complete() {
            return None;
        }
        let Self { asked, answered, cut_off, behind } = *self;
        let mut why = format!("{answered} of {asked} index nodes answered");
        if asked < ASKED {
            why.push_str(&format!(", and {ASKED} would be asked if so many were known"));
        }
        if cut_off > 0 {
            why.push_str(&format!("; {cut_off} of them had more matches than an answer holds"));
        }
        if behind > 0 {
            why.push_str(&format!("; {behind} of them may not hold the whole market yet"));
        }
        Some(why)
    }
}

/// What came of asking.
#[derive(Debug, Clone, Default)]
pub struct LookedUp {
    /// The listings that were answered and are held now.
    pub ids: HashSet<RecordId>,
    /// How far they can be taken for all there are.
    pub coverage: Coverage,
    /// The peers whose answers count for nothing, and why.
    pub failed: Vec<(PeerId, SearchError)>,
}

/// What was sent for one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answered {
    /// Records.
    pub records: usize,
    /// Bytes of frames.
    pub bytes: u64,
}

/// One node's answer, verified.
#[derive(Debug, Default)]
struct Given {
    records: Vec<AnyRecord>,
    /// Whose listings came; a card of anybody else was not asked for.
    authors: HashSet<Did>,
    listings: usize,
    /// Records that no longer, or not yet, verify: clocks differ, and programs age.
    left_out: usize,
    is_cut_off: bool,
    is_behind: bool,
}

/// Whom to ask: at most [`ASKED`] of the connected index nodes, and of those that were connected once only as many as are
/// lacking. `dice` gives random numbers.
#[must_use]
pub fn choose<P>(connected: Vec<P>, absent: Vec<P>, mut dice: impl FnMut() -> u64) -> Vec<P> {
    let mut chosen = Vec::with_capacity(ASKED);
    for mut group in [connected, absent] {
        while chosen.len() < ASKED && !group.is_empty() {
            let count = u64::try_from(group.len()).unwrap_or(u64::MAX);
            let at = usize::try_from(dice() % count).unwrap_or(0);
            chosen.push(group.swap_remove(at));
        }
    }
    chosen
}

impl Catalog {
    /// Asks these peers, [`ASKED`] at most, all at once, and keeps what they answer. `open` opens a stream to a peer; with
    /// that, each has `patience` for its whole answer. Then [`Self::search_among`] finds it.
    ///
    /// # Errors
    /// [`SearchError::Unaskable`], and [`SearchError::Catalog`] if what was answered cannot be kept. What goes wrong with a
    /// peer is in [`LookedUp::failed`].
    pub async fn look_up<S, F>(
        &self,
        query: &Query,
        peers: &[PeerId],
        patience: Duration,
        open: impl Fn(PeerId) -> F + Sync,
    ) -> Result<LookedUp, SearchError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
        F: Future<Output = Result<S, SearchError>> + Send,
    {
        let question = Question::of(query)?;
        let one = |at: usize| self.ask_one(peers.get(at).copied(), &question, patience, &open);
        let (first, second, third) = tokio::join!(Box::pin(one(0)), Box::pin(one(1)), Box::pin(one(2)));
        let mut found = LookedUp::default();
        let mut is_news = false;
        for (peer, given) in [first, second, third].into_iter().flatten() {
            found.coverage.asked += 1;
            match given {
                Ok(given) => {
                    found.coverage.answered += 1;
                    found.coverage.cut_off += usize::from(given.is_cut_off);
                    found.coverage.behind += usize::from(given.is_behind);
                    is_news |= self.keep(peer, given.records, &mut found.ids).await?;
                }
                Err(error) => found.failed.push((peer, error)),
            }
        }
        if is_news {
            self.flush().await?;
        }
        Ok(found)
    }

    /// Puts what a peer answered on the shelf; true if anything of it was new.
    async fn keep(
        &self,
        peer: PeerId,
        records: Vec<AnyRecord>,
        ids: &mut HashSet<RecordId>,
    ) -> Result<bool, CatalogError> {
        if records.is_empty() {
            return Ok(false);
        }
        let listings: Vec<_> =
            records.iter().map(|record| matches!(record, AnyRecord::Listing(_)).then(|| record.id())).collect();
        let mut is_news = false;
        let outcomes = self.put_verified(records, Origin::Search { peer }).await?;
        for (listing, outcome) in listings.into_iter().zip(outcomes) {
            is_news |= outcome.is_new();
            let Some(id) = listing else { continue };
            match outcome {
                event::Put::Fresh { .. } | event::Put::Replaced { .. } | event::Put::Known => ids.insert(id),
                // whether the newer one is what was asked for, the search will say
                event::Put::Stale { held } => ids.insert(held),
                event::Put::OverQuota { .. } | event::Put::Expired | event::Put::NotHeld | event::Put::TooOften => {
                    false
                }
            };
        }
        Ok(is_news)
    }

    async fn ask_one<S, F>(
        &self,
        peer: Option<PeerId>,
        question: &Question,
        patience: Duration,
        open: &(impl Fn(PeerId) -> F + Sync),
    ) -> Option<(PeerId, Result<Given, SearchError>)>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
        F: Future<Output = Result<S, SearchError>> + Send,
    {
        let peer = peer?;
        let asking = async { self.hear_out(open(peer).await?, question).await };
        Some((peer, timeout(patience, asking).await.unwrap_or(Err(SearchError::Timeout))))
    }

    async fn hear_out<S>(&self, mut stream: S, question: &Question) -> Result<Given, SearchError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        frames::write(&mut stream, question).await?;
        stream.flush().await?;
        let mut given = Given::default();
        let mut left = MAX_ANSWER_BYTES;
        loop {
            let (reply, bytes) = frames::read(&mut stream, MAX_FRAME_BYTES).await?;
            left = left.checked_sub(bytes).ok_or(SearchError::TooMuch)?;
            match reply {
                // a frame that says nothing would only keep us here
                Reply::Records { records } if records.is_empty() => return Err(SearchError::NotAsked),
                Reply::Records { records } => {
                    for bytes in records {
                        self.take(&mut given, bytes.into_vec(), question)?;
                    }
                }
                Reply::End { total, complete } => {
                    let total = usize::try_from(total).unwrap_or(usize::MAX);
                    if total < given.listings {
                        return Err(SearchError::NotAsked);
                    }
                    given.is_cut_off = total > given.listings.saturating_add(given.left_out);
                    given.is_behind = !complete;
                    return Ok(given);
                }
                Reply::Refused { why } if left == MAX_ANSWER_BYTES - bytes => {
                    return Err(SearchError::Refused(why));
                }
                Reply::Refused { .. } => return Err(SearchError::NotAsked),
            }
        }
    }

    /// Verifies one record of an answer, and that it was asked for.
    fn take(&self, given: &mut Given, bytes: Vec<u8>, question: &Question) -> Result<(), SearchError> {
        let most = usize::from(question.limit);
        // a listing and a card each
        if given.records.len() + given.left_out >= 2 * most {
            return Err(SearchError::TooMuch);
        }
        let record = match AnyRecord::open(bytes, self.network(), self.shared.clock.now()) {
            Ok(record) => record,
            Err(error) if is_senders_fault(&error) => return Err(SearchError::BadRecord(error)),
            Err(error) => {
                tracing::debug!(%error, "a record that was looked up is left out: {error}");
                given.left_out += 1;
                return Ok(());
            }
        };
        match &record {
            AnyRecord::Listing(listing) if question.admits(&listing.author(), listing.body()) => {
                given.listings += 1;
                if given.listings > most {
                    return Err(SearchError::TooMuch);
                }
                given.authors.insert(listing.author());
            }
            AnyRecord::Card(card) if given.authors.contains(&card.author()) => {}
            // the card behind a listing that was left out
            AnyRecord::Card(_) => {
                given.left_out += 1;
                return Ok(());
            }
            AnyRecord::Listing(_) | AnyRecord::Tombstone(_) | AnyRecord::Attestation(_) => {
                return Err(SearchError::NotAsked);
            }
        }
        given.records.push(record);
        Ok(())
    }

    /// Answers the question of one stream from this node's own copy of the market.
    ///
    /// # Errors
    /// [`SearchError`]; [`SearchError::is_peers_fault`] tells whether to penalise the peer.
    pub async fn answer_search<S>(&self, mut stream: S) -> Result<Answered, SearchError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let reading = frames::read::<Question, _>(&mut stream, MAX_QUESTION_BYTES);
        let (question, _) = timeout(QUESTION_PATIENCE, reading).await.map_err(|_| SearchError::Timeout)??;
        let catalog = self.clone();
        let gathered = tokio::task::spawn_blocking(move || catalog.gather(&question)).await;
        let (records, end) = match gathered.map_err(|_| CatalogError::Closed).flatten() {
            Ok(gathered) => gathered,
            Err(error) => {
                refuse_search(stream, Refusal::Failed).await?;
                return Err(error.into());
            }
        };
        let mut answered = Answered { records: records.len(), bytes: 0 };
        let writing = async {
            let frames = lists(records).into_iter().map(|records| Reply::Records { records });
            for frame in frames.chain([end]) {
                answered.bytes += frames::write(&mut stream, &frame).await? as u64;
            }
            stream.shutdown().await?;
            Ok(answered)
        };
        timeout(READING_PATIENCE, writing).await.map_err(|_| SearchError::Timeout)?
    }

    /// The records that answer a question, the best match first, and what is said at the end.
    fn gather(&self, question: &Question) -> Result<(Vec<Vec<u8>>, Reply), CatalogError> {
        let answer = self.search(&question.query())?;
        let (mut records, mut size, mut carded) = (Vec::new(), 0, HashSet::new());
        for hit in &answer.items {
            let author = hit.listing.author();
            let card = if carded.insert(author) { self.card(&author)? } else { None };
            let pair = std::iter::once(hit.listing.bytes().to_vec()).chain(card.map(|card| card.bytes().to_vec()));
            let pair: Vec<_> = pair.collect();
            size += pair.iter().map(Vec::len).sum::<usize>();
            if size > RECORD_BUDGET {
                break;
            }
            records.extend(pair);
        }
        let total = u32::try_from(answer.total).unwrap_or(u32::MAX);
        Ok((records, Reply::End { total, complete: answer.complete }))
    }
}

/// Says on a stream why its search is not answered.
///
/// # Errors
/// [`SearchError::Io`] and [`SearchError::Timeout`].
pub async fn refuse_search<S>(mut stream: S, why: Refusal) -> Result<(), SearchError>
where
    S: AsyncWrite + Unpin + Send,
{
    let refusing = async {
        frames::write(&mut stream, &Reply::Refused { why }).await?;
        Ok(stream.shutdown().await?)
    };
    timeout(READING_PATIENCE, refusing).await.map_err(|_| SearchError::Timeout)?
}
