//! Extensions of x402 objects: a key in `extensions` with its `info`, and a JSON schema of that info.

use serde_json::{Map, Value};

pub mod bazaar;
pub mod offer_receipt;
pub mod payment_identifier;

/// Where the extensions of an object stand.
const KEY: &str = "extensions";

/// The info of an extension, if the object carries it. `rest` is the object's field of that name.
#[must_use]
pub fn info<'a>(rest: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    rest.get(KEY)?.get(key)?.get("info")
}

/// Adds an extension to an object, or puts another in its place. Others are left as they are.
pub fn set(rest: &mut Map<String, Value>, key: &str, info: Value, schema: Option<Value>) {
    let parts = [("info", Some(info)), ("schema", schema)];
    let extension = parts.into_iter().filter_map(|(name, part)| Some((name.to_owned(), part?))).collect();
    let all = rest.entry(KEY).or_insert_with(|| Value::Object(Map::new()));
    if !all.is_object() {
        *all = Value::Object(Map::new());
    }
    if let Some(all) = all.as_object_mut() {
        all.insert(key.to_owned(), Value::Object(extension));
    }
}

/// The name of the schemas' dialect.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
