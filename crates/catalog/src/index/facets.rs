//! Counts of what matches, by what it could be narrowed to.

use std::cmp::Reverse;

use haggle_base::Usdc;

use super::{
    labels::{Drawer, Labels},
    live::Rows,
    query::EVERYWHERE,
};

/// Most tags, and most skills, that are counted in an answer: the most frequent ones.
pub const MAX_COUNTED_TAGS: usize = 20;

/// Most values of every other kind.
pub const MAX_COUNTED: usize = 50;

/// The highest price of each band but the last, in base units: free, then tenfold from a tenth of a cent.
const BAND_ENDS: [u64; 7] = [0, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// Counts of all that matches, on whatever page. Each count is what the same search finds when it is narrowed so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facets {
    /// By primary category.
    pub category: Facet,
    /// By tag; a listing has several.
    pub tag: Facet,
    /// By the skill that is sold.
    pub skill: Facet,
    /// By region. Listings that name none are offered in every region, and are counted alone as `*`.
    pub region: Facet,
    /// By payment scheme; a listing takes several.
    pub scheme: Facet,
    /// By price, the lowest first; every listing is in one band.
    pub price: Vec<PriceBand>,
}

/// Counts by one kind of value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facet {
    /// The most frequent values with their counts, the most frequent first; equal ones by name.
    pub values: Vec<(String, usize)>,
    /// How many values there are in all.
    pub distinct: usize,
}

/// Listings from one price to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceBand {
    /// The lowest price of the band.
    pub from: Usdc,
    /// The highest one; none for the last band.
    pub to: Option<Usdc>,
    /// Listings in it.
    pub count: usize,
}

/// Counts during one pass.
#[derive(Debug)]
pub(super) struct Tally {
    /// By the label's number.
    labels: Vec<u32>,
    bands: [u32; BAND_ENDS.len() + 1],
}

impl Tally {
    pub(super) fn over(labels: &Labels) -> Self {
        Self { labels: vec![0; labels.len()], bands: [0; BAND_ENDS.len() + 1] }
    }

    /// Counts one listing.
    pub(super) fn see(&mut self, labels: &[u32], price: Usdc) {
        for label in labels {
            if let Some(count) = self.labels.get_mut(*label as usize) {
                *count += 1;
            }
        }
        self.bands[BAND_ENDS.partition_point(|end| *end < price.units())] += 1;
    }

    /// What was counted. The rows are those that were counted.
    pub(super) fn facets(&self, rows: &Rows) -> Facets {
        let labels = rows.labels();
        let everywhere = labels.number_of(Drawer::Region, EVERYWHERE).and_then(|at| self.labels.get(at as usize));
        let everywhere = everywhere.map_or(0, |count| *count as usize);
        let mut drawers: [Vec<(&str, usize)>; Drawer::COUNT] = Default::default();
        for (number, count) in self.labels.iter().enumerate().filter(|(_, count)| **count > 0) {
            let Some((drawer, text)) = labels.get(number) else { continue };
            let also = if drawer == Drawer::Region && text != EVERYWHERE { everywhere } else { 0 };
            drawers[drawer.at()].push((text, *count as usize + also));
        }
        let [category, tag, skill, region, scheme] = drawers;
        let from = std::iter::once(0).chain(BAND_ENDS.map(|end| end + 1)).map(Usdc::from_units);
        let to = BAND_ENDS.into_iter().map(Usdc::from_units).map(Some).chain([None]);
        let counts = self.bands.iter().map(|count| *count as usize);
        Facets {
            category: facet(category, MAX_COUNTED),
            tag: facet(tag, MAX_COUNTED_TAGS),
            skill: facet(skill, MAX_COUNTED_TAGS),
            region: facet(region, MAX_COUNTED),
            scheme: facet(scheme, MAX_COUNTED),
            price: from.zip(to).zip(counts).map(|((from, to), count)| PriceBand { from, to, count }).collect(),
        }
    }
}

/// The most frequent ones of what was counted.
fn facet(mut counted: Vec<(&str, usize)>, most: usize) -> Facet {
    let distinct = counted.len();
    let order = |a: &(&str, usize), b: &(&str, usize)| (Reverse(a.1), a.0).cmp(&(Reverse(b.1), b.0));
    if distinct > most {
        counted.select_nth_unstable_by(most, order);
        counted.truncate(most);
    }
    counted.sort_unstable_by(order);
    Facet { values: counted.into_iter().map(|(text, count)| (text.to_owned(), count)).collect(), distinct }
}
