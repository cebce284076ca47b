//! Checks of what an agent answered, field by field, for whoever wants to know every fault and not only that there is one.

use serde_json::Value;

use crate::{card::Fault, message, types::TaskState};

/// Checks a result of `SendMessage`, or an event of a stream: exactly one of task, message, status and artifact update,
/// with every required field (A2A section 4).
///
/// Paths begin at the result itself. None found is an empty list.
pub fn check(result: &Value) -> Vec<Fault> {
    let mut faults = Faults::default();
    let known = ["task", "message", "statusUpdate", "artifactUpdate"];
    let found: Vec<&str> =
        known.into_iter().filter(|kind| result.get(*kind).is_some_and(|value| !value.is_null())).collect();
    match found[..] {
        ["task"] => faults.task(&result["task"], "/task"),
        ["message"] => faults.message(&result["message"], "/message"),
        ["statusUpdate"] => faults.status_update(&result["statusUpdate"]),
        ["artifactUpdate"] => faults.artifact_update(&result["artifactUpdate"]),
        _ => faults.add("", "must hold exactly one of task, message, statusUpdate, artifactUpdate"),
    }
    faults.0
}

/// The state that a result tells, if it tells one.
pub fn state(result: &Value) -> Option<&str> {
    let told = result.pointer("/task/status/state").or_else(|| result.pointer("/statusUpdate/status/state"));
    told.and_then(Value::as_str)
}

/// The words of a result for people: its output, else what its status or message says.
pub fn text(result: &Value) -> Option<String> {
    let artifacts = result.pointer("/task/artifacts").and_then(Value::as_array).into_iter().flatten();
    let others = ["/artifactUpdate/artifact", "/message", "/task/status/message", "/statusUpdate/status/message"];
    let holders = artifacts.chain(others.into_iter().filter_map(|at| result.pointer(at)));
    holders
        .into_iter()
        .find_map(|holder| message::text_of(holder).or_else(|| message::data_of(holder).map(Value::to_string)))
}

#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, path: impl Into<String>, problem: &'static str) {
        self.0.push(Fault { path: path.into(), problem });
    }

    fn text(&mut self, holder: &Value, path: &str, key: &str) {
        if holder.get(key).and_then(Value::as_str).is_none_or(str::is_empty) {
            self.add(format!("{path}/{key}"), "must be a text that is not empty");
        }
    }

    fn parts(&mut self, holder: &Value, path: &str) {
        let parts = match holder.get("parts").and_then(Value::as_array) {
            Some(parts) if !parts.is_empty() => parts,
            _ => return self.add(format!("{path}/parts"), "must be a list that is not empty"),
        };
        for (n, part) in parts.iter().enumerate() {
            if let Err(problem) = message::check_part(part) {
                self.add(format!("{path}/parts/{n}"), problem);
            }
        }
    }

    fn message(&mut self, message: &Value, path: &str) {
        self.text(message, path, "messageId");
        if message.get("role").and_then(Value::as_str) != Some("ROLE_AGENT") {
            self.add(format!("{path}/role"), "must be ROLE_AGENT");
        }
        self.parts(message, path);
    }

    fn status(&mut self, status: Option<&Value>, path: &str) {
        let Some(status) = status.filter(|status| status.is_object()) else {
            return self.add(path, "is required and must be an object");
        };
        let state = status.get("state").and_then(|state| serde_json::from_value::<TaskState>(state.clone()).ok());
        if state.is_none_or(|state| state == TaskState::Unspecified) {
            self.add(format!("{path}/state"), "must be one of the states of A2A 1.0, such as TASK_STATE_COMPLETED");
        }
        if let Some(time) = status.get("timestamp").filter(|time| !time.is_null())
            && time.as_str().is_none_or(|time| !time.ends_with('Z') || !time.contains('T'))
        {
            self.add(format!("{path}/timestamp"), "must be a time in UTC such as 2026-01-31T12:00:00.000Z");
        }
        if let Some(said) = status.get("message").filter(|said| !said.is_null()) {
            self.message(said, &format!("{path}/message"));
        }
    }

    fn artifact(&mut self, artifact: &Value, path: &str) {
        self.text(artifact, path, "artifactId");
        self.parts(artifact, path);
    }

    fn task(&mut self, task: &Value, path: &str) {
        self.text(task, path, "id");
        self.status(task.get("status"), &format!("{path}/status"));
        match task.get("artifacts").filter(|artifacts| !artifacts.is_null()) {
            None => {}
            Some(Value::Array(artifacts)) => {
                for (n, artifact) in artifacts.iter().enumerate() {
                    self.artifact(artifact, &format!("{path}/artifacts/{n}"));
                }
            }
            Some(_) => self.add(format!("{path}/artifacts"), "must be a list"),
        }
    }

    fn status_update(&mut self, update: &Value) {
        for key in ["taskId", "contextId"] {
            self.text(update, "/statusUpdate", key);
        }
        self.status(update.get("status"), "/statusUpdate/status");
    }

    fn artifact_update(&mut self, update: &Value) {
        for key in ["taskId", "contextId"] {
            self.text(update, "/artifactUpdate", key);
        }
        self.artifact(update.get("artifact").unwrap_or(&Value::Null), "/artifactUpdate/artifact");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn places(result: &Value) -> Vec<String> {
        check(result).into_iter().map(|fault| fault.path).collect()
    }

    #[test]
    fn a_good_task_and_a_good_message_have_no_faults() {
        let task = json!({"task":{"id":"t","contextId":"c","status":{"state":"TASK_STATE_COMPLETED",
            "timestamp":"2026-11-20T15:04:23.924840Z"},"artifacts":[{"artifactId":"a","parts":[{"text":"5"}]}]}});
        assert_eq!(places(&task), [""; 0]);
        assert_eq!((state(&task), text(&task)), (Some("TASK_STATE_COMPLETED"), Some("5".to_owned())));
        let message = json!({"message":{"messageId":"m","role":"ROLE_AGENT","parts":[{"data":{"n":5}}]}});
        assert_eq!(places(&message), [""; 0]);
        assert_eq!((state(&message), text(&message)), (None, Some("{\"n\":5}".to_owned())));
    }

    #[test]
    fn every_fault_is_found_at_its_place() {
        assert_eq!(places(&json!({})), [""]);
        assert_eq!(places(&json!({"task":{},"message":{}})), [""]);
        let task = json!({"task":{"id":"","status":{"state":"completed","timestamp":"yesterday",
            "message":{"role":"agent","parts":[]}},"artifacts":[{"parts":[{"kind":"text"}]}]}});
        assert_eq!(
            places(&task),
            [
                "/task/id",
                "/task/status/state",
                "/task/status/timestamp",
                "/task/status/message/messageId",
                "/task/status/message/role",
                "/task/status/message/parts",
                "/task/artifacts/0/artifactId",
                "/task/artifacts/0/parts/0",
            ]
        );
        assert_eq!(places(&json!({"statusUpdate":{"taskId":"t","contextId":"c"}})), ["/statusUpdate/status"]);
        let update = json!({"artifactUpdate":{"taskId":"t","contextId":"c","artifact":{"artifactId":"a","parts":"x"}}});
        assert_eq!(places(&update), ["/artifactUpdate/artifact/parts"]);
    }
}
