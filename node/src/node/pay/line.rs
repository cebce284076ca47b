//! The way to an agent that is paid over A2A: over libp2p by its DID, or over HTTP by its URL.

use super::PATIENCE;
use crate::node::Inner;
use crate::node::api::coded;
use haggle_a2a::types::methods;
use haggle_a2a::{A2aError, Kind, ServiceParams, VERSION, card, params, rpc};
use haggle_a2a_transport::{Answer, Fetch, RemoteCall};
use haggle_base::Did;
use haggle_gateway::ApiError;
use haggle_x402::a2a;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

/// Whose budget pays: this node's operator's.
const OPERATOR: &str = "operator";

/// An agent, and how it is reached.
#[derive(Debug, Clone)]
pub(super) enum Line {
    /// An agent of the market.
    Peer(Did),
    /// An A2A server of anybody's.
    Http {
        /// Its JSON-RPC interface.
        url: String,
        /// What every request has to name.
        tenant: Option<String>,
        headers: HeaderMap,
    },
}

impl Inner {
    /// The way to `target`: a DID, or the base URL of an A2A server, whose card says the rest.
    pub(super) async fn line_to(&self, target: &str, headers: &HeaderMap) -> Result<Line, ApiError> {
        if let Ok(did) = target.parse::<Did>() {
            if self.agents.get(&did).is_some() {
                let told = format!("{did} is one of this node's own agents");
                return Err(ApiError::bad_request(
                    "own_agent",
                    told,
                    "nobody pays oneself: call it with `haggle invoke`",
                ));
            }
            return Ok(Line::Peer(did));
        }
        let base = target.trim_end_matches('/');
        let url = if base.ends_with(".json") { base.to_owned() } else { format!("{base}/{}", card::WELL_KNOWN) };
        let asked = Fetch { method: Method::GET, url, headers: headers.clone(), body: String::new().into() };
        let heard = self.knock(asked).await.map_err(coded)?;
        let card: Option<Value> = (heard.status == 200).then(|| serde_json::from_slice(&heard.body).ok()).flatten();
        let interface = card.as_ref().and_then(|card| card::interface(card, card::JSONRPC));
        let Some(interface) = interface else {
            return Err(ApiError::new(
                http::StatusCode::BAD_GATEWAY,
                "no_agent_there",
                format!("{target} shows no card of an agent that speaks A2A 1.0 by JSON-RPC"),
                "`haggle a2a inspect URL` says what is there",
            ));
        };
        let (url, tenant) = (interface.url.to_owned(), interface.tenant.map(str::to_owned));
        Ok(Line::Http { url, tenant, headers: headers.clone() })
    }

    /// Asks the agent with the extension active; the result of the operation.
    pub(super) async fn say(&self, line: &Line, method: &str, mut body: Value) -> Result<Value, A2aError> {
        match line {
            Line::Peer(did) => {
                let extensions = if method == methods::SEND_MESSAGE { vec![a2a::URI.to_owned()] } else { Vec::new() };
                let params =
                    ServiceParams { version: Some(VERSION.to_owned()), extensions, ..ServiceParams::default() };
                let (request, scope) = (rpc::request(1, method, body), OPERATOR.to_owned());
                match self.directory.perform(did, RemoteCall { request, params, scope, deadline: PATIENCE }).await? {
                    Answer::One(result) => Ok(result),
                    Answer::Many(_) => {
                        Err(A2aError::new(Kind::InvalidAgentResponse, "the agent answers with a stream"))
                    }
                }
            }
            Line::Http { url, tenant, headers } => {
                if let (Some(tenant), Some(fields)) = (tenant, body.as_object_mut()) {
                    fields.insert("tenant".to_owned(), json!(tenant));
                }
                let mut headers = headers.clone();
                let extensions = a2a::URIS.join(",");
                let own = [
                    ("content-type", "application/json"),
                    (params::A2A_VERSION, VERSION),
                    (params::A2A_EXTENSIONS, extensions.as_str()),
                    (params::X_A2A_EXTENSIONS, extensions.as_str()),
                ];
                for (name, value) in own {
                    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
                        headers.insert(name, value);
                    }
                }
                let body = rpc::request(1, method, body).to_string().into();
                let fetch = Fetch { method: Method::POST, url: url.clone(), headers, body };
                let heard = self.knock(fetch).await?;
                let invalid = |text: String| A2aError::new(Kind::InvalidAgentResponse, text);
                match serde_json::from_slice::<Value>(&heard.body) {
                    Ok(answer) if answer.get("jsonrpc").is_some() => rpc::result(answer),
                    _ => Err(invalid(format!("the agent's server answered HTTP {} without JSON-RPC", heard.status))),
                }
            }
        }
    }
}
