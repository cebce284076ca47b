//! What this node's agents are, and where they stand: listed, published, suspended, deleted.

use crate::cli::CliError;
use crate::cli::args::{Globals, Publish};
use crate::cli::client::Client;
use crate::cli::terminal;
use haggle_gateway::view::{AgentListing, AgentPage, AgentSummary, Executor, Republish};
use serde_json::json;

pub(super) async fn list(globals: &Globals) -> Result<(), CliError> {
    let page: AgentPage = globals.client()?.get("/v1/agents").await?;
    if globals.json {
        terminal::json(&page);
        return Ok(());
    }
    if page.items.is_empty() {
        terminal::line("This node serves no agents.");
    }
    for agent in &page.items {
        terminal::heading(format!("{}  {} USDC", agent.name, agent.price));
        terminal::pairs([
            ("status", agent.status.clone()),
            ("health", health_line(agent)),
            ("runs", ran_by(&agent.executor)),
            ("did", agent.did.clone()),
            ("listing", agent.listing.clone().unwrap_or_else(|| "not on the market".to_owned())),
            ("paid at", agent.payment_address.clone()),
        ]);
    }
    Ok(())
}

/// How it is, and since when that is known.
fn health_line(agent: &AgentSummary) -> String {
    let words = match agent.health.as_str() {
        "degraded" => "degraded: what runs it does not answer",
        "down" => "down: nothing runs it",
        other => other,
    };
    match &agent.probed {
        Some(probed) => format!("{words} (asked {probed})"),
        None => words.to_owned(),
    }
}

fn ran_by(executor: &Executor) -> String {
    match executor {
        Executor::Builtin { name } => format!("built-in {name}"),
        Executor::Http { url } => url.clone(),
        Executor::Command { argv, .. } => argv.join(" "),
        Executor::ByHand => "nothing: you give the output of each order".to_owned(),
        Executor::Embedded => "a function of the program that embeds this node".to_owned(),
    }
}

pub(in crate::cli) async fn publish(globals: &Globals, args: &Publish) -> Result<(), CliError> {
    let client = globals.client()?;
    let agent = known(&client, &args.agent).await?;
    if args.withdraw {
        let listing = agent.listing.ok_or_else(|| {
            CliError::failure("listing_not_found", "the agent has no listing", "see `haggle agent list`")
        })?;
        client.delete(&format!("/v1/listings/{listing}")).await?;
        if globals.json {
            terminal::json(&json!({"withdrawn": listing}));
        } else {
            terminal::done(format!("withdrew {listing}: peers drop it as the tombstone reaches them"));
        }
        return Ok(());
    }
    let path = format!("/v1/agents/{}/publish", agent.did);
    let agent: AgentSummary = client.post(&path, &Republish { price: args.price }).await?;
    show(globals, &agent, "published anew");
    Ok(())
}

/// Withdraws an agent for a while.
pub(super) async fn suspend(globals: &Globals, agent: &str) -> Result<(), CliError> {
    let client = globals.client()?;
    let did = known(&client, agent).await?.did;
    let agent: AgentListing = client.post(&format!("/api/v1/agents/{did}/suspend"), &json!({})).await?;
    if globals.json {
        terminal::json(&agent);
        return Ok(());
    }
    terminal::done(format!("{} is suspended: peers drop its listing as the tombstone reaches them", agent.name));
    terminal::next(globals.quiet, &[(format!("haggle publish {}", agent.name), "bring it back")]);
    Ok(())
}

/// Withdraws an agent for good.
pub(super) async fn delete(globals: &Globals, agent: &str) -> Result<(), CliError> {
    let client = globals.client()?;
    let agent = known(&client, agent).await?;
    client.delete(&format!("/api/v1/agents/{}", agent.did)).await?;
    if globals.json {
        terminal::json(&json!({"deleted": agent.did}));
    } else {
        terminal::done(format!("deleted {}; its wallet stays: {}", agent.name, agent.did));
    }
    Ok(())
}

/// An agent of this node by name or DID.
async fn known(client: &Client, agent: &str) -> Result<AgentSummary, CliError> {
    let page: AgentPage = client.get("/v1/agents").await?;
    page.items.into_iter().find(|known| known.name == agent || known.did == agent).ok_or_else(|| {
        let detail = format!("this node serves no agent {agent:?}");
        CliError::failure("agent_not_found", detail, "see `haggle agent list`")
    })
}

/// An agent after something was done with it.
pub(super) fn show(globals: &Globals, agent: &AgentSummary, how: &str) {
    if globals.json {
        terminal::json(agent);
        return;
    }
    let Some(listing) = agent.listing.clone() else {
        terminal::done(format!("{} is a {}: nobody else knows of it", agent.name, agent.status));
        terminal::pairs([("did", agent.did.clone()), ("paid at", agent.payment_address.clone())]);
        terminal::next(globals.quiet, &[(format!("haggle publish {}", agent.name), "put it on the market")]);
        return;
    };
    terminal::done(format!("{} is {how} at {} USDC a call", agent.name, agent.price));
    terminal::pairs([("did", agent.did.clone()), ("listing", listing), ("paid at", agent.payment_address.clone())]);
    terminal::next(globals.quiet, &[(format!("haggle show {}", agent.did), "what others see")]);
}
