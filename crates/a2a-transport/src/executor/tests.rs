//! Stories of closures as agents.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::*;
use crate::{Failure, FnExecutor, HttpExecutor, Input, Output};

fn alice() -> Did {
    haggle_base::Seed::devnet(7, 1).agent_key(0).did()
}

const SECOND: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct Numbers {
    numbers: Vec<i64>,
}

#[derive(Serialize)]
struct Sum {
    sum: i64,
}

#[tokio::test]
async fn json_goes_in_and_out_by_types() {
    let adder = FnExecutor::new(|input: Input| async move {
        let asked: Numbers = input.read()?;
        Output::of(&Sum { sum: asked.numbers.iter().sum() })
    });
    let answer = run(&adder, alice(), json!({"numbers": [1, 2, 3]}), SECOND).await;
    assert_eq!(answer, Ok(json!({"sum": 6})));
    let wrong = run(&adder, alice(), json!({"numbers": "many"}), SECOND).await.unwrap_err();
    assert!(wrong.message().contains("the input does not fit"), "{wrong}");
}

#[tokio::test]
async fn a_failure_is_told_in_its_own_words() {
    let moody = FnExecutor::new(|_| async { Err(Failure::new("not today")) });
    let error = run(&moody, alice(), "hi".into(), SECOND).await.unwrap_err();
    assert_eq!(error.message(), "not today");
    let slow = FnExecutor::new(|_| std::future::pending());
    let error = run(&slow, alice(), "hi".into(), Duration::from_millis(20)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::DeadlineExceeded);
}

#[tokio::test]
async fn a_wrapped_server_must_be_an_http_url_that_answers() {
    for wrong in ["ftp://x/", "not a url", "file:///etc/passwd"] {
        assert_eq!(HttpExecutor::new(wrong).unwrap_err().kind(), Kind::InvalidParams);
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let wrapped = HttpExecutor::new(&nobody).unwrap();
    let error = run(&wrapped, alice(), "hi".into(), SECOND).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable);
}
