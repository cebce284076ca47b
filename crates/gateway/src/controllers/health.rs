//! Liveness and readiness, one line per check.

use crate::state::AppState;
use axum::extract::State;
use axum::http::StatusCode;
use std::fmt::Write as _;

pub(crate) async fn livez() -> &'static str {
    "[+] alive\n"
}

pub(crate) async fn readyz(State(state): State<AppState>) -> (StatusCode, String) {
    let checks = state.api.readiness().await;
    let mut lines = String::new();
    for check in &checks {
        let mark = if check.ok { '+' } else { '!' };
        let _ = writeln!(lines, "[{mark}] {} {}", check.check, check.detail);
    }
    let status = if checks.iter().all(|check| check.ok) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, lines)
}
