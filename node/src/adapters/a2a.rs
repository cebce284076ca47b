//! What the A2A room asks of the node: streams, the gate, agents on other nodes.

use crate::adapters::notes::NoteTaker;
use crate::agents::Agents;
use crate::lookup::Lookup;
use crate::note;
use async_trait::async_trait;
use haggle_a2a::{A2aError, Kind, ServiceParams, card};
use haggle_a2a_transport::{
    Admission, Answer, BoxStream, Caller, Client, Dial, Gate, PROTOCOL, Reach, Remote, RemoteCall, Tendered, Toll,
    ask_over_http,
};
use haggle_base::{Coded, Did, Hash, PeerId};
use haggle_catalog::Catalog;
use haggle_network::Network;
use haggle_reputation::Reputation;
use haggle_trade::{Desk, TradeMessage, TradeReply};
use haggle_x402::a2a;
use serde_json::Value;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Opens A2A streams over libp2p.
pub(crate) struct StreamDial(pub(crate) Network);

#[async_trait]
impl Dial for StreamDial {
    async fn open(&self, peer: &PeerId) -> Result<BoxStream, A2aError> {
        let stream = self.0.open(peer, PROTOCOL).await.map_err(|error| unreachable_peer(peer, &error))?;
        Ok(Box::new(stream))
    }
}

fn unreachable_peer(peer: &PeerId, error: &dyn Coded) -> A2aError {
    A2aError::new(Kind::Unreachable, format!("{peer} cannot be reached: {error}")).with("code", error.code())
}

/// Stands before every agent of this node: trade messages go to the desk, notes about transfers to the books, priced work
/// goes past the toll.
pub(crate) struct FrontDoor {
    /// Set once the desk is open; it needs the agents, which need this door.
    pub(crate) desk: Arc<OnceLock<Desk>>,
    /// Set once the till is open.
    pub(crate) toll: Arc<OnceLock<Arc<dyn Toll>>>,
    pub(crate) notes: NoteTaker,
    pub(crate) agents: Agents,
}

#[async_trait]
impl Gate for FrontDoor {
    async fn admit(&self, caller: &Caller, agent: &Did, message: &Value) -> Result<Admission, A2aError> {
        if self.agents.is_deleted(agent) {
            // of one that is gone nothing is left but what was paid for
            return Ok(Admission::Toll(Arc::clone(self.toll.get().ok_or_else(starting)?)));
        }
        if note::is_note(message) {
            let reply = self.notes.answer(agent, message).await;
            return Ok(Admission::Handled(reply.to_a2a(&reply_id(message))));
        }
        match TradeMessage::from_a2a(message) {
            Ok(None) if self.agents.is_free(agent) => Ok(Admission::Run),
            Ok(None) => Ok(Admission::Toll(Arc::clone(self.toll.get().ok_or_else(starting)?))),
            Ok(Some(trade)) => {
                let desk = self.desk.get().ok_or_else(starting)?;
                let reply = desk.handle(&caller.dids, agent, trade).await;
                Ok(Admission::Handled(reply.to_a2a(&reply_id(message))))
            }
            Err(error) => Ok(Admission::Handled(TradeReply::reject(&error).to_a2a(&reply_id(message)))),
        }
    }

    fn shows(&self, caller: Option<&Caller>, agent: &Did) -> bool {
        // a draft is its owner's alone, who asks through the gateway with its token
        caller.is_some_and(|caller| caller.peer.is_none()) || !self.agents.is_draft(agent)
    }

    fn lift(&self, agent: &Did, message: &mut Value) -> Option<Tendered> {
        // what pays for a free agent is for the server behind it
        if message.get("metadata").is_none() || self.agents.is_free(agent) {
            return None;
        }
        let payment = a2a::take_payload(message)?;
        Some(Tendered { name: a2a::name_of(&payment), payment })
    }
}

fn starting() -> A2aError {
    A2aError::new(Kind::Busy, "the node is still starting")
}

/// The same message gets the same reply, so its id follows from the message's.
fn reply_id(message: &Value) -> String {
    let asked = message.get("messageId").and_then(Value::as_str).unwrap_or_default();
    format!("re-{}", &Hash::of(asked.as_bytes()).to_string()[..24])
}

/// Agents on other nodes, found through their cards.
#[derive(Clone)]
pub(crate) struct Directory {
    pub(crate) catalog: Catalog,
    pub(crate) network: Network,
    pub(crate) client: Client,
    pub(crate) reputation: Reputation,
    pub(crate) clock: Arc<dyn haggle_base::Clock>,
    /// Where an agent is looked for whose card is not held, or out of date.
    pub(crate) lookup: Arc<Lookup>,
    /// What URLs in strangers' cards may point at.
    pub(crate) urls: Reach,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").finish_non_exhaustive()
    }
}

impl Directory {
    /// Sends a JSON-RPC request to the first host of the agent that can be reached.
    pub(crate) async fn call(
        &self,
        agent: &Did,
        request: Value,
        params: ServiceParams,
        deadline: Duration,
    ) -> Result<Value, A2aError> {
        let host = self.reach(agent).await?;
        self.client.call_with(&host, agent, request, params, deadline).await
    }

    /// Passes a call on over libp2p; over HTTP, where the agent's card names a URL, if none of its hosts can be reached.
    pub(crate) async fn perform(&self, agent: &Did, call: RemoteCall) -> Result<Answer, A2aError> {
        let alone = match self.reach(agent).await {
            Ok(host) => return self.client.perform(&host, agent, call.request, call.params, call.deadline).await,
            Err(alone) => alone,
        };
        let card = self.card(agent).await.filter(|card| card::interface(card, card::JSONRPC).is_some());
        match card {
            Some(card) if alone.kind() == Kind::Unreachable => ask_over_http(&card, call, self.urls).await,
            _ => Err(alone),
        }
    }

    /// The first host of the agent that can be reached, connected. Where the card that is held is of no use, or there is none,
    /// index nodes and the DHT are asked for one.
    pub(crate) async fn reach(&self, agent: &Did) -> Result<PeerId, A2aError> {
        match self.reach_by_card(agent).await {
            Err(_) if self.lookup.meet(agent).await => self.reach_by_card(agent).await,
            reached => reached,
        }
    }

    async fn reach_by_card(&self, agent: &Did) -> Result<PeerId, A2aError> {
        let card = self.catalog.card(agent).map_err(|error| A2aError::new(Kind::Internal, error.to_string()))?;
        let card = card.ok_or_else(|| A2aError::new(Kind::AgentNotFound, "no card of this agent is known here"))?;
        let mut last = A2aError::new(Kind::Unreachable, "the agent's card names no host");
        for host in card.body().hosts.iter() {
            let reached = self.network.connect_hinted(&host.peer, &host.addrs).await;
            self.reputation.note_dial(agent, reached.is_ok(), self.clock.now());
            if let Err(error) = reached {
                last = unreachable_peer(&host.peer, &error);
                continue;
            }
            return Ok(host.peer);
        }
        Err(last)
    }
}

#[async_trait]
impl Remote for Directory {
    async fn card(&self, agent: &Did) -> Option<Value> {
        let held = || self.catalog.card(agent).ok().flatten();
        let card = match held() {
            Some(card) => card,
            None if self.lookup.meet(agent).await => held()?,
            None => return None,
        };
        serde_json::from_str(&card.body().agent_card).ok()
    }

    async fn call(&self, agent: &Did, call: RemoteCall) -> Result<Answer, A2aError> {
        self.perform(agent, call).await
    }
}
