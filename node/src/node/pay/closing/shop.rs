//! The seller that is asked about a channel, for the rest of it or for a receipt: behind a URL that asks for payments, or as an agent of the market.

use super::WITHOUT_THE_SELLER;
use super::receipts::UNSIGNED;
use crate::node::Inner;
use crate::node::api::coded;
use crate::node::invoke::fresh_key;
use crate::node::pay::agent::{Said, Waiting};
use crate::node::pay::line::Line;
use crate::node::pay::{Errand, offer};
use haggle_a2a::types::methods;
use haggle_a2a::{Kind, message};
use haggle_base::{Address, Did, Usdc};
use haggle_gateway::ApiError;
use haggle_settlement::channels::BoughtChannel;
use haggle_x402::a2a::{self, Status};
use haggle_x402::batch::{batch_requirement, code};
use haggle_x402::{
    BatchExtra, ChannelFacts, PaymentPayload, PaymentRequired, PaymentRequirements, Scheme, SettleResponse, header,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Map, json};

/// What a seller is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// What is left in the channel.
    Refund,
    /// Its word about what was charged.
    Receipt,
}

impl Wish {
    /// What can be done where the seller does not help.
    const fn otherwise(self) -> &'static str {
        match self {
            Self::Refund => WITHOUT_THE_SELLER,
            Self::Receipt => UNSIGNED,
        }
    }

    /// The beginning of a message's id.
    const fn name(self) -> &'static str {
        match self {
            Self::Refund => "refund",
            Self::Receipt => "receipt",
        }
    }

    /// As an agent is told.
    const fn words(self) -> &'static str {
        match self {
            Self::Refund => "Please send back what is left in the channel.",
            Self::Receipt => "Please sign what was charged on the channel.",
        }
    }
}

/// How long a deposit would be good; a wish has none.
const TIMEOUT_SECONDS: u64 = 60;

/// Where the seller of a channel is asked.
pub(super) enum Shop {
    /// A URL that answers 402.
    Url { errand: Errand, offer: Box<PaymentRequired>, entry: Box<PaymentRequirements> },
    /// An agent of the market.
    Agent { line: Line, entry: Box<PaymentRequirements>, task: Option<Waiting> },
}

impl Shop {
    /// What it asks for on the channel.
    pub(super) fn entry(&self) -> &PaymentRequirements {
        match self {
            Self::Url { entry, .. } | Self::Agent { entry, .. } => entry,
        }
    }

    /// Its whole offer, if it made one.
    pub(super) fn offer(&self) -> Option<&PaymentRequired> {
        match self {
            Self::Url { offer, .. } => Some(offer),
            Self::Agent { .. } => None,
        }
    }
}

/// What a seller answers to a wish.
pub(super) enum Heard {
    /// It says that it did what was wished for.
    Settled(SettleResponse),
    /// It did not.
    Refused {
        /// Why, in its own word.
        word: String,
        /// What it said of the settlement.
        said: Option<SettleResponse>,
        /// A new offer, which may say where the channel stands.
        offer: Option<PaymentRequired>,
    },
    /// It may at another time.
    Busy,
}

impl Heard {
    fn of(said: Option<SettleResponse>, offer: Option<PaymentRequired>, otherwise: impl FnOnce() -> String) -> Self {
        if let (Some(said), None) = (&said, &offer)
            && said.success
        {
            return Self::Settled(said.clone());
        }
        let error = offer.as_ref().and_then(|offer| offer.rest.get("error")?.as_str());
        let word = error.or_else(|| said.as_ref().and_then(SettleResponse::error_reason)).map(str::to_owned);
        match word.unwrap_or_else(otherwise) {
            word if matches!(word.as_str(), code::CHANNEL_BUSY | "settlement_pending") => Self::Busy,
            word => Self::Refused { word, said, offer },
        }
    }
}

impl Inner {
    /// Finds out how the seller of a channel is asked at a place. Nothing is signed for it.
    pub(super) async fn shop_at(&self, channel: &BoughtChannel, at: &str, wish: Wish) -> Result<Shop, ApiError> {
        if let Ok(did) = at.parse::<Did>() {
            return self.agent_shop(channel, &did, wish).await;
        }
        for method in [Method::GET, Method::POST] {
            let errand =
                Errand { method: method.clone(), url: at.to_owned(), headers: HeaderMap::new(), body: String::new() };
            let asked = self.knock(errand.fetch(None)).await.map_err(coded)?;
            // a URL that was paid for with a body may know no GET
            if method == Method::GET && matches!(asked.status, 404 | 405) {
                continue;
            }
            if asked.status != StatusCode::PAYMENT_REQUIRED {
                break;
            }
            let offer = Box::new(offer(&asked)?);
            let entry = offer.accepts.iter().find(|entry| self.is_of(channel, entry)).cloned();
            let Some(entry) = entry.map(Box::new) else { break };
            return Ok(Shop::Url { errand, offer, entry });
        }
        Err(not_there(at, channel, wish))
    }

    /// Whether an entry is paid on such a channel.
    fn is_of(&self, channel: &BoughtChannel, entry: &PaymentRequirements) -> bool {
        let is = |text: &str, address: Address| text.parse().is_ok_and(|read: Address| read == address);
        entry.scheme == Scheme::BatchSettlement
            && entry.network.evm_chain_id() == Some(self.file.chain_id)
            && is(&entry.asset, channel.channel.token)
            && is(&entry.pay_to, channel.channel.receiver)
    }

    /// An agent says what it costs in its listing, and a task that only asks for the price would have to fit its schema:
    /// the entry is made from listing and channel.
    async fn agent_shop(&self, channel: &BoughtChannel, did: &Did, wish: Wish) -> Result<Shop, ApiError> {
        let missing = || not_there(&did.to_string(), channel, wish);
        let (file, terms) = (&self.file, &channel.channel);
        let contracts = file.channels.ok_or_else(missing)?;
        let asked = self.offers.lock().get(did).filter(|entry| self.is_of(channel, entry)).cloned();
        if asked.is_none() && self.catalog.binding(did).address() != Some(terms.receiver) {
            return Err(missing());
        }
        let listed = self.catalog.listings_of(did).map_err(coded)?.first().map(|listing| listing.body().price);
        let price = listed.or_else(|| asked.and_then(|entry| entry.amount.to_usdc()));
        // one that sells nothing any more still grants wishes, which buy nothing
        let price = price.filter(|price| !price.is_zero()).unwrap_or(Usdc::from_units(1));
        let facts = ChannelFacts::new(file.chain_id, contracts.contract, contracts.collector, file.token.clone());
        let extra = BatchExtra {
            receiver_authorizer: terms.receiverAuthorizer,
            withdraw_delay: terms.withdrawDelay.to::<u64>(),
            min_deposit: None,
            name: file.token.name.as_str().into(),
            version: file.token.version.as_str().into(),
            asset_transfer_method: None,
            channel_state: None,
            voucher_state: None,
            rest: Map::new(),
        };
        let entry = batch_requirement(&facts, terms.receiver, price, &extra, TIMEOUT_SECONDS).map_err(|_| missing())?;
        let line = self.line_to(&did.to_string(), &HeaderMap::new()).await?;
        Ok(Shop::Agent { line, entry: Box::new(entry), task: None })
    }

    /// Shows a seller the wish.
    pub(super) async fn hand_in(
        &self,
        shop: &mut Shop,
        payment: &PaymentPayload,
        wish: Wish,
    ) -> Result<Heard, ApiError> {
        let not_heard = |problem: ApiError| ApiError { hint: wish.otherwise().into(), ..problem };
        match shop {
            Shop::Url { errand, .. } => {
                let value = header::encode(payment).map_err(coded)?;
                let value = HeaderValue::try_from(value).map_err(|cause| ApiError::internal(&cause))?;
                let heard = self.knock(errand.fetch(Some(value))).await.map_err(|error| not_heard(coded(error)))?;
                let said = heard.header(header::PAYMENT_RESPONSE).and_then(|text| header::decode(text).ok());
                let again = (heard.status == StatusCode::PAYMENT_REQUIRED).then(|| offer(&heard)).transpose()?;
                Ok(Heard::of(said, again, || format!("status {}, and no word of a settlement", heard.status)))
            }
            Shop::Agent { line, task, .. } => {
                let mut said = json!({
                    "messageId": fresh_key(wish.name())?,
                    "role": "ROLE_USER",
                    "parts": [message::text(wish.words())],
                    "extensions": [a2a::URI],
                    "metadata": a2a::submitted(payment),
                });
                if let (Some(task), Some(fields)) = (task.as_ref(), said.as_object_mut()) {
                    fields.insert("taskId".to_owned(), json!(task.id));
                    fields.insert("contextId".to_owned(), json!(task.context));
                }
                let body = message::object([("message", said), ("configuration", json!({ "historyLength": 0 }))]);
                let heard = match self.say(line, methods::SEND_MESSAGE, body).await {
                    Ok(heard) => self.until_done(line, heard).await,
                    Err(error) => Err(error),
                };
                let result = match heard {
                    Ok(result) => result,
                    Err(error) if error.kind() == Kind::Busy => return Ok(Heard::Busy),
                    Err(error) => return Err(not_heard(coded(error))),
                };
                let said = Said::of(&result);
                let asks = said.payment() == Some(Status::Required);
                *task = said.task().filter(|_| asks);
                Ok(Heard::of(said.settled(), said.offer().filter(|_| asks), || said.words()))
            }
        }
    }
}

fn not_there(at: &str, channel: &BoughtChannel, wish: Wish) -> ApiError {
    let shown: String = at.chars().filter(|letter| !letter.is_control()).take(200).collect();
    let detail = format!("nobody at {shown} sells for vouchers to {}", channel.channel.receiver);
    let hint = match wish {
        Wish::Refund => {
            "the channel stays as it was; name the URL that was paid for on it, or take the rest without the seller: \
             `haggle wallet close CHANNEL --force`"
        }
        Wish::Receipt => {
            "name the URL that was paid for on the channel, or the DID of the agent that sells: `--at URL|DID`"
        }
    };
    ApiError::new(StatusCode::BAD_GATEWAY, "seller_not_there", detail, hint)
}

#[cfg(test)]
mod tests {
    use super::{Heard, PaymentRequired, SettleResponse, code};
    use haggle_x402::{ChainRef, Resource};
    use serde_json::{Map, json};

    fn said(success: bool, reason: &str) -> Option<SettleResponse> {
        let rest = Map::from_iter([("errorReason".to_owned(), json!(reason))]);
        Some(SettleResponse { success, transaction: "".into(), network: ChainRef::eip155(31_337), rest })
    }

    fn asks(error: &str) -> Option<PaymentRequired> {
        Some(PaymentRequired::new(Resource::new("http://shop.example/"), Vec::new()).with_error(error))
    }

    fn word(heard: &Heard) -> &str {
        match heard {
            Heard::Settled(_) => "settled",
            Heard::Busy => "busy",
            Heard::Refused { word, .. } => word,
        }
    }

    #[test]
    fn only_a_settlement_that_stands_and_asks_for_nothing_more_is_one() {
        let heard = |said, offer| Heard::of(said, offer, || "nothing".to_owned());
        assert_eq!(word(&heard(said(true, ""), None)), "settled");
        assert_eq!(word(&heard(said(true, ""), asks("more"))), "more");
        assert_eq!(word(&heard(said(false, "no"), None)), "no");
        assert_eq!(word(&heard(said(false, "no"), asks("never"))), "never");
        assert_eq!(word(&heard(said(false, code::CHANNEL_BUSY), None)), "busy");
        assert_eq!(word(&heard(None, asks("settlement_pending"))), "busy");
        assert_eq!(word(&heard(None, None)), "nothing");
    }
}
