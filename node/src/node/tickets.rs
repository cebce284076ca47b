//! Tickets: made for this node, and taken wherever an address is.

use super::Inner;
use super::api::coded;
use crate::error::NodeError;
use haggle_base::{Coded, Did, NetworkId};
use haggle_gateway::ApiError;
use haggle_gateway::view::TicketView;
use haggle_network::Ticket;

/// Addresses in which every ticket is written out.
pub(super) fn written_out(given: &[String], network: &NetworkId) -> Result<Vec<String>, NodeError> {
    let mut addresses = Vec::with_capacity(given.len());
    for given in given {
        if !Ticket::is_meant(given) {
            addresses.push(given.clone());
            continue;
        }
        let ticket = Ticket::read(given, network).map_err(|error| NodeError::room(&error))?;
        if ticket.addrs().is_empty() {
            tracing::warn!(peer.id = %ticket.peer(), "the ticket to {} names no address to begin with", ticket.peer());
        }
        addresses.extend(ticket.addrs());
    }
    Ok(addresses)
}

impl Inner {
    /// A ticket to this node, and to an agent of it.
    pub(super) fn make_ticket(&self, agent: Option<&str>) -> Result<TicketView, ApiError> {
        let agent: Option<Did> = match agent {
            None => None,
            Some(name) => match self.agents.named(name) {
                Some(served) => Some(served.row.did),
                None => Some(self.own_agent(Some(name))?),
            },
        };
        let (network, peer) = (self.file.id.clone(), self.network.peer_id());
        let ticket = Ticket::new(network, peer, &self.addresses(), agent, self.file.is_devnet());
        Ok(TicketView {
            ticket: ticket.to_string(),
            network: ticket.network().to_string(),
            peer: ticket.peer().to_string(),
            addresses: ticket.addrs(),
            agent: agent.map(|agent| agent.to_string()),
        })
    }

    /// Reads a ticket of this network that leads elsewhere.
    pub(super) fn read_ticket(&self, text: &str) -> Result<Ticket, ApiError> {
        let ticket = Ticket::read(text, &self.file.id)
            .map_err(|error| ApiError::bad_request(error.code(), error.to_string(), error.hint()))?;
        if ticket.peer() == self.network.peer_id() {
            let hint = "paste it where another node is: `haggle peer connect TICKET` there";
            return Err(ApiError::bad_request("own_ticket", "this ticket leads to this node itself", hint));
        }
        Ok(ticket)
    }

    /// Connects to the peer of a ticket, and asks it for the agent that the ticket is for.
    pub(super) async fn connect_by_ticket(&self, text: &str) -> Result<(), ApiError> {
        let ticket = self.read_ticket(text)?;
        self.network.connect(&ticket.peer(), &ticket.addrs()).await.map_err(coded)?;
        if let Some(agent) = ticket.agent() {
            // the peer is connected, and what it says of its agent may be held already
            let _is_news = self.lookup.ask_peer(&agent, &ticket.peer(), &[]).await;
        }
        Ok(())
    }
}
