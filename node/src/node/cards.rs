//! The cards behind the listings that an interest node holds.
//!
//! A listing lies in the shard of its category, and its author's card in a shard of its own. So a node that holds the one may
//! lack the other. Searches at index nodes bring both; for what came by gossip and sessions the cards are looked for here, one
//! author after the other, in the same way as for a caller who names an agent.

use super::Inner;
use haggle_base::Did;
use haggle_catalog::{AnyRecord, CatalogEvent};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

/// Pause between two authors: an index node answers 120 searches of a peer in a minute, and callers have theirs.
const PAUSE: Duration = Duration::from_secs(1);
/// An author of whom no card was found is looked for again after so long.
const AGAIN: Duration = Duration::from_secs(600);
/// That doubles each time, up to this.
const LATEST: Duration = Duration::from_secs(24 * 3600);
/// Authors taken in one round.
const ROUND: usize = 64;
/// Authors of whom it is remembered that nothing was found.
const MOST_TRIED: usize = 4096;

/// When an author was looked for last, and for how long it is left alone since.
struct Tried {
    at: Instant,
    pause: Duration,
}

/// Looks for the cards that are lacking, as long as the node runs; at once ended where the whole market is held.
pub(super) async fn fetch_cards(inner: Arc<Inner>) {
    if inner.catalog.held().is_empty() || inner.config.market.role.holds_all() {
        return;
    }
    let mut events = inner.catalog.subscribe();
    let mut tried: HashMap<Did, Tried> = HashMap::new();
    loop {
        let due = |author: &Did| tried.get(author).is_none_or(|tried| tried.at.elapsed() >= tried.pause);
        let mut lacking = inner.catalog.uncarded(MOST_TRIED, due);
        // those who were never tried first, then the one tried longest ago: new authors hold up nobody for good
        lacking.sort_by_key(|author| tried.get(author).map(|tried| tried.at));
        lacking.truncate(ROUND);
        for author in &lacking {
            let is_found = inner.lookup.meet(author).await;
            tracing::debug!(agent.id = %author, "looked for the card of {author}, who sells in a shard held here: {is_found}");
            let pause = tried.get(author).map_or(AGAIN, |tried| (tried.pause * 2).min(LATEST));
            if tried.len() >= MOST_TRIED
                && let Some(oldest) = tried.iter().min_by_key(|(_, tried)| tried.at).map(|(author, _)| *author)
            {
                tried.remove(&oldest);
            }
            tried.insert(*author, Tried { at: Instant::now(), pause });
            tokio::time::sleep(PAUSE).await;
        }
        if lacking.is_empty() {
            let listed = async {
                loop {
                    match events.recv().await {
                        Ok(CatalogEvent::Stored { record: AnyRecord::Listing(_), .. }) | Err(RecvError::Lagged(_)) => {
                            return;
                        }
                        Ok(_) => {}
                        // the catalog ends with the node
                        Err(RecvError::Closed) => std::future::pending().await,
                    }
                }
            };
            // whoever was tried in vain is due again by then
            let _woken = tokio::time::timeout(AGAIN, listed).await;
            // its card is often right behind it
            tokio::time::sleep(PAUSE).await;
        }
    }
}
