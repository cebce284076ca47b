//! Agents that are served no longer: their tasks are read by those they belong to, and a payment that was taken is answered.
//! Everything else is answered as if they had never been here.

use std::sync::Arc;

use async_trait::async_trait;
use haggle_a2a::{A2aError, Kind, types::methods};
use haggle_base::Did;
use serde_json::Value;

use super::{Context, Served, Server, not_here};
use crate::{Answer, Call, Executor, Outcome, Updates};

/// Nobody is there to work.
struct Gone;

#[async_trait]
impl Executor for Gone {
    async fn execute(&self, call: Call, _: Updates) -> Result<Outcome, A2aError> {
        Err(not_here(&call.agent))
    }
}

/// What stands in the place of an agent that is gone: no card, and nobody at work.
pub(super) fn served() -> Served {
    Served { card: Arc::new(Value::Null), extended: None, executor: Arc::new(Gone) }
}

impl Server {
    pub(super) async fn call_retired(
        &self,
        context: Context<'_>,
        method: &str,
        body: Value,
    ) -> Result<Answer, A2aError> {
        let agent = context.owner.agent;
        let answer = match method {
            methods::GET_TASK => self.get_task(&context, &body).await.map(Answer::One),
            // nothing but a payment is listened to
            methods::SEND_MESSAGE if self.pays(&agent, &body) => {
                self.send_message(context, body).await.map(Answer::One)
            }
            methods::SEND_STREAMING_MESSAGE if self.pays(&agent, &body) => {
                self.send_streaming(context, body).await.map(Answer::Many)
            }
            _ => return Err(not_here(&agent)),
        };
        answer.map_err(|error| if error.kind() == Kind::TaskNotFound { not_here(&agent) } else { error })
    }

    /// Whether a payment comes with the message.
    fn pays(&self, agent: &Did, body: &Value) -> bool {
        let mut message = body.get("message").cloned().unwrap_or_default();
        self.shared.gate.lift(agent, &mut message).is_some()
    }
}
