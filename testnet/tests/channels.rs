//! What is left in a prepaid channel comes back: from the seller, asked where it sells or over A2A, and without it.

use haggle::cli::CliError;
use haggle::receipt::{self, Checked};
use haggle::view::{AgentSummary, ChannelPage, ChannelReceiptRequest, ChannelView, CloseRequest, ClosingView};
use haggle_base::{Timestamp, Usdc};
use haggle_testnet::Stage;
use serde_json::Value;
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// What the built-in digest costs.
const PRICE: Usdc = Usdc::from_units(20_000);
/// The withdraw delay of channels at haggle's nodes.
const DELAY: Duration = Duration::from_secs(24 * 3_600);
/// Longest wait for the nodes' loops.
const PATIENCE: Duration = Duration::from_secs(60);

/// A seller at node 1, and a buyer at node 2.
struct Trade {
    stage: Stage,
    seller: AgentSummary,
    /// Where the seller sells.
    shop: String,
}

impl Trade {
    async fn begin() -> Self {
        let (stage, seller, shop) = Stage::with_shop(PROGRAM).await;
        Self { stage, seller, shop }
    }

    /// Buys two calls by voucher; the one open channel, as the buyer sees it.
    async fn buy_two(&self, word: &str) -> ChannelView {
        for number in 0..2 {
            let key = format!("{word}-{number}");
            let bought = self.stage.buy_digest(2, &self.shop, "channel", &key).await.expect("the shop sells");
            assert_eq!((bought.status, bought.cost), (200, PRICE), "{bought:?}");
        }
        let mut open = self.channels(2).await;
        open.retain(|channel| channel.state == "open");
        assert_eq!(open.len(), 1, "{open:?}");
        let channel = open.remove(0);
        assert_eq!((channel.side.as_str(), channel.charged), ("buys", two()));
        assert_eq!((channel.signed, channel.claimed), (Some(two()), None));
        assert_eq!(channel.party, self.seller.payment_address);
        channel
    }

    async fn channels(&self, node: usize) -> Vec<ChannelView> {
        let client = self.stage.node(node).client().expect("the node is up");
        let page: ChannelPage = client.get("/v1/channels").await.expect("the node answers");
        assert_eq!(page.next, None);
        page.items
    }

    /// How node `node` sees a channel.
    async fn channel(&self, node: usize, id: &str) -> ChannelView {
        self.channels(node).await.into_iter().find(|channel| channel.id == id).expect("it knows the channel")
    }

    async fn until_state(&self, node: usize, id: &str, state: &str) -> ChannelView {
        let mut last = None;
        let looking = async {
            loop {
                let channel = self.channel(node, id).await;
                if channel.state == state {
                    return channel;
                }
                last = Some(channel);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, looking).await;
        found.unwrap_or_else(|_| panic!("the channel stays {last:?}\n{}", self.stage.node(node).log()))
    }

    async fn close(&self, node: usize, id: &str, at: Option<&str>, force: bool) -> Result<ClosingView, CliError> {
        let request = CloseRequest { at: at.map(str::to_owned), force };
        let client = self.stage.node(node).client().expect("the node is up");
        client.post(&format!("/v1/channels/{id}/close"), &request).await
    }

    async fn refused(&self, node: usize, id: &str, at: Option<&str>) -> String {
        self.close(node, id, at, false).await.expect_err("it is not closed").code
    }

    /// A channel's receipt at a node, checked; or the code of what went wrong.
    async fn receipt(&self, node: usize, id: &str, at: Option<&str>) -> Result<Checked, String> {
        let client = self.stage.node(node).client().expect("the node is up");
        let request = ChannelReceiptRequest { at: at.map(str::to_owned) };
        let file: Result<Value, CliError> = client.post(&format!("/v1/channels/{id}/receipt"), &request).await;
        let file = file.map_err(|error| error.code)?;
        Ok(receipt::verify(&file.to_string()).expect("it holds with no node and no network"))
    }

    async fn buyer_holds(&self) -> Usdc {
        self.stage.buyer(2).await.1
    }

    async fn seller_holds(&self) -> Usdc {
        self.stage.balance(1, &self.seller.did).await
    }
}

/// The price of two calls.
fn two() -> Usdc {
    Usdc::from_units(2 * PRICE.units())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_sends_back_what_is_left() {
    let trade = Trade::begin().await;
    let had = trade.buyer_holds().await;
    let bought = trade.buy_two("url").await;
    assert_eq!(trade.buyer_holds().await, had.saturating_sub(bought.balance), "the deposit is in the channel");
    let sold = trade.channel(1, &bought.id).await;
    assert_eq!((sold.side.as_str(), sold.state.as_str()), ("sells", "open"));
    assert_eq!((sold.agent.as_str(), sold.balance), (trade.seller.did.as_str(), bought.balance));
    assert_eq!((sold.charged, sold.claimed, sold.signed), (two(), Some(Usdc::ZERO), None));

    // what cannot be closed like this is refused, and the channel stays open
    assert_eq!(trade.refused(2, &bought.id, None).await, "seller_not_named");
    assert_eq!(trade.refused(1, &bought.id, Some(&trade.shop)).await, "not_our_channel");
    assert_eq!(trade.refused(2, &format!("0x{}", "00".repeat(32)), Some(&trade.shop)).await, "channel_unknown");
    assert_eq!(trade.refused(2, "digest", Some(&trade.shop)).await, "channel_unknown");
    let elsewhere = trade.shop.replace("digest", "nothing");
    assert_eq!(trade.refused(2, &bought.id, Some(&elsewhere)).await, "seller_not_there");
    assert_eq!(trade.channel(2, &bought.id).await, bought);

    let closed = trade.close(2, &bought.id, Some(&trade.shop), false).await.expect("the seller helps");
    assert_eq!(closed.returned, Some(bought.balance.saturating_sub(two())));
    assert_eq!((closed.channel.state.as_str(), closed.channel.balance), ("closed", two()));
    assert_eq!((trade.buyer_holds().await, trade.seller_holds().await), (had.saturating_sub(two()), two()));
    let again = trade.close(2, &bought.id, Some(&trade.shop), false).await.expect("it is closed");
    assert_eq!((again.channel, again.returned), (closed.channel, None));
    assert_eq!(trade.until_state(1, &bought.id, "closed").await.claimed, Some(two()));

    // the next call opens another one, which is closed over A2A
    let second = trade.buy_two("agent").await;
    assert_ne!(second.id, bought.id);
    let closed = trade.close(2, &second.id, Some(&trade.seller.did), false).await.expect("the agent helps");
    assert_eq!(closed.channel.state, "closed");
    assert_eq!(closed.returned, Some(second.balance.saturating_sub(two())));
    let spent = Usdc::from_units(2 * two().units());
    assert_eq!((trade.buyer_holds().await, trade.seller_holds().await), (had.saturating_sub(spent), spent));
    trade.stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_show_what_a_channel_came_to_and_it_stays_open() {
    let trade = Trade::begin().await;
    let bought = trade.buy_two("receipt").await;
    let (shop, did) = (trade.shop.as_str(), trade.seller.did.as_str());
    for (node, at) in [(2, Some(shop)), (2, Some(did)), (1, None)] {
        let checked = trade.receipt(node, &bought.id, at).await.expect("there is one");
        assert_eq!(checked.kind, receipt::CHANNEL);
        let fact = |name: &str| checked.facts[name].as_str().expect("a text").to_owned();
        assert_eq!((fact("channel"), fact("charged")), (bought.id.clone(), two().to_string()));
        assert_eq!((fact("seller"), fact("pay_to")), (did.to_owned(), trade.seller.payment_address.to_lowercase()));
        assert_eq!(checked.signed.iter().map(|one| one.what).collect::<Vec<_>>(), ["voucher", "receipt"]);
    }
    let (elsewhere, unknown) = (shop.replace("digest", "nothing"), format!("0x{}", "00".repeat(32)));
    for (node, id, at, code) in [
        (2, &bought.id, None, "seller_not_named"),
        (1, &bought.id, Some(shop), "invalid_request"),
        (2, &bought.id, Some(elsewhere.as_str()), "seller_not_there"),
        (1, &unknown, None, "channel_unknown"),
    ] {
        assert_eq!(trade.receipt(node, id, at).await.expect_err("there is none"), code);
    }
    assert_eq!(trade.channel(2, &bought.id).await, bought, "nothing was paid, and it stays open");
    trade.stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_seller_the_rest_comes_back_after_the_delay() {
    let trade = Trade::begin().await;
    let had = trade.buyer_holds().await;
    let bought = trade.buy_two("force").await;
    let forced = trade.close(2, &bought.id, None, true).await.expect("the withdrawal begins");
    assert_eq!((forced.channel.state.as_str(), forced.returned), ("closing", None));
    let time = |text: Option<&String>| text.and_then(|text| Timestamp::from_rfc3339(text)).expect("a time");
    let since = time(forced.channel.withdrawal_since.as_ref());
    assert_eq!(time(forced.channel.withdrawal_ends.as_ref()), since.plus(DELAY));
    let again = trade.close(2, &bought.id, None, true).await.expect("it is under way");
    assert_eq!(
        (&again.channel.state, &again.channel.withdrawal_since),
        (&forced.channel.state, &forced.channel.withdrawal_since)
    );
    assert_eq!(trade.buyer_holds().await, had.saturating_sub(bought.balance), "nothing came back yet");

    // the seller sees it and claims what it is owed; the rest is the buyer's when the delay is over
    let claimed = async {
        while trade.seller_holds().await != two() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, claimed).await.expect("the seller claims what is charged");
    trade.stage.forward(DELAY);
    let closed = trade.until_state(2, &bought.id, "closed").await;
    assert_eq!((closed.balance, closed.charged, closed.withdrawal_since), (two(), two(), None));
    assert_eq!(trade.buyer_holds().await, had.saturating_sub(two()));
    trade.stage.end().await;
}
