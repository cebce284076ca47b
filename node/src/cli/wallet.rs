//! `wallet` and `peer`.

use super::CliError;
use super::args::{Globals, PeerCommand};
use super::terminal;
use haggle_gateway::view::{PeerList, WalletList};
use serde_json::json;

pub(super) async fn show(globals: &Globals) -> Result<(), CliError> {
    let wallets: WalletList = globals.client()?.get("/v1/wallet").await?;
    if globals.json {
        terminal::json(&wallets);
        return Ok(());
    }
    for wallet in &wallets.items {
        terminal::heading(format!("{} USDC", wallet.balance));
        terminal::pairs([
            ("agent", wallet.agent.clone()),
            ("address", wallet.address.clone()),
            ("reserved", wallet.reserved.to_string()),
            ("available", wallet.available.to_string()),
            ("spent today", wallet.spent_today.to_string()),
            ("budget", wallet.budget.clone()),
        ]);
    }
    Ok(())
}

pub(super) async fn peers(globals: &Globals, command: PeerCommand) -> Result<(), CliError> {
    let client = globals.client()?;
    let peers: PeerList = match command {
        PeerCommand::List => client.get("/v1/peers").await?,
        PeerCommand::Connect { address } => client.post("/v1/peers", &json!({"address": address})).await?,
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
            ("path", peer.path.clone().unwrap_or_else(|| "none".to_owned())),
            ("addresses", peer.addresses.join(", ")),
            ("version", peer.version.clone().unwrap_or_else(|| "not said".to_owned())),
            ("proved", peer.dids.iter().map(|did| terminal::short(did)).collect::<Vec<_>>().join(", ")),
        ]);
    }
    Ok(())
}
