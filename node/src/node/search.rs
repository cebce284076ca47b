//! A search of the market, as the API asks for it and answers it.

use super::api::coded;
use super::{Inner, look};
use haggle_catalog::{
    Coverage, Explanation, Facet, Facets, Hit, MAX_LIMIT, Part, PriceBand, Query, Sort, TITLE_WEIGHT, Weight, Weights,
    WordMatch, Words,
};
use haggle_gateway::ApiError;
use haggle_gateway::view::{
    CountView, CoverageView, ExplainedView, ExplanationView, FacetView, FacetsView, FiguresView, ListingPage,
    ListingQuery, ListingView, PartView, PriceBandView, WordView,
};
use std::collections::BTreeMap;

/// Items of a page when nobody says.
const DEFAULT_ITEMS: usize = 20;

impl Inner {
    /// One page of what matches.
    pub(super) async fn search(&self, asked: ListingQuery) -> Result<ListingPage, ApiError> {
        let live = asked.live == Some(true);
        let query = query_of(asked, self.config.search.weights())?;
        let (answer, coverage) = self.lookup.search(&query).await.map_err(coded)?;
        let first = answer.items.iter().map(|hit| hit.listing.author()).take(look::FIRST_LOOKED_AT).collect();
        self.look_for_all(first, live).await;
        Ok(ListingPage {
            items: answer.items.iter().map(|hit| self.hit_view(hit)).collect(),
            total: answer.total as u64,
            complete: answer.complete,
            coverage: coverage.map(coverage_view),
            next: answer.next,
            facets: answer.facets.as_ref().map(facets_view),
            explained: query.explain.then(|| explained_view(&query)),
        })
    }

    fn hit_view(&self, hit: &Hit) -> ListingView {
        let explanation = hit.explanation.as_ref().map(explanation_view);
        ListingView { explanation, ..self.listing_view(&hit.listing) }
    }
}

/// What the parameters of a request mean to the catalog. The combined order goes by `weights` unless it says otherwise.
fn query_of(asked: ListingQuery, weights: Weights) -> Result<Query, ApiError> {
    let share = asked.reputation_weight.as_deref().map(str::parse::<Weight>).transpose();
    let share = share.map_err(|error| ApiError::from_coded(&error))?;
    let sort = match &asked.sort {
        Some(word) => word.parse::<Sort>().map_err(|unknown| {
            let hint = "take cost_per_success, trust_score_desc, price_asc, response_time_asc, relevance or combined";
            ApiError::bad_request("unknown_sort", unknown.to_string(), hint)
        })?,
        None if share.is_some() => Sort::Combined,
        None => Sort::default(),
    };
    if share.is_some() && sort != Sort::Combined {
        return Err(ApiError::bad_request(
            "weight_not_used",
            format!("the order {} weighs nothing", sort.as_str()),
            "ask for sort=combined, or leave out reputation_weight",
        ));
    }
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
        min_net: asked.min_reputation,
        sort,
        weights: share.map(|share| weights.with_reputation(share)),
        limit: limit.clamp(1, MAX_LIMIT),
        cursor: asked.cursor,
        facets: asked.facets == Some(true),
        explain: asked.explain == Some(true),
        author: None,
    })
}

fn coverage_view(coverage: Coverage) -> CoverageView {
    CoverageView {
        asked: coverage.asked as u64,
        answered: coverage.answered as u64,
        why_partial: coverage.why_partial(),
    }
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

/// What every hit had to meet, in the words of the request.
fn explained_view(query: &Query) -> ExplainedView {
    let mut filters = BTreeMap::new();
    let mut add = |name: &str, value: Option<String>| filters.extend(value.map(|value| (name.to_owned(), value)));
    add("q", query.text.clone());
    add("any", (query.words == Words::Any).then(|| true.to_string()));
    add("category", query.category.clone());
    add("skill", query.skill.clone());
    add("tag", (!query.tags.is_empty()).then(|| query.tags.join(",")));
    add("scheme", query.scheme.clone());
    add("region", query.region.clone());
    add("min_price", query.min_price.map(|price| price.to_string()));
    add("max_price", query.max_price.map(|price| price.to_string()));
    add("min_reputation", query.min_net.map(|net| net.to_string()));
    ExplainedView { sort: query.sort.as_str().to_owned(), filters, title_weight: TITLE_WEIGHT }
}

fn explanation_view(why: &Explanation) -> ExplanationView {
    let word = |word: &WordMatch| WordView {
        word: word.word.clone(),
        by_slip: word.by_slip,
        title: word.title,
        anywhere: word.anywhere,
        score: word.score,
    };
    let part = |part: &Part| PartView { part: part.name.to_owned(), value: part.value, weight: part.weight };
    ExplanationView {
        rank: format!("{:016x}", why.rank),
        text: why.sort.weighs_words().then_some(why.text),
        words: why.words.iter().map(word).collect(),
        figures: why.figures.map(|seen| FiguresView {
            total_calls: seen.total_calls,
            successes: seen.successes,
            avg_response_ms: seen.avg_response_ms,
            uptime_24h: seen.uptime,
            trust_score: seen.trust_score,
        }),
        cost_per_success: why.cost_per_success,
        parts: why.parts.iter().map(part).collect(),
        score: why.score(),
    }
}
