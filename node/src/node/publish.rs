//! Putting this node's agents on the market: keys, listing, row, card, in this order.

use super::Inner;
use super::api::MAX_ORDERS;
use crate::adapters::trade::text;
use crate::agent::{AgentDraft, Worker};
use crate::agents::{self, Engine, MAX_AGENTS, Served};
use crate::error::NodeError;
use crate::keyring::AgentKeys;
use crate::records::{AgentRow, AgentStatus, AgentTable, Runner, SchemaText};
use haggle_a2a::card;
use haggle_a2a_transport::Cards;
use haggle_base::{Did, Text, Timestamp};
use haggle_catalog::{CardBody, EscrowTerms, Host, ListingBody, PricingModel, Sla};
use haggle_gateway::ApiError;
use haggle_gateway::view::AgentSummary;
use haggle_store::Batch;
use haggle_x402::Scheme;
use serde_json::Value;
use std::time::Duration;

/// A card is signed anew when its binding ends sooner than this.
const BINDING_MARGIN: Duration = Duration::from_secs(14 * 24 * 3600);

impl Inner {
    /// Serves a closure; the same name serves the same agent again.
    pub(super) async fn serve(&self, draft: AgentDraft, worker: Worker) -> Result<AgentSummary, ApiError> {
        self.add(draft, Runner::Embedded, None, Some(Engine::Function(worker)), None).await
    }

    /// Adds an agent, or gives the known one of that name what runs it; then publishes it, unless it is or stays beside the
    /// market. Without a `status` a known agent stands where it stood.
    pub(super) async fn add(
        &self,
        draft: AgentDraft,
        runner: Runner,
        face: Option<Text<4096>>,
        engine: Option<Engine>,
        status: Option<AgentStatus>,
    ) -> Result<AgentSummary, ApiError> {
        let _one_at_a_time = self.adding.lock().await;
        let known = self.agents.named(&draft.name);
        if known.as_ref().is_some_and(|known| known.row.runner != runner) {
            return Err(ApiError::new(
                http::StatusCode::CONFLICT,
                "name_taken",
                format!("this node already serves an agent named {:?}", draft.name),
                "take another name, or publish the known agent anew",
            ));
        }
        let before = known.as_ref().map(|known| known.row.status);
        if let (Some(AgentStatus::Draft), Some(AgentStatus::Approved | AgentStatus::Suspended)) = (status, before) {
            return Err(ApiError::new(
                http::StatusCode::CONFLICT,
                "already_published",
                format!("{:?} was published: others know of it", draft.name),
                "suspend it, or take another name for the draft",
            ));
        }
        let status = status.or(before).unwrap_or(AgentStatus::Approved);
        let index = match &known {
            Some(known) => known.index,
            None => self.agents.next_index(),
        };
        if known.is_none() && self.agents.count() >= MAX_AGENTS {
            let told = format!("this node serves {MAX_AGENTS} agents");
            return Err(ApiError::bad_request("too_many_agents", told, "start another node"));
        }
        let key = u32::try_from(index).map_err(|cause| ApiError::internal(&cause))?;
        let keys = self.keys.add(key);
        let now = Some(self.clock.now());
        let created = known.as_ref().map_or(now, |known| known.row.created);
        let row = agents::row(keys.agent.did(), &draft, runner)?;
        let mut row = AgentRow { face, status, created, changed: now, ..row };
        // what breaks a rule of the market breaks it before anything is stored
        let listing = self.listing_body(&row)?;
        if let Err(problem) = self.cards(&row) {
            // a wrapped agent's words that our signed card cannot carry are left out of it
            if row.face.take().is_none() {
                return Err(problem);
            }
            tracing::warn!(agent.name = %row.name, error.code = %problem.code, "the card of {} names no skills of its server's: {problem}", row.name);
            self.cards(&row)?;
        }
        // the same agent again keeps what runs it
        let engine = match engine.or_else(|| known.and_then(|known| known.engine)) {
            Some(engine) => Some(engine),
            None => Engine::of(&row.name, &row.runner, &self.clock)?,
        };
        self.settle_down(Served { index, row, engine }, listing).await
    }

    /// Puts an agent on the market if that is where it stands, keeps it as it is now, and serves it. The listing comes first,
    /// which others may refuse: then the agent stays as it was. Of a node that stops behind it the row decides what becomes
    /// of the listing ([`Self::bury_again`], [`Self::publish_all`]).
    pub(super) async fn settle_down(&self, served: Served, listing: ListingBody) -> Result<AgentSummary, ApiError> {
        if served.is_on_the_market() {
            self.publish_listing(&served.row, listing).await?;
        }
        self.keep(served.index, &served.row).await?;
        self.agents.insert(served.clone());
        self.serve_now(&served)?;
        if served.is_on_the_market() {
            self.publish_agents_card(&served.row).await?;
            self.flush().await?;
        }
        self.summary(&served)
    }

    /// Serves the agents that were served before, ahead of the first call: to a caller who comes right after a restart
    /// they are there.
    pub(super) fn serve_known(&self) {
        for did in self.agents.deleted() {
            self.server.retire(did);
        }
        for served in self.agents.all().iter().filter(|served| served.engine.is_some()) {
            if let Err(problem) = self.serve_now(served) {
                tracing::warn!(agent.id = %served.row.did, error.code = %problem.code, "agent {} is not served: {problem}", served.row.name.as_str());
            }
        }
    }

    /// Makes the cards of the node's own agent and of every served one current, after a start.
    pub(super) async fn publish_all(&self) -> Result<(), NodeError> {
        let api = |problem: ApiError| NodeError::Api(Box::new(problem));
        self.publish_own_card().await.map_err(api)?;
        self.present_buyers().await.map_err(api)?;
        {
            let _one_at_a_time = self.adding.lock().await;
            self.bury_again().await;
        }
        for did in self.agents.dids() {
            // nothing is published that its owner changes or withdraws meanwhile
            let _one_at_a_time = self.adding.lock().await;
            let Some(served) = self.agents.get(&did).filter(|served| served.engine.is_some()) else { continue };
            let published = match self.listing_body(&served.row) {
                Ok(_) if !served.is_on_the_market() => self.serve_now(&served),
                Ok(listing) => self.publish(&served, listing).await,
                Err(problem) => Err(problem),
            };
            if let Err(problem) = published {
                tracing::warn!(agent.id = %served.row.did, error.code = %problem.code, "agent {} is not published: {problem}", served.row.name.as_str());
            }
        }
        Ok(())
    }

    /// Lets sellers know again for which agents this node was buying when it stopped.
    async fn present_buyers(&self) -> Result<(), ApiError> {
        let orders = self.buyer.list(None, MAX_ORDERS).map_err(|error| ApiError::from_coded(&error))?;
        for buyer in orders.iter().filter(|order| !order.is_final).map(|order| order.buyer) {
            let Some(keys) = self.keys.get(&buyer) else { continue };
            self.network.present(keys.agent).await.map_err(|error| ApiError::from_coded(&error))?;
        }
        Ok(())
    }

    /// Buries what should be, and signs anew what has lived half its time, and cards whose payment binding ends soon.
    pub(super) async fn renew_all(&self) {
        let told = |did: &Did, problem: &ApiError| {
            tracing::warn!(agent.id = %did, error.code = %problem.code, "records of {did} are not renewed: {problem}");
        };
        let own = self.own_did();
        if let Err(problem) = self.publish_own_card().await {
            told(&own, &problem);
        }
        {
            let _one_at_a_time = self.adding.lock().await;
            self.bury_again().await;
        }
        for did in std::iter::once(own).chain(self.agents.dids()) {
            // nothing is renewed that its owner changes or withdraws meanwhile
            let _one_at_a_time = self.adding.lock().await;
            if did != own {
                let Some(served) = self.agents.get(&did).filter(|served| served.row.status != AgentStatus::Draft)
                else {
                    continue;
                };
                if served.engine.is_some()
                    && let Err(problem) = self.publish_agents_card(&served.row).await
                {
                    told(&did, &problem);
                }
                if let Err(problem) = self.keep_listed(&served).await {
                    told(&did, &problem);
                }
            }
            let Some(keys) = self.keys.get(&did) else { continue };
            match self.catalog.refresh(&keys.agent).await {
                Ok(0) => {}
                // a pointer names its card
                Ok(_) => self.pointers_due.add(did),
                Err(error) => told(&did, &ApiError::from_coded(&error)),
            }
        }
    }

    /// Pays again for a listing that is out; without the fee it stays out, among those that nobody paid for. One that should be
    /// out and is not, because it could not be published when the node started, is published.
    async fn keep_listed(&self, served: &Served) -> Result<(), ApiError> {
        if !served.is_on_the_market() {
            return Ok(());
        }
        let row = &served.row;
        let held = self.catalog.listing_named(&row.did, &row.name).map_err(|error| ApiError::from_coded(&error))?;
        match held {
            Some(_) => self.pay_listing_fee(row).await,
            None if served.engine.is_some() => {
                self.publish_listing(row, self.listing_body(row)?).await?;
                self.flush().await
            }
            None => Ok(()),
        }
    }

    /// The DID of the node's own agent: the one that buys.
    pub(super) fn own_did(&self) -> Did {
        self.keys.add(0).agent.did()
    }

    pub(super) async fn keep(&self, index: u64, row: &AgentRow) -> Result<(), ApiError> {
        let mut batch = Batch::new();
        let mut stored = row.clone();
        for schema in [&mut stored.input_schema, &mut stored.output_schema] {
            *schema = self.shortened(schema.as_ref())?;
        }
        batch.put::<AgentTable>(&index, &stored).map_err(|error| ApiError::from_coded(&error))?;
        self.money.commit(batch).await.map_err(|error| ApiError::from_coded(&error))
    }

    /// A schema as rows and listings have it: a long one is a document on disk then, which they name.
    fn shortened<const N: usize>(&self, schema: Option<&SchemaText>) -> Result<Option<Text<N>>, ApiError> {
        let Some(schema) = schema else { return Ok(None) };
        let short = self.documents.shorten(schema).map_err(|error| ApiError::from_coded(&error))?;
        let short = short.and_then(|short| Text::try_from(short).ok());
        short.map(Some).ok_or_else(|| too_large("a schema"))
    }

    /// The card by which others learn where the node's own agent pays from.
    async fn publish_own_card(&self) -> Result<(), ApiError> {
        let did = self.own_did();
        let keys = self.keys.get(&did).ok_or_else(|| not_ours(&did))?;
        let draft = AgentDraft::new("buyer").describe("Buys for its owner; it serves nothing.");
        let row = agents::row(did, &draft, Runner::Embedded)?;
        let card = self.card_body(&row, text(&self.config.name))?;
        self.publish_card(&keys, card).await
    }

    /// Publishes a card unless one that says the same is on the market and binds for a while yet.
    async fn publish_card(&self, keys: &AgentKeys, mut card: CardBody) -> Result<(), ApiError> {
        let held = self.catalog.card(&keys.agent.did()).map_err(|error| ApiError::from_coded(&error))?;
        if let Some(held) = held
            && let Some(binding) = &held.body().binding
            && binding.expires > self.clock.now().plus(BINDING_MARGIN)
        {
            card.binding.clone_from(&held.body().binding);
            if *held.body() == card {
                self.pointers_due.add(keys.agent.did());
                return Ok(());
            }
        }
        self.catalog.publish_card(&keys.agent, card).await.map_err(|error| ApiError::from_coded(&error))?;
        self.pointers_due.add(keys.agent.did());
        Ok(())
    }

    fn serve_now(&self, served: &Served) -> Result<(), ApiError> {
        let did = served.row.did;
        if let Some(engine) = &served.engine {
            self.server.serve(did, self.cards(&served.row)?, engine.executor());
        }
        Ok(())
    }

    /// Serves a known agent, and makes its card and its listing current.
    async fn publish(&self, served: &Served, listing: ListingBody) -> Result<(), ApiError> {
        self.serve_now(served)?;
        self.publish_agents_card(&served.row).await?;
        self.publish_listing(&served.row, listing).await?;
        self.flush().await
    }

    async fn publish_agents_card(&self, row: &AgentRow) -> Result<(), ApiError> {
        let keys = self.keys.get(&row.did).ok_or_else(|| not_ours(&row.did))?;
        let card = self.card_body(row, text(&row.name))?;
        self.publish_card(&keys, card).await
    }

    /// Publishes a listing unless it is on the market as it is: then it keeps its record id, for buyers may be looking at it.
    async fn publish_listing(&self, row: &AgentRow, listing: ListingBody) -> Result<(), ApiError> {
        let keys = self.keys.get(&row.did).ok_or_else(|| not_ours(&row.did))?;
        let held = self.catalog.listing_named(&row.did, &row.name).map_err(|error| ApiError::from_coded(&error))?;
        if held.is_none_or(|held| *held.body() != listing) {
            // nothing is paid for a listing that would be refused
            let accepted = self.catalog.check_listing(&row.did, &row.name, &listing);
            accepted.map_err(|error| ApiError::from_coded(&error))?;
            self.pay_listing_fee(row).await?;
            let published = self.catalog.publish_listing(&keys.agent, &row.name, listing).await;
            published.map_err(|error| ApiError::from_coded(&error))?;
        }
        Ok(())
    }

    /// Makes what was published findable here at once.
    pub(super) async fn flush(&self) -> Result<(), ApiError> {
        self.catalog.flush().await.map_err(|error| ApiError::from_coded(&error))
    }

    /// The agent's A2A cards, each valid and signed by the agent.
    pub(super) fn cards(&self, row: &AgentRow) -> Result<Cards, ApiError> {
        let keys = self.keys.get(&row.did).ok_or_else(|| not_ours(&row.did))?;
        let signed = |card: Value| {
            card::check(&card).map_err(|error| ApiError::from_coded(&error))?;
            card::sign(card, &keys.agent).map_err(|error| ApiError::from_coded(&error))
        };
        let Cards { public, extended } = agents::a2a_cards(row, self.network.peer_id());
        Ok(Cards { public: signed(public)?, extended: extended.map(signed).transpose()? })
    }

    fn card_body(&self, row: &AgentRow, name: Text<64>) -> Result<CardBody, ApiError> {
        let card = self.cards(row)?.public;
        // the host is named beside its addresses, and two peer ids in one would not fit
        let own = format!("/p2p-circuit/p2p/{}", self.network.peer_id());
        let addresses = self.addresses();
        let short = addresses.iter().map(|address| match address.strip_suffix(&own) {
            Some(relay) => format!("{relay}/p2p-circuit"),
            None => address.clone(),
        });
        let addrs: Vec<Text<128>> = short.filter_map(|address| Text::try_from(address.as_str()).ok()).take(8).collect();
        let host = Host { peer: self.network.peer_id(), addrs: addrs.try_into().unwrap_or_default() };
        Ok(CardBody {
            name,
            agent_card: Text::try_from(card.to_string()).map_err(|_| too_large("the agent card"))?,
            binding: self.keys.bind(&row.did),
            hosts: vec![host].try_into().map_err(|_| too_large("the list of hosts"))?,
        })
    }

    pub(super) fn listing_body(&self, row: &AgentRow) -> Result<ListingBody, ApiError> {
        use haggle_base::Body;
        if row.pricing == PricingModel::Outcome && row.output_schema.is_none() {
            return Err(ApiError::bad_request(
                "outcome_without_schema",
                "a price for an outcome needs a schema that tells an outcome from anything else",
                "give an output_schema, or sell by the call",
            ));
        }
        let priced = !row.price.is_zero();
        if row.is_by_hand() && !priced {
            return Err(ApiError::bad_request(
                "by_hand_for_nothing",
                "what is answered by hand is sold by escrow order alone, and an order of nothing cannot be placed",
                "give it a price above 0",
            ));
        }
        let review_secs = u32::try_from(self.config.trade.review.as_secs()).unwrap_or(u32::MAX);
        let schemes: Vec<Text<32>> = if priced { vec![text(Scheme::HaggleEscrow.as_str())] } else { Vec::new() };
        let body = ListingBody {
            title: text(&row.name),
            description: text(&row.description),
            skill: text(&row.name),
            category: row.category.clone(),
            tags: row.tags.clone(),
            input_schema: self.shortened(row.input_schema.as_ref())?,
            output_schema: self.shortened(row.output_schema.as_ref())?,
            pricing: row.pricing.clone(),
            price: row.price,
            sla: Sla { deliver_within_secs: row.deliver_within_secs },
            schemes: schemes.try_into().map_err(|_| too_large("the list of schemes"))?,
            escrow: priced.then_some(EscrowTerms { review_secs }),
            regions: row.regions.clone(),
        };
        body.check().map_err(|error| ApiError::from_coded(&error))?;
        Ok(body)
    }

    /// What the API says of one of our agents.
    pub(super) fn summary(&self, served: &Served) -> Result<AgentSummary, ApiError> {
        let row = &served.row;
        let listing = self.catalog.listing_named(&row.did, &row.name).map_err(|error| ApiError::from_coded(&error))?;
        let address = self.settlement.payment_address(&row.did).ok_or_else(|| not_ours(&row.did))?;
        let (health, probed) = self.own_health(served);
        Ok(AgentSummary {
            did: row.did.to_string(),
            name: row.name.as_str().to_owned(),
            executor: agents::shown(&row.runner),
            status: row.status.as_str().to_owned(),
            listing: listing.map(|listing| listing.id().to_string()),
            price: row.price,
            payment_address: address.to_string(),
            health: health.to_owned(),
            probed: probed.map(Timestamp::to_rfc3339),
        })
    }
}

pub(super) fn not_ours(did: &Did) -> ApiError {
    ApiError::not_found("agent_not_found", format!("this node serves no agent {did}"), "`haggle agent list` names ours")
}

fn too_large(what: &str) -> ApiError {
    ApiError::bad_request(
        "invalid_agent",
        format!("{what} does not fit its record"),
        "shorten name, description, tags and schemas",
    )
}
