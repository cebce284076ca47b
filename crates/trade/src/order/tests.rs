//! Laws of the order machine: no transition skipped, final states final, clocks obeyed.

use haggle_base::{ClosedBy, Timestamp, Usdc};
use proptest::prelude::*;

use super::{
    Clocks, Moved, OrderMachine, OrderState,
    command::{AcceptBy, Command},
    job,
    saga::{self, ChainView, Patience, Verdict},
};
use crate::ports::Phase;

const FUND_BY: u64 = 1_000;
const DELIVER_BY: u64 = 2_000;

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn order() -> OrderMachine {
    OrderMachine::propose(Clocks { fund_by: at(FUND_BY), deliver_by: at(DELIVER_BY), review_secs: 3_600 })
}

fn walk(commands: &[(Command, u64)]) -> OrderMachine {
    let mut machine = order();
    for (command, now) in commands {
        assert!(matches!(machine.apply(*command, at(*now)), Moved::To(_)), "{command:?} at {now}");
    }
    machine
}

const PAID: [(Command, u64); 6] = [
    (Command::Agree, 10),
    (Command::Commit, 11),
    (Command::Fund, 12),
    (Command::Receive, 13),
    (Command::Accept(AcceptBy::Release), 14),
    (Command::Settle, 15),
];

#[test]
fn a_paid_order_passes_every_state_in_order() {
    assert_eq!(walk(&PAID).state(), OrderState::Settled);
}

#[test]
fn an_order_agreed_too_late_is_not_agreed() {
    assert_eq!(order().apply(Command::Agree, at(FUND_BY)), Moved::WrongTime);
}

#[test]
fn an_unfunded_order_expires_only_after_fund_by() {
    let mut machine = walk(&PAID[..1]);
    assert_eq!(machine.apply(Command::Expire, at(FUND_BY - 1)), Moved::WrongTime);
    assert_eq!(machine.apply(Command::Expire, at(FUND_BY)), Moved::To(OrderState::Expired));
    assert_eq!(machine.apply(Command::Fund, at(FUND_BY)), Moved::Refused(OrderState::Expired));
}

#[test]
fn a_buyer_whose_payment_left_cannot_cancel() {
    let mut machine = walk(&PAID[..2]);
    assert_eq!(machine.apply(Command::Cancel, at(12)), Moved::Refused(OrderState::Agreed));
}

#[test]
fn a_receipt_after_deliver_by_is_refused_and_the_buyer_refunded() {
    let mut machine = walk(&PAID[..3]);
    assert_eq!(machine.apply(Command::Receive, at(DELIVER_BY)), Moved::WrongTime);
    assert_eq!(machine.apply(Command::Refund, at(DELIVER_BY)), Moved::To(OrderState::Refunded));
}

#[test]
fn silence_accepts_only_after_an_on_chain_delivery_and_its_window() {
    let mut machine = walk(&PAID[..4]);
    let silence = Command::Accept(AcceptBy::Silence);
    assert_eq!(machine.apply(silence, at(9_000)), Moved::WrongTime);
    assert_eq!(machine.apply(Command::Deliver { review_ends: at(5_000) }, at(1_900)), Moved::Already);
    assert_eq!(machine.apply(silence, at(4_999)), Moved::WrongTime);
    assert_eq!(machine.apply(silence, at(5_000)), Moved::To(OrderState::Accepted));
}

/// Whatever ended an order on the chain, a machine that stood at any live state arrives where the money went.
#[test]
fn an_order_arrives_where_its_money_went_however_it_ended() {
    let begun = [&PAID[..2], &PAID[..3], &PAID[..4], &PAID[..5]];
    for (closed_by, steps) in ClosedBy::ALL.into_iter().flat_map(|closed_by| begun.map(|steps| (closed_by, steps))) {
        let always_paid = matches!(closed_by, ClosedBy::Release | ClosedBy::UndeliveredPaid | ClosedBy::Timeout);
        let never_paid = matches!(closed_by, ClosedBy::Refund | ClosedBy::Expired | ClosedBy::Uncountered);
        for paid in [0, 90] {
            if (paid == 0 && always_paid) || (paid != 0 && never_paid) {
                continue;
            }
            let mut machine = walk(steps);
            let phase = Phase::Settled { closed_by, paid: Usdc::from_units(paid), fee: Usdc::ZERO };
            machine.catch_up(&phase, at(9_000));
            let expected = if paid == 0 { OrderState::Refunded } else { OrderState::Settled };
            assert_eq!(machine.state(), expected, "{closed_by:?} {paid}");
        }
    }
}

fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        Just(Command::Agree),
        Just(Command::Commit),
        Just(Command::Fund),
        Just(Command::Receive),
        (0_u64..8_000).prop_map(|end| Command::Deliver { review_ends: at(end) }),
        Just(Command::Dispute),
        Just(Command::Accept(AcceptBy::Release)),
        Just(Command::Accept(AcceptBy::Silence)),
        Just(Command::Accept(AcceptBy::Decision)),
        Just(Command::Settle),
        Just(Command::Refund),
        Just(Command::Expire),
        Just(Command::Cancel),
    ]
}

fn any_phase() -> impl Strategy<Value = Phase> {
    prop_oneof![
        Just(Phase::Unfunded),
        Just(Phase::Funded),
        (0_u64..8_000).prop_map(|end| Phase::Delivered { review_ends: at(end) }),
        (0_u64..8_000).prop_map(|end| Phase::Disputed { ends: at(end) }),
        (0_u64..8_000).prop_map(|end| Phase::Arbitrating { ends: at(end) }),
        Just(Phase::Settled { closed_by: ClosedBy::Refund, paid: Usdc::ZERO, fee: Usdc::ZERO }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Any commands at any times: each change is one allowed edge, final states never move, a
    /// refusal changes nothing, and an order that settled has been funded, delivered and accepted.
    #[test]
    fn no_transition_is_skipped_and_final_states_are_final(
        steps in prop::collection::vec((any_command(), 0_u64..4_000), 0..60),
    ) {
        let mut machine = order();
        let mut seen = vec![machine.state()];
        for (command, now) in steps {
            let before = machine.clone();
            match machine.apply(command, at(now)) {
                Moved::To(to) => {
                    prop_assert_eq!(machine.state(), to);
                    prop_assert!(!before.state().is_final());
                    if to == before.state() {
                        prop_assert!(machine.is_committed() && !before.is_committed());
                    } else {
                        prop_assert!(before.state().successors().contains(&to));
                        seen.push(to);
                    }
                }
                Moved::Already => prop_assert_eq!(machine.state(), before.state()),
                Moved::WrongTime | Moved::Refused(_) => prop_assert_eq!(&machine, &before),
            }
        }
        if machine.state() == OrderState::Settled {
            seen.retain(|state| *state != OrderState::Disputed);
            prop_assert_eq!(seen, vec![
                OrderState::Proposed, OrderState::Agreed, OrderState::Funded,
                OrderState::Delivered, OrderState::Accepted, OrderState::Settled,
            ]);
        }
    }

    /// Without the passing of `fund_by` nothing expires; once committed nothing cancels.
    #[test]
    fn money_that_left_is_only_ended_by_the_chain(
        steps in prop::collection::vec((any_command(), 0_u64..4_000), 0..60),
    ) {
        let mut machine = order();
        for (command, now) in steps {
            let committed = machine.is_committed();
            let moved = machine.apply(command, at(now));
            if committed {
                prop_assert_ne!(moved, Moved::To(OrderState::Cancelled));
            }
            if moved == Moved::To(OrderState::Expired) {
                prop_assert!(now >= FUND_BY);
            }
        }
    }

    /// Wherever the caller's deadline passes: nothing new is signed, sent or paid, and only what is declared on
    /// chain is still fetched.
    #[test]
    fn a_buyer_that_nobody_waits_for_begins_nothing(
        step in prop::sample::select(saga::Step::ALL.to_vec()),
        phase in any_phase(),
        now in 0_u64..4_000,
        stopped in any::<bool>(),
        fits in prop::option::of(any::<bool>()),
    ) {
        use saga::Next;
        let next = saga::next(&saga::Seen {
            step,
            clocks: Some(order().clocks()),
            chain: Some(ChainView { phase, now: at(now) }),
            verdict: fits.map(|fits| if fits { Verdict::Fits } else { Verdict::Misfits }),
            can_dispute: stopped,
            is_mismatch: false,
            has_grievance: false,
            patience: if stopped { Patience::Stopped } else { Patience::Over },
            since_release: std::time::Duration::ZERO,
            settle_wait: std::time::Duration::from_secs(30),
        });
        let begins = matches!(
            next,
            Next::ReserveAndNegotiate | Next::SignTerms | Next::ExchangeTerms | Next::SendInput | Next::Authorise | Next::Pay
        );
        prop_assert!(!begins, "{step} {phase:?}: {next:?}");
        let declared = matches!(phase, Phase::Delivered { .. });
        prop_assert!(next != Next::Collect || declared);
        prop_assert!(next != Next::AskToStop || (step.is_committed() && !stopped));
        prop_assert!(next != Next::GiveUp || !step.is_committed());
    }

    /// Whenever the buyer's word to stop comes: no payment is submitted, no work begun, no receipt signed after it.
    #[test]
    fn a_provider_that_was_told_to_stop_begins_nothing(
        step in prop::sample::select(job::Step::ALL.to_vec()),
        phase in any_phase(),
        now in 0_u64..4_000,
        looks in any::<bool>(),
    ) {
        use job::Next;
        let next = job::next(&job::Seen {
            step,
            clocks: order().clocks(),
            chain: looks.then_some(ChainView { phase, now: at(now) }),
            auto_deliver: true,
            release_failed: false,
            stopped: true,
            stands: true,
        });
        prop_assert!(!matches!(next, Next::SubmitFund | Next::Execute | Next::SignReceipt), "{step} {phase:?}: {next:?}");
        prop_assert!(next != Next::StopWork || step.can_stop());
    }
}
