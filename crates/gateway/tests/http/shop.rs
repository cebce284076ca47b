//! A node that records what the gateway asks of it, and a gateway before it.

use async_trait::async_trait;
use haggle_base::Usdc;
use haggle_gateway::view::{
    AgentChange, AgentListing, AgentMetadata, AgentPage, AgentProfile, AgentReputation, AgentStats, AgentSummary,
    AgentView, Answered, Availability, CaseView, ChannelPage, ChannelQuery, ChannelReceiptRequest, ChecksView,
    CloseRequest, ClosingView, Discover, DiscoveryQuery, DisputeRequest, EscrowView, EventView, Executor,
    ExplainedView, ExplanationView, FacetsView, HireRequest, HistoryPage, HistoryQuery, Invocation, Invoked, KeyList,
    KeyScope, KeyView, ListingDetail, ListingPage, ListingQuery, ListingView, LogView, MadeKey, MessageBody,
    MessageQuery, MessageView, Movement, NewAgent, NewKey, NodeStatus, OrderPage, OrderQuery, OrderView, PartView,
    PayRequest, PayView, PaymentView, PeerList, PingView, PriceBandView, PricesView, Probe, ProbeView, QuoteRequest,
    QuoteView, Republish, Reputation, TicketView, Topic, TransactionQuery, TransferRequest, TypedAnswer, TypedMessage,
    VisibilityView, WalletFacts, WalletList, WalletView, WhyView,
};
use haggle_gateway::{ApiError, Bound, Gateway, NodeApi, PaidAnswer, PaidCall, Readiness};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::broadcast;

pub(crate) const TOKEN: &str = "hgl_test";

/// What follows `sk_live_` in the one key that the shop knows.
pub(crate) const GOOD_KEY: &str = "0123";

/// What a call of two cents took out of a wallet.
fn spending() -> Movement {
    Movement {
        number: 8,
        kind: "a2a",
        is_in: false,
        amount: "0.0205".parse().unwrap(),
        counterpart: None,
        purpose: None,
        is_pending: true,
        order: Some("o-1".to_owned()),
        at: "2026-11-21T12:00:00.000Z".to_owned(),
    }
}

/// A node that holds one listing and records what is asked of it.
pub(crate) struct Shop {
    pub(crate) added: Mutex<Vec<NewAgent>>,
    pub(crate) stood: Mutex<Vec<String>>,
    pub(crate) hired: Mutex<Vec<String>>,
    pub(crate) paid: Mutex<Vec<(String, PayRequest)>>,
    pub(crate) closed: Mutex<Vec<(String, CloseRequest)>>,
    pub(crate) invoked: Mutex<Vec<Invocation>>,
    pub(crate) keys: Mutex<Vec<NewKey>>,
    pub(crate) keyed: Mutex<Vec<String>>,
    pub(crate) limited: Mutex<Vec<(Option<Usdc>, Option<Usdc>)>>,
    pub(crate) listed_money: Mutex<Vec<TransactionQuery>>,
    pub(crate) discovered: Mutex<Vec<Discover>>,
    pub(crate) asked: Mutex<Vec<MessageBody>>,
    pub(crate) listed: Mutex<Vec<MessageQuery>>,
    pub(crate) typed: Mutex<Vec<TypedMessage>>,
    pub(crate) given: Mutex<Vec<(String, Value)>>,
    pub(crate) sought: Mutex<Vec<ListingQuery>>,
    pub(crate) live: broadcast::Sender<EventView>,
}

pub(crate) fn unused() -> ApiError {
    ApiError::not_found("order_not_found", "this shop keeps no orders", "ask a real node")
}

pub(crate) fn digest() -> ListingView {
    ListingView {
        id: "ab".repeat(32),
        agent: "did:key:z6MkexampleSeller".to_owned(),
        name: "digest".to_owned(),
        description: "Reads a document.".to_owned(),
        category: "text".to_owned(),
        tags: vec!["document".to_owned()],
        regions: Vec::new(),
        pricing: "per_call".to_owned(),
        price: "0.02".parse().unwrap(),
        cost_per_success: "0.02004".parse().unwrap(),
        payable: true,
        reputation: Reputation {
            attestations: 2,
            total_calls: 1,
            success_rate: Some("0.998".to_owned()),
            avg_response_ms: Some(150),
            uptime_24h: Some(1),
            trust_score: Some("0.969".to_owned()),
            net: 1,
        },
        online: true,
        liveness: None,
        expires: "2026-11-27T12:00:00.000Z".to_owned(),
        explanation: None,
    }
}

fn summary(did: &str, status: &str) -> AgentSummary {
    AgentSummary {
        did: did.to_owned(),
        name: "digest".to_owned(),
        executor: Executor::Embedded,
        status: status.to_owned(),
        listing: None,
        price: Usdc::ZERO,
        payment_address: "0x0000000000000000000000000000000000000001".to_owned(),
        health: "live".to_owned(),
        probed: None,
    }
}

/// An agent in the owner's words, of which nothing is known but its DID.
fn listed(did: &str) -> AgentListing {
    AgentListing {
        id: did.to_owned(),
        creator_id: None,
        name: "digest".to_owned(),
        description: String::new(),
        category: Vec::new(),
        tags: Vec::new(),
        capabilities: Vec::new(),
        pricing: None,
        visibility: "private".to_owned(),
        status: "draft".to_owned(),
        certifications: Vec::new(),
        metadata: AgentMetadata {
            version: "0".to_owned(),
            changelog: String::new(),
            documentation: String::new(),
            sample_inputs: Vec::new(),
            sample_outputs: Vec::new(),
        },
        stats: AgentStats { total_runs: 0, success_rate: None, avg_rating: None, total_reviews: 0, revenue: None },
        reputation: AgentReputation { rating: None, completed_tasks: 0, success_rate: None, avg_response_time: None },
        availability: Availability { status: "online".to_owned() },
        created_at: None,
        updated_at: None,
    }
}

#[async_trait]
impl NodeApi for Shop {
    async fn status(&self) -> Result<NodeStatus, ApiError> {
        Err(unused())
    }
    async fn peers(&self) -> Result<PeerList, ApiError> {
        Ok(PeerList { items: Vec::new() })
    }
    async fn connect(&self, _: &str) -> Result<(), ApiError> {
        Ok(())
    }
    async fn ticket(&self, _: Option<&str>) -> Result<TicketView, ApiError> {
        Err(unused())
    }
    async fn checks(&self) -> ChecksView {
        ChecksView { items: Vec::new() }
    }
    async fn ping(&self, _: &str, _: Option<u32>) -> Result<PingView, ApiError> {
        Err(unused())
    }
    async fn visibility(&self) -> Result<VisibilityView, ApiError> {
        Err(unused())
    }
    async fn why(&self, _: &str) -> Result<WhyView, ApiError> {
        Err(unused())
    }
    async fn stop(&self) {}
    async fn readiness(&self) -> Vec<Readiness> {
        vec![Readiness { check: "chain", ok: false, detail: "no RPC endpoint answers".to_owned() }]
    }
    async fn find(&self, query: ListingQuery) -> Result<ListingPage, ApiError> {
        let facets = (query.facets == Some(true)).then(|| FacetsView {
            price: vec![PriceBandView { min_price: "0.010001".parse().unwrap(), max_price: None, count: 1 }],
            ..FacetsView::default()
        });
        let is_explained = query.explain == Some(true);
        self.sought.lock().push(query);
        let explained =
            is_explained.then(|| ExplainedView { sort: "combined".to_owned(), filters: [].into(), title_weight: 2.0 });
        let explanation = is_explained.then(|| ExplanationView {
            rank: "c01c28f5c28f5c28".to_owned(),
            text: Some(0.5),
            words: Vec::new(),
            figures: None,
            cost_per_success: None,
            parts: vec![PartView { part: "reputation".to_owned(), value: 0.25, weight: 0.4 }],
            score: Some(0.1),
        });
        let items = vec![ListingView { explanation, ..digest() }];
        Ok(ListingPage { items, total: 1, complete: true, coverage: None, next: None, facets, explained })
    }
    async fn listing(&self, _: &str) -> Result<ListingDetail, ApiError> {
        Err(unused())
    }
    async fn withdraw(&self, _: &str) -> Result<(), ApiError> {
        Ok(())
    }
    async fn agents(&self) -> Result<AgentPage, ApiError> {
        Ok(AgentPage { items: Vec::new() })
    }
    async fn agent(&self, _: &str) -> Result<AgentView, ApiError> {
        Err(unused())
    }
    async fn prices(&self, id: &str) -> Result<PricesView, ApiError> {
        Ok(PricesView { agent: id.to_owned(), listings: Vec::new() })
    }
    async fn add_agent(&self, new: NewAgent) -> Result<AgentSummary, ApiError> {
        let status = if new.draft { "draft" } else { "approved" };
        let summary = AgentSummary {
            name: new.name.clone(),
            executor: new.executor.clone(),
            price: new.price,
            ..summary("did:key:z6MkexampleNew", status)
        };
        self.added.lock().push(new);
        Ok(summary)
    }
    async fn probe_agent(&self, _: Probe) -> Result<ProbeView, ApiError> {
        Err(unused())
    }
    async fn agent_log(&self, _: &str, lines: usize) -> Result<LogView, ApiError> {
        Ok(LogView { items: Vec::new(), forgotten: lines as u64 })
    }
    async fn republish(&self, agent: &str, _: Republish) -> Result<AgentSummary, ApiError> {
        self.stood.lock().push(format!("publish {agent}"));
        Ok(summary(agent, "approved"))
    }
    async fn agent_listings(&self) -> Result<Vec<AgentListing>, ApiError> {
        Ok(vec![listed("did:key:z6MkexampleNew")])
    }
    async fn agent_listing(&self, agent: &str) -> Result<AgentListing, ApiError> {
        match agent {
            "nobody" => Err(ApiError::not_found("agent_not_found", "nobody", "look at the others")),
            agent => Ok(listed(agent)),
        }
    }
    async fn change_agent(&self, agent: &str, change: AgentChange) -> Result<AgentSummary, ApiError> {
        self.stood.lock().push(format!("change {agent} {}", serde_json::to_string(&change).unwrap()));
        Ok(summary(agent, "draft"))
    }
    async fn suspend_agent(&self, agent: &str) -> Result<AgentSummary, ApiError> {
        self.stood.lock().push(format!("suspend {agent}"));
        Ok(summary(agent, "suspended"))
    }
    async fn delete_agent(&self, agent: &str) -> Result<(), ApiError> {
        self.stood.lock().push(format!("delete {agent}"));
        Ok(())
    }
    async fn quote(&self, _: QuoteRequest) -> Result<QuoteView, ApiError> {
        Err(unused())
    }
    async fn hire(&self, key: &str, _: HireRequest) -> Result<OrderView, ApiError> {
        self.hired.lock().push(key.to_owned());
        Err(unused())
    }
    async fn invoke(&self, wanted: Invocation) -> Result<Invoked, ApiError> {
        self.invoked.lock().push(wanted.clone());
        if wanted.input == json!("too slow") {
            let late = ApiError::of_code("timeout", "no answer within 5000 ms");
            return Err(late.about_order("k-1", "GET /v1/orders/k-1 shows how it ends"));
        }
        let key = wanted.key.unwrap_or_else(|| "fresh".to_owned());
        Ok(Invoked {
            order: Some(key.clone()),
            key,
            output: json!({"words": 15}),
            seller: digest().agent,
            cost: digest().price,
            fee: "0.0005".parse().unwrap(),
            response_time_ms: 150,
            reason: "named by the caller".to_owned(),
        })
    }
    async fn make_key(&self, new: NewKey) -> Result<MadeKey, ApiError> {
        self.keys.lock().push(new);
        Ok(MadeKey { secret: format!("sk_live_{GOOD_KEY}"), agent: digest().agent, price: digest().price })
    }
    async fn keys(&self) -> Result<KeyList, ApiError> {
        Ok(KeyList { items: Vec::new() })
    }
    async fn revoke_key(&self, _: &str) -> Result<KeyView, ApiError> {
        Err(unused())
    }
    async fn key_scope(&self, key: &str) -> Result<KeyScope, ApiError> {
        if key != format!("sk_live_{GOOD_KEY}") {
            return Err(ApiError::of_code("unauthorized", "no such key was ever made here"));
        }
        Ok(KeyScope { id: "k1".to_owned(), agent: digest().agent })
    }
    async fn invoke_with(&self, key: &str, wanted: Invocation) -> Result<Invoked, ApiError> {
        self.keyed.lock().push(key.to_owned());
        self.invoke(wanted).await
    }
    async fn orders(&self, _: OrderQuery) -> Result<OrderPage, ApiError> {
        Ok(OrderPage { items: Vec::new(), next: None })
    }
    async fn order(&self, _: &str) -> Result<OrderView, ApiError> {
        Err(unused())
    }
    async fn order_receipt(&self, _: &str) -> Result<Value, ApiError> {
        Err(unused())
    }
    async fn cancel(&self, _: &str) -> Result<OrderView, ApiError> {
        Err(unused())
    }
    async fn dispute(&self, _: &str, _: DisputeRequest) -> Result<OrderView, ApiError> {
        Err(unused())
    }
    async fn counter(&self, _: &str) -> Result<OrderView, ApiError> {
        Err(unused())
    }
    async fn give_output(&self, id: &str, output: Value) -> Result<OrderView, ApiError> {
        self.given.lock().push((id.to_owned(), output));
        Err(ApiError::of_code("output_given", "another output was given for this order"))
    }
    async fn case(&self, _: &str) -> Result<CaseView, ApiError> {
        Err(unused())
    }
    async fn pay(&self, key: &str, request: PayRequest) -> Result<PayView, ApiError> {
        self.paid.lock().push((key.to_owned(), request));
        Err(unused())
    }
    async fn payment(&self, _: &str) -> Result<PaymentView, ApiError> {
        Err(unused())
    }
    async fn payment_receipt(&self, _: &str) -> Result<Value, ApiError> {
        Err(unused())
    }
    async fn transfer(&self, _: &str, _: TransferRequest) -> Result<PaymentView, ApiError> {
        Err(unused())
    }
    async fn history(&self, query: HistoryQuery) -> Result<HistoryPage, ApiError> {
        Ok(HistoryPage { agent: query.agent.unwrap_or_default(), items: Vec::new(), next: query.before })
    }
    async fn channels(&self, query: ChannelQuery) -> Result<ChannelPage, ApiError> {
        Ok(ChannelPage { items: Vec::new(), next: query.after })
    }
    async fn close_channel(&self, id: &str, request: CloseRequest) -> Result<ClosingView, ApiError> {
        self.closed.lock().push((id.to_owned(), request));
        Err(ApiError::of_code("channel_busy", "a call waits for its answer"))
    }
    async fn channel_receipt(&self, id: &str, request: ChannelReceiptRequest) -> Result<Value, ApiError> {
        Ok(serde_json::json!({"channel": id, "at": request.at}))
    }
    async fn discover(&self, wanted: Discover) -> Result<Vec<AgentProfile>, ApiError> {
        self.discovered.lock().push(wanted);
        Ok(Vec::new())
    }
    async fn ask_service(&self, request: MessageBody) -> Result<MessageView, ApiError> {
        let view = MessageView {
            message_id: "answer-1".to_owned(),
            from: digest().agent,
            to: request.from.clone(),
            kind: "response".to_owned(),
            timestamp: "t".to_owned(),
            payload: RawValue::from_string(
                r#"{"estimatedCost":0.0205,"requestId":"r-1","status":"accepted"}"#.to_owned(),
            )
            .unwrap(),
            signature: "c2ln".to_owned(),
            signed_by: "did:key:z6MkexampleBuyer".to_owned(),
            id: "ab".repeat(32),
            sequence: 2,
            delivery: None,
        };
        self.asked.lock().push(request);
        Ok(view)
    }
    async fn answer_service(&self, answer: MessageBody) -> Result<Answered, ApiError> {
        self.asked.lock().push(answer);
        Ok(Answered { request_id: "r-1".to_owned(), status: "rejected".to_owned(), order: None })
    }
    async fn messages(&self, query: MessageQuery) -> Result<Vec<MessageView>, ApiError> {
        self.listed.lock().push(query);
        Ok(Vec::new())
    }
    async fn typed_message(&self, message: TypedMessage) -> Result<TypedAnswer, ApiError> {
        self.typed.lock().push(message);
        Ok(TypedAnswer::OrderCompleteResponse {
            status: "success".to_owned(),
            order_id: "o-1".to_owned(),
            state: Some("settled".to_owned()),
            reason: None,
            code: None,
        })
    }
    async fn sell(&self, call: PaidCall) -> Result<PaidAnswer, ApiError> {
        let headers = match call.payment {
            Some(payment) => vec![("payment-response", payment)],
            None => vec![("payment-required", "b2ZmZXI=".to_owned())],
        };
        let status = if headers[0].0 == "payment-response" { 200 } else { 402 };
        let body = json!([call.listing, call.method, call.query, String::from_utf8_lossy(&call.body)]);
        Ok(PaidAnswer { status, headers, body: body.to_string().into_bytes() })
    }
    async fn verify_payment(&self, request: Value) -> Result<Value, ApiError> {
        Ok(json!({"isValid": request["x402Version"] == 2}))
    }
    async fn settle_payment(&self, _: Value) -> Result<Value, ApiError> {
        Err(unused())
    }
    async fn supported_payments(&self) -> Result<Value, ApiError> {
        Ok(json!({"kinds": []}))
    }
    async fn paid_resources(&self, query: DiscoveryQuery) -> Result<Value, ApiError> {
        Ok(json!({"limit": query.limit, "payTo": query.pay_to}))
    }
    async fn wallets(&self) -> Result<WalletList, ApiError> {
        let amount = |text: &str| text.parse().unwrap();
        let wallet = WalletView {
            agent: "did:key:z6MkexampleBuyer".to_owned(),
            address: "0x0000000000000000000000000000000000000002".to_owned(),
            balance: amount("13"),
            reserved: amount("0.654322"),
            available: amount("12.345678"),
            per_call: amount("0.25"),
            per_day: amount("2"),
            spent_today: amount("0"),
            budget: "words".to_owned(),
        };
        Ok(WalletList { items: vec![wallet] })
    }
    fn wallet_facts(&self) -> WalletFacts {
        let created_at = Some("2026-11-21T12:00:00.000Z".to_owned());
        WalletFacts { currency: "USDC".to_owned(), chain: "eip155:31337".to_owned(), created_at }
    }
    fn wallet_owner(&self, id: &str) -> Result<String, ApiError> {
        Ok(id.to_owned())
    }
    async fn limit_wallet(&self, _: &str, per_call: Option<Usdc>, per_day: Option<Usdc>) -> Result<(), ApiError> {
        self.limited.lock().push((per_call, per_day));
        Ok(())
    }
    async fn fund_wallet(&self, _: &str, amount: Usdc) -> Result<Movement, ApiError> {
        Ok(Movement { kind: "h2a", is_in: true, amount, is_pending: false, ..spending() })
    }
    async fn transactions(&self, _: &str, query: TransactionQuery) -> Result<Vec<Movement>, ApiError> {
        self.listed_money.lock().push(query);
        Ok(vec![spending()])
    }
    async fn escrow_of(&self, id: &str) -> Result<EscrowView, ApiError> {
        let known = EscrowView {
            order_id: "o-1".to_owned(),
            status: "funded".to_owned(),
            buyer: "did:key:z6MkexampleBuyer".to_owned(),
            seller: digest().agent,
            amount: "0.0205".to_owned(),
            created_at: "2026-11-21T12:00:00.000Z".to_owned(),
            expires_at: Some("2026-11-21T12:10:00.000Z".to_owned()),
            tx: Some("0x7a".to_owned()),
        };
        if id == known.order_id { Ok(known) } else { Err(unused()) }
    }
    fn events(&self, after: Option<u64>) -> (Vec<EventView>, broadcast::Receiver<EventView>) {
        let topic = Topic::TaskUpdates;
        let event = |id| EventView { id, at: "t".to_owned(), topic, kind: "order.step".to_owned(), data: json!(id) };
        let past = (1..=3).filter(|id| after.is_some_and(|after| *id > after)).map(event).collect();
        (past, self.live.subscribe())
    }
}

/// A gateway before a [`Shop`], and a client.
pub(crate) struct Rig {
    pub(crate) gateway: Gateway,
    pub(crate) shop: Arc<Shop>,
    pub(crate) http: reqwest::Client,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::start_with(axum::Router::new()).await
    }

    /// With these routes of the A2A room.
    pub(crate) async fn start_with(a2a: axum::Router) -> Self {
        let shop = Arc::new(Shop {
            added: Mutex::default(),
            stood: Mutex::default(),
            hired: Mutex::default(),
            paid: Mutex::default(),
            closed: Mutex::default(),
            invoked: Mutex::default(),
            keys: Mutex::default(),
            keyed: Mutex::default(),
            limited: Mutex::default(),
            listed_money: Mutex::default(),
            discovered: Mutex::default(),
            asked: Mutex::default(),
            listed: Mutex::default(),
            typed: Mutex::default(),
            given: Mutex::default(),
            sought: Mutex::default(),
            live: broadcast::Sender::new(16),
        });
        let registry = Arc::new(Mutex::new(Registry::default()));
        let bound = Bound::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let api: Arc<dyn NodeApi> = Arc::<Shop>::clone(&shop);
        let gateway = bound.serve(api, registry, TOKEN, a2a);
        Self { gateway, shop, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.gateway.address())
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.http.get(self.url(path)).bearer_auth(TOKEN).send().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> reqwest::Response {
        let request = self.http.post(self.url(path)).bearer_auth(TOKEN);
        request.header("content-type", "application/json").body(body.to_owned()).send().await.unwrap()
    }
}

/// The status and code of a refusal, whose form is checked.
pub(crate) async fn problem(response: reqwest::Response) -> (u16, String) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let body: Value = response.json().await.unwrap();
    assert!(!body["hint"].as_str().unwrap().is_empty());
    assert_eq!(body["status"], status);
    (status, body["code"].as_str().unwrap().to_owned())
}
