//! Alice's agent, in all its manners.

use std::sync::Arc;

use async_trait::async_trait;
use haggle_base::{Did, OrderId};
use haggle_trade::{Work, WorkError};

use crate::world::Witness;

/// How Alice's agent behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Honest,
    Liar,
    Sloppy,
    /// Posts whatever it has as delivered.
    Forger,
    Broken,
    /// Never ready.
    Busy,
    /// Begins and does not end.
    Endless,
    /// Its owner gives each output.
    ByHand,
}

#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) witness: Arc<Witness>,
    pub(crate) manner: Manner,
}

#[async_trait]
impl Work for Agent {
    async fn run(&self, _agent: &Did, order: &OrderId, input: &[u8]) -> Result<Vec<u8>, WorkError> {
        *self.witness.runs.lock().entry(*order).or_default() += 1;
        match self.manner {
            Manner::Honest => {
                let value: serde_json::Value = serde_json::from_slice(input).unwrap();
                let words = value["text"].as_str().unwrap().split_whitespace().count();
                Ok(format!("{{\"words\":{words}}}").into_bytes())
            }
            Manner::Liar | Manner::Sloppy | Manner::Forger => Ok(b"{\"words\":\"plenty\"}".to_vec()),
            Manner::Broken => Err(WorkError::Failed("it always fails".to_owned())),
            Manner::Busy => Err(WorkError::NotNow("it is never ready".to_owned())),
            Manner::Endless => std::future::pending().await,
            Manner::ByHand => panic!("nobody runs it"),
        }
    }

    fn is_by_hand(&self, _agent: &Did) -> bool {
        self.manner == Manner::ByHand
    }

    fn posts_delivery(&self, _agent: &Did) -> bool {
        self.manner != Manner::Liar
    }

    fn checks_itself(&self, _agent: &Did) -> bool {
        !matches!(self.manner, Manner::Liar | Manner::Forger)
    }
}
