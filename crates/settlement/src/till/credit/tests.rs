//! No payer, no caller and no crowd of strangers gets more work than the budgets say.

use super::*;
use proptest::prelude::*;

const NOON: Timestamp = Timestamp::from_secs(1_800_014_400);

fn limits() -> CreditLimits {
    CreditLimits::default()
}

fn debt(payer: u8, caller: u8, listing: u8, units: u64, proven: bool) -> Debt {
    Debt {
        payer: [payer; 20],
        caller: Caller::Key(format!("key-{caller}").as_str().try_into().unwrap()),
        seller: haggle_base::AgentKey::from_bytes(&[7; 32]).did(),
        listing: format!("listing-{listing}").as_str().try_into().unwrap(),
        units,
        proven,
    }
}

fn key(n: u64) -> SpendKey {
    (n, [0; 20], [0; 20], [0; 32])
}

#[test]
fn a_payer_has_five_cents_open_at_one_time() {
    let mut credit = Credit::default();
    assert_eq!(credit.hold(&limits(), key(1), debt(1, 1, 1, 50_000, true), NOON), Hold::Held);
    assert_eq!(credit.hold(&limits(), key(2), debt(1, 2, 1, 1, true), NOON), Hold::Full);
    credit.release(&key(1));
    assert_eq!(credit.hold(&limits(), key(2), debt(1, 2, 1, 1, true), NOON), Hold::Held);
}

#[test]
fn a_caller_with_many_payers_has_no_more_than_one() {
    let mut credit = Credit::default();
    assert_eq!(credit.hold(&limits(), key(1), debt(1, 9, 1, 30_000, false), NOON), Hold::Held);
    assert_eq!(credit.hold(&limits(), key(2), debt(2, 9, 1, 30_000, false), NOON), Hold::Full);
}

#[test]
fn strangers_from_everywhere_share_the_listings_budget_and_proven_payers_do_not_touch_it() {
    let mut credit = Credit::default();
    for n in 0..20_u8 {
        assert_eq!(credit.hold(&limits(), key(n.into()), debt(n, n, 1, 50_000, false), NOON), Hold::Held);
    }
    assert_eq!(credit.hold(&limits(), key(90), debt(90, 90, 1, 1, false), NOON), Hold::Full);
    assert_eq!(credit.hold(&limits(), key(91), debt(91, 91, 1, 50_000, true), NOON), Hold::Held);
    assert_eq!(credit.hold(&limits(), key(92), debt(92, 92, 2, 50_000, false), NOON), Hold::Held);
}

#[test]
fn a_loss_counts_for_an_hour_and_turns_the_listing_upfront() {
    let mut credit = Credit::default();
    assert_eq!(credit.hold(&limits(), key(1), debt(1, 1, 1, 20_000, true), NOON), Hold::Held);
    assert!(credit.lose(&key(1), NOON).is_some());
    assert_eq!(credit.lose(&key(1), NOON), None);
    let another = debt(2, 2, 1, 1, true);
    let room = |credit: &mut Credit, at| {
        credit.has_room(&limits(), &another.caller, (&another.seller, &another.listing), 1, at)
    };
    let almost = NOON.plus(Duration::from_secs(3599));
    assert!(!room(&mut credit, almost));
    assert_eq!(credit.hold(&limits(), key(2), another.clone(), almost), Hold::Full);
    assert_eq!(credit.hold(&limits(), key(3), debt(1, 3, 2, 40_000, true), almost), Hold::Full);
    let later = NOON.plus(Duration::from_secs(3600));
    assert!(room(&mut credit, later));
    assert_eq!(credit.hold(&limits(), key(3), debt(1, 3, 2, 40_000, true), later), Hold::Held);
}

#[test]
fn the_same_payment_is_held_once() {
    let mut credit = Credit::default();
    assert_eq!(credit.hold(&limits(), key(1), debt(1, 1, 1, 50_000, true), NOON), Hold::Held);
    assert_eq!(credit.hold(&limits(), key(1), debt(1, 1, 1, 50_000, true), NOON), Hold::Held);
    credit.release(&key(1));
    assert_eq!(credit.sums.len(), 0);
}

#[test]
fn without_limits_there_is_no_credit() {
    let mut credit = Credit::default();
    let one = debt(1, 1, 1, 1, true);
    assert!(!credit.has_room(&CreditLimits::NONE, &one.caller, (&one.seller, &one.listing), 1, NOON));
    assert_eq!(credit.hold(&CreditLimits::NONE, key(1), one, NOON), Hold::Full);
}

#[derive(Debug, Clone)]
enum Step {
    Hold(u8, u8, u8, u8, u64, bool),
    Release(u8),
    Lose(u8),
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..16_u8, 0..3_u8, 0..3_u8, 0..2_u8, 1..60_000_u64, any::<bool>())
            .prop_map(|(key, payer, caller, listing, units, proven)| Step::Hold(key, payer, caller, listing, units, proven)),
        3 => (0..16_u8).prop_map(Step::Release),
        1 => (0..16_u8).prop_map(Step::Lose),
        1 => (0..2_000_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn no_budget_is_ever_passed_and_nothing_is_left_counted(steps in prop::collection::vec(any_step(), 0..120)) {
        let (mut credit, mut now) = (Credit::default(), NOON);
        for step in steps {
            match step {
                Step::Hold(at, payer, caller, listing, units, proven) => {
                    let _held = credit.hold(&limits(), key(at.into()), debt(payer, caller, listing, units, proven), now);
                }
                Step::Release(at) => credit.release(&key(at.into())),
                Step::Lose(at) => drop(credit.lose(&key(at.into()), now)),
                Step::Wait(secs) => now = now.plus(Duration::from_secs(secs)),
            }
            for (account, sum) in &credit.sums {
                let limit = match account {
                    Account::Payer(_) => limits().payer,
                    Account::Caller(_) => limits().caller,
                    Account::Listing(..) => limits().listing,
                };
                prop_assert!(*sum <= limit.units(), "{account:?} owes {sum}");
            }
        }
        for at in 0..16 {
            credit.release(&key(at));
        }
        credit.forget(&limits(), now.plus(Duration::from_secs(3600)));
        prop_assert!(credit.sums.is_empty());
    }
}
