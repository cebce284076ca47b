//! What every key means, for `haggle config explain`.

/// One key and its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Dotted key.
    pub key: &'static str,
    /// What it sets.
    pub meaning: &'static str,
}

/// Every key there is.
pub const EXPLANATIONS: [Explanation; 52] = [
    row("name", "name shown to people; it identifies nothing"),
    row(
        "unlock",
        "what opens keys.age: { identity = \"unlock.key\" }, { env = \"VARIABLE\" }, { credential = \"NAME\" } or \"prompt\"",
    ),
    row("p2p.listen", "multiaddresses to listen on; port 0 takes a free one"),
    row("p2p.bootstrap", "peers to dial first, each with /p2p/<id> or a ticket; added to the network file's"),
    row("p2p.relays", "relays to be reached through while nobody can dial this node, each with /p2p/<id>"),
    row("p2p.relay", "whether this node carries bytes for others that nobody can dial; it takes a public address"),
    row("p2p.mdns", "whether nodes on the same local network are found by multicast DNS"),
    row("p2p.autonat", "whether peers are asked to dial this node, and are answered when they ask"),
    row("p2p.upnp", "whether a home router is asked to open this node's ports (UPnP)"),
    row("p2p.max_connections", "most connections at once"),
    row("p2p.max_per_subnet", "most connections that others open from one /24 of IPv4 or /48 of IPv6"),
    row("p2p.gossip", "whether records are gossiped; off leaves reconciliation alone"),
    row("p2p.sync", "whether record sets are reconciled with peers; off leaves gossip alone"),
    row("p2p.sync_every", "time between reconciliations with a random peer; a tenth of it while something is missing"),
    row(
        "market.role",
        "full: hold every record; index: also answer others' searches; interest: hold some categories, and ask index nodes \
         for the rest; light: hold little, and ask index nodes",
    ),
    row(
        "market.interests",
        "the categories that a node of the role interest holds, 32 at most, such as [\"data-processing\"]",
    ),
    row(
        "market.min_reputation",
        "buyers that an author served well less those it failed, at least, for its listings to be shown, and published here; at most \
         0, a newcomer's",
    ),
    row(
        "market.pay_listing_fee",
        "whether the network's listing fee is paid for each listing of this node's agents, out of the agent's wallet, every 30 \
         days",
    ),
    row("market.documents_mib", "MiB of others' documents kept on disk: long schemas that their listings name"),
    row("market.mailbox", "whether letters are kept for other nodes' agents that are away; never by a light node"),
    row("market.mailbox_mib", "MiB of letters kept, for all agents together"),
    row("market.mailbox_agents", "agents that letters are kept for"),
    row("search.reputation_weight", "what reputation weighs in the combined order, from 0 to 1"),
    row("search.cost_weight", "what the cost of a success weighs in the combined order, from 0 to 1"),
    row("search.speed_weight", "what speed and uptime weigh in the combined order, from 0 to 1"),
    row("chain.rpc", "JSON-RPC URL of the chain, or up to eight: one is trusted, of three or more two must agree"),
    row("chain.confirmations", "blocks below the newest one that count as settled"),
    row("chain.poll", "how often the chain is asked for news, such as 2s"),
    row("chain.gas_cap", "most gas one transaction may use"),
    row("chain.max_gas_price_gwei", "gwei per gas above which the node waits rather than pays"),
    row("budget.per_call", "most one call may cost in USDC, fee included, such as \"0.25\""),
    row("budget.per_day", "most the calls of one day (UTC) may cost in USDC, fee included"),
    row("trade.review", "challenge window after an on-chain delivery, 1h to 30days"),
    row("trade.release_patience", "how long the buyer waits for the seller to submit a release"),
    row("payments.channels", "whether callers may also pay by vouchers on prepaid channels"),
    row("payments.credit", "most that one payer, and one caller, may owe for work done before it is paid; 0 for none"),
    row("payments.listing_credit", "most that all payers without a payment here may owe to one listing"),
    row("payments.claim_every", "how long a voucher waits until it is claimed, such as 6h"),
    row("payments.claim_at", "unclaimed value of a channel in USDC that is claimed at once"),
    row("payments.prefer", "how calls are paid where a seller takes both: auto, channel or exact"),
    row("payments.escrow_from", "price from which a call is paid ahead of the work only if its rail is named"),
    row("payments.deposit_calls", "how many calls' worth of deposit payers are asked for, 5 USDC at most"),
    row("a2a.private_webhooks", "whether callers may have events pushed to private addresses too"),
    row("a2a.open_calls", "most calls at work at once; more are answered \"busy\""),
    row("a2a.open_calls_per_caller", "most calls of one caller at work at once"),
    row("a2a.kept_tasks", "most tasks kept; of those that ended the oldest makes room"),
    row("a2a.kept_tasks_per_caller", "most tasks kept of one caller"),
    row("agents.commands", "whether whoever holds the API token may add programs, which run as the node's user"),
    row(
        "agents.probe_every",
        "how often the servers that run this node's agents are asked whether they are there, 1s to 1h",
    ),
    row("gateway.listen", "loopback address of the HTTP face; port 0 takes a free one"),
    row("log.level", "filter such as info or haggle_trade=debug,warn"),
    row("log.json", "whether log lines are JSON objects"),
];

const fn row(key: &'static str, meaning: &'static str) -> Explanation {
    Explanation { key, meaning }
}

/// The meaning of one key.
#[must_use]
pub fn explain(key: &str) -> Option<Explanation> {
    EXPLANATIONS.into_iter().find(|row| row.key == key)
}
