//! Several RPC endpoints behind one transport: who is asked, how many must agree, and what is done about the rest.
//!
//! Transactions go to every endpoint, because one that takes a transaction may still lose it. What is read of the chain
//! is believed, with three or more endpoints, when two say it. Prices and estimates come from the best endpoint; when it
//! is slow or away, the next is asked.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use alloy::rpc::json_rpc::{Id, Request, RequestPacket, ResponsePacket, ResponsePayload, RpcError};
use alloy::transports::http::{Client, Http};
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::{Service, ServiceExt as _};
use url::Url;

use crate::agree::{Question, Said, head, own_trouble, said};
use crate::config::{EscrowConfig, MAX_RPC_URLS};
use crate::endpoints::Endpoints;
use crate::error::EscrowError;

/// Rounds of asking everybody before it is said that they do not agree: honest ones see a new block within moments.
const ROUNDS: u32 = 4;
/// Questions of one node under way at once; more wait. A poll must not drown the endpoint it asks.
const AT_ONCE: usize = 32;
/// Time between two rounds.
const BETWEEN_ROUNDS: Duration = Duration::from_millis(60);

/// The endpoints do not say the same often enough.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the RPC endpoints do not agree about {0}")]
pub(crate) struct NoAgreement(pub(crate) &'static str);

type Asked = (usize, Result<ResponsePacket, TransportError>);

/// A transport over one or more endpoints of the same chain.
///
/// Asking again is safe for everything this room asks: a transaction has the same hash at every endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Failover {
    clients: Arc<[Http<Client>]>,
    known: Arc<Endpoints>,
    chain_id: u64,
    slow_after: Duration,
    places: Arc<Semaphore>,
}

impl Failover {
    /// A transport over the configured URLs.
    pub(crate) fn new(config: &EscrowConfig) -> Result<Self, EscrowError> {
        let urls = &config.rpc_urls;
        if urls.is_empty() || urls.len() > MAX_RPC_URLS {
            return Err(EscrowError::BadUrl(format!("{} URLs", urls.len())));
        }
        let urls = urls.iter().map(|url| checked(url)).collect::<Result<Vec<_>, _>>()?;
        let builder = if urls.iter().all(is_loopback) { Client::builder().no_proxy() } else { Client::builder() };
        let client = builder
            .timeout(config.request_timeout)
            .redirect(alloy::transports::http::reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| EscrowError::RpcDown { source: Box::new(TransportErrorKind::Custom(Box::new(error))) })?;
        Ok(Self {
            known: Arc::new(Endpoints::new(&urls)),
            clients: urls.into_iter().map(|url| Http::with_client(client.clone(), url)).collect(),
            chain_id: config.chain_id,
            slow_after: config.slow_after,
            places: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    pub(crate) fn endpoints(&self) -> Arc<Endpoints> {
        Arc::clone(&self.known)
    }

    async fn answer(self, request: RequestPacket) -> Result<ResponsePacket, TransportError> {
        // never closed
        let _place = self.places.acquire().await;
        if self.clients.len() == 1 {
            return self.ask(0, request).await.1;
        }
        let question = Question::of(&request);
        match question {
            Question::Send => self.broadcast(request).await,
            Question::Latest => self.latest(request).await,
            _ if question.is_voted() && (self.known.quorum() > 1 || question == Question::Block) => {
                self.agree(question, request).await
            }
            _ => self.first(request).await,
        }
    }

    /// Asks one endpoint, and notes how that went.
    async fn ask(&self, index: usize, request: RequestPacket) -> Asked {
        let Some(client) = self.clients.get(index) else {
            return (index, Err(RpcError::Transport(TransportErrorKind::BackendGone)));
        };
        if self.clients.len() > 1 && !self.known.knows_chain(index) {
            match chain_of(client).await {
                Ok(chain) => self.known.serves(index, chain, self.chain_id),
                Err(error) => {
                    self.known.failed(index, &error);
                    return (index, Err(error));
                }
            }
            if !self.known.believed().contains(&index) {
                return (index, Err(RpcError::Transport(TransportErrorKind::BackendGone)));
            }
        }
        let answered = client.clone().oneshot(request).await;
        match &answered {
            Err(error @ (RpcError::Transport(_) | RpcError::DeserError { .. })) => self.known.failed(index, error),
            _ => self.known.answered(index),
        }
        (index, answered)
    }

    fn start(&self, running: &mut JoinSet<Asked>, index: usize, request: &RequestPacket) {
        let (asking, request) = (self.clone(), request.clone());
        running.spawn(async move { asking.ask(index, request).await });
    }

    /// The first endpoint that has something to say; a slow one is overtaken by the next.
    async fn first(&self, request: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let mut waiting = self.known.believed().into_iter();
        let mut running = JoinSet::new();
        let mut last = Err(none_left("anything"));
        loop {
            match waiting.next() {
                Some(index) => self.start(&mut running, index, &request),
                None if running.is_empty() => return last,
                None => {}
            }
            let patience = if waiting.len() > 0 { self.slow_after } else { Duration::MAX };
            let Some((index, answered)) = in_time(patience, running.join_next()).await.and_then(finished) else {
                continue;
            };
            match answered {
                Ok(answer) => match own_trouble(&answer) {
                    None => return Ok(answer),
                    Some(words) => {
                        self.known.failed(index, &words);
                        last = Ok(answer);
                    }
                },
                Err(error) => last = last.or(Err(error)),
            }
        }
    }

    /// Hands a transaction to everybody; one that takes it is enough.
    async fn broadcast(&self, request: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let mut running = JoinSet::new();
        for index in self.known.believed() {
            self.start(&mut running, index, &request);
        }
        let mut refused = Err(none_left("whom to send to"));
        loop {
            let patience = if refused.is_ok() { self.slow_after } else { Duration::MAX };
            let Some(Some(done)) = in_time(patience, running.join_next()).await else { break };
            let Some((_, answered)) = finished(Some(done)) else { continue };
            match answered {
                Ok(answer) if matches!(&answer, ResponsePacket::Single(one) if one.is_success()) => {
                    rest(running, |_, _| {});
                    return Ok(answer);
                }
                Ok(answer) => refused = Ok(answer),
                Err(error) => refused = refused.or(Err(error)),
            }
        }
        rest(running, |_, _| {});
        refused
    }

    /// The newest block that enough endpoints have reached. Everybody is looked at, so that all standings stay true.
    async fn latest(&self, request: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let mut running = JoinSet::new();
        let believed = self.known.believed();
        for index in 0..self.known.count() {
            if self.known.begin_probe(index) {
                let (asking, request) = (self.clone(), request.clone());
                running.spawn(async move {
                    let asked = asking.ask(index, request).await;
                    asking.known.end_probe(index);
                    asked
                });
            } else if believed.contains(&index) && self.known.is_prompt(index) {
                self.start(&mut running, index, &request);
            }
        }
        let mut heads: Vec<(u64, String, usize, ResponsePacket)> = Vec::new();
        let mut missing: Vec<_> = believed.iter().copied().filter(|index| self.known.is_prompt(*index)).collect();
        let mut last = none_left("the newest block");
        loop {
            let enough = heads.len() >= self.known.quorum();
            if enough && missing.is_empty() {
                break;
            }
            let patience = if enough { self.slow_after } else { Duration::MAX };
            let Some(joined) = in_time(patience, running.join_next()).await else {
                // those that let the others wait
                for index in &missing {
                    self.known.failed(*index, &"too slow");
                }
                break;
            };
            if joined.is_none() {
                break;
            }
            let Some((index, answered)) = finished(joined) else { continue };
            missing.retain(|other| *other != index);
            match answered {
                Ok(answer) => match head(&answer) {
                    Some((number, hash)) if believed.contains(&index) => heads.push((number, hash, index, answer)),
                    Some((number, _)) => self.known.saw_head(index, number, number),
                    None => self.known.failed(index, &"nonsense"),
                },
                Err(error) => last = error,
            }
        }
        heads.sort_by_key(|(number, ..)| std::cmp::Reverse(*number));
        let Some(reached) = heads.get(self.known.quorum() - 1).map(|(number, ..)| *number) else {
            return Err(if heads.is_empty() { last } else { none_left("the newest block") });
        };
        for (number, _, index, _) in &heads {
            self.known.saw_head(*index, *number, reached);
        }
        let late = Arc::clone(&self.known);
        rest(running, move |index, answer| {
            if let Some((number, _)) = head(answer) {
                late.saw_head(index, number, reached);
            }
        });
        let at: Vec<_> = heads.into_iter().filter(|(number, ..)| *number == reached).collect();
        let quorum = self.known.quorum();
        let agreed = at.iter().find(|one| at.iter().filter(|other| other.1 == one.1).count() >= quorum);
        match agreed {
            Some((.., answer)) => Ok(answer.clone()),
            None => self.agree(Question::Block, by_number(&request, reached)?).await,
        }
    }

    /// What enough endpoints say alike.
    async fn agree(&self, question: Question, request: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let mut last = none_left("what the chain says");
        for round in 0..ROUNDS {
            if round > 0 {
                tokio::time::sleep(BETWEEN_ROUNDS).await;
            }
            match self.vote(question, &request).await {
                Ok(answer) => return Ok(answer),
                Err(error @ RpcError::Transport(TransportErrorKind::Custom(_))) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    async fn vote(&self, question: Question, request: &RequestPacket) -> Result<ResponsePacket, TransportError> {
        // a block is asked of everybody: that is how a liar shows
        let believed = self.known.believed();
        let prompt = believed.iter().filter(|index| self.known.is_prompt(**index)).count();
        let at_once = if question == Question::Block { prompt.max(1) } else { self.known.quorum() };
        let mut waiting = believed.into_iter();
        let mut running = JoinSet::new();
        let mut votes: Vec<(usize, Said, ResponsePacket)> = Vec::new();
        let mut last = None;
        for index in waiting.by_ref().take(at_once) {
            self.start(&mut running, index, request);
        }
        loop {
            let can_do_without = self.known.quorum() == 1 && !votes.is_empty();
            let patience = if waiting.len() > 0 || can_do_without { self.slow_after } else { Duration::MAX };
            let joined = in_time(patience, running.join_next()).await;
            if joined.is_none()
                && can_do_without
                && let Some(winner) = self.winner(question, &votes, true)
            {
                return Ok(self.decided(question, winner, votes, running));
            }
            let over = matches!(joined, Some(None));
            if let Some((index, answered)) = joined.and_then(finished) {
                match answered.map(|answer| (said(question, &answer), answer)) {
                    Ok((Some(said), answer)) => votes.push((index, said, answer)),
                    Ok((None, answer)) => {
                        let words = own_trouble(&answer).unwrap_or_else(|| "nonsense".to_owned());
                        self.known.failed(index, &words);
                        last = Some(Ok(answer));
                    }
                    Err(error) => last = Some(last.and_then(Result::ok).ok_or(error)),
                }
                if let Some(winner) = self.winner(question, &votes, running.is_empty()) {
                    return Ok(self.decided(question, winner, votes, running));
                }
                if !running.is_empty() {
                    continue;
                }
            }
            match waiting.next() {
                Some(index) => self.start(&mut running, index, request),
                None if over || running.is_empty() => break,
                None => {}
            }
        }
        match last {
            Some(nobody) if votes.is_empty() => nobody,
            _ => Err(none_left("what the chain says")),
        }
    }

    /// What is said often enough. Of two endpoints one is enough, unless the other says something else.
    fn winner(&self, question: Question, votes: &[(usize, Said, ResponsePacket)], all_in: bool) -> Option<Said> {
        if self.known.quorum() == 1 {
            let mut told = votes.iter().map(|(_, said, _)| said).filter(|said| **said != Said::Nothing);
            let first = told.next();
            let contradicted = told.any(|other| Some(other) != first);
            let enough = all_in || question != Question::Block;
            return (enough && !contradicted).then(|| first.cloned().unwrap_or(Said::Nothing));
        }
        let often = |one: &Said| votes.iter().filter(|(_, other, _)| other == one).count();
        votes.iter().map(|(_, said, _)| said).find(|said| often(said) >= self.known.quorum()).cloned()
    }

    /// Notes who agreed and who did not, also of those that answer later.
    fn decided(
        &self,
        question: Question,
        winner: Said,
        votes: Vec<(usize, Said, ResponsePacket)>,
        running: JoinSet<Asked>,
    ) -> ResponsePacket {
        let mut chosen = None;
        for (index, said, answer) in votes {
            judge(&self.known, question, index, &said, &winner);
            if said == winner {
                chosen = Some(answer);
            }
        }
        let known = Arc::clone(&self.known);
        rest(running, move |index, answer| {
            if let Some(said) = said(question, answer) {
                judge(&known, question, index, &said, &winner);
            }
        });
        // a winner was said by somebody
        chosen.unwrap_or_else(|| ResponsePacket::Batch(Vec::new()))
    }
}

/// Holds one vote against the outcome. Not to know something is no contradiction, and neither are events of blocks that
/// an endpoint has not reached.
fn judge(known: &Endpoints, question: Question, index: usize, said: &Said, winner: &Said) {
    if known.quorum() == 1 {
        return;
    }
    if said == winner {
        known.agreed(index);
    } else if *said != Said::Nothing && *winner != Said::Nothing {
        let not_there_yet = question == Question::Logs && known.is_behind(index);
        known.contradicted(index, question.is_fixed() && !not_there_yet);
    }
}

/// Lets the requests that are still under way end by themselves, and looks at what they say.
fn rest(mut running: JoinSet<Asked>, mut look: impl FnMut(usize, &ResponsePacket) + Send + 'static) {
    if running.is_empty() {
        return;
    }
    tokio::spawn(async move {
        while let Some(done) = running.join_next().await {
            if let Some((index, Ok(answer))) = finished(Some(done)) {
                look(index, &answer);
            }
        }
    });
}

fn finished(joined: Option<Result<Asked, tokio::task::JoinError>>) -> Option<Asked> {
    joined.and_then(Result::ok)
}

/// `None` if it takes longer than that.
async fn in_time<T>(patience: Duration, waited: impl Future<Output = T>) -> Option<T> {
    if patience == Duration::MAX {
        return Some(waited.await);
    }
    tokio::time::timeout(patience, waited).await.ok()
}

fn none_left(about: &'static str) -> TransportError {
    RpcError::Transport(TransportErrorKind::Custom(Box::new(NoAgreement(about))))
}

/// The same request for the block of a number.
fn by_number(request: &RequestPacket, number: u64) -> Result<RequestPacket, TransportError> {
    let id = request.as_single().map_or(Id::Number(0), |single| single.id().clone());
    let asked = Request::new("eth_getBlockByNumber", id, (format!("{number:#x}"), false));
    Ok(RequestPacket::Single(asked.try_into().map_err(TransportError::ser_err)?))
}

async fn chain_of(client: &Http<Client>) -> Result<u64, TransportError> {
    let asked = Request::new("eth_chainId", Id::Number(0), [(); 0]);
    let asked = RequestPacket::Single(asked.try_into().map_err(TransportError::ser_err)?);
    let nonsense = || RpcError::Transport(TransportErrorKind::BackendGone);
    match client.clone().oneshot(asked).await? {
        ResponsePacket::Single(one) => match one.payload {
            ResponsePayload::Success(raw) => {
                let hex = raw.get().trim_matches('"').strip_prefix("0x").ok_or_else(nonsense)?;
                u64::from_str_radix(hex, 16).map_err(|_| nonsense())
            }
            ResponsePayload::Failure(payload) => Err(RpcError::ErrorResp(payload)),
        },
        ResponsePacket::Batch(_) => Err(nonsense()),
    }
}

impl Service<RequestPacket> for Failover {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        Box::pin(self.clone().answer(request))
    }
}

/// Whether a URL names this machine: a proxy of the environment would not find it.
fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| host == "localhost" || host.starts_with("127.") || host == "[::1]")
}

fn checked(text: &str) -> Result<Url, EscrowError> {
    let bad = || EscrowError::BadUrl(text.chars().take(128).collect());
    let url = Url::parse(text).map_err(|_| bad())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(bad());
    }
    Ok(url)
}
