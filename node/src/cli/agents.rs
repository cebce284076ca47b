//! `agent` and `publish`.

use super::CliError;
use super::args::{AgentAdd, AgentCommand, Globals, Publish};
use super::terminal;
use crate::builtin;
use haggle_base::Usdc;
use haggle_gateway::view::{AgentPage, AgentSummary, Executor, NewAgent, Republish};
use serde_json::Value;
use std::path::Path;

pub(super) async fn run(globals: &Globals, command: AgentCommand) -> Result<(), CliError> {
    match command {
        AgentCommand::Add(args) => add(globals, args).await,
        AgentCommand::List => list(globals).await,
    }
}

async fn add(globals: &Globals, args: AgentAdd) -> Result<(), CliError> {
    let client = globals.client()?;
    let new = new_agent(args)?;
    let agent: AgentSummary = client.post("/v1/agents", &new).await?;
    show_published(globals, &agent, "on the market");
    Ok(())
}

fn new_agent(args: AgentAdd) -> Result<NewAgent, CliError> {
    let mut new = match (args.builtin, args.url) {
        (Some(name), _) => from_builtin(&name).ok_or_else(|| {
            CliError::failure(
                "agent_not_found",
                format!("there is no built-in agent named {name:?}"),
                format!("take one of {}", builtin::NAMES.join(", ")),
            )
        })?,
        (None, Some(url)) => NewAgent {
            name: String::new(),
            description: String::new(),
            category: "tools".to_owned(),
            tags: Vec::new(),
            price: Usdc::ZERO,
            input_schema: None,
            output_schema: None,
            deliver_within_seconds: 300,
            executor: Executor::Http { url },
            extended: None,
        },
        (None, None) => {
            return Err(CliError::failure(
                "usage",
                "an agent needs --builtin or --url",
                "see `haggle agent add --help`",
            ));
        }
    };
    new.name = args.name;
    if let Some(price) = args.price {
        new.price = price;
    }
    if let Some(description) = args.description {
        new.description = description;
    }
    if let Some(category) = args.category {
        new.category = category;
    }
    if !args.tag.is_empty() {
        new.tags = args.tag;
    }
    new.extended = args.extended.as_deref().map(read_extended).transpose()?;
    Ok(new)
}

fn read_extended(path: &Path) -> Result<Value, CliError> {
    let problem = |cause: String| {
        CliError::failure(
            "bad_extended_card",
            format!("{} cannot be read as JSON: {cause}", path.display()),
            "give a file with one JSON object, such as {\"skills\": [...]}",
        )
    };
    let bytes = std::fs::read(path).map_err(|cause| problem(cause.to_string()))?;
    haggle_a2a::card::read(&bytes).map_err(|cause| problem(cause.to_string()))
}

/// The request that serves a built-in agent as it is meant.
#[must_use]
pub(crate) fn from_builtin(name: &str) -> Option<NewAgent> {
    let draft = builtin::draft(name)?;
    Some(NewAgent {
        name: draft.name,
        description: draft.description,
        category: draft.category,
        tags: draft.tags,
        price: draft.price,
        input_schema: draft.input_schema,
        output_schema: draft.output_schema,
        deliver_within_seconds: u32::try_from(draft.deliver_within.as_secs()).unwrap_or(u32::MAX),
        executor: Executor::Builtin { name: name.to_owned() },
        extended: None,
    })
}

async fn list(globals: &Globals) -> Result<(), CliError> {
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
            ("did", agent.did.clone()),
            ("listing", agent.listing.clone().unwrap_or_else(|| "not published".to_owned())),
            ("paid at", agent.payment_address.clone()),
        ]);
    }
    Ok(())
}

pub(super) async fn publish(globals: &Globals, args: &Publish) -> Result<(), CliError> {
    let client = globals.client()?;
    let page: AgentPage = client.get("/v1/agents").await?;
    let agent =
        page.items.into_iter().find(|agent| agent.name == args.agent || agent.did == args.agent).ok_or_else(|| {
            CliError::failure(
                "agent_not_found",
                format!("this node serves no agent {:?}", args.agent),
                "see `haggle agent list`",
            )
        })?;
    if args.withdraw {
        let listing = agent.listing.ok_or_else(|| {
            CliError::failure("listing_not_found", "the agent has no listing", "see `haggle agent list`")
        })?;
        client.delete(&format!("/v1/listings/{listing}")).await?;
        if globals.json {
            terminal::json(&serde_json::json!({"withdrawn": listing}));
        } else {
            terminal::done(format!("withdrew {listing}: peers drop it as the tombstone reaches them"));
        }
        return Ok(());
    }
    let path = format!("/v1/agents/{}/publish", agent.did);
    let agent: AgentSummary = client.post(&path, &Republish { price: args.price }).await?;
    show_published(globals, &agent, "published anew");
    Ok(())
}

fn show_published(globals: &Globals, agent: &AgentSummary, how: &str) {
    if globals.json {
        terminal::json(agent);
        return;
    }
    terminal::done(format!("{} is {how} at {} USDC a call", agent.name, agent.price));
    terminal::pairs([
        ("did", agent.did.clone()),
        ("listing", agent.listing.clone().unwrap_or_default()),
        ("paid at", agent.payment_address.clone()),
    ]);
    terminal::next(globals.quiet, &[(format!("haggle show {}", agent.did), "what others see")]);
}
