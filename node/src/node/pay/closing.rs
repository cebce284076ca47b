//! The prepaid channels of this node: what they hold, what they came to, and how what is left in them comes back.

mod receipts;
mod shop;

use super::PENDING;
use crate::node::Inner;
use crate::node::api::coded;
use haggle_base::{B256, Timestamp, Usdc};
use haggle_gateway::ApiError;
use haggle_gateway::view::{ChannelPage, ChannelQuery, ChannelView, CloseRequest, ClosingView};
use haggle_settlement::SettlementError;
use haggle_settlement::channels::{BoughtChannel, Buying, SoldChannel};
use haggle_x402::SettleResponse;
use haggle_x402::batch::code;
use http::StatusCode;
use shop::{Heard, Wish};
use std::time::Duration;

/// Times a seller is asked for the rest in one call: corrected, or once more because the channel was busy.
const ASKS: usize = 4;
/// Channels of a page when nobody says.
const DEFAULT_CHANNELS: usize = 100;
/// Most channels of a page.
const MAX_CHANNELS: usize = 1000;
/// Longest place where a seller sells.
const MAX_PLACE: usize = 2048;
/// A channel that the agent pays with.
const BUYS: &str = "buys";
/// A channel that the agent is paid by.
const SELLS: &str = "sells";
/// What can be done where the seller does not help.
const WITHOUT_THE_SELLER: &str = "the channel takes no more calls; ask again later, or take the rest without the seller: \
     `haggle wallet close CHANNEL --force`";

impl Inner {
    /// A page of this node's channels; see [`haggle_gateway::NodeApi::channels`].
    pub(in crate::node) fn channel_page(&self, query: &ChannelQuery) -> Result<ChannelPage, ApiError> {
        let agent = query.agent.as_deref().map(|agent| self.own_agent(Some(agent))).transpose()?;
        let after = query.after.as_deref().map(|after| place(after).ok_or_else(bad_place)).transpose()?;
        let limit = query.limit.map_or(DEFAULT_CHANNELS, |limit| usize::try_from(limit).unwrap_or(MAX_CHANNELS));
        let limit = limit.clamp(1, MAX_CHANNELS);
        let bought = self.buying.as_ref().map(|buying| buying.channels(agent.as_ref())).unwrap_or_default();
        let sold = self.counter.channels().map(|selling| selling.channels(agent.as_ref())).unwrap_or_default();
        let is_behind = |side, id| after.is_none_or(|after| (side, id) > after);
        let mut bought: Vec<_> = bought.iter().filter(|channel| is_behind(BUYS, channel.id)).collect();
        let mut sold: Vec<_> = sold.iter().filter(|channel| is_behind(SELLS, channel.id)).collect();
        bought.sort_by_key(|channel| channel.id);
        sold.sort_by_key(|channel| channel.id);
        let is_last = bought.len() + sold.len() <= limit;
        let views = bought.into_iter().map(bought_view).chain(sold.into_iter().map(sold_view));
        let items: Vec<ChannelView> = views.take(limit).collect();
        let next = items.last().filter(|_| !is_last).map(|last| format!("{}/{}", last.side, last.id));
        Ok(ChannelPage { items, next })
    }

    /// Takes back what is left in a channel; see [`haggle_gateway::NodeApi::close_channel`].
    pub(in crate::node) async fn close(&self, id: &str, request: CloseRequest) -> Result<ClosingView, ApiError> {
        let CloseRequest { at, force } = request;
        let wrong = |detail: &str| ApiError::bad_request("invalid_request", detail, "see `haggle wallet close --help`");
        if force && at.is_some() {
            return Err(wrong("either the seller is asked, or the money is taken back without it"));
        }
        if at.as_ref().is_some_and(|at| at.len() > MAX_PLACE) {
            return Err(wrong("the place where the seller sells is over 2 KiB"));
        }
        let channel: B256 = id.parse().map_err(|_| unknown(id))?;
        let buying = self.buying.as_ref().ok_or_else(channels_off)?;
        let _turn = self.paying.take(&format!("channel {channel}")).await;
        let before = self.bought(buying, &channel)?;
        let returned = match at {
            _ if before.closed => None,
            Some(at) => Some(self.ask_back(buying, &before, &at).await?),
            None if before.withdrawal.is_some() => None,
            None if force => {
                buying.withdraw(&before.agent, &channel).await.map_err(closing)?;
                None
            }
            None => return Err(not_named()),
        };
        Ok(ClosingView { channel: bought_view(&self.bought(buying, &channel)?), returned })
    }

    /// Asks the seller for what is left, until the chain shows that it came back. The channel stays open if nobody there
    /// sells on it.
    async fn ask_back(&self, buying: &Buying, channel: &BoughtChannel, at: &str) -> Result<Usdc, ApiError> {
        let (agent, id) = (&channel.agent, &channel.id);
        let mut shop = self.shop_at(channel, at, Wish::Refund).await?;
        for _ in 0..ASKS {
            let payment = buying.refund(agent, id, shop.entry(), shop.offer()).await.map_err(closing)?;
            match self.hand_in(&mut shop, &payment, Wish::Refund).await? {
                Heard::Settled(said) => return self.until_back(buying, id, &said).await,
                Heard::Busy => tokio::time::sleep(self.config.chain.poll.min(PENDING)).await,
                Heard::Refused { word, said, offer } => match (word.as_str(), said, offer) {
                    (code::CUMULATIVE_MISMATCH | code::BELOW_CLAIMED, _, Some(offer)) => {
                        buying.refund_refused(id, &offer).await.map_err(closing)?;
                    }
                    // all of it was charged: it is over once the chain shows the claim
                    (code::REFUND_NOTHING, Some(said), _) => return self.until_back(buying, id, &said).await,
                    _ => return Err(not_given_back(&word)),
                },
            }
        }
        Err(ApiError { hint: WITHOUT_THE_SELLER.into(), ..ApiError::of_code("try_again", "the seller is busy") })
    }

    /// Looks at the chain until nothing is left in the channel. Returns what came back of it in all.
    async fn until_back(&self, buying: &Buying, id: &B256, said: &SettleResponse) -> Result<Usdc, ApiError> {
        let looking = async {
            loop {
                let returned = buying.refunded(id, said).await.map_err(closing)?;
                if self.bought(buying, id)?.closed {
                    return Ok(returned);
                }
                tokio::time::sleep(self.config.chain.poll).await;
            }
        };
        let not_seen = || {
            ApiError::new(
                StatusCode::GATEWAY_TIMEOUT,
                "refund_not_seen",
                "the seller says that it sent the money back, and the chain does not show it",
                "what comes back is booked when the chain shows it: `haggle wallet channels`; `--force` takes it without the seller",
            )
        };
        tokio::time::timeout(PENDING, looking).await.unwrap_or_else(|_| Err(not_seen()))
    }

    /// The channel of this id that an agent of ours pays with.
    fn bought(&self, buying: &Buying, id: &B256) -> Result<BoughtChannel, ApiError> {
        let found = buying.channels(None).into_iter().find(|channel| channel.id == *id);
        let is_sold = || {
            let selling = self.counter.channels();
            selling.is_some_and(|selling| selling.channels(None).iter().any(|channel| channel.id == *id))
        };
        found.ok_or_else(|| if is_sold() { not_ours(id) } else { unknown(&id.to_string()) })
    }
}

/// Where a page begins: a side and an id.
fn place(after: &str) -> Option<(&'static str, B256)> {
    let (side, id) = after.split_once('/')?;
    let side = [BUYS, SELLS].into_iter().find(|known| *known == side)?;
    Some((side, id.parse().ok()?))
}

fn bought_view(channel: &BoughtChannel) -> ChannelView {
    let state = match (channel.open, channel.closed) {
        (_, true) => "closed",
        (true, false) => "open",
        (false, false) => "closing",
    };
    // a withdrawal that the seller's refund has overtaken stays on the chain, over nothing
    let under_way = channel.withdrawal.filter(|_| !channel.closed);
    let (since, ends) = withdrawal(under_way, channel.channel.withdrawDelay.to::<u64>());
    ChannelView {
        id: channel.id.to_string(),
        side: BUYS.to_owned(),
        agent: channel.agent.to_string(),
        party: channel.channel.receiver.to_string(),
        state: state.to_owned(),
        balance: channel.balance,
        charged: channel.charged,
        signed: Some(channel.signed),
        claimed: None,
        withdrawal_since: since,
        withdrawal_ends: ends,
    }
}

fn sold_view(channel: &SoldChannel) -> ChannelView {
    let state = match channel.withdrawal {
        _ if channel.balance == channel.claimed => "closed",
        Some(_) => "closing",
        None => "open",
    };
    let under_way = channel.withdrawal.filter(|_| state == "closing");
    let (since, ends) = withdrawal(under_way, channel.channel.withdrawDelay.to::<u64>());
    ChannelView {
        id: channel.id.to_string(),
        side: SELLS.to_owned(),
        agent: channel.agent.to_string(),
        party: channel.channel.payer.to_string(),
        state: state.to_owned(),
        balance: channel.balance,
        charged: channel.charged,
        signed: None,
        claimed: Some(channel.claimed),
        withdrawal_since: since,
        withdrawal_ends: ends,
    }
}

/// When a withdrawal began, and when it can be finished.
fn withdrawal(since: Option<Timestamp>, delay: u64) -> (Option<String>, Option<String>) {
    let ends = since.map(|since| since.plus(Duration::from_secs(delay)));
    (since.map(|since| since.to_rfc3339()), ends.map(|ends| ends.to_rfc3339()))
}

/// A problem of a channel, with what can be done about it from outside.
fn closing(error: SettlementError) -> ApiError {
    let problem = coded(error);
    if problem.code != "channel_busy" {
        return problem;
    }
    let hint = "a call waits for its answer: close the channel after that, at the latest ten minutes after the call";
    ApiError { hint: hint.into(), ..problem }
}

fn bad_place() -> ApiError {
    ApiError::bad_request("invalid_query", "`after` names no place in the list", "give the `next` of the page before")
}

fn unknown(id: &str) -> ApiError {
    let shown: String = id.chars().filter(|letter| !letter.is_control()).take(80).collect();
    let detail = format!("none of this node's agents has a channel {shown}");
    ApiError::not_found("channel_unknown", detail, "`haggle wallet channels` names this node's channels")
}

fn not_ours(id: &B256) -> ApiError {
    let detail = format!("{id} pays an agent of this node: who pays closes it");
    let hint = "nothing is lost: what is charged is claimed by itself, also when the payer takes back the rest";
    ApiError::new(StatusCode::FORBIDDEN, "not_our_channel", detail, hint)
}

fn channels_off() -> ApiError {
    ApiError::bad_request(
        "channels_off",
        "this node has no channels",
        "turn `payments.channels` on, and start it again",
    )
}

fn not_named() -> ApiError {
    ApiError::bad_request(
        "seller_not_named",
        "the rest is asked of the seller, and it is not said where that one sells",
        "say where with `--at URL`, the URL that was paid for, or `--at DID`; or take the rest without the seller with \
         `--force`, which lasts as long as the channel's withdraw delay",
    )
}

fn not_given_back(word: &str) -> ApiError {
    let shown: String = word.chars().filter(|letter| !letter.is_control()).take(300).collect();
    let detail = format!("the seller does not send back what is left: {shown}");
    ApiError::new(StatusCode::BAD_GATEWAY, "refund_refused", detail, WITHOUT_THE_SELLER)
}

#[cfg(test)]
mod tests {
    use super::{B256, place};

    #[test]
    fn a_page_begins_behind_a_channel_of_one_side_and_nowhere_else() {
        let id = B256::repeat_byte(7);
        assert_eq!(place(&format!("buys/{id}")), Some(("buys", id)));
        assert_eq!(place(&format!("sells/{id}")), Some(("sells", id)));
        assert!(("buys", B256::repeat_byte(9)) < ("sells", id), "those that pay come first");
        for wrong in ["", "buys", "buys/", "buys/0x07", &format!("lends/{id}"), &id.to_string()] {
            assert_eq!(place(wrong), None, "{wrong:?}");
        }
    }
}
