//! Laws of the till that hold whatever happens in whatever order, with the process killed anywhere in between.

use std::collections::BTreeMap;
use std::sync::Arc;

use haggle_x402::{PaymentFlow, PaymentPayload};
use proptest::prelude::*;

use super::testing::{Remains, Shop, Stop, identified, live};
use super::{Sale, Taken};
use crate::ports::exact::TransferRefusal;

/// Payments in play: paid before and after the work, with an identifier and without.
const PAYMENTS: u8 = 4;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Deliver the payment and do the work.
    Serve(u8),
    /// Deliver it and give the work up.
    Fail(u8),
    /// Deliver it and go away with the ticket.
    Drop(u8),
    /// Deliver it many times at once.
    Storm(u8),
    Follow,
    Wait(u16),
    Mine,
    Reorganise(u8, bool),
    Down(bool),
    LoseAnswers(bool),
    Refuse(bool),
    Cancel(u8),
    /// Stop the process, with nothing under way.
    Restart,
    /// Kill it while it serves the payment, where the chain is asked.
    KillAt(u8, u8),
    /// Kill it while it serves the payment, after so many turns of the wheel.
    KillAfter(u8, u8),
}

fn any_step() -> impl Strategy<Value = Step> {
    let n = 0..PAYMENTS;
    prop_oneof![
        8 => n.clone().prop_map(Step::Serve),
        2 => n.clone().prop_map(Step::Fail),
        2 => n.clone().prop_map(Step::Drop),
        1 => n.clone().prop_map(Step::Storm),
        6 => Just(Step::Follow),
        2 => (0..200_u16).prop_map(Step::Wait),
        1 => Just(Step::Mine),
        1 => (1..4_u8, any::<bool>()).prop_map(|(depth, again)| Step::Reorganise(depth, again)),
        2 => any::<bool>().prop_map(Step::Down),
        2 => any::<bool>().prop_map(Step::LoseAnswers),
        2 => any::<bool>().prop_map(Step::Refuse),
        1 => n.clone().prop_map(Step::Cancel),
        1 => Just(Step::Restart),
        3 => (n.clone(), 0..3_u8).prop_map(|(n, stop)| Step::KillAt(n, stop)),
        3 => (n, 0..40_u8).prop_map(|(n, turns)| Step::KillAfter(n, turns)),
    ]
}

/// What the world outside saw.
#[derive(Debug, Default)]
struct Seen {
    /// Times the work for a payment was done.
    executions: BTreeMap<u8, usize>,
    /// Times it may have been done: once, and once more for each try that came to nothing.
    allowed: BTreeMap<u8, usize>,
    /// The answer that was given for a payment.
    answers: BTreeMap<u8, Vec<u8>>,
}

type World = Arc<std::sync::Mutex<Seen>>;

fn payload(shop: &Shop, n: u8) -> (Sale, PaymentPayload) {
    let sale = shop.sale_by(n, "hello");
    let flow = if n.is_multiple_of(2) { PaymentFlow::Upfront } else { PaymentFlow::Authorization };
    let paid = shop.paying(&shop.entry(&sale, &flow), &shop.alice, n + 1);
    (sale, if n < 2 { paid } else { identified(paid, n) })
}

/// Serves one payment as a server does; the answer says which execution made it.
async fn serve(shop: Arc<Shop>, (sale, payload): (Sale, PaymentPayload), n: u8, world: World) {
    loop {
        let Ok(taken) = shop.till.take(&sale, &payload).await else { return };
        let answer = match taken {
            Taken::Busy(waiting) => {
                waiting.done().await;
                continue;
            }
            Taken::Answered { answer, .. } => answer,
            Taken::Work(ticket) => {
                let number = {
                    let mut seen = world.lock().unwrap();
                    let number = seen.executions.entry(n).or_default();
                    *number += 1;
                    *number
                };
                tokio::task::yield_now().await;
                let answer = format!("payment {n}, execution {number}").into_bytes();
                match shop.till.worked(ticket, answer.clone()).await {
                    Ok(_) => answer,
                    Err(_) => return,
                }
            }
        };
        let mut seen = world.lock().unwrap();
        let given = seen.answers.entry(n).or_insert_with(|| answer.clone());
        assert_eq!(*given, answer, "a payment has one answer");
        return;
    }
}

fn allow(world: &World, n: u8) {
    *world.lock().unwrap().allowed.entry(n).or_default() += 1;
}

/// Takes a step. Says whether the process is to be killed now.
async fn take(shop: &Arc<Shop>, step: Step, world: &World, paid: &[(Sale, PaymentPayload)]) -> bool {
    let one = |n: u8| serve(Arc::clone(shop), paid[usize::from(n)].clone(), n, Arc::clone(world));
    match step {
        Step::Serve(n) => one(n).await,
        Step::Storm(n) => {
            let calls: Vec<_> = (0..8).map(|_| tokio::spawn(one(n))).collect();
            for call in calls {
                call.await.unwrap();
            }
        }
        Step::Fail(n) | Step::Drop(n) => {
            let (sale, payload) = &paid[usize::from(n)];
            if let Ok(Taken::Work(ticket)) = shop.till.take(sale, payload).await
                && matches!(step, Step::Fail(_))
            {
                drop(shop.till.failed(ticket).await.unwrap());
            }
        }
        Step::Follow => drop(shop.till.follow_once().await),
        Step::Wait(secs) => shop.wait(secs.into()),
        Step::Mine => shop.token.mine_empty(1),
        Step::Reorganise(depth, again) => shop.token.reorganise(depth.into(), again),
        Step::Down(down) => shop.token.set_down(down),
        Step::LoseAnswers(lose) => shop.token.lose_answers(lose),
        Step::Refuse(refuse) => shop.token.refuse(refuse.then_some(TransferRefusal::Funds)),
        Step::Cancel(n) => {
            let nonce = alloy_primitives::B256::repeat_byte(n + 1);
            shop.token.cancel_if_unused(shop.alice.address(), nonce);
        }
        Step::Restart => return true,
        Step::KillAt(n, stop) => {
            allow(world, n);
            let stops = [Stop::InSimulation, Stop::BeforeSending, Stop::AfterMining];
            shop.token.stop_at(Some(stops[usize::from(stop)]));
            let serving = tokio::spawn(one(n));
            tokio::select! {
                () = shop.token.stopped.notified() => {}
                done = serving => done.unwrap(),
            }
            return true;
        }
        Step::KillAfter(n, turns) => {
            allow(world, n);
            drop(tokio::spawn(one(n)));
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            return true;
        }
    }
    false
}

/// Goes through all steps, with as many lives as it takes, and at last lets the till catch up with the chain.
fn history(steps: &[Step]) -> (Remains, World) {
    let world = World::default();
    for n in 0..PAYMENTS {
        allow(&world, n);
    }
    let (mut remains, paid) = live(async {
        let shop = Shop::open().await;
        let paid: Vec<_> = (0..PAYMENTS).map(|n| payload(&shop, n)).collect();
        (shop.remains(), paid)
    });
    let mut left = steps;
    while !left.is_empty() {
        remains = live(async {
            let shop = Arc::new(remains.started().await);
            while let Some((step, rest)) = left.split_first() {
                left = rest;
                if take(&shop, *step, &world, &paid).await {
                    break;
                }
            }
            shop.remains()
        });
        remains.token.stop_at(None);
    }
    (remains, world)
}

fn check(steps: &[Step]) {
    let (remains, world) = history(steps);
    live(async {
        let token = Arc::clone(&remains.token);
        token.set_down(false);
        token.lose_answers(false);
        token.refuse(None);
        let shop = remains.started().await;
        for _ in 0..3 {
            shop.till.follow_once().await.unwrap();
        }
        shop.check_books().await;
        let seen = world.lock().unwrap();
        for (n, executions) in &seen.executions {
            let failed = steps.iter().filter(|step| matches!(step, Step::Fail(m) | Step::Drop(m) if m == n)).count();
            let lost = steps.iter().filter(|step| matches!(step, Step::Restart | Step::Reorganise(..))).count();
            let allowed = seen.allowed[n] + failed + lost;
            assert!(*executions <= allowed, "payment {n} was worked for {executions} times");
        }
        // Nothing is left of what can never be settled, and what stands is not open.
        for (key, _) in shop.store.range::<super::record::TillOpen>(std::ops::Bound::Unbounded, 100).unwrap() {
            let payment = shop.store.get::<super::record::TillPayments>(&key).unwrap().unwrap();
            assert!(payment.is_open());
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 60, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn no_payment_is_worked_or_booked_twice_whatever_is_killed_when(
        steps in prop::collection::vec(any_step(), 0..40),
    ) {
        check(&steps);
    }
}

#[test]
fn a_thousand_kills_lose_no_answer_and_settle_nothing_twice() {
    for run in 0..250_u32 {
        let (stop, turns) = (u8::try_from(run % 3).unwrap(), u8::try_from(run % 37).unwrap());
        let kills = [
            Step::KillAt(0, stop),
            Step::KillAfter(1, turns),
            Step::KillAt(3, 2 - stop),
            Step::KillAfter(2, turns.wrapping_mul(5) % 37),
        ];
        let serves: Vec<_> = (0..PAYMENTS).map(Step::Serve).collect();
        let (remains, world) = history(&[&kills[..], &serves[..]].concat());
        live(async {
            let token = Arc::clone(&remains.token);
            let shop = remains.started().await;
            shop.check_books().await;
            let seen = world.lock().unwrap();
            assert_eq!((token.sent(), token.standing(), seen.answers.len()), (4, 4, 4), "run {run}");
        });
    }
}
