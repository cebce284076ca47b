//! `peer` and `listing`: who is connected, how far they are, and what they hold.

use super::CliError;
use super::args::{Globals, ListingCommand, PeerCommand};
use super::client::Client;
use super::terminal;
use haggle_gateway::view::{HeldView, PeerList, PingView, PricesView, TicketView, WhyView};
use serde_json::json;

pub(super) async fn peers(globals: &Globals, command: PeerCommand) -> Result<(), CliError> {
    let client = globals.client()?;
    let peers: PeerList = match command {
        PeerCommand::List => client.get("/v1/peers").await?,
        PeerCommand::Connect { address } => client.post("/v1/peers", &json!({"address": address})).await?,
        PeerCommand::Ticket { agent } => return ticket(globals, &client, agent).await,
        PeerCommand::Ping { peer, count } => return ping(globals, &client, &peer, count).await,
    };
    if globals.json {
        terminal::json(&peers);
        return Ok(());
    }
    if peers.items.is_empty() {
        terminal::line("No peers are connected.");
    }
    for peer in &peers.items {
        terminal::heading(&peer.peer);
        terminal::pairs([
            ("path", path_word(peer.path.as_deref())),
            ("addresses", peer.addresses.join(", ")),
            ("version", peer.version.clone().unwrap_or_else(|| "not said".to_owned())),
            ("proved", peer.dids.iter().map(|did| terminal::short(did)).collect::<Vec<_>>().join(", ")),
        ]);
    }
    Ok(())
}

async fn ticket(globals: &Globals, client: &Client, agent: Option<String>) -> Result<(), CliError> {
    let made: TicketView = client.get_with("/v1/peers/ticket", &json!({"agent": agent})).await?;
    if globals.json {
        terminal::json(&made);
        return Ok(());
    }
    // alone on its line, so that it can be piped
    terminal::line(&made.ticket);
    if made.addresses.is_empty() {
        terminal::remark("no address of this node can be dialled: open its ports, or name relays (`p2p.relays`)");
    }
    Ok(())
}

async fn ping(globals: &Globals, client: &Client, peer: &str, count: u32) -> Result<(), CliError> {
    let pinged: PingView = client.post(&format!("/v1/peers/{peer}/ping?count={count}"), &json!({})).await?;
    if globals.json {
        terminal::json(&pinged);
        return Ok(());
    }
    terminal::heading(&pinged.peer);
    for (at, took) in pinged.micros.iter().enumerate() {
        terminal::line(format!("  {}. {}", at + 1, milliseconds(*took)));
    }
    terminal::pairs([
        ("path", path_word(pinged.path.as_deref())),
        ("address", pinged.address.unwrap_or_else(|| "not told".to_owned())),
    ]);
    Ok(())
}

pub(super) async fn listing(globals: &Globals, command: ListingCommand) -> Result<(), CliError> {
    let id = match command {
        ListingCommand::Why { id } => id,
        ListingCommand::Prices { id } => return prices(globals, &id).await,
    };
    let why: WhyView = globals.client()?.get(&format!("/v1/listings/{id}/why")).await?;
    if globals.json {
        terminal::json(&why);
        return Ok(());
    }
    terminal::line(&why.because);
    terminal::pairs([("here", standing(Some(&why.here), why.here_by.as_deref()))]);
    for peer in &why.peers {
        terminal::pairs([(terminal::short(&peer.peer).as_str(), peer_line(peer))]);
    }
    let next = match why.here.as_str() {
        "held" if why.hidden.is_some() => ("haggle show AGENT", "what its author's orders came to"),
        "held" if why.peers.is_empty() => ("haggle peer connect ADDRESS", "nobody else can know of it yet"),
        "held" => ("haggle find WORDS", "it is found by words of its name, description and tags"),
        _ => ("haggle publish AGENT", "if it is yours: sign and spread it anew"),
    };
    terminal::next(globals.quiet, &[(next.0.to_owned(), next.1)]);
    Ok(())
}

async fn prices(globals: &Globals, id: &str) -> Result<(), CliError> {
    let prices: PricesView = globals.client()?.get(&format!("/v1/agents/{id}/prices")).await?;
    if globals.json {
        terminal::json(&prices);
        return Ok(());
    }
    if prices.listings.is_empty() {
        terminal::line("This agent sells nothing that this node knows of.");
    }
    for listing in &prices.listings {
        terminal::heading(format!("{}  {}", listing.name, terminal::short(&prices.agent)));
        for point in &listing.prices {
            let seen = point.seen.as_ref().map_or_else(String::new, |seen| format!(", seen {seen}"));
            let line = format!("  {} USDC  signed {}{seen}, version {}", point.price, point.signed, point.version);
            terminal::line(line);
        }
        if listing.prices.len() == 1 {
            terminal::aside("  no other price was seen here");
        }
    }
    Ok(())
}

fn peer_line(peer: &HeldView) -> String {
    match (&peer.problem, peer.micros) {
        (Some(problem), _) => problem.clone(),
        (None, took) => {
            let way = path_word(peer.path.as_deref());
            let took = took.map_or_else(String::new, |took| format!(" in {}", milliseconds(took)));
            format!("{}, {way}{took}", standing(peer.holding.as_deref(), peer.by.as_deref()))
        }
    }
}

fn standing(word: Option<&str>, by: Option<&str>) -> String {
    let word = word.unwrap_or("no answer");
    by.map_or_else(|| word.to_owned(), |by| format!("{word} by {}", terminal::short(by)))
}

fn path_word(path: Option<&str>) -> String {
    path.unwrap_or("not connected").to_owned()
}

fn milliseconds(micros: u64) -> String {
    format!("{}.{:03} ms", micros / 1_000, micros % 1_000)
}
