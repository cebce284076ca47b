//! Wallets as the owner's first routes have them: limits, the devnet's faucet, movements of money, the state of the escrow.

use super::Inner;
use super::api::{coded, read_did};
use haggle_base::{Did, OrderId, Timestamp, Usdc};
use haggle_gateway::ApiError;
use haggle_gateway::view::{EscrowView, Movement, TransactionQuery, WalletFacts};
use haggle_settlement::budget::Limits;
use haggle_settlement::ledger::{Account, Entry, EntryKind};
use serde_json::{Value, json};
use std::time::{Duration, UNIX_EPOCH};

/// Rows of a page when nobody says.
const DEFAULT_ROWS: usize = 20;
/// Most rows of a page.
const MAX_ROWS: usize = 100;
/// Entries read at once while others are left out.
const READ_AT_ONCE: usize = 256;
/// Most entries read for one page.
const MAX_READ: usize = 4_096;
/// Most that the faucet gives at once: a million dollars of no worth.
const MAX_FAUCET: Usdc = Usdc::from_units(1_000_000_000_000);
/// Longest wait for the faucet.
const PATIENCE: Duration = Duration::from_secs(10);

fn bad_query(detail: &str) -> ApiError {
    ApiError::bad_request(
        "invalid_query",
        detail,
        "type is a2a, h2a, payout or refund; status pending or completed; from and to are RFC 3339 times",
    )
}

/// A checked query.
struct Filter {
    query: TransactionQuery,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Filter {
    fn of(query: TransactionQuery) -> Result<Self, ApiError> {
        let known =
            |word: &Option<String>, words: &[&str]| word.as_ref().is_none_or(|word| words.contains(&word.as_str()));
        if !known(&query.kind, &["a2a", "h2a", "payout", "refund"]) {
            return Err(bad_query("there is no such type"));
        }
        if !known(&query.status, &["pending", "completed"]) {
            return Err(bad_query("there is no such status"));
        }
        let time = |text: &Option<String>| {
            let read = |text: &String| Timestamp::from_rfc3339(text).ok_or_else(|| bad_query("a time cannot be read"));
            text.as_ref().map(read).transpose()
        };
        let (from, to) = (time(&query.from)?, time(&query.to)?);
        Ok(Self { query, from, to })
    }

    fn takes(&self, entry: &Entry, movement: &Movement) -> bool {
        let status = if movement.is_pending { "pending" } else { "completed" };
        self.from.is_none_or(|from| entry.at >= from)
            && self.to.is_none_or(|to| entry.at < to)
            && self.query.kind.as_ref().is_none_or(|kind| kind == movement.kind)
            && self.query.status.as_ref().is_none_or(|wanted| wanted == status)
    }
}

/// What an entry about the bond of a dispute was for.
fn bond(kind: EntryKind) -> Option<String> {
    let is_bond = matches!(kind, EntryKind::BondPosted | EntryKind::BondReturned | EntryKind::BondUndone);
    is_bond.then(|| "bond of a dispute".to_owned())
}

impl Inner {
    /// What all wallets of this node have in common; see [`haggle_gateway::NodeApi::wallet_facts`].
    pub(super) fn facts_of_wallets(&self) -> WalletFacts {
        let made = std::fs::metadata(self.home.keys()).and_then(|file| file.modified()).ok();
        let since = made.and_then(|made| made.duration_since(UNIX_EPOCH).ok());
        WalletFacts {
            currency: self.file.token.symbol.clone(),
            chain: format!("eip155:{}", self.file.chain_id),
            created_at: since.map(|since| Timestamp::from_secs(since.as_secs()).to_rfc3339()),
        }
    }

    /// The agent behind a wallet's id: a DID or a name of ours.
    pub(super) fn owner_of_wallet(&self, id: &str) -> Result<Did, ApiError> {
        let did = match self.agents.named(id) {
            Some(served) => served.row.did,
            None => read_did(id)?,
        };
        self.own_agent(Some(&did.to_string()))
    }

    /// Gives a wallet limits of its own; one that is not given stays.
    pub(super) async fn limit(&self, id: &str, per_call: Option<Usdc>, per_day: Option<Usdc>) -> Result<(), ApiError> {
        let agent = self.owner_of_wallet(id)?;
        let now = self.settlement.wallet(&agent).await.map_err(coded)?.limits;
        let limits = Limits { per_call: per_call.unwrap_or(now.per_call), per_day: per_day.unwrap_or(now.per_day) };
        if limits.per_call > limits.per_day {
            let hint = "raise the daily limit, or lower that of one transaction";
            return Err(ApiError::bad_request("invalid_limits", "one call may cost more than a day may", hint));
        }
        self.settlement.set_limits(&agent, limits).await.map_err(coded)
    }

    /// Fills a wallet from the devnet's faucet; see [`haggle_gateway::NodeApi::fund_wallet`].
    pub(super) async fn fund_from_faucet(&self, id: &str, amount: Usdc) -> Result<Movement, ApiError> {
        let agent = self.owner_of_wallet(id)?;
        let wallet = self.settlement.wallet(&agent).await.map_err(coded)?;
        if !self.file.is_devnet() {
            return Err(ApiError::new(
                http::StatusCode::FORBIDDEN,
                "no_faucet",
                format!("chain {} has no faucet: money there is real", self.file.chain_id),
                "send tokens to the wallet's address; GET /api/v1/wallets/{id} names it",
            ));
        }
        if amount.is_zero() || amount > MAX_FAUCET {
            return Err(ApiError::bad_request(
                "bad_amount",
                "the faucet gives up to a million at once",
                "ask for less",
            ));
        }
        let tx = self.ask_faucet(&wallet.address.to_string(), amount).await?;
        self.settlement.record_deposit(&agent, &tx[..tx.len().min(64)], amount).await.map_err(coded)?;
        let newest = self.settlement.history(&agent, None, READ_AT_ONCE).map_err(coded)?;
        let booked = newest.into_iter().find(|(_, entry)| entry.kind == EntryKind::Deposited);
        let (number, entry) = booked.ok_or_else(|| ApiError::internal(&"a deposit that was booked is not there"))?;
        self.movement(number, &entry)?.ok_or_else(|| ApiError::internal(&"a deposit moved nothing"))
    }

    /// The transaction of a gift of the devnet's chain.
    async fn ask_faucet(&self, address: &str, amount: Usdc) -> Result<String, ApiError> {
        let failed = |detail: String| {
            let hint = "only `haggle devnet up` has a faucet; another chain is filled by a transfer";
            ApiError::new(http::StatusCode::BAD_GATEWAY, "faucet_failed", detail, hint)
        };
        let [rpc, ..] = self.config.chain.rpc.as_slice() else {
            return Err(failed("no chain is configured".to_owned()));
        };
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "haggle_faucet", "params": [address, amount.units()]});
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build();
        let http = http.map_err(|cause| ApiError::internal(&cause))?;
        let answer =
            http.post(rpc).json(&body).send().await.map_err(|cause| failed(cause.without_url().to_string()))?;
        let answer: Value = answer.json().await.map_err(|cause| failed(cause.without_url().to_string()))?;
        let tx = answer.get("result").and_then(Value::as_str).filter(|tx| tx.is_ascii());
        tx.map(str::to_owned).ok_or_else(|| failed("the chain gave nothing".to_owned()))
    }

    /// A page of what came into and went out of a wallet; see [`haggle_gateway::NodeApi::transactions`].
    pub(super) fn movements(&self, id: &str, query: TransactionQuery) -> Result<Vec<Movement>, ApiError> {
        let agent = self.owner_of_wallet(id)?;
        let limit = query.limit.map_or(DEFAULT_ROWS, |limit| usize::try_from(limit).unwrap_or(MAX_ROWS));
        let limit = limit.clamp(1, MAX_ROWS);
        let filter = Filter::of(query)?;
        let (mut rows, mut before, mut read) = (Vec::new(), filter.query.before, 0);
        while read < MAX_READ {
            let entries = self.settlement.history(&agent, before, READ_AT_ONCE).map_err(coded)?;
            let was_last = entries.len() < READ_AT_ONCE;
            for (number, entry) in entries {
                (before, read) = (Some(number), read + 1);
                let Some(movement) = self.movement(number, &entry)? else { continue };
                if filter.takes(&entry, &movement) {
                    rows.push(movement);
                }
                if rows.len() == limit {
                    return Ok(rows);
                }
            }
            if was_last {
                break;
            }
        }
        Ok(rows)
    }

    /// What an entry of the ledger did to the wallet, if it did anything: setting money aside does not.
    fn movement(&self, number: u64, entry: &Entry) -> Result<Option<Movement>, ApiError> {
        let inside = |account: &Account| matches!(account, Account::Available | Account::Reserved);
        let change: i64 = entry.moves.iter().filter(|(account, _)| inside(account)).map(|(_, units)| *units).sum();
        if change == 0 {
            return Ok(None);
        }
        let is_in = change > 0;
        let nonce = entry.order.as_ref().map(OrderId::as_b256);
        let purchase = nonce.map(|nonce| self.purse.find_nonce(nonce).map_err(coded)).transpose()?.flatten();
        let order = match &entry.order {
            Some(order) => self.settlement.payment(order).map_err(coded)?,
            None => None,
        };
        let kind = match entry.kind {
            EntryKind::Deposited => "h2a",
            EntryKind::Sent => "payout",
            EntryKind::Earned | EntryKind::Received | EntryKind::ChannelClaimed => "a2a",
            _ if is_in => "refund",
            _ => "a2a",
        };
        let paid_to = purchase.as_ref().map(|purchase| purchase.to().to_string());
        let provider = order.as_ref().map(|order| order.signed.provider.to_string());
        let memo = entry.memo.as_ref().map(|memo| memo.as_str().to_owned());
        let about = purchase.as_ref().map(|purchase| purchase.about.as_str().to_owned());
        Ok(Some(Movement {
            number,
            kind,
            is_in,
            amount: Usdc::from_units(change.unsigned_abs()),
            counterpart: paid_to.or(provider).or_else(|| entry.party.as_ref().map(ToString::to_string)),
            purpose: memo.or(about).filter(|purpose| !purpose.is_empty()).or_else(|| bond(entry.kind)),
            is_pending: entry.kind == EntryKind::Funded && order.is_some_and(|order| order.settled.is_none()),
            order: entry.order.as_ref().map(ToString::to_string),
            at: entry.at.to_rfc3339(),
        }))
    }

    /// Where an order's money stands; see [`haggle_gateway::NodeApi::escrow_of`].
    pub(super) fn escrow_view(&self, view: &haggle_trade::OrderView) -> EscrowView {
        let shown = self.order_view(view);
        EscrowView {
            order_id: shown.id.unwrap_or(shown.key),
            status: shown.state,
            buyer: shown.buyer,
            seller: shown.seller,
            amount: shown.total.to_string(),
            created_at: view.started.to_rfc3339(),
            expires_at: view.clocks.map(|clocks| clocks.deliver_by.to_rfc3339()),
            tx: shown.fund_tx,
        }
    }
}
