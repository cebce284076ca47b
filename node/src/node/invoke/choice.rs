//! Whom to call: the agent that was named, or the best one that some words find.

use super::Inner;
use crate::agents::Served;
use crate::lookup::DocumentError;
use crate::node::api::coded;
use futures::{StreamExt as _, stream};
use haggle_base::{Did, FeePayer, RecordId, Usdc, Verified};
use haggle_catalog::{Hit, ListingBody, PricingModel, Query, Sort};
use haggle_gateway::ApiError;
use haggle_trade::{Refusal, TradeError, schema};
use std::time::Duration;
use tokio::time::Instant;

/// Listings looked at for one call.
const CANDIDATES: usize = 100;
/// How long their schemas are fetched for one call, all together.
const READING: Duration = Duration::from_secs(5);
/// How long one of them is waited for, of many that would do.
const EACH: Duration = Duration::from_secs(1);
/// Schemas that are read at once.
const AHEAD: usize = 4;
/// Longest words that describe a capability, in bytes.
const MAX_WORDS: usize = 256;

/// Who is called, and why.
#[derive(Debug)]
pub(in crate::node) enum Choice {
    /// An agent of this node: nobody is paid.
    Own { served: Box<Served>, reason: String },
    /// A stranger's listing.
    Market { listing: Verified<ListingBody>, reason: String },
}

impl Choice {
    pub(in crate::node) fn agent(&self) -> Did {
        match self {
            Self::Own { served, .. } => served.row.did,
            Self::Market { listing, .. } => listing.author(),
        }
    }

    pub(in crate::node) fn reason(&self) -> &str {
        match self {
            Self::Own { reason, .. } | Self::Market { reason, .. } => reason,
        }
    }

    pub(super) fn is_paid(&self) -> bool {
        match self {
            Self::Own { .. } => false,
            Self::Market { listing, .. } => !listing.body().price.is_zero(),
        }
    }
}

/// Listings that words find and that were passed over, by why.
#[derive(Debug, Default)]
struct Passed {
    dear: u32,
    unfit: u32,
    unread: u32,
    unpayable: u32,
    unreachable: u32,
    own: u32,
}

impl Passed {
    /// In words; nothing if there are none.
    fn words(&self) -> String {
        let counted = [
            (self.dear, "cost too much"),
            (self.unfit, "do not take the input"),
            (self.unread, "have a schema that nobody gave"),
            (self.unpayable, "cannot be paid by the call"),
            (self.unreachable, "cannot be reached"),
            (self.own, "are this node's own"),
        ];
        let told: Vec<String> =
            counted.iter().filter(|(count, _)| *count > 0).map(|(count, why)| format!("{count} {why}")).collect();
        told.join(", ")
    }
}

impl Inner {
    /// The agent that a caller named: one of ours by name, any by DID, or whoever wrote a listing.
    pub(in crate::node) async fn named(&self, id: &str, input: &[u8]) -> Result<Choice, ApiError> {
        let reason = || "named by the caller".to_owned();
        let did = id.parse::<Did>().ok();
        if let Some(served) = self.agents.named(id).or_else(|| did.and_then(|did| self.agents.get(&did))) {
            return own(served, reason(), input).await;
        }
        let listings = match did {
            Some(did) => {
                // what a light node holds of the agent may be old
                let _is_new = self.lookup.refresh(&did).await;
                let held = self.catalog.listings_of(&did).map_err(coded)?;
                match held.is_empty() && self.lookup.meet(&did).await {
                    true => self.catalog.listings_of(&did).map_err(coded)?,
                    false => held,
                }
            }
            None if id.parse::<RecordId>().is_ok() => vec![self.listing_by_id(id)?],
            None => {
                return Err(ApiError::not_found(
                    "agent_not_found",
                    format!("{id:?} is no DID, no listing and no agent of this node"),
                    "name an agent by its DID, a listing by its id as `haggle find` shows them, or one of your own",
                ));
            }
        };
        let mut fitting: Option<Verified<ListingBody>> = None;
        let mut unread = None;
        let until = Instant::now() + READING;
        let readings: Vec<_> = listings.iter().map(|listing| self.reading(listing, READING, until)).collect();
        let mut readings = stream::iter(readings).buffered(AHEAD);
        for listing in &listings {
            let Some(read) = readings.next().await else { break };
            if let Some(served) = self.agents.get(&listing.author()) {
                return own(served, reason(), input).await;
            }
            let cheaper = fitting.as_ref().is_none_or(|best| listing.body().price < best.body().price);
            if !cheaper {
                continue;
            }
            match read {
                Ok(schema) if fits(schema.as_deref(), input).await? => fitting = Some(listing.clone()),
                Ok(_) => {}
                // another listing may do
                Err(error) => unread = Some(error),
            }
        }
        if let (None, Some(error)) = (&fitting, unread) {
            return Err(coded(error));
        }
        match fitting {
            Some(listing) => Ok(Choice::Market { listing, reason: reason() }),
            None if listings.is_empty() => Err(ApiError::not_found(
                "listing_not_found",
                format!("this node knows nothing that {id} sells"),
                "wait until its listing reaches this node, or search with `haggle find`",
            )),
            None => Err(coded(TradeError::from(Refusal::InvalidInput))),
        }
    }

    /// The first listing in the combined order, as the node's owner weighs it, that this node's policy allows.
    pub(in crate::node) async fn best(
        &self,
        words: &str,
        input: &[u8],
        max_cost: Option<Usdc>,
    ) -> Result<Choice, ApiError> {
        if words.trim().is_empty() || words.len() > MAX_WORDS {
            return Err(ApiError::bad_request(
                "invalid_capability",
                "the capability is empty or too long",
                "say in a few words what is needed, at most 256 bytes",
            ));
        }
        let (text, sort) = (Some(words.to_owned()), Sort::Combined);
        let query = Query { text, sort, limit: CANDIDATES, ..Query::default() };
        let (found, _) = self.lookup.search(&query).await.map_err(coded)?;
        let most = max_cost.map_or(self.config.budget.per_call, |most| most.min(self.config.budget.per_call));
        let mut passed = Passed::default();
        let until = Instant::now() + READING;
        let (mut ours, mut unreachable) = (None, None);
        let mut unread = None;
        let readings: Vec<_> = found.items.iter().map(|hit| self.reading(&hit.listing, EACH, until)).collect();
        let mut readings = stream::iter(readings).buffered(AHEAD);
        for hit in &found.items {
            let (body, author) = (hit.listing.body(), hit.listing.author());
            let schema = match readings.next().await {
                Some(Ok(schema)) => schema,
                Some(Err(error)) => {
                    passed.unread += 1;
                    unread.get_or_insert(error);
                    continue;
                }
                None => break,
            };
            if !fits(schema.as_deref(), input).await.unwrap_or(false) {
                passed.unfit += 1;
            } else if let Some(served) = self.agents.get(&author) {
                passed.own += 1;
                ours.get_or_insert(served);
            } else if !is_payable(hit) {
                passed.unpayable += 1;
            } else if self.with_fee(body.price) > most {
                passed.dear += 1;
            } else if self.reputation.last_dial(&author) == Some(false) && !self.is_online(&author) {
                passed.unreachable += 1;
                unreachable.get_or_insert(hit);
            } else {
                return Ok(self.chosen(words, hit, found.total, &passed.words()));
            }
        }
        if let Some(served) = ours {
            let reason = format!("{:?} is found only at this node itself: {}", words, passed.words());
            return Ok(Choice::Own { served: Box::new(served), reason });
        }
        if let Some(hit) = unreachable {
            let passed = format!("{}; tried all the same, for there is nobody else", passed.words());
            return Ok(self.chosen(words, hit, found.total, &passed));
        }
        if let Some(error) = unread {
            // one of them may do
            return Err(coded(error));
        }
        let detail = match found.total {
            0 => format!("no listing is found by {words:?}"),
            total => format!("of {total} listings found by {words:?} none is fit: {}", passed.words()),
        };
        let hint = "use other words, raise max_cost or the budget, or look with `haggle find`";
        Err(ApiError::not_found("no_agent_fits", detail, hint))
    }

    /// A listing's input schema; what is not at hand is asked for within `each` and `until`.
    async fn reading(
        &self,
        listing: &Verified<ListingBody>,
        each: Duration,
        until: Instant,
    ) -> Result<Option<String>, DocumentError> {
        let schema = listing.body().input_schema.as_deref();
        self.lookup.schema_within(schema, &listing.author(), each, until).await
    }

    /// The schema that an output is held against.
    pub(in crate::node) async fn output_schema(&self, choice: &Choice) -> Result<Option<String>, ApiError> {
        match choice {
            Choice::Own { served, .. } => {
                Ok(served.row.output_schema.as_ref().map(|schema| schema.as_str().to_owned()))
            }
            Choice::Market { listing, .. } => {
                let schema = listing.body().output_schema.as_deref();
                self.lookup.schema(schema, &listing.author()).await.map_err(coded)
            }
        }
    }

    fn chosen(&self, words: &str, hit: &Hit, total: usize, passed: &str) -> Choice {
        let body = hit.listing.body();
        let mut reason = format!(
            "best of {total} for {words:?} by trust, cost and speed: {}, {} USDC with its fee",
            body.title.as_str(),
            self.with_fee(body.price)
        );
        if !passed.is_empty() {
            reason.push_str("; passed over: ");
            reason.push_str(passed);
        }
        Choice::Market { listing: hit.listing.clone(), reason }
    }

    /// What leaves the buyer's wallet at this price.
    pub(in crate::node) fn with_fee(&self, price: Usdc) -> Usdc {
        match self.file.fee.payer {
            FeePayer::Buyer => {
                price.checked_add(price.fee_bps(self.file.fee.bps)).unwrap_or(Usdc::from_units(u64::MAX))
            }
            FeePayer::Seller => price,
        }
    }
}

/// Whether one call can be bought as it is listed.
fn is_payable(hit: &Hit) -> bool {
    let body = hit.listing.body();
    matches!(body.pricing, PricingModel::PerCall | PricingModel::Outcome)
        && (body.price.is_zero() || hit.binding.address().is_some())
}

async fn own(served: Served, reason: String, input: &[u8]) -> Result<Choice, ApiError> {
    if served.row.is_by_hand() {
        return Err(ApiError::bad_request(
            "answered_by_hand",
            format!("{:?} is this node's own, and its owner answers by hand", served.row.name.as_str()),
            "do the work, or call somebody else's agent",
        ));
    }
    if !fits(served.row.input_schema.as_deref(), input).await? {
        return Err(coded(TradeError::from(Refusal::InvalidInput)));
    }
    let reason = format!("{reason}; it is this node's own, so nobody is paid");
    Ok(Choice::Own { served: Box::new(served), reason })
}

pub(in crate::node) async fn fits(schema: Option<&str>, input: &[u8]) -> Result<bool, ApiError> {
    let fit = schema::check_aside(schema.map(str::to_owned), input.to_vec()).await.map_err(coded)?;
    Ok(fit == schema::Fit::Fits)
}
