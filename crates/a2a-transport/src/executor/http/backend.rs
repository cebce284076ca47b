//! The wrapped server: its card, and one request to it.

use std::{sync::Arc, time::Duration};

use haggle_a2a::{
    A2aError, Kind, MAX_BODY_BYTES, VERSION,
    card::{self, CardError, Fault},
    params::{A2A_EXTENSIONS, A2A_VERSION},
    rpc,
};
use http::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, Response, redirect::Policy};
use serde_json::Value;
use tokio::{sync::Mutex, time::Instant};
use url::{Host, Url};

pub(super) use crate::outbound::answers::invalid;
use crate::{Call, Events, outbound::answers};

/// How long the server's card is believed.
const CARD_TTL: Duration = Duration::from_secs(300);
/// Longest fetch of the card.
const CARD_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time until the server accepts a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest card, in bytes.
const MAX_CARD_BYTES: usize = 64 * 1024;
/// What a request is called in JSON-RPC; one call per HTTP request.
const CALL_ID: u64 = 1;

/// A server at a URL that the operator has typed.
#[derive(Debug)]
pub(super) struct Backend {
    base: Url,
    client: Client,
    known: Mutex<Option<(Instant, Known)>>,
}

/// What the server's card says.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) card: Arc<Value>,
    url: Url,
    tenant: Option<String>,
}

impl Known {
    pub(super) fn streams(&self) -> bool {
        self.card.pointer("/capabilities/streaming") == Some(&Value::Bool(true))
    }
}

impl Backend {
    pub(super) fn new(url: &str) -> Result<Self, A2aError> {
        let wrong = || A2aError::invalid_params("url", "must be an http or https URL");
        let base = Url::parse(url).map_err(|_| wrong())?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(wrong());
        }
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(|cause| A2aError::new(Kind::Internal, format!("no HTTP client: {cause}")))?;
        Ok(Self { base, client, known: Mutex::new(None) })
    }

    /// The card, fetched at most once in a while.
    pub(super) async fn known(&self) -> Result<Known, A2aError> {
        let mut known = self.known.lock().await;
        if let Some((at, held)) = known.as_ref()
            && at.elapsed() < CARD_TTL
        {
            return Ok(held.clone());
        }
        let card = self.look().await?;
        let faults = self.faults(&card);
        if !faults.is_empty() {
            return Err(invalid(CardError { faults }.to_string()));
        }
        let interface = card::interface(&card, card::JSONRPC).ok_or_else(|| invalid(NO_INTERFACE))?;
        let url = Url::parse(interface.url).map_err(|_| invalid(NO_INTERFACE))?;
        let tenant = interface.tenant.map(str::to_owned);
        let found = Known { url: self.reachable(url), tenant, card: Arc::new(card) };
        *known = Some((Instant::now(), found.clone()));
        Ok(found)
    }

    /// The card as the server has it now, whatever it says.
    pub(super) async fn look(&self) -> Result<Value, A2aError> {
        let asked = self.client.get(self.card_url()?).timeout(CARD_TIMEOUT).send();
        answers::json(asked.await.map_err(|cause| answers::not_sent(&cause))?, MAX_CARD_BYTES).await
    }

    /// Every reason why this server cannot be wrapped under this card.
    pub(super) fn faults(&self, card: &Value) -> Vec<Fault> {
        let mut faults = card::check(card).err().map(|wrong| wrong.faults).unwrap_or_default();
        let mut add = |path: String, problem| faults.push(Fault { path, problem });
        match card::interface(card, card::JSONRPC) {
            None if card.get("supportedInterfaces").is_some_and(Value::is_array) => {
                add("/supportedInterfaces".to_owned(), NO_INTERFACE);
            }
            None => {}
            Some(interface) => {
                let entries = card.get("supportedInterfaces").and_then(Value::as_array).into_iter().flatten();
                let place = entries.take_while(|entry| entry.get("url").and_then(Value::as_str) != Some(interface.url));
                let path = format!("/supportedInterfaces/{}/url", place.count());
                match Url::parse(interface.url) {
                    Err(_) => add(path, "is no URL"),
                    Ok(url) if !same_place(&url, &self.base) => {
                        add(path, "is on another host or port than the card itself");
                    }
                    Ok(_) => {}
                }
            }
        }
        faults
    }

    pub(super) fn card_url(&self) -> Result<Url, A2aError> {
        if self.base.path().ends_with(".json") {
            return Ok(self.base.clone());
        }
        let mut base = self.base.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        base.join(card::WELL_KNOWN).map_err(|_| invalid("the URL cannot be completed to a card's"))
    }

    /// The interface under the host that the operator typed: `0.0.0.0` in a card is no address.
    fn reachable(&self, mut url: Url) -> Url {
        let host = self.base.host_str().map(str::to_owned);
        if url.set_host(host.as_deref()).is_err() {
            tracing::debug!("the backend's URL keeps its own host");
        }
        url
    }

    /// Asks, and reads the whole answer.
    pub(super) async fn ask(
        &self,
        method: &str,
        params: Value,
        call: Option<&Call>,
        deadline: Duration,
    ) -> Result<Value, A2aError> {
        let response = self.post(method, params, call, deadline).await?;
        rpc::result(answers::json(response, MAX_BODY_BYTES).await?)
    }

    /// Asks for a stream of events. A server that answers with one result instead gives that as the only event.
    pub(super) async fn stream(&self, method: &str, params: Value, call: &Call) -> Result<Events, A2aError> {
        let response = self.post(method, params, Some(call), call.deadline).await?;
        answers::events(response).await
    }

    async fn post(
        &self,
        method: &str,
        mut params: Value,
        call: Option<&Call>,
        deadline: Duration,
    ) -> Result<Response, A2aError> {
        let known = self.known().await?;
        if let (Some(tenant), Some(map)) = (known.tenant, params.as_object_mut()) {
            map.insert("tenant".to_owned(), Value::String(tenant));
        }
        let mut request = self
            .client
            .post(known.url)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .header(A2A_VERSION, VERSION)
            .timeout(deadline)
            .body(rpc::request(CALL_ID, method, params).to_string());
        let extensions = call.map(|call| call.extensions.join(",")).unwrap_or_default();
        if !extensions.is_empty() {
            request = request.header(A2A_EXTENSIONS, extensions);
        }
        request.send().await.map_err(|cause| answers::not_sent(&cause))
    }
}

const NO_INTERFACE: &str = "lists no JSONRPC interface for A2A 1.0";

/// True if both name the same port of the same host; all names of this machine are one host.
fn same_place(one: &Url, other: &Url) -> bool {
    let host = |url: &Url| match url.host() {
        Some(Host::Domain(name)) if name != "localhost" => Some(name.to_owned()),
        Some(Host::Ipv4(ip)) if !ip.is_loopback() && !ip.is_unspecified() => Some(ip.to_string()),
        Some(Host::Ipv6(ip)) if !ip.is_loopback() && !ip.is_unspecified() => Some(ip.to_string()),
        Some(_) => Some("localhost".to_owned()),
        None => None,
    };
    one.scheme() == other.scheme()
        && host(one) == host(other)
        && one.port_or_known_default() == other.port_or_known_default()
}
