//! The commands that add agents and look at them.

use clap::{ArgGroup, Args, Subcommand, ValueHint};
use haggle_base::Usdc;
use haggle_gateway::view::PriceFor;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AgentCommand {
    /// Add an agent and put it on the market.
    Add(Box<AgentAdd>),
    /// Withdraw an agent from the market; `haggle publish` brings it back.
    Suspend(OneAgent),
    /// Withdraw an agent for good, and stop it; its wallet stays.
    Delete(OneAgent),
    /// The agents of this node.
    List,
    /// What the program of an agent said on its standard error, and what the node says about it.
    Logs(AgentLogs),
}

const ADD_EXAMPLES: &str = "\
Four kinds of agents:

  haggle agent add http://127.0.0.1:9101 --price 0.02
      an A2A 1.0 agent that runs already: its card is read and checked, its own examples are tried,
      and name, description, tags and schemas are taken from the card
  haggle agent add shout --command \"python3 shout.py\" --price 0.01
      a program that speaks JSON lines (docs/protocols/stdio-agent.md): started with the node, and
      again when it ends; `haggle agent logs shout` shows what it says on standard error
  haggle agent add words --builtin digest
      one that comes with haggle
  haggle agent add letters --by-hand --price 5
      nothing runs it: `haggle order list` shows what waits, and you give each output with
      `haggle order deliver`; sold by escrow order alone, with a day to deliver

docs/quickstart-agent.md goes through the first two, from the first line of code to the first sale.";

#[derive(Debug, Args)]
#[command(after_help = ADD_EXAMPLES)]
#[command(group = ArgGroup::new("source").args(["builtin", "url", "command", "by_hand"]))]
pub(in crate::cli) struct AgentAdd {
    /// Name (1 to 48 of a-z, 0-9, -), or the URL of an A2A agent that runs already.
    #[arg(value_name = "NAME|URL")]
    pub(in crate::cli) what: String,
    /// One of the agents that come with haggle: digest, csv, echo, slow, flaky, liar, conformance.
    #[arg(long)]
    pub(in crate::cli) builtin: Option<String>,
    /// URL of an A2A 1.0 agent that runs already, when a name stands first.
    #[arg(long, value_hint = ValueHint::Url)]
    pub(in crate::cli) url: Option<String>,
    /// Nothing runs it: you, or a program through the API, give the output of each order. It needs a price.
    #[arg(long, requires = "price", conflicts_with = "sample")]
    pub(in crate::cli) by_hand: bool,
    /// A program and its arguments, split into words as a shell does; no shell runs.
    #[arg(long, value_hint = ValueHint::CommandString)]
    pub(in crate::cli) command: Option<String>,
    /// One more argument of the program, taken as it is; may be given again.
    #[arg(long, requires = "command", allow_hyphen_values = true)]
    pub(in crate::cli) arg: Vec<String>,
    /// The directory that the program runs in; default: this one.
    #[arg(long, requires = "command", value_hint = ValueHint::DirPath)]
    pub(in crate::cli) dir: Option<PathBuf>,
    /// Name of an environment variable of the node that the program gets; may be given again.
    #[arg(long, requires = "command", value_name = "VARIABLE")]
    pub(in crate::cli) env: Vec<String>,
    /// Longest time for one call of the program, 1s to 1h.
    #[arg(long, requires = "command", default_value = "10m", value_name = "TIME")]
    pub(in crate::cli) call_time: humantime::Duration,
    /// Name, when a URL stands first; default: the card's.
    #[arg(long)]
    pub(in crate::cli) name: Option<String>,
    /// What to ask the agent before it is served: text, or a JSON object; may be given again. Default: the examples of
    /// its card, or "hello".
    #[arg(long, value_name = "INPUT")]
    pub(in crate::cli) sample: Vec<String>,
    /// Serve it to nobody but its owner until `haggle publish` puts it on the market.
    #[arg(long)]
    pub(in crate::cli) draft: bool,
    /// Serve it without asking it anything first.
    #[arg(long, conflicts_with = "sample")]
    pub(in crate::cli) no_self_test: bool,
    /// Price of one call in USDC; 0 is free. Default: 0, or the built-in agent's own.
    #[arg(long)]
    pub(in crate::cli) price: Option<Usdc>,
    /// Time between payment and delivery that it promises, at least 1s. Default: 5m, the built-in agent's own, or a day by hand.
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) deliver_within: Option<humantime::Duration>,
    /// What the price is for: per_call, or outcome, which needs an output schema and is paid for nothing else.
    #[arg(long, value_name = "MODEL", value_parser = pricing)]
    pub(in crate::cli) pricing: Option<PriceFor>,
    /// A region it is offered in, such as eu; may be given again. Default: everywhere.
    #[arg(long)]
    pub(in crate::cli) region: Vec<String>,
    /// What it does.
    #[arg(long)]
    pub(in crate::cli) description: Option<String>,
    /// Primary category.
    #[arg(long)]
    pub(in crate::cli) category: Option<String>,
    /// A tag; may be given again.
    #[arg(long)]
    pub(in crate::cli) tag: Vec<String>,
    /// JSON Schema of the input, or `@file`.
    #[arg(long, value_name = "JSON|@FILE")]
    pub(in crate::cli) input_schema: Option<String>,
    /// JSON Schema of the output, or `@file`: the buyer's node pays only for output that fits.
    #[arg(long, value_name = "JSON|@FILE")]
    pub(in crate::cli) output_schema: Option<String>,
    /// What the A2A card says beyond the public one to callers who say who they are, or `@file`: an object of card
    /// fields, in which `skills` are added.
    #[arg(long, value_name = "JSON|@FILE")]
    pub(in crate::cli) extended: Option<String>,
}

fn pricing(word: &str) -> Result<PriceFor, &'static str> {
    PriceFor::of(word).ok_or("take per_call or outcome")
}

#[derive(Debug, Args)]
pub(in crate::cli) struct OneAgent {
    /// Name or DID of an agent of this node.
    pub(in crate::cli) agent: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AgentLogs {
    /// Name or DID of an agent of this node that is a program.
    pub(in crate::cli) agent: String,
    /// At most this many of the newest lines (1 to 1000).
    #[arg(long, default_value_t = 100)]
    pub(in crate::cli) lines: u32,
}

const INSPECT_EXAMPLES: &str = "\
What a stranger's client would see of an agent, and every fault in it:

  haggle a2a inspect http://127.0.0.1:9101          an agent on your machine, before you sell it
  haggle a2a inspect did:key:z6Mk… --text \"hello\"  an agent of the market, through your running node
  haggle a2a inspect URL --stream --json            everything as one JSON object, with every event

The exit code is 0 only if nothing is wrong. A fault is named by where it is: `card /skills/0/tags`
is the field tags of the card's first skill (a JSON pointer, RFC 6901).";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum A2aCommand {
    /// Check an agent's card, send it a message, and show what went over the wire.
    Inspect(Inspect),
}

#[derive(Debug, Args)]
#[command(after_help = INSPECT_EXAMPLES)]
pub(in crate::cli) struct Inspect {
    /// URL of an A2A agent (or of its card, ending in .json), or the DID of an agent of the market.
    #[arg(value_name = "URL|DID")]
    pub(in crate::cli) target: String,
    /// What to say to it. Default: the first example of its card, or "hello".
    #[arg(long)]
    pub(in crate::cli) text: Option<String>,
    /// Ask for a stream instead of one answer.
    #[arg(long)]
    pub(in crate::cli) stream: bool,
    /// Only check the card.
    #[arg(long, conflicts_with_all = ["text", "stream"])]
    pub(in crate::cli) no_send: bool,
    /// Longest wait for an answer.
    #[arg(long, default_value = "30s")]
    pub(in crate::cli) wait: humantime::Duration,
}
