//! Arguments of `peer` and `listing`.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum PeerCommand {
    /// Connected peers.
    List,
    /// Dial a peer by multiaddress or ticket.
    Connect {
        /// Address with /p2p/<id>, or a ticket.
        address: String,
    },
    /// Print a ticket: one line that says how to reach this node, for `peer connect` elsewhere.
    Ticket {
        /// An agent of this node, by name or DID, that the ticket is for.
        #[arg(long)]
        agent: Option<String>,
    },
    /// Measure the way to a peer, and say which way it is: direct, punched through NATs, or relayed.
    Ping {
        /// Peer id, the DID of an agent it serves, or a ticket.
        peer: String,
        /// How often (1 to 16).
        #[arg(long, short = 'n', default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=16))]
        count: u32,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ListingCommand {
    /// Ask this node and five peers where a listing stands, and why it may not be found.
    Why {
        /// Record id of the listing.
        id: String,
    },
    /// The prices that a listing has had, as far as this node has seen them.
    Prices {
        /// Record id of the listing, or DID of an agent for all it sells.
        id: String,
    },
}
