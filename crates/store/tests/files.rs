//! Stories about folders: locks, damage, newer schemas, blobs.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use haggle_base::{Coded, Hash};
use haggle_store::{Batch, Blobs, MAX_BLOB_BYTES, Options, Store, tables};
use serde::{Deserialize, Serialize};

tables! {
    Names = "names-1": u64 => String;
    /// The store's own table, as a newer program would write it.
    Meta = "meta": String => Schema;
}

#[derive(Serialize, Deserialize)]
struct Schema {
    format: u32,
    created_by: String,
    min_reader: u32,
}

async fn write_names(store: &Store, count: u64) {
    let mut batch = Batch::new();
    for id in 0..count {
        batch.put::<Names>(&id, &format!("name {id}")).unwrap();
    }
    store.commit(batch).await.unwrap();
}

#[tokio::test]
async fn a_reopened_store_has_everything() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path(), Options::default()).unwrap();
    write_names(&store, 500).await;
    let clone = store.clone();
    store.shutdown().await.unwrap();
    let again = Store::open(home.path(), Options::default()).unwrap();
    assert_eq!(again.count::<Names>().unwrap(), 500);
    assert!(clone.get::<Names>(&1).is_err());
}

#[tokio::test]
async fn a_second_open_is_told_that_the_store_is_locked() {
    let home = tempfile::tempdir().unwrap();
    let first = Store::open(home.path(), Options::default()).unwrap();
    let refused = Store::open(home.path(), Options::default()).unwrap_err();
    assert_eq!(refused.code(), "store_locked");
    first.shutdown().await.unwrap();
    Store::open(home.path(), Options::default()).unwrap();
}

#[tokio::test]
async fn data_of_a_newer_program_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path(), Options::default()).unwrap();
    let newer = Schema { format: 9, created_by: "a later haggle".to_owned(), min_reader: 9 };
    let mut batch = Batch::new();
    batch.put::<Meta>(&"schema".to_owned(), &newer).unwrap();
    store.commit(batch).await.unwrap();
    store.shutdown().await.unwrap();
    let refused = Store::open(home.path(), Options::default()).unwrap_err();
    assert_eq!(refused.code(), "schema_newer");
}

#[tokio::test]
async fn damaged_files_never_panic_the_opener() {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path(), Options::default()).unwrap();
    write_names(&store, 2_000).await;
    store.shutdown().await.unwrap();
    let file = home.path().join("db");
    let whole = std::fs::read(&file).unwrap();
    for at in (0..whole.len().min(200_000)).step_by(9_973) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        std::fs::write(&file, damaged).unwrap();
        match Store::open(home.path(), Options::default()) {
            Ok(store) => {
                for id in 0..2_000 {
                    if let Ok(Some(name)) = store.get::<Names>(&id) {
                        assert_eq!(name, format!("name {id}"), "wrong data after damage at byte {at}");
                    }
                }
                drop(store.shutdown().await);
            }
            Err(error) => assert!(!error.code().is_empty()),
        }
    }
}

#[test]
fn a_blob_is_found_by_its_hash_and_checked() {
    let home = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(home.path()).unwrap();
    let document = vec![7; 100_000];
    let name = blobs.put(&document).unwrap();
    assert_eq!(name, Hash::of(&document));
    assert_eq!(blobs.put(&document).unwrap(), name);
    assert_eq!(blobs.get(&name).unwrap().unwrap(), document);
    assert_eq!(blobs.get(&Hash::of(b"another")).unwrap(), None);

    std::fs::write(home.path().join(name.to_string()), b"not the document").unwrap();
    assert_eq!(blobs.get(&name).unwrap_err().code(), "blob_damaged");
    assert_eq!(blobs.put(&document).unwrap(), name);
    assert_eq!(blobs.get(&name).unwrap().unwrap(), document);
    blobs.delete(&name).unwrap();
    blobs.delete(&name).unwrap();
    assert_eq!(blobs.get(&name).unwrap(), None);

    let huge = vec![0; usize::try_from(MAX_BLOB_BYTES).unwrap() + 1];
    assert_eq!(blobs.put(&huge).unwrap_err().code(), "blob_too_large");
}

#[test]
fn an_interrupted_put_leaves_nothing_after_the_next_open() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("1-1.partial"), b"half").unwrap();
    let blobs = Blobs::open(home.path()).unwrap();
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
    blobs.put(b"whole").unwrap();
}

#[tokio::test]
async fn a_closed_store_can_be_opened_again_at_once() {
    let home = tempfile::tempdir().unwrap();
    for round in 0..50 {
        let store = Store::open(home.path(), Options::default()).unwrap();
        assert_eq!(store.count::<Names>().unwrap(), round * 100, "round {round}");
        let mut batch = Batch::new();
        for id in round * 100..(round + 1) * 100 {
            batch.put::<Names>(&id, &"x".repeat(1_000)).unwrap();
        }
        store.commit(batch).await.unwrap();
        store.shutdown().await.unwrap();
    }
}
