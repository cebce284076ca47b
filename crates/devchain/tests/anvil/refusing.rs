//! A token that refuses to move: what it owes waits, and goes when it moves again.

use alloy::primitives::aliases::U96;
use alloy::primitives::{B256, U256};
use serde_json::json;

use crate::orders::{HOUR, order};
use crate::stage::escrow::Escrow;
use crate::stage::stake::Stake;
use crate::stage::{Stage, Who};

/// Reverts whatever it is asked.
const REFUSES: &str = "0x5f5ffd";

#[tokio::test]
#[ignore = "needs anvil from npm; cargo xtask test runs it"]
async fn what_the_token_refuses_to_send_waits_alike() {
    let mut stage = Stage::set().await;
    let (token, escrow, stake) = (stage.token, stage.escrow, stage.stake);
    let (nonce, before) = (B256::repeat_byte(9), stage.pair.now() + HOUR);
    let deposit = Stake::depositCall {
        provider: stage.bob.address(),
        amount: U96::from(3_000_000),
        validBefore: U256::from(before),
        nonce,
        auth: stage.payment(&stage.bob, stake, 3_000_000, before, nonce),
    };
    stage.done("stake", Who::Dave, stake, &deposit).await;
    let mut one = order(&stage, 1);
    one.stake = U96::from(1_000_000);
    stage.countered(&one).await;

    let works = stage.pair.same("eth_getCode", json!([token, "latest"])).await;
    stage.pair.tell("anvil_setCode", json!([token, REFUSES])).await;
    let rule = Escrow::ruleCall { order: one.clone(), pay: U96::from(2_000_000) };
    stage.done("a ruling nobody can be paid by", Who::Carol, escrow, &rule).await;
    let people = [stage.alice.address(), stage.bob.address(), stage.carol.address()];
    let calls = people.map(|account| (Escrow::withdrawCall { account }, Stake::collectCall { account }));
    let (hers, _) = &calls[0];
    stage.fails("withdraw what is refused", Who::Dave, escrow, hers).await;
    let (_, hers) = &calls[0];
    stage.fails("collect what is refused", Who::Dave, stake, hers).await;

    stage.pair.tell("anvil_setCode", json!([token, works])).await;
    for (account, (withdraw, _)) in people.into_iter().zip(&calls) {
        stage.asks("what waits", escrow, &Escrow::owedCall { account }).await;
        stage.asks("what waits at the stake", stake, &Stake::owedCall { account }).await;
        stage.done("withdraw", Who::Dave, escrow, withdraw).await;
        stage.fails("withdraw again", Who::Dave, escrow, withdraw).await;
    }
    stage.done("collect", Who::Dave, stake, hers).await;
    stage.fails("collect again", Who::Dave, stake, hers).await;
}
