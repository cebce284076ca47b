//! `wallet`.

use clap::{Args, Subcommand};
use haggle_base::Usdc;

const CLOSE: &str = "\
A channel that is being closed takes no more calls. What was charged stays with the seller, who
may still claim it while a withdrawal is under way; everything else comes back, once, however
often this is called.

  haggle wallet close 0x… --at http://shop.example/digest     from the seller, at once
  haggle wallet close 0x… --at did:key:z6Mk…                  the same, over A2A
  haggle wallet close 0x… --force                             without the seller, later";

#[derive(Debug, Args)]
pub(in crate::cli) struct Wallet {
    #[command(subcommand)]
    pub(in crate::cli) command: Option<WalletCommand>,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum WalletCommand {
    /// Entries of an agent's ledger, newest first.
    History {
        /// Which of this node's agents.
        #[arg(long, value_name = "DID")]
        agent: Option<String>,
        /// Only entries of this kind, such as `paid`, `sent` or `settled`.
        #[arg(long)]
        kind: Option<String>,
        /// Go on below this entry's number.
        #[arg(long)]
        before: Option<u64>,
        /// Most entries (1 to 100).
        #[arg(long, default_value_t = 20)]
        limit: u64,
    },
    /// Send USDC to an address or an agent.
    Send {
        /// An EVM address, or an agent's DID.
        to: String,
        /// How much, in USDC.
        amount: Usdc,
        /// Why: kept in this node's ledger, and told to the agent that is paid; an address is not told.
        #[arg(long, visible_alias = "reason", default_value = "")]
        memo: String,
        /// Key of the transfer: the same key never sends twice. Default: a fresh one, printed first.
        #[arg(long)]
        key: Option<String>,
        /// Which of this node's agents sends.
        #[arg(long, value_name = "DID")]
        from: Option<String>,
    },
    /// One payment or transfer by its key.
    Payment {
        /// The key.
        key: String,
    },
    /// Prepaid channels: those that this node's agents pay with, and those they are paid by.
    Channels {
        /// Which of this node's agents; all of them if left out.
        #[arg(long, value_name = "DID")]
        agent: Option<String>,
        /// Only channels behind this one: the `next` of the page before.
        #[arg(long, value_name = "SIDE/CHANNEL")]
        after: Option<String>,
        /// Most channels (1 to 1000).
        #[arg(long, default_value_t = 100)]
        limit: u64,
    },
    /// Take back what is left in a channel: from its seller at once, or without the seller after a delay.
    #[command(after_help = CLOSE)]
    Close {
        /// The channel's id, as `haggle wallet channels` shows it.
        channel: String,
        /// Where the seller sells: the URL that was paid for, or the agent's DID. It is asked to send back the rest.
        #[arg(long, value_name = "URL|DID", conflicts_with = "force")]
        at: Option<String>,
        /// Start the withdrawal, which needs no seller. It ends after the channel's withdraw delay, a day at haggle's nodes.
        #[arg(long)]
        force: bool,
    },
}
