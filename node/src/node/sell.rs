//! Selling single calls to whoever pays for them: `/x402/{listing}`, A2A tasks, and the facilitator for other servers.

mod again;
mod desk;
mod discovery;
mod toll;

use super::api::coded;
use crate::adapters::faults::CrashPoint;
use crate::agents::{Agents, Served};
use again::Standing;
use haggle_base::{Did, Hash, Text};
use haggle_catalog::Catalog;
use haggle_gateway::{ApiError, PaidAnswer, PaidCall};
use haggle_settlement::channels::Selling;
use haggle_settlement::till::{Asked, Caller, Sale, Till};
use haggle_trade::WorkError;
use haggle_trade::schema;
use haggle_x402::{FacilitatorRequest, PaymentPayload, PaymentRequired, Reason, Scheme, header};
use http::StatusCode;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use url::form_urlencoded;

/// Longest input as JSON, as for a hired call.
const MAX_INPUT: usize = haggle_trade::config::MAX_PAYLOAD_BYTES;

/// Where calls are sold. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    till: Till,
    channels: Option<Selling>,
    agents: Agents,
    catalog: Catalog,
    /// Schemas of the agents that are paid over A2A.
    schemas: Arc<schema::Compiled>,
    /// Base URL of the gateway, to which payments are bound.
    base: Arc<str>,
    /// Where crash tests end this process.
    faults: Arc<CrashPoint>,
}

/// One call, read and found to be for sale.
#[derive(Clone, Debug)]
struct Ordered {
    served: Served,
    sale: Sale,
    input: Value,
}

impl Counter {
    pub(crate) fn new(
        till: Till,
        channels: Option<Selling>,
        agents: Agents,
        catalog: Catalog,
        base: &str,
        faults: Arc<CrashPoint>,
    ) -> Self {
        Self { till, channels, agents, catalog, schemas: Arc::default(), base: base.into(), faults }
    }

    /// The part of the node that takes payments of `exact`.
    pub(crate) const fn till(&self) -> &Till {
        &self.till
    }

    /// The part that takes vouchers, if channels are on.
    pub(crate) const fn channels(&self) -> Option<&Selling> {
        self.channels.as_ref()
    }

    /// Sells a call; runs to its end also if the caller goes away.
    pub(crate) async fn sell(&self, call: PaidCall) -> Result<PaidAnswer, ApiError> {
        let Some(payment) = &call.payment else {
            return self.ask(&self.ordered(&call)?, None);
        };
        let Ok(payload) = header::decode::<PaymentPayload>(payment) else {
            return self.ask(&self.ordered(&call)?, Some(&Reason::Payload.into()));
        };
        let counter = self.clone();
        let sold = tokio::spawn(async move { counter.sell_for(&call, &payload).await });
        sold.await.map_err(|cause| ApiError::internal(&cause))?
    }

    /// What was paid for is answered first; only what was not is held against what is for sale now.
    async fn sell_for(&self, call: &PaidCall, payload: &PaymentPayload) -> Result<PaidAnswer, ApiError> {
        let asked = self.asked(call)?;
        let standing = self.standing(call, &asked, payload).await?;
        if let Standing::Answered(answer) = standing {
            return Ok(answer);
        }
        let ordered = self.ordered(call);
        let is_for_sale =
            ordered.as_ref().is_ok_and(|ordered| payload.accepted.amount.to_usdc() == Some(ordered.sale.amount));
        if let (Standing::Unsettled(refused), false) = (&standing, is_for_sale) {
            return self.unsettled(&asked, refused);
        }
        let ordered = ordered?;
        let input = serde_json::to_vec(&ordered.input).map_err(|cause| ApiError::internal(&cause))?;
        let schema = ordered.served.row.input_schema.as_ref().map(|schema| schema.as_str().to_owned());
        let is_work = !is_wish(payload);
        if is_work && schema::check_aside(schema, input).await.map_err(coded)? != schema::Fit::Fits {
            return Err(ApiError::bad_request(
                "schema_mismatch",
                "the input does not fit the listing's schema; nothing was paid",
                "send a JSON body of the shape that the answer 402 shows under `extensions.bazaar`",
            ));
        }
        match payload.accepted.scheme {
            Scheme::Exact => self.sell_exact(&ordered, payload).await,
            Scheme::BatchSettlement => self.sell_voucher(&ordered, payload).await,
            Scheme::HaggleEscrow | Scheme::Other(_) | _ => self.ask(&ordered, Some(&Reason::Scheme.into())),
        }
    }

    /// What is asked for, whoever sells it.
    fn asked(&self, call: &PaidCall) -> Result<Asked, ApiError> {
        let resource = self.url(&call.listing);
        let too_long =
            |_| ApiError::bad_request("invalid_request", "the listing's name is too long", "use its record id");
        let query = call.query.as_deref().unwrap_or("");
        let request = [call.method.as_bytes(), resource.as_bytes(), query.as_bytes(), &call.body];
        Ok(Asked {
            resource: Text::try_from(resource.as_str()).map_err(too_long)?,
            request: Hash::of_fields(&request),
            caller: Caller::at(call.from),
        })
    }

    /// Finds what is asked for, and reads the input.
    fn ordered(&self, call: &PaidCall) -> Result<Ordered, ApiError> {
        let served = self.found(&call.listing)?;
        let Asked { resource, request, caller } = self.asked(call)?;
        let sale = Sale {
            seller: served.row.did,
            listing: Text::try_from(served.row.name.as_str()).unwrap_or_default(),
            resource,
            amount: served.row.price,
            request,
            caller,
        };
        Ok(Ordered { served, sale, input: input(call)? })
    }

    /// The agent behind a record id, a name or a DID.
    fn found(&self, listing: &str) -> Result<Served, ApiError> {
        let missing = || {
            ApiError::not_found(
                "listing_not_found",
                format!("nothing is sold here as {listing:?}"),
                "`GET /discovery/resources` lists what is sold here",
            )
        };
        let did: Option<Did> = match listing.parse() {
            Ok(id) => self.catalog.listing(&id).map_err(coded)?.map(|listing| listing.author()),
            Err(_) => listing.parse().ok(),
        };
        let served = did.and_then(|did| self.agents.get(&did)).or_else(|| self.agents.named(listing));
        let served = served.filter(Served::is_on_the_market).ok_or_else(missing)?;
        if !served.row.is_sold_by_the_call() {
            return Err(ApiError::bad_request(
                "sold_by_outcome",
                format!("{listing:?} is paid for its outcome, and this payment would come before it"),
                "place an order: `haggle hire`, or POST /v1/orders of a node; its escrow holds the money until then",
            ));
        }
        if served.row.price.is_zero() {
            return Err(ApiError::bad_request(
                "listing_is_free",
                format!("{listing:?} costs nothing"),
                "call it over A2A at /a2a/{did}: what is free needs no payment",
            ));
        }
        Ok(served)
    }

    fn url(&self, listing: &str) -> String {
        format!("{}/x402/{listing}", self.base)
    }

    /// Does the work; what went wrong otherwise.
    async fn work(&self, ordered: &Ordered, call: &str) -> Result<Vec<u8>, ApiError> {
        let row = &ordered.served.row;
        let patience = Duration::from_secs(row.deliver_within_secs.into());
        let working = self.agents.run(&row.did, ordered.input.clone(), call);
        let output = match tokio::time::timeout(patience, working).await {
            Ok(Ok(output)) => output,
            Ok(Err(WorkError::NotNow(reason))) => return Err(ApiError::of_code("try_again", reason)),
            Ok(Err(WorkError::Failed(reason))) => return Err(ApiError::of_code("remote_failed", reason)),
            Err(_) => return Err(ApiError::of_code("timeout", "the agent did not finish in time")),
        };
        let output = serde_json::to_vec(&output).map_err(|cause| ApiError::internal(&cause))?;
        let schema = row.output_schema.as_ref().map(|schema| schema.as_str().to_owned());
        match schema::check_aside(schema, output.clone()).await.map_err(coded)? {
            schema::Fit::Fits => Ok(output),
            schema::Fit::Misfits => {
                Err(ApiError::of_code("invalid_agent_response", "the output does not fit the listing's schema"))
            }
        }
    }
}

/// Whether a payment only asks for what is left in its channel, or for a receipt of it. No work is done for it, so it needs no
/// input that fits.
fn is_wish(payload: &PaymentPayload) -> bool {
    payload.accepted.scheme == Scheme::BatchSettlement
        && matches!(payload.payload.get("type").and_then(Value::as_str), Some("refund" | "receipt"))
}

/// The input of a call: a JSON body, a text body, or the query's parameters.
fn input(call: &PaidCall) -> Result<Value, ApiError> {
    if call.body.len() > MAX_INPUT {
        return Err(ApiError::of_code("input_too_large", "send at most 640 KiB"));
    }
    if call.body.is_empty() {
        let pairs = form_urlencoded::parse(call.query.as_deref().unwrap_or("").as_bytes());
        let fields: Map<String, Value> = pairs.map(|(name, value)| (name.into_owned(), value.into())).collect();
        return Ok(Value::Object(fields));
    }
    match serde_json::from_slice::<Value>(&call.body) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => Ok(value),
        _ => match std::str::from_utf8(&call.body) {
            Ok(text) => Ok(json!({"text": text})),
            Err(_) => Err(ApiError::bad_request("invalid_body", "the body is no text", "send JSON or text in UTF-8")),
        },
    }
}

/// The facilitator's request, read.
pub(super) fn facilitated(request: Value) -> Result<FacilitatorRequest, ApiError> {
    serde_json::from_value(request).map_err(|cause| {
        ApiError::bad_request(
            "payment_malformed",
            format!("this is no x402 request: {cause}"),
            "send {x402Version: 2, paymentPayload, paymentRequirements}",
        )
    })
}

/// An answer with an x402 object in a header.
fn answer(
    status: StatusCode,
    name: &'static str,
    object: &impl serde::Serialize,
    body: Vec<u8>,
) -> Result<PaidAnswer, ApiError> {
    let value = header::encode(object).map_err(coded)?;
    Ok(PaidAnswer { status: status.as_u16(), headers: vec![(name, value)], body })
}

/// The 402 answer to an offer, with the offer in header and body.
fn payment_required(offer: &PaymentRequired) -> Result<PaidAnswer, ApiError> {
    let body = serde_json::to_vec(offer).map_err(|cause| ApiError::internal(&cause))?;
    answer(StatusCode::PAYMENT_REQUIRED, "payment-required", offer, body)
}
