//! `bazaar`: how a resource is called, so that a discovery service can list it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{DIALECT, set};
use crate::{PaymentRequirements, X402Version};

/// The extension's key.
pub const KEY: &str = "bazaar";

/// How a resource is called over HTTP with a JSON body, and what it answers.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpCall {
    /// `POST`, `PUT` or `PATCH`.
    pub method: &'static str,
    /// An example of the body.
    pub body: Value,
    /// JSON schema of the body, if there is one.
    pub body_schema: Option<Value>,
    /// An example of the answer, if there is one.
    pub output: Option<Value>,
}

/// Says in a 402 answer how the resource is called.
pub fn announce(rest: &mut Map<String, Value>, call: &HttpCall) {
    let mut info = json!({
        "input": { "type": "http", "method": call.method, "bodyType": "json", "body": call.body },
    });
    if let Some(example) = &call.output {
        info["output"] = json!({ "type": "json", "example": example });
    }
    let body = call.body_schema.clone().unwrap_or_else(|| json!({}));
    let schema = json!({
        "$schema": DIALECT,
        "type": "object",
        "properties": {
            "input": {
                "type": "object",
                "properties": {
                    "type": { "type": "string", "const": "http" },
                    "method": { "type": "string", "enum": [call.method] },
                    "bodyType": { "type": "string", "enum": ["json", "form-data", "text"] },
                    "body": body,
                    "queryParams": { "type": "object", "additionalProperties": { "type": "string" } },
                    "headers": { "type": "object", "additionalProperties": { "type": "string" } },
                },
                "required": ["type", "method", "bodyType", "body"],
                "additionalProperties": false,
            },
            "output": {
                "type": "object",
                "properties": { "type": { "type": "string" }, "example": {} },
                "required": ["type"],
            },
        },
        "required": ["input"],
    });
    set(rest, KEY, info, Some(schema));
}

/// One row of `GET /discovery/resources`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiscoveredResource {
    /// Its URL.
    pub resource: Box<str>,
    /// `http` or `mcp`.
    #[serde(rename = "type")]
    pub kind: Box<str>,
    /// Always 2.
    pub x402_version: X402Version,
    /// Ways to pay.
    pub accepts: Vec<PaymentRequirements>,
    /// When it was last seen, in RFC 3339.
    pub last_updated: Box<str>,
    /// Everything else, as it came (`extensions`, `metadata` ...).
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Which part of the list an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Rows asked for at most.
    pub limit: u64,
    /// Rows before this answer's first.
    pub offset: u64,
    /// Rows in all.
    pub total: u64,
}

/// The answer to `GET /discovery/resources`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiscoveryResponse {
    /// Always 2.
    pub x402_version: X402Version,
    /// The rows.
    pub items: Vec<DiscoveredResource>,
    /// Which rows.
    pub pagination: Page,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}
