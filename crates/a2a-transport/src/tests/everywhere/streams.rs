//! Operations that are answered with a stream.

use super::*;

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event.as_object().unwrap().keys().next().unwrap().as_str()).collect()
}

fn last_state(events: &[Value]) -> &str {
    events.last().unwrap()["statusUpdate"]["status"]["state"].as_str().unwrap()
}

#[tokio::test]
async fn a_stream_is_one_message_or_a_task_and_its_life_to_the_end() {
    let house = house().await;
    for way in WAYS {
        let said = house.follow(way, Who::Alice, methods::SEND_STREAMING_MESSAGE, params("say")).await.unwrap();
        assert_eq!(kinds(&said), ["message"], "{way:?}");
        let life = house.follow(way, Who::Alice, methods::SEND_STREAMING_MESSAGE, params("pieces")).await.unwrap();
        let pieces = ["artifactUpdate"; 3];
        assert_eq!(kinds(&life), [&["task"], &pieces[..], &["statusUpdate"]].concat(), "{way:?}");
        let texts: Vec<_> = life[1..4].iter().map(|event| &event["artifactUpdate"]["artifact"]["parts"][0]).collect();
        assert_eq!(texts, [&json!({"text": "one"}), &json!({"text": "two"}), &json!({"text": "three"})], "{way:?}");
        assert_eq!(last_state(&life), "TASK_STATE_COMPLETED", "{way:?}");
        life.iter().for_each(is_well_formed);
        let asked = house.follow(way, Who::Alice, methods::SEND_STREAMING_MESSAGE, params("ask")).await.unwrap();
        assert_eq!(last_state(&asked), "TASK_STATE_INPUT_REQUIRED", "{way:?}: it ends at a question, too");
    }
}

#[tokio::test]
async fn followers_see_the_task_first_and_then_the_same_events_in_the_same_order() {
    let house = Arc::new(house().await);
    for way in WAYS {
        let id = house.at_work(way, Who::Alice).await;
        let follow = || {
            let (house, id) = (Arc::clone(&house), id.clone());
            tokio::spawn(async move {
                house.follow(way, Who::Alice, methods::SUBSCRIBE_TO_TASK, json!({ "id": id })).await.unwrap()
            })
        };
        let (first, leaves, second) = (follow(), follow(), follow());
        let three = async {
            while house.node.server.followers() < 3 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, three).await.unwrap();
        leaves.abort();
        house.node.agent.go.notify_one();
        let (first, second) = (first.await.unwrap(), second.await.unwrap());
        assert_eq!(kinds(&first), ["task", "artifactUpdate", "statusUpdate"], "{way:?}");
        assert_eq!(first[0]["task"]["id"], json!(id), "{way:?}");
        assert_eq!(last_state(&first), "TASK_STATE_COMPLETED", "{way:?}");
        assert_eq!(first, second, "{way:?}: and who left disturbed nobody");
        let ended = house.follow(way, Who::Alice, methods::SUBSCRIBE_TO_TASK, json!({ "id": id })).await;
        assert_eq!(ended.unwrap_err(), "UNSUPPORTED_OPERATION", "{way:?}");
    }
}

#[tokio::test]
async fn an_error_before_the_first_event_is_an_answer_and_no_stream() {
    let house = house().await;
    for way in WAYS {
        let empty = house.follow(way, Who::Alice, methods::SEND_STREAMING_MESSAGE, json!({ "message": {} })).await;
        assert_eq!(empty.unwrap_err(), "INVALID_PARAMS", "{way:?}");
        let missing = house.follow(way, Who::Alice, methods::SUBSCRIBE_TO_TASK, json!({ "id": "nope" })).await;
        assert_eq!(missing.unwrap_err(), "TASK_NOT_FOUND", "{way:?}");
    }
}
