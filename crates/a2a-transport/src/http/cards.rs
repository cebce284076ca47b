//! Agent cards over HTTP: with a tag and a date, so that whoever has one can ask whether it changed.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use axum::{body::Body, http::Uri, routing::get};
use haggle_base::Timestamp;

use super::*;

/// How long a card may be kept, in seconds.
const CARD_MAX_AGE: &str = "max-age=60";
/// Most cards whose date is remembered.
const REMEMBERED: usize = 4096;

/// When each card that was shown changed, as far as this gateway has seen; it is asked for by place.
#[derive(Debug, Default)]
struct Seen(Mutex<HashMap<String, (String, Timestamp)>>);

impl Seen {
    fn changed(&self, place: &str, etag: &str, now: Timestamp) -> Timestamp {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.get(place) {
            Some((held, since)) if held == etag => *since,
            _ => {
                if seen.len() >= REMEMBERED {
                    seen.clear();
                }
                seen.insert(place.to_owned(), (etag.to_owned(), now));
                now
            }
        }
    }
}

/// The routes of cards.
pub(super) fn routes() -> Router<Arc<HttpConfig>> {
    Router::new()
        .route("/a2a/{did}/.well-known/agent-card.json", get(show_gateway_card))
        .route("/a2a/{did}/agent-card.json", get(show_original_card))
        .layer(Extension(Arc::new(Seen::default())))
}

async fn show_gateway_card(
    State(config): State<Arc<HttpConfig>>,
    Path(agent): Path<String>,
    scope: Option<Extension<CallerScope>>,
    Extension(seen): Extension<Arc<Seen>>,
    place: Uri,
    headers: HeaderMap,
) -> Response {
    let Some(agent) = did(&agent) else { return StatusCode::NOT_FOUND.into_response() };
    let scope = scope.as_ref().map(|Extension(CallerScope(scope))| scope.as_str());
    let Some(original) = original_card(&config, scope, &agent).await else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let base = base_url(&config, &headers);
    match gateway_card(&config, &agent, &original, base.as_deref()) {
        Ok(card) => answer(&config, &seen, &place, &card, &headers),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

async fn show_original_card(
    State(config): State<Arc<HttpConfig>>,
    Path(agent): Path<String>,
    scope: Option<Extension<CallerScope>>,
    Extension(seen): Extension<Arc<Seen>>,
    place: Uri,
    headers: HeaderMap,
) -> Response {
    let Some(agent) = did(&agent) else { return StatusCode::NOT_FOUND.into_response() };
    let scope = scope.as_ref().map(|Extension(CallerScope(scope))| scope.as_str());
    match original_card(&config, scope, &agent).await {
        Some(card) => answer(&config, &seen, &place, &card, &headers),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn answer(config: &HttpConfig, seen: &Seen, place: &Uri, card: &Value, asked: &HeaderMap) -> Response {
    let body = card.to_string();
    let etag = format!("\"{}\"", Hash::of(body.as_bytes()));
    let held = asked.get(header::IF_NONE_MATCH).and_then(|held| held.to_str().ok());
    let fresh = held.is_some_and(|held| held == "*" || held.split(',').any(|tag| tag.trim() == etag));
    let changed = seen.changed(place.path(), &etag, config.server.now());
    let changed = SystemTime::UNIX_EPOCH + Duration::from_millis(changed.as_millis());
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CACHE_CONTROL, CARD_MAX_AGE.to_owned()),
        (header::LAST_MODIFIED, httpdate::fmt_http_date(changed)),
        (header::ETAG, etag),
    ];
    if fresh {
        (StatusCode::NOT_MODIFIED, headers, Body::empty()).into_response()
    } else {
        (headers, body).into_response()
    }
}
