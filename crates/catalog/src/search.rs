//! Search: what matches, joined with how its author has done, sorted and paged.

use std::collections::HashSet;

use haggle_base::{Kind, RecordId, Usdc, Verified};

use crate::{
    bindings::Binding,
    body::ListingBody,
    door::AnyRecord,
    error::CatalogError,
    handle::Catalog,
    index::{
        explain::Explanation,
        facets::Facets,
        query::Query,
        sort::{Cursor, Sort},
    },
    ports::Figures,
};

/// One listing in an answer, with everything to judge it by. Its bytes carry the author's
/// signature: nobody has to trust this node.
#[derive(Debug, Clone)]
pub struct Hit {
    /// The listing as signed.
    pub listing: Verified<ListingBody>,
    /// How its author has done so far.
    pub figures: Figures,
    /// Price per success; none for an author without any.
    pub cost_per_success: Option<Usdc>,
    /// Whether the author can be paid.
    pub binding: Binding,
    /// Why it stands where it stands, if [`Query::explain`] asked for it.
    pub explanation: Option<Explanation>,
}

/// A page of hits.
#[derive(Debug, Clone)]
pub struct Answer {
    /// In the order asked for.
    pub items: Vec<Hit>,
    /// Listings that match, on all pages.
    pub total: usize,
    /// False if this node may not know every listing yet.
    pub complete: bool,
    /// For the next page, if there is one.
    pub next: Option<String>,
    /// Counts of what matches on all pages, if [`Query::facets`] asked for them.
    pub facets: Option<Facets>,
}

impl Catalog {
    /// Finds listings. What was put less than half a second ago may be missing until
    /// [`Self::flush`].
    ///
    /// # Errors
    /// [`CatalogError::BadCursor`], [`CatalogError::OtherWeights`], [`CatalogError::Index`], [`CatalogError::Store`].
    pub fn search(&self, query: &Query) -> Result<Answer, CatalogError> {
        self.search_in(query, None)
    }

    /// As [`Self::search`], of these listings, those of this node's own agents, and those of the shards that it holds.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub fn search_among(&self, query: &Query, ids: &HashSet<RecordId>) -> Result<Answer, CatalogError> {
        let mut ids = ids.clone();
        let own = self.shared.kept.as_ref().map(|kept| kept.lock().own().clone());
        let shelf = self.shared.shelf.read();
        for author in own.iter().flatten() {
            ids.extend(shelf.by_author(author).filter(|entry| entry.kind == Kind::Listing).map(|entry| entry.id));
        }
        if self.shared.kept.is_some() {
            for shard in self.held() {
                let held = shelf.set(shard).map(|(_, id)| id);
                ids.extend(held.filter(|id| shelf.get(id).is_some_and(|entry| entry.kind == Kind::Listing)));
            }
        }
        drop(shelf);
        self.search_in(query, Some(&ids))
    }

    fn search_in(&self, query: &Query, among: Option<&HashSet<RecordId>>) -> Result<Answer, CatalogError> {
        let shared = &self.shared;
        let weights = (query.sort == Sort::Combined).then(|| query.weights.unwrap_or(shared.config.weights));
        let after = query.cursor.as_deref().map(|text| Cursor::of(text, query.sort, weights)).transpose()?;
        let found = shared.index.find(query, after, shared.clock.now(), shared.standing.as_ref(), among)?;
        let next = match found.page.last() {
            Some(last) if found.more => {
                Some(Cursor { sort: query.sort, position: *last, weights, carried: found.carried }.to_text())
            }
            _ => None,
        };
        let mut items = Vec::with_capacity(found.page.len());
        let mut explanations = found.explanations.into_iter();
        for place in found.page {
            let explanation = explanations.next();
            if let Some(AnyRecord::Listing(listing)) = shared.record(&place.id())? {
                let figures = shared.standing.figures(&listing.author());
                items.push(Hit {
                    cost_per_success: figures.cost_per_success(listing.body().price),
                    binding: self.binding(&listing.author()),
                    listing,
                    figures,
                    explanation,
                });
            }
        }
        let complete = match &query.category {
            Some(category) => self.is_complete_in(category),
            None => self.is_complete(),
        };
        Ok(Answer { items, total: found.total, complete, next, facets: found.facets })
    }
}
