//! A node asks what runs its agents by itself: a server that stops is seen by its owner without anybody calling.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle::view::{AgentSummary, Executor, ListingPage, NewAgent, PriceFor};
use haggle_base::Usdc;
use haggle_testnet::Stage;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// Generous: real processes beside other work.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that answers every question with a card of no content.
async fn server(at: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind(at).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0_u8; 4096];
            let _read = stream.read(&mut request).await;
            let answer =
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
            let _written = stream.write_all(answer.as_bytes()).await;
        }
    });
    (addr, serving)
}

/// Waits until node 1 lists its agent with this health.
async fn until(stage: &Stage, health: &str) -> Value {
    let page = stage.until_answer(1, "/v1/agents", |page| page["items"][0]["health"] == health).await;
    page["items"][0].clone()
}

/// The uptime of the agent, as node 1 orders by it.
async fn uptime(stage: &Stage) -> f64 {
    let client = stage.node(1).client().unwrap();
    let page: ListingPage = client.get("/v1/listings?sort=combined&explain=true").await.unwrap();
    page.items[0].explanation.as_ref().unwrap().figures.unwrap().uptime_24h
}

/// Waits until the agent's uptime is this.
async fn until_uptime(stage: &Stage, wanted: f64) {
    let waiting = async {
        while uptime(stage).await.to_bits() != wanted.to_bits() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("the uptime is never {wanted}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_server_stops_is_degraded_and_live_again_when_it_is_back() {
    let mut stage = Stage::new(PROGRAM).await;
    stage.market.add_node_with(&[("HAGGLE_AGENTS__PROBE_EVERY", "1s")]).await.unwrap();
    let (addr, serving) = server(SocketAddr::from(([127, 0, 0, 1], 0))).await;
    let behind = NewAgent {
        name: "behind".to_owned(),
        description: "Stands before a server.".to_owned(),
        category: "text".to_owned(),
        tags: Vec::new(),
        price: Usdc::ZERO,
        input_schema: None,
        output_schema: None,
        deliver_within_seconds: 60,
        executor: Executor::Http { url: format!("http://{addr}/") },
        extended: None,
        draft: false,
        pricing: PriceFor::PerCall,
        regions: Vec::new(),
    };
    let _added: AgentSummary = stage.node(1).client().unwrap().post("/v1/agents", &behind).await.unwrap();
    stage.until_answer(1, "/v1/agents", |page| page["items"][0]["probed"].is_string()).await;
    until(&stage, "live").await;
    until_uptime(&stage, 1.0).await;

    serving.abort();
    let before = until(&stage, "degraded").await["probed"].clone();
    until_uptime(&stage, 0.0).await;
    let listed = stage.typed(1, &["agent", "list"]).await;
    assert!(listed.out.contains("degraded: what runs it does not answer (asked "), "{}", listed.out);

    let (_, serving) = server(addr).await;
    let after = until(&stage, "live").await["probed"].clone();
    assert!(before.as_str() < after.as_str(), "{before} {after}");
    until_uptime(&stage, 1.0).await;
    serving.abort();
    stage.end().await;
}
