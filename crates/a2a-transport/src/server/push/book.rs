//! The webhooks: on disk, and in memory by task.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use haggle_a2a::{A2aError, Kind};
use haggle_base::Did;
use haggle_store::{Batch, Store, tables};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::records::{Owner, storage};

/// Most webhooks of one task.
const PER_TASK: usize = 8;
/// Most webhooks of one caller.
const PER_CALLER: usize = 256;
/// Most webhooks.
const ALL: usize = 4096;
/// Rows read at a time when the store is opened.
const PAGE: usize = 256;

tables! {
    Webhooks = "a2a-webhooks-1": String => Row;
}

/// One webhook of one task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) agent: Did,
    pub(super) root: String,
    pub(super) scope: String,
    pub(super) task: String,
    pub(super) config: String,
    pub(super) url: String,
    pub(super) token: String,
    pub(super) scheme: String,
    pub(super) credentials: String,
    /// It was told of its task's end, or there was nothing to tell from the start.
    pub(super) is_over: bool,
    /// Told when the webhook is replaced or deleted.
    #[serde(skip)]
    pub(super) gone: CancellationToken,
}

/// By task, then by the webhook's own id.
type Held = HashMap<String, BTreeMap<String, Arc<Row>>>;

/// All webhooks.
#[derive(Debug, Clone)]
pub(in crate::server) struct Pushes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    /// Held by whoever counts, writes and then remembers.
    writing: tokio::sync::Mutex<()>,
    held: Mutex<Held>,
}

impl Row {
    fn key(&self) -> String {
        format!("{}/{}", self.task, self.config)
    }

    pub(super) fn owner(&self) -> Owner {
        Owner { agent: self.agent, root: self.root.clone(), scope: self.scope.clone() }
    }

    pub(super) fn is_of(&self, owner: &Owner) -> bool {
        self.agent == owner.agent && self.scope == owner.scope
    }

    pub(super) fn to_json(&self) -> Value {
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
}

impl Pushes {
    /// Reads the webhooks that are stored.
    pub(in crate::server) fn open(store: Store) -> Result<Self, A2aError> {
        let mut held = Held::new();
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
        Ok(Self(Arc::new(Inner { store, writing: tokio::sync::Mutex::default(), held: Mutex::new(held) })))
    }

    pub(super) fn get(&self, task: &str, config: &str) -> Option<Arc<Row>> {
        self.0.held().get(task)?.get(config).cloned()
    }

    pub(super) fn of_task(&self, task: &str) -> Vec<Arc<Row>> {
        self.0.held().get(task).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    pub(super) fn all(&self) -> Vec<Arc<Row>> {
        self.0.held().values().flat_map(BTreeMap::values).cloned().collect()
    }

    /// Whether this very webhook was neither replaced nor deleted.
    pub(super) fn stands(&self, row: &Arc<Row>) -> bool {
        self.get(&row.task, &row.config).is_some_and(|held| Arc::ptr_eq(&held, row))
    }

    /// Stores a webhook, in place of one of the same id. Webhooks that are over make room.
    ///
    /// # Errors
    /// [`Kind::Busy`] if there are too many, or the store's.
    pub(super) async fn put(&self, row: Row) -> Result<Arc<Row>, A2aError> {
        self.write(move |held| {
            let gone = make_room(held, &row)?;
            Ok((gone, Some(Arc::new(row))))
        })
        .await?
        .ok_or_else(|| A2aError::new(Kind::Internal, "a webhook was not stored"))
    }

    /// Remembers that a webhook has been told everything, if it still stands.
    pub(super) async fn finish(&self, row: &Arc<Row>) -> Result<(), A2aError> {
        let row = Arc::clone(row);
        self.write(move |held| {
            let stands = held.get(&row.task).and_then(|rows| rows.get(&row.config));
            let finished = stands.filter(|held| Arc::ptr_eq(held, &row)).map(|row| {
                let mut row = Row::clone(row);
                row.is_over = true;
                row.gone = CancellationToken::new();
                Arc::new(row)
            });
            Ok((vec![], finished))
        })
        .await?;
        Ok(())
    }

    /// Forgets webhooks; those that are not there are forgotten already.
    pub(super) async fn remove(&self, rows: Vec<Arc<Row>>) -> Result<(), A2aError> {
        self.write(move |_| Ok((rows, None))).await?;
        Ok(())
    }

    /// Decides under the lock what goes and what comes, and does it: on disk first. Whoever asked may leave meanwhile.
    async fn write(
        &self,
        decide: impl FnOnce(&Held) -> Result<(Vec<Arc<Row>>, Option<Arc<Row>>), A2aError> + Send + 'static,
    ) -> Result<Option<Arc<Row>>, A2aError> {
        let inner = Arc::clone(&self.0);
        let written = tokio::spawn(async move {
            let _turn = inner.writing.lock().await;
            let (gone, come) = decide(&inner.held())?;
            let mut batch = Batch::new();
            for row in &gone {
                batch.delete::<Webhooks>(&row.key());
            }
            if let Some(row) = &come {
                batch.put::<Webhooks>(&row.key(), row).map_err(|error| storage(&error))?;
            }
            if gone.is_empty() && come.is_none() {
                return Ok(None);
            }
            inner.store.commit(batch).await.map_err(|error| storage(&error))?;
            let mut held = inner.held();
            gone.iter().for_each(|row| forget(&mut held, row));
            if let Some(row) = &come {
                let of_task = held.entry(row.task.clone()).or_default();
                let replaced = of_task.insert(row.config.clone(), Arc::clone(row));
                replaced.inspect(|row| row.gone.cancel());
            }
            Ok(come)
        });
        written.await.map_err(|_| A2aError::new(Kind::Internal, "writing a webhook broke off"))?
    }
}

impl Inner {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget(held: &mut Held, row: &Row) {
    if let Some(of_task) = held.get_mut(&row.task) {
        let removed = of_task.remove(&row.config);
        removed.inspect(|row| row.gone.cancel());
        if of_task.is_empty() {
            held.remove(&row.task);
        }
    }
}

/// What has to go so that there is room for this one.
fn make_room(held: &Held, row: &Row) -> Result<Vec<Arc<Row>>, A2aError> {
    let here = held.get(&row.task);
    if here.is_some_and(|rows| rows.contains_key(&row.config)) {
        return Ok(vec![]);
    }
    let everybodys = || held.values().flat_map(BTreeMap::values);
    let own = || everybodys().filter(|other| other.root == row.root);
    let crowded = if here.map_or(0, BTreeMap::len) >= PER_TASK {
        return Err(too_many("this task has"));
    } else if own().count() >= PER_CALLER {
        own().find(|other| other.is_over).ok_or_else(|| too_many("you have"))?
    } else if everybodys().count() >= ALL {
        everybodys().find(|other| other.is_over).ok_or_else(|| too_many("this node has"))?
    } else {
        return Ok(vec![]);
    };
    Ok(vec![Arc::clone(crowded)])
}

fn too_many(who: &str) -> A2aError {
    A2aError::new(Kind::Busy, format!("{who} too many webhooks; delete one first"))
}
