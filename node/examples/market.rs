//! Two nodes in one program: one serves a closure as an agent, the other finds it, hires it and pays it.
//!
//! `cargo run --release --example market`

use haggle::{AgentDraft, Node, Worker, devnet};
use haggle_devchain::{Config, DevChain};
use serde_json::json;
use std::error::Error;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let chain = DevChain::start(Config::default()).await?;
    let mut network = devnet::network_file(&chain, 1)?;

    // the seller: an agent is a closure from JSON to JSON
    let seller = Node::builder(dir.path().join("seller"))
        .network(network.clone())
        .chain(&chain.rpc_url())
        .seed(devnet::funded_seed(&chain, 1, 1)?)
        .local()
        .start()
        .await?;
    let shout = Worker::new(|input, _call| async move {
        let text = input["text"].as_str().ok_or("give me {\"text\": …}")?;
        Ok(json!({"text": text.to_uppercase()}))
    });
    seller.serve(AgentDraft::new("shout").category("text").price("0.01".parse()?), shout).await?;

    // the buyer: knows one address, finds the rest
    network.bootstrap = seller.addresses();
    let buyer = Node::builder(dir.path().join("buyer"))
        .network(network)
        .chain(&chain.rpc_url())
        .seed(devnet::funded_seed(&chain, 1, 2)?)
        .local()
        .start()
        .await?;
    let found = loop {
        let found = buyer.find("shout").await?;
        match found.into_iter().next() {
            Some(found) => break found,
            None => buyer.changed().await,
        }
    };
    let order = buyer.hire("my-first-order", &found.id, json!({"text": "sold"})).await?;
    anstream::println!("{} for {} USDC: {}", order.state, order.total, order.output.unwrap_or_default());
    assert_eq!(order.state, "settled");
    buyer.shutdown().await;
    seller.shutdown().await;
    chain.shutdown().await;
    Ok(())
}
