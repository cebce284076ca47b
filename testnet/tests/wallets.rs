//! What the owner's wallet routes say is what the chain says: every row moved money, and the rows add up.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle::view::{PaymentView, TransferRequest};
use haggle_base::Usdc;
use haggle_testnet::Stage;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");

/// Base units of a JSON number, below zero if money went out.
fn units(number: &Value) -> i64 {
    let text = number.to_string();
    let (sign, digits) = text.strip_prefix('-').map_or((1, text.as_str()), |digits| (-1, digits));
    sign * i64::try_from(digits.parse::<Usdc>().unwrap().units()).unwrap()
}

async fn rows(stage: &Stage, wallet: &str, query: &str) -> Vec<Value> {
    let all = stage.get(2, &format!("/api/v1/wallets/{wallet}/transactions?limit=100{query}")).await;
    all.as_array().unwrap_or_else(|| panic!("{all}")).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_a_wallet_add_up_to_what_the_chain_says() {
    let stage = Stage::of(PROGRAM, 2).await;
    let seller = stage.serve(1, "digest", 1).await;
    stage.node(2).until_sees(1).await.unwrap();
    let (wallet, had) = stage.buyer(2).await;
    let client = stage.node(2).client().unwrap();

    let path = format!("/api/v1/wallets/{wallet}/fund");
    let gift: Value = client.post(&path, &json!({"amount": 100, "source": "faucet"})).await.unwrap();
    assert_eq!((units(&gift["balanceChange"]), &gift["type"]), (100_000_000, &json!("h2a")));
    let listing = stage.listing(2, "digest").await;
    let hired = stage.hire(2, &listing, "wallet-1").await;
    let order = stage.until_state(2, &hired.key, "settled").await;
    let lent = TransferRequest {
        to: seller.payment_address.clone(),
        amount: "0.5".parse().unwrap(),
        memo: "for the lamp".to_owned(),
        from: None,
    };
    let sent: PaymentView = client.post_once("/v1/transfers", "lamp", &lent).await.unwrap();
    assert_eq!(sent.state, "paid");

    let all = rows(&stage, &wallet, "").await;
    let kinds: Vec<_> = all.iter().map(|row| row["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["payout", "a2a", "h2a"], "newest first: {all:?}");
    let change: i64 = all.iter().map(|row| units(&row["balanceChange"])).sum();
    let has = stage.buyer(2).await.1;
    let really = i64::try_from(has.units()).unwrap() - i64::try_from(had.units()).unwrap();
    assert_eq!(change, really, "{all:?}");
    assert_eq!(really, 100_000_000 - 20_500 - 500_000);

    assert_eq!(all[0]["purpose"], "for the lamp");
    assert_eq!((&all[0]["initiatorId"], &all[0]["recipientId"]), (&json!(wallet), &json!(seller.payment_address)));
    assert_eq!(all[1]["escrowId"], json!(order.id));
    assert_eq!(rows(&stage, &wallet, "&type=h2a").await, all[2..]);
    assert_eq!(rows(&stage, &wallet, "&status=completed").await, all);
    assert!(rows(&stage, &wallet, "&status=pending").await.is_empty());
    assert_eq!(rows(&stage, &wallet, &format!("&before={}", all[0]["id"].as_str().unwrap())).await, all[1..]);
    let middle = all[1]["createdAt"].as_str().unwrap();
    assert_eq!(rows(&stage, &wallet, &format!("&to={middle}")).await, all[2..]);
    assert_eq!(rows(&stage, &wallet, &format!("&from={middle}")).await, all[..2]);

    let escrow = stage.get(2, "/api/v1/escrow/wallet-1").await;
    assert_eq!((&escrow["status"], &escrow["amount"]), (&json!("settled"), &json!("0.0205")));
    assert_eq!((&escrow["tx"], &escrow["seller"]), (&json!(order.fund_tx), &json!(seller.did)));
    let shown = stage.get(2, &format!("/api/v1/wallets/{wallet}")).await;
    assert_eq!(units(&shown["balance"]), i64::try_from(has.units()).unwrap());
    stage.end().await;
}
