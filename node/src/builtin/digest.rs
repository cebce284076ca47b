//! `digest`: what a document holds, at a glance.

use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Words a minute of an adult reading silently (Brysbaert 2019: 238 for non-fiction).
const WORDS_PER_MINUTE: usize = 238;
/// How many terms are named.
const TOP_TERMS: usize = 10;
/// Shorter words are never a term.
const LEAST_TERM_LETTERS: usize = 4;
/// Words that say nothing about a document.
const STOP_WORDS: [&str; 40] = [
    "about", "after", "also", "been", "before", "being", "between", "both", "could", "does", "each", "from", "have",
    "here", "into", "itself", "just", "like", "more", "most", "only", "other", "over", "same", "should", "some",
    "such", "than", "that", "their", "them", "then", "there", "they", "this", "what", "when", "which", "with", "your",
];

/// Reads `{"text": …}`.
pub(super) fn run(input: &Value) -> Result<Value, String> {
    let text =
        input.get("text").and_then(Value::as_str).ok_or("the input needs a member \"text\" that holds the document")?;
    let words: Vec<String> = text
        .split(|letter: char| !letter.is_alphanumeric() && letter != '\'')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let minutes = words.len().div_ceil(WORDS_PER_MINUTE);
    Ok(json!({
        "words": words.len(),
        "characters": text.chars().count(),
        "lines": text.lines().count(),
        "reading_minutes": minutes,
        "top_terms": top_terms(&words),
        "blake3": blake3::hash(text.as_bytes()).to_hex().as_str(),
    }))
}

fn top_terms(words: &[String]) -> Vec<Value> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for word in words {
        let telling = word.chars().count() >= LEAST_TERM_LETTERS
            && word.chars().any(char::is_alphabetic)
            && !STOP_WORDS.contains(&word.as_str());
        if telling {
            *counts.entry(word).or_default() += 1;
        }
    }
    let mut ranked: Vec<_> = counts.into_iter().collect();
    ranked.sort_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(right.0)));
    ranked.into_iter().take(TOP_TERMS).map(|(term, count)| json!({"term": term, "count": count})).collect()
}

/// What a buyer may hold the answer against.
pub(super) fn output_schema() -> Value {
    json!({
        "type": "object",
        "required": ["words", "characters", "lines", "reading_minutes", "top_terms", "blake3"],
        "properties": {
            "words": {"type": "integer", "minimum": 0},
            "characters": {"type": "integer", "minimum": 0},
            "lines": {"type": "integer", "minimum": 0},
            "reading_minutes": {"type": "integer", "minimum": 0},
            "blake3": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            "top_terms": {
                "type": "array",
                "maxItems": TOP_TERMS,
                "items": {"type": "object", "required": ["term", "count"]}
            }
        }
    })
}
