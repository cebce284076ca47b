//! `ListTasks`: which tasks are wanted, and the cursor that goes from page to page (A2A section 3.1.4).

use haggle_base::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    A2aError,
    message::MAX_ID_BYTES,
    types::{TaskState, TaskStatus},
};

/// Tasks on a page when the caller does not say.
pub const DEFAULT_PAGE: usize = 50;
/// Most tasks on a page.
pub const MAX_PAGE: usize = 100;

/// What a caller wants to see of its tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct ListQuery {
    /// Only those of this conversation.
    pub context: Option<String>,
    /// Only those in this state.
    pub state: Option<TaskState>,
    /// Most on this page, 1 to [`MAX_PAGE`].
    pub page_size: usize,
    /// Where the page before ended.
    pub after: Option<Cursor>,
    /// Messages of history with each task; `None` means all.
    pub history: Option<usize>,
    /// Only those whose status changed at this time or later.
    pub changed_since: Option<Timestamp>,
    /// Whether artifacts are shown.
    pub artifacts: bool,
}

/// The place of a task in the list: newest status first, then by id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// When its status changed.
    pub changed: Timestamp,
    /// Its id.
    pub id: String,
}

impl Cursor {
    /// The token that a caller gives back; opaque to it.
    pub fn to_token(&self) -> String {
        format!("{}.{}", self.changed.as_millis(), self.id)
    }

    fn from_token(token: &str) -> Option<Self> {
        let (millis, id) = token.split_once('.')?;
        let fits = !id.is_empty() && id.len() <= MAX_ID_BYTES;
        fits.then_some(())?;
        Some(Self { changed: Timestamp::from_millis(millis.parse().ok()?), id: id.to_owned() })
    }
}

impl ListQuery {
    /// Reads the parameters of a request. Empty texts count as absent, as ProtoJSON has it.
    ///
    /// # Errors
    /// [`Kind::InvalidParams`](crate::Kind::InvalidParams) naming the field.
    pub fn parse(params: &Value) -> Result<Self, A2aError> {
        let page_size = match field(params, "pageSize") {
            None => DEFAULT_PAGE,
            Some(size) => size
                .as_u64()
                .and_then(|size| usize::try_from(size).ok())
                .filter(|size| (1..=MAX_PAGE).contains(size))
                .ok_or_else(|| A2aError::invalid_params("pageSize", "must be 1 to 100"))?,
        };
        let after = match text(params, "pageToken")? {
            None => None,
            Some(token) => Some(
                Cursor::from_token(token)
                    .ok_or_else(|| A2aError::invalid_params("pageToken", "is not one that this server gave"))?,
            ),
        };
        let state = match text(params, "status")? {
            None => None,
            Some(name) => match serde_json::from_value(json!(name)) {
                Ok(TaskState::Unspecified) => None,
                Ok(state) => Some(state),
                Err(_) => return Err(A2aError::invalid_params("status", "is no task state of A2A 1.0")),
            },
        };
        let changed_since = match text(params, "statusTimestampAfter")? {
            None => None,
            Some(time) => Some(
                time_of(time)
                    .ok_or_else(|| A2aError::invalid_params("statusTimestampAfter", "must be an RFC 3339 time"))?,
            ),
        };
        let artifacts = match field(params, "includeArtifacts") {
            None => false,
            Some(Value::Bool(shown)) => *shown,
            Some(_) => return Err(A2aError::invalid_params("includeArtifacts", "must be true or false")),
        };
        let history = match field(params, "historyLength") {
            None => None,
            Some(length) => Some(
                length
                    .as_u64()
                    .and_then(|length| usize::try_from(length).ok())
                    .ok_or_else(|| A2aError::invalid_params("historyLength", "must be a whole number, not negative"))?,
            ),
        };
        let context = text(params, "contextId")?.map(str::to_owned);
        Ok(Self { context, state, page_size, after, history, changed_since, artifacts })
    }
}

/// One page as A2A JSON: the tasks, where the next page begins, and how many there are in all.
pub fn page(tasks: Vec<Value>, next: Option<&Cursor>, page_size: usize, total: usize) -> Value {
    let mut page = Map::new();
    page.insert("tasks".to_owned(), Value::Array(tasks));
    page.insert("nextPageToken".to_owned(), json!(next.map(Cursor::to_token).unwrap_or_default()));
    page.insert("pageSize".to_owned(), json!(page_size));
    page.insert("totalSize".to_owned(), json!(total));
    Value::Object(page)
}

/// Reads an RFC 3339 time, as the official types read a status.
fn time_of(text: &str) -> Option<Timestamp> {
    let status: TaskStatus =
        serde_json::from_value(json!({ "state": "TASK_STATE_WORKING", "timestamp": text })).ok()?;
    let millis = status.timestamp?.timestamp_millis();
    u64::try_from(millis).ok().map(Timestamp::from_millis)
}

fn field<'a>(params: &'a Value, name: &str) -> Option<&'a Value> {
    params.get(name).filter(|value| !value.is_null())
}

fn text<'a>(params: &'a Value, name: &str) -> Result<Option<&'a str>, A2aError> {
    match field(params, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(A2aError::invalid_params(name, "must be a text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn nothing_asked_is_the_first_fifty() {
        let query = ListQuery::parse(&json!({"contextId": "", "pageToken": ""})).unwrap();
        assert_eq!((query.page_size, query.after, query.context), (50, None, None));
        assert!(!query.artifacts);
    }

    #[test]
    fn times_are_read_with_and_without_an_offset() {
        for (text, millis) in [("1970-01-01T00:00:01.5Z", 1_500), ("1970-01-01T01:00:01+01:00", 1_000)] {
            let query = ListQuery::parse(&json!({ "statusTimestampAfter": text })).unwrap();
            assert_eq!(query.changed_since, Some(Timestamp::from_millis(millis)));
        }
    }

    #[test]
    fn a_token_leads_back_to_its_place() {
        let place = Cursor { changed: Timestamp::from_millis(1_795_000_000_123), id: "t.1".to_owned() };
        let query = ListQuery::parse(&json!({"pageToken": place.to_token()})).unwrap();
        assert_eq!(query.after, Some(place.clone()));
        assert_eq!(page(Vec::new(), Some(&place), 1, 7)["nextPageToken"], "1795000000123.t.1");
        assert_eq!(page(Vec::new(), None, 1, 7)["nextPageToken"], "");
    }

    #[test]
    fn each_wrong_field_is_named() {
        for (field, value) in [
            ("pageSize", json!(0)),
            ("pageSize", json!(101)),
            ("pageSize", json!("ten")),
            ("pageToken", json!("nonsense")),
            ("pageToken", json!("x.t")),
            ("status", json!("working")),
            ("statusTimestampAfter", json!("yesterday")),
            ("includeArtifacts", json!("yes")),
            ("historyLength", json!(-1)),
            ("contextId", json!(3)),
        ] {
            let error = ListQuery::parse(&json!({ field: value })).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidParams);
            assert!(error.to_json().to_string().contains(field), "{field}");
        }
    }
}
