//! A2A over libp2p: one SendMessage to an agent that gives back what it gets.

use async_trait::async_trait;
use haggle_a2a::{A2aError, Kind, message};
use haggle_a2a_transport::{
    BoxStream, Caller, Client, Dial, FnExecutor, Input, Limits, OpenGate, Output, PROTOCOL, Server,
};
use haggle_base::{Clock, Did, PeerId, Seed, SystemClock};
use haggle_network::{Network, NetworkConfig};
use haggle_store::Store;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Longest wait for one call.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client node that is connected to a node with an echo agent.
#[derive(Debug)]
pub struct A2a {
    client: Client,
    peer: PeerId,
    agent: Did,
    _bodies: TempDir,
    _networks: [Network; 2],
}

struct Streams(Network);

#[async_trait]
impl Dial for Streams {
    async fn open(&self, peer: &PeerId) -> Result<BoxStream, A2aError> {
        let stream = self.0.open(peer, PROTOCOL).await;
        stream
            .map(|stream| Box::new(stream) as BoxStream)
            .map_err(|error| A2aError::new(Kind::Unreachable, error.to_string()))
    }
}

impl A2a {
    /// Starts the pair and connects it.
    ///
    /// # Panics
    /// Loopback or a temporary directory cannot be had.
    pub async fn start() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let bodies = tempfile::tempdir().expect("a temporary directory");
        let (seller, buyer) = (network(1, &clock).await, network(2, &clock).await);
        let agent = Seed::devnet(7, 1).agent_key(0).did();
        let server = Server::open(Store::memory(), bodies.path(), Arc::new(OpenGate), clock, Limits::default())
            .await
            .expect("an empty store opens");
        // a message needs no task that is kept, as the raw exchange keeps none
        let echo =
            FnExecutor::new(|input: Input| async move { Ok(Output::text(input.text()?)) }).answering_with_messages();
        server.serve(agent, json!({"name": "echo"}), Arc::new(echo));
        let mut calls = seller.accept(PROTOCOL).expect("the protocol is free");
        tokio::spawn(async move {
            while let Some((peer, stream)) = calls.next().await {
                tokio::spawn(server.serve_stream(Caller::peer(peer, Vec::new()), stream));
            }
        });
        let peer = seller.peer_id();
        buyer.connect(&peer, &seller.listen_addrs()).await.expect("loopback can be dialled");
        let client = Client::new(Arc::new(Streams(buyer.clone())));
        Self { client, peer, agent, _bodies: bodies, _networks: [seller, buyer] }
    }

    /// The request that carries `text`, and its size in bytes.
    #[must_use]
    pub fn request(text: &str) -> (Value, usize) {
        let message = message::user("m-1", vec![message::text(text)]);
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}});
        let size = request.to_string().len();
        (request, size)
    }

    /// Sends the request and waits for the agent's answer.
    ///
    /// # Panics
    /// The agent does not answer.
    pub async fn call(&self, request: Value) -> Value {
        let answer = self.client.call(&self.peer, &self.agent, request, PATIENCE).await.expect("the agent answers");
        assert!(answer.get("result").is_some(), "{answer}");
        answer
    }

    /// Sends the request; whether the agent answered it well.
    pub async fn try_call(&self, request: Value) -> bool {
        let answer = self.client.call(&self.peer, &self.agent, request, PATIENCE).await;
        answer.is_ok_and(|answer| answer.get("result").is_some())
    }
}

async fn network(number: u32, clock: &Arc<dyn Clock>) -> Network {
    let config = NetworkConfig::for_testing("devnet-7/1".parse().expect("a network id"));
    let key = Seed::devnet(7, number).node_key();
    Network::start(config, &key, Arc::clone(clock), None).await.expect("loopback can be listened on").0
}
