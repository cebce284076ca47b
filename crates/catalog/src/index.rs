//! The local search index: which listings match, in which order, a page at a time.

use std::collections::HashSet;

use haggle_base::{Did, RecordId, Timestamp, Usdc, Verified};
use parking_lot::{Mutex, RwLock};
use tantivy::{
    Index, IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, TantivyError, Term,
    schema::{FAST, Field, INDEXED, NumericOptions, STRING, Schema, TEXT},
};

use crate::{body::ListingBody, config::CatalogConfig, error::CatalogError, ports::Standing};
use facets::Tally;
use find::Wanted;
use known::Known;
use labels::Drawer;
use live::Rows;
use query::{MAX_LIMIT, Query};
use reading::Reading;
use sort::Cursor;

#[cfg(test)]
mod combined;
mod exact;
pub(crate) mod explain;
pub(crate) mod facets;
mod find;
mod known;
mod labels;
#[cfg(test)]
mod laws;
mod live;
mod numbered;
pub(crate) mod query;
mod reading;
pub(crate) mod sort;
#[cfg(test)]
mod standing;
#[cfg(test)]
mod tests;
pub(crate) mod weights;

/// Memory of the one indexing thread, in bytes: the smallest that tantivy takes.
const WRITER_BYTES: usize = 15_000_000;

/// Fields of the index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    pub(crate) serial: Field,
    pub(crate) title: Field,
    /// All words: of title, description, skill, category and tags.
    pub(crate) text: Field,
    pub(crate) category: Field,
    pub(crate) tag: Field,
    pub(crate) scheme: Field,
    pub(crate) region: Field,
}

pub(crate) use find::Found;

/// The index and the facts beside it. A listing that was taken out is no longer found at once; one
/// that was added is found after the next [`Self::commit`].
pub(crate) struct ListingIndex {
    fields: Fields,
    reader: IndexReader,
    writer: Mutex<Writer>,
    rows: RwLock<Rows>,
    known: Known,
    /// Least net of the authors that are shown.
    least: i64,
    /// As of which version of their figures the others are withheld.
    judged: Mutex<Option<u64>>,
}

struct Writer {
    inner: IndexWriter,
    dirty: bool,
}

impl std::fmt::Debug for ListingIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListingIndex").finish_non_exhaustive()
    }
}

impl ListingIndex {
    /// An empty index in memory, or in the configured folder, whose old index is discarded: it is
    /// always built from the records.
    pub(crate) fn create(config: &CatalogConfig) -> Result<Self, TantivyError> {
        let (schema, fields) = schema();
        let index = match config.index_dir.as_deref() {
            None => Index::create_in_ram(schema),
            Some(dir) => {
                if dir.exists() {
                    std::fs::remove_dir_all(dir)?;
                }
                std::fs::create_dir_all(dir)?;
                Index::create_in_dir(dir, schema)?
            }
        };
        let writer = index.writer_with_num_threads(1, WRITER_BYTES)?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        Ok(Self {
            fields,
            reader,
            writer: Mutex::new(Writer { inner: writer, dirty: false }),
            rows: RwLock::default(),
            known: Known::new(config.weights),
            least: config.min_net,
            judged: Mutex::default(),
        })
    }

    /// Adds a listing, unless it is there.
    pub(crate) fn add(&self, listing: &Verified<ListingBody>) -> Result<(), TantivyError> {
        let mut writer = self.writer.lock();
        let mut rows = self.rows.write();
        let Some(serial) = rows.add(listing) else { return Ok(()) };
        self.known.forget(serial);
        drop(rows);
        writer.dirty = true;
        writer.inner.add_document(self.document(serial.into(), listing.body()))?;
        Ok(())
    }

    /// Takes a listing out, if it is there.
    pub(crate) fn remove(&self, id: &RecordId) {
        let mut writer = self.writer.lock();
        if let Some(serial) = self.rows.write().remove(id) {
            writer.inner.delete_term(Term::from_field_u64(self.fields.serial, serial.into()));
            writer.dirty = true;
        }
    }

    /// The price of a listing that is here, findable or not yet.
    pub(crate) fn price_of(&self, id: &RecordId) -> Option<Usdc> {
        self.rows.read().price_of(id)
    }

    /// Whether all that was added is findable.
    pub(crate) fn is_current(&self) -> bool {
        !self.writer.lock().dirty
    }

    /// Makes what was added findable. Blocks for some milliseconds.
    pub(crate) fn commit(&self) -> Result<(), TantivyError> {
        let mut writer = self.writer.lock();
        if writer.dirty {
            let leaving = self.rows.read().leaving();
            writer.inner.commit()?;
            self.reader.reload()?;
            self.rows.write().release(leaving);
            writer.dirty = false;
        }
        Ok(())
    }

    /// Withholds the listings of authors who stand too low, as their figures are now.
    fn judge(&self, standing: &dyn Standing) {
        // held to the end: no search goes on before what another one found out is done
        let mut judged = self.judged.lock();
        let version = standing.version();
        if version.is_some() && *judged == version {
            return;
        }
        let behind: HashSet<Did> = standing.behind(self.least).into_iter().collect();
        if !self.rows.read().withholds(&behind) {
            self.rows.write().withhold(behind);
        }
        *judged = version;
    }

    /// The page of a query: what matches, after the page of a cursor if one is given. `standing` says how
    /// authors have done. Only listings `among` those of some ids count, if there are any given.
    pub(crate) fn find(
        &self,
        query: &Query,
        after: Option<Cursor>,
        now: Timestamp,
        standing: &dyn Standing,
        among: Option<&HashSet<RecordId>>,
    ) -> Result<Found, CatalogError> {
        let limit = query.limit.clamp(1, MAX_LIMIT);
        self.judge(standing);
        // The rows first, the searcher second: a serial that this searcher finds is not given to another listing meanwhile.
        let rows = self.rows.read();
        let searcher = self.reader.searcher();
        let carried = after.as_ref().and_then(|cursor| cursor.carried.as_ref());
        let reading = Reading::of(query, &self.fields, &searcher, carried)?;
        let matching = query::build(query, &reading, &self.fields);
        let tally = query.facets.then(|| Tally::over(rows.labels()));
        let writer = query.author.map(|author| rows.number_of(&author));
        let skill = query.skill.as_deref().map(|skill| rows.labels().number_of(Drawer::Skill, skill));
        if matches!(writer, Some(None)) || matches!(skill, Some(None)) {
            return Ok(Found { facets: tally.map(|tally| tally.facets(&rows)), ..Found::default() });
        }
        let mut known = self.known.open(standing, &rows, query, now);
        let after = after.map(|cursor| cursor.position);
        let prices = (query.min_price.unwrap_or(Usdc::ZERO), query.max_price.unwrap_or(Usdc::MAX));
        let wanted =
            Wanted { query, prices, writer: writer.flatten(), skill: skill.flatten(), among, after, limit, now };
        let scoring = reading.scoring(&searcher);
        let mut found = find::find(scoring, matching.as_ref(), &rows, &wanted, tally, &mut known)?;
        found.carried = reading.carried();
        if query.explain {
            let (fields, order) = (&self.fields, (query.sort, self.known.weights_of(query)));
            found.explanations = explain::explain(&found.page, &found.made, order, &reading, fields, &searcher)?;
        }
        Ok(found)
    }

    fn document(&self, serial: u64, body: &ListingBody) -> TantivyDocument {
        let fields = &self.fields;
        let mut document = TantivyDocument::new();
        document.add_u64(fields.serial, serial);
        document.add_text(fields.title, body.title.as_str());
        for words in [body.title.as_str(), body.description.as_str(), body.skill.as_str(), body.category.as_str()] {
            document.add_text(fields.text, words);
        }
        document.add_text(fields.category, body.category.as_str());
        for tag in &body.tags {
            document.add_text(fields.text, tag.as_str());
            document.add_text(fields.tag, tag.as_str());
        }
        for scheme in &body.schemes {
            document.add_text(fields.scheme, scheme.as_str());
        }
        if body.regions.is_empty() {
            document.add_text(fields.region, query::EVERYWHERE);
        }
        for region in &body.regions {
            document.add_text(fields.region, region.as_str());
        }
        document
    }
}

fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let number = || NumericOptions::from(INDEXED | FAST);
    let fields = Fields {
        serial: schema.add_u64_field("serial", number()),
        title: schema.add_text_field("title", TEXT),
        text: schema.add_text_field("text", TEXT),
        category: schema.add_text_field("category", STRING),
        tag: schema.add_text_field("tag", STRING),
        scheme: schema.add_text_field("scheme", STRING),
        region: schema.add_text_field("region", STRING),
    };
    (schema.build(), fields)
}
