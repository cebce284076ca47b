//! `init`, `up`, `down`, `status`.

use super::CliError;
use super::args::{Globals, Init, Up};
use super::client::Client;
use super::terminal::{self, Progress};
use crate::config::{Config, Unlock};
use crate::home::Home;
use crate::setup;
use haggle_base::Seed;
use haggle_gateway::view::{MarketStatus, NodeStatus, VisibilityView};
use serde_json::json;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long `down` waits for the node to tidy up.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

impl Globals {
    /// A client for the node these flags name.
    pub(super) fn client(&self) -> Result<Client, CliError> {
        Client::for_home(&self.home, self.api.as_deref(), self.token.as_deref())
    }
}

pub(super) fn init(globals: &Globals, args: &Init) -> Result<(), CliError> {
    let network = setup::read_network(&args.network)?;
    let mut config = Config::default();
    if let Some(name) = &args.name {
        config.name.clone_from(name);
    }
    if let Some(variable) = &args.passphrase_env {
        config.unlock = Unlock::Env(variable.clone());
    }
    let seed = match &args.restore {
        Some(path) => {
            let phrase = std::fs::read_to_string(path).map(Zeroizing::new).map_err(|cause| {
                CliError::failure(
                    "file_error",
                    format!("{}: {cause}", path.display()),
                    "give a file that holds the phrase",
                )
            })?;
            Seed::from_phrase(phrase.trim()).map_err(|error| crate::error::NodeError::room(&error))?
        }
        None => Seed::generate().map_err(|error| crate::error::NodeError::room(&error))?,
    };
    setup::make_home(&globals.home, &config, &network, &seed)?;
    let did = seed.agent_key(0).did().to_string();
    let address = seed.payment_key(0).address().to_string();
    if globals.json {
        terminal::json(&json!({
            "home": globals.home.path(), "network": network.id, "did": did, "payment_address": address,
            "peer_id": seed.node_key().peer_id(),
        }));
        return Ok(());
    }
    terminal::done(format!("made a node in {}", globals.home.path().display()));
    terminal::pairs([
        ("network", network.id.to_string()),
        ("did", did),
        ("paid at", address),
        ("keys", globals.home.keys().display().to_string()),
    ]);
    let next = [
        ("haggle up".to_owned(), "start the node"),
        ("haggle status".to_owned(), "from another terminal: what it sees"),
    ];
    terminal::next(globals.quiet, &next);
    Ok(())
}

pub(super) async fn up(globals: &Globals, args: Up) -> Result<(), CliError> {
    let progress = Progress::start(globals.json || globals.quiet, "starting the node");
    let mut config = load(&globals.home)?;
    if let Some(rpc) = args.rpc {
        config.chain.rpc = rpc.into();
    }
    config.p2p.bootstrap.extend(args.bootstrap);
    setup::start_logging(&config.log);
    let node = Box::pin(crate::Node::from_home(&globals.home, config)).await?;
    drop(progress);
    if globals.json {
        terminal::json(&json!({"api": node.gateway_url(), "peer_id": node.peer_id(), "addresses": node.addresses()}));
    } else {
        terminal::done(format!("node {} is up", terminal::short(&node.peer_id().to_string())));
        terminal::pairs([
            ("gateway", node.gateway_url().to_owned()),
            ("token", globals.home.token_file().display().to_string()),
            ("addresses", node.addresses().join("\n             ")),
        ]);
        terminal::aside("stop it with Ctrl-C or `haggle down`");
    }
    node.until_stopped().await;
    node.shutdown().await;
    Ok(())
}

fn load(home: &Home) -> Result<Config, CliError> {
    if !home.is_made() {
        return Err(crate::error::NodeError::NoHome(home.path().to_owned()).into());
    }
    Ok(Config::load(&home.config())?)
}

pub(super) async fn down(globals: &Globals) -> Result<(), CliError> {
    let client = globals.client()?;
    let _accepted: serde_json::Value = client.post("/v1/node/stop", &json!({})).await?;
    let gone = async {
        // the home is free once everything is on disk
        while if globals.home.is_made() {
            globals.home.lock().is_err()
        } else {
            client.get::<NodeStatus>("/v1/node").await.is_ok()
        } {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    if tokio::time::timeout(STOP_PATIENCE, gone).await.is_err() {
        return Err(CliError::failure(
            "timeout",
            "the node still holds its home",
            "look at its log; it finishes open writes first",
        ));
    }
    if globals.json {
        terminal::json(&json!({"stopped": true}));
    } else {
        terminal::done("the node is down");
    }
    Ok(())
}

/// What a listing's room costs, and how many listings are paid for.
fn fee_line(market: &MarketStatus) -> String {
    let Some(fee) = &market.listing_fee else { return "none".to_owned() };
    let here = if fee.paid_here { "; this node pays it for its agents" } else { "" };
    let (amount, days, sink) = (fee.amount, fee.days, &fee.sink);
    format!("{amount} USDC for {days} days, to {sink}; {} listings are paid for{here}", market.paid_listings)
}

/// The part that the node takes in the market, and what that means here.
fn role_line(market: &MarketStatus) -> String {
    match &*market.role {
        "light" => format!("light: it asks index nodes and knows {}", market.index_nodes),
        "index" => "index: it answers the searches of light and interest nodes".to_owned(),
        "interest" => {
            let shards = if market.shards_held == 1 { "shard" } else { "shards" };
            let part = format!("{} in {} {shards}", market.interests.join(", "), market.shards_held);
            let state = if market.complete { "reconciled" } else { "not reconciled yet" };
            format!(
                "interest: it holds {part}, {state}; for the rest it asks index nodes and knows {}",
                market.index_nodes
            )
        }
        role => role.to_owned(),
    }
}

pub(super) async fn status(globals: &Globals) -> Result<(), CliError> {
    let client = globals.client()?;
    // peers are asked first, and the status has what they said
    let outside: VisibilityView = client.get("/v1/visibility").await?;
    let status: NodeStatus = client.get("/v1/node").await?;
    if globals.json {
        terminal::json(&status);
        return Ok(());
    }
    terminal::heading(format!("{} on {}", status.name, status.network));
    let chain = &status.chain;
    let reach = if chain.reachable { "reachable" } else { "NOT reachable" };
    terminal::pairs([
        ("peer id", status.peer_id.clone()),
        ("addresses", status.addresses.join(", ")),
        ("reachable", status.reachable.clone()),
        ("peers", status.peers.to_string()),
        ("gateway", status.gateway.clone()),
        ("agents", status.agents.join(", ")),
        (
            "market",
            format!(
                "{} listings, {} cards, {} attestations",
                status.market.listings, status.market.cards, status.market.attestations
            ),
        ),
        ("listing fee", fee_line(&status.market)),
        ("role", role_line(&status.market)),
        ("seen from outside", outside.words()),
        ("reconciled with", format!("{} peers", status.market.reconciled_peers)),
        ("chain", format!("{} {reach}, block {}, {}", chain.chain_id, chain.block, chain.time)),
        ("chain trust", chain.trust.clone()),
        ("escrow", chain.escrow.clone()),
    ]);
    if chain.endpoints.len() > 1 {
        terminal::pairs(chain.endpoints.iter().map(|endpoint| {
            let block = endpoint.block.map_or_else(|| "no block yet".to_owned(), |block| format!("block {block}"));
            ("rpc", format!("{} {}, {block}, {} behind", endpoint.host, endpoint.standing, endpoint.behind))
        }));
    }
    if status.peers == 0 {
        terminal::next(
            globals.quiet,
            &[("haggle peer connect ADDRESS".to_owned(), "nobody is connected: dial someone you know")],
        );
    }
    Ok(())
}
