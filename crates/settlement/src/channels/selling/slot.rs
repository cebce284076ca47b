//! One channel that pays us: what is decided about a voucher, without doing anything.

use tokio::sync::watch;

use alloy_primitives::B256;
use haggle_base::{Hash, Usdc};
use haggle_x402::{
    ChannelState, VoucherState,
    batch::{PurchaseNumber, code},
};
use serde_json::Map;

use super::super::{
    records::{HeldVoucher, SellerRow},
    refusal::{Refusal, atomic},
};

/// What a voucher is to pay for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    /// What the voucher allows in all.
    pub(crate) max: Usdc,
    pub(crate) request: Hash,
    pub(crate) price: Usdc,
    pub(crate) purchase: Option<PurchaseNumber>,
}

impl Asked {
    /// Whether this is the purchase that was charged last.
    pub(crate) fn is_held(&self, held: &HeldVoucher) -> bool {
        self.is_of(held.charged, held.purchase) && held.request == self.request
    }

    /// Whether this is the purchase that is worked on at this moment.
    pub(crate) fn is_at(&self, at_work: &AtWork) -> bool {
        at_work.asked.is_of(self.max, self.purchase) && at_work.asked.request == self.request
    }

    /// Whether a voucher of then, over `max` for `purchase`, was for the same: the numbers tell, or without any the sum. A
    /// voucher that was claimed can be read on the chain, its number cannot: without it there is no answer.
    fn is_of(&self, max: Usdc, purchase: Option<PurchaseNumber>) -> bool {
        match (self.purchase, purchase) {
            (None, None) => self.max == max,
            (ours, theirs) => ours == theirs,
        }
    }
}

/// A voucher whose work is being done.
#[derive(Debug)]
pub(crate) struct AtWork {
    pub(crate) asked: Asked,
    /// Closes when the work is over, however it ended.
    pub(crate) over: watch::Receiver<()>,
}

/// One channel, in memory.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) id: B256,
    pub(crate) row: SellerRow,
    pub(crate) held: Option<HeldVoucher>,
    pub(crate) at_work: Option<AtWork>,
}

/// What is to be done with a voucher whose signature is good.
#[derive(Debug)]
#[must_use]
pub(crate) enum Admit {
    /// Do the work.
    Work,
    /// The work was done: answer as then.
    Repeat(HeldVoucher),
    /// The work is being done: wait until it is over.
    AtWork(watch::Receiver<()>),
    /// Say no.
    Refuse(Refusal),
}

impl Slot {
    /// What was charged in all. Without a voucher of ours, what the chain says was claimed.
    pub(crate) fn charged(&self) -> Usdc {
        self.held.as_ref().map_or(self.row.seen.claimed, |held| held.charged)
    }

    /// What is charged and not claimed.
    pub(crate) fn unclaimed(&self) -> Usdc {
        self.charged().saturating_sub(self.row.seen.claimed)
    }

    /// Decides about a voucher, with `coming` on its way into the channel.
    pub(crate) fn admit(&self, asked: &Asked, coming: Usdc) -> Admit {
        let Asked { max, price, purchase, .. } = *asked;
        if let Some(held) = &self.held {
            if asked.is_held(held) {
                // whatever it costs by now: it is paid for
                return Admit::Repeat(held.clone());
            }
            // a number that was worked for pays for nothing else, and what was overtaken by a later purchase for nothing more
            if purchase.is_some() && purchase <= held.purchase {
                return self.mismatch();
            }
        }
        if let Some(at_work) = &self.at_work {
            return if asked.is_at(at_work) {
                Admit::AtWork(at_work.over.clone())
            } else {
                Admit::Refuse(Refusal::later(code::CHANNEL_BUSY))
            };
        }
        if self.charged().checked_add(price) != Some(max) {
            return self.mismatch();
        }
        if self.row.seen.withdrawal.is_some() {
            return Admit::Refuse(Refusal::of(code::CHANNEL_NOT_FOUND));
        }
        if self.row.seen.balance.checked_add(coming).is_none_or(|balance| max > balance) {
            return Admit::Refuse(Refusal::of(code::EXCEEDS_BALANCE));
        }
        Admit::Work
    }

    fn mismatch(&self) -> Admit {
        Admit::Refuse(Refusal::with(code::CUMULATIVE_MISMATCH, (self.state(), self.proof())))
    }

    /// Where the channel stands, as the payer is told.
    pub(crate) fn state(&self) -> ChannelState {
        let seen = &self.row.seen;
        ChannelState {
            channel_id: self.id,
            balance: atomic(seen.balance),
            total_claimed: atomic(seen.claimed),
            withdraw_requested_at: seen.withdrawal.map_or(0, |since| since.as_secs()),
            refund_nonce: atomic(Usdc::from_units(seen.refunds)),
            charged_cumulative_amount: Some(atomic(self.charged())),
            rest: Map::new(),
        }
    }

    /// The voucher that proves what was charged.
    pub(crate) fn proof(&self) -> Option<VoucherState> {
        self.held.as_ref().map(|held| VoucherState {
            signed_max_claimable: Some(atomic(held.charged)),
            signature: Some(held.signature.to_string().into()),
            rest: Map::new(),
        })
    }
}
