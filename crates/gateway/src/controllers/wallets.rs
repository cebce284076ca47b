//! Wallets, their transactions and the state of the escrow, with the owner's first field names.

use crate::controllers::seed::number;
use crate::error::ApiError;
use crate::extract::{Json, Query};
use crate::state::AppState;
use crate::view::{
    AgentWallet, AutoReload, FundBody, FundingDetails, FundingSource, Movement, NewLimits, SpendingLimit,
    TransactionQuery, TransactionRow, WalletBody, WalletFacts, WalletView,
};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use haggle_base::Usdc;
use serde_json::json;
use serde_json::value::RawValue;

pub(crate) async fn list_wallets(State(state): State<AppState>) -> Result<axum::Json<Vec<AgentWallet>>, ApiError> {
    let facts = state.api.wallet_facts();
    let wallets = state.api.wallets().await?.items;
    wallets.iter().map(|wallet| owners(wallet, &facts)).collect::<Result<_, _>>().map(axum::Json)
}

pub(crate) async fn get_wallet(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<axum::Json<AgentWallet>, ApiError> {
    wallet_of(&state, &id).await.map(axum::Json)
}

pub(crate) async fn make_wallet(
    State(state): State<AppState>,
    Json(body): Json<WalletBody>,
) -> Result<axum::Json<AgentWallet>, ApiError> {
    if let Some(NewLimits { daily, per_transaction }) = body.config.spending_limit {
        let (daily, per_call) = (amount(daily.as_deref())?, amount(per_transaction.as_deref())?);
        state.api.limit_wallet(&body.agent_id, per_call, daily).await?;
    }
    wallet_of(&state, &body.agent_id).await.map(axum::Json)
}

pub(crate) async fn fund_wallet(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Json(body): Json<FundBody>,
) -> Result<axum::Json<TransactionRow>, ApiError> {
    let source = body.source.as_deref().unwrap_or("faucet");
    if source != "faucet" {
        return Err(ApiError::bad_request(
            "unsupported_source",
            format!("no money comes from {source:?}"),
            "on a devnet use the source faucet; anywhere else send tokens to the wallet's address",
        ));
    }
    let units = Usdc::from_json_text(body.amount.get()).map_err(|error| ApiError::from_coded(&error))?;
    let movement = state.api.fund_wallet(&id, units).await?;
    row(movement, &id, &state.api.wallet_facts().currency).map(axum::Json)
}

pub(crate) async fn list_transactions(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Query(query): Query<TransactionQuery>,
) -> Result<axum::Json<Vec<TransactionRow>>, ApiError> {
    let currency = state.api.wallet_facts().currency;
    let movements = state.api.transactions(&id, query).await?;
    movements.into_iter().map(|movement| row(movement, &id, &currency)).collect::<Result<_, _>>().map(axum::Json)
}

/// The owner's own 404 has one field and no code.
pub(crate) async fn get_escrow(State(state): State<AppState>, Path(id): Path<String>) -> Response {
    match state.api.escrow_of(&id).await {
        Ok(view) => axum::Json(view).into_response(),
        Err(problem) if problem.code == "order_not_found" => {
            (StatusCode::NOT_FOUND, axum::Json(json!({"detail": "Order not found"}))).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

async fn wallet_of(state: &AppState, id: &str) -> Result<AgentWallet, ApiError> {
    let did = state.api.wallet_owner(id)?;
    let wallets = state.api.wallets().await?.items;
    let found = wallets.iter().find(|wallet| wallet.agent == did);
    let missing = || ApiError::not_found("agent_not_found", format!("{id} has no wallet here"), "see /api/v1/wallets");
    owners(found.ok_or_else(missing)?, &state.api.wallet_facts())
}

fn owners(wallet: &WalletView, facts: &WalletFacts) -> Result<AgentWallet, ApiError> {
    let zero = || number("0".to_owned());
    Ok(AgentWallet {
        id: wallet.agent.clone(),
        agent_id: wallet.agent.clone(),
        balance: number(wallet.available.to_string())?,
        currency: facts.currency.clone(),
        budget_limit: None,
        spending_limit: SpendingLimit {
            daily: number(wallet.per_day.to_string())?,
            per_transaction: number(wallet.per_call.to_string())?,
        },
        funding_sources: vec![FundingSource {
            id: wallet.address.clone(),
            kind: "crypto_wallet".to_owned(),
            details: FundingDetails { provider: facts.chain.clone(), wallet_address: wallet.address.clone() },
            is_primary: true,
        }],
        auto_reload: AutoReload { enabled: false, threshold: zero()?, amount: zero()?, source: String::new() },
        status: "active".to_owned(),
        created_at: facts.created_at.clone(),
    })
}

fn row(movement: Movement, agent: &str, currency: &str) -> Result<TransactionRow, ApiError> {
    let Movement { number: id, kind, is_in, amount, counterpart, purpose, is_pending, order, at } = movement;
    let own = Some(agent.to_owned());
    let (initiator_id, recipient_id) = if is_in { (counterpart, own) } else { (own, counterpart) };
    let sign = if is_in { "" } else { "-" };
    Ok(TransactionRow {
        id: id.to_string(),
        kind: kind.to_owned(),
        initiator_id,
        recipient_id,
        amount: number(amount.to_string())?,
        balance_change: number(format!("{sign}{amount}"))?,
        currency: currency.to_owned(),
        purpose,
        status: if is_pending { "pending" } else { "completed" }.to_owned(),
        escrow_id: order,
        created_at: at,
    })
}

fn amount(raw: Option<&RawValue>) -> Result<Option<Usdc>, ApiError> {
    raw.map(|raw| Usdc::from_json_text(raw.get())).transpose().map_err(|error| ApiError::from_coded(&error))
}
