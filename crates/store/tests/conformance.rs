//! One suite for the store's promises, run on sled and on memory.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use std::ops::Bound;

use haggle_base::Coded;
use haggle_store::{Batch, Key, MAX_BATCH_OPS, MAX_KEY_BYTES, MAX_VALUE_BYTES, Store, StoreError, Table, tables};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Order {
    state: String,
    price: u64,
}

fn order(state: &str, price: u64) -> Order {
    Order { state: state.to_owned(), price }
}

tables! {
    Orders = "orders-1": u64 => Order;
    ByBuyer = "orders-by-buyer-1": (String, u64) => ();
    Payloads = "payloads-1": Vec<u8> => String;
    Rates = "rates-1": u64 => f64;
}

macro_rules! conformance {
    ($($story:ident),* $(,)?) => {
        mod on_sled {
            $(#[tokio::test] async fn $story() { super::$story(super::Store::temporary().unwrap()).await; })*
        }
        mod on_memory {
            $(#[tokio::test] async fn $story() { super::$story(super::Store::memory()).await; })*
        }
    };
}

conformance![
    what_is_put_is_read_and_what_is_deleted_is_gone,
    the_last_write_of_a_key_in_a_batch_stays,
    a_batch_over_two_tables_happens_wholly,
    a_failed_condition_writes_nothing,
    only_one_of_many_racing_claims_wins,
    ranges_walk_in_key_order_and_stop_at_the_limit,
    a_prefix_finds_exactly_its_rows,
    sizes_are_bounded,
    a_float_is_refused,
    a_row_of_another_shape_is_a_typed_error,
    a_closed_store_says_so,
    an_export_moves_to_an_empty_store_only,
    verify_counts_every_row,
];

async fn what_is_put_is_read_and_what_is_deleted_is_gone(store: Store) {
    let mut batch = Batch::new();
    batch.put::<Orders>(&1, &order("agreed", 5)).unwrap();
    store.commit(batch).await.unwrap();
    assert_eq!(store.get::<Orders>(&1).unwrap(), Some(order("agreed", 5)));
    assert!(store.contains::<Orders>(&1).unwrap());
    assert_eq!(store.count::<Orders>().unwrap(), 1);

    let mut batch = Batch::new();
    batch.delete::<Orders>(&1).delete::<Orders>(&99);
    store.commit(batch).await.unwrap();
    assert_eq!(store.get::<Orders>(&1).unwrap(), None);
    assert_eq!(store.count::<Orders>().unwrap(), 0);
}

async fn the_last_write_of_a_key_in_a_batch_stays(store: Store) {
    let mut batch = Batch::new();
    batch.put::<Orders>(&1, &order("agreed", 5)).unwrap();
    batch.delete::<Orders>(&1);
    batch.put::<Orders>(&1, &order("funded", 5)).unwrap();
    batch.put::<Orders>(&2, &order("agreed", 6)).unwrap();
    batch.delete::<Orders>(&2);
    store.commit(batch).await.unwrap();
    assert_eq!(store.get::<Orders>(&1).unwrap(), Some(order("funded", 5)));
    assert_eq!(store.get::<Orders>(&2).unwrap(), None);
}

async fn a_batch_over_two_tables_happens_wholly(store: Store) {
    let mut batch = Batch::new();
    batch.put::<Orders>(&1, &order("agreed", 5)).unwrap();
    batch.put::<ByBuyer>(&("alice".to_owned(), 1), &()).unwrap();
    store.commit(batch).await.unwrap();
    assert!(store.contains::<Orders>(&1).unwrap());
    assert!(store.contains::<ByBuyer>(&("alice".to_owned(), 1)).unwrap());
}

async fn a_failed_condition_writes_nothing(store: Store) {
    let mut batch = Batch::new();
    batch.put::<Orders>(&1, &order("agreed", 5)).unwrap();
    store.commit(batch).await.unwrap();

    let mut claim = Batch::new();
    claim.require_absent::<Orders>(&1).put::<Orders>(&1, &order("stolen", 0)).unwrap();
    claim.put::<Orders>(&2, &order("stolen", 0)).unwrap();
    let refused = store.commit(claim).await.unwrap_err();
    assert_eq!(refused.code(), "precondition_failed");

    let mut stale = Batch::new();
    stale.require_equals::<Orders>(&1, &order("funded", 5)).unwrap();
    stale.put::<Orders>(&1, &order("settled", 5)).unwrap();
    assert!(matches!(store.commit(stale).await, Err(StoreError::Precondition { .. })));
    assert_eq!(store.get::<Orders>(&1).unwrap(), Some(order("agreed", 5)));
    assert_eq!(store.get::<Orders>(&2).unwrap(), None);

    let mut step = Batch::new();
    step.require_equals::<Orders>(&1, &order("agreed", 5)).unwrap();
    step.put::<Orders>(&1, &order("funded", 5)).unwrap();
    store.commit(step).await.unwrap();
    assert_eq!(store.get::<Orders>(&1).unwrap(), Some(order("funded", 5)));
}

async fn only_one_of_many_racing_claims_wins(store: Store) {
    let claims: Vec<_> = (0..100_u64)
        .map(|claimant| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut batch = Batch::new();
                batch.require_absent::<Orders>(&7).put::<Orders>(&7, &order("claimed", claimant)).unwrap();
                store.commit(batch).await.is_ok().then_some(claimant)
            })
        })
        .collect();
    let mut winners = Vec::new();
    for claim in claims {
        winners.extend(claim.await.unwrap());
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(store.get::<Orders>(&7).unwrap(), Some(order("claimed", winners[0])));
}

async fn ranges_walk_in_key_order_and_stop_at_the_limit(store: Store) {
    let mut batch = Batch::new();
    for id in [300, 2, 65_536, 1, 256, 255] {
        batch.put::<Orders>(&id, &order("agreed", id)).unwrap();
    }
    store.commit(batch).await.unwrap();
    let keys = |rows: Vec<(u64, Order)>| rows.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(keys(store.range::<Orders>(Bound::Unbounded, 10).unwrap()), [1, 2, 255, 256, 300, 65_536]);
    assert_eq!(keys(store.range::<Orders>(Bound::Excluded(&2), 2).unwrap()), [255, 256]);
    assert_eq!(keys(store.range_back::<Orders>(Bound::Included(&300), 2).unwrap()), [300, 256]);
    assert_eq!(keys(store.between::<Orders>(Bound::Included(&2), Bound::Excluded(&300), 10).unwrap()), [2, 255, 256]);
    assert!(store.between::<Orders>(Bound::Included(&9), Bound::Included(&3), 10).unwrap().is_empty());
    assert!(store.range::<Orders>(Bound::Excluded(&65_536), 10).unwrap().is_empty());
}

async fn a_prefix_finds_exactly_its_rows(store: Store) {
    let mut batch = Batch::new();
    for (buyer, id) in [("ali", 1), ("alice", 2), ("alice", 3), ("bob", 4)] {
        batch.put::<ByBuyer>(&(buyer.to_owned(), id), &()).unwrap();
    }
    store.commit(batch).await.unwrap();
    let of = |prefix: &[u8]| {
        let rows = store.prefix::<ByBuyer>(prefix, 10).unwrap();
        rows.into_iter().map(|((_, id), ())| id).collect::<Vec<_>>()
    };
    assert_eq!(of(&"alice".to_owned().encode()), [2, 3]);
    assert_eq!(of(b"ali"), [1, 2, 3]);
    assert_eq!(of(b""), [1, 2, 3, 4]);
    assert_eq!(of(b"carol"), [0_u64; 0]);
}

async fn sizes_are_bounded(store: Store) {
    let mut batch = Batch::new();
    let fits = "x".repeat(MAX_VALUE_BYTES - 3);
    batch.put::<Payloads>(&vec![1], &fits).unwrap();
    let refused = batch.put::<Payloads>(&vec![2], &format!("{fits}x")).unwrap_err();
    assert_eq!(refused.code(), "value_too_large");
    store.commit(batch).await.unwrap();
    assert_eq!(store.get::<Payloads>(&vec![1]).unwrap(), Some(fits));

    let mut long = Batch::new();
    long.put::<Payloads>(&vec![1; MAX_KEY_BYTES], &String::new()).unwrap();
    assert_eq!(store.commit(long).await.unwrap_err().code(), "key_too_large");

    let mut many = Batch::new();
    for id in 0..=MAX_BATCH_OPS as u64 {
        many.delete::<Orders>(&id);
    }
    assert_eq!(store.commit(many).await.unwrap_err().code(), "batch_too_large");
}

async fn a_float_is_refused(_store: Store) {
    assert_eq!(Batch::new().put::<Rates>(&1, &0.5).unwrap_err().code(), "store_encode");
}

async fn a_row_of_another_shape_is_a_typed_error(store: Store) {
    struct Impostor;
    impl Table for Impostor {
        const NAME: &'static str = Orders::NAME;
        type Key = u64;
        type Value = String;
    }
    let mut batch = Batch::new();
    batch.put::<Impostor>(&1, &"not an order".to_owned()).unwrap();
    store.commit(batch).await.unwrap();
    assert_eq!(store.get::<Orders>(&1).unwrap_err().code(), "store_decode");
}

async fn a_closed_store_says_so(store: Store) {
    let clone = store.clone();
    store.shutdown().await.unwrap();
    assert_eq!(clone.get::<Orders>(&1).unwrap_err().code(), "store_closed");
    let mut batch = Batch::new();
    batch.delete::<Orders>(&1);
    assert_eq!(clone.commit(batch).await.unwrap_err().code(), "store_closed");
}

async fn an_export_moves_to_an_empty_store_only(store: Store) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("market.export");
    let mut batch = Batch::new();
    for id in 0..1_500 {
        batch.put::<Orders>(&id, &order("agreed", id)).unwrap();
    }
    batch.put::<Payloads>(&vec![0, 0xff, 0], &"zero bytes in the key".to_owned()).unwrap();
    store.commit(batch).await.unwrap();
    let written = store.export(&file).await.unwrap();
    assert_eq!(written.rows, 1_501);

    let other = Store::memory();
    assert_eq!(other.import(&file).await.unwrap(), written);
    assert_eq!(other.get::<Orders>(&1_499).unwrap(), Some(order("agreed", 1_499)));
    assert!(other.contains::<Payloads>(&vec![0, 0xff, 0]).unwrap());
    assert_eq!(other.import(&file).await.unwrap_err().code(), "store_not_empty");

    let whole = std::fs::read(&file).unwrap();
    for damage in [whole[..whole.len() - 1].to_vec(), whole[..whole.len() / 2].to_vec(), {
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        flipped
    }] {
        std::fs::write(&file, damage).unwrap();
        let fresh = Store::memory();
        assert_eq!(fresh.import(&file).await.unwrap_err().code(), "export_damaged");
        assert_eq!(fresh.count::<Orders>().unwrap(), 0);
    }
}

async fn verify_counts_every_row(store: Store) {
    let mut batch = Batch::new();
    for id in 0..1_000 {
        batch.put::<Orders>(&id, &order("agreed", id)).unwrap();
    }
    store.commit(batch).await.unwrap();
    let found = store.verify().await.unwrap();
    assert_eq!(found.tables, [("orders-1".to_owned(), 1_000)]);
    assert!(found.bytes > 8_000);
}

proptest! {
    #[test]
    fn encoded_keys_sort_as_the_keys_do(
        a in (any::<Vec<u8>>(), any::<String>(), any::<u64>()),
        b in (any::<Vec<u8>>(), any::<String>(), any::<u64>()),
    ) {
        prop_assert_eq!(a.encode().cmp(&b.encode()), a.cmp(&b));
        prop_assert_eq!(Key::decode(&a.encode()), Some(a));
    }

    #[test]
    fn decoding_a_key_never_panics(bytes: Vec<u8>) {
        if let Some(key) = <(String, Vec<u8>, bool)>::decode(&bytes) {
            prop_assert_eq!(key.encode(), bytes);
        }
    }
}
