//! An agent at the URL that its card names, for when none of its nodes can be reached.

use haggle_a2a::{
    A2aError, Kind, MAX_BODY_BYTES, VERSION, card,
    params::{A2A_EXTENSIONS, A2A_VERSION},
    rpc,
    types::methods,
};
use http::header::{ACCEPT, CONTENT_TYPE};
use serde_json::{Value, json};

use super::answers;
use crate::{
    Answer, RemoteCall,
    guarded::{self, Reach},
};

/// Passes a call on to the first JSON-RPC interface of a card, through the guarded connector. The caller is nobody there:
/// no key of ours is shown, so only what is free to everybody is answered.
///
/// # Errors
/// [`Kind::Unreachable`] if the card names no such interface or its server does not accept connections (nothing was sent),
/// [`Kind::InvalidParams`] or [`Kind::Refused`] for a URL that may not be called, [`Kind::ConnectionLost`] and
/// [`Kind::DeadlineExceeded`] (unknown what came of it), [`Kind::InvalidAgentResponse`], or the agent's own error.
pub async fn ask_over_http(card: &Value, call: RemoteCall, reach: Reach) -> Result<Answer, A2aError> {
    let none = || A2aError::new(Kind::Unreachable, "the agent's card names no URL to call it at");
    let interface = card::interface(card, card::JSONRPC).ok_or_else(none)?;
    let target = guarded::target(interface.url, "card.supportedInterfaces.url", reach)?;
    let RemoteCall { mut request, params, deadline, .. } = call;
    if let Some(tenant) = interface.tenant
        && let Some(map) = request.get_mut("params").and_then(Value::as_object_mut)
    {
        map.insert("tenant".to_owned(), json!(tenant));
    }
    let method = request.get("method").and_then(Value::as_str);
    let streams = matches!(method, Some(methods::SEND_STREAMING_MESSAGE | methods::SUBSCRIBE_TO_TASK));
    let asked = async {
        let mut asking = guarded::client(&target.0, reach)
            .await?
            .post(target.0)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .header(A2A_VERSION, VERSION)
            .body(request.to_string());
        if !params.extensions.is_empty() {
            asking = asking.header(A2A_EXTENSIONS, params.extensions.join(","));
        }
        let response = asking.send().await.map_err(|cause| answers::not_sent(&cause))?;
        if streams {
            return answers::events(response).await.map(Answer::Many);
        }
        rpc::result(answers::json(response, MAX_BODY_BYTES).await?).map(Answer::One)
    };
    let late = |_| A2aError::new(Kind::DeadlineExceeded, "the agent's server did not answer in time");
    tokio::time::timeout(deadline, asked).await.map_err(late)?
}
