//! Where this node's agents stand on the market: published, changed, suspended, deleted.

use super::Inner;
use super::api::coded;
use super::publish::not_ours;
use crate::agents::{self, Engine, Served};
use crate::records::AgentStatus;
use haggle_base::Did;
use haggle_catalog::CatalogError;
use haggle_catalog::body::LISTING_SLOT_PREFIX;
use haggle_gateway::ApiError;
use haggle_gateway::view::{AgentChange, AgentSummary, Republish};

impl Inner {
    /// An agent of ours, by name or DID.
    pub(super) fn ours(&self, agent: &str) -> Result<Served, ApiError> {
        let by_did = || agent.parse().ok().and_then(|did: Did| self.agents.get(&did));
        self.agents.named(agent).or_else(by_did).ok_or_else(|| {
            let told = format!("this node serves no agent {agent:?}");
            ApiError::not_found("agent_not_found", told, "`haggle agent list` names ours")
        })
    }

    /// Publishes an agent, at another price if one is given.
    pub(super) async fn publish_anew(&self, agent: &str, change: Republish) -> Result<AgentSummary, ApiError> {
        let _one_at_a_time = self.adding.lock().await;
        let mut served = self.ours(agent)?;
        let is_news = served.row.status != AgentStatus::Approved || change.price.is_some();
        served.row.price = change.price.unwrap_or(served.row.price);
        served.row.status = AgentStatus::Approved;
        if is_news {
            served.row.changed = Some(self.clock.now());
        }
        let listing = self.listing_body(&served.row)?;
        self.settle_down(served, listing).await
    }

    /// Changes what an agent says; see [`haggle_gateway::NodeApi::change_agent`].
    pub(super) async fn change(&self, agent: &str, change: &AgentChange) -> Result<AgentSummary, ApiError> {
        let _one_at_a_time = self.adding.lock().await;
        let served = self.ours(agent)?;
        let mut row = agents::change(served.row.clone(), change)?;
        if row != served.row {
            row.changed = Some(self.clock.now());
        }
        // what breaks a rule of the market breaks it before anything is stored
        let listing = self.listing_body(&row)?;
        let _fit = self.cards(&row)?;
        self.settle_down(Served { row, ..served }, listing).await
    }

    /// Withdraws an agent with a tombstone; twice is once.
    pub(super) async fn suspend(&self, agent: &str) -> Result<AgentSummary, ApiError> {
        let _one_at_a_time = self.adding.lock().await;
        let mut served = self.ours(agent)?;
        if served.row.status == AgentStatus::Draft {
            return Err(ApiError::new(
                http::StatusCode::CONFLICT,
                "not_published",
                format!("{:?} is a draft: nobody else knows of it", served.row.name.as_str()),
                "publish it first, or delete it",
            ));
        }
        if served.is_on_the_market() {
            served.row.status = AgentStatus::Suspended;
            served.row.changed = Some(self.clock.now());
            self.keep(served.index, &served.row).await?;
            self.agents.insert(served.clone());
        }
        self.bury_listings(&served.row.did).await?;
        self.pointers_due.add(served.row.did);
        self.flush().await?;
        self.summary(&served)
    }

    /// Withdraws an agent for good, and stops it. Its keys stay: its wallet and its orders are its owner's.
    pub(super) async fn delete(&self, agent: &str) -> Result<(), ApiError> {
        let _one_at_a_time = self.adding.lock().await;
        let mut served = self.ours(agent)?;
        let did = served.row.did;
        let was_known = served.row.status != AgentStatus::Draft;
        served.row.status = AgentStatus::Deleted;
        served.row.changed = Some(self.clock.now());
        self.keep(served.index, &served.row).await?;
        self.agents.delete(served.index, did);
        self.server.retire(did);
        if was_known {
            self.pointers_due.add(did);
        }
        if let Some(Engine::Command(program)) = &served.engine {
            program.shutdown().await;
        }
        self.bury_listings(&did).await?;
        self.flush().await?;
        tracing::info!(agent.id = %did, "deleted agent {}", served.row.name.as_str());
        Ok(())
    }

    /// Finishes what a stop of the node interrupted: who is not on the market has no listing there, nor has one of whom nothing
    /// else was stored. That one had the next place.
    pub(super) async fn bury_again(&self) {
        let served = self.agents.all().into_iter().filter(|served| !served.is_on_the_market());
        let off_the_market = self.agents.deleted().into_iter().chain(served.map(|served| served.row.did));
        for did in off_the_market.chain(self.half_added()) {
            if let Err(problem) = self.bury_listings(&did).await {
                tracing::warn!(agent.id = %did, error.code = %problem.code, "agent {did} is not withdrawn: {problem}");
            }
        }
    }

    /// Who would have the next place, if the market has something of it already.
    fn half_added(&self) -> Option<Did> {
        let next = u32::try_from(self.agents.next_index()).ok()?;
        let did = self.keys.did(next);
        let listed = self.catalog.listings_of(&did).is_ok_and(|listings| !listings.is_empty());
        listed.then(|| self.keys.add(next).agent.did())
    }

    /// Puts a tombstone in the place of every listing of an agent of ours.
    pub(super) async fn bury_listings(&self, did: &Did) -> Result<(), ApiError> {
        let keys = self.keys.get(did).ok_or_else(|| not_ours(did))?;
        for listing in self.catalog.listings_of(did).map_err(coded)? {
            let Some(name) = listing.record().slot.strip_prefix(LISTING_SLOT_PREFIX) else { continue };
            match self.catalog.withdraw(&keys.agent, name).await {
                // it ended meanwhile, or two categories were buried at once
                Ok(()) | Err(CatalogError::NotListed) => {}
                Err(error) => return Err(coded(error)),
            }
        }
        Ok(())
    }
}
