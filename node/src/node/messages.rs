//! Messages between agents: who speaks, what is kept, and service requests with their answers.

mod discover;
mod offers;
mod sold;
mod typed;

pub(super) use discover::reputation;
pub(super) use offers::{number, rejected};
pub(super) use sold::tell_sellers;

use super::api::coded;
use super::views::hex;
use super::{Inner, letters};
use crate::keyring::AgentKeys;
use crate::mailbox::{AskedRow, Offer, Offered, RequestRow, Requests, content};
use haggle_a2a::envelope::{Message, MessageType, SignedMessage};
use haggle_base::{Did, Hash, Timestamp, Usdc};
use haggle_gateway::ApiError;
use haggle_gateway::view::{
    Answered, MessageBody, MessageQuery, MessageView, OrderView, ServiceAnswer, ServiceRequest,
};
use haggle_store::StoreError;
use haggle_trade::Bargain;
use offers::Unanswered;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// Messages of a page when nobody says.
const DEFAULT_ITEMS: usize = 20;
/// Most messages of a page.
const MAX_ITEMS: usize = 100;

impl Inner {
    /// Asks a seller what a service would cost. The same message again answers what was answered then.
    pub(super) async fn ask_for(&self, body: MessageBody) -> Result<MessageView, ApiError> {
        let Some(name) = body.message_id.clone() else {
            return Err(invalid("a request needs a messageId"));
        };
        let (request, keys) = self.take(&body, &name, MessageType::Request)?;
        let buyer = request.message().from;
        let wanted: ServiceRequest = read(request.message().payload())?;
        let budget = amount(&wanted.budget)?;
        // what the signature covers is what is paid by: a number that its canonical form rounds is not taken
        let as_sent: ServiceRequest = read(body.payload.get())?;
        if amount(&as_sent.budget)? != budget {
            return Err(invalid("the budget has too many digits for a number: write it as a string"));
        }
        let deadline = wanted
            .deadline
            .as_deref()
            .map(|text| Timestamp::from_rfc3339(text).ok_or_else(|| invalid("the deadline is no time as in RFC 3339")));
        let deadline = deadline.transpose()?;

        let turn = self.mailbox.turn(&buyer, &name).await;
        let content = content(request.message());
        if let Some(said) = self.said_before(&buyer, &name, content)? {
            return Ok(said);
        }
        let found = match self.offer_for(&request, &wanted, budget, deadline).await {
            Ok(found) => found,
            Err(Unanswered { problem, seller: Some(seller), listing }) if is_away(&problem) => {
                let asked = AskedRow { content, request: 0, seller, listing, budget, deadline };
                drop(turn);
                return self.ask_by_letter(request, asked, problem).await;
            }
            Err(Unanswered { problem, .. }) => return Err(problem),
        };
        let answer = Message::new(
            &derived("re", &request.id()),
            found.seller.unwrap_or_else(|| self.own_did()),
            Some(&buyer.to_string()),
            MessageType::Response,
            self.clock.now(),
            &text_of(&found.response)?,
        );
        let answer = answer.and_then(|answer| answer.sign(&keys.agent)).map_err(coded)?;
        let key = (buyer, name);
        let both = [&request, &answer];
        let numbers = self.mailbox.keep(&both, |batch, numbers| {
            let row =
                RequestRow { content, request: numbers[0], response: numbers[1], offer: found.offer, taken: None };
            batch.put::<Requests>(&key, &row).map(drop)
        });
        let numbers = numbers.await.map_err(|error| not_kept(&error))?;
        view(&answer, numbers[1])
    }

    /// What was said before under this name: what is answered again, or that the name is taken.
    pub(super) fn said_before(&self, buyer: &Did, name: &str, content: Hash) -> Result<Option<MessageView>, ApiError> {
        let request = self.mailbox.request(buyer, name).map_err(coded)?.map(|row| (row.content, row.response));
        let asked = self.mailbox.asked(buyer, name).map_err(coded)?.map(|row| (row.content, row.request));
        match request.or(asked) {
            Some((before, number)) if before == content => self.kept(number).map(Some),
            Some(_) => Err(taken_name()),
            None if self.mailbox.find(buyer, name).map_err(coded)?.is_some() => Err(taken_name()),
            None => Ok(None),
        }
    }

    /// Takes or turns down an offer; taking it hires the seller, at no more than was offered, once.
    pub(super) async fn answer(&self, body: MessageBody) -> Result<Answered, ApiError> {
        let sent: ServiceAnswer = read(body.payload.get())?;
        let name = match &body.message_id {
            Some(name) => name.clone(),
            None => derived("answer", &Hash::of(sent.request_id.as_bytes())),
        };
        let (message, _) = self.take(&body, &name, MessageType::Response)?;
        let buyer = message.message().from;
        let taken = match sent.status.as_str() {
            "accepted" => true,
            "rejected" => false,
            _ => return Err(invalid("the status of an answer is accepted or rejected")),
        };
        let _turn = self.mailbox.turn(&buyer, &sent.request_id).await;
        let Some(row) = self.mailbox.request(&buyer, &sent.request_id).map_err(coded)? else {
            return Err(ApiError::not_found(
                "request_not_found",
                format!("{buyer} made no request {:?} here", sent.request_id),
                "GET /api/v1/a2a/messages?type=request lists the requests that this node keeps",
            ));
        };
        let key = order_key(&buyer, &sent.request_id);
        let hired = self.buyer.find_key(&buyer, &key).map_err(coded)?.is_some();
        let before = row.taken.or(hired.then_some(true));
        if before.is_some_and(|before| before != taken) {
            return Err(ApiError::new(
                http::StatusCode::CONFLICT,
                "already_answered",
                "the request was answered the other way before",
                "make a new request to change your mind; an order that is not paid can be cancelled",
            ));
        }
        let order = match &row.offer {
            _ if !taken => None,
            Offered::Order(offer) if !hired => Some(self.place(&buyer, &key, &row, offer).await?),
            Offered::Order(_) => Some(self.order_of(&buyer, &key)?),
            Offered::Free => return Err(coded(haggle_trade::TradeError::from(haggle_trade::Refusal::FreeNoOrder))),
            Offered::Nothing => {
                return Err(ApiError::new(
                    http::StatusCode::CONFLICT,
                    "nothing_offered",
                    "the request was rejected: there is nothing to take",
                    "make a new request; the reason stands in the response",
                ));
            }
        };
        if let Offered::Order(Offer { seller: Some(seller), .. }) = &row.offer
            && taken
        {
            self.post.outbox.know(&buyer, seller, self.clock.now()).await.map_err(coded)?;
        }
        if row.taken.is_none() {
            let request = (buyer, sent.request_id.clone());
            let said = [&message];
            let kept = self.mailbox.keep(&said, |batch, _| {
                batch.put::<Requests>(&request, &RequestRow { taken: Some(taken), ..row }).map(drop)
            });
            kept.await.map_err(|error| not_kept(&error))?;
        }
        Ok(Answered { request_id: sent.request_id, status: sent.status, order })
    }

    /// The messages that are kept, newest first.
    pub(super) fn kept_messages(&self, query: &MessageQuery) -> Result<Vec<MessageView>, ApiError> {
        let limit = query.limit.map_or(DEFAULT_ITEMS, |limit| usize::try_from(limit).unwrap_or(MAX_ITEMS));
        let kind = query.kind.as_deref().map(|word| {
            MessageType::of_word(word).ok_or_else(|| {
                let hint = "take request, response, notification or error";
                ApiError::bad_request("invalid_query", format!("{word:?} is no type of message"), hint)
            })
        });
        let kind = kind.transpose()?;
        let messages = self.mailbox.list(query.after, kind, limit.clamp(1, MAX_ITEMS)).map_err(coded)?;
        messages.iter().map(|(number, message)| self.shown(message, *number)).collect()
    }

    /// The message in a body, with its sender's keys. A signature must be that of `from`; without one the message is
    /// signed here, and so speaks for agents of this node only.
    fn take(&self, body: &MessageBody, name: &str, kind: MessageType) -> Result<(SignedMessage, AgentKeys), ApiError> {
        if body.kind.as_deref().is_some_and(|word| word != kind.as_str()) {
            return Err(invalid(&format!("this route takes messages of the type {}", kind.as_str())));
        }
        let at = body.timestamp.as_deref().map(|text| {
            Timestamp::from_rfc3339(text).ok_or_else(|| invalid("the timestamp is no time as in RFC 3339"))
        });
        let at = at.transpose()?.unwrap_or_else(|| self.clock.now());
        let to = body.to.as_deref();
        let message = |from: Did| Message::new(name, from, to, kind, at, body.payload.get()).map_err(coded);
        let Some(signature) = &body.signature else {
            let keys = self.speaker(body.from.as_deref())?;
            let signed = message(keys.agent.did())?.sign(&keys.agent).map_err(coded)?;
            return Ok((signed, keys));
        };
        if body.timestamp.is_none() {
            return Err(invalid("a signed message needs its timestamp"));
        }
        let from = body.from.as_deref().and_then(|from| from.parse::<Did>().ok());
        let from = from.ok_or_else(|| invalid("a signed message names its sender by DID"))?;
        let signed = message(from)?.signed_with(signature).map_err(coded)?;
        let keys = self.keys.get(&from).ok_or_else(|| {
            ApiError::new(
                http::StatusCode::FORBIDDEN,
                "not_our_agent",
                format!("{from} is not served here: this node can neither ask nor pay for it"),
                "send the message to the node that holds the agent's keys",
            )
        })?;
        Ok((signed, keys))
    }

    /// The keys of the agent that an unsigned message speaks for: ours by DID or name, else the node's own.
    fn speaker(&self, from: Option<&str>) -> Result<AgentKeys, ApiError> {
        let did = match from {
            None => Some(self.own_did()),
            Some(from) => from.parse().ok().or_else(|| self.agents.named(from).map(|served| served.row.did)),
        };
        did.and_then(|did| self.keys.get(&did)).ok_or_else(|| {
            ApiError::new(
                http::StatusCode::FORBIDDEN,
                "unsigned_sender",
                format!("without a signature nobody speaks for {:?}", from.unwrap_or_default()),
                "leave `from` out, name an agent of this node, or sign the message with the key of `from`",
            )
        })
    }

    pub(super) fn kept(&self, number: u64) -> Result<MessageView, ApiError> {
        let message = self.mailbox.read(number).map_err(coded)?;
        self.shown(&message.ok_or_else(|| ApiError::internal(&"a message that a request names is not kept"))?, number)
    }

    /// A message as the API shows it, with how it went if it went by letter.
    fn shown(&self, signed: &SignedMessage, number: u64) -> Result<MessageView, ApiError> {
        let said = signed.message();
        let sent = self.post.outbox.find(&said.from, said.id.as_str()).map_err(coded)?;
        Ok(MessageView { delivery: sent.as_ref().map(letters::shown), ..view(signed, number)? })
    }

    /// Hires the seller of an offer.
    async fn place(&self, buyer: &Did, key: &str, row: &RequestRow, offer: &Offer) -> Result<OrderView, ApiError> {
        if offer.deadline.is_some_and(|deadline| deadline <= self.clock.now()) {
            let hint = "make a new request with a later deadline";
            let told = "the deadline of the request has passed; nothing was ordered";
            return Err(ApiError::bad_request("deadline_passed", told, hint));
        }
        let request = self.mailbox.read(row.request).map_err(coded)?;
        let request = request.ok_or_else(|| ApiError::internal(&"the request of an offer is not kept"))?;
        let wanted: ServiceRequest = read(request.message().payload())?;
        let listing = offer.listing.to_string();
        let author = self.listing_by_id(&listing)?.author();
        if offer.seller.is_some_and(|seller| seller != author) {
            return Err(ApiError::new(
                http::StatusCode::CONFLICT,
                "offer_of_another_seller",
                format!("the offer names a listing of {author}, who was not asked; nothing was ordered"),
                "make a new request; who was asked cannot sell what another one listed",
            ));
        }
        let mut wish = self.wish(&listing, &wanted.input, None, Some(&buyer.to_string()), Some(key)).await?;
        wish.max_price = offer.total;
        wish.bargain = offer.bargained.then(|| Bargain::up_to(offer.total));
        wish.deadline = offer.deadline;
        wish.reason = Some(crate::adapters::trade::text("its offer to a service request was accepted"));
        self.buyer.hire(wish).await.map_err(coded)?;
        self.order_of(buyer, key)
    }

    fn order_of(&self, buyer: &Did, key: &str) -> Result<OrderView, ApiError> {
        let hire = self.buyer.find_key(buyer, key).map_err(coded)?;
        let hire = hire.ok_or_else(|| ApiError::internal(&"an order that was placed is not in the store"))?;
        Ok(self.order_view(&self.buyer.show(hire).map_err(coded)?))
    }
}

/// A message as the API shows it.
fn view(signed: &SignedMessage, number: u64) -> Result<MessageView, ApiError> {
    let message = signed.message();
    let payload = RawValue::from_string(message.payload().to_owned()).map_err(|cause| ApiError::internal(&cause))?;
    Ok(MessageView {
        message_id: message.id.as_str().to_owned(),
        from: message.from.to_string(),
        to: message.to.as_ref().map(|to| to.as_str().to_owned()),
        kind: message.kind.as_str().to_owned(),
        timestamp: message.at.to_rfc3339(),
        payload,
        signature: signed.signature(),
        signed_by: signed.signer().to_string(),
        id: signed.id().to_string(),
        sequence: number,
        delivery: None,
    })
}

/// Whether an agent could not be reached, so that a letter may.
fn is_away(problem: &ApiError) -> bool {
    matches!(&*problem.code, "unreachable" | "provider_unreachable" | "peer_unreachable" | "open_timeout")
}

/// The key of the order that an accepted request places.
fn order_key(buyer: &Did, request: &str) -> String {
    let buyer = buyer.to_string();
    derived("a2a", &Hash::of_parts(&[b"haggle/service-order/v1", buyer.as_bytes(), b" ", request.as_bytes()]))
}

/// A name that follows from a hash.
pub(super) fn derived(word: &str, hash: &Hash) -> String {
    format!("{word}-{}", hex(&hash.as_bytes()[..16]))
}

pub(super) fn read<T: DeserializeOwned>(payload: &str) -> Result<T, ApiError> {
    serde_json::from_str(payload).map_err(|error| invalid(&format!("payload: {error}")))
}

pub(super) fn text_of<T: Serialize>(payload: &T) -> Result<String, ApiError> {
    serde_json::to_string(payload).map_err(|cause| ApiError::internal(&cause))
}

pub(super) fn amount(raw: &RawValue) -> Result<Usdc, ApiError> {
    Usdc::from_json_text(raw.get()).map_err(coded)
}

fn invalid(problem: &str) -> ApiError {
    let hint = "write the message as docs/protocols/messages.md says";
    ApiError::bad_request("invalid_message", problem, hint)
}

fn taken_name() -> ApiError {
    ApiError::new(
        http::StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency_conflict",
        "this sender said something else under this messageId before",
        "take a new messageId for a new message; keep it only when you repeat the same one",
    )
}

pub(super) fn not_kept(error: &StoreError) -> ApiError {
    if matches!(error, StoreError::Precondition { .. }) { taken_name() } else { ApiError::from_coded(error) }
}
