//! Keys that call one agent on an allowance: bought, counted, revoked.
//!
//! A key is shown once and kept as its hash. Before a call leaves, the most it can cost is held against the allowance, on
//! disk; when its order is over, what it really cost is counted and the rest is free again. So whatever is killed in
//! between, no key spends more than it may.

use super::Inner;
use super::api::coded;
use super::invoke::{Choice, fresh_key};
use super::views::hex;
use crate::records::{ApiKeyHolds, ApiKeyRow, ApiKeys};
use haggle_base::{Did, FeePayer, Hash, Timestamp, Usdc};
use haggle_gateway::view::{Invocation, Invoked, KeyList, KeyScope, KeyView, MadeKey, NewKey};
use haggle_gateway::{ApiError, KEY_PREFIX};
use haggle_store::Batch;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::ops::Bound;

/// Digits of a key's public name.
const ID_DIGITS: usize = 12;
/// Digits of its secret part.
const SECRET_DIGITS: usize = 64;
/// Most keys of a node, revoked ones included.
const MAX_KEYS: usize = 1_000;
/// Most calls of a key that are not settled yet.
const MAX_OPEN: usize = 64;

/// Keeps what one key holds from being counted twice.
#[derive(Debug, Default)]
pub(crate) struct KeyTurns {
    /// Held while an allowance is looked at and changed.
    turn: tokio::sync::Mutex<()>,
    /// Calls under way whose order may not exist yet.
    under_way: Mutex<HashSet<String>>,
}

/// A call under way; its end is noticed however it ends.
struct UnderWay<'a> {
    turns: &'a KeyTurns,
    order: String,
}

impl<'a> UnderWay<'a> {
    fn begin(turns: &'a KeyTurns, order: &str) -> Self {
        turns.under_way.lock().insert(order.to_owned());
        Self { turns, order: order.to_owned() }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.turns.under_way.lock().remove(&self.order);
    }
}

fn unknown() -> ApiError {
    ApiError::of_code("unauthorized", "no such key was ever made here")
}

fn not_found(id: &str) -> ApiError {
    ApiError::not_found("key_not_found", format!("there is no key {id}"), "`haggle key list` names the keys")
}

fn revoked(at: Timestamp) -> ApiError {
    ApiError::new(
        http::StatusCode::UNAUTHORIZED,
        "key_revoked",
        format!("this key was revoked at {}", at.to_rfc3339()),
        "ask its owner for another one",
    )
}

fn spent_up(row: &ApiKeyRow, left: Usdc, needed: Usdc) -> ApiError {
    ApiError::new(
        http::StatusCode::PAYMENT_REQUIRED,
        "key_allowance",
        format!("a call may cost {needed} USDC, and of this key's {} only {left} are left", row.allowance),
        "buy another key, or wait until calls that are not settled yet are over",
    )
}

/// The part that a key's order key is made of: one caller's own keys never meet another's.
fn order_key(id: &str, callers: &str) -> String {
    format!("key-{id}-{}", &Hash::of(callers.as_bytes()).to_string()[..32])
}

/// What is held against a key: the key's id with the call's, and how much.
type Hold = ((String, String), Usdc);

impl Inner {
    /// Makes a key; see [`haggle_gateway::NodeApi::make_key`].
    pub(super) async fn make_api_key(&self, new: NewKey) -> Result<MadeKey, ApiError> {
        let buyer = self.own_agent(Some(&new.buyer))?;
        let (agent, price) = self.sold_by(&new.agent)?;
        let mut random = [0; (ID_DIGITS + SECRET_DIGITS) / 2];
        getrandom::fill(&mut random).map_err(|cause| ApiError::internal(&cause))?;
        let digits = hex(&random);
        let id = digits[..ID_DIGITS].to_owned();
        let secret = format!("{KEY_PREFIX}{digits}");
        let row = ApiKeyRow {
            hash: Hash::of(secret.as_bytes()),
            agent,
            buyer,
            allowance: new.allowance.unwrap_or(self.config.budget.per_day),
            spent: Usdc::ZERO,
            calls: 0,
            created: self.clock.now(),
            revoked: None,
        };
        let _turn = self.key_turns.turn.lock().await;
        if self.money.range::<ApiKeys>(Bound::Unbounded, MAX_KEYS).map_err(coded)?.len() >= MAX_KEYS {
            let hint = "this node keeps no more; use the keys there are";
            return Err(ApiError::new(http::StatusCode::CONFLICT, "too_many_keys", "1000 keys were made", hint));
        }
        let mut batch = Batch::new();
        batch.require_absent::<ApiKeys>(&id);
        batch.put::<ApiKeys>(&id, &row).map_err(coded)?;
        self.money.commit(batch).await.map_err(coded)?;
        tracing::info!(key.id = id, agent.id = %agent, "made key {id} for calls of {agent}");
        Ok(MadeKey { secret, agent: agent.to_string(), price })
    }

    /// Who an agent is, and what one call of it costs.
    fn sold_by(&self, named: &str) -> Result<(Did, Usdc), ApiError> {
        if let Some(served) = self.agents.named(named) {
            return Ok((served.row.did, served.row.price));
        }
        let missing = || {
            ApiError::not_found(
                "agent_not_found",
                format!("this node knows nothing that {named:?} sells"),
                "name an agent by its DID, as `haggle find` shows it",
            )
        };
        let did: Did = named.parse().map_err(|_| missing())?;
        if let Some(served) = self.agents.get(&did) {
            return Ok((did, served.row.price));
        }
        let listings = self.catalog.listings_of(&did).map_err(coded)?;
        let cheapest = listings.iter().map(|listing| listing.body().price).min();
        cheapest.map(|price| (did, price)).ok_or_else(missing)
    }

    /// Every key, newest first; see [`haggle_gateway::NodeApi::keys`].
    pub(super) async fn api_keys(&self) -> Result<KeyList, ApiError> {
        let _turn = self.key_turns.turn.lock().await;
        let rows = self.money.range::<ApiKeys>(Bound::Unbounded, MAX_KEYS).map_err(coded)?;
        let mut items = Vec::with_capacity(rows.len());
        for (id, row) in rows {
            let (row, held) = self.count_up(&id, row).await?;
            items.push((row.created, view(id, &row, held)));
        }
        items.sort_by_key(|(created, _)| std::cmp::Reverse(*created));
        Ok(KeyList { items: items.into_iter().map(|(_, view)| view).collect() })
    }

    /// Ends a key; see [`haggle_gateway::NodeApi::revoke_key`].
    pub(super) async fn revoke_api_key(&self, id: &str) -> Result<KeyView, ApiError> {
        let _turn = self.key_turns.turn.lock().await;
        let row = self.key_row(id)?.ok_or_else(|| not_found(id))?;
        let (row, held) = self.count_up(id, row).await?;
        let ended = ApiKeyRow { revoked: row.revoked.or_else(|| Some(self.clock.now())), ..row.clone() };
        let mut batch = Batch::new();
        batch.require_equals::<ApiKeys>(&id.to_owned(), &row).map_err(coded)?;
        batch.put::<ApiKeys>(&id.to_owned(), &ended).map_err(coded)?;
        self.money.commit(batch).await.map_err(coded)?;
        Ok(view(id.to_owned(), &ended, held))
    }

    /// What a key in clear may do; see [`haggle_gateway::NodeApi::key_scope`].
    pub(super) fn scope_of(&self, key: &str) -> Result<KeyScope, ApiError> {
        let digits = key.strip_prefix(KEY_PREFIX).unwrap_or_default();
        let well_formed =
            digits.len() == ID_DIGITS + SECRET_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = digits.get(..ID_DIGITS).filter(|_| well_formed).ok_or_else(unknown)?;
        let row = self.key_row(id)?.ok_or_else(unknown)?;
        // blake3 of 256 random bits: how long an unequal comparison takes tells nothing of use
        if row.hash != Hash::of(key.as_bytes()) {
            return Err(unknown());
        }
        match row.revoked {
            Some(at) => Err(revoked(at)),
            None => Ok(KeyScope { id: id.to_owned(), agent: row.agent.to_string() }),
        }
    }

    /// Calls on a key's allowance; see [`haggle_gateway::NodeApi::invoke_with`].
    pub(super) async fn call_with(&self, id: &str, mut wanted: Invocation) -> Result<Invoked, ApiError> {
        let callers = match wanted.key.take() {
            Some(key) => key,
            None => fresh_key("call")?,
        };
        let order = order_key(id, &callers);
        let _turn = self.paying.take(&order).await;
        let _under_way = UnderWay::begin(&self.key_turns, &order);
        let buyer = self.hold(id, &order, &mut wanted).await?;
        wanted.key = Some(order.clone());
        let answer = self.call(wanted).await;
        if self.buyer.find_key(&buyer, &order).map_err(coded)?.is_none() {
            self.let_go(id, &order).await?;
        }
        // the caller's own key names the call, and repeats it
        answer.map(|invoked| Invoked { key: callers, ..invoked })
    }

    /// Holds the most that a call may cost, if it is a new one and the allowance has room. Says who pays.
    async fn hold(&self, id: &str, order: &str, wanted: &mut Invocation) -> Result<Did, ApiError> {
        let _turn = self.key_turns.turn.lock().await;
        let row = self.key_row(id)?.ok_or_else(unknown)?;
        if let Some(at) = row.revoked {
            return Err(revoked(at));
        }
        let buyer = row.buyer.to_string();
        if wanted.buyer.as_ref().is_some_and(|named| *named != buyer) {
            let hint = "leave the buyer out: the key names it";
            return Err(ApiError::new(
                http::StatusCode::FORBIDDEN,
                "key_scope",
                "another agent pays for this key",
                hint,
            ));
        }
        wanted.buyer = Some(buyer);
        let place = (id.to_owned(), order.to_owned());
        if self.buyer.find_key(&row.buyer, order).map_err(coded)?.is_some() {
            return Ok(row.buyer);
        }
        if let Some(most) = self.money.get::<ApiKeyHolds>(&place).map_err(coded)? {
            wanted.max_cost = Some(most);
            return Ok(row.buyer);
        }
        let (row, held) = self.count_up(id, row).await?;
        let input = serde_json::to_vec(&wanted.input).map_err(|cause| ApiError::internal(&cause))?;
        let dearest = self.dearest(&self.named(&row.agent.to_string(), &input).await?)?;
        let most = wanted.max_cost.map_or(dearest, |asked| asked.min(dearest));
        let left = row.allowance.saturating_sub(row.spent).saturating_sub(held);
        if most > left {
            return Err(spent_up(&row, left, most));
        }
        wanted.max_cost = Some(most);
        if most.is_zero() {
            return Ok(row.buyer);
        }
        if self.holds_of(id)?.len() >= MAX_OPEN {
            let detail = format!("{MAX_OPEN} calls of this key are not settled yet");
            return Err(ApiError::of_code("busy", detail));
        }
        let mut batch = Batch::new();
        batch.require_equals::<ApiKeys>(&id.to_owned(), &row).map_err(coded)?;
        batch.put::<ApiKeyHolds>(&place, &most).map_err(coded)?;
        self.money.commit(batch).await.map_err(coded)?;
        Ok(row.buyer)
    }

    /// What a call costs at its listed price, fee included.
    fn dearest(&self, choice: &Choice) -> Result<Usdc, ApiError> {
        let Choice::Market { listing, .. } = choice else { return Ok(Usdc::ZERO) };
        let price = listing.body().price;
        let fee = match self.file.fee.payer {
            FeePayer::Buyer => price.fee_bps(self.file.fee.bps),
            FeePayer::Seller => Usdc::ZERO,
        };
        let too_much = || ApiError::of_code("amount_overflow", "the price with its fee is no amount");
        price.checked_add(fee).ok_or_else(too_much)
    }

    /// Gives back what is held for a call that became no order.
    async fn let_go(&self, id: &str, order: &str) -> Result<(), ApiError> {
        let _turn = self.key_turns.turn.lock().await;
        let mut batch = Batch::new();
        batch.delete::<ApiKeyHolds>(&(id.to_owned(), order.to_owned()));
        self.money.commit(batch).await.map_err(coded)
    }

    /// Counts what the calls cost whose orders are over, and frees what was held for them. Gives the row as it is then on
    /// disk, and what is still held.
    async fn count_up(&self, id: &str, row: ApiKeyRow) -> Result<(ApiKeyRow, Usdc), ApiError> {
        let (mut counted, mut held, mut batch) = (row.clone(), Usdc::ZERO, Batch::new());
        for (place, most) in self.holds_of(id)? {
            let under_way = self.key_turns.under_way.lock().contains(&place.1);
            match self.buyer.find_key(&row.buyer, &place.1).map_err(coded)? {
                None if under_way => held = held.checked_add(most).unwrap_or(Usdc::MAX),
                None => {
                    batch.delete::<ApiKeyHolds>(&place);
                }
                Some(hire) => {
                    let view = self.buyer.show(hire).map_err(coded)?;
                    if view.ending.is_none() && !view.is_final {
                        held = held.checked_add(most).unwrap_or(Usdc::MAX);
                        continue;
                    }
                    let cost = view.ending.and_then(|ending| ending.paid.checked_add(ending.fee)).unwrap_or_default();
                    counted.spent = counted.spent.checked_add(cost).unwrap_or(Usdc::MAX);
                    counted.calls += u64::from(!cost.is_zero());
                    batch.delete::<ApiKeyHolds>(&place);
                }
            }
        }
        if !batch.is_empty() {
            batch.require_equals::<ApiKeys>(&id.to_owned(), &row).map_err(coded)?;
            batch.put::<ApiKeys>(&id.to_owned(), &counted).map_err(coded)?;
            self.money.commit(batch).await.map_err(coded)?;
        }
        Ok((counted, held))
    }

    fn key_row(&self, id: &str) -> Result<Option<ApiKeyRow>, ApiError> {
        self.money.get::<ApiKeys>(&id.to_owned()).map_err(coded)
    }

    fn holds_of(&self, id: &str) -> Result<Vec<Hold>, ApiError> {
        let from = (id.to_owned(), String::new());
        let rows = self.money.range::<ApiKeyHolds>(Bound::Included(&from), MAX_OPEN).map_err(coded)?;
        Ok(rows.into_iter().take_while(|((of, _), _)| of == id).collect())
    }
}

fn view(id: String, row: &ApiKeyRow, held: Usdc) -> KeyView {
    KeyView {
        id,
        agent: row.agent.to_string(),
        buyer: row.buyer.to_string(),
        allowance: row.allowance,
        spent: row.spent,
        held,
        calls: row.calls,
        created_at: row.created.to_rfc3339(),
        revoked_at: row.revoked.map(Timestamp::to_rfc3339),
    }
}
