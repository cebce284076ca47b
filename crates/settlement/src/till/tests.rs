//! Bob's shop, told as stories.

use std::sync::{Arc, atomic::AtomicUsize, atomic::Ordering};
use std::time::Duration;

use alloy_primitives::{Address, B256};
use haggle_base::Coded;
use haggle_x402::{FacilitatorRequest, PaymentFlow, PaymentPayload, Reason, X402Version, extensions::offer_receipt};
use serde_json::json;

use super::testing::{PRICE, PURSE, Shop, amount, facts, identified, key};
use super::{CreditLimits, Sale, Taken, TillConfig};
use crate::{ledger::EntryKind, ports::exact::TransferRefusal};

mod again;
mod crashes;
mod facilitator;
mod hostile;

async fn refused(shop: &Shop, sale: &Sale, payload: &PaymentPayload) -> Reason {
    shop.till.take(sale, payload).await.expect_err("it is to be refused").reason
}

#[tokio::test]
async fn alice_pays_first_and_gets_her_answer_with_bobs_receipt() {
    let shop = Shop::open().await;
    let ticket = shop.ticket(&shop.upfront(1)).await;
    assert!(ticket.is_paid());
    assert_eq!((ticket.payer(), ticket.amount()), (shop.alice.address(), amount(PRICE)));
    assert_eq!(shop.token.balance(shop.bob_address()), PRICE, "settled before the work");
    let settlement = shop.till.worked(ticket, b"digest".to_vec()).await.unwrap();
    let (bob, alice) = (shop.bob_address(), shop.alice.address());
    offer_receipt::check_receipt(&settlement, bob, "http://bob/x402/digest", alice).unwrap();
    assert!(settlement.success && settlement.rest["amount"] == "20000");
    let history = shop.settlement.history(&shop.bob, None, 10).unwrap();
    let (_, entry) = &history[0];
    assert_eq!((entry.kind, entry.memo.as_deref()), (EntryKind::Earned, Some("digest")));
    assert_eq!(entry.tx.unwrap().to_string(), *settlement.transaction);
    shop.check_books().await;
}

#[tokio::test]
async fn a_small_call_may_be_worked_before_it_is_paid() {
    let shop = Shop::open().await;
    let ticket = shop.ticket(&shop.later(1)).await;
    assert!(!ticket.is_paid());
    assert_eq!(shop.token.sent(), 0);
    let settlement = shop.till.worked(ticket, b"digest".to_vec()).await.unwrap();
    assert!(settlement.success);
    assert_eq!(shop.token.balance(shop.bob_address()), PRICE);
    shop.check_books().await;
}

#[tokio::test]
async fn the_same_payment_again_gets_the_stored_answer_also_after_a_restart() {
    for later in [false, true] {
        let shop = Shop::open().await;
        let payload = if later { shop.later(1) } else { shop.upfront(1) };
        let done = AtomicUsize::new(0);
        let first = shop.serve(&shop.sale(), &payload, &done).await.unwrap();
        let again = shop.serve(&shop.sale(), &payload, &done).await.unwrap();
        assert_eq!(first, again);
        let shop = shop.restarted().await;
        shop.wait(3_000);
        assert_eq!(shop.serve(&shop.sale(), &payload, &done).await.unwrap(), first, "also when it has expired");
        assert_eq!((done.load(Ordering::SeqCst), shop.token.sent()), (1, 1));
        shop.check_books().await;
    }
}

#[tokio::test]
async fn two_hundred_deliveries_of_one_payment_are_one_execution_and_one_settlement() {
    for later in [false, true] {
        let shop = Arc::new(Shop::open().await);
        let payload = if later { shop.later(1) } else { shop.upfront(1) };
        let done = Arc::new(AtomicUsize::new(0));
        let calls: Vec<_> = (0..200)
            .map(|_| {
                let (shop, payload, done) = (Arc::clone(&shop), payload.clone(), Arc::clone(&done));
                tokio::spawn(async move { shop.serve(&shop.sale(), &payload, &done).await })
            })
            .collect();
        let mut answers = Vec::new();
        for call in calls {
            answers.push(call.await.unwrap().unwrap());
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]));
        assert_eq!((done.load(Ordering::SeqCst), shop.token.sent()), (1, 1));
        shop.check_books().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_payments_with_one_identifier_are_one_purchase() {
    let shop = Arc::new(Shop::open().await);
    let done = Arc::new(AtomicUsize::new(0));
    let calls: Vec<_> = (1..=200)
        .map(|nonce| {
            let payload = identified(shop.upfront(nonce), 7);
            let (shop, done) = (Arc::clone(&shop), Arc::clone(&done));
            tokio::spawn(async move { shop.serve(&shop.sale(), &payload, &done).await })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap().unwrap());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!((done.load(Ordering::SeqCst), shop.token.sent()), (1, 1));
    shop.check_books().await;
}

#[tokio::test]
async fn an_identifier_is_for_one_purchase() {
    let shop = Shop::open().await;
    let done = AtomicUsize::new(0);
    let first = shop.serve(&shop.sale(), &identified(shop.upfront(1), 7), &done).await.unwrap();
    let elsewhere = shop.sale_by(0, "another body");
    assert_eq!(refused(&shop, &elsewhere, &identified(shop.upfront(2), 7)).await, Reason::IdentifierConflict);
    assert_eq!(Reason::IdentifierConflict.http_status(), 409);
    // Another network address is no matter for one who knows the identifier.
    let far = shop.sale_by(9, "hello");
    assert_eq!(shop.serve(&far, &identified(shop.upfront(3), 7), &done).await.unwrap(), first);
    assert_eq!((done.load(Ordering::SeqCst), shop.token.sent()), (1, 1));
    // Another payer's identifier is another identifier.
    let eve = key(0xe5);
    let hers = identified(shop.paying(&shop.entry(&shop.sale(), &PaymentFlow::Upfront), &eve, 4), 7);
    assert_eq!(refused(&shop, &shop.sale(), &hers).await, Reason::Funds);
}

#[tokio::test]
async fn a_till_may_insist_on_identifiers() {
    let shop = Shop::with(TillConfig { require_id: true, ..TillConfig::new(facts()) }).await;
    assert_eq!(refused(&shop, &shop.sale(), &shop.upfront(1)).await, Reason::IdentifierMissing);
    let asked = shop.till.offer(&shop.sale(), Vec::new(), None).unwrap();
    assert_eq!(asked.rest["extensions"]["payment-identifier"]["info"]["required"], true);
    let done = AtomicUsize::new(0);
    shop.serve(&shop.sale(), &identified(shop.upfront(1), 7), &done).await.unwrap();
}

#[tokio::test]
async fn a_payment_read_off_the_chain_opens_nothing() {
    let shop = Shop::open().await;
    let done = AtomicUsize::new(0);
    shop.serve(&shop.sale(), &shop.upfront(1), &done).await.unwrap();
    // Eve sees everything the token was given, and sends it from elsewhere.
    assert_eq!(refused(&shop, &shop.sale_by(9, "hello"), &shop.upfront(1)).await, Reason::Replay);
    let known = identified(shop.upfront(2), 7);
    shop.serve(&shop.sale(), &known, &done).await.unwrap();
    assert_eq!(refused(&shop, &shop.sale(), &shop.upfront(2)).await, Reason::Replay);
    assert_eq!(refused(&shop, &shop.sale(), &identified(shop.upfront(2), 8)).await, Reason::Replay);
}

#[tokio::test]
async fn one_who_is_at_work_is_waited_for() {
    let shop = Shop::open().await;
    let payload = shop.upfront(1);
    let ticket = shop.ticket(&payload).await;
    let Taken::Busy(waiting) = shop.till.take(&shop.sale(), &payload).await.unwrap() else { panic!("busy") };
    let waiter = tokio::spawn(waiting.done());
    shop.till.worked(ticket, b"answer".to_vec()).await.unwrap();
    waiter.await.unwrap();
    let taken = shop.till.take(&shop.sale(), &payload).await.unwrap();
    assert!(matches!(taken, Taken::Answered { answer, .. } if answer == b"answer"));
}

#[tokio::test]
async fn what_was_paid_upfront_and_not_worked_may_be_worked_again_and_is_paid_once() {
    let shop = Shop::open().await;
    let payload = shop.upfront(1);
    let ticket = shop.ticket(&payload).await;
    let settled = shop.till.failed(ticket).await.unwrap().unwrap();
    assert!(settled.success && offer_receipt::receipt(&settled).is_none(), "paid, and nothing delivered");
    drop(shop.ticket(&payload).await);
    let shop = shop.restarted().await;
    let ticket = shop.ticket(&payload).await;
    shop.till.worked(ticket, b"at last".to_vec()).await.unwrap();
    assert_eq!(shop.token.sent(), 1);
    shop.check_books().await;
}

#[tokio::test]
async fn what_was_to_be_paid_later_and_not_worked_is_not_paid() {
    let shop = Shop::open().await;
    let ticket = shop.ticket(&shop.later(1)).await;
    assert_eq!(shop.till.failed(ticket).await.unwrap(), None);
    drop(shop.ticket(&shop.later(2)).await);
    shop.wait(400);
    shop.till.follow_once().await.unwrap();
    assert_eq!(shop.token.sent(), 0);
    shop.check_books().await;
}

#[tokio::test]
async fn a_caller_that_goes_away_while_its_payment_settles_loses_nothing() {
    let shop = Shop::open().await;
    let payload = shop.upfront(1);
    let sale = shop.sale();
    let mut call = Box::pin(shop.till.take(&sale, &payload));
    let first = std::future::poll_fn(|context| std::task::Poll::Ready(call.as_mut().poll(context).is_pending()));
    assert!(first.await, "it has only begun");
    drop(call);
    let done = AtomicUsize::new(0);
    shop.serve(&shop.sale(), &payload, &done).await.unwrap();
    assert_eq!((done.load(Ordering::SeqCst), shop.token.sent()), (1, 1));
    shop.check_books().await;
}

#[tokio::test]
async fn a_settlement_that_was_not_heard_of_is_looked_up_and_not_sent_again() {
    for later in [false, true] {
        let shop = Shop::open().await;
        let payload = if later { shop.later(1) } else { shop.upfront(1) };
        shop.token.lose_answers(true);
        let done = AtomicUsize::new(0);
        let pending = shop.serve(&shop.sale(), &payload, &done).await.unwrap_err();
        assert!(pending.reason == Reason::Pending && pending.is_retryable());
        let told = pending.response(facts().network());
        assert!(told.is_pending() && !told.transaction.is_empty() && told.payer().is_some());
        shop.token.lose_answers(false);
        let shop = shop.restarted().await;
        shop.till.follow_once().await.unwrap();
        shop.check_books().await;
        let (answer, settlement) = shop.serve(&shop.sale(), &payload, &done).await.unwrap();
        assert!(!answer.is_empty() && settlement.success);
        assert_eq!((done.load(Ordering::SeqCst), shop.token.sent()), (1, 1));
    }
}

#[tokio::test]
async fn with_the_chain_down_nothing_is_taken_and_the_same_payment_is_good_later() {
    let shop = Shop::open().await;
    shop.token.set_down(true);
    let refusal = shop.till.take(&shop.sale(), &shop.upfront(1)).await.unwrap_err();
    assert!(refusal.reason == Reason::VerifyFailed && refusal.is_retryable());
    assert_eq!(shop.till.follow_once().await.unwrap(), 0);
    shop.token.set_down(false);
    let ticket = shop.ticket(&shop.later(1)).await;
    shop.token.set_down(true);
    let refusal = shop.till.worked(ticket, b"done".to_vec()).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::SettleFailed);
    shop.token.set_down(false);
    assert_eq!(shop.till.follow_once().await.unwrap(), 1, "the till brings in what was worked for");
    let taken = shop.till.take(&shop.sale(), &shop.later(1)).await.unwrap();
    assert!(matches!(taken, Taken::Answered { answer, .. } if answer == b"done"));
    shop.check_books().await;
}

#[tokio::test]
async fn work_whose_payment_is_refused_is_a_loss_and_its_answer_stays_here() {
    let shop = Shop::open().await;
    let ticket = shop.ticket(&shop.later(1)).await;
    shop.token.refuse(Some(TransferRefusal::Funds));
    let refusal = shop.till.worked(ticket, b"secret".to_vec()).await.unwrap_err();
    assert_eq!(refusal.code(), "insufficient_funds");
    // The listing is paid upfront for an hour, whoever calls, also after a restart.
    let shop = shop.restarted().await;
    let flow = |shop: &Shop| shop.till.offer(&shop.sale_by(5, "x"), Vec::new(), None).unwrap().accepts[0].flow();
    assert_eq!(flow(&shop), PaymentFlow::Upfront);
    let bobs = shop.entry(&shop.sale(), &PaymentFlow::Authorization);
    let other = shop.paying(&bobs, &key(0xe5), 2);
    assert_eq!(refused(&shop, &shop.sale_by(5, "hello"), &other).await, Reason::Flow);
    // The cheated work is had for its payment, once that can be had.
    assert_eq!(refused(&shop, &shop.sale(), &shop.later(1)).await, Reason::Funds);
    shop.token.refuse(None);
    let taken = shop.till.take(&shop.sale(), &shop.later(1)).await.unwrap();
    assert!(matches!(taken, Taken::Answered { answer, .. } if answer == b"secret"));
    shop.wait(3_600);
    assert_eq!(flow(&shop), PaymentFlow::Authorization);
    shop.check_books().await;
}

#[tokio::test]
async fn a_payer_that_takes_its_nonce_back_after_the_work_cost_bob_one_call() {
    let shop = Shop::open().await;
    let ticket = shop.ticket(&shop.later(1)).await;
    shop.token.cancel(shop.alice.address(), B256::repeat_byte(1));
    let refusal = shop.till.worked(ticket, b"secret".to_vec()).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::Replay);
    assert_eq!(refused(&shop, &shop.sale(), &shop.later(1)).await, Reason::Flow);
    assert_eq!(shop.till.follow_once().await.unwrap(), 0);
    shop.check_books().await;
}

#[tokio::test]
async fn credit_is_for_a_few_cents_at_a_time_and_comes_back_with_the_money() {
    let shop = Shop::open().await;
    let (one, two) = (shop.ticket(&shop.later(1)).await, shop.ticket(&shop.later(2)).await);
    let refusal = shop.till.take(&shop.sale(), &shop.later(3)).await.unwrap_err();
    assert_eq!(refusal.reason, Reason::Flow);
    let asked = shop.till.offer(&shop.sale(), Vec::new(), Some(&refusal)).unwrap();
    assert_eq!(asked.accepts[0].flow(), PaymentFlow::Upfront, "asked again, it is to be paid first");
    assert_eq!(asked.rest["error"], "unsupported_payment_flow");
    shop.till.worked(one, Vec::new()).await.unwrap();
    drop(two);
    let (_three, _four) = (shop.ticket(&shop.later(3)).await, shop.ticket(&shop.later(4)).await);
}

#[tokio::test]
async fn a_dear_call_is_paid_first() {
    let shop = Shop::open().await;
    let dear = Sale { amount: amount(50_001), ..shop.sale() };
    let asked = shop.till.offer(&dear, Vec::new(), None).unwrap();
    assert_eq!(asked.accepts[0].flow(), PaymentFlow::Upfront);
    let payload = shop.paying(&shop.entry(&dear, &PaymentFlow::Authorization), &shop.alice, 1);
    assert_eq!(refused(&shop, &dear, &payload).await, Reason::Flow);
    let never = Shop::with(TillConfig { credit: CreditLimits::NONE, ..TillConfig::new(facts()) }).await;
    let asked = never.till.offer(&never.sale(), Vec::new(), None).unwrap();
    assert_eq!(asked.accepts[0].flow(), PaymentFlow::Upfront);
}

#[tokio::test]
async fn an_offer_is_signed_by_the_one_who_is_paid_and_names_every_rail() {
    let shop = Shop::open().await;
    let mut other = shop.entry(&shop.sale(), &PaymentFlow::Authorization);
    other.scheme = haggle_x402::Scheme::BatchSettlement;
    let asked = shop.till.offer(&shop.sale(), vec![other.clone()], None).unwrap();
    assert_eq!(asked.accepts[1], other);
    let offers = offer_receipt::offers(&asked);
    assert_eq!(offers.len(), 2);
    for offer in &offers {
        offer.check(shop.bob_address()).unwrap();
        let entry = &asked.accepts[offer.accept_index.unwrap()];
        assert!(offer.payload.is_about(entry, "http://bob/x402/digest"));
    }
    haggle_x402::header::encode(&asked).unwrap();
    let stranger = Sale { seller: haggle_base::AgentKey::from_bytes(&[9; 32]).did(), ..shop.sale() };
    assert_eq!(shop.till.offer(&stranger, Vec::new(), None).unwrap_err().reason, Reason::Requirements);
}

#[tokio::test]
async fn a_payment_that_leaves_the_chain_is_taken_back_and_brought_in_again() {
    let shop = Shop::open().await;
    let done = AtomicUsize::new(0);
    shop.serve(&shop.sale(), &shop.upfront(1), &done).await.unwrap();
    shop.token.reorganise(1, false);
    assert_eq!(shop.token.standing(), 0);
    shop.till.follow_once().await.unwrap();
    assert_eq!(shop.token.standing(), 1, "the answer is out, so the till brings the payment in again");
    shop.check_books().await;
    let kinds: Vec<_> =
        shop.settlement.history(&shop.bob, None, 10).unwrap().into_iter().map(|(_, entry)| entry.kind).collect();
    assert_eq!(kinds, [EntryKind::Earned, EntryKind::EarningUndone, EntryKind::Earned]);
}

#[tokio::test]
async fn a_payment_that_moves_to_another_block_stays_booked() {
    let shop = Shop::open().await;
    let done = AtomicUsize::new(0);
    let (_, before) = shop.serve(&shop.sale(), &shop.upfront(1), &done).await.unwrap();
    shop.token.reorganise(1, true);
    assert_eq!(shop.till.follow_once().await.unwrap(), 1);
    assert_eq!(shop.till.follow_once().await.unwrap(), 0);
    assert_eq!(shop.settlement.history(&shop.bob, None, 10).unwrap().len(), 1);
    let (_, after) = shop.serve(&shop.sale(), &shop.upfront(1), &done).await.unwrap();
    assert_eq!(after.transaction, before.transaction);
    assert_eq!(shop.token.sent(), 1);
}

#[tokio::test]
async fn a_payment_that_leaves_the_chain_for_good_is_taken_back_for_good() {
    let shop = Shop::open().await;
    let done = AtomicUsize::new(0);
    shop.serve(&shop.sale(), &shop.upfront(1), &done).await.unwrap();
    shop.token.reorganise(1, false);
    shop.token.cancel(shop.alice.address(), B256::repeat_byte(1));
    shop.till.follow_once().await.unwrap();
    assert_eq!(shop.accounts().await.available, 0);
    shop.check_books().await;
    assert_eq!(refused(&shop, &shop.sale(), &shop.upfront(1)).await, Reason::Replay);
}

#[tokio::test]
async fn a_deep_payment_is_no_longer_looked_after() {
    let shop = Shop::open().await;
    let done = AtomicUsize::new(0);
    shop.serve(&shop.sale(), &shop.upfront(1), &done).await.unwrap();
    assert_eq!(shop.store.count::<super::record::TillUnconfirmed>().unwrap(), 1);
    shop.token.mine_empty(2);
    shop.till.follow_once().await.unwrap();
    assert_eq!(shop.store.count::<super::record::TillUnconfirmed>().unwrap(), 1);
    shop.token.mine_empty(1);
    shop.till.follow_once().await.unwrap();
    assert_eq!(shop.store.count::<super::record::TillUnconfirmed>().unwrap(), 0);
    assert_eq!(shop.token.height(), 4);
}

#[tokio::test]
async fn a_long_answer_is_kept_like_a_short_one_and_everything_goes_in_time() {
    let shop = Shop::open().await;
    let long = vec![0x5a; 3_000_000];
    let ticket = shop.ticket(&shop.upfront(1)).await;
    shop.till.worked(ticket, long.clone()).await.unwrap();
    let taken = shop.till.take(&shop.sale(), &shop.upfront(1)).await.unwrap();
    assert!(matches!(taken, Taken::Answered { answer, .. } if answer == long));
    let files = |shop: &Shop| std::fs::read_dir(shop.files.path()).unwrap().count();
    assert_eq!(files(&shop), 1);
    let payload = shop.upfront(1);
    shop.token.mine_empty(3);
    shop.wait(24 * 3_600);
    shop.till.follow_once().await.unwrap();
    shop.till.follow_once().await.unwrap();
    assert_eq!(files(&shop), 0);
    assert_eq!(shop.store.count::<super::record::TillPayments>().unwrap(), 0);
    assert_eq!(shop.store.count::<super::record::TillAges>().unwrap(), 0);
    assert_eq!(refused(&shop, &shop.sale(), &payload).await, Reason::Expired);
}

#[tokio::test]
async fn an_answer_beyond_the_bound_is_refused_and_the_payment_may_be_worked_again() {
    let shop = Shop::open().await;
    let ticket = shop.ticket(&shop.upfront(1)).await;
    let error = shop.till.worked(ticket, vec![0; super::MAX_ANSWER + 1]).await.unwrap_err();
    assert_eq!(error.reason, Reason::Payload);
    let ticket = shop.ticket(&shop.upfront(1)).await;
    shop.till.worked(ticket, vec![0; super::MAX_ANSWER]).await.unwrap();
}

#[tokio::test]
async fn what_somebody_else_brought_to_the_chain_is_paid_all_the_same() {
    let shop = Shop::open().await;
    let payload = shop.later(1);
    let ticket = shop.ticket(&payload).await;
    let asked = shop.entry(&shop.sale(), &PaymentFlow::Authorization);
    let transfer = haggle_x402::exact::Transfer::of(&payload, &asked, &facts()).unwrap();
    crate::ports::exact::ExactChain::transfer(&*shop.token, &transfer).await.unwrap();
    let settlement = shop.till.worked(ticket, b"done".to_vec()).await.unwrap();
    assert!(settlement.success);
    assert_eq!(shop.token.sent(), 1);
    shop.check_books().await;
}

#[tokio::test]
async fn as_many_payments_are_worked_on_at_once_as_the_house_has_room_for() {
    let shop = Shop::with(TillConfig { most_at_once: 1, ..TillConfig::new(facts()) }).await;
    let ticket = shop.ticket(&shop.upfront(1)).await;
    let refusal = shop.till.take(&shop.sale(), &shop.upfront(2)).await.unwrap_err();
    assert!(refusal.is_retryable());
    drop(ticket);
    shop.ticket(&shop.upfront(2)).await;
}
