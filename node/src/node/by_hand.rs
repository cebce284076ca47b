//! Orders that the owner of this node's agent answers by hand: what was asked, and giving the output.

use super::Inner;
use super::api::coded;
use haggle_base::OrderId;
use haggle_gateway::ApiError;
use haggle_gateway::view::OrderView;
use haggle_trade::order::OrderState;
use haggle_trade::{Refusal, TradeError};
use serde_json::Value;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

/// How long an output waits for the money of its order, which a buyer's signed terms announce.
const UNTIL_FUNDED: Duration = Duration::from_secs(10);

impl Inner {
    /// Gives the output of an order; see [`haggle_gateway::NodeApi::give_output`].
    pub(super) async fn give(&self, id: &str, output: &Value) -> Result<OrderView, ApiError> {
        let not_provider = || {
            ApiError::bad_request(
                "not_provider",
                "only the provider gives an order its output",
                "wait for it with `haggle order wait`",
            )
        };
        let order = self.trade_view(id)?.id.ok_or_else(not_provider)?;
        let output = serde_json::to_vec(output).map_err(|cause| ApiError::internal(&cause))?;
        self.desk.give(&order, output).await.map_err(|error| match error {
            TradeError::Refused(Refusal::OrderNotFound) => not_provider(),
            other => coded(other),
        })?;
        self.sale(&order)
    }

    /// A sale of ours as its owner sees it.
    fn sale(&self, order: &OrderId) -> Result<OrderView, ApiError> {
        self.order_with_input(&self.desk.show(order).map_err(coded)?)
    }

    /// An order, with what was asked if our owner has to answer it.
    pub(super) fn order_with_input(&self, view: &haggle_trade::OrderView) -> Result<OrderView, ApiError> {
        let mut shown = self.order_view(view);
        if let (None, Some(order)) = (view.hire, view.id)
            && self.agents.get(&view.provider).is_some_and(|served| served.row.is_by_hand())
        {
            let input = self.desk.input(&order).map_err(coded)?;
            shown.input = input.and_then(|input| serde_json::from_slice(&input).ok());
        }
        Ok(shown)
    }

    /// Whether an order waits for its output here, or does so within a moment because its money is under way.
    pub(super) async fn waits_for_output(&self, id: &str) -> bool {
        let Ok(order) = id.parse::<OrderId>() else { return false };
        let mut steps = self.desk.subscribe();
        let funded = async {
            loop {
                let Ok(sale) = self.desk.show(&order) else { return false };
                let is_by_hand = self.agents.get(&sale.provider).is_some_and(|served| served.row.is_by_hand());
                let is_unpaid = matches!(sale.state, OrderState::Proposed | OrderState::Agreed);
                if !is_by_hand || !is_unpaid {
                    return sale.awaits_output;
                }
                if let Err(RecvError::Closed) = steps.recv().await {
                    return false;
                }
            }
        };
        tokio::time::timeout(UNTIL_FUNDED, funded).await.unwrap_or(false)
    }
}
