//! The agents of the market that sell something, with the owner's fields.

use super::{Inner, coded};
use haggle_base::{Did, RecordId, Usdc};
use haggle_catalog::{Hit, ListingBody, MAX_LIMIT, PricingModel, Query};
use haggle_gateway::ApiError;
use haggle_gateway::view::{AgentCapability, AgentProfile, AgentReputation, Availability, Discover, Pricing, Sla};
use haggle_reputation::Figures;
use serde_json::Value;
use serde_json::value::RawValue;

/// Pages of listings read for one answer.
const MAX_PAGES: usize = 10;
/// Longest words that describe a capability, in bytes.
const MAX_WORDS: usize = 256;

impl Inner {
    /// Searches the market and gathers what is found by agent, in the search's own order.
    pub(in crate::node) async fn profiles(&self, wanted: &Discover) -> Result<Vec<AgentProfile>, ApiError> {
        if wanted.capability.trim().is_empty() || wanted.capability.len() > MAX_WORDS {
            return Err(ApiError::bad_request(
                "invalid_capability",
                "the capability is empty or too long",
                "say in a few words what is needed, at most 256 bytes",
            ));
        }
        let mut query = Query {
            text: Some(wanted.capability.clone()),
            category: wanted.category.clone(),
            max_price: wanted.max_price,
            limit: MAX_LIMIT,
            ..Query::default()
        };
        let mut found: Vec<(Did, Usdc, AgentProfile)> = Vec::new();
        for _ in 0..MAX_PAGES {
            let (answer, _) = self.lookup.search(&query).await.map_err(coded)?;
            for hit in &answer.items {
                self.gather(&mut found, hit, wanted)?;
            }
            query.cursor = answer.next;
            if query.cursor.is_none() || found.len() >= wanted.limit {
                break;
            }
        }
        Ok(found.into_iter().map(|(_, _, profile)| profile).collect())
    }

    /// What a listing sells, with its record's id if it is on the market.
    pub(in crate::node) fn capability(
        &self,
        body: &ListingBody,
        listing: Option<RecordId>,
    ) -> Result<AgentCapability, ApiError> {
        let schema = |text: Option<&str>| {
            let text = self.lookup.schema_at_hand(text);
            text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null)
        };
        let model = match &body.pricing {
            PricingModel::PerCall | PricingModel::PerUnit { .. } => "per-use",
            PricingModel::Outcome => "outcome-based",
            PricingModel::Subscription { .. } => "subscription",
        };
        Ok(AgentCapability {
            name: body.title.as_str().to_owned(),
            description: body.description.as_str().to_owned(),
            input_schema: schema(body.input_schema.as_deref()),
            output_schema: schema(body.output_schema.as_deref()),
            pricing: Pricing { model: model.to_owned(), price: number(&body.price)?, currency: "USDC".to_owned() },
            sla: Sla { response_time: u64::from(body.sla.deliver_within_secs) * 1000 },
            listing: listing.map(|listing| listing.to_string()),
        })
    }

    fn gather(&self, found: &mut Vec<(Did, Usdc, AgentProfile)>, hit: &Hit, wanted: &Discover) -> Result<(), ApiError> {
        let (listing, agent) = (&hit.listing, hit.listing.author());
        let body = listing.body();
        let figures = self.reputation.figures(&agent);
        let promised = u64::from(body.sla.deliver_within_secs) * 1000;
        let too_slow = wanted.max_response_ms.is_some_and(|most| figures.avg_response_ms.unwrap_or(promised) > most);
        // a rating is a share of five stars
        let stars = figures.rating.map(|share| share.millionths() * 5);
        let too_bad = wanted.min_rating.is_some_and(|least| least > stars.unwrap_or(0));
        let online = self.is_online(&agent);
        if too_slow || too_bad || wanted.online && !online {
            return Ok(());
        }
        let capability = self.capability(body, Some(listing.id()))?;
        if let Some((_, lowest, profile)) = found.iter_mut().find(|(known, ..)| *known == agent) {
            if body.price < *lowest {
                *lowest = body.price;
                profile.pricing = capability.pricing.clone();
            }
            profile.capabilities.push(capability);
            return Ok(());
        }
        if found.len() >= wanted.limit {
            return Ok(());
        }
        let card = self.catalog.card(&agent).map_err(coded)?;
        let name = card.map_or_else(|| capability.name.clone(), |card| card.body().name.as_str().to_owned());
        let profile = AgentProfile {
            id: agent.to_string(),
            name,
            description: capability.description.clone(),
            pricing: capability.pricing.clone(),
            capabilities: vec![capability],
            reputation: reputation(&figures)?,
            availability: Availability { status: self.availability(&agent, online).to_owned() },
        };
        found.push((agent, body.price, profile));
        Ok(())
    }
}

pub(in crate::node) fn reputation(figures: &Figures) -> Result<AgentReputation, ApiError> {
    let stars = figures.rating.map(|share| Usdc::from_units(u64::from(share.millionths()) * 5));
    Ok(AgentReputation {
        rating: stars.as_ref().map(number).transpose()?,
        completed_tasks: figures.successes,
        success_rate: figures.success_rate.as_ref().map(number).transpose()?,
        avg_response_time: figures.avg_response_ms,
    })
}

/// A decimal text as a JSON number, digit by digit.
fn number<T: ToString>(decimal: &T) -> Result<Box<RawValue>, ApiError> {
    RawValue::from_string(decimal.to_string()).map_err(|cause| ApiError::internal(&cause))
}
