//! What the node sees happen, and the four topics that it is told on.

use crate::error::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::str::FromStr;

/// What an event is about. Each event has one topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// What agents say: listings, attestations, messages.
    AgentEvents,
    /// How work and its payment go on: orders, settlements, transfers.
    TaskUpdates,
    /// How workflows go on. There are none yet, and so no event.
    WorkflowProgress,
    /// How the node itself fares: peers, relays, its reach.
    SystemNotifications,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 4] =
        [Self::AgentEvents, Self::TaskUpdates, Self::WorkflowProgress, Self::SystemNotifications];

    /// Its name in URLs and events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AgentEvents => "agent-events",
            Self::TaskUpdates => "task-updates",
            Self::WorkflowProgress => "workflow-progress",
            Self::SystemNotifications => "system-notifications",
        }
    }
}

impl FromStr for Topic {
    type Err = ApiError;

    fn from_str(word: &str) -> Result<Self, ApiError> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == word).ok_or_else(|| {
            let word: String = word.chars().take(32).collect();
            ApiError::bad_request(
                "unknown_topic",
                format!("there is no topic {word:?}"),
                "take agent-events, task-updates, workflow-progress or system-notifications; several with commas between",
            )
        })
    }
}

/// The topics that somebody follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topics([bool; Topic::ALL.len()]);

impl Topics {
    /// The topics that the words name, each with commas between; all of them if there is no word.
    ///
    /// # Errors
    /// `unknown_topic`.
    pub fn read<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, ApiError> {
        let mut topics = Self([false; Topic::ALL.len()]);
        let mut is_narrowed = false;
        for word in words.into_iter().flat_map(|words| words.split(',')) {
            let named: Topic = word.parse()?;
            for (topic, is_followed) in Topic::ALL.into_iter().zip(&mut topics.0) {
                *is_followed |= topic == named;
            }
            is_narrowed = true;
        }
        Ok(if is_narrowed { topics } else { Self([true; Topic::ALL.len()]) })
    }

    /// Whether the topic is one of them.
    #[must_use]
    pub fn contains(self, topic: Topic) -> bool {
        Topic::ALL.into_iter().zip(self.0).any(|(one, is_followed)| one == topic && is_followed)
    }
}

/// One event of `GET /v1/events`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventView {
    /// Grows by one per event since the node started; `Last-Event-ID` resumes after it.
    pub id: u64,
    /// When it happened.
    pub at: String,
    /// What it is about.
    pub topic: Topic,
    /// Who or what did it and the verb, with a dot between: `order.step`, `listing.stored`.
    pub kind: String,
    /// What happened.
    pub data: Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_word_every_topic_is_followed() {
        let all = Topics::read([]).unwrap();
        assert!(Topic::ALL.into_iter().all(|topic| all.contains(topic)));
    }

    #[test]
    fn a_topic_that_there_is_not_is_named() {
        for words in ["agents", "", "agent-events,", "Agent-Events", "agent-events, task-updates"] {
            let refused = Topics::read([words]).unwrap_err();
            assert_eq!((&*refused.code, refused.status), ("unknown_topic", 400), "{words}");
        }
        let long = Topics::read(["x".repeat(10_000).as_str()]).unwrap_err();
        assert!(long.detail.len() < 80, "{}", long.detail);
    }

    #[test]
    fn exactly_the_named_topics_are_followed() {
        for bits in 1..16_u8 {
            let named: Vec<Topic> =
                (0..4).zip(Topic::ALL).filter(|(at, _)| bits >> at & 1 == 1).map(|(_, topic)| topic).collect();
            let words: Vec<&str> = named.iter().map(|topic| topic.as_str()).collect();
            let list = words.join(",");
            // with commas, one by one, and both with one of them twice
            for words in [vec![list.as_str()], words.clone(), [words, vec![list.as_str()]].concat()] {
                let topics = Topics::read(words).unwrap();
                for topic in Topic::ALL {
                    assert_eq!(topics.contains(topic), named.contains(&topic), "{list}");
                    assert_eq!(serde_json::to_value(topic).unwrap(), topic.as_str());
                }
            }
        }
    }
}
