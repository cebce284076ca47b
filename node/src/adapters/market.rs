//! The market as trade reads it: the shelf's listings, with the documents that stand behind them.

use crate::lookup::Lookup;
use async_trait::async_trait;
use haggle_base::{Address, Coded, Did, Timestamp};
use haggle_catalog::Catalog;
use haggle_trade::Offer;
use haggle_trade::ports::Market;
use std::sync::Arc;

/// The shelf, and where to find what it names.
#[derive(Debug)]
pub(crate) struct ShelfMarket {
    pub(crate) catalog: Catalog,
    pub(crate) lookup: Arc<Lookup>,
}

#[async_trait]
impl Market for ShelfMarket {
    async fn offer(&self, provider: &Did, slot: &str) -> Option<Offer> {
        let mut offer = self.catalog.offer(provider, slot).await?;
        for schema in [&mut offer.input_schema, &mut offer.output_schema] {
            match self.lookup.schema(schema.as_deref(), provider).await {
                Ok(document) => *schema = document,
                Err(error) => {
                    tracing::warn!(agent.id = %provider, error.code = error.code(), "an offer cannot be read: {error}");
                    return None;
                }
            }
        }
        Some(offer)
    }

    async fn bound_address(&self, agent: &Did, now: Timestamp) -> Option<Address> {
        self.catalog.bound_address(agent, now).await
    }
}
