//! Laws that hold whatever happens in whatever order: no money is made or lost, and doing a thing again changes nothing.

use std::time::Duration;

use proptest::prelude::*;

use alloy_primitives::{B256, aliases::U96};
use haggle_base::{Order, Side, Timestamp};

use crate::{
    budget::Stage,
    payment::PaymentState,
    testing::{Home, NOON, usdc},
};

const MINTED: u64 = 1_000;
const EVIDENCE: B256 = B256::repeat_byte(7);
const FAR: Timestamp = Timestamp::from_secs(NOON.as_secs() + 1_000_000);

/// One thing that can happen in Alice's home. Orders are numbered; most things will be refused at most times.
#[derive(Debug, Clone, Copy)]
enum Step {
    Reserve(u8, u64),
    Cancel(u8),
    Authorise(u8, u8),
    Fund(u8),
    Release(u8),
    Refund(u8),
    Deliver(u8),
    Finalize(u8),
    Dispute(u8),
    Counter(u8),
    Rule(u8, u64),
    Follow,
    Wait(u64),
    ChainTime(u64),
    Reorganise(u64),
    Restart,
    RpcDown(bool),
    LoseAnswers,
}

fn any_step() -> impl Strategy<Value = Step> {
    let order = 0..4u8;
    prop_oneof![
        4 => (0..4u8, 1..400u64).prop_map(|(key, amount)| Step::Reserve(key, amount)),
        1 => (0..4u8).prop_map(Step::Cancel),
        6 => (0..4u8, order.clone()).prop_map(|(key, order)| Step::Authorise(key, order)),
        6 => order.clone().prop_map(Step::Fund),
        4 => order.clone().prop_map(Step::Release),
        1 => order.clone().prop_map(Step::Refund),
        2 => order.clone().prop_map(Step::Deliver),
        2 => order.clone().prop_map(Step::Finalize),
        2 => order.clone().prop_map(Step::Dispute),
        2 => order.clone().prop_map(Step::Counter),
        2 => (order, 0..200u64).prop_map(|(order, pay)| Step::Rule(order, pay)),
        6 => Just(Step::Follow),
        1 => (0..400u64).prop_map(Step::Wait),
        2 => (0..4000u64).prop_map(Step::ChainTime),
        1 => (0..4u64).prop_map(Step::Reorganise),
        1 => Just(Step::Restart),
        1 => any::<bool>().prop_map(Step::RpcDown),
        1 => Just(Step::LoseAnswers),
    ]
}

fn order(home: &Home, n: u8) -> Order {
    let bond = U96::from(n * 7);
    Order { bond, ..home.order(n.into(), 40 + u64::from(n) * 50) }
}

/// Does a step, and does it again if `twice`; refusals are part of life.
async fn take(home: Home, step: Step, chain_secs: &mut u64, twice: bool) -> Home {
    let settlement = home.settlement.clone();
    for _ in 0..=u8::from(twice) {
        match step {
            Step::Reserve(key, amount) => {
                drop(settlement.reserve(&key.to_string(), &home.alice, usdc(amount)).await);
            }
            Step::Cancel(key) => drop(settlement.cancel_reservation(&key.to_string()).await),
            Step::Authorise(key, n) => {
                drop(settlement.authorise(&key.to_string(), &home.alice, &order(&home, n)).await);
            }
            Step::Fund(n) => {
                let order = order(&home, n);
                if let Some(payment) = settlement.payment(&home.id(&order)).unwrap() {
                    let provider = settlement.sign_order(&home.bob, &order).unwrap();
                    drop(settlement.submit_fund(&order, &payment.signature, &provider).await);
                }
            }
            Step::Release(n) => {
                let order = order(&home, n);
                if let Ok(release) = settlement.sign_release(&home.alice, &order) {
                    drop(settlement.submit_release(&order, &release).await);
                }
            }
            Step::Refund(n) => {
                let order = order(&home, n);
                let refund = settlement.sign_refund(&home.bob, &order).unwrap();
                drop(settlement.submit_refund(&order, &refund).await);
            }
            Step::Deliver(n) => drop(settlement.submit_deliver(&order(&home, n), alloy_primitives::B256::ZERO).await),
            Step::Finalize(n) => drop(settlement.submit_finalize(&order(&home, n)).await),
            Step::Dispute(n) => {
                let order = order(&home, n);
                if let Ok(bond) = settlement.sign_bond(&home.alice, &order, Side::Buyer, EVIDENCE, FAR).await {
                    drop(settlement.submit_dispute(&order, EVIDENCE, &bond).await);
                }
            }
            Step::Counter(n) => {
                let order = order(&home, n);
                if let Ok(bond) = settlement.sign_bond(&home.bob, &order, Side::Provider, EVIDENCE, FAR).await {
                    drop(settlement.submit_counter(&order, &bond).await);
                }
            }
            Step::Rule(n, pay) => {
                let order = order(&home, n);
                let pay = pay.min(order.amount.to::<u64>());
                drop(home.chain.rule(&order, pay).await);
            }
            Step::Follow => drop(settlement.follow_once().await),
            Step::RpcDown(down) => home.chain.set_down(down).await,
            Step::LoseAnswers => home.chain.lose_answers().await,
            Step::Wait(_) | Step::ChainTime(_) | Step::Reorganise(_) | Step::Restart => {}
        }
    }
    match step {
        Step::Wait(secs) => drop(home.clock.advance(Duration::from_secs(secs))),
        Step::ChainTime(secs) => {
            *chain_secs += secs;
            home.chain.set_time(NOON.plus(Duration::from_secs(*chain_secs))).await;
        }
        Step::Reorganise(depth) => {
            let head = home.chain.head().await.block;
            home.chain.reorganise(head.saturating_sub(depth)).await;
        }
        Step::Restart => return home.restarted().await,
        _ => {}
    }
    home
}

/// Reads the chain to its head, as a node does in the end.
async fn catch_up(home: &Home) {
    home.chain.set_down(false).await;
    while home.settlement.cursor().await != home.chain.head().await {
        home.settlement.follow_once().await.unwrap();
    }
    home.settlement.follow_once().await.unwrap();
}

async fn live(steps: Vec<Step>, twice: bool) -> Home {
    let mut home = Home::with_balance(MINTED).await;
    home.give_bob(30).await;
    let mut chain_secs = 0;
    for step in steps {
        home = take(home, step, &mut chain_secs, twice).await;
        for agent in [home.alice, home.bob] {
            let sum = home.settlement.inner.books.lock().await.agents.get(&agent).map_or(0, |own| own.accounts.sum());
            assert_eq!(sum, 0, "after {step:?}");
        }
    }
    catch_up(&home).await;
    home
}

/// Each reservation and its payment tell the same story, and each order was paid by one reservation.
async fn check_reservations(home: &Home) {
    let books = home.settlement.inner.books.lock().await;
    let Some(alice) = books.agents.get(&home.alice) else { return };
    for (key, reservation) in alice.budget.open() {
        let Some(order) = reservation.order() else { continue };
        let payment = home.settlement.payment(&order).unwrap().unwrap();
        assert_eq!(payment.key, *key);
        let state = match reservation.stage {
            Stage::Signed { .. } => PaymentState::Authorised,
            Stage::Funded { .. } => PaymentState::Funded,
            Stage::Held | Stage::Closed { .. } => panic!("{key:?} is {:?}", reservation.stage),
        };
        assert_eq!(payment.state, state);
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_unit_is_ever_made_or_lost(steps in prop::collection::vec(any_step(), 0..60)) {
        run(async {
            let home = live(steps, false).await;
            home.check_books(MINTED).await;
            check_reservations(&home).await;
            let home = home.restarted().await;
            home.check_books(MINTED).await;
            check_reservations(&home).await;
        });
    }

    #[test]
    fn doing_everything_twice_is_doing_it_once(steps in prop::collection::vec(any_step(), 0..40)) {
        run(async {
            let (once, twice) = (live(steps.clone(), false).await, live(steps, true).await);
            twice.check_books(MINTED).await;
            for agent in [once.alice, once.bob] {
                let (a, b) = (once.settlement.wallet(&agent).await.unwrap(), twice.settlement.wallet(&agent).await.unwrap());
                prop_assert_eq!(a, b);
            }
            Ok(())
        })?;
    }
}
