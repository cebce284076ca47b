//! What a hub keeps for followers that do not read.

use haggle_base::Timestamp;
use serde_json::json;

use super::*;
use crate::server::seats::Seats;

fn big() -> Value {
    json!({ "text": "x".repeat(900 * 1024) })
}

fn number(n: usize) -> Value {
    json!({ "number": n })
}

fn seats() -> Arc<Seats> {
    Arc::new(Seats::new(1, 1))
}

#[tokio::test]
async fn what_waits_is_bounded_by_bytes_and_freed_when_it_was_heard() {
    let hub = Hub::default();
    let (mut slow, mut quick) = (hub.listen("t"), hub.listen("t"));
    for _ in 0..5 {
        hub.tell("t", big);
        quick.next().await.unwrap().unwrap();
        assert!(hub.waiting_bytes() <= BEHIND_BYTES);
    }
    assert_eq!(slow.next().await.unwrap().unwrap_err().kind(), Kind::Busy);
    assert!(slow.next().await.unwrap().is_ok());
    assert!(slow.next().await.unwrap().is_ok());
    assert_eq!(hub.waiting_bytes(), 0, "everybody has heard everything");
    hub.tell("t", big);
    drop((slow, quick));
    assert_eq!((hub.waiting_bytes(), hub.followed()), (0, 0));
}

#[tokio::test]
async fn everybody_hears_all_in_order_until_the_last_word() {
    let hub = Hub::default();
    let mut ears = [hub.listen("t"), hub.listen("t")];
    for n in 0..BEHIND - 1 {
        hub.tell("t", || number(n));
    }
    hub.fail("t", &A2aError::new(Kind::Storage, "full"));
    for ear in &mut ears {
        for n in 0..BEHIND - 1 {
            assert_eq!(*ear.next().await.unwrap().unwrap(), number(n));
        }
        assert_eq!(ear.next().await.unwrap().unwrap_err().kind(), Kind::Storage);
        assert!(ear.next().await.is_none());
    }
    let fresh = hub.listen("t");
    assert!(fresh.is_quiet(), "whoever comes now hears what comes now");
}

#[tokio::test]
async fn one_who_waits_is_woken() {
    let hub = Arc::new(Hub::default());
    let mut ear = hub.listen("t");
    let waiting = tokio::spawn(async move { ear.next().await });
    while !waiting.is_finished() {
        hub.tell("t", || number(1));
        tokio::task::yield_now().await;
    }
    assert_eq!(*waiting.await.unwrap().unwrap().unwrap(), number(1));
}

#[tokio::test]
async fn a_stream_that_nobody_reads_gives_ear_and_seat_back_in_time() {
    let (hub, seats) = (Hub::default(), seats());
    let unread = hub.listen("t").events(None, Duration::from_millis(1), seats.enter("alice").unwrap());
    hub.tell("t", big);
    let over = async {
        while seats.taken() + hub.followed() + hub.waiting_bytes() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), over).await.unwrap();
    assert_eq!(unread.count().await, 0);
}

#[tokio::test]
async fn a_stream_that_begins_with_the_end_has_no_more() {
    let (hub, seats) = (Hub::default(), seats());
    let mut task = haggle_a2a::Task::submitted("t".into(), "c".into(), json!({}), Timestamp::from_secs(1));
    assert!(task.abandon(haggle_a2a::types::TaskState::Canceled, None, Timestamp::from_secs(2)).changed());
    let first = event::task(task.to_json(None));
    let events = hub.listen("t").events(Some(first), Duration::from_secs(3600), seats.enter("alice").unwrap());
    let all = tokio::time::timeout(Duration::from_secs(30), events.count()).await;
    assert_eq!(all, Ok(1));
}
