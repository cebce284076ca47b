//! What a table is, and the one table of our own that carries the schema version.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::Key;

/// Largest encoded value in bytes. sled turns pages of large values into files it leaks, so
/// anything larger goes to [`crate::Blobs`].
pub const MAX_VALUE_BYTES: usize = 7 * 1024;

/// Version of the layout this build writes. A store with a higher `min_reader` is refused.
pub const SCHEMA_VERSION: u32 = 1;

/// A typed tree, versioned by its name.
pub trait Table {
    /// Name with version, for example `orders-1`. A changed value layout gets a new name.
    const NAME: &'static str;
    /// Key type; its bytes sort as the keys do.
    type Key: Key;
    /// Value type, stored as canonical CBOR.
    type Value: Serialize + DeserializeOwned;
}

/// Declares [`Table`]s, a line each: visibility, type, name with version, key and value.
///
/// ```
/// haggle_store::tables! {
///     /// Prices by listing.
///     pub(crate) Prices = "prices-1": u64 => String;
///     /// Listings by price.
///     ByPrice = "listings-by-price-1": (String, u64) => ();
/// }
/// # assert_eq!(<Prices as haggle_store::Table>::NAME, "prices-1");
/// # assert_eq!(<ByPrice as haggle_store::Table>::NAME, "listings-by-price-1");
/// ```
#[macro_export]
macro_rules! tables {
    ($($(#[$about:meta])* $vis:vis $table:ident = $name:literal: $key:ty => $value:ty;)+) => {$(
        $(#[$about])*
        #[derive(Debug)]
        $vis struct $table;

        impl $crate::Table for $table {
            const NAME: &'static str = $name;
            type Key = $key;
            type Value = $value;
        }
    )+};
}

/// Rows of a table, key and value, in the order they were asked for.
pub type Rows<T> = Vec<(<T as Table>::Key, <T as Table>::Value)>;

crate::tables! {
    /// The table of facts about the store itself.
    pub(crate) Meta = "meta": String => Schema;
}

/// Key of the one row of [`Meta`].
pub(crate) const SCHEMA_KEY: &str = "schema";

/// Which layout a store or an export has, and who may read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Schema {
    /// Layout version.
    pub(crate) format: u32,
    /// Program that created it.
    pub(crate) created_by: String,
    /// Lowest layout version a reader must know.
    pub(crate) min_reader: u32,
}

impl Schema {
    /// What this build writes.
    pub(crate) fn current() -> Self {
        Self {
            format: SCHEMA_VERSION,
            created_by: concat!("haggle-store ", env!("CARGO_PKG_VERSION")).to_owned(),
            min_reader: SCHEMA_VERSION,
        }
    }
}
