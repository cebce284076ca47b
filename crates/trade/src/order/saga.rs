//! The buyer's saga: which step is on disk, and what must happen next.
//!
//! A step is written and flushed before the effect that it allows, so a buyer killed anywhere repeats
//! at most the last effect, and every effect is idempotent. `docs/protocols/orders.md` has the table of
//! steps and crash outcomes. This file only decides; `buyer` acts.

use std::{fmt, time::Duration};

use haggle_base::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    order::{Clocks, OrderState},
    ports::Phase,
};

/// The last step a buyer has on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The hire is written down; its budget may be reserved.
    Reserved,
    /// The provider's signed quote is held; terms may be signed.
    Quoted,
    /// Our signed terms are held; they may leave.
    TermsSigned,
    /// The provider's signed terms are held; the input may leave.
    InputSent,
    /// The provider's signature over the order is held; the payment may be signed.
    OrderCountersigned,
    /// Our payment signature is held; it may leave.
    Authorised,
    /// The chain shows the order funded; the result may be asked for.
    Funded,
    /// The signed receipt and the output are held; the output may be judged.
    ReceiptHeld,
    /// The verdict is held; the release may be signed, or not.
    Checked,
    /// Our evidence and our bond are held; they may leave.
    DisputeSigned,
    /// The chain shows our dispute; the provider and the arbitrator have their say.
    Disputed,
    /// Our release signature is held; it may leave.
    ReleaseSigned,
    /// The chain paid the provider; the books may be closed.
    Released,
    /// The chain paid us back; the books may be closed.
    Refunded,
    /// Books closed and attested: nothing more to do.
    Attested,
    /// Given up before any money moved; the reservation may be returned.
    Failed,
    /// Reservation returned: nothing more to do.
    Closed,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 17] = [
        Self::Reserved,
        Self::Quoted,
        Self::TermsSigned,
        Self::InputSent,
        Self::OrderCountersigned,
        Self::Authorised,
        Self::Funded,
        Self::ReceiptHeld,
        Self::Checked,
        Self::DisputeSigned,
        Self::Disputed,
        Self::ReleaseSigned,
        Self::Released,
        Self::Refunded,
        Self::Attested,
        Self::Failed,
        Self::Closed,
    ];

    /// The steps of an order that is delivered, released and attested, in order.
    pub const PAID_WAY: [Self; 12] = [
        Self::Reserved,
        Self::Quoted,
        Self::TermsSigned,
        Self::InputSent,
        Self::OrderCountersigned,
        Self::Authorised,
        Self::Funded,
        Self::ReceiptHeld,
        Self::Checked,
        Self::ReleaseSigned,
        Self::Released,
        Self::Attested,
    ];

    /// The stable word for this step.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Quoted => "quoted",
            Self::TermsSigned => "terms_signed",
            Self::InputSent => "input_sent",
            Self::OrderCountersigned => "order_countersigned",
            Self::Authorised => "authorised",
            Self::Funded => "funded",
            Self::ReceiptHeld => "receipt_held",
            Self::Checked => "checked",
            Self::DisputeSigned => "dispute_signed",
            Self::Disputed => "disputed",
            Self::ReleaseSigned => "release_signed",
            Self::Released => "released",
            Self::Refunded => "refunded",
            Self::Attested => "attested",
            Self::Failed => "failed",
            Self::Closed => "closed",
        }
    }

    /// Whether nothing is left to do.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Attested | Self::Closed)
    }

    /// Whether a payment signature may have left, so that only the chain can end the order.
    pub fn is_committed(self) -> bool {
        match self {
            Self::Reserved
            | Self::Quoted
            | Self::TermsSigned
            | Self::InputSent
            | Self::OrderCountersigned
            | Self::Failed
            | Self::Closed => false,
            Self::Authorised
            | Self::Funded
            | Self::ReceiptHeld
            | Self::Checked
            | Self::DisputeSigned
            | Self::Disputed
            | Self::ReleaseSigned
            | Self::Released
            | Self::Refunded
            | Self::Attested => true,
        }
    }

    /// Whether the next decision needs a look at the chain.
    pub fn watches_chain(self) -> bool {
        matches!(
            self,
            Self::TermsSigned
                | Self::InputSent
                | Self::OrderCountersigned
                | Self::Authorised
                | Self::Funded
                | Self::Checked
                | Self::DisputeSigned
                | Self::Disputed
                | Self::ReleaseSigned
        )
    }

    /// The order's state that a view shows while this step is the last one.
    pub fn shown_state(self) -> OrderState {
        match self {
            Self::Reserved | Self::Quoted | Self::TermsSigned | Self::InputSent => OrderState::Proposed,
            Self::OrderCountersigned | Self::Authorised => OrderState::Agreed,
            Self::Funded => OrderState::Funded,
            Self::ReceiptHeld | Self::Checked | Self::DisputeSigned => OrderState::Delivered,
            Self::Disputed => OrderState::Disputed,
            Self::ReleaseSigned => OrderState::Accepted,
            Self::Released | Self::Attested => OrderState::Settled,
            Self::Refunded => OrderState::Refunded,
            Self::Failed | Self::Closed => OrderState::Cancelled,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the output was judged to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It fits the output schema: pay.
    Fits,
    /// It does not: do not pay, take the money back at the deadline.
    Misfits,
}

/// What the chain shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainView {
    /// The order's phase.
    pub phase: Phase,
    /// The time of the latest block, read **before** the phase: if this time is past a deadline, the
    /// phase is final with respect to it.
    pub now: Timestamp,
}

/// Whether somebody still waits for the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Somebody does, or never said for how long.
    Waits,
    /// The caller's deadline has passed; the provider has not said yet that it stops.
    Over,
    /// The caller's deadline has passed, and the provider said that it stops.
    Stopped,
}

/// Everything a decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The last step on disk.
    pub step: Step,
    /// The order's clocks, once there are terms.
    pub clocks: Option<Clocks>,
    /// The chain, if this step watches it.
    pub chain: Option<ChainView>,
    /// The verdict, once the output was judged.
    pub verdict: Option<Verdict>,
    /// Whether the order names an arbitrator, so that it can be disputed.
    pub can_dispute: bool,
    /// Whether what stands on chain as delivered is not what we hold.
    pub is_mismatch: bool,
    /// Whether our owner wants a dispute.
    pub has_grievance: bool,
    /// Whether somebody still waits for the result.
    pub patience: Patience,
    /// How long ago the release was signed, wall time.
    pub since_release: Duration,
    /// How long to wait for the provider to submit the release.
    pub settle_wait: Duration,
}

/// What the buyer does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// Reserve the budget, then negotiate a price.
    ReserveAndNegotiate,
    /// Build the terms from the quote and sign them.
    SignTerms,
    /// Send our terms and take the provider's signed copy.
    ExchangeTerms,
    /// Send the input, then ask for the signature over the order.
    SendInput,
    /// Sign the payment.
    Authorise,
    /// Hand the payment signature to the provider and wait for the chain.
    Pay,
    /// The chain shows the money in the escrow.
    NoteFunded,
    /// The time to fund is over.
    Expire,
    /// Nobody waits any more and nothing is paid: end it.
    GiveUp,
    /// Nobody waits any more: ask the provider to stop and to pay back.
    AskToStop,
    /// Ask for the result.
    Collect,
    /// Judge the output.
    Check,
    /// Write down what is wrong and sign the bond.
    OpenDispute,
    /// Put the dispute on chain.
    SubmitDispute,
    /// The chain shows the dispute.
    NoteDisputed,
    /// The chain has taken the funding back.
    NoteUnfunded,
    /// Sign the release.
    SignRelease,
    /// Hand the release to the provider and wait for the chain.
    SendRelease,
    /// Put the release on chain ourselves.
    SubmitRelease,
    /// Take the timed exit: our refund, or the payment of a delivery that went unopposed.
    Finalize,
    /// The chain closed the order.
    NoteClosed,
    /// Close the books and attest.
    Attest,
    /// Return the reservation.
    ReturnReservation,
    /// Nothing until something changes.
    Wait,
    /// Nothing ever.
    Done,
}

/// How long before the end of the review window a delivery whose output never came is disputed: a tenth of the window,
/// but at least a minute, of chain time.
pub fn dispute_margin(clocks: &Clocks) -> Duration {
    Duration::from_secs(u64::from(clocks.review_secs / 10).max(60))
}

/// Decides the buyer's next act.
pub fn next(seen: &Seen) -> Next {
    let late = |end: fn(&Clocks) -> Timestamp| match (&seen.clocks, &seen.chain) {
        (Some(clocks), Some(chain)) => chain.now >= end(clocks),
        (_, _) => false,
    };
    let phase = seen.chain.map(|chain| chain.phase);
    let unfundable = late(|clocks| clocks.fund_by);
    let undelivered = late(|clocks| clocks.deliver_by);
    // The review window of an on-chain delivery is over: anybody may close the order, so we do.
    let unopposed = match seen.chain {
        Some(ChainView { phase: Phase::Delivered { review_ends: ends }, now })
        | Some(ChainView { phase: Phase::Disputed { ends } | Phase::Arbitrating { ends }, now }) => now >= ends,
        Some(_) | None => false,
    };
    // What is declared on chain was asked for long enough: without an output it is not delivered.
    let withheld = match (seen.chain, &seen.clocks) {
        (Some(ChainView { phase: Phase::Delivered { review_ends }, now }), Some(clocks)) => {
            now >= review_ends.minus(dispute_margin(clocks))
        }
        (_, _) => false,
    };
    match seen.step {
        Step::Reserved | Step::Quoted | Step::TermsSigned | Step::InputSent | Step::OrderCountersigned
            if seen.patience != Patience::Waits =>
        {
            Next::GiveUp
        }
        Step::Reserved => Next::ReserveAndNegotiate,
        Step::Quoted => Next::SignTerms,
        Step::TermsSigned | Step::InputSent | Step::OrderCountersigned if unfundable => Next::Expire,
        Step::TermsSigned => Next::ExchangeTerms,
        Step::InputSent => Next::SendInput,
        Step::OrderCountersigned => Next::Authorise,
        Step::Authorised => match phase {
            None => Next::Wait,
            Some(Phase::Unfunded) if unfundable => Next::Expire,
            Some(Phase::Unfunded) => match seen.patience {
                Patience::Waits => Next::Pay,
                Patience::Over => Next::AskToStop,
                Patience::Stopped => Next::Wait,
            },
            Some(_) => Next::NoteFunded,
        },
        Step::Funded => match phase {
            None => Next::Wait,
            Some(Phase::Unfunded) => Next::NoteUnfunded,
            Some(Phase::Settled { .. }) => Next::NoteClosed,
            Some(Phase::Disputed { .. } | Phase::Arbitrating { .. }) => Next::NoteDisputed,
            Some(Phase::Funded) if undelivered => Next::Finalize,
            Some(Phase::Delivered { .. }) if unopposed => Next::Finalize,
            Some(Phase::Delivered { .. }) if seen.can_dispute && (withheld || seen.has_grievance) => Next::OpenDispute,
            // What is declared on chain will be paid for, so it is worth having.
            Some(Phase::Delivered { .. }) => Next::Collect,
            Some(Phase::Funded) => match seen.patience {
                Patience::Waits => Next::Collect,
                Patience::Over => Next::AskToStop,
                Patience::Stopped => Next::Wait,
            },
        },
        Step::ReceiptHeld => Next::Check,
        Step::Checked => match (phase, seen.verdict) {
            (Some(Phase::Settled { .. }), _) => Next::NoteClosed,
            (Some(Phase::Unfunded), _) => Next::NoteUnfunded,
            (Some(Phase::Disputed { .. } | Phase::Arbitrating { .. }), _) => Next::NoteDisputed,
            (Some(Phase::Delivered { .. }), verdict)
                if !unopposed
                    && seen.can_dispute
                    && (verdict != Some(Verdict::Fits) || seen.is_mismatch || seen.has_grievance) =>
            {
                Next::OpenDispute
            }
            (_, Some(Verdict::Fits)) if !seen.has_grievance => Next::SignRelease,
            (Some(Phase::Funded), _) if undelivered => Next::Finalize,
            (Some(Phase::Delivered { .. }), _) if unopposed => Next::Finalize,
            (_, _) => Next::Wait,
        },
        Step::DisputeSigned | Step::Disputed => match phase {
            Some(Phase::Settled { .. }) => Next::NoteClosed,
            Some(Phase::Unfunded) => Next::NoteUnfunded,
            Some(Phase::Delivered { .. } | Phase::Disputed { .. } | Phase::Arbitrating { .. }) if unopposed => {
                Next::Finalize
            }
            Some(Phase::Delivered { .. }) => Next::SubmitDispute,
            Some(Phase::Disputed { .. } | Phase::Arbitrating { .. }) if seen.step == Step::DisputeSigned => {
                Next::NoteDisputed
            }
            Some(Phase::Funded) if undelivered => Next::Finalize,
            Some(Phase::Funded | Phase::Disputed { .. } | Phase::Arbitrating { .. }) | None => Next::Wait,
        },
        Step::ReleaseSigned => match phase {
            Some(Phase::Settled { .. }) => Next::NoteClosed,
            Some(Phase::Unfunded) => Next::NoteUnfunded,
            None => Next::Wait,
            Some(_) if seen.since_release >= seen.settle_wait => Next::SubmitRelease,
            Some(_) => Next::SendRelease,
        },
        Step::Released | Step::Refunded => Next::Attest,
        Step::Failed => Next::ReturnReservation,
        Step::Attested | Step::Closed => Next::Done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    fn seen(step: Step, phase: Phase, now: u64) -> Seen {
        Seen {
            step,
            clocks: Some(Clocks { fund_by: at(100), deliver_by: at(200), review_secs: 3_600 }),
            chain: Some(ChainView { phase, now: at(now) }),
            verdict: None,
            can_dispute: true,
            is_mismatch: false,
            has_grievance: false,
            patience: Patience::Waits,
            since_release: Duration::ZERO,
            settle_wait: Duration::from_secs(30),
        }
    }

    fn settled() -> Phase {
        Phase::Settled {
            closed_by: haggle_base::ClosedBy::Expired,
            paid: haggle_base::Usdc::ZERO,
            fee: haggle_base::Usdc::ZERO,
        }
    }

    #[test]
    fn nothing_is_signed_for_an_order_that_can_no_longer_be_funded() {
        for step in [Step::TermsSigned, Step::InputSent, Step::OrderCountersigned] {
            assert_eq!(next(&seen(step, Phase::Unfunded, 100)), Next::Expire, "{step}");
        }
        assert_eq!(next(&seen(Step::OrderCountersigned, Phase::Unfunded, 99)), Next::Authorise);
    }

    #[test]
    fn an_authorised_order_expires_only_if_the_chain_still_shows_it_unfunded() {
        assert_eq!(next(&seen(Step::Authorised, Phase::Unfunded, 99)), Next::Pay);
        assert_eq!(next(&seen(Step::Authorised, Phase::Unfunded, 100)), Next::Expire);
        assert_eq!(next(&seen(Step::Authorised, Phase::Funded, 150)), Next::NoteFunded);
    }

    #[test]
    fn an_undelivered_order_is_refunded_at_the_deadline() {
        assert_eq!(next(&seen(Step::Funded, Phase::Funded, 199)), Next::Collect);
        assert_eq!(next(&seen(Step::Funded, Phase::Funded, 200)), Next::Finalize);
        assert_eq!(next(&seen(Step::Funded, settled(), 201)), Next::NoteClosed);
    }

    #[test]
    fn a_misfit_is_never_released_and_refunded_at_the_deadline() {
        let mut seen = seen(Step::Checked, Phase::Funded, 150);
        seen.verdict = Some(Verdict::Misfits);
        assert_eq!(next(&seen), Next::Wait);
        seen.chain = Some(ChainView { phase: Phase::Funded, now: at(200) });
        assert_eq!(next(&seen), Next::Finalize);
        seen.verdict = Some(Verdict::Fits);
        assert_eq!(next(&seen), Next::SignRelease);
    }

    #[test]
    fn a_posted_delivery_that_does_not_fit_or_is_not_what_came_is_disputed() {
        let posted = Phase::Delivered { review_ends: at(3_800) };
        for (verdict, is_mismatch, expected) in [
            (Verdict::Misfits, false, Next::OpenDispute),
            (Verdict::Fits, true, Next::OpenDispute),
            (Verdict::Fits, false, Next::SignRelease),
        ] {
            let seen = Seen { verdict: Some(verdict), is_mismatch, ..seen(Step::Checked, posted, 300) };
            assert_eq!(next(&seen), expected, "{verdict:?} {is_mismatch}");
        }
        let late = Seen { verdict: Some(Verdict::Misfits), ..seen(Step::Checked, posted, 3_800) };
        assert_eq!(next(&late), Next::Finalize, "the window is over");
        let unjudged = Seen { verdict: Some(Verdict::Misfits), can_dispute: false, ..seen(Step::Checked, posted, 300) };
        assert_eq!(next(&unjudged), Next::Wait, "nobody could rule");
    }

    #[test]
    fn a_posted_delivery_that_never_came_is_disputed_before_the_window_ends() {
        let posted = Phase::Delivered { review_ends: at(3_800) };
        assert_eq!(next(&seen(Step::Funded, posted, 3_439)), Next::Collect);
        assert_eq!(next(&seen(Step::Funded, posted, 3_440)), Next::OpenDispute);
        assert_eq!(next(&Seen { has_grievance: true, ..seen(Step::Funded, posted, 300) }), Next::OpenDispute);
    }

    #[test]
    fn a_dispute_is_sent_until_the_chain_shows_it_and_every_window_ends_in_an_exit() {
        assert_eq!(
            next(&seen(Step::DisputeSigned, Phase::Delivered { review_ends: at(900) }, 300)),
            Next::SubmitDispute
        );
        for phase in [Phase::Disputed { ends: at(900) }, Phase::Arbitrating { ends: at(900) }] {
            assert_eq!(next(&seen(Step::DisputeSigned, phase, 899)), Next::NoteDisputed);
            assert_eq!(next(&seen(Step::Disputed, phase, 899)), Next::Wait);
            assert_eq!(next(&seen(Step::Disputed, phase, 900)), Next::Finalize);
        }
        assert_eq!(next(&seen(Step::Disputed, settled(), 901)), Next::NoteClosed);
    }

    #[test]
    fn a_funding_that_the_chain_took_back_is_noted() {
        for step in [Step::Funded, Step::Checked, Step::ReleaseSigned, Step::Disputed] {
            assert_eq!(next(&seen(step, Phase::Unfunded, 50)), Next::NoteUnfunded, "{step}");
        }
    }

    #[test]
    fn a_release_nobody_submits_is_submitted_by_the_buyer_after_the_wait() {
        let mut seen = seen(Step::ReleaseSigned, Phase::Funded, 150);
        assert_eq!(next(&seen), Next::SendRelease);
        seen.since_release = Duration::from_secs(30);
        assert_eq!(next(&seen), Next::SubmitRelease);
    }

    #[test]
    fn a_caller_that_no_longer_waits_ends_what_is_unpaid_and_asks_for_the_rest_back() {
        for step in Step::ALL.into_iter().filter(|step| !step.is_committed() && *step < Step::Authorised) {
            let mut seen = seen(step, Phase::Unfunded, 50);
            seen.patience = Patience::Over;
            assert_eq!(next(&seen), Next::GiveUp, "{step}");
        }
        for (step, phase) in [(Step::Authorised, Phase::Unfunded), (Step::Funded, Phase::Funded)] {
            let mut seen = seen(step, phase, 50);
            seen.patience = Patience::Over;
            assert_eq!(next(&seen), Next::AskToStop, "{step}");
            seen.patience = Patience::Stopped;
            assert_eq!(next(&seen), Next::Wait, "{step}");
        }
    }

    #[test]
    fn the_clocks_end_an_order_that_nobody_waits_for_as_any_other() {
        for patience in [Patience::Over, Patience::Stopped] {
            let mut unfunded = seen(Step::Authorised, Phase::Unfunded, 100);
            unfunded.patience = patience;
            assert_eq!(next(&unfunded), Next::Expire);
            let mut undelivered = seen(Step::Funded, Phase::Funded, 200);
            undelivered.patience = patience;
            assert_eq!(next(&undelivered), Next::Finalize);
            let mut closed = seen(Step::Funded, settled(), 150);
            closed.patience = patience;
            assert_eq!(next(&closed), Next::NoteClosed);
        }
    }

    #[test]
    fn a_dark_chain_moves_nothing() {
        for step in [Step::Authorised, Step::Funded, Step::Checked, Step::ReleaseSigned] {
            let mut seen = seen(step, Phase::Funded, 150);
            seen.chain = None;
            assert_eq!(next(&seen), Next::Wait, "{step}");
        }
    }
}
