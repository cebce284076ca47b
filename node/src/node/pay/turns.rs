//! One at a time for each name: two requests with one key do not both go out.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::OwnedMutexGuard;

/// Whoever works under a name now, and who waits for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns(Arc<Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>>);

/// A turn; dropping it lets the next one in.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Turns,
    name: String,
    held: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits for the turn of `name`.
    pub(crate) async fn take(&self, name: &str) -> Turn {
        let lock = Arc::clone(self.0.lock().entry(name.to_owned()).or_default());
        let held = lock.lock_owned().await;
        Turn { turns: self.clone(), name: name.to_owned(), held: Some(held) }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut names = self.turns.0.lock();
        drop(self.held.take());
        // the map's own is the last one: nobody waits
        if names.get(&self.name).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            names.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_has_one_turn_at_a_time_and_is_forgotten_after_the_last() {
        let turns = Turns::default();
        let first = turns.take("key").await;
        let _other = turns.take("other").await;
        let waiting = turns.clone();
        let second = tokio::spawn(async move { waiting.take("key").await });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        drop(second.await.unwrap());
        assert_eq!(turns.0.lock().keys().collect::<Vec<_>>(), ["other"]);
    }
}
