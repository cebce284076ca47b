//! What trade asks of the node: the way to a provider, the market, keys, work.

use crate::adapters::a2a::Directory;
use crate::agents::Agents;
use crate::keyring::Keyring;
use crate::records::Runner;
use async_trait::async_trait;
use haggle_a2a::{A2aError, ServiceParams};
use haggle_base::{Did, Hash, OrderId, PaymentBinding, Text, cose};
use haggle_trade::ports::{Counterparty, Signer, Work, WorkError};
use haggle_trade::{PortError, TradeMessage, TradeReply};
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Sends trade messages as A2A messages.
#[derive(Debug)]
pub(crate) struct A2aCounterparty(pub(crate) Directory);

#[async_trait]
impl Counterparty for A2aCounterparty {
    async fn send(&self, provider: &Did, message: TradeMessage, deadline: Duration) -> Result<TradeReply, PortError> {
        let id = message_id(&message);
        let request = json!({
            "jsonrpc": "2.0",
            "id": id,
            "method": "SendMessage",
            "params": {"message": message.to_a2a(&id)},
        });
        let params = ServiceParams::for_request(&request);
        let answer = self.0.call(provider, request, params, deadline).await.map_err(|error| lost(&error))?;
        if let Some(error) = answer.get("error").and_then(A2aError::from_json) {
            return Err(lost(&error));
        }
        let reply = answer.pointer("/result/message").unwrap_or(&Value::Null);
        TradeReply::from_a2a(reply).map_err(|error| PortError::new(&error, false))?.ok_or_else(|| PortError {
            code: "invalid_agent_response",
            hint: "choose another seller: this one does not speak the negotiation extension",
            retryable: false,
            detail: "the seller's answer is no reply of the negotiation extension".to_owned(),
        })
    }
}

/// The same message has the same id, so that a repetition can be recognised in logs.
fn message_id(message: &TradeMessage) -> String {
    let bytes = serde_json::to_vec(message).unwrap_or_default();
    format!("trade-{}", &Hash::of(&bytes).to_string()[..24])
}

fn lost(error: &A2aError) -> PortError {
    PortError::new(error, error.is_retryable() || error.is_outcome_unknown())
}

/// Agent keys, for documents.
pub(crate) struct DocumentKeys {
    pub(crate) keys: Arc<Keyring>,
}

impl fmt::Debug for DocumentKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentKeys").finish_non_exhaustive()
    }
}

impl Signer for DocumentKeys {
    fn sign(&self, agent: &Did, kind: &str, payload: &[u8]) -> Result<Vec<u8>, PortError> {
        let keys = self.keys.get(agent).ok_or_else(|| PortError {
            code: "wallet_missing",
            hint: "restore the agent's keys in this home",
            retryable: false,
            detail: format!("the keys of {agent} are not here"),
        })?;
        Ok(cose::sign(kind, payload, &keys.agent))
    }

    fn binding(&self, agent: &Did) -> Option<PaymentBinding> {
        self.keys.bind(agent)
    }
}

/// The agents of this node, doing the work of funded orders.
#[derive(Debug)]
pub(crate) struct OrderWork(pub(crate) Agents);

#[async_trait]
impl Work for OrderWork {
    async fn run(&self, agent: &Did, order: &OrderId, input: &[u8]) -> Result<Vec<u8>, WorkError> {
        let input: Value = serde_json::from_slice(input).map_err(|cause| WorkError::Failed(cause.to_string()))?;
        let output = self.0.run(agent, input, &order.to_string()).await?;
        serde_json::to_vec(&output).map_err(|cause| WorkError::Failed(cause.to_string()))
    }

    fn posts_delivery(&self, agent: &Did) -> bool {
        // nobody can collect from an agent that was deleted, so its buyers are refunded
        self.0.get(agent).is_some_and(|served| served.row.posts_delivery)
    }

    fn is_by_hand(&self, agent: &Did) -> bool {
        self.0.get(agent).is_some_and(|served| served.row.is_by_hand())
    }

    fn checks_itself(&self, agent: &Did) -> bool {
        self.0.get(agent).is_none_or(|served| match &served.row.runner {
            Runner::Builtin(name) => crate::builtin::checks_itself(name.as_str()),
            Runner::Http(_) | Runner::Command(_) | Runner::Embedded | Runner::ByHand => served.row.posts_delivery,
        })
    }
}

/// A word of bounded length; longer ones are cut at a character.
pub(crate) fn text<const N: usize>(long: &str) -> Text<N> {
    let end = (0..=long.len().min(N)).rev().find(|at| long.is_char_boundary(*at)).unwrap_or(0);
    let clean: String = long[..end].chars().filter(|letter| !letter.is_control()).collect();
    Text::try_from(clean).unwrap_or_default()
}
