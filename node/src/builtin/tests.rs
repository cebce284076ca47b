//! What the built-in agents answer.

use super::{NAMES, draft, run};
use serde_json::json;

#[tokio::test]
async fn digest_counts_words_and_names_the_terms_that_matter() {
    let answer =
        run("digest", &json!({"text": "The market opens. A market of agents: agents sell, agents buy."}), "c1")
            .await
            .unwrap();
    assert_eq!(answer["words"], 11);
    assert_eq!(answer["top_terms"][0], json!({"term": "agents", "count": 3}));
    assert_eq!(answer["top_terms"][1], json!({"term": "market", "count": 2}));
    assert_eq!(answer["reading_minutes"], 1);
}

#[tokio::test]
async fn digest_without_text_says_what_it_needs() {
    let refusal = run("digest", &json!({"document": "x"}), "c1").await.unwrap_err();
    assert!(refusal.contains("\"text\""), "{refusal}");
}

#[tokio::test]
async fn csv_sums_numbers_exactly_and_leaves_words_alone() {
    let table = "city,price\nOslo,0.1\nRome,0.2\nOslo,\n";
    let answer = run("csv", &json!({"csv": table}), "c1").await.unwrap();
    assert_eq!(answer["rows"], 3);
    assert_eq!(answer["columns"]["city"], json!({"count": 3, "empty": 0, "distinct": 2}));
    assert_eq!(
        answer["columns"]["price"],
        json!({"count": 2, "empty": 1, "distinct": 2, "least": "0.1", "greatest": "0.2", "mean": "0.15"})
    );
}

#[tokio::test]
async fn csv_with_a_ragged_row_is_refused() {
    assert!(run("csv", &json!({"csv": "a,b\n1\n"}), "c1").await.is_err());
}

#[tokio::test]
async fn flaky_decides_by_the_call_so_a_retry_changes_nothing() {
    let outcomes: Vec<bool> = {
        let mut outcomes = Vec::new();
        for call in 0..64 {
            let call = format!("call-{call}");
            let first = run("flaky", &json!({}), &call).await.is_ok();
            assert_eq!(first, run("flaky", &json!({}), &call).await.is_ok());
            outcomes.push(first);
        }
        outcomes
    };
    assert!(outcomes.contains(&true) && outcomes.contains(&false));
}

#[tokio::test]
async fn the_liar_breaks_the_schema_it_promises() {
    let schema = draft("liar").unwrap().output_schema.unwrap();
    let lie = run("liar", &json!({"text": "x"}), "c1").await.unwrap();
    assert!(schema["required"].as_array().unwrap().iter().any(|name| lie.get(name.as_str().unwrap()).is_none()));
}

#[test]
fn every_name_has_a_draft() {
    for name in NAMES {
        assert_eq!(draft(name).unwrap().name, name);
    }
    assert!(draft("nobody").is_none());
}
