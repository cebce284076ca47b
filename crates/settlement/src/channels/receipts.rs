//! Stories of what a channel came to, as both sides sign it.

use haggle_base::Did;
use haggle_x402::{
    ChannelProof, PaymentPayload, PaymentProofError, PaymentRequired, SettleResponse, batch::code, batch::receipt,
};
use serde_json::json;

use super::{
    Taken,
    testing::{PRICE, Street, facts},
};
use crate::{SettlementError, ports::Wallet as _, testing::usdc};

/// Alice's wish for a receipt of her first channel.
async fn wish(street: &Street) -> PaymentPayload {
    let channel = street.buying.channels(None)[0].id;
    street.buying.receipt_wish(&street.alice, &channel, &street.requirement(), None, None).await.unwrap().unwrap()
}

/// The sum, as Alice wishes to have it signed.
fn sum(wish: &PaymentPayload) -> &serde_json::Value {
    &wish.payload["voucher"]["maxClaimableAmount"]
}

#[tokio::test]
async fn both_sides_prove_what_a_channel_came_to_and_nobody_is_charged_for_it() {
    let street = Street::open().await;
    assert!(receipt::is_announced(&street.requirement()));
    for call in 0..3 {
        street.charged(&format!("call {call}")).await;
    }
    let asked = wish(&street).await;
    assert_eq!(sum(&asked), "60");
    let answer = street.serve("receipt", &asked).await.unwrap();
    let bought = ChannelProof::of(&facts(), &asked, &answer).unwrap();
    let sold = street.selling.receipt(&street.buying.channels(None)[0].id).unwrap().unwrap();
    for proof in [&bought, &sold] {
        let proven = proof.check().unwrap();
        assert_eq!((proven.charged, proven.claimed), (usdc(60), usdc(0)));
        assert_eq!(proven.channel, street.buying.channels(None)[0].id);
        assert_eq!(proven.seller, street.bob);
        assert_eq!(proven.payer, street.keys.address(&street.alice).unwrap());
        assert_eq!(proven.pay_to, street.keys.address(&street.bob).unwrap());
    }
    assert_eq!(street.selling.channels(None)[0].charged, usdc(60));

    street.selling.claim(None).await.unwrap();
    let claimed = street.serve("receipt", &asked).await.unwrap();
    let proof = ChannelProof::of(&facts(), &asked, &claimed).unwrap();
    assert_eq!(proof.check().unwrap().claimed, usdc(60), "the seller says what it claimed since");
    street.charged("the channel is open as before").await;
    street.check().await;
}

/// The wish of a payer that was told another sum by a seller's answer; `None` if it does not believe it.
async fn wish_again(street: &Street, answer: &PaymentRequired) -> Option<PaymentPayload> {
    let channel = street.buying.channels(None)[0].id;
    let entry = street.requirement();
    street.buying.receipt_wish(&street.alice, &channel, &entry, None, Some(answer)).await.unwrap()
}

#[tokio::test]
async fn a_voucher_that_is_out_is_not_handed_over_by_a_wish_and_not_forgotten() {
    let street = Street::open().await;
    street.charged("first").await;
    let out = street.pay("waits for its answer").await.unwrap().payment;
    let asked = wish(&street).await;
    assert_eq!(sum(&asked), "20");
    let said = street.serve("receipt", &asked).await.unwrap();
    assert_eq!(ChannelProof::of(&facts(), &asked, &said).unwrap().check().unwrap().charged, PRICE);
    let Ok(Taken::Work(ticket)) = street.selling.take(&street.sale("work"), &out).await else { panic!("work") };
    street.serve("receipt", &asked).await.unwrap();
    drop(ticket);
    assert_eq!(street.pay("waits for its answer").await.unwrap().payment, out, "the same key, the same voucher");
}

#[tokio::test]
async fn a_payer_that_does_not_know_of_its_last_call_is_corrected() {
    let mut street = Street::open().await;
    street.charged("first").await;
    street.restart_alice().await;
    let asked = wish(&street).await;
    assert_eq!(sum(&asked), "0", "what the answer said is stored with the next voucher");
    let refusal = street.serve("receipt", &asked).await.unwrap_err();
    assert_eq!(refusal.code, code::CUMULATIVE_MISMATCH);
    let corrected = wish_again(&street, &street.refusal(&refusal)).await.unwrap();
    assert_eq!(sum(&corrected), "20");
    let said = street.serve("receipt", &corrected).await.unwrap();
    assert_eq!(ChannelProof::of(&facts(), &corrected, &said).unwrap().check().unwrap().charged, PRICE);
}

#[tokio::test]
async fn a_seller_that_lies_about_the_sum_is_not_signed_for_and_not_believed() {
    let street = Street::open().await;
    street.charged("first").await;
    let channel = street.buying.channels(None)[0].id;
    let mut asked = wish(&street).await;
    let said = street.serve("receipt", &asked).await.unwrap();
    let of = |answer: &SettleResponse| ChannelProof::of(&facts(), &asked, answer).unwrap_err();
    let edited = |field: &str, value: serde_json::Value| {
        let mut answer = said.clone();
        answer.rest["extra"][receipt::FIELD][field] = value;
        answer
    };
    assert_eq!(of(&edited("charged", json!("19"))), PaymentProofError::Mismatch { field: "charged" });
    let forged = PaymentProofError::BadSignature { part: "receipt", by: "the address that is paid" };
    assert_eq!(of(&edited("claimed", json!("20"))), forged);
    assert_eq!(of(&edited("issuedAt", json!(1))), forged);
    assert_eq!(of(&edited("seller", json!(street.alice.to_string()))), forged);
    assert_eq!(of(&edited("later", json!(1))), PaymentProofError::NoReceipt);
    let bare = street.serve("first again", &street.pay("second").await.unwrap().payment).await.unwrap();
    assert_eq!(of(&bare), PaymentProofError::NoReceipt, "an answer to a call has none");

    // what it cannot prove to have charged is not signed for, and neither is less than it charged
    let refusal = street.serve("receipt", &asked).await.unwrap_err();
    let honest = street.refusal(&refusal);
    assert_eq!(sum(&wish_again(&street, &honest).await.unwrap()), "40");
    for (charged, shown) in [("4000", "4000"), ("20", "40"), ("19", "19")] {
        let mut lie = honest.clone();
        let entry = lie.accepts.iter_mut().find(|entry| entry.rest["extra"].get("voucherState").is_some()).unwrap();
        entry.rest["extra"]["voucherState"]["signedMaxClaimable"] = json!(shown);
        entry.rest["extra"]["channelState"]["chargedCumulativeAmount"] = json!(charged);
        assert_eq!(wish_again(&street, &lie).await, None, "{charged} and {shown}");
    }
    let mut bare = honest;
    bare.accepts.retain(|entry| entry.rest["extra"].get("voucherState").is_none());
    assert_eq!(wish_again(&street, &bare).await, None, "on the chain nothing is claimed");

    // and nobody else is told
    let stranger: Did = street.bob;
    let not_mine = street.buying.receipt_wish(&stranger, &channel, &street.requirement(), None, None).await;
    assert!(matches!(not_mine, Err(SettlementError::ChannelUnknown)), "{not_mine:?}");
    asked.payload["voucher"]["maxClaimableAmount"] = json!("40");
    assert_eq!(street.serve("receipt", &asked).await.unwrap_err().code, code::VOUCHER_SIGNATURE);
}

#[tokio::test]
async fn a_channel_that_the_seller_does_not_know_is_not_looked_up_for_a_receipt() {
    let mut street = Street::open().await;
    street.pay("never arrives").await.unwrap();
    let asked = wish(&street).await;
    street.restart_bob().await;
    street.contract.set_down(true);
    assert_eq!(street.serve("receipt", &asked).await.unwrap_err().code, code::CHANNEL_NOT_FOUND);
    let channel = street.buying.channels(None)[0].id;
    assert!(matches!(street.selling.receipt(&channel), Err(SettlementError::ChannelUnknown)));
}
