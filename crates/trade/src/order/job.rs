//! The provider's side of an order: which step is on disk, and what must happen next.
//!
//! Messages of the buyer move a job up to `fund_submitted` and to `release_held`; everything between
//! and after follows from the chain and the clock. This file only decides; `desk` acts.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    config::MIN_DELIVER_MARGIN,
    order::{Clocks, saga::ChainView},
    ports::Phase,
};

/// The last step a provider has on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Our signed quote is held; it may leave.
    Quoted,
    /// Both signed the terms; our copy may leave.
    TermsSigned,
    /// The input is held and fits.
    InputHeld,
    /// Our signature over the order is held; it may leave.
    OrderCountersigned,
    /// The buyer's payment signature is held; it may be submitted.
    FundSubmitted,
    /// The chain shows the order funded; the work may start.
    Funded,
    /// The output is held; a receipt may be signed.
    Executed,
    /// The receipt is held; it may leave.
    ReceiptSigned,
    /// The buyer's release is held; it may be submitted.
    ReleaseHeld,
    /// The chain shows our delivery; the review window runs.
    DeliveredOnChain,
    /// The chain shows the buyer's dispute; we may stand against it.
    Disputed,
    /// Our bond is held; it may leave.
    CounterSigned,
    /// The chain shows that we stand against the dispute; the arbitrator has its say.
    Countered,
    /// The work failed for good; the refund may be submitted.
    WorkFailed,
    /// The chain paid us by the buyer's release; the books may be closed.
    Released,
    /// The chain paid us by time; the books may be closed.
    Settled,
    /// The chain paid the buyer back; the books may be closed.
    Refunded,
    /// Books closed and attested: nothing more to do.
    Attested,
    /// Ended before any money moved: nothing more to do.
    Closed,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 19] = [
        Self::Quoted,
        Self::TermsSigned,
        Self::InputHeld,
        Self::OrderCountersigned,
        Self::FundSubmitted,
        Self::Funded,
        Self::Executed,
        Self::ReceiptSigned,
        Self::ReleaseHeld,
        Self::DeliveredOnChain,
        Self::Disputed,
        Self::CounterSigned,
        Self::Countered,
        Self::WorkFailed,
        Self::Released,
        Self::Settled,
        Self::Refunded,
        Self::Attested,
        Self::Closed,
    ];

    /// The steps of an order that is delivered, released and attested, in order.
    pub const PAID_WAY: [Self; 11] = [
        Self::Quoted,
        Self::TermsSigned,
        Self::InputHeld,
        Self::OrderCountersigned,
        Self::FundSubmitted,
        Self::Funded,
        Self::Executed,
        Self::ReceiptSigned,
        Self::ReleaseHeld,
        Self::Released,
        Self::Attested,
    ];

    /// The stable word for this step.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quoted => "quoted",
            Self::TermsSigned => "terms_signed",
            Self::InputHeld => "input_held",
            Self::OrderCountersigned => "order_countersigned",
            Self::FundSubmitted => "fund_submitted",
            Self::Funded => "funded",
            Self::Executed => "executed",
            Self::ReceiptSigned => "receipt_signed",
            Self::ReleaseHeld => "release_held",
            Self::DeliveredOnChain => "delivered_on_chain",
            Self::Disputed => "disputed",
            Self::CounterSigned => "counter_signed",
            Self::Countered => "countered",
            Self::WorkFailed => "work_failed",
            Self::Released => "released",
            Self::Settled => "settled",
            Self::Refunded => "refunded",
            Self::Attested => "attested",
            Self::Closed => "closed",
        }
    }

    /// Whether nothing is left to do.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Attested | Self::Closed)
    }

    /// Whether the order holds capacity: signed by us or about to be, and not yet worked on.
    pub fn is_open(self) -> bool {
        self.is_unfunded() || self == Self::Funded
    }

    /// Whether the order was never funded as far as we know.
    pub fn is_unfunded(self) -> bool {
        matches!(self, Self::TermsSigned | Self::InputHeld | Self::OrderCountersigned | Self::FundSubmitted)
    }

    /// Whether a buyer that no longer waits ends the order: signed by us, and no receipt yet.
    pub fn can_stop(self) -> bool {
        matches!(self, Self::OrderCountersigned | Self::FundSubmitted | Self::Funded | Self::Executed)
    }

    /// Whether the next decision needs a look at the chain.
    pub fn watches_chain(self) -> bool {
        !matches!(
            self,
            Self::Quoted
                | Self::Executed
                | Self::Released
                | Self::Settled
                | Self::Refunded
                | Self::Attested
                | Self::Closed
        )
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Everything a decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The last step on disk.
    pub step: Step,
    /// The order's clocks.
    pub clocks: Clocks,
    /// The chain, if this step watches it.
    pub chain: Option<ChainView>,
    /// Whether this provider declares its deliveries on chain by itself.
    pub auto_deliver: bool,
    /// Whether the last attempt to submit the release failed.
    pub release_failed: bool,
    /// Whether the buyer said that it no longer waits, before there was a receipt.
    pub stopped: bool,
    /// Whether a dispute is stood against: our delivery holds, or our owner says so.
    pub stands: bool,
}

/// What the provider does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// The time to fund is over.
    Expire,
    /// Put the buyer's payment on chain.
    SubmitFund,
    /// The chain shows the money in the escrow.
    NoteFunded,
    /// Run the agent.
    Execute,
    /// Nobody waits for the work: it ends here, and the buyer is paid back.
    StopWork,
    /// Sign the receipt.
    SignReceipt,
    /// Put the buyer's release on chain.
    SubmitRelease,
    /// Declare the delivery on chain.
    SubmitDeliver,
    /// The chain shows the delivery.
    NoteDelivered,
    /// The chain shows a dispute.
    NoteDisputed,
    /// Sign the bond against it.
    SignCounter,
    /// Put the counter on chain.
    SubmitCounter,
    /// The chain shows the counter.
    NoteCountered,
    /// The chain has taken the funding back.
    NoteUnfunded,
    /// Pay the buyer back.
    SubmitRefund,
    /// Take the timed exit: our payment, or the refund nobody took.
    Finalize,
    /// The chain closed the order.
    NoteClosed,
    /// Close the books and attest.
    Attest,
    /// Nothing until something changes.
    Wait,
    /// Nothing ever.
    Done,
}

/// How long before `deliver_by` a provider without a mined release declares delivery on chain:
/// a tenth of the window, but at least a minute, of chain time.
pub fn deliver_margin(clocks: &Clocks) -> Duration {
    let window = clocks.deliver_by.since(clocks.fund_by);
    (window / 10).max(MIN_DELIVER_MARGIN)
}

/// Decides the provider's next act.
pub fn next(seen: &Seen) -> Next {
    let Some(chain) = seen.chain else {
        return match seen.step {
            Step::Executed if seen.stopped => Next::StopWork,
            Step::Executed => Next::SignReceipt,
            Step::Released | Step::Settled | Step::Refunded => Next::Attest,
            Step::Attested | Step::Closed => Next::Done,
            Step::Quoted
            | Step::TermsSigned
            | Step::InputHeld
            | Step::OrderCountersigned
            | Step::FundSubmitted
            | Step::Funded
            | Step::ReceiptSigned
            | Step::ReleaseHeld
            | Step::DeliveredOnChain
            | Step::Disputed
            | Step::CounterSigned
            | Step::Countered
            | Step::WorkFailed => Next::Wait,
        };
    };
    let closed = matches!(chain.phase, Phase::Settled { .. });
    let on_time = chain.now < seen.clocks.deliver_by;
    let must_act = chain.now >= seen.clocks.deliver_by.minus(deliver_margin(&seen.clocks));
    // Long past the deadline and nobody took the refund: an honest provider closes the order itself.
    let abandoned = chain.phase == Phase::Funded
        && chain.now >= seen.clocks.deliver_by.plus(deliver_margin(&seen.clocks))
        && seen.auto_deliver;
    match seen.step {
        Step::Quoted => Next::Wait,
        Step::TermsSigned | Step::InputHeld => {
            if chain.now >= seen.clocks.fund_by {
                Next::Expire
            } else {
                Next::Wait
            }
        }
        Step::OrderCountersigned | Step::FundSubmitted => match chain.phase {
            Phase::Unfunded if chain.now >= seen.clocks.fund_by => Next::Expire,
            Phase::Unfunded if seen.step == Step::FundSubmitted && !seen.stopped => Next::SubmitFund,
            Phase::Unfunded => Next::Wait,
            Phase::Funded
            | Phase::Delivered { .. }
            | Phase::Disputed { .. }
            | Phase::Arbitrating { .. }
            | Phase::Settled { .. } => Next::NoteFunded,
        },
        Step::Funded
        | Step::ReceiptSigned
        | Step::ReleaseHeld
        | Step::DeliveredOnChain
        | Step::Disputed
        | Step::CounterSigned
        | Step::Countered
            if chain.phase == Phase::Unfunded =>
        {
            Next::NoteUnfunded
        }
        Step::Funded if closed => Next::NoteClosed,
        Step::Funded if seen.stopped && chain.phase == Phase::Funded => Next::StopWork,
        Step::Funded if on_time && chain.phase == Phase::Funded => Next::Execute,
        Step::Funded if abandoned => Next::Finalize,
        Step::Funded => Next::Wait,
        Step::Executed if seen.stopped => Next::StopWork,
        Step::Executed => Next::SignReceipt,
        Step::ReceiptSigned => match chain.phase {
            Phase::Settled { .. } => Next::NoteClosed,
            Phase::Delivered { .. } => Next::NoteDelivered,
            Phase::Disputed { .. } | Phase::Arbitrating { .. } => Next::NoteDisputed,
            Phase::Funded if must_act && on_time && seen.auto_deliver => Next::SubmitDeliver,
            Phase::Funded if abandoned => Next::Finalize,
            Phase::Funded | Phase::Unfunded => Next::Wait,
        },
        Step::ReleaseHeld => match chain.phase {
            Phase::Settled { .. } => Next::NoteClosed,
            Phase::Funded if seen.release_failed && must_act && on_time && seen.auto_deliver => Next::SubmitDeliver,
            Phase::Funded | Phase::Delivered { .. } | Phase::Disputed { .. } | Phase::Arbitrating { .. } => {
                Next::SubmitRelease
            }
            Phase::Unfunded => Next::Wait,
        },
        Step::DeliveredOnChain => match chain.phase {
            Phase::Settled { .. } => Next::NoteClosed,
            Phase::Disputed { .. } | Phase::Arbitrating { .. } => Next::NoteDisputed,
            Phase::Delivered { review_ends } if chain.now >= review_ends => Next::Finalize,
            Phase::Funded if must_act && on_time && seen.auto_deliver => Next::SubmitDeliver,
            Phase::Delivered { .. } | Phase::Funded | Phase::Unfunded => Next::Wait,
        },
        Step::Disputed | Step::CounterSigned | Step::Countered => match chain.phase {
            Phase::Settled { .. } => Next::NoteClosed,
            Phase::Disputed { ends } | Phase::Arbitrating { ends } if chain.now >= ends => Next::Finalize,
            Phase::Arbitrating { .. } if seen.step != Step::Countered => Next::NoteCountered,
            Phase::Disputed { .. } if seen.step == Step::Disputed && seen.stands => Next::SignCounter,
            Phase::Disputed { .. } if seen.step != Step::Disputed => Next::SubmitCounter,
            Phase::Delivered { review_ends } if chain.now >= review_ends => Next::Finalize,
            Phase::Disputed { .. }
            | Phase::Arbitrating { .. }
            | Phase::Delivered { .. }
            | Phase::Funded
            | Phase::Unfunded => Next::Wait,
        },
        Step::WorkFailed => match chain.phase {
            Phase::Settled { .. } => Next::NoteClosed,
            Phase::Funded | Phase::Delivered { .. } | Phase::Disputed { .. } | Phase::Arbitrating { .. } => {
                Next::SubmitRefund
            }
            Phase::Unfunded => Next::Wait,
        },
        Step::Released | Step::Settled | Step::Refunded => Next::Attest,
        Step::Attested | Step::Closed => Next::Done,
    }
}

#[cfg(test)]
mod tests {
    use haggle_base::Timestamp;

    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn seen(step: Step, phase: Phase, now: u64) -> Seen {
        Seen {
            step,
            clocks: Clocks { fund_by: at(1_000), deliver_by: at(3_000), review_secs: 3_600 },
            chain: Some(ChainView { phase, now: at(now) }),
            auto_deliver: true,
            release_failed: false,
            stopped: false,
            stands: false,
        }
    }

    #[test]
    fn a_provider_stands_against_a_dispute_only_if_its_delivery_holds() {
        let disputed = Phase::Disputed { ends: at(9_000) };
        assert_eq!(next(&seen(Step::DeliveredOnChain, disputed, 4_000)), Next::NoteDisputed);
        assert_eq!(next(&seen(Step::Disputed, disputed, 4_000)), Next::Wait);
        assert_eq!(next(&Seen { stands: true, ..seen(Step::Disputed, disputed, 4_000) }), Next::SignCounter);
        assert_eq!(next(&seen(Step::CounterSigned, disputed, 4_000)), Next::SubmitCounter);
        for step in [Step::Disputed, Step::CounterSigned] {
            assert_eq!(next(&seen(step, disputed, 9_000)), Next::Finalize, "{step}");
            assert_eq!(next(&seen(step, Phase::Arbitrating { ends: at(9_000) }, 5_000)), Next::NoteCountered, "{step}");
        }
        assert_eq!(next(&seen(Step::Countered, Phase::Arbitrating { ends: at(9_000) }, 8_999)), Next::Wait);
        assert_eq!(next(&seen(Step::Countered, Phase::Arbitrating { ends: at(9_000) }, 9_000)), Next::Finalize);
    }

    #[test]
    fn a_funding_that_the_chain_took_back_is_noted() {
        for step in [Step::Funded, Step::ReceiptSigned, Step::ReleaseHeld, Step::DeliveredOnChain, Step::Countered] {
            assert_eq!(next(&seen(step, Phase::Unfunded, 500)), Next::NoteUnfunded, "{step}");
        }
    }

    #[test]
    fn work_that_nobody_waits_for_is_not_funded_not_begun_and_not_delivered() {
        let stopped = |step, phase, now| Seen { stopped: true, ..seen(step, phase, now) };
        assert_eq!(next(&stopped(Step::FundSubmitted, Phase::Unfunded, 999)), Next::Wait);
        assert_eq!(next(&stopped(Step::FundSubmitted, Phase::Unfunded, 1_000)), Next::Expire);
        assert_eq!(next(&stopped(Step::FundSubmitted, Phase::Funded, 999)), Next::NoteFunded);
        assert_eq!(next(&stopped(Step::Funded, Phase::Funded, 1_500)), Next::StopWork);
        assert_eq!(next(&stopped(Step::Executed, Phase::Funded, 1_500)), Next::StopWork);
        assert_eq!(next(&Seen { chain: None, ..stopped(Step::Executed, Phase::Funded, 0) }), Next::StopWork);
        assert_eq!(next(&stopped(Step::WorkFailed, Phase::Funded, 1_500)), Next::SubmitRefund);
    }

    #[test]
    fn the_margin_is_a_tenth_of_the_window_and_at_least_a_minute() {
        let clocks = |deliver_by| Clocks { fund_by: at(1_000), deliver_by: at(deliver_by), review_secs: 3_600 };
        assert_eq!(deliver_margin(&clocks(1_100)), Duration::from_secs(60));
        assert_eq!(deliver_margin(&clocks(3_000)), Duration::from_secs(200));
    }

    #[test]
    fn a_sleeping_buyer_is_answered_on_chain_before_the_deadline() {
        assert_eq!(next(&seen(Step::ReceiptSigned, Phase::Funded, 2_799)), Next::Wait);
        assert_eq!(next(&seen(Step::ReceiptSigned, Phase::Funded, 2_800)), Next::SubmitDeliver);
        assert_eq!(next(&seen(Step::ReceiptSigned, Phase::Funded, 3_000)), Next::Wait);
        let review = Phase::Delivered { review_ends: at(6_400) };
        assert_eq!(next(&seen(Step::ReceiptSigned, review, 2_900)), Next::NoteDelivered);
        assert_eq!(next(&seen(Step::DeliveredOnChain, review, 6_399)), Next::Wait);
        assert_eq!(next(&seen(Step::DeliveredOnChain, review, 6_400)), Next::Finalize);
    }

    #[test]
    fn a_provider_that_does_not_declare_posts_nothing() {
        let mut seen = seen(Step::ReceiptSigned, Phase::Funded, 2_900);
        seen.auto_deliver = false;
        assert_eq!(next(&seen), Next::Wait);
    }

    #[test]
    fn a_held_release_is_submitted_and_backed_by_a_delivery_if_it_fails_near_the_deadline() {
        let mut seen = seen(Step::ReleaseHeld, Phase::Funded, 2_900);
        assert_eq!(next(&seen), Next::SubmitRelease);
        seen.release_failed = true;
        assert_eq!(next(&seen), Next::SubmitDeliver);
    }

    #[test]
    fn an_order_that_nobody_closes_is_closed_by_an_honest_provider() {
        for step in [Step::Funded, Step::ReceiptSigned] {
            assert_eq!(next(&seen(step, Phase::Funded, 3_199)), Next::Wait, "{step}");
            assert_eq!(next(&seen(step, Phase::Funded, 3_200)), Next::Finalize, "{step}");
        }
    }

    #[test]
    fn late_work_is_not_started() {
        assert_eq!(next(&seen(Step::Funded, Phase::Funded, 2_999)), Next::Execute);
        assert_eq!(next(&seen(Step::Funded, Phase::Funded, 3_000)), Next::Wait);
    }

    #[test]
    fn a_payment_is_not_submitted_after_fund_by() {
        assert_eq!(next(&seen(Step::FundSubmitted, Phase::Unfunded, 999)), Next::SubmitFund);
        assert_eq!(next(&seen(Step::FundSubmitted, Phase::Unfunded, 1_000)), Next::Expire);
    }
}
