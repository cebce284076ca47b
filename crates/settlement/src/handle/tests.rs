//! Alice's money from the reservation to the books.

use std::time::Duration;

use haggle_base::{ClosedBy, Coded, Seed};

use super::*;
use crate::testing::{Home, NOON, config, usdc};

#[tokio::test]
async fn a_paid_order_closes_every_book_to_the_unit() {
    let home = Home::with_balance(1_000).await;
    let order = home.order(1, 100);
    home.fund("a", &order).await;
    assert_eq!(home.settlement.payment_state(&home.id(&order)).unwrap(), Some(PaymentState::Funded));
    home.check_books(1_000).await;

    home.release(&order).await;
    home.confirm(&order, ClosedBy::Release, 90, 10).await;

    let alice = home.settlement.wallet(&home.alice).await.unwrap();
    assert_eq!((alice.on_chain, alice.reserved, alice.available), (usdc(900), usdc(0), usdc(900)));
    assert_eq!((alice.accounts.spent, alice.accounts.fees, alice.accounts.escrowed), (90, 10, 0));
    assert_eq!(alice.committed_today, usdc(100));
    let bob = home.settlement.wallet(&home.bob).await.unwrap();
    assert_eq!((bob.on_chain, bob.accounts.earned), (usdc(90), -90));
    let kinds: Vec<_> =
        home.settlement.history(&home.alice, None, 10).unwrap().into_iter().map(|(_, entry)| entry.kind).collect();
    assert_eq!(kinds, [EntryKind::Settled, EntryKind::Funded, EntryKind::Reserved]);
    home.check_books(1_000).await;
}

#[tokio::test]
async fn a_refunded_order_gives_alice_everything_back() {
    let home = Home::with_balance(1_000).await;
    let order = home.order(1, 100);
    home.fund("a", &order).await;
    let refund = home.settlement.sign_refund(&home.bob, &order).unwrap();
    assert!(home.settlement.submit_refund(&order, &refund).await.unwrap().tx().is_some());
    home.confirm(&order, ClosedBy::Refund, 0, 0).await;
    assert_eq!(home.settlement.payment_state(&home.id(&order)).unwrap(), Some(PaymentState::Refunded));
    let alice = home.settlement.wallet(&home.alice).await.unwrap();
    assert_eq!((alice.available, alice.committed_today), (usdc(1_000), usdc(0)));
    home.check_books(1_000).await;
}

#[tokio::test]
async fn twenty_calls_at_once_cannot_exceed_the_daily_limit() {
    let home = Home::with_balance(1_000_000).await;
    let limits = Limits { per_call: usdc(100), per_day: usdc(700) };
    home.settlement.set_limits(&home.alice, limits).await.unwrap();
    let calls = (0..20).map(|n| {
        let (settlement, alice) = (home.settlement.clone(), home.alice);
        tokio::spawn(async move { settlement.reserve(&format!("call-{n}"), &alice, usdc(100)).await })
    });
    let mut held = 0;
    for call in calls.collect::<Vec<_>>() {
        match call.await.unwrap() {
            Ok(()) => held += 1,
            Err(error) => assert_eq!(error.code(), "budget_per_day"),
        }
    }
    assert_eq!(held, 7);
    assert_eq!(home.settlement.wallet(&home.alice).await.unwrap().committed_today, usdc(700));
}

#[tokio::test]
async fn one_call_cannot_cost_more_than_its_limit() {
    let home = Home::with_balance(1_000_000).await;
    let error = home.settlement.reserve("a", &home.alice, usdc(1_001)).await.unwrap_err();
    assert_eq!(error.code(), "budget_per_call");
}

#[tokio::test]
async fn a_wallet_cannot_promise_the_same_money_twice() {
    let home = Home::with_balance(150).await;
    home.settlement.reserve("a", &home.alice, usdc(100)).await.unwrap();
    let error = home.settlement.reserve("b", &home.alice, usdc(100)).await.unwrap_err();
    assert!(matches!(error, SettlementError::InsufficientFunds { available } if available == usdc(50)));
    home.settlement.cancel_reservation("a").await.unwrap();
    home.settlement.reserve("b", &home.alice, usdc(100)).await.unwrap();
    home.check_books(150).await;
}

#[tokio::test]
async fn reserving_and_cancelling_again_change_nothing() {
    let home = Home::with_balance(1_000).await;
    home.settlement.reserve("a", &home.alice, usdc(100)).await.unwrap();
    home.settlement.reserve("a", &home.alice, usdc(100)).await.unwrap();
    assert_eq!(home.settlement.balance(&home.alice).await.unwrap(), usdc(900));
    let taken = home.settlement.reserve("a", &home.alice, usdc(99)).await.unwrap_err();
    assert_eq!(taken.code(), "reservation_taken");
    assert_eq!(home.settlement.reserve("a", &home.bob, usdc(0)).await.unwrap_err().code(), "reservation_taken");
    home.settlement.cancel_reservation("a").await.unwrap();
    home.settlement.cancel_reservation("a").await.unwrap();
    assert_eq!(home.settlement.history(&home.alice, None, 10).unwrap().len(), 2);
}

#[tokio::test]
async fn the_same_order_gives_the_stored_signature_again_also_after_a_restart() {
    let home = Home::with_balance(1_000).await;
    let order = home.order(1, 100);
    let (buyer, _) = home.authorise("a", &order).await;
    assert_eq!(home.settlement.authorise("a", &home.alice, &order).await.unwrap(), buyer);
    let home = home.restarted().await;
    assert_eq!(home.settlement.payment(&home.id(&order)).unwrap().unwrap().signature, buyer);
    assert_eq!(home.settlement.authorise("a", &home.alice, &order).await.unwrap(), buyer);
    assert_eq!(home.settlement.balance(&home.alice).await.unwrap(), usdc(900));
}

#[tokio::test]
async fn a_reservation_never_pays_for_a_second_order() {
    let home = Home::with_balance(1_000).await;
    let (first, second) = (home.order(1, 100), home.order(2, 100));
    home.authorise("a", &first).await;
    let refused = |error: SettlementError| assert_eq!(error.code(), "already_authorised");
    refused(home.settlement.authorise("a", &home.alice, &second).await.unwrap_err());
    refused(home.settlement.cancel_reservation("a").await.unwrap_err());
    let home = home.restarted().await;
    refused(home.settlement.authorise("a", &home.alice, &second).await.unwrap_err());
    home.settlement.reserve("b", &home.alice, usdc(100)).await.unwrap();
    refused(home.settlement.authorise("b", &home.alice, &first).await.unwrap_err());

    home.fund("a", &first).await;
    home.release(&first).await;
    home.confirm(&first, ClosedBy::Release, 90, 10).await;
    refused(home.settlement.authorise("a", &home.alice, &second).await.unwrap_err());
    assert_eq!(home.settlement.payment(&home.id(&second)).unwrap(), None);
    assert_eq!(home.settlement.reserve("a", &home.alice, usdc(100)).await.unwrap_err().code(), "reservation_taken");
}

#[tokio::test]
async fn of_two_orders_signed_at_once_on_one_reservation_one_is_paid() {
    let home = Home::with_balance(1_000).await;
    home.settlement.reserve("a", &home.alice, usdc(100)).await.unwrap();
    let calls: Vec<_> = (0..8)
        .map(|salt| {
            let (settlement, alice, order) = (home.settlement.clone(), home.alice, home.order(salt, 100));
            tokio::spawn(async move { settlement.authorise("a", &alice, &order).await })
        })
        .collect();
    let mut signed = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(_) => signed += 1,
            Err(error) => assert_eq!(error.code(), "already_authorised"),
        }
    }
    assert_eq!(signed, 1);
}

#[tokio::test]
async fn a_signature_that_nobody_waits_for_is_stored_all_the_same() {
    let home = Home::with_balance(1_000).await;
    let (first, second) = (home.order(1, 100), home.order(2, 100));
    home.settlement.reserve("a", &home.alice, usdc(100)).await.unwrap();
    // Polled once and dropped: whether it was stored or not, memory and store agree.
    let mut call = Box::pin(home.settlement.authorise("a", &home.alice, &first));
    assert!(futures_poll_once(&mut call).await.is_none());
    drop(call);
    let error = home.settlement.authorise("a", &home.alice, &second).await.unwrap_err();
    assert_eq!(error.code(), "already_authorised");
    assert!(home.settlement.payment(&home.id(&first)).unwrap().is_some());
}

/// Polls a future once.
async fn futures_poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context| match std::pin::Pin::new(&mut *future).poll(context) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

#[tokio::test]
async fn an_order_must_fit_its_reservation_and_its_party() {
    let home = Home::with_balance(1_000).await;
    let order = home.order(1, 100);
    let code = |error: SettlementError| error.code();
    assert_eq!(code(home.settlement.authorise("a", &home.alice, &order).await.unwrap_err()), "reservation_unknown");
    home.settlement.reserve("a", &home.alice, usdc(99)).await.unwrap();
    assert_eq!(code(home.settlement.authorise("a", &home.alice, &order).await.unwrap_err()), "reservation_too_small");
    assert_eq!(code(home.settlement.authorise("a", &home.bob, &order).await.unwrap_err()), "not_a_party");
    let zero = Order { amount: usdc(0).to_u96(), ..order.clone() };
    assert_eq!(code(home.settlement.authorise("a", &home.alice, &zero).await.unwrap_err()), "order_amount_invalid");
    let stranger = Seed::devnet(7, 9).agent_key(0).did();
    assert_eq!(code(home.settlement.authorise("a", &stranger, &order).await.unwrap_err()), "wallet_missing");
    assert_eq!(
        code(home.settlement.reserve(&"k".repeat(129), &home.alice, usdc(1)).await.unwrap_err()),
        "reservation_key_invalid"
    );
    assert_eq!(code(home.settlement.reserve("z", &home.alice, usdc(0)).await.unwrap_err()), "amount_zero");
    home.clock.advance(Duration::from_secs(600));
    let small = home.order(2, 90);
    assert_eq!(code(home.settlement.authorise("a", &home.alice, &small).await.unwrap_err()), "reservation_expired");
}

#[tokio::test]
async fn only_the_named_party_signs_and_release_only_for_a_paid_order() {
    let home = Home::with_balance(1_000).await;
    let order = home.order(1, 100);
    assert_eq!(home.settlement.sign_order(&home.alice, &order).unwrap_err().code(), "not_a_party");
    assert_eq!(home.settlement.sign_refund(&home.alice, &order).unwrap_err().code(), "not_a_party");
    assert_eq!(home.settlement.sign_release(&home.bob, &order).unwrap_err().code(), "not_a_party");
    assert_eq!(home.settlement.sign_release(&home.alice, &order).unwrap_err().code(), "order_unknown");
}

#[tokio::test]
async fn with_the_rpc_down_nothing_is_promised_and_nothing_changes() {
    let home = Home::with_balance(1_000).await;
    let order = home.order(1, 100);
    let (buyer, provider) = home.authorise("a", &order).await;
    let before = home.settlement.history(&home.alice, None, 100).unwrap();
    home.chain.set_down(true).await;
    let down = |error: SettlementError| {
        assert_eq!(error.code(), "rpc_down");
        assert!(error.is_retryable());
    };
    down(home.settlement.reserve("b", &home.alice, usdc(1)).await.unwrap_err());
    down(home.settlement.balance(&home.alice).await.unwrap_err());
    down(home.settlement.chain_now().await.unwrap_err());
    down(home.settlement.on_chain(&order).await.unwrap_err());
    down(home.settlement.submit_fund(&order, &buyer, &provider).await.unwrap_err());
    down(home.settlement.submit_finalize(&order).await.unwrap_err());
    down(home.settlement.follow_once().await.unwrap_err());
    assert_eq!(home.settlement.history(&home.alice, None, 100).unwrap(), before);
    assert_eq!(home.chain.sent().await, 0);

    home.chain.set_down(false).await;
    home.fund("a", &order).await;
    home.check_books(1_000).await;
}

#[tokio::test]
async fn an_end_is_confirmed_by_the_chain_alone() {
    let home = Home::with_balance(1_000).await;
    let order = home.order(1, 100);
    home.fund("a", &order).await;
    let end = ClosedOrder { closed_by: ClosedBy::Release, paid: usdc(90), fee: usdc(10) };
    let error = home.settlement.settled(&home.id(&order), end).await.unwrap_err();
    assert_eq!(error.code(), "order_not_settled");
    assert!(error.is_retryable());
    home.release(&order).await;
    let lie = ClosedOrder { paid: usdc(100), ..end };
    assert_eq!(home.settlement.settled(&home.id(&order), lie).await.unwrap_err().code(), "settlement_mismatch");
    home.settlement.settled(&home.id(&order), end).await.unwrap();
    home.settlement.settled(&home.id(&order), end).await.unwrap();
    home.check_books(1_000).await;
}

#[tokio::test]
async fn a_deposit_from_outside_is_booked_once() {
    let home = Home::with_balance(0).await;
    home.settlement.record_deposit(&home.alice, "faucet-1", usdc(100)).await.unwrap();
    home.settlement.record_deposit(&home.alice, "faucet-1", usdc(100)).await.unwrap();
    let accounts = home.settlement.wallet(&home.alice).await.unwrap().accounts;
    assert_eq!((accounts.available, accounts.outside, accounts.sum()), (100, -100, 0));
    let error = home.settlement.record_deposit(&home.alice, "faucet-2", Usdc::MAX).await.unwrap_err();
    assert_eq!(error.code(), "ledger_refused");
}

#[tokio::test]
async fn limits_and_todays_spending_survive_a_restart() {
    let home = Home::with_balance(10_000).await;
    let limits = Limits { per_call: usdc(100), per_day: usdc(150) };
    home.settlement.set_limits(&home.alice, limits).await.unwrap();
    let order = home.order(1, 100);
    home.fund("a", &order).await;
    home.release(&order).await;
    home.confirm(&order, ClosedBy::Release, 90, 10).await;
    let home = home.restarted().await;
    let error = home.settlement.reserve("b", &home.alice, usdc(51)).await.unwrap_err();
    assert!(matches!(error, SettlementError::BudgetPerDay { left, .. } if left == usdc(50)));
    home.clock.set(NOON.plus(Duration::from_secs(24 * 3600)));
    home.settlement.reserve("b", &home.alice, usdc(51)).await.unwrap();
}

#[tokio::test]
async fn a_cap_lowered_in_the_config_binds_an_agent_that_has_traded() {
    let home = Home::with_balance(10_000).await;
    let order = home.order(1, 100);
    home.fund("a", &order).await;
    let lower = Limits { per_call: usdc(40), per_day: usdc(120) };
    let home = home.restarted_with(SettlementConfig { limits: lower, ..config() }).await;
    assert_eq!(home.settlement.wallet(&home.alice).await.unwrap().limits, lower);
    let error = home.settlement.reserve("b", &home.alice, usdc(41)).await.unwrap_err();
    assert_eq!(error.code(), "budget_per_call");
    let error = home.settlement.reserve("b", &home.alice, usdc(21)).await.unwrap_err();
    assert_eq!(error.code(), "budget_per_day");

    // Limits that were set for the agent stand before the config's.
    let own = Limits { per_call: usdc(30), per_day: usdc(130) };
    home.settlement.set_limits(&home.alice, own).await.unwrap();
    let home = home.restarted().await;
    assert_eq!(home.settlement.wallet(&home.alice).await.unwrap().limits, own);
    home.settlement.reserve("b", &home.alice, usdc(30)).await.unwrap();
}

#[tokio::test]
async fn the_life_of_an_order_is_told_as_events() {
    let home = Home::with_balance(1_000).await;
    let mut events = home.settlement.subscribe();
    let order = home.order(1, 100);
    home.fund("a", &order).await;
    home.release(&order).await;
    home.confirm(&order, ClosedBy::Release, 90, 10).await;
    let id = home.id(&order);
    assert!(matches!(events.try_recv().unwrap(), PaymentEvent::Reserved { amount, .. } if amount == usdc(100)));
    assert!(matches!(events.try_recv().unwrap(), PaymentEvent::Authorised { order, .. } if order == id));
    assert!(matches!(events.try_recv().unwrap(), PaymentEvent::Funded(fact) if fact.order == id));
    assert!(matches!(events.try_recv().unwrap(), PaymentEvent::Settled(fact) if fact.order == id));
    assert!(events.try_recv().is_err());
}
