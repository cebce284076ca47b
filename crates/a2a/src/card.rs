//! Agent cards as raw JSON: build our own, check a stranger's, rewrite one for a gateway.

use haggle_base::{Coded, Did, PeerId};
use serde_json::{Map, Value, json};

use crate::{VERSION, binding};

mod canonical;
mod lint;
pub(crate) mod raw;
mod schema;
mod signature;

#[cfg(test)]
mod tests;

pub use canonical::{Form, canonical, covered, signable};
pub use lint::check_signable;
pub use raw::{MAX_CARD_BYTES, MAX_DEPTH, read};
pub use signature::{Examined, Header, MAX_SIGNATURES, SignatureError, Verified, examine, sign, verify, verify_with};

/// The protocol binding of plain JSON-RPC over HTTP.
pub const JSONRPC: &str = "JSONRPC";
/// The protocol binding of paths and methods over HTTP.
pub const HTTP_JSON: &str = "HTTP+JSON";
/// Where a card is served below an agent's URL.
pub const WELL_KNOWN: &str = ".well-known/agent-card.json";
/// The scheme word of the libp2p binding's URLs (`libp2p:<peer id>`).
const LIBP2P: &str = "libp2p:";

/// One thing an agent can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skill {
    /// Short id, unique in the card.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// One or two sentences.
    pub description: String,
    /// Words to find it by; at least one.
    pub tags: Vec<String>,
}

/// What an agent says about itself; everything technical is added by [`own`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Name for people.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The agent's own version.
    pub version: String,
    /// At least one.
    pub skills: Vec<Skill>,
    /// Media types it takes and gives; at least one.
    pub modes: Vec<String>,
    /// Optional extensions it understands, by URI.
    pub extensions: Vec<String>,
    /// Whether callers who say who they are can ask for an extended card.
    pub extended: bool,
}

/// Where an agent can be called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// URLs of both HTTP bindings, listed first.
    pub http: Vec<String>,
    /// Nodes that serve it over the libp2p binding.
    pub peers: Vec<PeerId>,
}

impl Places {
    fn interfaces(&self, agent: &Did) -> Vec<Value> {
        let http = self.http.iter().flat_map(|url| over_http(url));
        let peers = self.peers.iter().map(|peer| {
            json!({
                "url": format!("{LIBP2P}{peer}"),
                "protocolBinding": binding::URI,
                "protocolVersion": VERSION,
                "tenant": agent.to_string(),
            })
        });
        http.chain(peers).collect()
    }
}

/// The card of an agent that lives on our nodes. It holds no empty value, so that it can be signed.
pub fn own(draft: &Draft, agent: &Did, places: &Places) -> Value {
    let skills: Vec<Value> = draft
        .skills
        .iter()
        .map(
            |skill| json!({ "id": skill.id, "name": skill.name, "description": skill.description, "tags": skill.tags }),
        )
        .collect();
    json!({
        "name": draft.name,
        "description": draft.description,
        "version": draft.version,
        "supportedInterfaces": places.interfaces(agent),
        "capabilities": capabilities(draft.extensions.iter().map(|uri| json!({ "uri": uri })).collect(), draft.extended),
        "defaultInputModes": draft.modes,
        "defaultOutputModes": draft.modes,
        "skills": skills,
    })
}

/// The card of an agent that somebody else's server runs and our node offers: its own words, our
/// places, and only what passes through us.
///
/// Unsigned, because it is another card now: the backend's signatures do not cover it. What cannot be signed is left
/// out, so that the agent's key on our node can sign it.
pub fn adopt(backend: &Value, agent: &Did, places: &Places) -> Value {
    signable(&rehost(backend, places.interfaces(agent), false))
}

/// The extended card of an agent whose card is `card`: the same agent at the same places, with what `extra` says in
/// place of the card's own fields. Skills are added to the card's, in place of one with the same id. Unsigned.
pub fn extended(card: &Value, extra: &Map<String, Value>) -> Value {
    let mut extended = card.as_object().cloned().unwrap_or_default();
    extended.remove("signatures");
    for (name, value) in extra {
        match (name.as_str(), value) {
            ("capabilities" | "supportedInterfaces" | "signatures", _) => {}
            ("skills", Value::Array(more)) => {
                let is_new = |skill: &&Value| more.iter().all(|other| other.get("id") != skill.get("id"));
                let own = card.get("skills").and_then(Value::as_array).into_iter().flatten().filter(is_new);
                extended.insert(name.clone(), own.chain(more).cloned().collect());
            }
            _ => {
                extended.insert(name.clone(), value.clone());
            }
        }
    }
    Value::Object(extended)
}

/// Whether the card says that there is an extended one.
pub fn has_extended(card: &Value) -> bool {
    card.pointer("/capabilities/extendedAgentCard") == Some(&Value::Bool(true))
}

/// The card that a gateway shows for an agent behind it.
///
/// Unsigned, because the rewritten interfaces break the author's signature; the original is served
/// beside it. With `bearer` the card says that the gateway wants a token.
pub fn gateway(original: &Value, url: &str, bearer: bool) -> Value {
    let mut card = rehost(original, over_http(url).to_vec(), has_extended(original));
    if let (true, Some(map)) = (bearer, card.as_object_mut()) {
        map.insert(
            "securitySchemes".to_owned(),
            json!({ "bearer": { "httpAuthSecurityScheme": { "scheme": "Bearer" } } }),
        );
        map.insert("securityRequirements".to_owned(), json!([{ "schemes": { "bearer": { "list": ["a2a"] } } }]));
    }
    card
}

/// Both bindings over HTTP, at one URL.
fn over_http(url: &str) -> [Value; 2] {
    [JSONRPC, HTTP_JSON].map(|binding| json!({ "url": url, "protocolBinding": binding, "protocolVersion": VERSION }))
}

fn rehost(original: &Value, interfaces: Vec<Value>, extended: bool) -> Value {
    let mut card = original.as_object().cloned().unwrap_or_default();
    for gone in ["signatures", "securitySchemes", "securityRequirements"] {
        card.remove(gone);
    }
    let extensions =
        original.pointer("/capabilities/extensions").and_then(Value::as_array).cloned().unwrap_or_default();
    card.insert("capabilities".to_owned(), capabilities(extensions, extended));
    card.insert("supportedInterfaces".to_owned(), Value::Array(interfaces));
    Value::Object(card)
}

fn capabilities(extensions: Vec<Value>, extended: bool) -> Value {
    let mut map = Map::new();
    map.insert("streaming".to_owned(), json!(true));
    map.insert("pushNotifications".to_owned(), json!(true));
    if extended {
        map.insert("extendedAgentCard".to_owned(), json!(true));
    }
    if !extensions.is_empty() {
        map.insert("extensions".to_owned(), Value::Array(extensions));
    }
    Value::Object(map)
}

/// One entry of `supportedInterfaces`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface<'a> {
    /// Where.
    pub url: &'a str,
    /// The tenant that every request must echo.
    pub tenant: Option<&'a str>,
}

/// The first interface of this binding that speaks A2A 1.0.
pub fn interface<'a>(card: &'a Value, protocol_binding: &str) -> Option<Interface<'a>> {
    let text = |entry: &'a Value, key: &str| entry.get(key).and_then(Value::as_str);
    card.get("supportedInterfaces")?.as_array()?.iter().find_map(|entry| {
        let fits =
            text(entry, "protocolBinding") == Some(protocol_binding) && text(entry, "protocolVersion") == Some(VERSION);
        let url = text(entry, "url")?;
        fits.then_some(Interface { url, tenant: text(entry, "tenant").filter(|t| !t.is_empty()) })
    })
}

/// Whether the card's agent takes parts of this media type: one of its `defaultInputModes`, or a skill's `inputModes`.
/// `*/*` and `text/*` stand for what they look like; parameters such as a charset are not looked at.
pub fn accepts(card: &Value, media_type: &str) -> bool {
    let skills = card.get("skills").and_then(Value::as_array).into_iter().flatten();
    let lists = skills.filter_map(|skill| skill.get("inputModes")).chain(card.get("defaultInputModes"));
    let mut modes = lists.filter_map(Value::as_array).flatten().filter_map(Value::as_str);
    let asked = essence(media_type);
    modes.any(|mode| {
        let mode = essence(mode);
        match mode.strip_suffix("/*") {
            Some("*") => true,
            Some(kind) => asked.split('/').next() == Some(kind),
            None => mode == asked,
        }
    })
}

fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The nodes that serve this card's agent over the libp2p binding.
pub fn peers(card: &Value) -> Vec<PeerId> {
    let entries = card.get("supportedInterfaces").and_then(Value::as_array);
    entries
        .into_iter()
        .flatten()
        .filter(|entry| entry.get("protocolBinding").and_then(Value::as_str) == Some(binding::URI))
        .filter_map(|entry| entry.get("url")?.as_str()?.strip_prefix(LIBP2P)?.parse().ok())
        .collect()
}

/// Whether the card promises streams.
#[must_use]
pub fn streams(card: &Value) -> bool {
    card.pointer("/capabilities/streaming") == Some(&Value::Bool(true))
}

/// The URIs of the card's extensions; with `required_only`, of those the agent insists on.
pub fn extensions(card: &Value, required_only: bool) -> Vec<&str> {
    let listed = card.pointer("/capabilities/extensions").and_then(Value::as_array);
    listed
        .into_iter()
        .flatten()
        .filter(|entry| !required_only || entry.get("required") == Some(&Value::Bool(true)))
        .filter_map(|entry| entry.get("uri")?.as_str())
        .collect()
}

/// One fault of a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, as a JSON pointer (RFC 6901).
    pub path: String,
    /// What is wrong there.
    pub problem: &'static str,
}

/// A card that cannot be used, with every fault found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the agent card is not valid: {}", told(.faults))]
pub struct CardError {
    /// At least one.
    pub faults: Vec<Fault>,
}

fn told(faults: &[Fault]) -> String {
    let lines: Vec<String> = faults.iter().map(|fault| format!("{} {}", fault.path, fault.problem)).collect();
    lines.join("; ")
}

impl Coded for CardError {
    fn code(&self) -> &'static str {
        "card_invalid"
    }

    fn hint(&self) -> &'static str {
        "correct the fields named by their JSON paths"
    }
}

/// Checks that a card is an A2A 1.0 card: every required field, of the right type.
///
/// # Errors
/// [`CardError`] with every fault and its JSON path.
pub fn check(card: &Value) -> Result<(), CardError> {
    let mut checker = Checker::default();
    if card.is_object() {
        for key in ["name", "description", "version"] {
            checker.text(card, "", key);
        }
        for key in ["defaultInputModes", "defaultOutputModes"] {
            checker.texts(card, "", key);
        }
        if !card.get("capabilities").is_some_and(Value::is_object) {
            checker.add("/capabilities", "must be an object");
        }
        checker.each(card, "supportedInterfaces", |checker, entry, path| {
            for key in ["url", "protocolBinding", "protocolVersion"] {
                checker.text(entry, path, key);
            }
        });
        checker.each(card, "skills", |checker, entry, path| {
            for key in ["id", "name", "description"] {
                checker.text(entry, path, key);
            }
            checker.texts(entry, path, "tags");
        });
    } else {
        checker.add("", "must be an object");
    }
    checker.finish()
}

#[derive(Default)]
struct Checker(Vec<Fault>);

impl Checker {
    fn add(&mut self, path: &str, problem: &'static str) {
        self.0.push(Fault { path: path.to_owned(), problem });
    }

    fn text(&mut self, holder: &Value, path: &str, key: &str) {
        match holder.get(key).map(Value::as_str) {
            Some(Some(text)) if !text.is_empty() => {}
            None => self.add(&format!("{path}/{key}"), "is required"),
            Some(_) => self.add(&format!("{path}/{key}"), "must be a text that is not empty"),
        }
    }

    fn texts(&mut self, holder: &Value, path: &str, key: &str) {
        let list = holder.get(key).and_then(Value::as_array);
        if !list.is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_string)) {
            self.add(&format!("{path}/{key}"), "must be a list of texts that is not empty");
        }
    }

    fn each(&mut self, card: &Value, key: &str, check: fn(&mut Self, &Value, &str)) {
        match card.get(key).and_then(Value::as_array) {
            Some(entries) if !entries.is_empty() => {
                for (n, entry) in entries.iter().enumerate() {
                    check(self, entry, &format!("/{key}/{n}"));
                }
            }
            _ => self.add(&format!("/{key}"), "must be a list that is not empty"),
        }
    }

    fn finish(self) -> Result<(), CardError> {
        if self.0.is_empty() { Ok(()) } else { Err(CardError { faults: self.0 }) }
    }
}
