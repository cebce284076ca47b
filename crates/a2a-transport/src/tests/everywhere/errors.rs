//! Refusals: what is asked wrongly, what is somebody else's, what the agent does not do.

use super::*;

/// The operations that name a task.
fn about(task: &str) -> [(&'static str, Value); 7] {
    [
        (methods::GET_TASK, json!({ "id": task })),
        (methods::CANCEL_TASK, json!({ "id": task })),
        (methods::SUBSCRIBE_TO_TASK, json!({ "id": task })),
        (methods::CREATE_PUSH_CONFIG, json!({ "taskId": task, "url": "http://127.0.0.1:9/" })),
        (methods::GET_PUSH_CONFIG, json!({ "taskId": task, "id": "c" })),
        (methods::LIST_PUSH_CONFIGS, json!({ "taskId": task })),
        (methods::DELETE_PUSH_CONFIG, json!({ "taskId": task, "id": "c" })),
    ]
}

#[tokio::test]
async fn somebody_elses_task_is_as_missing_as_one_that_never_was() {
    let house = house().await;
    for way in WAYS {
        let id = house.asking(way, Who::Alice).await;
        let mut answer = params("mine now");
        for task in [id.as_str(), "no-such-task"] {
            for (operation, params) in about(task) {
                let refused = house.ask(way, Who::Eve, operation, params).await;
                assert_eq!(refused.unwrap_err(), "TASK_NOT_FOUND", "{way:?}: {operation} of {task}");
            }
            answer["message"]["taskId"] = json!(task);
            let refused = house.ask(way, Who::Eve, methods::SEND_MESSAGE, answer.clone()).await;
            assert_eq!(refused.unwrap_err(), "TASK_NOT_FOUND", "{way:?}: a message to {task}");
        }
        let none = house.ask(way, Who::Eve, methods::LIST_TASKS, json!({})).await.unwrap();
        assert!(ids(&none).is_empty(), "{way:?}");
        let task = house.ask(way, Who::Alice, methods::GET_TASK, json!({ "id": id })).await.unwrap();
        assert_eq!(state(&task), "TASK_STATE_INPUT_REQUIRED", "{way:?}: untouched");
    }
}

#[tokio::test]
async fn what_is_not_a_message_is_refused_before_the_agent_sees_it() {
    let house = house().await;
    for way in WAYS {
        for wrong in [
            json!({}),
            json!({ "message": {} }),
            json!({ "message": { "messageId": "m", "role": "ROLE_USER", "parts": [] } }),
            json!({ "message": { "messageId": "m", "role": "user", "parts": [{ "text": "x" }] } }),
            json!({ "message": { "role": "ROLE_USER", "parts": [{ "text": "x" }] } }),
            json!({ "message": { "messageId": "m", "role": "ROLE_USER", "parts": [{ "text": "x", "url": "y" }] } }),
            configured("x", json!({ "historyLength": -1 })),
            configured("x", json!({ "returnImmediately": "yes" })),
            configured("x", json!({ "taskPushNotificationConfig": { "url": "nonsense" } })),
        ] {
            let refused = house.ask(way, Who::Alice, methods::SEND_MESSAGE, wrong.clone()).await;
            assert_eq!(refused.unwrap_err(), "INVALID_PARAMS", "{way:?}: {wrong}");
        }
        let mut image = params("x");
        image["message"]["parts"][0]["mediaType"] = json!("image/png");
        let refused = house.ask(way, Who::Alice, methods::SEND_MESSAGE, image).await;
        assert_eq!(refused.unwrap_err(), "CONTENT_TYPE_NOT_SUPPORTED", "{way:?}");
    }
    assert_eq!(house.node.agent.runs.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_version_that_is_not_served_is_refused_and_none_means_an_old_one() {
    let house = house().await;
    for way in WAYS {
        for service in [&[][..], &[("a2a-version", "")], &[("A2A-Version", "0.3")], &[("A2A-Version", "99.0")]] {
            let answer = house.answer(&AGENT, way, Who::Alice, methods::SEND_MESSAGE, params("hi"), service).await;
            assert_eq!(answer.err().unwrap(), "VERSION_NOT_SUPPORTED", "{way:?}: {service:?}");
        }
        let service = [("A2A-VERSION", "1.0"), ("a2a-extensions", "urn:unknown")];
        let answer = house.answer(&AGENT, way, Who::Alice, methods::SEND_MESSAGE, params("hi"), &service).await;
        assert!(answer.is_ok(), "{way:?}: names in any case, and unknown extensions are not minded");
    }
}

#[tokio::test]
async fn what_the_card_does_not_promise_has_an_error_of_its_own() {
    let house = house().await;
    let mut card = agent_card();
    card["capabilities"] = json!({ "extensions": [{ "uri": "urn:pay", "required": true }] });
    house.node.server.serve(*AGENT, card, Arc::clone(&house.node.agent) as Arc<dyn Executor>);
    for way in WAYS {
        let paid = [("a2a-version", "1.0"), ("a2a-extensions", "urn:pay")];
        let sent = house.answer(&AGENT, way, Who::Alice, methods::SEND_MESSAGE, params("ask"), &paid).await;
        let Ok(Reply::One(sent)) = sent else { panic!("{way:?}") };
        let task = id_of(&sent["task"]);
        for (operation, params, reason) in [
            (methods::SEND_MESSAGE, params("hi"), "EXTENSION_SUPPORT_REQUIRED"),
            (methods::SEND_STREAMING_MESSAGE, params("hi"), "UNSUPPORTED_OPERATION"),
            (methods::SUBSCRIBE_TO_TASK, json!({ "id": task }), "UNSUPPORTED_OPERATION"),
            (methods::CREATE_PUSH_CONFIG, json!({ "taskId": task, "url": "http://127.0.0.1:9/" }), PUSH),
            (methods::GET_PUSH_CONFIG, json!({ "taskId": task, "id": "c" }), PUSH),
            (methods::LIST_PUSH_CONFIGS, json!({ "taskId": task }), PUSH),
            (methods::DELETE_PUSH_CONFIG, json!({ "taskId": task, "id": "c" }), PUSH),
            (methods::GET_EXTENDED_AGENT_CARD, json!({}), "UNSUPPORTED_OPERATION"),
        ] {
            let refused = house.ask(way, Who::Alice, operation, params).await;
            assert_eq!(refused.unwrap_err(), reason, "{way:?}: {operation}");
        }
    }
}

const PUSH: &str = "PUSH_NOTIFICATION_NOT_SUPPORTED";
