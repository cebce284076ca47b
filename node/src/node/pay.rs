//! Paying strangers: ask, read what they want, pay within the budget, ask again; over HTTP (402) or inside A2A tasks. And
//! direct transfers. And the prepaid channels behind it.

mod agent;
mod channel;
mod closing;
mod line;
mod notes;
pub(crate) mod route;
mod turns;
mod views;

pub(in crate::node) use channel::let_answered_go;
pub(in crate::node) use notes::tell_of_transfers;
pub(crate) use turns::Turns;

use channel::OnChannel;
use route::Rail;

use super::Inner;
use super::api::coded;
use super::receipts::nothing;
use crate::adapters::faults::points;
use haggle_a2a_transport::{Fetch, Fetched, Reach, fetch};
use haggle_base::{Address, Did, Hash, Text, Usdc};
use haggle_gateway::ApiError;
use haggle_gateway::view::{PayRequest, PayView, PaymentView, TransferRequest};
use haggle_settlement::purse::{Purchase, PurchaseState, Wanted};
use haggle_x402::{PaymentRequired, SettleResponse, header};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest wait for one answer of a stranger's server.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a settlement that the seller calls pending is waited for.
const PENDING: Duration = Duration::from_secs(20);
/// Times the same payload is sent in one call: once more after a pending settlement.
const SENDS: usize = 2;
/// Offers of agents that are remembered; all are forgotten when there are more.
const MAX_OFFERS: usize = 4096;
/// Sellers whose single payments are counted; all are forgotten when there are more.
const MAX_SELLERS: usize = 4096;
/// Longest body of a request.
const MAX_BODY: usize = 512 * 1024;
/// Most headers of a caller's own.
const MAX_HEADERS: usize = 32;
/// Headers that the connection or the payment makes.
const OWN_HEADERS: [&str; 7] =
    ["host", "connection", "content-length", "transfer-encoding", "upgrade", "payment-signature", "x-payment"];

/// A checked request to a stranger.
struct Errand {
    method: Method,
    url: String,
    headers: HeaderMap,
    body: String,
}

impl Errand {
    fn of(request: &PayRequest) -> Result<Self, ApiError> {
        let wrong = |detail: String| ApiError::bad_request("invalid_request", detail, "see `haggle pay --help`");
        let body = request.body.clone().unwrap_or_default();
        if body.len() > MAX_BODY {
            return Err(ApiError::of_code("body_too_large", "a body has at most 512 KiB"));
        }
        let default = if request.body.is_some() { "POST" } else { "GET" };
        let method = request.method.as_deref().unwrap_or(default).to_ascii_uppercase();
        let method = method.parse().map_err(|_| wrong(format!("{method:?} is no HTTP method")))?;
        let mut headers = own_headers(&request.headers).ok_or_else(|| wrong("a header cannot be sent".to_owned()))?;
        if request.body.is_some() && !headers.contains_key(http::header::CONTENT_TYPE) {
            let json = serde_json::from_str::<serde::de::IgnoredAny>(&body).is_ok();
            let kind = if json { "application/json" } else { "text/plain; charset=utf-8" };
            headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        Ok(Self { method, url: request.url.clone(), headers, body })
    }

    /// What the key of a payment is bound to.
    fn hash(&self) -> Hash {
        Hash::of_fields(&[b"request", self.method.as_str().as_bytes(), self.url.as_bytes(), self.body.as_bytes()])
    }

    /// The request, with a payment if there is one.
    fn fetch(&self, payment: Option<HeaderValue>) -> Fetch {
        let mut headers = self.headers.clone();
        if let Some(payment) = payment {
            headers.insert(HeaderName::from_static("payment-signature"), payment);
        }
        Fetch { method: self.method.clone(), url: self.url.clone(), headers, body: self.body.clone().into() }
    }
}

fn own_headers(asked: &BTreeMap<String, String>) -> Option<HeaderMap> {
    if asked.len() > MAX_HEADERS {
        return None;
    }
    let mut headers = HeaderMap::new();
    for (name, value) in asked {
        let name: HeaderName = name.parse().ok().filter(|name: &HeaderName| !OWN_HEADERS.contains(&name.as_str()))?;
        headers.insert(name, value.parse().ok()?);
    }
    Some(headers)
}

impl Inner {
    /// Asks a stranger's URL and pays for it if it asks; see [`haggle_gateway::NodeApi::pay`].
    pub(super) async fn pay_url(&self, key: &str, request: PayRequest) -> Result<PayView, ApiError> {
        if let Some(asked) = &request.message {
            return self.pay_agent(key, &request, asked).await;
        }
        let agent = self.own_agent(request.buyer.as_deref())?;
        let errand = Errand::of(&request)?;
        let about = Text::try_from(errand.url.as_str())
            .map_err(|_| ApiError::bad_request("invalid_request", "the URL is over 2 KiB", "shorten the URL"))?;
        let wanted = Wanted { agent, key: key_text(key)?, request: errand.hash(), about };
        let _turn = self.paying.take(&format!("{agent} {key}")).await;
        if let Some(answer) = self.answer_on_channel(&agent, key, &wanted.request)? {
            return Ok(answer);
        }
        let purchase = match self.known(&wanted).await? {
            Some(known) if known.answer.is_some() || known.state != PurchaseState::Lapsed => known,
            _ => {
                let asked = self.knock(errand.fetch(None)).await.map_err(coded)?;
                if asked.status != StatusCode::PAYMENT_REQUIRED {
                    return Ok(views::free(key, &asked));
                }
                let offer = offer(&asked)?;
                let max = request.max_price.unwrap_or(Usdc::MAX);
                let (route, entry) = self.routed(&agent, key, &offer, max, request.rail.as_deref())?;
                if request.dry_run {
                    return Ok(views::quoted(key, &route));
                }
                if route.rail == Rail::Channel {
                    let call = OnChannel { errand: &errand, agent, key, offer: &offer, entry };
                    return self.pay_on_channel(call).await;
                }
                let signed = self.purse.sign(&wanted, &offer, entry).await.map_err(coded)?;
                self.faults.at(points::PAYMENT_SIGNED);
                self.paid_singly(&agent, entry);
                signed
            }
        };
        match purchase.answer {
            Some(_) => self.answered_view(&purchase),
            None => self.present(&errand, purchase).await,
        }
    }

    /// Sends the stored payment, the same one every time, until there is an answer or a reason why not.
    async fn present(&self, errand: &Errand, mut purchase: Purchase) -> Result<PayView, ApiError> {
        let payload = self.purse.payload(&purchase).map_err(coded)?;
        let value = header::encode(&payload).map_err(coded)?;
        let value = HeaderValue::try_from(value).map_err(|cause| ApiError::internal(&cause))?;
        let mut last = None;
        for _ in 0..SENDS {
            let heard = match self.knock(errand.fetch(Some(value.clone()))).await {
                Ok(heard) => heard,
                Err(error) => return Err(about(coded(error), &purchase.key)),
            };
            self.faults.at(points::PAYMENT_SENT);
            let said = heard.header(header::PAYMENT_RESPONSE).and_then(|text| header::decode(text).ok());
            if let Some(said) = &said {
                purchase = self.purse.heard(&purchase, said).await.map_err(coded)?;
                self.faults.at(points::PAYMENT_HEARD);
            }
            if heard.status != StatusCode::PAYMENT_REQUIRED {
                return self.take_answer(&heard, said.as_ref(), purchase).await;
            }
            let pending = said.as_ref().is_some_and(SettleResponse::is_pending);
            last = Some((heard, said));
            if !pending {
                break;
            }
            purchase = self.until_known(purchase).await;
            if purchase.state != PurchaseState::Paid {
                break;
            }
        }
        let purchase = self.purse.settle_up(&purchase).await.unwrap_or(purchase);
        let (heard, said) = last.ok_or_else(|| ApiError::internal(&"nothing was sent"))?;
        Err(refused(&reason(&heard, said.as_ref()), &purchase))
    }

    /// An answer that is not a 402: kept if it was paid for.
    async fn take_answer(
        &self,
        heard: &Fetched,
        said: Option<&SettleResponse>,
        purchase: Purchase,
    ) -> Result<PayView, ApiError> {
        let mut purchase = self.purse.settle_up(&purchase).await.unwrap_or(purchase);
        let settled = purchase.state == PurchaseState::Paid || said.is_some_and(|said| said.success);
        if heard.status >= 500 {
            let detail = format!("the seller's server failed with status {}", heard.status);
            return Err(about(ApiError::of_code("remote_failed", detail), &purchase.key));
        }
        if settled || (200..300).contains(&heard.status) {
            let kind = Text::try_from(heard.header("content-type").unwrap_or_default()).unwrap_or_default();
            purchase = self.purse.answered(&purchase, heard.status, kind, &heard.body).await.map_err(coded)?;
            self.faults.at(points::PAYMENT_ANSWERED);
            return self.answered_view(&purchase);
        }
        let (payment, rail) = (Some(self.payment_view(&purchase)?), Some(Rail::Exact.to_string()));
        Ok(PayView { payment, rail, ..views::free(&purchase.key, heard) })
    }

    /// Waits for the chain's word on a payment that the seller sent.
    async fn until_known(&self, purchase: Purchase) -> Purchase {
        let looking = async {
            let mut looked = purchase.clone();
            while looked.state == PurchaseState::Signed {
                tokio::time::sleep(self.config.chain.poll).await;
                looked = self.purse.settle_up(&looked).await.unwrap_or(looked);
            }
            looked
        };
        tokio::time::timeout(PENDING, looking).await.unwrap_or(purchase)
    }

    async fn knock(&self, request: Fetch) -> Result<Fetched, haggle_a2a::A2aError> {
        let reach = if self.config.a2a.private_webhooks { Reach::Anywhere } else { Reach::Public };
        fetch(request, reach, PATIENCE).await
    }

    /// The signed receipt of a payment.
    pub(super) fn payment_receipt_of(&self, key: &str) -> Result<serde_json::Value, ApiError> {
        match self.by_any(|agent| self.purse.find(agent, key).map_err(coded))? {
            Some(purchase) => self.receipt_of_payment(&purchase),
            None if self.by_any(|agent| self.voucher_view(agent, key))?.is_some() => Err(nothing(
                "a payment by voucher has no receipt of its own",
                "its channel has one: `haggle receipt channel CHANNEL --at URL|DID`; `haggle wallet payment KEY` names the channel",
            )),
            None => Err(unknown_payment(key)),
        }
    }

    /// How a payment of this key stands, also one by voucher.
    pub(super) fn payment_of(&self, key: &str) -> Result<PaymentView, ApiError> {
        if let Some(purchase) = self.by_any(|agent| self.purse.find(agent, key).map_err(coded))? {
            return self.payment_view(&purchase);
        }
        self.by_any(|agent| self.voucher_view(agent, key))?.ok_or_else(|| unknown_payment(key))
    }

    /// What the first of this node's agents has that has something.
    fn by_any<T>(&self, find: impl Fn(&Did) -> Result<Option<T>, ApiError>) -> Result<Option<T>, ApiError> {
        std::iter::once(self.own_did())
            .chain(self.agents.owners())
            .find_map(|agent| find(&agent).transpose())
            .transpose()
    }

    /// Sends USDC; see [`haggle_gateway::NodeApi::transfer`].
    pub(super) async fn send_money(&self, key: &str, request: TransferRequest) -> Result<PaymentView, ApiError> {
        let agent = self.own_agent(request.from.as_deref())?;
        let (to, payee) = self.payee(&request.to)?;
        let too_long = || ApiError::bad_request("invalid_request", "the memo is over 256 bytes", "shorten the memo");
        let memo: Text<256> = Text::try_from(request.memo.as_str()).map_err(|_| too_long())?;
        let units = request.amount.units().to_be_bytes();
        let hash = Hash::of_fields(&[b"transfer", to.as_slice(), &units, memo.as_bytes()]);
        let about = Text::try_from(memo.as_str()).map_err(|_| too_long())?;
        let wanted = Wanted { agent, key: key_text(key)?, request: hash, about };
        let _turn = self.paying.take(&format!("{agent} {key}")).await;
        let known = self.purse.find(&agent, key).map_err(coded)?;
        if known.is_some_and(|known| known.request != hash) {
            return Err(conflict());
        }
        if let Some(payee) = payee {
            self.to_be_told(&agent, key, payee).await?;
        }
        let sent = self.purse.transfer(&wanted, to, request.amount).await.map_err(coded);
        self.told.notify_one();
        self.payment_view(&sent?)
    }

    /// The address behind an address, or behind an agent with a payment binding; then also the agent.
    fn payee(&self, to: &str) -> Result<(Address, Option<Did>), ApiError> {
        if let Ok(address) = to.parse::<Address>() {
            return Ok((address, None));
        }
        let unknown = || {
            ApiError::not_found(
                "agent_not_found",
                format!("{to:?} is no address and no agent whose payment address is known here"),
                "give an EVM address, or the DID of an agent whose card this node holds",
            )
        };
        let did: Did = match self.agents.named(to) {
            Some(served) => served.row.did,
            None => to.parse().map_err(|_| unknown())?,
        };
        if let Some(keys) = self.keys.get(&did) {
            return Ok((keys.payment.address(), Some(did)));
        }
        let address = self.catalog.binding(&did).address().ok_or_else(unknown)?;
        Ok((address, Some(did)))
    }
}

fn unknown_payment(key: &str) -> ApiError {
    ApiError::not_found(
        "payment_not_found",
        format!("this node knows no payment {key}"),
        "`haggle wallet history` names this node's payments",
    )
}

/// What an error means for a payment that is signed.
fn about(error: ApiError, key: &str) -> ApiError {
    error.about_order(key, "repeat it with the same key: the same payment is sent again, never a second one")
}

fn key_text(key: &str) -> Result<Text<64>, ApiError> {
    Text::try_from(key)
        .map_err(|_| ApiError::bad_request("invalid_key", "the key is too long", "use at most 64 characters"))
}

fn conflict() -> ApiError {
    coded(haggle_settlement::purse::PurseError::KeyTaken)
}

/// What a 402 answer asks: from its header, or from a body that is the same object.
fn offer(asked: &Fetched) -> Result<PaymentRequired, ApiError> {
    let read = match asked.header(header::PAYMENT_REQUIRED) {
        Some(text) => header::decode(text).ok(),
        None => serde_json::from_slice(&asked.body).ok(),
    };
    read.ok_or_else(|| {
        ApiError::new(
            StatusCode::BAD_GATEWAY,
            "payment_required_unreadable",
            "the answer 402 carries no x402 version 2 offer",
            "the seller speaks another protocol; this node pays x402 version 2",
        )
    })
}

/// Why a seller did not take a payment, in its own words.
fn reason(heard: &Fetched, said: Option<&SettleResponse>) -> String {
    let error = |offer: &PaymentRequired| offer.rest.get("error").and_then(|text| text.as_str()).map(str::to_owned);
    let reason = said
        .and_then(|said| said.error_reason().map(str::to_owned))
        .or_else(|| offer(heard).ok().as_ref().and_then(error))
        .unwrap_or_else(|| "no reason".to_owned());
    reason.chars().filter(|letter| !letter.is_control()).take(200).collect()
}

/// The seller did not take a voucher.
fn not_taken(reason: &str, key: &str) -> ApiError {
    let detail = format!("the seller did not take the voucher: {reason}");
    let hint = "the key does not pay again; `haggle wallet channels` shows the channel; a new payment takes a new key";
    ApiError::new(StatusCode::BAD_GATEWAY, "payment_refused", detail, hint).about_order(key, hint)
}

/// The seller did not take the payment.
fn refused(reason: &str, purchase: &Purchase) -> ApiError {
    let (code, detail, hint) = match purchase.state {
        PurchaseState::Paid => (
            "paid_without_answer",
            "the payment went through, but the seller gives no answer for it",
            "show the seller the transaction: `haggle wallet payment KEY` prints it",
        ),
        PurchaseState::Signed => (
            "payment_refused",
            "the seller did not take the payment",
            "what it holds back is free again when the payment can no longer be used; the same key sends it again",
        ),
        PurchaseState::Lapsed => (
            "payment_lapsed",
            "the seller did not take the payment in time",
            "nothing was paid; the same key may pay anew",
        ),
    };
    ApiError::new(StatusCode::BAD_GATEWAY, code, format!("{detail}: {reason}"), hint).about_order(&purchase.key, hint)
}
