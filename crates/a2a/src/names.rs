//! Field names as ProtoJSON takes them: lowerCamelCase, or the name in the schema (ProtoJSON guide, "Field names").
//!
//! Only fields that A2A 1.0 has are known by both names; what people put into `metadata` and `data` is theirs.

use serde_json::{Map, Value};

/// Schema names of request fields, and what they are called here.
const FIELDS: [(&str, &str); 14] = [
    ("accepted_output_modes", "acceptedOutputModes"),
    ("context_id", "contextId"),
    ("history_length", "historyLength"),
    ("include_artifacts", "includeArtifacts"),
    ("media_type", "mediaType"),
    ("message_id", "messageId"),
    ("page_size", "pageSize"),
    ("page_token", "pageToken"),
    ("reference_task_ids", "referenceTaskIds"),
    ("return_immediately", "returnImmediately"),
    ("status_timestamp_after", "statusTimestampAfter"),
    ("task_id", "taskId"),
    ("task_push_notification_config", "taskPushNotificationConfig"),
    ("push_notification_config", "taskPushNotificationConfig"),
];

/// Gives the fields of a request's parameters the names that the rest of haggle knows. A field that is there under both
/// names keeps the lowerCamelCase one.
pub fn accept_schema_names(params: &mut Value) {
    let Value::Object(params) = params else { return };
    rename(params);
    if let Some(Value::Object(configuration)) = params.get_mut("configuration") {
        rename(configuration);
        if let Some(Value::Object(push)) = configuration.get_mut("taskPushNotificationConfig") {
            rename(push);
        }
    }
    let Some(Value::Object(message)) = params.get_mut("message") else { return };
    rename(message);
    if let Some(Value::Array(parts)) = message.get_mut("parts") {
        parts.iter_mut().filter_map(Value::as_object_mut).for_each(rename);
    }
}

fn rename(fields: &mut Map<String, Value>) {
    if fields.keys().all(|name| !name.contains('_')) {
        return;
    }
    for (schema, known) in FIELDS {
        if let Some(value) = fields.remove(schema) {
            fields.entry(known).or_insert(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_names_of_a_field_are_understood_wherever_it_stands() {
        let mut params = json!({
            "message": {
                "message_id": "m", "task_id": "t", "reference_task_ids": ["r"],
                "parts": [{ "text": "x", "media_type": "text/plain" }],
            },
            "configuration": {
                "return_immediately": true, "history_length": 2, "accepted_output_modes": ["text/plain"],
                "task_push_notification_config": { "task_id": "t", "url": "http://x" },
            },
        });
        accept_schema_names(&mut params);
        assert_eq!(
            params,
            json!({
                "message": {
                    "messageId": "m", "taskId": "t", "referenceTaskIds": ["r"],
                    "parts": [{ "text": "x", "mediaType": "text/plain" }],
                },
                "configuration": {
                    "returnImmediately": true, "historyLength": 2, "acceptedOutputModes": ["text/plain"],
                    "taskPushNotificationConfig": { "taskId": "t", "url": "http://x" },
                },
            })
        );
    }

    #[test]
    fn what_people_named_themselves_keeps_its_name() {
        let untouched = json!({
            "metadata": { "task_id": 1 },
            "message": { "metadata": { "page_size": 1 }, "parts": [{ "data": { "message_id": 1 } }] },
        });
        let mut params = untouched.clone();
        accept_schema_names(&mut params);
        assert_eq!(params, untouched);
        let mut twice = json!({ "task_id": "schema", "taskId": "known" });
        accept_schema_names(&mut twice);
        assert_eq!(twice, json!({ "taskId": "known" }));
        accept_schema_names(&mut json!([1]));
    }
}
