//! Server-sent events: what the node sees happen, of the topics that are asked for, with resume.

use crate::error::ApiError;
use crate::extract::{LastEventId, Query};
use crate::state::AppState;
use crate::view::{EventView, Topics};
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt, future, stream};
use std::convert::Infallible;
use std::time::Duration;
use tokio_stream::wrappers::BroadcastStream;

/// How often a silent stream says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub(crate) async fn follow_events(
    State(state): State<AppState>,
    last: Option<LastEventId>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let topics = Topics::read(asked.iter().filter(|(name, _)| name == "topic").map(|(_, words)| words.as_str()))?;
    let (remembered, live) = state.api.events(last.map(|LastEventId(id)| id));
    let live = BroadcastStream::new(live).filter_map(move |item| {
        future::ready(match item {
            Ok(event) => as_sse(&event, topics),
            Err(lagged) => Some(Event::default().event("lagged").data(lagged.to_string())),
        })
    });
    let remembered = remembered.into_iter().filter_map(move |event| as_sse(&event, topics));
    let events = stream::iter(remembered).chain(live).map(Ok);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

fn as_sse(event: &EventView, topics: Topics) -> Option<Event> {
    if !topics.contains(event.topic) {
        return None;
    }
    let data = serde_json::to_string(event).unwrap_or_default();
    Some(Event::default().id(event.id.to_string()).event(event.kind.clone()).data(data))
}
