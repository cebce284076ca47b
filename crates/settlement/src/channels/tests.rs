//! Stories of channels: calls, repeats, quarrels about sums, and the ways out.

use haggle_base::{Coded as _, EvmSignature};
use haggle_store::Batch;
use haggle_x402::{BatchPayload, BatchSettled, batch::code};

use super::{
    Buying, ChannelsConfig, Next, Refusal, Taken,
    testing::{DAY, PRICE, Street, channels_config},
};
use crate::{
    SettlementError,
    ledger::EntryKind,
    ports::{ChannelChain as _, Wallet as _},
    testing::usdc,
};

fn refused<T: std::fmt::Debug>(taken: Result<T, Refusal>) -> &'static str {
    taken.unwrap_err().code
}

#[tokio::test]
async fn a_hundred_calls_cost_three_transactions_and_the_seller_has_every_unit() {
    let street = Street::open().await;
    for call in 0..100 {
        assert_eq!(street.call(&format!("call {call}")).await, Next::Charged(PRICE));
    }
    assert_eq!(street.contract.sent(), 1, "the deposit");
    let ticked = street.selling.claim(None).await.unwrap();
    assert_eq!((ticked.claims.len(), ticked.claimed), (1, usdc(2_000)));
    let channel = street.buying.channels(None).remove(0);
    let refund = street.buying.refund(&street.alice, &channel.id, &street.requirement(), None).await.unwrap();
    let settled = street.serve("close", &refund).await.unwrap();
    street.buying.refunded(&channel.id, &settled).await.unwrap();
    assert_eq!(street.contract.sent(), 3);
    assert_eq!(street.on_chain(&street.bob).await, usdc(2_000));
    assert_eq!(street.on_chain(&street.alice).await, usdc(9_998_000));
    let books = street.homes[0].wallet(&street.alice).await.unwrap();
    assert_eq!((books.accounts.spent, books.accounts.channels, books.accounts.available), (2_000, 0, -2_000));
    assert_eq!((books.reserved, books.committed_today), (usdc(0), usdc(2_000)));
    assert_eq!(street.homes[1].wallet(&street.bob).await.unwrap().accounts.earned, -2_000);
    assert!(street.buying.channels(None)[0].closed);
    street.check().await;
}

#[tokio::test]
async fn vouchers_are_taken_without_the_chain() {
    let street = Street::open().await;
    assert_eq!(street.call("first").await, Next::Charged(PRICE));
    street.contract.set_down(true);
    street.chain.set_down(true).await;
    for call in 0..5 {
        assert_eq!(street.call(&format!("call {call}")).await, Next::Charged(PRICE));
    }
}

#[tokio::test]
async fn the_same_payment_delivered_many_times_does_the_work_once() {
    let street = Street::open().await;
    street.charged("first").await;
    let payment = street.pay("storm").await.unwrap().payment;
    let done = std::sync::atomic::AtomicUsize::new(0);
    let deliveries = (0..200).map(|_| async {
        loop {
            match street.selling.take(&street.sale("storm"), &payment).await.unwrap() {
                Taken::Work(ticket) => {
                    tokio::task::yield_now().await;
                    done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    return street.selling.worked(ticket, b"answer").await.unwrap();
                }
                Taken::AtWork(waiting) => waiting.over().await,
                Taken::Answered { answer, settled } => {
                    assert_eq!(answer.unwrap(), b"answer");
                    return *settled;
                }
                Taken::Returned(_) | Taken::Receipt(_) => panic!("no wish"),
            }
        }
    });
    let answers = futures::future::join_all(deliveries).await;
    assert_eq!(done.into_inner(), 1);
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(street.selling.channels(None)[0].charged, usdc(40));
}

#[tokio::test]
async fn a_deposit_delivered_many_times_at_once_is_brought_to_the_chain_once() {
    let street = Street::open().await;
    let payment = street.pay("storm").await.unwrap().payment;
    let deliveries = (0..50).map(|_| async {
        loop {
            match street.selling.take(&street.sale("storm"), &payment).await {
                Ok(Taken::Work(ticket)) => return street.selling.worked(ticket, b"a").await.map(|_| true).unwrap(),
                Ok(Taken::AtWork(waiting)) => waiting.over().await,
                Ok(Taken::Answered { .. }) => return false,
                other => panic!("{other:?}"),
            }
        }
    });
    let worked = futures::future::join_all(deliveries).await;
    assert_eq!(worked.into_iter().filter(|worked| *worked).count(), 1);
    assert_eq!(street.contract.sent(), 1);
    street.check().await;
}

#[tokio::test]
async fn work_that_fails_charges_nothing_and_the_same_payment_may_run_it_again() {
    let street = Street::open().await;
    street.charged("first").await;
    let payment = street.pay("fails").await.unwrap().payment;
    let Ok(Taken::Work(ticket)) = street.selling.take(&street.sale("fails"), &payment).await else { panic!("work") };
    drop(ticket);
    assert_eq!(street.selling.channels(None)[0].charged, PRICE);
    street.serve("fails", &payment).await.unwrap();
    assert_eq!(street.selling.channels(None)[0].charged, usdc(40));
}

#[tokio::test]
async fn a_voucher_pays_for_one_request_and_is_never_taken_twice() {
    let street = Street::open().await;
    street.charged("first").await;
    let used = street.pay("second").await.unwrap().payment;
    street.serve("second", &used).await.unwrap();
    let refusal = street.selling.take(&street.sale("another request"), &used).await.unwrap_err();
    assert_eq!(refusal.code, code::CUMULATIVE_MISMATCH);
    let (state, proof) = *refusal.state.unwrap();
    assert_eq!(state.charged_cumulative_amount.unwrap().to_usdc(), Some(usdc(40)));
    assert_eq!(proof.unwrap().signed_max_claimable.unwrap().to_usdc(), Some(usdc(40)));
    let _charged =
        street.buying.answered(&street.alice, "second", &street.serve("second", &used).await.unwrap()).await.unwrap();
    street.charged("third").await;
    assert_eq!(refused(street.selling.take(&street.sale("second"), &used).await), code::CUMULATIVE_MISMATCH, "old");
}

/// Two vouchers for one purchase: Bob has not charged "lost", so he refuses the first one for "twice", and Alice corrects it.
async fn corrected(street: &Street) -> [haggle_x402::PaymentPayload; 3] {
    street.charged("first").await;
    let lost = street.pay("lost").await.unwrap().payment;
    street.buying.give_up(&street.alice, "lost").unwrap();
    let early = street.pay("twice").await.unwrap().payment;
    let refusal = street.selling.take(&street.sale("twice"), &early).await.unwrap_err();
    let answer = street.refusal(&refusal);
    let next = street.buying.refused(&street.alice, "twice", &street.requirement(), &answer).await.unwrap();
    let Next::Again(paying) = next else { panic!("it is corrected: {next:?}") };
    [lost, early, paying.payment]
}

#[tokio::test]
async fn a_copy_of_a_payment_that_was_corrected_is_not_worked_for_when_it_comes_late() {
    let street = Street::open().await;
    let [_, early, corrected] = corrected(&street).await;
    let settled = street.serve("twice", &corrected).await.unwrap();
    assert_eq!(street.serve("twice", &early).await.unwrap(), settled, "answered as before");
    assert_eq!(street.selling.channels(None)[0].charged, usdc(40));
    let _charged = street.buying.answered(&street.alice, "twice", &settled).await.unwrap();
    street.charged("next").await;
    assert_eq!(
        refused(street.selling.take(&street.sale("twice"), &early).await),
        code::CUMULATIVE_MISMATCH,
        "overtaken"
    );
    street.check().await;
}

#[tokio::test]
async fn a_correction_that_comes_after_the_first_copy_was_taken_is_answered_as_that_was() {
    let street = Street::open().await;
    let [lost, early, corrected] = corrected(&street).await;
    street.serve("lost", &lost).await.unwrap();
    street.serve("twice", &early).await.unwrap();
    let settled = street.serve("twice", &corrected).await.unwrap();
    assert_eq!(street.selling.channels(None)[0].charged, usdc(60), "three works, three prices");
    let next = street.buying.answered(&street.alice, "twice", &settled).await.unwrap();
    assert_eq!(next, Next::Charged(PRICE));
    assert_eq!(street.buying.channels(None)[0].charged, usdc(60), "Alice knows which of her vouchers was taken");
    street.charged("next").await;
    street.check().await;
}

#[tokio::test]
async fn a_number_that_was_paid_for_pays_for_no_other_request() {
    let street = Street::open().await;
    street.charged("first").await;
    let paid = street.pay("second").await.unwrap().payment;
    let settled = street.serve("second", &paid).await.unwrap();
    let _charged = street.buying.answered(&street.alice, "second", &settled).await.unwrap();
    let mut next = street.pay("third").await.unwrap().payment;
    next.payload["purchaseNumber"] = paid.payload["purchaseNumber"].clone();
    assert_eq!(refused(street.selling.take(&street.sale("third"), &next).await), code::CUMULATIVE_MISMATCH);
    next.payload["purchaseNumber"] = "yesterday".into();
    assert_eq!(refused(street.selling.take(&street.sale("third"), &next).await), code::PAYLOAD_TYPE);
    assert_eq!(street.selling.channels(None)[0].charged, usdc(40));
}

#[tokio::test]
async fn a_payer_that_counts_no_purchases_is_served_as_the_standard_says() {
    let street = Street::open().await;
    for key in ["first", "second", "third"] {
        let mut payment = street.pay(key).await.unwrap().payment;
        payment.payload.as_object_mut().unwrap().remove("purchaseNumber").unwrap();
        let settled = street.serve(key, &payment).await.unwrap();
        assert_eq!(street.serve(key, &payment).await.unwrap().rest, settled.rest, "a repeat");
        let next = street.buying.answered(&street.alice, key, &settled).await.unwrap();
        assert_eq!(next, Next::Charged(PRICE));
    }
    assert_eq!(street.selling.channels(None)[0].charged, usdc(60));
}

#[tokio::test]
async fn a_seller_that_does_not_read_numbers_gets_none() {
    let street = Street::open().await;
    let mut stranger = street.requirement();
    stranger.rest["extra"].as_object_mut().unwrap().remove("purchaseNumbers").unwrap();
    let paying = street.buying.pay(&street.alice, "first", &stranger, None).await.unwrap();
    assert_eq!(paying.payment.payload.get("purchaseNumber"), None);
}

#[tokio::test]
async fn another_voucher_has_to_wait_while_one_is_at_work() {
    let street = Street::open().await;
    street.charged("first").await;
    let payment = street.pay("slow").await.unwrap().payment;
    let Ok(Taken::Work(ticket)) = street.selling.take(&street.sale("slow"), &payment).await else { panic!("work") };
    let refusal = street.selling.take(&street.sale("other"), &payment).await.unwrap_err();
    assert!(refusal.code == code::CHANNEL_BUSY && refusal.later);
    street.selling.worked(ticket, b"").await.unwrap();
}

#[tokio::test]
async fn a_voucher_is_charged_with_what_is_stored_beside_it_or_not_at_all() {
    let mut street = Street::open().await;
    street.charged("first").await;
    let payment = street.pay("second").await.unwrap().payment;
    let charged = |street: &Street| street.selling.channels(None)[0].charged;
    for is_stored in [false, true] {
        let Ok(Taken::Work(ticket)) = street.selling.take(&street.sale("second"), &payment).await else {
            panic!("what was not stored was not charged")
        };
        let mut batch = Batch::new();
        let charge = street.selling.charge(ticket, b"task-1", &mut batch).unwrap();
        let said = BatchSettled::of(charge.settled()).unwrap();
        assert_eq!(said.channel_state.unwrap().charged_cumulative_amount.unwrap().to_usdc(), Some(usdc(40)));
        assert_eq!(charged(&street), usdc(20), "nothing is charged before it is stored");
        if is_stored {
            street.stores[1].commit(batch).await.unwrap();
            let shown = charge.settled().clone();
            assert_eq!(charge.stored(), shown);
        }
    }
    assert_eq!(charged(&street), usdc(40));
    street.restart_bob().await;
    let again = street.selling.take(&street.sale("second"), &payment).await.unwrap();
    let Taken::Answered { answer, .. } = again else { panic!("it was worked for") };
    assert_eq!((answer.as_deref(), charged(&street)), (Some(&b"task-1"[..]), usdc(40)));
}

#[tokio::test]
async fn what_is_not_signed_by_the_payer_or_says_something_else_is_refused() {
    let street = Street::open().await;
    street.charged("first").await;
    let good = street.pay("second").await.unwrap().payment;
    let with = |change: &dyn Fn(&mut BatchPayload)| {
        let mut payload = BatchPayload::read(&good.payload).unwrap();
        change(&mut payload);
        let mut payment = good.clone();
        payment.payload = payload.to_value();
        payment
    };
    let forged: EvmSignature = street.keys.0[1].1.sign_digest(&alloy_primitives::B256::repeat_byte(1));
    let edit = |payload: &mut BatchPayload, signature: Option<EvmSignature>, more: u64| {
        let BatchPayload::Voucher { voucher, .. } = payload else { panic!("a voucher") };
        voucher.signature = signature.unwrap_or(voucher.signature);
        voucher.max_claimable = usdc(voucher.max_claimable.units() + more);
    };
    let take = async |payment| refused(street.selling.take(&street.sale("second"), &payment).await);
    assert_eq!(take(with(&|payload| edit(payload, Some(forged), 0))).await, code::VOUCHER_SIGNATURE);
    assert_eq!(take(with(&|payload| edit(payload, None, 1))).await, code::VOUCHER_SIGNATURE);
    let delay = with(&|payload| {
        let BatchPayload::Voucher { channel, .. } = payload else { panic!("a voucher") };
        channel.withdrawDelay = alloy_primitives::aliases::U40::from(900);
    });
    assert_eq!(take(delay).await, code::CHANNEL_ID_MISMATCH);
    let mut cheaper = good.clone();
    cheaper.accepted.amount = usdc(1).into();
    assert_eq!(take(cheaper).await, code::REQUIREMENTS);
    let mut elsewhere = good.clone();
    elsewhere.accepted.network = "eip155:1".parse().unwrap();
    assert_eq!(take(elsewhere).await, code::NETWORK_MISMATCH);
    let mut garbage = good.clone();
    garbage.payload = serde_json::json!({"type": "voucher"});
    assert_eq!(take(garbage).await, code::PAYLOAD_TYPE);
    street.serve("second", &good).await.unwrap();
    street.check().await;
}

#[tokio::test]
async fn a_voucher_above_what_the_channel_holds_needs_a_deposit_first() {
    let street = Street::open().await;
    for call in 0..260 {
        assert_eq!(street.call(&format!("call {call}")).await, Next::Charged(PRICE), "call {call}");
    }
    let channels = street.buying.channels(None);
    assert_eq!(channels.len(), 1, "it is filled up, not replaced");
    assert_eq!(street.contract.sent(), 2, "two deposits");
    street.check().await;
}

#[tokio::test]
async fn a_payer_whose_answer_was_lost_goes_on_and_does_not_pay_for_it_again() {
    let mut street = Street::open().await;
    street.charged("first").await;
    // the answer to the second call is lost with the home
    let payment = street.pay("second").await.unwrap().payment;
    street.serve("second", &payment).await.unwrap();
    street.restart_alice().await;
    assert_eq!(street.buying.channels(None)[0].charged, PRICE, "the answer to the second was never heard");
    street.buying.give_up(&street.alice, "second").unwrap();
    street.charged("third").await;
    assert_eq!(street.buying.channels(None)[0].charged, usdc(60));
    assert!(matches!(street.pay("second").await, Err(SettlementError::KeyUsed)), "never twice for one key");
    street.check().await;
}

#[tokio::test]
async fn a_payer_that_believes_too_much_corrects_itself_by_its_own_signature() {
    let mut street = Street::open().await;
    street.charged("first").await;
    street.pay("never arrives").await.unwrap();
    street.restart_alice().await;
    assert_eq!(street.buying.unanswered(), [(street.alice, "never arrives".to_owned())]);
    street.buying.give_up(&street.alice, "never arrives").unwrap();
    street.charged("third").await;
    let bought = street.buying.channels(None).remove(0);
    assert_eq!((bought.charged, bought.signed), (usdc(40), usdc(60)), "it signed more, and was believed");
    street.check().await;
}

#[tokio::test]
async fn a_refund_over_the_wrong_sum_is_corrected() {
    let street = Street::open().await;
    street.charged("first").await;
    street.pay("never arrives").await.unwrap();
    street.buying.give_up(&street.alice, "never arrives").unwrap();
    let id = street.buying.channels(None)[0].id;
    let refund = street.buying.refund(&street.alice, &id, &street.requirement(), None).await.unwrap();
    let refusal = street.serve("close", &refund).await.unwrap_err();
    assert_eq!(refusal.code, code::CUMULATIVE_MISMATCH);
    street.buying.refund_refused(&id, &street.refusal(&refusal)).await.unwrap();
    let refund = street.buying.refund(&street.alice, &id, &street.requirement(), None).await.unwrap();
    let settled = street.serve("close", &refund).await.unwrap();
    assert_eq!(street.buying.refunded(&id, &settled).await.unwrap(), usdc(4_980));
    assert!(street.pay("fourth").await.unwrap().deposit.is_some(), "a closed channel is not used");
    street.check().await;
}

#[tokio::test]
async fn a_key_gives_the_same_payment_again_also_after_a_restart() {
    let mut street = Street::open().await;
    let first = street.pay("order 7").await.unwrap();
    assert!(!first.again && first.deposit.is_some());
    let second = street.pay("order 7").await.unwrap();
    street.restart_alice().await;
    let third = street.pay("order 7").await.unwrap();
    assert!(second.again && third.again);
    assert!(first.payment == second.payment && second.payment == third.payment);
    let settled = street.serve("order 7", &third.payment).await.unwrap();
    assert_eq!(street.buying.answered(&street.alice, "order 7", &settled).await.unwrap(), Next::Charged(PRICE));
    assert!(matches!(street.pay("order 7").await, Err(SettlementError::KeyUsed)));
}

#[tokio::test]
async fn a_seller_that_charged_and_did_not_answer_is_not_paid_again() {
    let street = Street::open().await;
    street.charged("first").await;
    let payment = street.pay("second").await.unwrap().payment;
    street.serve("second", &payment).await.unwrap();
    // a seller that keeps no answers says that the sum is wrong
    let refusal = street.selling.take(&street.sale("as if it were another"), &payment).await.unwrap_err();
    let answer = street.refusal(&refusal);
    let next = street.buying.refused(&street.alice, "second", &street.requirement(), &answer).await.unwrap();
    assert_eq!(next, Next::Paid);
    assert!(matches!(street.pay("second").await, Err(SettlementError::KeyUsed)));
    assert_eq!(street.call("third").await, Next::Charged(PRICE), "the channel goes on");
}

#[tokio::test]
async fn a_lying_seller_is_not_believed() {
    let street = Street::open().await;
    street.charged("first").await;
    let payment = street.pay("second").await.unwrap().payment;
    let refusal = {
        let other = street.selling.take(&street.sale("second"), &payment).await.unwrap();
        drop(other);
        let mut wrong =
            street.refusal(&Refusal { code: code::CUMULATIVE_MISMATCH, later: false, state: None, cause: None });
        let mut extra = haggle_x402::BatchExtra::of(&wrong.accepts[0]).unwrap();
        let forged = street.keys.0[1].1.sign_digest(&alloy_primitives::B256::repeat_byte(1));
        let id = street.buying.channels(None)[0].id;
        extra.channel_state = serde_json::from_value(serde_json::json!({
            "channelId": id, "balance": "5000", "totalClaimed": "0", "withdrawRequestedAt": 0, "refundNonce": "0",
            "chargedCumulativeAmount": "4000"}))
        .unwrap();
        extra.voucher_state = serde_json::from_value(serde_json::json!({
            "signedMaxClaimable": "4000", "signature": forged.to_string()}))
        .unwrap();
        wrong.accepts[0].rest.insert("extra".to_owned(), serde_json::to_value(extra).unwrap());
        wrong
    };
    let next = street.buying.refused(&street.alice, "second", &street.requirement(), &refusal).await.unwrap();
    assert_eq!(next, Next::Over);
    assert_eq!(street.buying.channels(None)[0].signed, usdc(40), "nothing more was signed");
}

#[tokio::test]
async fn a_seller_that_forgot_takes_the_channel_up_from_the_chain() {
    let mut street = Street::open().await;
    street.charged("first").await;
    street.selling.claim(None).await.unwrap();
    street.stores[1] = haggle_store::Store::memory();
    street.restart_bob().await;
    assert_eq!(street.call("second").await, Next::Charged(PRICE));
    assert_eq!(street.selling.channels(None)[0].charged, usdc(40));
}

#[tokio::test]
async fn claims_come_on_time_and_take_others_along() {
    let street = Street::open().await;
    street.charged("first").await;
    assert_eq!(street.selling.tick().await.unwrap(), super::Ticked::default(), "not yet");
    street.pass(DAY / 4).await;
    let ticked = street.selling.tick().await.unwrap();
    assert_eq!((ticked.claims.len(), ticked.claimed), (1, PRICE));
    assert_eq!(street.selling.tick().await.unwrap().claims, vec![], "once");
    street.check().await;
}

#[tokio::test]
async fn a_claim_whose_answer_is_lost_is_booked_once() {
    let mut street = Street::open().await;
    street.charged("first").await;
    street.contract.lose_answers(true);
    assert!(matches!(street.selling.claim(None).await, Err(SettlementError::OutcomeUnknown)));
    street.contract.lose_answers(false);
    street.restart_bob().await;
    assert_eq!(street.selling.claim(None).await.unwrap().claims, vec![]);
    let earned = street.homes[1].wallet(&street.bob).await.unwrap().accounts.earned;
    assert_eq!(earned, -20);
    let claims = street.homes[1].history(&street.bob, None, 10).unwrap();
    assert_eq!(claims.iter().filter(|(_, entry)| entry.kind == EntryKind::ChannelClaimed).count(), 1);
    street.check().await;
}

#[tokio::test]
async fn a_token_that_refuses_the_receiver_costs_only_time() {
    let street = Street::open().await;
    street.charged("first").await;
    street.contract.refuse_transfer(true);
    street.selling.claim(None).await.unwrap();
    assert_eq!(street.on_chain(&street.bob).await, usdc(0));
    street.contract.refuse_transfer(false);
    street.selling.tick().await.unwrap();
    assert_eq!(street.on_chain(&street.bob).await, PRICE);
}

#[tokio::test]
async fn a_payer_that_withdraws_is_seen_refused_and_claimed_from() {
    let street = Street::open().await;
    street.charged("first").await;
    let id = street.buying.channels(None)[0].id;
    let payment = street.pay("second").await.unwrap().payment;
    assert!(matches!(street.buying.withdraw(&street.alice, &id).await, Err(SettlementError::ChannelBusy)));
    street.buying.give_up(&street.alice, "second").unwrap();
    street.buying.withdraw(&street.alice, &id).await.unwrap();
    let ticked = street.selling.tick().await.unwrap();
    assert_eq!((ticked.withdrawals, ticked.claimed), (1, PRICE));
    assert_eq!(refused(street.selling.take(&street.sale("second"), &payment).await), code::CHANNEL_NOT_FOUND);
    street.buying.tick().await.unwrap();
    assert_eq!(street.contract.channel(&id).balance, usdc(5_000), "not before the delay");
    street.pass(DAY).await;
    let ticked = street.buying.tick().await.unwrap();
    assert_eq!((ticked.withdrawn, ticked.closed), (1, 1));
    assert_eq!(street.on_chain(&street.alice).await, usdc(9_999_980));
    assert_eq!(street.homes[0].wallet(&street.alice).await.unwrap().accounts.spent, 20);
    assert!(street.pay("third").await.unwrap().deposit.is_some(), "another channel, with a new salt");
    assert_eq!(street.buying.channels(None).len(), 2);
    street.check().await;
}

#[tokio::test]
async fn a_refund_is_sent_once_and_told_again() {
    let mut street = Street::open().await;
    street.charged("first").await;
    let id = street.buying.channels(None)[0].id;
    let refund = street.buying.refund(&street.alice, &id, &street.requirement(), None).await.unwrap();
    street.contract.lose_answers(true);
    let first = street.serve("close", &refund).await;
    street.contract.lose_answers(false);
    street.restart_bob().await;
    let again = street.serve("close", &refund).await.unwrap();
    assert!(first.is_ok() || first.unwrap_err().later);
    assert_eq!(again.rest["amount"], "4980");
    let state = BatchSettled::of(&again).unwrap().channel_state.unwrap();
    assert_eq!((state.balance.to_usdc(), state.refund_nonce.as_str()), (Some(PRICE), "1"));
    let (mut other, sent) = (refund, street.contract.sent());
    other.payload["amount"] = "7".into();
    let refusal = street.serve("close", &other).await.unwrap_err();
    assert_eq!(
        (refusal.code, street.contract.sent()),
        (code::REFUND_NOTHING, sent),
        "once for each sum that was charged"
    );
    assert_eq!(street.buying.refunded(&id, &again).await.unwrap(), usdc(4_980));
    street.check().await;
}

#[tokio::test]
async fn a_deposit_nobody_used_frees_its_money_when_its_time_is_over() {
    let street = Street::open().await;
    street.pay("lost").await.unwrap();
    let reserved = street.homes[0].wallet(&street.alice).await.unwrap().reserved;
    assert_eq!(reserved, usdc(5_000));
    street.buying.give_up(&street.alice, "lost").unwrap();
    street.buying.tick().await.unwrap();
    assert_eq!(street.homes[0].wallet(&street.alice).await.unwrap().reserved, reserved, "it may still be used");
    street.pass(DAY).await;
    street.buying.tick().await.unwrap();
    assert_eq!(street.homes[0].wallet(&street.alice).await.unwrap().reserved, usdc(0));
    street.check().await;
}

#[tokio::test]
async fn calls_at_once_get_channels_of_their_own_up_to_the_limit_and_then_wait() {
    let street = Street::open().await;
    let mut out = Vec::new();
    for call in 0..8 {
        let paying = street.pay(&format!("call {call}")).await.unwrap();
        out.push((format!("call {call}"), paying));
    }
    let mut ids: Vec<_> = out.iter().map(|(_, paying)| paying.channel).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 8);
    let ninth = street.pay("ninth");
    tokio::pin!(ninth);
    assert!(futures::poll!(ninth.as_mut()).is_pending());
    let (key, paying) = out.pop().unwrap();
    let settled = street.serve(&key, &paying.payment).await.unwrap();
    let _charged = street.buying.answered(&street.alice, &key, &settled).await.unwrap();
    let paying = ninth.await.unwrap();
    assert!(paying.deposit.is_none() && ids.contains(&paying.channel));
    street.check().await;
}

#[tokio::test]
async fn the_budget_bounds_what_goes_into_channels() {
    let street = Street::open().await;
    let limits = crate::budget::Limits { per_call: usdc(50), per_day: usdc(100) };
    street.homes[0].set_limits(&street.alice, limits).await.unwrap();
    let paying = street.pay("one").await.unwrap();
    assert_eq!(paying.deposit, Some(usdc(50)));
    assert_eq!(refused(street.serve("one", &paying.payment).await), code::DEPOSIT_TOO_SMALL, "less than ten calls");
    street.homes[0].set_limits(&street.alice, crate::budget::Limits { per_call: usdc(10), ..limits }).await.unwrap();
    assert!(matches!(street.pay("two").await, Err(SettlementError::BudgetPerCall { .. })));
}

#[tokio::test]
async fn terms_a_buyer_does_not_agree_to_are_not_paid() {
    let street = Street::open().await;
    let with = |name: &str, value: serde_json::Value| {
        let mut requirement = street.requirement();
        requirement.rest["extra"][name] = value;
        street.buying.could_pay(&street.alice, &requirement)
    };
    for (name, value) in [
        ("paymentFlow", serde_json::json!("upfront")),
        ("withdrawDelay", serde_json::json!(30 * 24 * 3_600)),
        ("withdrawDelay", serde_json::json!(1)),
        ("assetTransferMethod", serde_json::json!("permit2")),
        ("receiverAuthorizer", serde_json::json!("0x0000000000000000000000000000000000000000")),
        ("receiverAuthorizer", serde_json::json!(7)),
    ] {
        assert!(matches!(with(name, value), Err(SettlementError::ChannelTerms { .. })), "{name}");
    }
    assert!(with("minDeposit", serde_json::json!("1")).is_ok());
}

#[tokio::test]
async fn a_payer_that_owes_too_much_waits_for_a_claim() {
    let mut street = Street::open().await;
    let config = super::ChannelsConfig { unclaimed_per_payer: usdc(60), ..super::testing::channels_config() };
    street.selling =
        super::Selling::open(street.homes[1].clone(), street.contract.clone(), street.blobs.clone(), config).unwrap();
    for call in 0..3 {
        assert_eq!(street.call(&format!("call {call}")).await, Next::Charged(PRICE));
    }
    assert_eq!(street.call("too much").await, Next::Later);
    street.selling.hurried().await;
    assert_eq!(street.selling.tick().await.unwrap().claimed, usdc(60));
    assert_eq!(street.call("too much").await, Next::Charged(PRICE));
}

#[tokio::test]
async fn keys_are_forgotten_when_they_are_old() {
    let street = Street::open().await;
    street.charged("old").await;
    street.pass(DAY * 31).await;
    street.charged("new").await;
    assert_eq!(street.buying.tick().await.unwrap().forgotten, [(street.alice, "old".to_owned())]);
    assert_eq!(street.buying.paid(&street.alice, "old").unwrap(), None);
    assert_eq!(street.buying.paid(&street.alice, "new").unwrap().map(|paid| paid.max), Some(usdc(40)));
}

#[tokio::test]
async fn a_pair_whose_channels_are_used_up_is_told_so_instead_of_waiting_for_ever() {
    let mut street = Street::open().await;
    let config = ChannelsConfig { channels_per_pair: 1, deposit_at_most: usdc(200), ..channels_config() };
    street.buying = Buying::open(street.homes[0].clone(), street.contract.clone(), config).unwrap();
    let mut calls = 0;
    let full = loop {
        match street.pay(&format!("call {calls}")).await {
            Ok(paying) => {
                let settled = street.serve(&format!("call {calls}"), &paying.payment).await.unwrap();
                let next = street.buying.answered(&street.alice, &format!("call {calls}"), &settled).await.unwrap();
                assert_eq!(next, Next::Charged(PRICE));
                calls += 1;
            }
            Err(error) => break error,
        }
    };
    assert_eq!(
        (full.code(), calls),
        ("channels_full", 160),
        "sixteen deposits of ten calls each, none of them claimed"
    );
    street.check().await;
}

#[tokio::test]
async fn deposits_that_were_claimed_make_room_for_others_without_end() {
    let mut street = Street::open().await;
    let config = ChannelsConfig { channels_per_pair: 1, deposit_at_most: usdc(200), ..channels_config() };
    street.buying = Buying::open(street.homes[0].clone(), street.contract.clone(), config).unwrap();
    for call in 0..400 {
        street.charged(&format!("call {call}")).await;
        if call % 100 == 99 {
            street.pass(DAY / 4).await;
            assert_eq!(street.selling.tick().await.unwrap().claims.len(), 1);
            let _ticked = street.buying.tick().await.unwrap();
        }
    }
    street.check().await;
    street.restart_alice().await;
    let channels = street.buying.channels(None);
    assert_eq!((channels.len(), channels[0].signed), (1, usdc(8000)), "one channel, and every call on it");
    street.charged("one more").await;
    street.check().await;
}

#[tokio::test]
async fn a_key_whose_answer_is_waited_for_is_not_forgotten() {
    let street = Street::open().await;
    street.charged("first").await;
    let payment = street.pay("lost").await.unwrap().payment;
    street.serve("lost", &payment).await.unwrap();
    street.pass(DAY * 31).await;
    assert_eq!(street.buying.tick().await.unwrap().forgotten, [(street.alice, "first".to_owned())]);
    let again = street.pay("lost").await.unwrap();
    assert_eq!((again.again, again.payment.payload), (true, payment.payload), "it does not pay a second time");
}

#[tokio::test]
async fn a_channel_that_was_sent_back_is_left_and_the_key_pays_on_another() {
    let street = Street::open().await;
    street.charged("first").await;
    street.selling.claim(None).await.unwrap();
    let before = street.selling.channels(None).remove(0);
    street.contract.refund(&before.channel, usdc(1_000_000)).await.unwrap();
    street.selling.read_again(&[before.id]).await.unwrap();
    street.charged("second").await;
    let channels = street.buying.channels(None);
    assert_eq!(channels.iter().filter(|channel| channel.open && channel.id != before.id).count(), 1, "{channels:?}");
    street.buying.tick().await.unwrap();
    let left = street.buying.channels(None).into_iter().find(|channel| channel.id == before.id).unwrap();
    assert!(!left.open, "nothing is paid into it again");
    street.check().await;
}

#[tokio::test]
async fn a_part_that_is_left_for_a_key_may_still_be_claimed_so_it_does_not_pay_elsewhere() {
    let street = Street::open().await;
    street.charged("first").await;
    street.selling.claim(None).await.unwrap();
    let before = street.selling.channels(None).remove(0);
    street.contract.reorganise(&before.channel, usdc(30)).await;
    street.selling.read_again(&[before.id]).await.unwrap();
    assert_eq!(street.call("second").await, Next::Over, "ten of its twenty are there");
    assert!(matches!(street.pay("second").await, Err(SettlementError::KeyUsed)));
    street.charged("third").await;
    street.check().await;
}

#[tokio::test]
async fn a_deposit_pays_the_agent_whose_channel_it_is_and_nobody_else() {
    let street = Street::open().await;
    let payment = street.pay("first").await.unwrap().payment;
    street.serve("first", &payment).await.unwrap();
    let other = super::ChannelSale { seller: street.alice, ..street.sale("first") };
    assert_eq!(refused(street.selling.take(&other, &payment).await), code::RECEIVER_MISMATCH);
}

#[tokio::test]
async fn deposits_that_never_come_leave_no_row() {
    let street = Street::open().await;
    let broke = street.pay("first").await.unwrap().payment;
    // Alice spends her purse elsewhere before the seller brings the deposit to the chain
    let (alice, purse) = (street.keys.address(&street.alice).unwrap(), street.on_chain(&street.alice).await);
    assert!(street.chain.move_tokens(alice, super::testing::CONTRACT, purse).await);
    assert_eq!(refused(street.selling.take(&street.sale("first"), &broke).await), code::DEPOSIT_FAILED);
    assert_eq!(street.selling.channels(None), []);
    assert!(street.chain.move_tokens(super::testing::CONTRACT, alice, purse).await);
    // or the chain refuses it although the money is there
    street.contract.refuse_deposits(true);
    assert_eq!(refused(street.selling.take(&street.sale("first"), &broke).await), code::DEPOSIT_FAILED);
    assert_eq!(street.selling.channels(None), []);
    street.contract.refuse_deposits(false);
    street.serve("first", &broke).await.unwrap();
    assert_eq!(street.selling.channels(None).len(), 1, "once it is there, it counts");
}

#[tokio::test]
async fn a_long_answer_is_told_again_like_a_short_one_and_leaves_with_its_voucher() {
    let mut street = Street::open().await;
    street.charged("first").await;
    let long = vec![b'a'; 100_000];
    let payment = street.pay("long").await.unwrap().payment;
    let Ok(Taken::Work(ticket)) = street.selling.take(&street.sale("long"), &payment).await else { panic!("work") };
    let settled = street.selling.worked(ticket, &long).await.unwrap();
    street.restart_bob().await;
    for _ in 0..2 {
        let Ok(Taken::Answered { answer, .. }) = street.selling.take(&street.sale("long"), &payment).await else {
            panic!("it is answered")
        };
        assert_eq!(answer.as_deref(), Some(long.as_slice()));
    }
    let _charged = street.buying.answered(&street.alice, "long", &settled).await.unwrap();
    let files = || std::fs::read_dir(street.files.path()).unwrap().count();
    assert_eq!(files(), 1);
    street.charged("next").await;
    assert_eq!(files(), 0);
}

#[tokio::test]
async fn a_deposit_that_the_chain_takes_back_and_mines_again_is_booked_as_often() {
    let street = Street::open().await;
    street.charged("first").await;
    let sold = street.selling.channels(None).remove(0);
    let held = street.contract.channel(&sold.id).balance;
    let books = || async {
        let accounts = street.homes[0].wallet(&street.alice).await.unwrap().accounts;
        (accounts.available, accounts.channels)
    };
    assert_eq!(books().await.0 + books().await.1, 0, "nothing is booked as spent yet");
    street.contract.reorganise(&sold.channel, usdc(0)).await;
    street.selling.read_again(&[sold.id]).await.unwrap();
    street.charged("second").await;
    assert_eq!(street.buying.channels(None).iter().filter(|channel| channel.open).count(), 1, "on another channel");
    let without = books().await;
    street.contract.reorganise(&sold.channel, held).await;
    street.buying.tick().await.unwrap();
    let again = books().await;
    assert_eq!(
        i64::try_from(held.units()).unwrap(),
        without.0 - again.0,
        "what was there again is in the channel again"
    );
    assert_eq!(-(again.0 + again.1), 2 * i64::try_from(PRICE.units()).unwrap(), "and two calls are spent");
    street.check().await;
}
