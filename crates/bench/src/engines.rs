//! Search engines as somebody would use them bare: tantivy, and SQLite's FTS5.

use crate::corpus::{Asked, Plain};
use rusqlite::{Connection, params};
use tantivy::collector::TopDocs;
use tantivy::query::{BooleanQuery, BoostQuery, Occur, Query, RangeQuery, TermQuery};
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, NumericOptions, STORED, Schema, TEXT, Value as _};
use tantivy::{Index, IndexReader, IndexWriter, TantivyDocument, TantivyError, Term};

/// Hits of one query.
pub const HITS: usize = 20;
/// How much more a word in the title weighs.
const TITLE_BOOST: f32 = 2.0;
/// Memory of tantivy's writer, in bytes.
const WRITER_BYTES: usize = 100_000_000;

/// Tantivy with an index in memory: the best twenty by BM25 in a range of prices, their ids loaded.
pub struct BareTantivy {
    fields: [Field; 4],
    writer: IndexWriter,
    reader: IndexReader,
}

impl std::fmt::Debug for BareTantivy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BareTantivy").finish_non_exhaustive()
    }
}

impl BareTantivy {
    /// An empty index.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn new() -> Result<Self, TantivyError> {
        let mut schema = Schema::builder();
        let fields = [
            schema.add_text_field("title", TEXT),
            schema.add_text_field("description", TEXT),
            schema.add_u64_field("price", NumericOptions::from(INDEXED | FAST)),
            schema.add_u64_field("id", NumericOptions::from(STORED)),
        ];
        let index = Index::create_in_ram(schema.build());
        let (writer, reader) = (index.writer_with_num_threads(1, WRITER_BYTES)?, index.reader()?);
        Ok(Self { fields, writer, reader })
    }

    /// Adds a listing.
    ///
    /// # Errors
    /// The writer broke down.
    pub fn add(&self, number: u64, listing: &Plain) -> Result<(), TantivyError> {
        let [title, description, price, id] = self.fields;
        let mut document = TantivyDocument::new();
        document.add_text(title, &listing.title);
        document.add_text(description, &listing.description);
        document.add_u64(price, listing.price);
        document.add_u64(id, number);
        self.writer.add_document(document).map(drop)
    }

    /// Makes what was added findable.
    ///
    /// # Errors
    /// The writer broke down.
    pub fn commit(&mut self) -> Result<(), TantivyError> {
        self.writer.commit()?;
        self.reader.reload()
    }

    /// The best listings with both words, or with either.
    ///
    /// # Errors
    /// The index is damaged.
    pub fn search(&self, asked: &Asked, all: bool) -> Result<Vec<u64>, TantivyError> {
        let [title, description, price, id] = self.fields;
        let term = |field, word: &str| -> Box<dyn Query> {
            Box::new(TermQuery::new(Term::from_field_text(field, word), IndexRecordOption::WithFreqs))
        };
        let word = |word: &String| -> Box<dyn Query> {
            let in_title = Box::new(BoostQuery::new(term(title, word), TITLE_BOOST));
            Box::new(BooleanQuery::new(vec![(Occur::Should, in_title), (Occur::Should, term(description, word))]))
        };
        let occur = if all { Occur::Must } else { Occur::Should };
        let words = BooleanQuery::new(asked.words.iter().map(|text| (occur, word(text))).collect());
        let bound = |units| std::ops::Bound::Included(Term::from_field_u64(price, units));
        let prices = RangeQuery::new(bound(asked.prices.0), bound(asked.prices.1));
        let query = BooleanQuery::new(vec![(Occur::Must, Box::new(words)), (Occur::Must, Box::new(prices))]);
        let searcher = self.reader.searcher();
        let best = searcher.search(&query, &TopDocs::with_limit(HITS).order_by_score())?;
        let mut found = Vec::with_capacity(best.len());
        for (_, address) in best {
            let document: TantivyDocument = searcher.doc(address)?;
            found.extend(document.get_first(id).and_then(|value| value.as_u64()));
        }
        Ok(found)
    }
}

/// SQLite's FTS5 in memory: the same twenty by its own BM25, in one statement.
#[derive(Debug)]
pub struct BareFts5 {
    connection: Connection,
}

impl BareFts5 {
    /// An empty index.
    ///
    /// # Errors
    /// SQLite was built without FTS5.
    pub fn new() -> rusqlite::Result<Self> {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch(
            "CREATE VIRTUAL TABLE words USING fts5(title, description, content='');
             CREATE TABLE listing(id INTEGER PRIMARY KEY, price INTEGER NOT NULL);
             CREATE INDEX by_price ON listing(price);
             BEGIN;",
        )?;
        Ok(Self { connection })
    }

    /// Adds a listing.
    ///
    /// # Errors
    /// SQLite says no.
    pub fn add(&self, number: u64, listing: &Plain) -> rusqlite::Result<()> {
        let mut words =
            self.connection.prepare_cached("INSERT INTO words(rowid, title, description) VALUES (?, ?, ?)")?;
        words.execute(params![number.cast_signed(), listing.title, listing.description])?;
        let mut row = self.connection.prepare_cached("INSERT INTO listing(id, price) VALUES (?, ?)")?;
        row.execute(params![number.cast_signed(), listing.price.cast_signed()])?;
        Ok(())
    }

    /// Makes what was added findable.
    ///
    /// # Errors
    /// SQLite says no.
    pub fn commit(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch("COMMIT; INSERT INTO words(words) VALUES('optimize');")
    }

    /// The best listings with both words, or with either.
    ///
    /// # Errors
    /// SQLite says no.
    pub fn search(&self, asked: &Asked, all: bool) -> rusqlite::Result<Vec<u64>> {
        let [one, other] = &asked.words;
        let words = format!("{one} {} {other}", if all { "AND" } else { "OR" });
        let mut statement = self.connection.prepare_cached(
            "SELECT id FROM words JOIN listing ON id = words.rowid
             WHERE words MATCH ? AND price BETWEEN ? AND ? ORDER BY bm25(words, 2.0, 1.0) LIMIT 20",
        )?;
        let (least, most) = asked.prices;
        let rows =
            statement.query_map(params![words, least.cast_signed(), most.cast_signed()], |row| row.get::<_, i64>(0))?;
        rows.map(|id| id.map(i64::cast_unsigned)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::Corpus;

    #[test]
    fn both_engines_find_the_same_listings() {
        let corpus = Corpus::new(7);
        let (mut tantivy, fts5) = (BareTantivy::new().unwrap(), BareFts5::new().unwrap());
        for number in 0..300 {
            let plain = corpus.plain(number);
            tantivy.add(number, &plain).unwrap();
            fts5.add(number, &plain).unwrap();
        }
        tantivy.commit().unwrap();
        fts5.commit().unwrap();
        let mut hits = 0;
        for asked in corpus.queries(50) {
            for all in [true, false] {
                let mut found = [tantivy.search(&asked, all).unwrap(), fts5.search(&asked, all).unwrap()];
                hits += found[0].len();
                if found[0].len() < HITS {
                    found.iter_mut().for_each(|found| found.sort_unstable());
                    assert_eq!(found[0], found[1], "{asked:?}");
                }
            }
        }
        assert!(hits > 20, "the queries find something: {hits}");
    }
}
