//! Cards as they are served: signed by the agent, extended for callers who say who they are.

use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use haggle_base::AgentKey;
use tower::ServiceExt;

use super::{
    binding::{Cable, Curtain},
    *,
};
use crate::{Answer, CallerScope, CardSigner, Cards, Client, Dial, HttpConfig, Remote, RemoteCall, router};

/// The keys of the agents of one node.
pub(super) struct Keys(pub(super) Vec<AgentKey>);

impl Keys {
    /// The key of the agent that is called.
    pub(super) fn of_the_agent() -> Self {
        Self(vec![Seed::devnet(7, 1).agent_key(0)])
    }
}

impl CardSigner for Keys {
    fn sign(&self, agent: &Did, card: Value) -> Value {
        let key = self.0.iter().find(|key| key.did() == *agent);
        key.and_then(|key| card::sign(card.clone(), key).ok()).unwrap_or(card)
    }
}

/// The agent's public card, which says that there is an extended one.
pub(super) fn public_card() -> Value {
    let mut card = agent_card();
    card["capabilities"]["extendedAgentCard"] = json!(true);
    Keys::of_the_agent().sign(&AGENT, card)
}

/// Serves the agent with both cards.
pub(super) fn with_extended_card(node: &Node) {
    let extra =
        json!({ "skills": [{ "id": "secret", "name": "Secret", "description": "For friends.", "tags": ["vip"] }] });
    let extended = card::extended(&public_card(), extra.as_object().unwrap());
    let extended = Some(Keys::of_the_agent().sign(&AGENT, extended));
    let executor: Arc<dyn Executor> = Arc::<Obedient>::clone(&node.agent);
    node.server.serve(*AGENT, Cards { public: public_card(), extended }, executor);
}

fn ask_extended() -> Value {
    rpc::request(5, "GetExtendedAgentCard", json!({}))
}

pub(super) fn skills(card: &Value) -> Vec<&str> {
    card["skills"].as_array().unwrap().iter().filter_map(|skill| skill["id"].as_str()).collect()
}

/// An agent on another node, reached over the libp2p binding.
struct Afar(Client);

#[async_trait]
impl Remote for Afar {
    async fn card(&self, _: &Did) -> Option<Value> {
        Some(public_card())
    }

    async fn call(&self, agent: &Did, call: RemoteCall) -> Result<Answer, A2aError> {
        self.0.perform(&ALICE, agent, call.request, call.params, call.deadline).await
    }
}

pub(super) fn gateway(server: &Server, remote: Option<Arc<dyn Remote>>) -> Router {
    let signer: Arc<dyn CardSigner> = Arc::new(Keys::of_the_agent());
    router(HttpConfig { server: server.clone(), remote, base_url: None, bearer: true, signer: Some(signer) })
}

fn known(routes: Router) -> Router {
    routes.layer(Extension(CallerScope("alice".into())))
}

/// Reads a path below the agent's.
async fn read(routes: &Router, rest: &str) -> (StatusCode, Value) {
    let place = format!("/a2a/{}{rest}", *AGENT);
    let request = Request::get(place).header("host", "127.0.0.1:7070").header("A2A-Version", "1.0");
    finish(routes, request.body(Body::empty()).unwrap()).await
}

/// Asks for the extended card in JSON-RPC.
async fn ask(routes: &Router) -> (StatusCode, Value) {
    let request = Request::post(format!("/a2a/{}", *AGENT)).header("host", "127.0.0.1:7070");
    let request = request.header("A2A-Version", "1.0").header("content-type", "application/json");
    finish(routes, request.body(Body::from(ask_extended().to_string())).unwrap()).await
}

async fn finish(routes: &Router, request: Request<Body>) -> (StatusCode, Value) {
    let answer = routes.clone().oneshot(request).await.unwrap();
    let (status, body) = (answer.status(), to_bytes(answer.into_body(), usize::MAX).await.unwrap());
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_gateways_card_of_its_own_agent_is_signed_by_the_agent() {
    let node = node().await;
    with_extended_card(&node);
    let routes = gateway(&node.server, None);
    let (_, shown) = read(&routes, "/.well-known/agent-card.json").await;
    let verified = card::verify(&shown, &AGENT).unwrap();
    assert!(verified.covered["supportedInterfaces"][0]["url"].as_str().unwrap().starts_with("http://127.0.0.1:7070/"));
    assert_eq!(shown["signatures"].as_array().unwrap().len(), 1, "the original's signature does not cover this card");
    let (_, original) = read(&routes, "/agent-card.json").await;
    assert_eq!(original, public_card());
    card::verify(&original, &AGENT).unwrap();
}

#[tokio::test]
async fn a_card_that_is_not_shown_to_a_stranger_is_not_there() {
    let node = node_with(Arc::new(Curtain), Limits::default()).await;
    with_extended_card(&node);
    let afar: Arc<dyn Remote> = Arc::new(Afar(Client::new(Cable::to(&node) as Arc<dyn Dial>)));
    let routes = gateway(&node.server, Some(afar));
    for place in ["/agent-card.json", "/.well-known/agent-card.json"] {
        let empty = super::node().await;
        empty.server.remove(&AGENT);
        let unknown = read(&gateway(&empty.server, None), place).await;
        assert_eq!(read(&routes, place).await, unknown, "as an agent that was never here: {place}");
        assert_eq!(unknown.0, StatusCode::NOT_FOUND);
        let (status, card) = read(&known(routes.clone()), place).await;
        assert_eq!((status, &card["name"]), (StatusCode::OK, &public_card()["name"]), "{place}");
    }
}

#[tokio::test]
async fn a_gateways_card_of_an_agent_elsewhere_is_unsigned_and_its_original_intact() {
    let (provider, near) = (node().await, node().await);
    with_extended_card(&provider);
    near.server.remove(&AGENT);
    let afar = Afar(Client::new(Cable::to(&provider) as Arc<dyn Dial>));
    let routes = gateway(&near.server, Some(Arc::new(afar)));
    let (_, shown) = read(&routes, "/.well-known/agent-card.json").await;
    card::check(&shown).unwrap();
    assert_eq!(shown.get("signatures"), None);
    let (_, original) = read(&routes, "/agent-card.json").await;
    card::verify(&original, &AGENT).unwrap();
}

#[tokio::test]
async fn the_extended_card_is_shown_over_every_binding() {
    let (provider, near) = (node().await, node().await);
    with_extended_card(&provider);
    let over_libp2p = Client::new(Cable::to(&provider) as Arc<dyn Dial>);
    let answer = over_libp2p.call(&ALICE, &AGENT, ask_extended(), PATIENCE).await.unwrap();
    let extended = rpc::result(answer).unwrap();
    assert_eq!(skills(&extended), ["obey", "secret"]);
    assert_eq!(card::peers(&extended), [*ALICE]);
    card::verify(&extended, &AGENT).unwrap();

    near.server.remove(&AGENT);
    let here = known(gateway(&provider.server, None));
    let there = known(gateway(&near.server, Some(Arc::new(Afar(over_libp2p)))));
    for (routes, is_here) in [(here, true), (there, false)] {
        let (_, in_rpc) = ask(&routes).await;
        let (status, in_rest) = read(&routes, "/extendedAgentCard").await;
        assert_eq!((status, &in_rest), (StatusCode::OK, &in_rpc["result"]));
        assert_eq!(read(&routes, &format!("/{}/extendedAgentCard", *AGENT)).await.1, in_rest, "below the tenant too");
        assert_eq!(skills(&in_rest), ["obey", "secret"]);
        let url = in_rest["supportedInterfaces"][0]["url"].as_str().unwrap();
        assert_eq!(url, format!("http://127.0.0.1:7070/a2a/{}", *AGENT), "callers stay at their gateway");
        assert_eq!(card::verify(&in_rest, &AGENT).is_ok(), is_here);
        let (_, public) = read(&routes, "/.well-known/agent-card.json").await;
        assert_eq!((skills(&public), card::has_extended(&public)), (vec!["obey"], true));
    }
}

#[tokio::test]
async fn nobody_gets_the_extended_card_without_saying_who_they_are() {
    let node = node().await;
    with_extended_card(&node);
    let routes = gateway(&node.server, None);
    assert_eq!(read(&routes, "/extendedAgentCard").await, (StatusCode::UNAUTHORIZED, Value::Null));
    assert_eq!(ask(&routes).await, (StatusCode::UNAUTHORIZED, Value::Null));
}

#[tokio::test]
async fn an_extended_card_is_refused_as_the_public_card_says() {
    let node = node().await;
    assert_eq!(node.ask_kind(alice(), ask_extended()).await, Kind::UnsupportedOperation);
    let executor: Arc<dyn Executor> = Arc::<Obedient>::clone(&node.agent);
    node.server.serve(*AGENT, public_card(), executor);
    assert_eq!(node.ask_kind(alice(), ask_extended()).await, Kind::ExtendedAgentCardNotConfigured);
    let routes = known(gateway(&node.server, None));
    let (status, refused) = read(&routes, "/extendedAgentCard").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(refused["error"]["details"][0]["reason"], "EXTENDED_AGENT_CARD_NOT_CONFIGURED");
    assert_eq!(ask(&routes).await.1["error"]["code"], -32007);
}
