//! What is sold here, in the form that x402's discovery services list.

use super::{Counter, Ordered};
use haggle_gateway::view::DiscoveryQuery;
use haggle_gateway::{ApiError, PaidCall};
use haggle_x402::extensions::bazaar::{DiscoveredResource, DiscoveryResponse, Page};
use haggle_x402::{PaymentRequirements, X402Version};
use serde_json::Map;
use std::net::{IpAddr, Ipv4Addr};

/// Rows when nobody says.
const DEFAULT_ROWS: u64 = 100;
/// Most rows.
const MAX_ROWS: u64 = 1000;

impl Counter {
    /// The agents of this node that are sold for a price; see [`haggle_gateway::NodeApi::discover`].
    pub(crate) fn discover(&self, query: &DiscoveryQuery, now: &str) -> Result<DiscoveryResponse, ApiError> {
        let mut rows = Vec::new();
        if query.kind.as_deref().is_none_or(|kind| kind == "http") {
            for served in self.agents.all() {
                let name = served.row.name.as_str();
                let is_shown = served.is_on_the_market() && self.catalog.check_standing(&served.row.did).is_ok();
                if !is_shown || served.row.price.is_zero() || !served.row.is_sold_by_the_call() {
                    continue;
                }
                let call = PaidCall {
                    listing: name.to_owned(),
                    method: "POST".to_owned(),
                    query: None,
                    body: Default::default(),
                    payment: None,
                    from: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                };
                rows.extend(self.row(&self.ordered(&call)?, query, now)?);
            }
        }
        let (limit, offset) = (query.limit.unwrap_or(DEFAULT_ROWS).min(MAX_ROWS), query.offset.unwrap_or_default());
        let total = rows.len() as u64;
        let of = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let items = rows.into_iter().skip(of(offset)).take(of(limit)).collect();
        Ok(DiscoveryResponse {
            x402_version: X402Version,
            items,
            pagination: Page { limit, offset, total },
            rest: Map::new(),
        })
    }

    fn row(
        &self,
        ordered: &Ordered,
        query: &DiscoveryQuery,
        now: &str,
    ) -> Result<Option<DiscoveredResource>, ApiError> {
        let offer = self.offer(ordered, None)?;
        let fits = |entry: &PaymentRequirements| {
            query.scheme.as_ref().is_none_or(|scheme| scheme == entry.scheme.as_str())
                && query.network.as_ref().is_none_or(|network| *network == entry.network.to_string())
                && query.pay_to.as_ref().is_none_or(|to| entry.pay_to.eq_ignore_ascii_case(to))
        };
        let accepts: Vec<_> = offer.accepts.into_iter().filter(fits).collect();
        if accepts.is_empty() {
            return Ok(None);
        }
        let mut rest = Map::new();
        rest.extend(offer.rest.get("extensions").map(|extensions| ("extensions".to_owned(), extensions.clone())));
        Ok(Some(DiscoveredResource {
            resource: offer.resource.url,
            kind: "http".into(),
            x402_version: X402Version,
            accepts,
            last_updated: now.into(),
            rest,
        }))
    }
}
