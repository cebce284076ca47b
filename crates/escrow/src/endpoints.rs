//! What is known of each RPC endpoint: who answers, who is behind, who contradicts the others.

use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;
use url::Url;

/// Blocks an endpoint may be behind the others and still be asked like them.
pub const MAX_LAG: u64 = 3;
/// How long an endpoint that did not answer is asked last; twice as long each time it does not answer again.
const COOL_DOWN: Duration = Duration::from_secs(5);
/// Doublings of that.
const MOST_COOLING: u32 = 4;
/// Contradictions about what is fixed, such as a block, that set an endpoint aside.
const FIXED_LIMIT: u32 = 3;
/// Contradictions in a row about the newest state, which an honest endpoint may see a moment later, that do.
const STATE_LIMIT: u32 = 12;
/// How long contradictions are remembered.
const MEMORY: Duration = Duration::from_secs(60);
/// How long an endpoint is set aside the first time; each further time is twice as long.
const FIRST_ASIDE: Duration = Duration::from_secs(300);
/// Doublings of that.
const MOST_DOUBLINGS: u32 = 8;

/// How much an endpoint is worth asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It answers, and knows what the others know.
    Fresh,
    /// It answers, but is more than [`MAX_LAG`] blocks behind.
    Lagging,
    /// It did not answer lately, or not in time.
    Down,
    /// It contradicted the others about what the chain says, and is not believed for a while.
    SetAside,
    /// It serves another chain.
    OtherChain,
}

impl Standing {
    /// The stable word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Lagging => "lagging",
            Self::Down => "down",
            Self::SetAside => "set_aside",
            Self::OtherChain => "other_chain",
        }
    }
}

/// How far a node has to take its endpoints' word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// There is one: whatever it says is taken for true.
    Single,
    /// There are two: either is taken for true, and nothing is if they contradict each other about a block.
    Pair,
    /// There are three or more: what is read of the chain is taken for true when two say so.
    Agreement,
}

impl Trust {
    /// What it means, in plain words.
    #[must_use]
    pub const fn explained(self) -> &'static str {
        match self {
            Self::Single => "one RPC endpoint: this node trusts it with what it says of the chain",
            Self::Pair => {
                "two RPC endpoints: one stands in for the other, and nothing is booked while they contradict each other"
            }
            Self::Agreement => "three or more RPC endpoints: nothing is booked unless two say the same",
        }
    }
}

/// One endpoint, as an operator wants to see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndpointReport {
    /// Scheme, host and port of its URL; the rest may hold a key.
    pub host: String,
    /// How it stands.
    pub standing: Standing,
    /// The newest block it told of.
    pub head: Option<u64>,
    /// Blocks it was behind when it last did.
    pub behind: u64,
    /// Requests it did not answer, since the start.
    pub failures: u64,
    /// Answers that two others contradicted, since the start.
    pub contradictions: u64,
}

#[derive(Debug, Default)]
struct Record {
    head: Option<u64>,
    behind: u64,
    failures: u64,
    in_a_row: u32,
    down_until: Option<Instant>,
    contradictions: u64,
    about_fixed: u32,
    about_state: u32,
    last_contradiction: Option<Instant>,
    aside_until: Option<Instant>,
    times_aside: u32,
    other_chain: bool,
    known_chain: bool,
    probing: bool,
}

impl Record {
    fn standing(&self, now: Instant) -> Standing {
        if self.other_chain {
            Standing::OtherChain
        } else if self.aside_until.is_some_and(|until| now < until) {
            Standing::SetAside
        } else if self.down_until.is_some_and(|until| now < until) {
            Standing::Down
        } else if self.behind > MAX_LAG {
            Standing::Lagging
        } else {
            Standing::Fresh
        }
    }
}

/// What is known of all endpoints of one connection.
#[derive(Debug)]
pub(crate) struct Endpoints {
    hosts: Vec<String>,
    records: Vec<Mutex<Record>>,
}

impl Endpoints {
    pub(crate) fn new(urls: &[Url]) -> Self {
        let host = |url: &Url| url.origin().ascii_serialization();
        Self { hosts: urls.iter().map(host).collect(), records: urls.iter().map(|_| Mutex::default()).collect() }
    }

    pub(crate) fn count(&self) -> usize {
        self.records.len()
    }

    /// How many must say the same.
    pub(crate) fn quorum(&self) -> usize {
        if self.count() >= 3 { 2 } else { 1 }
    }

    pub(crate) fn trust(&self) -> Trust {
        match self.count() {
            0 | 1 => Trust::Single,
            2 => Trust::Pair,
            _ => Trust::Agreement,
        }
    }

    pub(crate) fn report(&self) -> Vec<EndpointReport> {
        let now = Instant::now();
        let reports = self.hosts.iter().zip(&self.records).map(|(host, record)| {
            let record = record.lock();
            EndpointReport {
                host: host.clone(),
                standing: record.standing(now),
                head: record.head,
                behind: record.behind,
                failures: record.failures,
                contradictions: record.contradictions,
            }
        });
        reports.collect()
    }

    /// Whom to ask, the best first; those that are not believed are left out.
    pub(crate) fn believed(&self) -> Vec<usize> {
        let now = Instant::now();
        let standings = self.records.iter().map(|record| record.lock().standing(now));
        let mut believed: Vec<_> = standings.zip(0..).filter(|(standing, _)| *standing < Standing::SetAside).collect();
        believed.sort_unstable();
        believed.into_iter().map(|(_, index)| index).collect()
    }

    /// Whether an endpoint is worth waiting for.
    pub(crate) fn is_prompt(&self, index: usize) -> bool {
        let now = Instant::now();
        self.with(index, |record| record.standing(now) < Standing::Down).unwrap_or_default()
    }

    /// Takes the right to look after an endpoint that does not count; one look at a time.
    pub(crate) fn begin_probe(&self, index: usize) -> bool {
        self.with(index, |record| !std::mem::replace(&mut record.probing, true)).unwrap_or_default()
    }

    pub(crate) fn end_probe(&self, index: usize) {
        self.with(index, |record| record.probing = false);
    }

    pub(crate) fn knows_chain(&self, index: usize) -> bool {
        self.with(index, |record| record.known_chain).unwrap_or_default()
    }

    pub(crate) fn serves(&self, index: usize, chain: u64, expected: u64) {
        let host = self.host(index);
        self.with(index, |record| {
            record.known_chain = true;
            record.other_chain = chain != expected;
        });
        if chain != expected {
            tracing::warn!(rpc.host = host, rpc.chain = chain, "{host} serves chain {chain}, not {expected}");
        }
    }

    pub(crate) fn answered(&self, index: usize) {
        self.with(index, |record| (record.down_until, record.in_a_row) = (None, 0));
    }

    pub(crate) fn failed(&self, index: usize, why: &dyn std::fmt::Display) {
        let now = Instant::now();
        let was_up = self.with(index, |record| {
            record.failures += 1;
            let was_up = record.down_until.is_none();
            record.down_until = Some(now + COOL_DOWN * (1 << record.in_a_row.min(MOST_COOLING)));
            record.in_a_row = record.in_a_row.saturating_add(1);
            was_up
        });
        if was_up == Some(true) {
            let host = self.host(index);
            tracing::warn!(rpc.host = host, "RPC endpoint {host} does not answer: {why}");
        }
    }

    /// An endpoint's newest block, while the others were at `believed`.
    pub(crate) fn saw_head(&self, index: usize, head: u64, believed: u64) {
        let was = self.with(index, |record| {
            let was = record.behind;
            record.head = Some(head);
            record.behind = believed.saturating_sub(head);
            (was, record.behind)
        });
        if let Some((was, behind)) = was
            && (was > MAX_LAG) != (behind > MAX_LAG)
        {
            let host = self.host(index);
            tracing::warn!(rpc.host = host, rpc.behind = behind, "RPC endpoint {host} is {behind} blocks behind");
        }
    }

    pub(crate) fn is_behind(&self, index: usize) -> bool {
        self.with(index, |record| record.behind > 0).unwrap_or_default()
    }

    /// An endpoint said what others said about the newest state.
    pub(crate) fn agreed(&self, index: usize) {
        self.with(index, |record| record.about_state = 0);
    }

    /// An endpoint said something else than two others.
    pub(crate) fn contradicted(&self, index: usize, is_fixed: bool) {
        let now = Instant::now();
        let aside = self.with(index, |record| {
            record.contradictions += 1;
            if record.last_contradiction.is_some_and(|last| now > last + MEMORY) {
                (record.about_fixed, record.about_state) = (0, 0);
            }
            record.last_contradiction = Some(now);
            let counted = if is_fixed { &mut record.about_fixed } else { &mut record.about_state };
            *counted += 1;
            if record.about_fixed < FIXED_LIMIT && record.about_state < STATE_LIMIT {
                return None;
            }
            (record.about_fixed, record.about_state) = (0, 0);
            let aside = FIRST_ASIDE * (1 << record.times_aside.min(MOST_DOUBLINGS));
            record.times_aside += 1;
            record.aside_until = Some(now + aside);
            Some(aside)
        });
        if let Some(aside) = aside.flatten() {
            let host = self.host(index);
            tracing::error!(
                rpc.host = host,
                "RPC endpoint {host} contradicts the others about the chain: it is not believed for {} s",
                aside.as_secs()
            );
        }
    }

    fn host(&self, index: usize) -> &str {
        self.hosts.get(index).map_or("", String::as_str)
    }

    fn with<T>(&self, index: usize, act: impl FnOnce(&mut Record) -> T) -> Option<T> {
        self.records.get(index).map(|record| act(&mut record.lock()))
    }
}
