//! The local search index: which listings match, in which order, a page at a time.

use std::{
    collections::HashMap,
    path::Path,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use haggle_base::{Did, RecordId, Timestamp, Usdc, Verified};
use parking_lot::Mutex;
use tantivy::{
    DocId, Index, IndexReader, IndexWriter, ReloadPolicy, Score, SegmentOrdinal, SegmentReader, TantivyDocument,
    TantivyError, Term,
    collector::{Collector, SegmentCollector},
    columnar::Column,
    schema::{FAST, Field, INDEXED, NumericOptions, STRING, Schema, TEXT},
};

use crate::body::ListingBody;

pub(crate) mod query;
pub(crate) mod sort;
#[cfg(test)]
mod tests;

/// Memory of the one indexing thread, in bytes: the smallest that tantivy takes.
const WRITER_BYTES: usize = 15_000_000;

/// Fields of the index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    pub(crate) serial: Field,
    pub(crate) title: Field,
    pub(crate) description: Field,
    pub(crate) words: Field,
    pub(crate) category: Field,
    pub(crate) tag: Field,
    pub(crate) scheme: Field,
    pub(crate) region: Field,
    pub(crate) price: Field,
}

/// What sorting needs to know of a listing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) id: RecordId,
    pub(crate) author: Did,
    pub(crate) price: Usdc,
    pub(crate) expires: Timestamp,
}

/// A listing that matches, and how well its words do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Match {
    pub(crate) facts: Facts,
    pub(crate) score: Score,
}

/// The index and the facts beside it. A listing that was taken out is no longer found at once; one
/// that was added is found after the next [`Self::commit`].
pub(crate) struct ListingIndex {
    fields: Fields,
    index: Index,
    reader: IndexReader,
    writer: Mutex<Writer>,
    live: RwLock<Live>,
}

struct Writer {
    inner: IndexWriter,
    dirty: bool,
    next_serial: u64,
}

#[derive(Default)]
struct Live {
    facts: HashMap<u64, Facts>,
    serials: HashMap<RecordId, u64>,
}

impl std::fmt::Debug for ListingIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListingIndex").finish_non_exhaustive()
    }
}

impl ListingIndex {
    /// An empty index in memory, or in the folder `dir`, whose old index is discarded: it is
    /// always built from the records.
    pub(crate) fn create(dir: Option<&Path>) -> Result<Self, TantivyError> {
        let (schema, fields) = schema();
        let index = match dir {
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
            index,
            reader,
            writer: Mutex::new(Writer { inner: writer, dirty: false, next_serial: 0 }),
            live: RwLock::default(),
        })
    }

    /// Adds a listing.
    pub(crate) fn add(&self, listing: &Verified<ListingBody>) -> Result<(), TantivyError> {
        let mut writer = self.writer.lock();
        let serial = writer.next_serial;
        writer.next_serial += 1;
        writer.inner.add_document(self.document(serial, listing.body()))?;
        writer.dirty = true;
        let mut live = self.write();
        live.serials.insert(listing.id(), serial);
        live.facts.insert(
            serial,
            Facts {
                id: listing.id(),
                author: listing.author(),
                price: listing.body().price,
                expires: listing.record().expires,
            },
        );
        Ok(())
    }

    /// Takes a listing out, if it is there.
    pub(crate) fn remove(&self, id: &RecordId) {
        let mut writer = self.writer.lock();
        let mut live = self.write();
        if let Some(serial) = live.serials.remove(id) {
            live.facts.remove(&serial);
            writer.inner.delete_term(Term::from_field_u64(self.fields.serial, serial));
            writer.dirty = true;
        }
    }

    /// Makes what was added findable. Blocks for some milliseconds.
    pub(crate) fn commit(&self) -> Result<(), TantivyError> {
        let mut writer = self.writer.lock();
        if writer.dirty {
            writer.inner.commit()?;
            writer.dirty = false;
            drop(writer);
            self.reader.reload()?;
        }
        Ok(())
    }

    /// Every live listing that a query matches.
    pub(crate) fn matches(&self, query: &query::Query, now: Timestamp) -> Result<Vec<Match>, TantivyError> {
        let wanted = query::build(query, &self.fields, &self.index)?;
        let found = self.reader.searcher().search(&wanted, &Serials)?;
        let live = self.read();
        let known = found.into_iter().filter_map(|(serial, score)| {
            let facts = *live.facts.get(&serial)?;
            let by_author = query.author.is_none_or(|author| author == facts.author);
            (facts.expires > now && by_author).then_some(Match { facts, score })
        });
        Ok(known.collect())
    }

    fn document(&self, serial: u64, body: &ListingBody) -> TantivyDocument {
        let fields = &self.fields;
        let mut document = TantivyDocument::new();
        document.add_u64(fields.serial, serial);
        document.add_text(fields.title, body.title.as_str());
        document.add_text(fields.description, body.description.as_str());
        document.add_text(fields.words, body.skill.as_str());
        document.add_text(fields.words, body.category.as_str());
        document.add_text(fields.category, body.category.as_str());
        for tag in &body.tags {
            document.add_text(fields.words, tag.as_str());
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
        document.add_u64(fields.price, body.price.units());
        document
    }

    fn read(&self) -> RwLockReadGuard<'_, Live> {
        self.live.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Live> {
        self.live.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let number = || NumericOptions::from(INDEXED | FAST);
    let fields = Fields {
        serial: schema.add_u64_field("serial", number()),
        title: schema.add_text_field("title", TEXT),
        description: schema.add_text_field("description", TEXT),
        words: schema.add_text_field("words", TEXT),
        category: schema.add_text_field("category", STRING),
        tag: schema.add_text_field("tag", STRING),
        scheme: schema.add_text_field("scheme", STRING),
        region: schema.add_text_field("region", STRING),
        price: schema.add_u64_field("price", number()),
    };
    (schema.build(), fields)
}

/// Collects the serial and score of every match.
struct Serials;

struct SegmentSerials {
    column: Column<u64>,
    found: Vec<(u64, Score)>,
}

impl Collector for Serials {
    type Fruit = Vec<(u64, Score)>;
    type Child = SegmentSerials;

    fn for_segment(&self, _segment: SegmentOrdinal, reader: &SegmentReader) -> tantivy::Result<SegmentSerials> {
        Ok(SegmentSerials { column: reader.fast_fields().u64("serial")?, found: Vec::new() })
    }

    fn requires_scoring(&self) -> bool {
        true
    }

    fn merge_fruits(&self, segments: Vec<Self::Fruit>) -> tantivy::Result<Self::Fruit> {
        Ok(segments.concat())
    }
}

impl SegmentCollector for SegmentSerials {
    type Fruit = Vec<(u64, Score)>;

    fn collect(&mut self, doc: DocId, score: Score) {
        if let Some(serial) = self.column.first(doc) {
            self.found.push((serial, score));
        }
    }

    fn harvest(self) -> Self::Fruit {
        self.found
    }
}
