//! Receipts of prepaid channels: what was charged in all, signed by both sides.

use super::shop::{Heard, Shop, Wish};
use super::{ASKS, MAX_PLACE, PENDING, closing, unknown};
use crate::node::Inner;
use crate::node::api::coded;
use crate::node::receipts::nothing;
use crate::receipt;
use haggle_base::{B256, Coded as _, Did};
use haggle_gateway::ApiError;
use haggle_gateway::view::ChannelReceiptRequest;
use haggle_settlement::SettlementError;
use haggle_settlement::channels::{BoughtChannel, Buying};
use haggle_x402::batch::{code, receipt::is_announced};
use haggle_x402::{ChannelFacts, ChannelProof, PaymentPayload, PaymentProofError, PaymentRequired, SettleResponse};
use serde_json::Value;

/// What stands without the seller's word.
pub(super) const UNSIGNED: &str = "nothing was paid or changed; `haggle wallet channels` shows what was charged, and the \
     claim on the chain proves it";

impl Inner {
    /// The receipt of a channel of this node; see [`haggle_gateway::NodeApi::channel_receipt`].
    pub(in crate::node) async fn receipt_of_channel(
        &self,
        id: &str,
        request: ChannelReceiptRequest,
    ) -> Result<Value, ApiError> {
        let wrong =
            |detail: &str| ApiError::bad_request("invalid_request", detail, "see `haggle receipt channel --help`");
        let ChannelReceiptRequest { at } = request;
        if at.as_ref().is_some_and(|at| at.len() > MAX_PLACE) {
            return Err(wrong("the place where the seller sells is over 2 KiB"));
        }
        let channel: B256 = id.parse().map_err(|_| unknown(id))?;
        let bought = |buying: &Buying| buying.channels(None).into_iter().find(|known| known.id == channel);
        let buying = self.buying.as_ref().ok_or_else(super::channels_off)?;
        let sold = self.counter.channels().map(|selling| selling.receipt(&channel));
        let proof = match (sold, bought(buying), at) {
            (Some(Ok(_)), None, Some(_)) => {
                return Err(wrong(
                    "an agent of this node is paid by this channel: nobody else is asked for its receipt",
                ));
            }
            // also if an agent of this node pays: then both sides are here
            (Some(Ok(proof)), _, _) => proof.ok_or_else(unheld)?,
            (_, Some(bought), Some(at)) => self.ask_receipt(buying, &bought, &at).await?,
            (_, Some(_), None) => return Err(not_named()),
            (Some(Err(SettlementError::ChannelUnknown)) | None, None, _) => return Err(unknown(id)),
            (Some(Err(error)), None, _) => return Err(coded(error)),
        };
        receipt::of_channel(&proof).map_err(coded)
    }

    /// Asks the seller for its word. Nothing is paid and nothing is stored.
    async fn ask_receipt(&self, buying: &Buying, channel: &BoughtChannel, at: &str) -> Result<ChannelProof, ApiError> {
        if channel.signed.is_zero() {
            return Err(uncharged());
        }
        let (agent, id) = (&channel.agent, &channel.id);
        let mut shop = self.shop_at(channel, at, Wish::Receipt).await?;
        if matches!(shop, Shop::Url { .. }) && !is_announced(shop.entry()) {
            return Err(nothing("this seller signs no receipts of channels", UNSIGNED));
        }
        let contracts = self.file.channels.ok_or_else(super::channels_off)?;
        let (contract, collector) = (contracts.contract, contracts.collector);
        let facts = ChannelFacts::new(self.file.chain_id, contract, collector, self.file.token.clone());
        let mut corrected: Option<PaymentRequired> = None;
        for _ in 0..ASKS {
            let wish = buying.receipt_wish(agent, id, shop.entry(), shop.offer(), corrected.as_ref()).await;
            let wish = wish.map_err(closing)?.ok_or_else(|| not_signed("it names another sum than it charged"))?;
            match self.hand_in(&mut shop, &wish, Wish::Receipt).await? {
                Heard::Settled(said) => return proven(&facts, &wish, &said, at),
                Heard::Busy => tokio::time::sleep(self.config.chain.poll.min(PENDING)).await,
                Heard::Refused { word, offer: Some(offer), .. }
                    if matches!(word.as_str(), code::CUMULATIVE_MISMATCH | code::BELOW_CLAIMED) =>
                {
                    corrected = Some(offer);
                }
                Heard::Refused { word, .. } => return Err(not_signed(&word)),
            }
        }
        match corrected {
            Some(_) => Err(not_signed("it names another sum each time")),
            None => Err(ApiError { hint: UNSIGNED.into(), ..ApiError::of_code("try_again", "the seller is busy") }),
        }
    }
}

/// What the seller's answer proves; an agent that was named has to be the one that signed.
fn proven(
    facts: &ChannelFacts,
    wish: &PaymentPayload,
    said: &SettleResponse,
    at: &str,
) -> Result<ChannelProof, ApiError> {
    let proof = ChannelProof::of(facts, wish, said).map_err(|error| match error {
        PaymentProofError::NoReceipt => nothing("the seller's answer holds no receipt", UNSIGNED),
        error => not_good(error.code(), error.to_string()),
    })?;
    if proof.receipt.charged.to_usdc().is_none_or(|charged| charged.is_zero()) {
        return Err(uncharged());
    }
    match at.parse::<Did>() {
        Ok(named) if named != proof.receipt.seller => {
            Err(not_good("receipt_mismatch", format!("the receipt is by {}", proof.receipt.seller)))
        }
        _ => Ok(proof),
    }
}

fn not_good(code: &'static str, detail: String) -> ApiError {
    ApiError::new(http::StatusCode::BAD_GATEWAY, code, detail, UNSIGNED)
}

fn unheld() -> ApiError {
    nothing("this node holds no voucher of the channel", "what was claimed of it stands on the chain")
}

fn uncharged() -> ApiError {
    nothing("nothing was charged on this channel", "`haggle wallet channels` shows what was charged on each")
}

fn not_named() -> ApiError {
    ApiError::bad_request(
        "seller_not_named",
        "the seller has to sign, and it is not said where it sells",
        "say where with `--at URL`, the URL that was paid for, or `--at DID`",
    )
}

fn not_signed(word: &str) -> ApiError {
    let shown: String = word.chars().filter(|letter| !letter.is_control()).take(300).collect();
    let detail = format!("the seller signs no receipt of this channel: {shown}");
    ApiError::new(http::StatusCode::CONFLICT, "no_receipt", detail, UNSIGNED)
}
