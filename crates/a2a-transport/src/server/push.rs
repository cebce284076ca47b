//! Push notifications: which webhooks follow which task, and telling them.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use haggle_a2a::{A2aError, Kind, VERSION, event, message::MAX_ID_BYTES, params::A2A_VERSION};
use haggle_base::Did;
use haggle_store::{Batch, Store, tables};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Context, Server, hub::Ear, no_push};
use crate::{
    guarded::{self, Reach},
    id,
    records::{Owner, storage},
};

/// Most webhooks of one task.
const PER_TASK: usize = 8;
/// Most webhooks of one caller.
const PER_CALLER: usize = 256;
/// Most webhooks.
const ALL: usize = 4096;
/// Longest token, scheme or credentials, in bytes.
const MAX_SECRET_BYTES: usize = 1024;
/// Rows read at a time when the store is opened.
const PAGE: usize = 256;
/// Longest time one delivery may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often an event is delivered before it is given up.
const TRIES: u32 = 5;
/// The wait after the first failure; doubled each time.
const BACKOFF: Duration = Duration::from_millis(500);
/// The header with the caller's token, as the Python SDK has it, and as the Rust one has it.
const TOKEN_HEADERS: [HeaderName; 2] =
    [HeaderName::from_static("x-a2a-notification-token"), HeaderName::from_static("a2a-notification-token")];

tables! {
    Webhooks = "a2a-webhooks-1": String => Row;
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Row {
    agent: Did,
    root: String,
    scope: String,
    task: String,
    config: String,
    url: String,
    token: String,
    scheme: String,
    credentials: String,
}

/// All webhooks, by task and by their own id.
#[derive(Debug)]
pub(super) struct Pushes {
    store: Store,
    reach: Reach,
    held: Mutex<HashMap<String, BTreeMap<String, Arc<Row>>>>,
}

impl Row {
    fn key(&self) -> String {
        format!("{}/{}", self.task, self.config)
    }

    fn owner(&self) -> Owner {
        Owner { agent: self.agent, root: self.root.clone(), scope: self.scope.clone() }
    }

    fn is_of(&self, owner: &Owner) -> bool {
        self.agent == owner.agent && self.scope == owner.scope
    }

    fn to_json(&self) -> Value {
        let mut config = Map::new();
        for (name, value) in [("id", &self.config), ("taskId", &self.task), ("url", &self.url), ("token", &self.token)]
        {
            if !value.is_empty() {
                config.insert(name.to_owned(), json!(value));
            }
        }
        if !self.scheme.is_empty() {
            let mut authentication = json!({ "scheme": self.scheme });
            if let (false, Some(map)) = (self.credentials.is_empty(), authentication.as_object_mut()) {
                map.insert("credentials".to_owned(), json!(self.credentials));
            }
            config.insert("authentication".to_owned(), authentication);
        }
        Value::Object(config)
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(HeaderName::from_static("a2a-version"), HeaderValue::from_static(VERSION));
        debug_assert!(A2A_VERSION.eq_ignore_ascii_case("a2a-version"));
        let mut put = |name: HeaderName, text: &str| {
            // what cannot be a header was refused when the webhook was made
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(name, value);
            }
        };
        if !self.scheme.is_empty() {
            put(header::AUTHORIZATION, format!("{} {}", self.scheme, self.credentials).trim_end());
        }
        if !self.token.is_empty() {
            TOKEN_HEADERS.into_iter().for_each(|name| put(name, &self.token));
        }
        headers
    }
}

impl Pushes {
    /// Reads the webhooks that are stored.
    pub(super) fn open(store: Store, reach: Reach) -> Result<Self, A2aError> {
        let mut held: HashMap<String, BTreeMap<String, Arc<Row>>> = HashMap::new();
        let mut from: Option<String> = None;
        loop {
            let bound = from.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let page = store.range::<Webhooks>(bound, PAGE).map_err(|error| storage(&error))?;
            let Some((last, _)) = page.last() else { break };
            from = Some(last.clone());
            for (_, row) in page {
                held.entry(row.task.clone()).or_default().insert(row.config.clone(), Arc::new(row));
            }
        }
        Ok(Self { store, reach, held: Mutex::new(held) })
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<String, BTreeMap<String, Arc<Row>>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, task: &str, config: &str) -> Option<Arc<Row>> {
        self.held().get(task)?.get(config).cloned()
    }

    fn of_task(&self, task: &str) -> Vec<Arc<Row>> {
        self.held().get(task).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    fn tasks(&self) -> Vec<(String, Owner)> {
        let held = self.held();
        held.iter().filter_map(|(task, rows)| Some((task.clone(), rows.values().next()?.owner()))).collect()
    }

    /// Whether there is room for one more of this caller at this task.
    fn has_room(&self, row: &Row) -> bool {
        let held = self.held();
        let (mut all, mut own) = (0, 0);
        for other in held.values().flat_map(BTreeMap::values) {
            all += 1;
            own += usize::from(other.root == row.root);
        }
        let here = held.get(&row.task).map_or(0, BTreeMap::len);
        here < PER_TASK && own < PER_CALLER && all < ALL
    }

    async fn put(&self, row: Row) -> Result<Arc<Row>, A2aError> {
        let mut batch = Batch::new();
        batch.put::<Webhooks>(&row.key(), &row).map_err(|error| storage(&error))?;
        self.store.commit(batch).await.map_err(|error| storage(&error))?;
        let row = Arc::new(row);
        self.held().entry(row.task.clone()).or_default().insert(row.config.clone(), Arc::clone(&row));
        Ok(row)
    }

    /// Forgets webhooks; those that are not there are forgotten already.
    async fn remove(&self, rows: &[Arc<Row>]) -> Result<(), A2aError> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        for row in rows {
            batch.delete::<Webhooks>(&row.key());
        }
        self.store.commit(batch).await.map_err(|error| storage(&error))?;
        let mut held = self.held();
        for row in rows {
            if let Some(of_task) = held.get_mut(&row.task) {
                of_task.remove(&row.config);
                if of_task.is_empty() {
                    held.remove(&row.task);
                }
            }
        }
        Ok(())
    }
}

impl Server {
    /// Makes a webhook for a task of the caller's.
    pub(super) async fn create_push(&self, context: &Context<'_>, body: &Value) -> Result<Value, A2aError> {
        check_enabled(context)?;
        let task = text(body, "taskId")?;
        if !self.knows_task(task, &context.owner)? {
            return Err(A2aError::task_not_found(task));
        }
        let row = self.webhook(context, task, body, "")?;
        let ear = self.shared.hub.listen(task);
        let row = self.add_webhook(row).await?;
        self.push_to(Arc::clone(&row), ear);
        Ok(row.to_json())
    }

    /// Makes the webhook that comes with a message, for its task, before any work on it begins.
    pub(super) async fn push_with(&self, context: &Context<'_>, task: &str, body: &Value) -> Result<(), A2aError> {
        let Some(config) = body.pointer("/configuration/taskPushNotificationConfig").filter(|held| !held.is_null())
        else {
            return Ok(());
        };
        check_enabled(context)?;
        let row = self.webhook(context, task, config, "configuration.taskPushNotificationConfig.")?;
        let ear = self.shared.hub.listen(task);
        let row = self.add_webhook(row).await?;
        self.push_to(row, ear);
        Ok(())
    }

    /// One webhook.
    pub(super) fn get_push(&self, context: &Context<'_>, body: &Value) -> Result<Value, A2aError> {
        check_enabled(context)?;
        let (task, config) = (text(body, "taskId")?, text(body, "id")?);
        let row = self.shared.pushes.get(task, config).filter(|row| row.is_of(&context.owner));
        // The standard has no error of its own for it: it hides behind its task.
        row.map(|row| row.to_json()).ok_or_else(|| A2aError::task_not_found(task).with("configId", config))
    }

    /// All webhooks of a task; there are few, so they fit one page.
    pub(super) fn list_pushes(&self, context: &Context<'_>, body: &Value) -> Result<Value, A2aError> {
        check_enabled(context)?;
        let task = text(body, "taskId")?;
        if !self.knows_task(task, &context.owner)? {
            return Err(A2aError::task_not_found(task));
        }
        let rows = self.shared.pushes.of_task(task);
        let configs: Vec<Value> =
            rows.iter().filter(|row| row.is_of(&context.owner)).map(|row| row.to_json()).collect();
        Ok(json!({ "configs": configs, "nextPageToken": "" }))
    }

    /// Forgets a webhook. One that is not there is forgotten already.
    pub(super) async fn delete_push(&self, context: &Context<'_>, body: &Value) -> Result<Value, A2aError> {
        check_enabled(context)?;
        let (task, config) = (text(body, "taskId")?, text(body, "id")?);
        if !self.knows_task(task, &context.owner)? {
            return Err(A2aError::task_not_found(task));
        }
        let row = self.shared.pushes.get(task, config).filter(|row| row.is_of(&context.owner));
        self.shared.pushes.remove(&row.into_iter().collect::<Vec<_>>()).await?;
        Ok(json!({}))
    }

    /// After a restart: goes on telling of tasks that are still open, and forgets webhooks of those that are not.
    pub(super) async fn resume_pushes(&self) -> Result<(), A2aError> {
        for (task, owner) in self.shared.pushes.tasks() {
            let open = self.shared.shelf.get(&task, &owner)?.is_some_and(|stored| !stored.task.state().is_terminal());
            let rows = self.shared.pushes.of_task(&task);
            if open {
                rows.into_iter().for_each(|row| self.push_to(row, self.shared.hub.listen(&task)));
            } else {
                self.shared.pushes.remove(&rows).await?;
            }
        }
        Ok(())
    }

    fn knows_task(&self, task: &str, owner: &Owner) -> Result<bool, A2aError> {
        Ok(self.shared.live.get(task, owner).is_some() || self.shared.shelf.get(task, owner)?.is_some())
    }

    fn webhook(&self, context: &Context<'_>, task: &str, body: &Value, at: &str) -> Result<Row, A2aError> {
        let field = |name: &str| format!("{at}{name}");
        let url = optional(body, "url", &field("url"), usize::MAX)?;
        guarded::target(&url, &field("url"), self.shared.pushes.reach)?;
        let mut config = optional(body, "id", &field("id"), MAX_ID_BYTES)?;
        if config.is_empty() {
            config = id::random()?;
        }
        let authentication = body.get("authentication").cloned().unwrap_or_default();
        let owner = &context.owner;
        Ok(Row {
            agent: owner.agent,
            root: owner.root.clone(),
            scope: owner.scope.clone(),
            task: task.to_owned(),
            config,
            url,
            token: optional(body, "token", &field("token"), MAX_SECRET_BYTES)?,
            scheme: optional(&authentication, "scheme", &field("authentication.scheme"), MAX_SECRET_BYTES)?,
            credentials: optional(
                &authentication,
                "credentials",
                &field("authentication.credentials"),
                MAX_SECRET_BYTES,
            )?,
        })
    }

    async fn add_webhook(&self, row: Row) -> Result<Arc<Row>, A2aError> {
        let is_new = self.shared.pushes.get(&row.task, &row.config).is_none();
        if is_new && !self.shared.pushes.has_room(&row) {
            return Err(A2aError::new(Kind::Busy, "too many webhooks: delete some first"));
        }
        self.shared.pushes.put(row).await
    }

    /// Tells a webhook what happens to its task, one event after the other, until the task or the webhook is gone.
    fn push_to(&self, row: Arc<Row>, mut ear: Ear) {
        let server = self.clone();
        tokio::spawn(async move {
            while let Some(heard) = ear.next().await {
                let event = match heard {
                    Ok(event) => event,
                    Err(_) => match server.now(&row) {
                        Some(task) => Arc::new(event::task(task)),
                        None => return,
                    },
                };
                // Replaced or deleted meanwhile: whoever replaced it listens too.
                let stands =
                    server.shared.pushes.get(&row.task, &row.config).is_some_and(|held| Arc::ptr_eq(&held, &row));
                if !stands {
                    return;
                }
                server.deliver(&row, &event).await;
                let is_over =
                    event.get("message").is_some() || event::state(&event).is_some_and(|state| state.is_terminal());
                if is_over {
                    return;
                }
            }
        });
    }

    /// The task as it is on disk, for a webhook that is too far behind.
    fn now(&self, row: &Row) -> Option<Value> {
        let stored = self.shared.shelf.get(&row.task, &row.owner()).ok()??;
        super::tasks::result(stored.task, Some(0)).ok()
    }

    async fn deliver(&self, row: &Row, event: &Value) {
        let reach = self.shared.pushes.reach;
        let Ok(target) = guarded::target(&row.url, "url", reach) else { return };
        let body = Bytes::from(event.to_string());
        let mut wait = BACKOFF;
        for attempt in 1..=TRIES {
            let Ok(_turn) = self.shared.deliveries.acquire().await else { return };
            match guarded::post(&target, row.headers(), body.clone(), reach, PATIENCE).await {
                Ok(200..=299) => return,
                // The receiver has understood, and does not want it.
                Ok(status @ (400..=407 | 409..=428 | 430..=499)) => {
                    tracing::info!(
                        task.id = row.task,
                        http.status = status,
                        "the webhook of task {} answered {status}",
                        row.task
                    );
                    return;
                }
                Ok(status) => {
                    tracing::debug!(task.id = row.task, http.status = status, attempt, "a webhook answered {status}");
                }
                Err(error) if error.kind() == Kind::Refused => {
                    tracing::info!(task.id = row.task, error = %error, "the webhook of task {} is not called: {error}", row.task);
                    return;
                }
                Err(error) => {
                    tracing::debug!(task.id = row.task, error = %error, attempt, "a webhook was not reached: {error}");
                }
            }
            drop(_turn);
            if attempt < TRIES {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
        }
        tracing::info!(task.id = row.task, "the webhook of task {} was not told of an event", row.task);
    }
}

fn check_enabled(context: &Context<'_>) -> Result<(), A2aError> {
    match context.served.card.pointer("/capabilities/pushNotifications").and_then(Value::as_bool) {
        Some(true) => Ok(()),
        _ => Err(no_push()),
    }
}

fn text<'a>(body: &'a Value, name: &str) -> Result<&'a str, A2aError> {
    let held = body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    held.ok_or_else(|| A2aError::invalid_params(name, "is required and must be a text"))
}

/// A text that can stand in a header; absent is empty.
fn optional(body: &Value, name: &str, field: &str, most: usize) -> Result<String, A2aError> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) if text.len() <= most && text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) => {
            Ok(text.clone())
        }
        Some(_) => Err(A2aError::invalid_params(field, "must be a short text of visible ASCII characters")),
    }
}
