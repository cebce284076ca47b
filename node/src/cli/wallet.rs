//! `wallet`.

use super::CliError;
use super::args::{Globals, WalletCommand};
use super::orders::fresh_key;
use super::{channels, terminal};
use haggle_gateway::view::{
    ChannelQuery, CloseRequest, EntryView, HistoryPage, HistoryQuery, PaymentView, TransferRequest, WalletList,
};

pub(super) async fn run(globals: &Globals, command: Option<WalletCommand>) -> Result<(), CliError> {
    match command {
        None => show(globals).await,
        Some(WalletCommand::History { agent, kind, before, limit }) => {
            history(globals, &HistoryQuery { agent, kind, before, limit: Some(limit) }).await
        }
        Some(WalletCommand::Send { to, amount, memo, key, from }) => {
            send(globals, key, &TransferRequest { to, amount, memo, from }).await
        }
        Some(WalletCommand::Payment { key }) => {
            let payment: PaymentView = globals.client()?.get(&format!("/v1/payments/{key}")).await?;
            show_payment(globals, &payment);
            Ok(())
        }
        Some(WalletCommand::Channels { agent, after, limit }) => {
            channels::list(globals, &ChannelQuery { agent, after, limit: Some(limit) }).await
        }
        Some(WalletCommand::Close { channel, at, force }) => {
            channels::close(globals, &channel, &CloseRequest { at, force }).await
        }
    }
}

/// Sends USDC, once per key.
pub(super) async fn send(globals: &Globals, key: Option<String>, request: &TransferRequest) -> Result<(), CliError> {
    let key = key.map_or_else(fresh_key, Ok)?;
    if !globals.json && !globals.quiet {
        terminal::aside(format!("key {key}: the same key never sends twice"));
    }
    let sent: PaymentView = globals.client()?.post_once("/v1/transfers", &key, request).await?;
    show_payment(globals, &sent);
    Ok(())
}

/// A payment in full.
pub(super) fn show_payment(globals: &Globals, payment: &PaymentView) {
    if globals.json {
        terminal::json(payment);
        return;
    }
    terminal::heading(format!("{} USDC {}", payment.amount, payment.state));
    let mut pairs = vec![("key", payment.key.clone()), ("from", payment.agent.clone()), ("to", payment.to.clone())];
    match (&payment.channel, &payment.in_all) {
        (Some(channel), Some(in_all)) => {
            pairs.push(("channel", channel.clone()));
            pairs.push(("voucher", format!("{in_all} USDC of the channel in all")));
        }
        _ => {
            pairs.push(("for", payment.about.clone()));
            pairs.push(("tx", payment.tx.clone().unwrap_or_else(|| "not known".to_owned())));
            pairs.push(("nonce", payment.nonce.clone().unwrap_or_default()));
        }
    }
    pairs.push(("signed at", payment.signed_at.clone()));
    terminal::pairs(pairs);
}

async fn history(globals: &Globals, query: &HistoryQuery) -> Result<(), CliError> {
    let page: HistoryPage = globals.client()?.get_with("/v1/wallet/history", query).await?;
    if globals.json {
        terminal::json(&page);
        return Ok(());
    }
    if page.items.is_empty() {
        terminal::line("No entries yet.");
    }
    for entry in &page.items {
        terminal::line(entry_line(entry));
        if let Some(about) = &entry.about {
            terminal::aside(format!("      {about}"));
        }
        if let Some(from) = &entry.from {
            terminal::aside(format!("      from {from}"));
        }
    }
    if let Some(next) = page.next {
        terminal::next(globals.quiet, &[(format!("haggle wallet history --before {next}"), "earlier entries")]);
    }
    Ok(())
}

/// One entry: number, time, kind, and what moved in base units.
fn entry_line(entry: &EntryView) -> String {
    let moves: Vec<String> = entry.moves.iter().map(|(account, units)| format!("{account} {units:+}")).collect();
    format!("{:>5}  {}  {:<10} {}", entry.number, entry.at, entry.kind, moves.join(", "))
}

async fn show(globals: &Globals) -> Result<(), CliError> {
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
