//! Push notifications: webhooks that follow a task of their caller's.

use std::sync::Arc;

use haggle_a2a::{A2aError, Kind, message::MAX_ID_BYTES};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Context, Server};
use crate::{guarded, id, records::Owner};

mod book;
mod telling;

pub(super) use book::Pushes;
pub(super) use telling::Turns;

use book::Row;

/// Longest token, scheme or credentials, in bytes.
const MAX_SECRET_BYTES: usize = 1024;
/// Where a message carries its webhook.
const WITH_MESSAGE: &str = "configuration.taskPushNotificationConfig.";

/// A webhook as a caller asked for it, for a task that may not be there yet.
#[derive(Debug)]
pub(super) struct Wanted {
    config: String,
    url: String,
    token: String,
    scheme: String,
    credentials: String,
}

impl Server {
    /// Makes a webhook for a task of the caller's.
    pub(super) async fn create_push(&self, context: &Context<'_>, body: &Value) -> Result<Value, A2aError> {
        let task = self.task_of(context, body)?;
        let row = self.wanted(body, "")?.of(task, &context.owner);
        Ok(self.hook(row).await?.to_json())
    }

    /// The webhook that comes with a message, judged before anything is done.
    pub(super) fn webhook_with(&self, context: &Context<'_>, body: &Value) -> Result<Option<Wanted>, A2aError> {
        match body.pointer("/configuration/taskPushNotificationConfig").filter(|config| !config.is_null()) {
            None => Ok(None),
            Some(config) => {
                check_enabled(context)?;
                self.wanted(config, WITH_MESSAGE).map(Some)
            }
        }
    }

    /// Makes the webhook that came with a message, before any work on the task begins.
    pub(super) async fn hook_up(&self, wanted: Option<Wanted>, task: &str, owner: &Owner) -> Result<(), A2aError> {
        if let Some(wanted) = wanted {
            self.hook(wanted.of(task, owner)).await?;
        }
        Ok(())
    }

    /// One webhook.
    pub(super) fn get_push(&self, context: &Context<'_>, body: &Value) -> Result<Value, A2aError> {
        let task = self.task_of(context, body)?;
        let config = text(body, "id")?;
        let row = self.shared.pushes.get(task, config).filter(|row| row.is_of(&context.owner));
        // The standard has no error of its own for it: it is as hidden as a task.
        row.map(|row| row.to_json()).ok_or_else(|| A2aError::task_not_found(task).with("configId", config))
    }

    /// All webhooks of a task; there are few, so they fit one page.
    pub(super) fn list_pushes(&self, context: &Context<'_>, body: &Value) -> Result<Value, A2aError> {
        let rows = self.shared.pushes.of_task(self.task_of(context, body)?);
        let own = rows.iter().filter(|row| row.is_of(&context.owner));
        let configs: Vec<Value> = own.map(|row| row.to_json()).collect();
        Ok(json!({ "configs": configs, "nextPageToken": "" }))
    }

    /// Forgets a webhook. One that is not there is forgotten already.
    pub(super) async fn delete_push(&self, context: &Context<'_>, body: &Value) -> Result<Value, A2aError> {
        let task = self.task_of(context, body)?;
        let row = self.shared.pushes.get(task, text(body, "id")?).filter(|row| row.is_of(&context.owner));
        self.shared.pushes.remove(row.into_iter().collect()).await?;
        Ok(json!({}))
    }

    /// The task that an operation on webhooks names, if it is the caller's.
    fn task_of<'a>(&self, context: &Context<'_>, body: &'a Value) -> Result<&'a str, A2aError> {
        check_enabled(context)?;
        let task = text(body, "taskId")?;
        let is_known = self.shared.live.get(task, &context.owner).is_some()
            || self.shared.shelf.get(task, &context.owner)?.is_some();
        if is_known { Ok(task) } else { Err(A2aError::task_not_found(task)) }
    }

    fn wanted(&self, body: &Value, at: &str) -> Result<Wanted, A2aError> {
        let field = |name: &str| format!("{at}{name}");
        let secret = |held: &Value, name: &str, at: &str| optional(held, name, &field(at), MAX_SECRET_BYTES);
        let url = optional(body, "url", &field("url"), usize::MAX)?;
        guarded::target(&url, &field("url"), self.shared.limits.webhooks)?;
        let mut config = optional(body, "id", &field("id"), MAX_ID_BYTES)?;
        if config.is_empty() {
            config = id::random()?;
        }
        let authentication = body.get("authentication").unwrap_or(&Value::Null);
        Ok(Wanted {
            config,
            url,
            token: secret(body, "token", "token")?,
            scheme: secret(authentication, "scheme", "authentication.scheme")?,
            credentials: secret(authentication, "credentials", "authentication.credentials")?,
        })
    }

    /// Stores a webhook and begins to tell it, from this moment on.
    async fn hook(&self, row: Row) -> Result<Arc<Row>, A2aError> {
        let ear = self.shared.hub.listen(&row.task);
        let row = self.shared.pushes.put(row).await?;
        self.tell_from_now(Arc::clone(&row), ear);
        Ok(row)
    }
}

impl Wanted {
    fn of(self, task: &str, owner: &Owner) -> Row {
        Row {
            agent: owner.agent,
            root: owner.root.clone(),
            scope: owner.scope.clone(),
            task: task.to_owned(),
            config: self.config,
            url: self.url,
            token: self.token,
            scheme: self.scheme,
            credentials: self.credentials,
            is_over: false,
            gone: CancellationToken::new(),
        }
    }
}

fn check_enabled(context: &Context<'_>) -> Result<(), A2aError> {
    match context.served.card.pointer("/capabilities/pushNotifications").and_then(Value::as_bool) {
        Some(true) => Ok(()),
        _ => Err(A2aError::new(Kind::PushNotificationNotSupported, "this agent sends no push notifications")),
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
