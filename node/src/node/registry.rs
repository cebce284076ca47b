//! One agent, of this node or of the market, as the API shows it.

use super::Inner;
use super::api::{coded, read_did};
use super::messages::{number, reputation};
use super::views;
use crate::agents::{Served, a2a_cards};
use crate::records::AgentStatus;
use haggle_base::{Coded, Did, RecordId, Timestamp, Usdc, Verified};
use haggle_catalog::{Binding, CardBody, ListingBody};
use haggle_gateway::ApiError;
use haggle_gateway::view::{AgentListing, AgentMetadata, AgentStats, AgentView, Availability};
use serde_json::Value;

/// What is known of an agent, before it is written with the owner's words.
struct Known {
    did: Did,
    name: String,
    status: AgentStatus,
    sold: Vec<(ListingBody, Option<RecordId>)>,
    card: Value,
    version: Option<u64>,
    updated: Option<Timestamp>,
    /// What only its owner knows.
    own: Option<Own>,
}

struct Own {
    earned: Usdc,
    created: Option<Timestamp>,
}

impl Inner {
    /// See [`haggle_gateway::NodeApi::agent_listings`].
    pub(super) async fn listed_agents(&self) -> Result<Vec<AgentListing>, ApiError> {
        let mut agents = Vec::new();
        for served in self.agents.all() {
            agents.push(self.listed_own(&served).await?);
        }
        Ok(agents)
    }

    /// See [`haggle_gateway::NodeApi::agent_listing`].
    pub(super) async fn listed_agent(&self, agent: &str) -> Result<AgentListing, ApiError> {
        if let Ok(served) = self.ours(agent) {
            return self.listed_own(&served).await;
        }
        let did = read_did(agent)?;
        let card = self.card_of(&did).await?;
        let listings = self.catalog.listings_of(&did).map_err(coded)?;
        let versions = listings.iter().map(|listing| listing.record().seq);
        let changes = listings.iter().map(|listing| listing.record().created);
        self.listed(Known {
            did,
            name: card.body().name.as_str().to_owned(),
            status: if listings.is_empty() { AgentStatus::Suspended } else { AgentStatus::Approved },
            version: versions.max(),
            updated: changes.max().or(Some(card.record().created)),
            card: serde_json::from_str(&card.body().agent_card).unwrap_or(Value::Null),
            sold: listings.iter().map(|listing| (listing.body().clone(), Some(listing.id()))).collect(),
            own: None,
        })
    }

    async fn listed_own(&self, served: &Served) -> Result<AgentListing, ApiError> {
        let row = &served.row;
        let held = self.catalog.listing_named(&row.did, &row.name).map_err(coded)?;
        // money that came in left the account of what is earned
        let earned = self.settlement.accounts(&row.did).await.earned;
        self.listed(Known {
            did: row.did,
            name: row.name.as_str().to_owned(),
            status: row.status,
            sold: vec![(self.listing_body(row)?, held.as_ref().map(Verified::id))],
            card: a2a_cards(row, self.network.peer_id()).public,
            version: held.map(|held| held.record().seq),
            updated: row.changed,
            own: Some(Own { earned: Usdc::from_units(earned.unsigned_abs()), created: row.created }),
        })
    }

    fn listed(&self, known: Known) -> Result<AgentListing, ApiError> {
        let Known { did, name, status, sold, card, version, updated, own } = known;
        let figures = self.reputation.figures(&did);
        let reputation = reputation(&figures)?;
        let sells = sold.iter().map(|(body, id)| self.capability(body, *id)).collect::<Result<Vec<_>, _>>()?;
        let cheapest = sold.iter().zip(&sells).min_by_key(|((body, _), _)| body.price);
        let mut category: Vec<String> = sold.iter().map(|(body, _)| body.category.as_str().to_owned()).collect();
        let mut tags: Vec<String> =
            sold.iter().flat_map(|(body, _)| body.tags.iter()).map(|tag| tag.as_str().to_owned()).collect();
        for words in [&mut category, &mut tags] {
            words.sort();
            words.dedup();
        }
        let described = card["description"].as_str().unwrap_or_default();
        Ok(AgentListing {
            id: did.to_string(),
            creator_id: own.as_ref().map(|_| self.own_did().to_string()),
            name,
            description: sold.first().map_or(described, |(body, _)| body.description.as_str()).to_owned(),
            category,
            tags,
            pricing: cheapest.map(|(_, capability)| capability.pricing.clone()),
            capabilities: sells,
            visibility: if status == AgentStatus::Approved { "public" } else { "private" }.to_owned(),
            status: status.as_str().to_owned(),
            certifications: Vec::new(),
            metadata: AgentMetadata {
                version: version.unwrap_or_default().to_string(),
                changelog: String::new(),
                documentation: card["documentationUrl"].as_str().unwrap_or_default().to_owned(),
                sample_inputs: examples(&card),
                sample_outputs: Vec::new(),
            },
            stats: AgentStats {
                total_runs: figures.total_calls,
                success_rate: reputation.success_rate.clone(),
                avg_rating: reputation.rating.clone(),
                total_reviews: figures.ratings,
                revenue: own.as_ref().map(|own| number(own.earned)).transpose()?,
            },
            reputation,
            availability: Availability { status: self.availability(&did, self.is_online(&did)).to_owned() },
            created_at: own.and_then(|own| own.created).map(Timestamp::to_rfc3339),
            updated_at: updated.map(Timestamp::to_rfc3339),
        })
    }

    /// See [`haggle_gateway::NodeApi::agent`].
    pub(super) async fn agent_view(&self, agent: &str) -> Result<AgentView, ApiError> {
        let did = match self.agents.named(agent) {
            Some(served) => served.row.did,
            None => read_did(agent)?,
        };
        if let Some(served) = self.agents.get(&did).filter(|served| served.row.status == AgentStatus::Draft) {
            return self.draft_view(&served);
        }
        let card = self.card_of(&did).await?;
        let binding = self.catalog.binding(&did);
        let listings = self.catalog.listings_of(&did).map_err(coded)?;
        let body = card.body();
        Ok(AgentView {
            did: did.to_string(),
            name: body.name.as_str().to_owned(),
            local: self.keys.get(&did).is_some(),
            payment_address: binding.address().map(|address| address.to_string()),
            binding_problem: match &binding {
                Binding::Verified { .. } => None,
                Binding::Missing => Some("binding_missing".to_owned()),
                Binding::Invalid(error) => Some(error.code().to_owned()),
                Binding::Equivocal { .. } => Some("binding_equivocal".to_owned()),
            },
            hosts: body.hosts.iter().map(|host| host.peer.to_string()).collect(),
            listings: listings.iter().map(|listing| self.listing_view(listing)).collect(),
            reputation: self.reputation_view(&did),
            card: serde_json::from_str(&body.agent_card).unwrap_or(Value::Null),
            notice: views::NOTICE.to_owned(),
        })
    }

    /// A draft as its owner sees it: it has no card on the market yet.
    fn draft_view(&self, served: &Served) -> Result<AgentView, ApiError> {
        let row = &served.row;
        Ok(AgentView {
            did: row.did.to_string(),
            name: row.name.as_str().to_owned(),
            local: true,
            payment_address: self.settlement.payment_address(&row.did).map(|address| address.to_string()),
            binding_problem: None,
            hosts: vec![self.network.peer_id().to_string()],
            listings: Vec::new(),
            reputation: self.reputation_view(&row.did),
            card: self.cards(row)?.public,
            notice: views::NOTICE.to_owned(),
        })
    }

    /// The card of an agent, which is looked for if it is not held. One that was deleted here has none any more.
    async fn card_of(&self, did: &Did) -> Result<Verified<CardBody>, ApiError> {
        let is_deleted = self.agents.is_deleted(did);
        if !is_deleted && self.catalog.card(did).map_err(coded)?.is_none() {
            // whether it helped shows next
            let _found = self.lookup.meet(did).await;
        }
        let held = if is_deleted { None } else { self.catalog.card(did).map_err(coded)? };
        held.ok_or_else(|| {
            let hint =
                "look whether its node is up, wait until its card reaches this one, or connect to a peer that knows it";
            let detail = format!("this node holds no card of {did}, and no pointer in the DHT leads to one");
            ApiError::not_found("agent_not_found", detail, hint)
        })
    }
}

/// What a card's skills are asked for example.
fn examples(card: &Value) -> Vec<Value> {
    let skills = card["skills"].as_array().into_iter().flatten();
    skills.flat_map(|skill| skill["examples"].as_array().into_iter().flatten()).cloned().collect()
}
