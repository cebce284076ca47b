//! What a running agent's card says of it, in the words of this market.

use haggle_base::Text;
use serde_json::{Map, Value, json};

/// Most samples taken from a card.
const MAX_SAMPLES: usize = 3;
/// Longest name of an agent, in bytes.
const MAX_NAME: usize = 48;
/// Longest description.
const MAX_DESCRIPTION: usize = 512;
/// Longest tag.
const MAX_TAG: usize = 32;
/// Most tags.
const MAX_TAGS: usize = 16;
/// Largest schema.
const MAX_SCHEMA: usize = 1024;
/// Largest part of a card that a wrapped agent's own card takes over, in bytes: a card record has room for it.
const MAX_FACE: usize = 2560;
/// The fields of a card that say what the agent does, and with which media types.
const FACE: [&str; 3] = ["skills", "defaultInputModes", "defaultOutputModes"];
/// What A2A 1.0 has of a skill, but for its security; a signed card holds nothing else.
const SKILL: [&str; 7] = ["id", "name", "description", "tags", "examples", "inputModes", "outputModes"];

/// An agent as its card describes it, within the bounds of a listing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Described {
    /// The card's name, in the letters of a listing's; empty if none of them are left.
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) tags: Vec<String>,
    pub(crate) input_schema: Option<Value>,
    pub(crate) output_schema: Option<Value>,
    /// Texts that its skills show as examples.
    pub(crate) samples: Vec<String>,
}

/// Reads a card that has been checked.
pub(crate) fn describe(card: &Value) -> Described {
    let text = |key: &str| card.get(key).and_then(Value::as_str).unwrap_or_default();
    let skills: Vec<&Value> = card.get("skills").and_then(Value::as_array).into_iter().flatten().collect();
    let of_skills = |key: &'static str| {
        let lists = skills.iter().filter_map(move |skill| skill.get(key)?.as_array());
        lists.flatten().filter_map(Value::as_str)
    };
    let mut tags: Vec<String> = Vec::new();
    for tag in of_skills("tags").map(|tag| within(tag.trim(), MAX_TAG)) {
        if !tag.is_empty() && !tags.contains(&tag) && tags.len() < MAX_TAGS {
            tags.push(tag);
        }
    }
    // schemas are no field of A2A 1.0, but some cards carry them
    let schema = |names: [&str; 2]| {
        let only = (skills.len() == 1).then(|| skills[0])?;
        let schema = names.into_iter().find_map(|name| only.get(name))?;
        (schema.is_object() && schema.to_string().len() <= MAX_SCHEMA).then(|| schema.clone())
    };
    Described {
        name: slug(text("name")),
        description: within(text("description"), MAX_DESCRIPTION),
        tags,
        input_schema: schema(["inputSchema", "input_schema"]),
        output_schema: schema(["outputSchema", "output_schema"]),
        samples: of_skills("examples").take(MAX_SAMPLES).map(str::to_owned).collect(),
    }
}

/// The part of a card that says what the agent does, small enough and free of empty values; what does not fit is left
/// out, examples first.
pub(crate) fn face(card: &Value) -> Option<Text<4096>> {
    let mut face = Map::new();
    for key in FACE {
        face.insert(key.to_owned(), full(card.get(key)?)?);
    }
    keep_in_skills(&mut face, &SKILL);
    let size = |face: &Map<String, Value>| serde_json::to_vec(face).map_or(usize::MAX, |bytes| bytes.len());
    if size(&face) > MAX_FACE {
        keep_in_skills(&mut face, &["id", "name", "description", "tags"]);
    }
    while size(&face) > MAX_FACE {
        let skills = face.get_mut("skills")?.as_array_mut()?;
        skills.pop()?;
        if skills.is_empty() {
            return None;
        }
    }
    Text::try_from(Value::Object(face).to_string()).ok()
}

fn keep_in_skills(face: &mut Map<String, Value>, names: &[&str]) {
    let skills = face.get_mut("skills").and_then(Value::as_array_mut);
    for fields in skills.into_iter().flatten().filter_map(Value::as_object_mut) {
        fields.retain(|key, _| names.contains(&key.as_str()));
    }
}

/// A card with another one's face.
pub(crate) fn with_face(mut card: Value, face: &str) -> Value {
    if let (Some(fields), Ok(Value::Object(face))) = (card.as_object_mut(), serde_json::from_str(face)) {
        fields.extend(face);
    }
    card
}

/// A value without what signed cards leave out; `None` if nothing is left. Control characters in texts become spaces.
fn full(value: &Value) -> Option<Value> {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(key, _)| *key != "securityRequirements");
            let kept: Map<_, _> = kept.filter_map(|(key, value)| Some((key.clone(), full(value)?))).collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(items) => {
            let kept: Vec<_> = items.iter().filter_map(full).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        Value::String(text) => (!text.is_empty()).then(|| json!(plain(text))),
        Value::Bool(true) => Some(json!(true)),
        Value::Number(number) if number.as_f64() != Some(0.0) => Some(value.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// A text without control characters, cut at a letter's end.
fn within(text: &str, max: usize) -> String {
    let mut text = plain(text);
    while text.len() > max {
        text.pop();
    }
    text.trim().to_owned()
}

/// A name in the letters of a listing's: "Python Echo!" is `python-echo`.
fn slug(name: &str) -> String {
    let mut slug = String::new();
    for letter in name.chars().flat_map(char::to_lowercase) {
        if slug.len() >= MAX_NAME {
            break;
        }
        if letter.is_ascii_lowercase() || letter.is_ascii_digit() {
            slug.push(letter);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use haggle_a2a::card;
    use haggle_base::Seed;

    fn echo() -> Value {
        json!({
            "name": "  Python Echo (v2)!",
            "description": "Says back\nwhat it hears.",
            "version": "1.0.0",
            "supportedInterfaces": [{"url": "http://x/", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
            "capabilities": {},
            "defaultInputModes": ["text/plain", "image/png"],
            "defaultOutputModes": ["text/plain"],
            "skills": [{
                "id": "echo", "name": "Echo", "description": "Echoes.", "tags": ["echo", "text", "echo", ""],
                "examples": ["hello", "to be", "or not", "to be"], "inputModes": [],
                "inputSchema": {"type": "object"}, "outputSchema": "none",
                "securityRequirements": [{"schemes": {}}],
            }],
        })
    }

    #[test]
    fn a_card_describes_its_agent_within_the_bounds_of_a_listing() {
        let described = describe(&echo());
        assert_eq!(described.name, "python-echo-v2");
        assert_eq!(described.description, "Says back what it hears.");
        assert_eq!(described.tags, ["echo", "text"]);
        assert_eq!(described.input_schema, Some(json!({"type": "object"})));
        assert_eq!(described.output_schema, None);
        assert_eq!(described.samples, ["hello", "to be", "or not"]);
        let mut long = echo();
        long["name"] = json!("ä".repeat(100));
        long["description"] = json!("ä".repeat(1000));
        let described = describe(&long);
        assert_eq!(described.name, "");
        assert_eq!(described.description.len(), 512);
    }

    #[test]
    fn its_skills_and_media_types_stand_in_our_own_card_which_can_be_signed() {
        let row_card = card::own(
            &card::Draft {
                name: "echo".to_owned(),
                description: "x".to_owned(),
                version: "1".to_owned(),
                skills: vec![],
                modes: vec![],
                extended: false,
                extensions: vec![],
            },
            &Seed::devnet(7, 1).agent_key(0).did(),
            &card::Places { http: vec![], peers: vec![Seed::devnet(7, 1).node_key().peer_id()] },
        );
        let ours = with_face(row_card, &face(&echo()).unwrap());
        card::check(&ours).unwrap();
        card::check_signable(&ours).unwrap();
        assert!(card::accepts(&ours, "image/png"));
        assert_eq!(ours["skills"][0]["examples"][0], "hello");
        assert_eq!(ours["skills"][0].get("securityRequirements"), None);
        assert_eq!(ours["name"], "echo");
    }

    #[test]
    fn a_face_that_is_too_large_loses_examples_then_skills() {
        let mut large = echo();
        let skill = |n: usize| json!({"id": n.to_string(), "name": "x".repeat(200), "description": "d", "tags": ["t"], "examples": ["e".repeat(500)]});
        large["skills"] = (1..20).map(skill).collect();
        let held = face(&large).unwrap();
        assert!(held.len() <= MAX_FACE);
        let held: Value = serde_json::from_str(&held).unwrap();
        let skills = held["skills"].as_array().unwrap();
        assert!(skills.len() > 3 && skills.len() < 19, "{}", skills.len());
        assert_eq!(skills[0].get("examples"), None);
        large["skills"][0]["description"] = json!("d".repeat(5000));
        assert_eq!(face(&large), None);
    }
}
