//! Routes without a version: each answer says since when its route is deprecated, and which one has taken its place.

use axum::extract::Request;
use axum::http::header::{HeaderName, HeaderValue, LINK};
use axum::middleware::Next;
use axum::response::Response;

/// Where the routes with a version stand.
pub(crate) const PREFIX: &str = "/api/v1";
/// The header of RFC 9745.
const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
/// Since when every route has a version: 2026-11-23, midnight UTC.
const SINCE: HeaderValue = HeaderValue::from_static("@1795392000");

/// Middleware of routes that stand under [`PREFIX`] too: it answers as they do, and names the better path.
pub(crate) async fn announce(request: Request, next: Next) -> Response {
    let link = format!("<{PREFIX}{}>; rel=\"successor-version\"", request.uri().path());
    let mut response = next.run(request).await;
    response.headers_mut().insert(DEPRECATION, SINCE);
    if let Ok(link) = HeaderValue::try_from(link) {
        response.headers_mut().append(LINK, link);
    }
    response
}
