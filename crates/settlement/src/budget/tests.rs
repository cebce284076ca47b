//! Alice's budget, step by step, and the law that no order of steps passes a limit.

use std::sync::LazyLock;

use alloy_primitives::B256;
use proptest::prelude::*;

use haggle_base::Seed;

use super::*;

const NOON: Timestamp = Timestamp::from_secs(1_800_014_400);
const HOUR: Duration = Duration::from_secs(3600);

fn usdc(units: u64) -> Usdc {
    Usdc::from_units(units)
}

fn key(name: &str) -> ReservationKey {
    ReservationKey::try_from(name).unwrap()
}

fn order(n: u8) -> OrderId {
    OrderId::from(B256::repeat_byte(n))
}

/// Deriving a key from a phrase is slow on purpose, so it is done once.
static ALICE: LazyLock<Did> = LazyLock::new(|| Seed::devnet(7, 0).agent_key(0).did());

fn alice() -> Did {
    *ALICE
}

fn budget() -> Budget {
    Budget::new(Limits { per_call: usdc(50), per_day: usdc(100) })
}

fn reserve(budget: &mut Budget, name: &str, amount: u64, now: Timestamp) -> event::Reserve {
    let command =
        command::Reserve { key: key(name), agent: alice(), amount: usdc(amount), lives: HOUR, balance: usdc(1000) };
    budget.reserve(command, now)
}

fn authorise(budget: &mut Budget, name: &str, n: u8, deposit: u64, now: Timestamp) -> event::Authorise {
    budget.authorise(&command::Authorise { key: key(name), order: order(n), deposit: usdc(deposit) }, now)
}

/// A reservation that went all the way, with `spent` gone.
fn trade(budget: &mut Budget, name: &str, n: u8, amount: u64, spent: u64) {
    assert_eq!(reserve(budget, name, amount, NOON), event::Reserve::Held);
    assert_eq!(authorise(budget, name, n, amount, NOON), event::Authorise::Granted);
    assert_eq!(budget.fund(&key(name)), event::Fund::Funded { reserved: usdc(amount) });
    assert!(matches!(budget.close(&key(name), usdc(spent)), event::Close::Closed(_)));
}

#[test]
fn one_call_cannot_pass_its_limit() {
    assert_eq!(reserve(&mut budget(), "a", 51, NOON), event::Reserve::OverPerCall { limit: usdc(50) });
    assert_eq!(reserve(&mut budget(), "a", 50, NOON), event::Reserve::Held);
}

#[test]
fn the_calls_of_a_day_cannot_pass_their_limit_together() {
    let mut budget = budget();
    trade(&mut budget, "a", 1, 50, 50);
    assert_eq!(reserve(&mut budget, "b", 30, NOON), event::Reserve::Held);
    assert_eq!(reserve(&mut budget, "c", 21, NOON), event::Reserve::OverPerDay { limit: usdc(100), left: usdc(20) });
    assert_eq!(reserve(&mut budget, "c", 20, NOON), event::Reserve::Held);
}

#[test]
fn the_next_day_begins_with_a_whole_budget() {
    let mut budget = budget();
    trade(&mut budget, "a", 1, 50, 50);
    trade(&mut budget, "b", 2, 50, 50);
    assert!(matches!(reserve(&mut budget, "c", 1, NOON), event::Reserve::OverPerDay { .. }));
    assert_eq!(reserve(&mut budget, "c", 50, NOON.plus(DAY)), event::Reserve::Held);
}

#[test]
fn a_clock_that_goes_back_does_not_give_a_day_twice() {
    let mut budget = budget();
    trade(&mut budget, "a", 1, 50, 50);
    trade(&mut budget, "b", 2, 50, 50);
    assert!(matches!(reserve(&mut budget, "c", 1, NOON.minus(DAY)), event::Reserve::OverPerDay { .. }));
}

#[test]
fn a_refund_gives_the_day_back() {
    let mut budget = budget();
    trade(&mut budget, "a", 1, 50, 50);
    trade(&mut budget, "b", 2, 50, 0);
    assert_eq!(budget.committed_on_day_of(NOON), usdc(50));
    assert_eq!(reserve(&mut budget, "c", 50, NOON), event::Reserve::Held);
}

#[test]
fn money_set_aside_cannot_be_set_aside_again() {
    let mut budget = Budget::new(Limits { per_call: usdc(50), per_day: usdc(1000) });
    let mut ask = |name: &str| {
        let command =
            command::Reserve { key: key(name), agent: alice(), amount: usdc(50), lives: HOUR, balance: usdc(70) };
        budget.reserve(command, NOON)
    };
    assert_eq!(ask("a"), event::Reserve::Held);
    assert_eq!(ask("b"), event::Reserve::InsufficientFunds { available: usdc(20) });
}

#[test]
fn the_same_reservation_again_changes_nothing_and_another_one_needs_its_own_key() {
    let mut budget = budget();
    assert_eq!(reserve(&mut budget, "a", 50, NOON), event::Reserve::Held);
    let before = budget.clone();
    assert_eq!(reserve(&mut budget, "a", 50, NOON), event::Reserve::AlreadyHeld);
    assert_eq!(reserve(&mut budget, "a", 49, NOON), event::Reserve::KeyTaken);
    assert_eq!(budget, before);
}

#[test]
fn nothing_cannot_be_reserved() {
    assert_eq!(reserve(&mut budget(), "a", 0, NOON), event::Reserve::NothingToReserve);
}

#[test]
fn open_reservations_are_bounded() {
    let mut budget = Budget::new(Limits { per_call: Usdc::MAX, per_day: Usdc::MAX });
    let mut ask = |n: usize| {
        let command = command::Reserve {
            key: key(&n.to_string()),
            agent: alice(),
            amount: usdc(1),
            lives: HOUR,
            balance: Usdc::MAX,
        };
        budget.reserve(command, NOON)
    };
    for n in 0..MAX_OPEN {
        assert_eq!(ask(n), event::Reserve::Held);
    }
    assert_eq!(ask(MAX_OPEN), event::Reserve::TooManyOpen);
}

#[test]
fn a_reservation_pays_for_one_order() {
    let mut budget = budget();
    assert_eq!(reserve(&mut budget, "a", 50, NOON), event::Reserve::Held);
    assert_eq!(authorise(&mut budget, "a", 1, 50, NOON), event::Authorise::Granted);
    assert_eq!(authorise(&mut budget, "a", 1, 50, NOON), event::Authorise::AlreadyGranted);
    assert_eq!(authorise(&mut budget, "a", 2, 50, NOON), event::Authorise::OtherOrder { order: order(1) });
    assert_eq!(budget.fund(&key("a")), event::Fund::Funded { reserved: usdc(50) });
    assert_eq!(authorise(&mut budget, "a", 2, 50, NOON), event::Authorise::OtherOrder { order: order(1) });
    assert!(matches!(budget.close(&key("a"), usdc(50)), event::Close::Closed(_)));
    assert_eq!(authorise(&mut budget, "a", 2, 50, NOON), event::Authorise::Unknown);
}

#[test]
fn limits_are_checked_again_when_the_payment_is_signed() {
    let mut budget = budget();
    assert_eq!(reserve(&mut budget, "a", 50, NOON), event::Reserve::Held);
    budget.set_limits(Limits { per_call: usdc(49), per_day: usdc(100) });
    assert_eq!(authorise(&mut budget, "a", 1, 50, NOON), event::Authorise::OverPerCall { limit: usdc(49) });
    budget.set_limits(Limits { per_call: usdc(50), per_day: usdc(40) });
    let refused = event::Authorise::OverPerDay { limit: usdc(40), left: usdc(40) };
    assert_eq!(authorise(&mut budget, "a", 1, 50, NOON), refused);
    assert_eq!(authorise(&mut budget, "a", 1, 40, NOON), event::Authorise::Granted);
}

#[test]
fn a_reservation_signed_on_the_next_day_counts_on_that_day() {
    let mut budget = budget();
    let late = Timestamp::from_secs(1_800_057_000);
    assert_eq!(day_of(late) + 1, day_of(late.plus(HOUR)));
    assert_eq!(reserve(&mut budget, "a", 50, late), event::Reserve::Held);
    let morning = late.plus(Duration::from_secs(3599));
    for name in ["b", "c"] {
        assert_eq!(reserve(&mut budget, name, 50, morning), event::Reserve::Held);
    }
    let refused = event::Authorise::OverPerDay { limit: usdc(100), left: usdc(0) };
    assert_eq!(authorise(&mut budget, "a", 1, 50, morning), refused);
}

#[test]
fn a_reservation_ends_by_itself_only_while_nothing_is_signed_on_it() {
    let mut budget = budget();
    assert_eq!(reserve(&mut budget, "a", 10, NOON), event::Reserve::Held);
    assert_eq!(reserve(&mut budget, "b", 10, NOON), event::Reserve::Held);
    assert_eq!(authorise(&mut budget, "b", 1, 10, NOON), event::Authorise::Granted);
    assert!(budget.expired(NOON.plus(HOUR).minus(Duration::from_millis(1))).is_empty());
    assert_eq!(budget.expired(NOON.plus(HOUR)), [key("a")]);
    assert_eq!(authorise(&mut budget, "a", 2, 10, NOON.plus(HOUR)), event::Authorise::Expired);
}

#[test]
fn what_is_signed_cannot_be_cancelled() {
    let mut budget = budget();
    assert_eq!(reserve(&mut budget, "a", 10, NOON), event::Reserve::Held);
    assert_eq!(budget.cancel(&key("a")), event::Cancel::Cancelled { amount: usdc(10) });
    assert_eq!(budget.cancel(&key("a")), event::Cancel::NotOpen);
    assert_eq!(reserve(&mut budget, "a", 10, NOON), event::Reserve::Held);
    assert_eq!(authorise(&mut budget, "a", 1, 10, NOON), event::Authorise::Granted);
    assert_eq!(budget.cancel(&key("a")), event::Cancel::Signed { order: order(1) });
}

#[test]
fn a_reservation_is_closed_once() {
    let mut budget = budget();
    trade(&mut budget, "a", 1, 50, 30);
    assert_eq!(budget.close(&key("a"), usdc(30)), event::Close::NotOpen);
    assert_eq!(budget.fund(&key("a")), event::Fund::NotSigned);
    assert_eq!(budget.committed_on_day_of(NOON), usdc(30));
}

#[test]
fn an_end_that_the_chain_takes_back_is_open_again() {
    let mut budget = budget();
    assert_eq!(reserve(&mut budget, "a", 50, NOON), event::Reserve::Held);
    assert_eq!(authorise(&mut budget, "a", 1, 40, NOON), event::Authorise::Granted);
    assert_eq!(budget.fund(&key("a")), event::Fund::Funded { reserved: usdc(50) });
    let funded = budget.clone();
    let event::Close::Closed(closed) = budget.close(&key("a"), usdc(40)) else { panic!("it was open") };
    budget.reopen(key("a"), closed);
    assert_eq!(budget, funded);
    assert_eq!(budget.unfund(&key("a")).unwrap().stage, Stage::Signed { order: order(1) });
}

/// One thing that can happen to Alice's budget.
#[derive(Debug, Clone)]
enum Step {
    Reserve(u8, u64),
    Authorise(u8, u8, u64),
    Cancel(u8),
    Fund(u8),
    Close(u8, u64),
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..6u8, 0..80u64).prop_map(|(k, amount)| Step::Reserve(k, amount)),
        (0..6u8, 0..4u8, 0..80u64).prop_map(|(k, n, deposit)| Step::Authorise(k, n, deposit)),
        (0..6u8).prop_map(Step::Cancel),
        (0..6u8).prop_map(Step::Fund),
        (0..6u8, 0..80u64).prop_map(|(k, spent)| Step::Close(k, spent)),
        (0..2000u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn no_sequence_of_steps_passes_the_limits_or_the_wallet(steps in prop::collection::vec(any_step(), 0..80)) {
        let mut budget = budget();
        let mut now = NOON;
        for step in steps {
            match step {
                Step::Reserve(k, amount) => {
                    let command = command::Reserve {
                        key: key(&k.to_string()), agent: alice(), amount: usdc(amount), lives: HOUR, balance: usdc(120),
                    };
                    let held = budget.reserve(command, now) == event::Reserve::Held;
                    prop_assert!(!held || amount <= 50);
                }
                Step::Authorise(k, n, deposit) => {
                    let granted = authorise(&mut budget, &k.to_string(), n, deposit, now) == event::Authorise::Granted;
                    prop_assert!(!granted || deposit <= 50);
                }
                Step::Cancel(k) => drop(format!("{:?}", budget.cancel(&key(&k.to_string())))),
                Step::Fund(k) => drop(format!("{:?}", budget.fund(&key(&k.to_string())))),
                Step::Close(k, spent) => {
                    let name = key(&k.to_string());
                    let most = budget.reservation(&name).map_or(0, |r| r.amount.units());
                    drop(budget.close(&name, usdc(spent.min(most))));
                }
                Step::Wait(secs) => now = now.plus(Duration::from_secs(secs)),
            }
            prop_assert!(budget.committed_on_day_of(now) <= usdc(100));
            prop_assert!(budget.held() <= usdc(120));
        }
    }
}
