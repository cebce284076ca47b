//! `order_received`: our sellers are told of each order once its money is in the escrow.

use super::{Inner, coded, not_kept};
use haggle_a2a::envelope::{Message, MessageType};
use haggle_base::OrderId;
use haggle_gateway::ApiError;
use haggle_store::StoreError;
use haggle_trade::OrderView;
use haggle_trade::ports::TxRef;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

/// Keeps a notification for every order that this node's own chain reads show as funded. What was missed while the node
/// was away, or while events came too fast, is found among the open orders.
pub(in crate::node) async fn tell_sellers(inner: Arc<Inner>) {
    let mut steps = inner.desk.subscribe();
    inner.tell_of_open().await;
    loop {
        match steps.recv().await {
            Ok(event) => match event.order {
                Some(order) if event.step == "funded" => inner.tell_of(&order).await,
                _ => {}
            },
            Err(RecvError::Lagged(_)) => inner.tell_of_open().await,
            Err(RecvError::Closed) => return,
        }
    }
}

impl Inner {
    async fn tell_of_open(&self) {
        for order in self.desk.open_orders() {
            self.tell_of(&order).await;
        }
    }

    async fn tell_of(&self, order: &OrderId) {
        let view = match self.desk.show(order) {
            Ok(view) => view,
            Err(error) => return tracing::warn!(order.id = %order, "order {order} cannot be told of: {error}"),
        };
        if !view.lines.iter().any(|line| line.step == *"funded") {
            return;
        }
        if let Err(problem) = self.order_received(order, &view).await {
            tracing::warn!(order.id = %order, error.code = %problem.code, "order {order} cannot be told of: {problem}");
        }
    }

    /// Tells the selling agent in the name of the node's own, unless that was done before.
    async fn order_received(&self, order: &OrderId, view: &OrderView) -> Result<(), ApiError> {
        let own = self.own_did();
        let name = super::derived("order-received", &haggle_base::Hash::of(order.to_string().as_bytes()));
        if self.mailbox.find(&own, &name).map_err(coded)?.is_some() {
            return Ok(());
        }
        let keys = self.keys.get(&own).ok_or_else(|| ApiError::internal(&"the node's own key is not held"))?;
        let funded = view.fund_tx.as_ref().map(|TxRef { hash, .. }| hash.to_string());
        let payload = json!({
            "type": "order_received", "order_id": order.to_string(), "buyer": view.buyer.to_string(),
            "amount": view.price.unwrap_or_default().to_string(), "service": view.title.as_str(), "fund_tx": funded,
        });
        let to = view.provider.to_string();
        let now = self.clock.now();
        let message = Message::new(&name, own, Some(&to), MessageType::Notification, now, &payload.to_string());
        let message = message.and_then(|message| message.sign(&keys.agent)).map_err(coded)?;
        match self.mailbox.keep(&[&message], |_, _| Ok(())).await {
            Ok(_) | Err(StoreError::Precondition { .. }) => Ok(()),
            Err(error) => Err(not_kept(&error)),
        }
    }
}
