//! Operations that are answered once: messages, tasks, lists, webhooks, cards.

use super::*;
use crate::tests::push::Hook;

#[tokio::test]
async fn a_message_is_answered_with_a_message_or_with_a_task_of_a_new_id() {
    let house = house().await;
    let mut seen = Vec::new();
    for way in WAYS {
        let said = house.ask(way, Who::Alice, methods::SEND_MESSAGE, params("say")).await.unwrap();
        assert_eq!(said["message"]["parts"][0]["text"], "said", "{way:?}");
        assert_eq!(said.as_object().unwrap().len(), 1, "{way:?}: one or the other");
        for _ in 0..2 {
            let done = house.ask(way, Who::Alice, methods::SEND_MESSAGE, params("hi")).await.unwrap();
            is_well_formed(&done);
            assert!(done["task"]["contextId"].as_str().is_some_and(|id| !id.is_empty()), "{way:?}");
            seen.push(id_of(&done["task"]));
        }
    }
    assert_eq!(distinct(&seen), seen.len(), "the same message id makes a new task each time");
}

#[tokio::test]
async fn a_call_waits_for_the_end_or_for_a_question_unless_it_is_told_not_to() {
    let house = house().await;
    for way in WAYS {
        let done = house.ask(way, Who::Alice, methods::SEND_MESSAGE, params("hi")).await.unwrap();
        assert_eq!(state(&done["task"]), "TASK_STATE_COMPLETED", "{way:?}");
        assert_eq!(done["task"]["artifacts"][0]["parts"][0]["text"], "hi", "{way:?}: with all artifacts");
        house.asking(way, Who::Alice).await;
        let id = house.at_work(way, Who::Alice).await;
        let task = house.ask(way, Who::Alice, methods::GET_TASK, json!({ "id": id })).await.unwrap();
        assert_eq!(state(&task), "TASK_STATE_WORKING", "{way:?}");
        house.node.agent.go.notify_one();
        house.node.settled_of(&id, who_is(way)).await;
    }
}

/// Whose tasks those of Alice are, as the server sees her by this binding.
fn who_is(way: Way) -> Caller {
    match way {
        Way::Libp2p => alice(),
        Way::JsonRpc | Way::HttpJson => Caller::http("Alice"),
    }
}

#[tokio::test]
async fn answers_to_a_task_keep_its_context_and_join_its_history() {
    let house = house().await;
    for way in WAYS {
        let mut first = params("ask");
        first["message"]["contextId"] = json!("context of mine");
        let asked = house.ask(way, Who::Alice, methods::SEND_MESSAGE, first).await.unwrap();
        assert_eq!(asked["task"]["contextId"], "context of mine", "{way:?}");
        assert!(asked["task"]["status"]["message"]["parts"][0]["text"].is_string(), "{way:?}: it says what it wants");
        let id = id_of(&asked["task"]);

        let mut elsewhere = params("the red one");
        elsewhere["message"]["taskId"] = json!(id);
        elsewhere["message"]["contextId"] = json!("another");
        let refused = house.ask(way, Who::Alice, methods::SEND_MESSAGE, elsewhere.clone()).await;
        assert_eq!(refused.unwrap_err(), "INVALID_PARAMS", "{way:?}: of another context");

        elsewhere["message"].as_object_mut().unwrap().remove("contextId");
        let done = house.ask(way, Who::Alice, methods::SEND_MESSAGE, elsewhere.clone()).await.unwrap();
        assert_eq!((id_of(&done["task"]), &done["task"]["contextId"]), (id.clone(), &json!("context of mine")));
        let ended = house.ask(way, Who::Alice, methods::SEND_MESSAGE, elsewhere).await;
        assert_eq!(ended.unwrap_err(), "UNSUPPORTED_OPERATION", "{way:?}: it has ended");

        let whole = house.ask(way, Who::Alice, methods::GET_TASK, json!({ "id": id })).await.unwrap();
        let texts = |task: &Value| -> Vec<String> {
            let history = task["history"].as_array().cloned().unwrap_or_default();
            history.iter().map(|message| message["parts"][0]["text"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(texts(&whole), ["ask", "which one?", "the red one"], "{way:?}");
        for keep in [0, 1, 2] {
            let asked = json!({ "id": id, "historyLength": keep });
            let task = house.ask(way, Who::Alice, methods::GET_TASK, asked).await.unwrap();
            assert_eq!(texts(&task), texts(&whole)[3 - keep..], "{way:?}: the last {keep}");
        }
    }
}

#[tokio::test]
async fn lists_are_pages_of_ones_own_tasks_newest_first_without_artifacts() {
    let house = house().await;
    for way in WAYS {
        house.node.clock.advance(Duration::from_secs(1));
        let mut made = Vec::new();
        for _ in 0..3 {
            house.node.clock.advance(Duration::from_secs(1));
            let done = house.ask(way, Who::Alice, methods::SEND_MESSAGE, params("hi")).await.unwrap();
            made.insert(0, id_of(&done["task"]));
        }
        house.ask(way, Who::Eve, methods::SEND_MESSAGE, params("hi")).await.unwrap();
        let page = async |asked: Value| house.ask(way, Who::Alice, methods::LIST_TASKS, asked).await.unwrap();
        let first = page(json!({ "pageSize": 2 })).await;
        is_well_formed(&first);
        assert_eq!(ids(&first), made[..2], "{way:?}: newest first");
        assert!(first["tasks"][0].get("artifacts").is_none(), "{way:?}: not even an empty list");
        assert!(first["totalSize"].is_u64() && first["pageSize"].is_u64(), "{way:?}");
        let next = page(json!({ "pageSize": 2, "pageToken": first["nextPageToken"] })).await;
        assert_eq!(ids(&next)[0], made[2], "{way:?}");
        let with = page(json!({ "pageSize": 1, "includeArtifacts": true })).await;
        assert_eq!(with["tasks"][0]["artifacts"][0]["parts"][0]["text"], "hi", "{way:?}");

        let mut all = Vec::new();
        let mut token = json!("");
        loop {
            let page = page(json!({ "pageSize": 2, "pageToken": token })).await;
            all.extend(ids(&page));
            token = page["nextPageToken"].clone();
            assert!(token.is_string(), "{way:?}: always there");
            if token == "" {
                break;
            }
        }
        assert_eq!(distinct(&all), all.len(), "{way:?}: none twice");
        let context = page(json!({ "contextId": "nobody's" })).await;
        assert_eq!((ids(&context).len(), &context["nextPageToken"]), (0, &json!("")), "{way:?}");
        for size in [json!(0), json!(101), json!("two")] {
            let refused = house.ask(way, Who::Alice, methods::LIST_TASKS, json!({ "pageSize": size })).await;
            assert_eq!(refused.unwrap_err(), "INVALID_PARAMS", "{way:?}: {size}");
        }
    }
}

#[tokio::test]
async fn open_tasks_can_be_cancelled_and_ended_ones_cannot() {
    let house = house().await;
    for way in WAYS {
        for id in [house.asking(way, Who::Alice).await, house.at_work(way, Who::Alice).await] {
            let gone = house.ask(way, Who::Alice, methods::CANCEL_TASK, json!({ "id": id })).await.unwrap();
            assert_eq!(state(&gone), "TASK_STATE_CANCELED", "{way:?}");
            let again = house.ask(way, Who::Alice, methods::CANCEL_TASK, json!({ "id": id })).await;
            assert_eq!(again.unwrap_err(), "TASK_NOT_CANCELABLE", "{way:?}");
        }
    }
}

#[tokio::test]
async fn webhooks_are_made_read_listed_and_deleted_for_good() {
    let house = house().await;
    for way in WAYS {
        let mut hook = Hook::open(&[]).await;
        let id = house.asking(way, Who::Alice).await;
        let config = json!({
            "taskId": id, "id": "c-1", "url": hook.url,
            "authentication": { "scheme": "Bearer", "credentials": "secret" },
        });
        let made = house.ask(way, Who::Alice, methods::CREATE_PUSH_CONFIG, config.clone()).await.unwrap();
        assert_eq!(made, config, "{way:?}");
        let which = json!({ "taskId": id, "id": "c-1" });
        let read = house.ask(way, Who::Alice, methods::GET_PUSH_CONFIG, which.clone()).await.unwrap();
        assert_eq!(read, made, "{way:?}");
        let listed = house.ask(way, Who::Alice, methods::LIST_PUSH_CONFIGS, json!({ "taskId": id })).await.unwrap();
        assert_eq!(listed["configs"], json!([made]), "{way:?}");

        house.ask(way, Who::Alice, methods::CANCEL_TASK, json!({ "id": id })).await.unwrap();
        let (headers, event) = hook.next().await;
        assert_eq!(headers["authorization"], "Bearer secret", "{way:?}");
        assert_eq!(event["statusUpdate"]["taskId"], json!(id), "{way:?}");
        assert_eq!(event["statusUpdate"]["status"]["state"], "TASK_STATE_CANCELED", "{way:?}");

        for _ in 0..2 {
            let gone = house.ask(way, Who::Alice, methods::DELETE_PUSH_CONFIG, which.clone()).await.unwrap();
            assert_eq!(gone, json!({}), "{way:?}: once or twice");
        }
        let missing = house.ask(way, Who::Alice, methods::GET_PUSH_CONFIG, which).await;
        assert_eq!(missing.unwrap_err(), "TASK_NOT_FOUND", "{way:?}");
    }
}

#[tokio::test]
async fn work_that_needs_a_grant_is_a_task_that_says_so() {
    let house = house().await;
    for way in WAYS {
        let asked = params("tck-auth-required please");
        let asked = house.ask_agent(&OTHER_AGENT, way, Who::Alice, methods::SEND_MESSAGE, asked).await.unwrap();
        assert_eq!(state(&asked["task"]), "TASK_STATE_AUTH_REQUIRED", "{way:?}");
        assert!(asked["task"]["status"]["message"]["parts"][0]["text"].is_string(), "{way:?}");
    }
}

#[tokio::test]
async fn every_binding_says_the_same_of_the_same_task() {
    let house = house().await;
    // HTTP callers are one and the same over both HTTP bindings
    let done = house.ask(Way::JsonRpc, Who::Alice, methods::SEND_MESSAGE, params("hi")).await.unwrap();
    let id = id_of(&done["task"]);
    let rpc = house.ask(Way::JsonRpc, Who::Alice, methods::GET_TASK, json!({ "id": id })).await.unwrap();
    let rest = house.ask(Way::HttpJson, Who::Alice, methods::GET_TASK, json!({ "id": id })).await.unwrap();
    assert_eq!(rpc, rest);
    let mut plain = Vec::new();
    for way in WAYS {
        let mut done = house.ask(way, Who::Alice, methods::SEND_MESSAGE, params("hi")).await.unwrap()["task"].take();
        for name in ["id", "contextId", "history"] {
            assert!(done.as_object_mut().unwrap().remove(name).is_some(), "{way:?}: {name}");
        }
        plain.push(done);
    }
    assert_eq!((&plain[0], &plain[1]), (&plain[1], &plain[2]), "but for the ids");
}
