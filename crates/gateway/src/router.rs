//! The whole HTTP API by eye.

use crate::controllers::{
    agents, channels, events, health, invoke, keys, listings, messages, metrics, node, orders, payments, registry,
    seed, services, typed, wallets, x402,
};
use crate::error::ApiError;
use crate::guard::{Guard, Watch, guard};
use crate::state::AppState;
use crate::successor;
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::{any, delete, get, post};
use futures::StreamExt as _;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Largest request body: an input of 640 KiB as JSON text, with room for its envelope.
pub const BODY_LIMIT: usize = 1 << 20;

/// Joins every route; `a2a` is the router of the A2A room.
pub(crate) fn router(state: AppState, guard_rules: Guard, a2a: Router) -> Router {
    let watch = Watch { guard: guard_rules, api: Arc::clone(&state.api) };
    let own = Router::new()
        // the node
        .route("/v1/node", get(node::get_node))
        .route("/v1/node/stop", post(node::stop_node))
        .route("/v1/checks", get(node::list_checks))
        .route("/v1/peers", get(node::list_peers).post(node::connect_peer))
        .route("/v1/peers/ticket", get(node::get_ticket))
        .route("/v1/peers/{peer}/ping", post(node::ping_peer))
        .route("/v1/visibility", get(node::get_visibility))
        .route("/v1/wallet", get(node::list_wallets))
        .route("/v1/events", get(events::follow_events))
        // the market
        .route("/v1/listings", get(listings::list_listings))
        .route("/v1/listings/{id}", get(listings::get_listing).delete(listings::withdraw_listing))
        .route("/v1/listings/{id}/why", get(listings::explain_listing))
        .route("/v1/agents", get(agents::list_agents).post(agents::add_agent))
        .route("/v1/agents/probe", post(agents::probe_agent))
        .route("/v1/agents/{did}", get(agents::get_agent))
        .route("/v1/agents/{did}/logs", get(agents::read_log))
        .route("/v1/agents/{did}/prices", get(agents::list_prices))
        .route("/v1/agents/{did}/publish", post(agents::republish_agent))
        // the trade
        .route("/v1/quotes", post(orders::ask_quote))
        .route("/v1/orders", get(orders::list_orders).post(orders::hire))
        .route("/v1/orders/{id}", get(orders::get_order))
        .route("/v1/orders/{id}/receipt", get(orders::order_receipt))
        .route("/v1/orders/{id}/cancel", post(orders::cancel_order))
        .route("/v1/orders/{id}/dispute", post(orders::dispute_order))
        .route("/v1/orders/{id}/counter", post(orders::counter_order))
        .route("/v1/orders/{id}/case", get(orders::show_case))
        .route("/v1/orders/{id}/output", post(orders::give_output))
        .route("/v1/invoke", post(invoke::invoke_best))
        .route("/v1/keys", get(keys::list_keys))
        .route("/v1/keys/{id}", delete(keys::revoke_key))
        // payments to strangers
        .route("/v1/pay", post(payments::pay_url))
        .route("/v1/payments/{key}", get(payments::get_payment))
        .route("/v1/payments/{key}/receipt", get(payments::payment_receipt))
        .route("/v1/transfers", post(payments::transfer))
        .route("/v1/wallet/history", get(payments::list_history))
        .route("/v1/channels", get(channels::list_channels))
        .route("/v1/channels/{id}/close", post(channels::close_channel))
        .route("/v1/channels/{id}/receipt", post(channels::channel_receipt))
        // for whoever pays
        .route("/x402/{listing}", any(x402::sell))
        .merge(facilitator())
        .nest("/facilitator", facilitator())
        // the owner's routes
        .nest(successor::PREFIX, first().merge(owner()))
        .merge(first().route_layer(axum::middleware::from_fn(successor::announce)))
        .route("/a2a/message", post(typed::typed_message))
        // operations
        .route("/metrics", get(metrics::scrape))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .fallback(no_such_route)
        .method_not_allowed_fallback(wrong_method)
        .with_state(state.clone());
    own.merge(a2a)
        .layer(axum::middleware::from_fn_with_state(state.stopping, end_streams))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(axum::middleware::from_fn_with_state(watch, guard))
}

/// The owner's routes that have stood under their version from the beginning.
fn owner() -> Router<AppState> {
    Router::new()
        // agents
        .route("/agents", get(registry::list_agents).post(registry::create_agent))
        .route("/agents/{id}", get(registry::get_agent).put(registry::change_agent).delete(registry::delete_agent))
        .route("/agents/{id}/publish", post(registry::publish_agent))
        .route("/agents/{id}/suspend", post(registry::suspend_agent))
        // services
        .route("/services/search", get(services::search_services))
        .route("/services/list", post(typed::list_service))
        // messages between agents
        .route("/a2a/discover", post(messages::discover))
        .route("/a2a/request", post(messages::ask_service))
        .route("/a2a/respond", post(messages::answer_service))
        .route("/a2a/messages", get(messages::list_messages))
        // wallets, escrow and disputes
        .route("/wallets", get(wallets::list_wallets).post(wallets::make_wallet))
        .route("/wallets/{id}", get(wallets::get_wallet))
        .route("/wallets/{id}/fund", post(wallets::fund_wallet))
        .route("/wallets/{id}/transactions", get(wallets::list_transactions))
        .route("/escrow/{order_id}", get(wallets::get_escrow))
        .route("/disputes/create", post(typed::create_dispute))
}

/// The owner's first routes: under their version like the rest, and as they were written down, without one.
fn first() -> Router<AppState> {
    Router::new()
        .route("/agents/search", get(seed::search_agents))
        .route("/agents/register", post(seed::register_agent))
        .route("/agents/invoke", post(invoke::invoke_best))
        .route("/agents/{id}/invoke", post(invoke::invoke_agent))
        .route("/agents/{id}/prices", get(agents::list_prices))
        .route("/purchase", post(keys::purchase))
}

/// The routes every x402 facilitator has, for other servers too.
fn facilitator() -> Router<AppState> {
    Router::new()
        .route("/verify", post(x402::verify))
        .route("/settle", post(x402::settle))
        .route("/supported", get(x402::supported))
        .route("/discovery/resources", get(x402::discover))
}

/// Ends a stream of server-sent events when the gateway stops: it would wait for the reader to leave.
async fn end_streams(State(stopping): State<CancellationToken>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
        return response;
    }
    response.map(|body| Body::from_stream(body.into_data_stream().take_until(stopping.cancelled_owned())))
}

async fn no_such_route() -> ApiError {
    ApiError::not_found(
        "route_not_found",
        "this gateway has no such route",
        "the routes are listed in docs/ARCHITECTURE.md under the gateway",
    )
}

async fn wrong_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "the route exists, but not with this method",
        "the Allow header lists the methods of the route",
    )
}
