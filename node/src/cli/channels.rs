//! `wallet channels` and `wallet close`.

use super::CliError;
use super::args::Globals;
use super::terminal;
use haggle_gateway::view::{ChannelPage, ChannelQuery, ChannelView, CloseRequest, ClosingView};

pub(super) async fn list(globals: &Globals, query: &ChannelQuery) -> Result<(), CliError> {
    let page: ChannelPage = globals.client()?.get_with("/v1/channels", query).await?;
    if globals.json {
        terminal::json(&page);
        return Ok(());
    }
    if page.items.is_empty() {
        terminal::line("No channels yet.");
        return Ok(());
    }
    terminal::heading(format!("side   state    {:>14} {:>14}  {:<14}  with", "balance", "charged", "agent"));
    for channel in &page.items {
        terminal::line(row(channel));
        terminal::aside(format!("       {}", channel.id));
        if let Some(told) = withdrawal(channel) {
            terminal::aside(format!("       {told}"));
        }
    }
    if let Some(next) = page.next {
        terminal::next(globals.quiet, &[(format!("haggle wallet channels --after {next}"), "more channels")]);
    }
    Ok(())
}

pub(super) async fn close(globals: &Globals, channel: &str, request: &CloseRequest) -> Result<(), CliError> {
    let closing: ClosingView = globals.client()?.post(&format!("/v1/channels/{channel}/close"), request).await?;
    if globals.json {
        terminal::json(&closing);
        return Ok(());
    }
    let ClosingView { channel, returned } = closing;
    let is_under_way = channel.withdrawal_ends.is_some();
    match returned {
        Some(returned) => terminal::done(format!("{returned} USDC came back")),
        None if channel.state == "closed" => terminal::line("Nothing is left in this channel."),
        None if is_under_way => terminal::done("the withdrawal is under way"),
        None => terminal::line("Nothing to withdraw yet. If a deposit is on its way, close the channel again later."),
    }
    let mut pairs = vec![
        ("channel", channel.id.clone()),
        ("state", channel.state.clone()),
        ("charged", format!("{} USDC", channel.charged)),
    ];
    if let Some(ends) = &channel.withdrawal_ends {
        pairs.push(("money back", format!("{ends}, or soon after, while this node runs")));
    }
    terminal::pairs(pairs);
    Ok(())
}

fn row(channel: &ChannelView) -> String {
    let ChannelView { side, state, balance, charged, agent, party, .. } = channel;
    let (balance, charged, agent) = (balance.to_string(), charged.to_string(), terminal::short(agent));
    format!("{side:<5}  {state:<7}  {balance:>14} {charged:>14}  {agent:<14}  {party}")
}

fn withdrawal(channel: &ChannelView) -> Option<String> {
    let (since, ends) = (channel.withdrawal_since.as_ref()?, channel.withdrawal_ends.as_ref()?);
    Some(format!("the payer withdraws since {since}; it has the rest back at {ends}"))
}

#[cfg(test)]
mod tests {
    use super::{ChannelView, row, withdrawal};

    #[test]
    fn a_channel_is_one_line_under_its_heading() {
        let channel = ChannelView {
            id: "0x01".to_owned(),
            side: "buys".to_owned(),
            agent: "did:key:z6Mk".to_owned(),
            party: "0xabc".to_owned(),
            state: "closing".to_owned(),
            balance: "5".parse().unwrap(),
            charged: "0.04".parse().unwrap(),
            signed: None,
            claimed: None,
            withdrawal_since: Some("one".to_owned()),
            withdrawal_ends: Some("two".to_owned()),
        };
        assert_eq!(row(&channel), "buys   closing               5           0.04  z6Mk            0xabc");
        assert_eq!(withdrawal(&channel).unwrap(), "the payer withdraws since one; it has the rest back at two");
        assert_eq!(withdrawal(&ChannelView { withdrawal_ends: None, ..channel }), None);
    }
}
