//! Server-sent events: what the node sees happen, with resume.

use crate::extract::LastEventId;
use crate::state::AppState;
use crate::view::EventView;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt, stream};
use std::convert::Infallible;
use std::time::Duration;
use tokio_stream::wrappers::BroadcastStream;

/// How often a silent stream says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub(crate) async fn follow_events(
    State(state): State<AppState>,
    last: Option<LastEventId>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (remembered, live) = state.api.events(last.map(|LastEventId(id)| id));
    let live = BroadcastStream::new(live).map(|item| match item {
        Ok(event) => as_sse(&event),
        Err(lagged) => Event::default().event("lagged").data(lagged.to_string()),
    });
    let events = stream::iter(remembered).map(|event| as_sse(&event)).chain(live).map(Ok);
    Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT))
}

fn as_sse(event: &EventView) -> Event {
    let data = serde_json::to_string(event).unwrap_or_default();
    Event::default().id(event.id.to_string()).event(event.kind.clone()).data(data)
}
