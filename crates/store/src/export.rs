//! Export to one file, import into an empty store, and a check of every row.
//!
//! An export is a sequence of frames, each a u32 big-endian length and a canonical CBOR item:
//! the [`Schema`], then `[table, key, value]` per row, then a trailer with the
//! number of rows and the blake3 of every byte before it.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    ops::Bound,
    path::Path,
    sync::Arc,
};

use haggle_base::cbor;
use serde::{Deserialize, Serialize};

use crate::{
    MAX_KEY_BYTES, MAX_VALUE_BYTES, Store, StoreError, Table,
    batch::Op,
    blobs::sync_folder,
    engine::{Engine, Scan},
    table::{Meta, SCHEMA_VERSION, Schema},
};

/// Largest frame: a row with the longest key and value, and its framing.
const MAX_FRAME_BYTES: usize = MAX_KEY_BYTES + MAX_VALUE_BYTES + 256;

/// Rows that an import applies at once.
const IMPORT_GROUP: usize = 512;

/// Rows read at once.
const PAGE_ROWS: usize = 512;

/// What an export or import moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Number of rows.
    pub rows: u64,
    /// blake3 of the rows as written.
    pub hash: [u8; 32],
}

/// What a check of every row found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verification {
    /// Tables with their number of rows, by name.
    pub tables: Vec<(String, u64)>,
    /// Bytes of keys and values.
    pub bytes: u64,
}

/// A frame of the file.
#[derive(Debug, Serialize, Deserialize)]
enum Frame {
    Schema(Schema),
    Row(String, Raw, Raw),
    End(u64, Raw),
}

/// A byte string.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Raw(#[serde(with = "serde_bytes")] Vec<u8>);

impl Store {
    /// Writes every row to a new file at `path`, through a temporary file beside it.
    ///
    /// # Errors
    /// A failure of the disk or of the engine.
    pub async fn export(&self, path: &Path) -> Result<Summary, StoreError> {
        let path = path.to_owned();
        self.exclusive(move |engine| write_export(engine, &path)).await
    }

    /// Reads an export into this store, which must be empty. The file is checked whole before
    /// the first row is written.
    ///
    /// # Errors
    /// [`StoreError::NotEmpty`], [`StoreError::SchemaNewer`], [`StoreError::BadExport`], or a
    /// failure of the disk.
    pub async fn import(&self, path: &Path) -> Result<Summary, StoreError> {
        let path = path.to_owned();
        self.exclusive(move |engine| {
            for table in engine.tables()? {
                if table != Meta::NAME && engine.count(&table)? > 0 {
                    return Err(StoreError::NotEmpty);
                }
            }
            let summary = read_export(&path, |_| Ok(()))?;
            let mut group = Vec::new();
            read_export(&path, |op| {
                group.push(op);
                if group.len() == IMPORT_GROUP {
                    engine.apply(&std::mem::take(&mut group))?;
                }
                Ok(())
            })?;
            engine.apply(&group)?;
            engine.flush()?;
            Ok(summary)
        })
        .await
    }

    /// Reads every row, checks that each value is canonical CBOR, and lets the engine check its
    /// own files.
    ///
    /// # Errors
    /// [`StoreError::Decode`] for the first bad row, or the engine's failure.
    pub async fn verify(&self) -> Result<Verification, StoreError> {
        self.exclusive(|engine| {
            engine.check()?;
            let mut found = Verification::default();
            for table in sorted_tables(engine)? {
                let mut rows = 0;
                each_row(engine, &table, |key, value| {
                    check_value(&table, &value)?;
                    found.bytes += (key.len() + value.len()) as u64;
                    rows += 1;
                    Ok(())
                })?;
                found.tables.push((table, rows));
            }
            Ok(found)
        })
        .await
    }
}

fn sorted_tables(engine: &dyn Engine) -> Result<Vec<String>, StoreError> {
    let mut tables = engine.tables()?;
    tables.retain(|table| table != Meta::NAME);
    tables.sort();
    Ok(tables)
}

/// Walks a table a page at a time, so that memory stays bounded.
fn each_row(
    engine: &dyn Engine,
    table: &str,
    mut row: impl FnMut(Vec<u8>, Vec<u8>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut scan = Scan { from: Bound::Unbounded, to: Bound::Unbounded, newest_first: false, limit: PAGE_ROWS };
    loop {
        let rows = engine.scan(table, &scan)?;
        let Some((last, _)) = rows.last() else {
            return Ok(());
        };
        scan.from = Bound::Excluded(last.clone());
        for (key, value) in rows {
            row(key, value)?;
        }
    }
}

/// Checks that a value is canonical CBOR, whatever its type.
fn check_value(table: &str, value: &[u8]) -> Result<(), StoreError> {
    cbor::check(value, MAX_VALUE_BYTES)
        .map_err(|source| StoreError::Decode { table: table.to_owned(), source: Some(Arc::new(source)) })
}

fn write_export(engine: &dyn Engine, path: &Path) -> Result<Summary, StoreError> {
    let temporary = path.with_extension("partial");
    let mut file = BufWriter::new(File::create(&temporary)?);
    let mut hasher = blake3::Hasher::new();
    let mut rows = 0;
    write_frame(&mut file, &mut hasher, &Frame::Schema(Schema::current()))?;
    for table in sorted_tables(engine)? {
        each_row(engine, &table, |key, value| {
            rows += 1;
            write_frame(&mut file, &mut hasher, &Frame::Row(table.clone(), Raw(key), Raw(value)))
        })?;
    }
    let hash = *hasher.finalize().as_bytes();
    write_frame(&mut file, &mut hasher, &Frame::End(rows, Raw(hash.to_vec())))?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_folder(path)?;
    Ok(Summary { rows, hash })
}

fn write_frame(file: &mut impl Write, hasher: &mut blake3::Hasher, frame: &Frame) -> Result<(), StoreError> {
    let bytes =
        cbor::to_vec(frame).map_err(|source| StoreError::Encode { table: "export", source: Arc::new(source) })?;
    let length = u32::try_from(bytes.len()).map_err(|_| StoreError::BadExport)?;
    for part in [length.to_be_bytes().as_slice(), &bytes] {
        hasher.update(part);
        file.write_all(part)?;
    }
    Ok(())
}

/// Reads a whole export, handing each row on, and checks count and hash at its end.
fn read_export(path: &Path, mut row: impl FnMut(Op) -> Result<(), StoreError>) -> Result<Summary, StoreError> {
    let mut file = BufReader::new(File::open(path)?);
    let mut hasher = blake3::Hasher::new();
    let mut rows = 0;
    match read_frame(&mut file, &mut hasher)? {
        Frame::Schema(schema) if schema.min_reader > SCHEMA_VERSION => {
            return Err(StoreError::SchemaNewer { found: schema.min_reader, supported: SCHEMA_VERSION });
        }
        Frame::Schema(_) => {}
        Frame::Row(..) | Frame::End(..) => return Err(StoreError::BadExport),
    }
    loop {
        let hash = *hasher.finalize().as_bytes();
        match read_frame(&mut file, &mut hasher)? {
            Frame::Row(table, Raw(key), Raw(value)) => {
                rows += 1;
                row(Op { table: table.into(), key, value: Some(value) })?;
            }
            Frame::End(count, Raw(expected)) if count == rows && expected == hash => {
                return Ok(Summary { rows, hash });
            }
            Frame::End(..) | Frame::Schema(_) => return Err(StoreError::BadExport),
        }
    }
}

fn read_frame(file: &mut impl Read, hasher: &mut blake3::Hasher) -> Result<Frame, StoreError> {
    let mut length = [0; 4];
    read_exact(file, &mut length)?;
    let size = u32::from_be_bytes(length) as usize;
    if size > MAX_FRAME_BYTES {
        return Err(StoreError::BadExport);
    }
    let mut bytes = vec![0; size];
    read_exact(file, &mut bytes)?;
    hasher.update(&length);
    hasher.update(&bytes);
    cbor::from_slice(&bytes, MAX_FRAME_BYTES).map_err(|_| StoreError::BadExport)
}

fn read_exact(file: &mut impl Read, buffer: &mut [u8]) -> Result<(), StoreError> {
    file.read_exact(buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => StoreError::BadExport,
        _ => error.into(),
    })
}
