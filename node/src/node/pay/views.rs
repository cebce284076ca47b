//! How payments look in the API.

use super::super::Inner;
use super::super::api::coded;
use super::route::{Rail, Route};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use haggle_a2a_transport::Fetched;
use haggle_base::{OrderId, Usdc};
use haggle_gateway::ApiError;
use haggle_gateway::view::{EntryView, HistoryPage, HistoryQuery, PayView, PaymentView};
use haggle_settlement::ledger::Entry;
use haggle_settlement::purse::{Purchase, PurchaseState};
use serde::Serialize;
use serde_json::Value;

/// Entries of a page when nobody says.
const DEFAULT_ENTRIES: usize = 20;
/// Most entries of a page.
const MAX_ENTRIES: usize = 100;
/// Entries read at once while others are left out.
const READ_AT_ONCE: usize = 256;
/// Most entries read for one page.
const MAX_READ: usize = 4096;

/// An answer that cost nothing.
pub(super) fn free(key: &str, heard: &Fetched) -> PayView {
    let content_type = heard.header("content-type").unwrap_or_default().to_owned();
    view(key, heard.status, content_type, &heard.body)
}

pub(super) fn view(key: &str, status: u16, content_type: String, body: &[u8]) -> PayView {
    let text = std::str::from_utf8(body).ok().map(str::to_owned);
    let base64 = text.is_none().then(|| STANDARD.encode(body));
    let (key, cost) = (key.to_owned(), Usdc::ZERO);
    PayView { key, status, content_type, text, base64, cost, rail: None, why: None, payment: None }
}

/// What a dry run tells of an offer: nothing was paid, and the payment is still asked for.
pub(super) fn quoted(key: &str, route: &Route) -> PayView {
    let (rail, why) = (Some(route.rail.to_string()), Some(route.why.clone()));
    PayView { rail, why, ..view(key, 402, String::new(), &[]) }
}

/// The word that a type without fields has in JSON.
fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().as_ref().and_then(Value::as_str).unwrap_or_default().to_owned()
}

impl Inner {
    /// The kept answer of a payment.
    pub(super) fn answered_view(&self, purchase: &Purchase) -> Result<PayView, ApiError> {
        let answer = purchase.answer.as_ref().ok_or_else(|| ApiError::internal(&"an answer without an answer"))?;
        let body = self.purse.body(answer).map_err(coded)?;
        let cost = if purchase.state == PurchaseState::Lapsed { Usdc::ZERO } else { purchase.amount };
        let payment = Some(self.payment_view(purchase)?);
        let kind = answer.content_type.as_str().to_owned();
        let rail = Some(Rail::Exact.to_string());
        Ok(PayView { cost, payment, rail, ..view(&purchase.key, answer.status, kind, &body) })
    }

    pub(super) fn payment_view(&self, purchase: &Purchase) -> Result<PaymentView, ApiError> {
        let said = self.purse.said(purchase).map_err(coded)?;
        Ok(PaymentView {
            key: purchase.key.as_str().to_owned(),
            agent: purchase.agent.to_string(),
            to: purchase.to().to_string(),
            amount: purchase.amount,
            about: purchase.about.as_str().to_owned(),
            state: word(purchase.state),
            nonce: Some(purchase.nonce().to_string()),
            tx: purchase.tx.map(|tx| tx.to_string()),
            signed_at: purchase.signed_at.to_rfc3339(),
            valid_until: Some(purchase.ends.to_rfc3339()),
            channel: None,
            in_all: None,
            receipt: said.and_then(|said| serde_json::to_value(said).ok()),
        })
    }

    /// A page of an agent's ledger; see [`haggle_gateway::NodeApi::history`].
    pub(in super::super) fn history_page(&self, query: &HistoryQuery) -> Result<HistoryPage, ApiError> {
        let agent = self.own_agent(query.agent.as_deref())?;
        let limit = query.limit.map_or(DEFAULT_ENTRIES, |limit| usize::try_from(limit).unwrap_or(MAX_ENTRIES));
        let limit = limit.clamp(1, MAX_ENTRIES);
        let (mut items, mut before, mut read) = (Vec::new(), query.before, 0);
        while items.len() < limit && read < MAX_READ {
            let rows = self.settlement.history(&agent, before, READ_AT_ONCE).map_err(coded)?;
            let was_last = rows.len() < READ_AT_ONCE;
            for (number, entry) in rows {
                (before, read) = (Some(number), read + 1);
                let wanted = query.kind.as_ref().is_none_or(|kind| *kind == word(entry.kind));
                if wanted {
                    items.push(self.entry_view(number, &entry)?);
                }
                if items.len() == limit {
                    return Ok(HistoryPage { agent: agent.to_string(), items, next: before.filter(|next| *next > 0) });
                }
            }
            if was_last {
                before = None;
                break;
            }
        }
        Ok(HistoryPage { agent: agent.to_string(), items, next: before })
    }

    fn entry_view(&self, number: u64, entry: &Entry) -> Result<EntryView, ApiError> {
        let nonce = entry.order.as_ref().map(OrderId::as_b256);
        let payment = match nonce {
            Some(nonce) => self.purse.find_nonce(nonce).map_err(coded)?,
            None => None,
        };
        let memo = entry.memo.as_ref().map(|memo| memo.as_str().to_owned());
        Ok(EntryView {
            number,
            at: entry.at.to_rfc3339(),
            kind: word(entry.kind),
            moves: entry.moves.iter().map(|(account, units)| (word(account), *units)).collect(),
            order: entry.order.as_ref().map(ToString::to_string),
            about: payment.map(|payment| payment.about.as_str().to_owned()).or(memo).filter(|about| !about.is_empty()),
            from: entry.party.as_ref().map(ToString::to_string),
        })
    }
}
