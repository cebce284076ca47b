//! Calling an agent and waiting for its answer: by id, as the owner's first routes have it, or by capability.

use crate::controllers::seed::number;
use crate::error::ApiError;
use crate::extract::{IdempotencyKey, Json};
use crate::guard::out_of_scope;
use crate::state::AppState;
use crate::view::{
    DEFAULT_TIMEOUT, Invocation, InvokeAnswer, InvokeBestRequest, InvokeMetrics, InvokeRequest, Invoked, KeyScope,
    LONGEST_TIMEOUT, Target,
};
use axum::Extension;
use axum::extract::{Path, State};
use axum::response::AppendHeaders;
use haggle_base::Usdc;
use serde_json::value::RawValue;
use std::time::Duration;

/// The answer, and the key it can be asked for again with.
type Answered = (AppendHeaders<[(&'static str, String); 1]>, axum::Json<InvokeAnswer>);

pub(crate) async fn invoke_agent(
    State(state): State<AppState>,
    Path(agent): Path<String>,
    scope: Option<Extension<KeyScope>>,
    key: Option<IdempotencyKey>,
    Json(body): Json<InvokeRequest>,
) -> Result<Answered, ApiError> {
    let scope = scope.map(|Extension(scope)| scope);
    if let Some(scope) = scope.as_ref().filter(|scope| scope.agent != agent) {
        return Err(out_of_scope(scope));
    }
    let wanted = Invocation {
        target: Target::Agent(agent),
        input: body.input,
        timeout: timeout(body.timeout_ms)?,
        max_cost: max_cost(body.max_cost.as_deref())?,
        buyer: body.buyer,
        key: key.map(|IdempotencyKey(key)| key),
    };
    answer(match scope {
        Some(scope) => state.api.invoke_with(&scope.id, wanted).await?,
        None => state.api.invoke(wanted).await?,
    })
}

pub(crate) async fn invoke_best(
    State(state): State<AppState>,
    key: Option<IdempotencyKey>,
    Json(body): Json<InvokeBestRequest>,
) -> Result<Answered, ApiError> {
    let wanted = Invocation {
        target: Target::Capability(body.capability),
        input: body.input,
        timeout: timeout(body.timeout_ms)?,
        max_cost: max_cost(body.max_cost.as_deref())?,
        buyer: body.buyer,
        key: key.map(|IdempotencyKey(key)| key),
    };
    answer(state.api.invoke(wanted).await?)
}

fn answer(invoked: Invoked) -> Result<Answered, ApiError> {
    let answer = InvokeAnswer {
        output: invoked.output,
        cost: number(invoked.cost.to_string())?,
        metrics: InvokeMetrics { response_time_ms: invoked.response_time_ms, seller_id: invoked.seller },
        fee: number(invoked.fee.to_string())?,
        order: invoked.order,
        reason: invoked.reason,
    };
    Ok((AppendHeaders([("idempotency-key", invoked.key)]), axum::Json(answer)))
}

fn timeout(asked: Option<u64>) -> Result<Duration, ApiError> {
    let timeout = asked.map_or(DEFAULT_TIMEOUT, Duration::from_millis);
    if timeout.is_zero() || timeout > LONGEST_TIMEOUT {
        return Err(ApiError::bad_request(
            "invalid_timeout",
            format!("a timeout_ms of {} is out of bounds", timeout.as_millis()),
            "wait 1 to 300000 ms; buy longer work with POST /v1/orders, which does not wait",
        ));
    }
    Ok(timeout)
}

fn max_cost(asked: Option<&RawValue>) -> Result<Option<Usdc>, ApiError> {
    let read = |raw: &RawValue| Usdc::from_json_text(raw.get()).map_err(|error| ApiError::from_coded(&error));
    asked.map(read).transpose()
}
