//! `devnet`.

use super::CliError;
use super::args::{DevnetCommand, Globals};
use super::client::Client;
use super::terminal::{self, Progress};
use crate::devnet::{self, Devnet, MAX_NODES, Options, Written};
use crate::home::Home;
use haggle_gateway::view::NodeStatus;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

pub(super) async fn run(globals: &Globals, command: DevnetCommand) -> Result<(), CliError> {
    match command {
        DevnetCommand::Up { nodes, dir, seed } => {
            if !(1..=MAX_NODES).contains(&nodes) {
                return Err(CliError::failure(
                    "usage",
                    format!("{nodes} nodes are not possible"),
                    "take 1 to 20 nodes",
                ));
            }
            Box::pin(up(globals, nodes, Options::here(dir, seed)?)).await
        }
        DevnetCommand::Down { dir } => down(globals, &dir).await,
        DevnetCommand::Status { dir } => status(globals, &dir).await,
        DevnetCommand::Time { forward, dir } => forward_time(globals, forward.into(), &dir).await,
    }
}

async fn up(globals: &Globals, count: u32, options: Options) -> Result<(), CliError> {
    let dir = options.dir.clone();
    let progress = Progress::start(globals.json || globals.quiet, "starting the chain");
    let mut market = Devnet::start(options).await?;
    let came_up = async {
        progress.say("starting the nodes");
        market.add_nodes(count).await?;
        progress.say("putting agents on the market");
        let agents = market.publish_demo_agents().await?;
        market.until_all_see(agents.len() as u64).await?;
        Ok(agents)
    };
    let came_up = unless_stopped(&dir, came_up).await;
    drop(progress);
    let agents = match came_up {
        Ok(Some(agents)) => agents,
        stopped_or_failed => {
            market.shutdown().await;
            return stopped_or_failed.map(drop);
        }
    };
    if globals.json {
        terminal::json(&written(&dir)?);
    } else {
        terminal::done(format!(
            "{count} nodes and {} agents are up; chain at {}",
            agents.len(),
            market.chain().rpc_url()
        ));
        terminal::next(globals.quiet, &commands(&market, &dir));
        terminal::aside("stop it with Ctrl-C or `haggle devnet down`");
    }
    keep(&mut market).await;
    market.shutdown().await;
    Ok(())
}

/// Commands to go on with in a running market.
pub(super) fn commands(market: &Devnet, dir: &Path) -> Vec<(String, &'static str)> {
    let last = market.nodes().last().map(|node| node.home().path().display().to_string()).unwrap_or_default();
    vec![
        (format!("haggle --home {last} find document"), "search from the last node"),
        (format!("haggle --home {last} wallet"), "what its agent has and may spend"),
        (format!("haggle devnet status --dir {}", dir.display()), "every node in a line"),
        (format!("haggle devnet time 24h --dir {}", dir.display()), "move the chain's clock, not yours"),
    ]
}

/// Does something with a devnet; nothing comes of it if the devnet in `dir` is told to end meanwhile, by a signal or by
/// `haggle devnet down`.
pub(super) async fn unless_stopped<T>(
    dir: &Path,
    work: impl Future<Output = Result<T, CliError>>,
) -> Result<Option<T>, CliError> {
    tokio::select! {
        outcome = work => match outcome {
            // its nodes went away under it, as they were told to
            Err(_) if devnet::is_told_to_stop(dir) => Ok(None),
            outcome => outcome.map(Some),
        },
        () = crate::node::interrupted() => Ok(None),
    }
}

/// Waits for Ctrl-C, or until `devnet down` has stopped the nodes.
pub(super) async fn keep(market: &mut Devnet) {
    tokio::select! {
        // without a signal handler the market simply runs until its nodes end
        () = crate::node::interrupted() => {}
        () = market.until_nodes_ended() => {}
    }
}

fn written(dir: &Path) -> Result<Written, CliError> {
    devnet::written_in(dir)
}

async fn down(globals: &Globals, dir: &Path) -> Result<(), CliError> {
    let written = written(dir)?;
    devnet::tell_to_stop(dir)?;
    let mut stopped = 0_u32;
    for home in &written.homes {
        let client = Client::for_home(&Home::at(home), None, None);
        if let Ok(client) = client
            && client.post::<_, Value>("/v1/node/stop", &json!({})).await.is_ok()
        {
            stopped += 1;
        }
    }
    if globals.json {
        terminal::json(&json!({"stopped": stopped}));
    } else {
        terminal::done(format!("asked {stopped} nodes to stop; the chain ends with them"));
    }
    Ok(())
}

async fn status(globals: &Globals, dir: &Path) -> Result<(), CliError> {
    let written = written(dir)?;
    let mut nodes = Vec::new();
    for home in &written.homes {
        let status = match Client::for_home(&Home::at(home), None, None) {
            Ok(client) => client.get::<NodeStatus>("/v1/node").await.ok(),
            Err(_) => None,
        };
        nodes.push(json!({"home": home, "status": status}));
        if globals.json {
            continue;
        }
        match status {
            Some(status) => terminal::line(format!(
                "{:<8} {} peers, {} listings, block {}, {}",
                status.name, status.peers, status.market.listings, status.chain.block, status.gateway
            )),
            None => terminal::line(format!("{}  not running", home.display())),
        }
    }
    if globals.json {
        terminal::json(&json!({"rpc": written.rpc, "nodes": nodes}));
    }
    Ok(())
}

async fn forward_time(globals: &Globals, forward: Duration, dir: &Path) -> Result<(), CliError> {
    let written = written(dir)?;
    let unreachable =
        |cause: reqwest::Error| CliError::not_running(format!("the chain at {} does not answer: {cause}", written.rpc));
    let http = reqwest::Client::builder().no_proxy().build().map_err(unreachable)?;
    for (method, params) in [("evm_increaseTime", json!([forward.as_secs()])), ("evm_mine", json!([]))] {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer: Value =
            http.post(&written.rpc).json(&call).send().await.map_err(unreachable)?.json().await.map_err(unreachable)?;
        if let Some(error) = answer.get("error") {
            return Err(CliError::failure("rpc_refused", error.to_string(), "only a devnet's chain can be moved"));
        }
    }
    if globals.json {
        terminal::json(&json!({"forward_seconds": forward.as_secs()}));
    } else {
        terminal::done(format!("the chain's clock is {forward:?} further"));
    }
    Ok(())
}
