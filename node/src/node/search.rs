//! A search of this node's copy of the market, as the API asks for it and answers it.

use super::api::coded;
use super::{Inner, look};
use haggle_catalog::{Facet, Facets, MAX_LIMIT, PriceBand, Query, Sort, Words};
use haggle_gateway::ApiError;
use haggle_gateway::view::{CountView, FacetView, FacetsView, ListingPage, ListingQuery, PriceBandView};

/// Items of a page when nobody says.
const DEFAULT_ITEMS: usize = 20;

impl Inner {
    /// One page of what matches.
    pub(super) async fn search(&self, asked: ListingQuery) -> Result<ListingPage, ApiError> {
        let live = asked.live == Some(true);
        let answer = self.catalog.search(&query_of(asked)?).map_err(coded)?;
        let first = answer.items.iter().map(|hit| hit.listing.author()).take(look::FIRST_LOOKED_AT).collect();
        self.look_for_all(first, live).await;
        Ok(ListingPage {
            items: answer.items.iter().map(|hit| self.listing_view(&hit.listing)).collect(),
            total: answer.total as u64,
            complete: answer.complete,
            next: answer.next,
            facets: answer.facets.as_ref().map(facets_view),
        })
    }
}

/// What the parameters of a request mean to the catalog.
fn query_of(asked: ListingQuery) -> Result<Query, ApiError> {
    let sort = match &asked.sort {
        Some(word) => word.parse::<Sort>().map_err(|unknown| {
            let hint = "take cost_per_success, trust_score_desc, price_asc, response_time_asc or relevance";
            ApiError::bad_request("unknown_sort", unknown.to_string(), hint)
        })?,
        None => Sort::default(),
    };
    let limit = asked.limit.map_or(DEFAULT_ITEMS, |limit| usize::try_from(limit).unwrap_or(MAX_LIMIT));
    Ok(Query {
        text: asked.q,
        words: if asked.any == Some(true) { Words::Any } else { Words::All },
        category: asked.category,
        skill: asked.skill,
        tags: asked.tag.into_iter().collect(),
        scheme: asked.scheme,
        region: asked.region,
        min_price: asked.min_price,
        max_price: asked.max_price,
        sort,
        limit: limit.clamp(1, MAX_LIMIT),
        cursor: asked.cursor,
        facets: asked.facets == Some(true),
        ..Query::default()
    })
}

fn facets_view(facets: &Facets) -> FacetsView {
    let band = |band: &PriceBand| PriceBandView { min_price: band.from, max_price: band.to, count: band.count as u64 };
    FacetsView {
        category: facet_view(&facets.category),
        tag: facet_view(&facets.tag),
        skill: facet_view(&facets.skill),
        region: facet_view(&facets.region),
        scheme: facet_view(&facets.scheme),
        price: facets.price.iter().map(band).collect(),
    }
}

fn facet_view(facet: &Facet) -> FacetView {
    let count = |(value, count): &(String, usize)| CountView { value: value.clone(), count: *count as u64 };
    FacetView { values: facet.values.iter().map(count).collect(), distinct: facet.distinct as u64 }
}
