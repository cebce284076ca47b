//! The HTTP+JSON binding and server-sent events, as a stock HTTP client sees them.

use axum::{
    body::Body,
    http::{Request, StatusCode},
};

use super::{
    door::{Answer, Door, JSON, V1, door, path},
    *,
};

const A2A: (&str, &str) = ("content-type", "application/a2a+json");

fn body(text: &str) -> String {
    send(text)["params"].to_string()
}

fn status_of(answer: &Answer) -> (u16, String, String) {
    let error = &answer.json()["error"];
    assert_eq!(error["code"], answer.status.as_u16());
    let reason = error["details"][0]["reason"].as_str().unwrap().to_owned();
    (answer.status.as_u16(), error["status"].as_str().unwrap().to_owned(), reason)
}

/// The JSON objects of a stream of server-sent events.
fn events(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    let lines = answer.body.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

impl Door {
    async fn read(&self, rest: &str) -> Answer {
        self.get_with(&format!("{}{rest}", path(&AGENT)), &[V1]).await
    }

    async fn write(&self, rest: &str, body: &str) -> Answer {
        self.post(&format!("{}{rest}", path(&AGENT)), &[JSON, V1], body).await
    }

    async fn delete(&self, rest: &str) -> Answer {
        let request = Request::delete(format!("{}{rest}", path(&AGENT))).header("host", "127.0.0.1:7070");
        self.ask(request.header(V1.0, V1.1).body(Body::empty()).unwrap()).await
    }
}

#[tokio::test]
async fn a_message_is_sent_and_its_task_read_listed_and_cancelled() {
    let door = door().await;
    let sent = door.write("/message:send", &body("ask")).await;
    assert_eq!(sent.status, StatusCode::OK);
    assert_eq!(sent.headers["content-type"], "application/json");
    let task = sent.json()["task"].clone();
    let id = task["id"].as_str().unwrap();
    assert_eq!(door.read(&format!("/tasks/{id}?historyLength=0")).await.json().get("history"), None);
    let listed = door.read("/tasks?pageSize=1&includeArtifacts=true&status=TASK_STATE_INPUT_REQUIRED").await.json();
    assert_eq!((listed["totalSize"].as_u64(), &listed["tasks"][0]["id"]), (Some(1), &task["id"]));
    let gone = door.write(&format!("/tasks/{id}:cancel"), "").await.json();
    assert_eq!(state(&gone), "TASK_STATE_CANCELED");
    let again = door.write(&format!("/tasks/{id}:cancel"), "{}").await;
    assert_eq!(status_of(&again), (400, "FAILED_PRECONDITION".into(), "TASK_NOT_CANCELABLE".into()));
}

#[tokio::test]
async fn what_is_asked_for_is_told_by_the_route_and_by_nothing_in_a_name() {
    let door = door().await;
    let id = door.write("/message:send", &body("ask")).await.json()["task"]["id"].as_str().unwrap().to_owned();
    for name in ["message:send", "tasks", "pushNotificationConfigs", "extendedAgentCard", "a%2Ftasks"] {
        assert_eq!(status_of(&door.read(&format!("/tasks/{name}")).await).2, "TASK_NOT_FOUND", "{name}");
        let written = door.write(&format!("/tasks/{name}"), &body("hi")).await;
        assert_eq!(status_of(&written).2, "METHOD_NOT_FOUND", "{name}");
    }
    assert_eq!(status_of(&door.read(&format!("/tasks/{id}:cancel")).await).2, "TASK_NOT_FOUND", "GET cancels nothing");
    let configs = door.read(&format!("/tasks/{id}:cancel/pushNotificationConfigs")).await;
    assert_eq!(status_of(&configs).2, "TASK_NOT_FOUND");
    assert_eq!(door.read("/tasks").await.json()["totalSize"], 1, "no message came through");
    let cancelled = door.write(&format!("/tasks/{id}%3Acancel"), "").await.json();
    assert_eq!(state(&cancelled), "TASK_STATE_CANCELED", "a colon may be escaped");
}

#[tokio::test]
async fn the_answer_has_the_media_type_of_the_request() {
    let door = door().await;
    let place = format!("{}/message:send", path(&AGENT));
    let answer = door.post(&place, &[A2A, V1], &body("hi")).await;
    assert_eq!(answer.headers["content-type"], "application/a2a+json");
    let text = door.post(&place, &[("content-type", "text/plain"), V1], &body("hi")).await;
    assert_eq!(text.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn every_refusal_is_a_status_with_its_reason() {
    let door = door().await;
    let missing = door.read("/tasks/nope").await;
    assert_eq!(status_of(&missing), (404, "NOT_FOUND".into(), "TASK_NOT_FOUND".into()));
    let empty = door.write("/message:send", "{}").await;
    assert_eq!(status_of(&empty), (400, "INVALID_ARGUMENT".into(), "INVALID_PARAMS".into()));
    let broken = door.write("/message:send", "{nope").await;
    assert_eq!(status_of(&broken), (400, "INVALID_ARGUMENT".into(), "PARSE_ERROR".into()));
    let size = door.read("/tasks?pageSize=ten").await;
    assert_eq!(status_of(&size), (400, "INVALID_ARGUMENT".into(), "INVALID_PARAMS".into()));
    let old = door.post(&format!("{}/message:send", path(&AGENT)), &[JSON], &body("hi")).await;
    assert_eq!(status_of(&old), (400, "FAILED_PRECONDITION".into(), "VERSION_NOT_SUPPORTED".into()));
    let future = door.get_with(&format!("{}/tasks/x", path(&AGENT)), &[("A2A-Version", "99.0")]).await;
    assert_eq!(status_of(&future).2, "VERSION_NOT_SUPPORTED");
    for push in ["/tasks/x/pushNotificationConfigs", "/tasks/x/pushNotificationConfigs/1"] {
        assert_eq!(status_of(&door.read(push).await).2, "TASK_NOT_FOUND");
    }
    assert_eq!(status_of(&door.read("/extendedAgentCard").await).2, "UNSUPPORTED_OPERATION");
    let refused = door.write("/message:send", &body("refuse")).await;
    assert_eq!(status_of(&refused), (403, "PERMISSION_DENIED".into(), "REFUSED".into()));
    assert_eq!(status_of(&door.write("/tasks/x:run", "{}").await).2, "METHOD_NOT_FOUND");
}

#[tokio::test]
async fn streams_are_server_sent_events_over_both_bindings() {
    let door = door().await;
    let bare = events(&door.write("/message:stream", &body("hi")).await);
    assert_eq!(bare.len(), 3);
    assert_eq!(bare[2]["statusUpdate"]["status"]["state"], "TASK_STATE_COMPLETED");
    let mut request = send("hi");
    (request["method"], request["id"]) = (json!("SendStreamingMessage"), json!("seven"));
    let wrapped = events(&door.post(&path(&AGENT), &[JSON, V1], &request.to_string()).await);
    assert!(wrapped.iter().all(|event| event["jsonrpc"] == "2.0" && event["id"] == "seven"));
    assert_eq!(wrapped[2]["result"]["statusUpdate"]["status"]["state"], "TASK_STATE_COMPLETED");

    request["params"]["message"]["parts"] = json!([]);
    let refused = door.post(&path(&AGENT), &[JSON, V1], &request.to_string()).await;
    assert_eq!((refused.headers["content-type"].to_str().unwrap(), refused.code()), ("application/json", -32602));
    let id = bare[0]["task"]["id"].as_str().unwrap();
    let get = door.read(&format!("/tasks/{id}:subscribe")).await;
    let post = door.write(&format!("/tasks/{id}:subscribe"), "").await;
    for ended in [get, post] {
        assert_eq!(status_of(&ended).2, "UNSUPPORTED_OPERATION");
    }
}

#[tokio::test]
async fn webhooks_have_paths_below_their_task() {
    let door = door().await;
    let task = door.write("/message:send", &body("ask")).await.json();
    let all = format!("/tasks/{}/pushNotificationConfigs", task["task"]["id"].as_str().unwrap());
    let made = door.write(&all, &json!({ "id": "c 1", "url": "https://hooks.example/" }).to_string()).await.json();
    assert_eq!((&made["id"], &made["taskId"]), (&json!("c 1"), &task["task"]["id"]));
    assert_eq!(door.read(&format!("{all}/c%201")).await.json(), made);
    assert_eq!(door.read(&all).await.json()["configs"], json!([made]));
    let gone = door.delete(&format!("{all}/c%201")).await;
    assert_eq!((gone.status, gone.json()), (StatusCode::OK, json!({})));
    assert_eq!(door.read(&all).await.json()["configs"], json!([]));
    let private = door.write(&all, &json!({ "url": "http://10.0.0.1/" }).to_string()).await;
    assert_eq!(status_of(&private).2, "INVALID_PARAMS");
}

#[tokio::test]
async fn a_tenant_in_the_path_has_to_be_the_agents() {
    let door = door().await;
    let own = door.write(&format!("/{}/message:send", *AGENT), &body("hi")).await;
    assert_eq!(own.status, StatusCode::OK);
    let other = door.write("/somebody/message:send", &body("hi")).await;
    assert_eq!(status_of(&other).2, "INVALID_PARAMS");
    assert_eq!(status_of(&door.read("/somebody/tasks/x").await).2, "INVALID_PARAMS");
}

#[tokio::test]
async fn remote_agents_answer_over_http_json_too() {
    let door = door().await;
    let answer = door.post(&format!("{}/message:send", path(&OTHER_AGENT)), &[JSON, V1], &body("hi")).await;
    assert_eq!(answer.json(), json!({"message": {"from": "afar"}}));
}
