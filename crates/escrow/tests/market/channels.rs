//! Prepaid channels, from the deposit to the last unit.

use alloy::primitives::aliases::U40;
use alloy::primitives::{Address, B256, U256};
use haggle_base::eip712::channel::{ChannelConfig, Refund, Voucher, deposit_nonce};
use haggle_base::eip712::digest;
use haggle_base::{Coded as _, PaymentKey, Timestamp};
use haggle_escrow::{ChannelClaim, ChannelClient, ChannelDeposit};

use crate::town::{PURSE, Town, usdc};

const DELAY: u64 = 24 * 3_600;

fn client(town: &Town, key: &PaymentKey) -> ChannelClient {
    let facts = town.chain.deployment().unwrap();
    ChannelClient::new(town.reader(), facts.channel, facts.collector, key).unwrap()
}

/// A channel from alice to bob, who claims himself.
fn config(town: &Town, salt: u8) -> ChannelConfig {
    ChannelConfig {
        payer: town.alice.address(),
        payerAuthorizer: town.alice.address(),
        receiver: town.bob.address(),
        receiverAuthorizer: town.bob.address(),
        token: town.chain.deployment().unwrap().token,
        withdrawDelay: U40::from(DELAY),
        salt: B256::repeat_byte(salt),
    }
}

fn deposit(town: &Town, client: &ChannelClient, config: &ChannelConfig, units: u64) -> ChannelDeposit {
    let (salt, before) = (U256::from(units), town.chain.head().1 + 600);
    let nonce = deposit_nonce(&client.id(config), salt);
    let collector = town.chain.deployment().unwrap().collector;
    ChannelDeposit {
        amount: usdc(units),
        valid_after: Timestamp::from_secs(0),
        valid_before: Timestamp::from_secs(before),
        salt,
        signature: town.payment_to(collector, units, before, nonce, &town.alice),
    }
}

fn claim(town: &Town, client: &ChannelClient, config: &ChannelConfig, units: u64) -> ChannelClaim {
    let voucher = Voucher { channelId: client.id(config), maxClaimableAmount: u128::from(units) };
    let signature = town.alice.sign_digest(&digest(&voucher, client.domain()));
    ChannelClaim { config: config.clone(), max_claimable: usdc(units), signature, total: usdc(units) }
}

#[tokio::test]
async fn vouchers_are_claimed_and_paid_and_the_rest_returns() {
    let town = Town::open().await;
    let bob = client(&town, &town.bob);
    let one = config(&town, 1);
    let paid_in = deposit(&town, &bob, &one, 5_000_000);
    assert!(bob.deposit(&one, &paid_in).await.unwrap().is_some());
    assert!(bob.deposit(&one, &paid_in).await.unwrap().is_none(), "the same payment is not made twice");
    assert_eq!(bob.funds(bob.id(&one)).await.unwrap().balance, usdc(5_000_000));

    bob.claim(&[claim(&town, &bob, &one, 1_000_000)]).await.unwrap();
    assert_eq!(bob.unsettled(town.bob.address()).await.unwrap(), usdc(1_000_000));
    assert!(bob.settle(town.bob.address()).await.unwrap().is_some());
    assert!(bob.settle(town.bob.address()).await.unwrap().is_none());
    let above = claim(&town, &bob, &config(&town, 2), 1);
    let claimed = bob.claim_and_settle(&[claim(&town, &bob, &one, 1_500_000), above]).await.unwrap();
    assert_eq!((claimed.settled, claimed.skipped.len()), (usdc(500_000), 1));
    assert_eq!(claimed.skipped[0].1.code(), "channel_claim_above_balance");
    assert_eq!(town.balance(town.bob.address()), PURSE + 1_500_000);

    bob.refund(&one, usdc(500_000)).await.unwrap();
    let id = bob.id(&one);
    let nonce = bob.refund_nonce(id).await.unwrap();
    let said = digest(&Refund { channelId: id, nonce, amount: 1_000_000 }, bob.domain());
    let word = town.bob.sign_digest(&said);
    client(&town, &town.eve).refund_with_signature(&one, usdc(1_000_000), nonce, &word).await.unwrap();
    assert_eq!(bob.funds(id).await.unwrap().balance, usdc(3_500_000));
    assert_eq!(town.balance(town.alice.address()), PURSE - 3_500_000);
}

#[tokio::test]
async fn a_payer_gets_its_money_back_without_the_receiver() {
    let town = Town::open().await;
    town.chain.fund_eth(town.alice.address(), U256::from(10).pow(U256::from(18)));
    let alice = client(&town, &town.alice);
    let one = config(&town, 1);
    alice.deposit(&one, &deposit(&town, &alice, &one, 5_000_000)).await.unwrap();
    assert!(alice.finalize_withdraw(&one).await.unwrap().is_none());
    alice.initiate_withdraw(&one, usdc(5_000_000)).await.unwrap();
    let pending = alice.pending_withdrawal(alice.id(&one)).await.unwrap().unwrap();
    assert_eq!(pending.amount, usdc(5_000_000));
    let early = alice.finalize_withdraw(&one).await.unwrap_err();
    assert!(early.code() == "channel_withdraw_too_early" && early.is_retryable());
    town.chain.increase_time(DELAY);
    assert!(alice.finalize_withdraw(&one).await.unwrap().is_some());
    assert_eq!(town.balance(town.alice.address()), PURSE);
}

#[tokio::test]
async fn eves_vouchers_claim_nothing() {
    let town = Town::open().await;
    let bob = client(&town, &town.bob);
    let one = config(&town, 1);
    bob.deposit(&one, &deposit(&town, &bob, &one, 5_000_000)).await.unwrap();
    let mut forged = claim(&town, &bob, &one, 1_000_000);
    let voucher = Voucher { channelId: bob.id(&one), maxClaimableAmount: 1_000_000 };
    forged.signature = town.eve.sign_digest(&digest(&voucher, bob.domain()));
    assert_eq!(bob.claim(&[forged]).await.unwrap_err().code(), "channel_bad_signature");
    let stolen = client(&town, &town.eve).claim(&[claim(&town, &bob, &one, 1_000_000)]).await;
    assert_eq!(stolen.unwrap_err().code(), "channel_not_receiver");
    assert_ne!(bob.id(&one), bob.id(&config(&town, 2)));
    assert_eq!(bob.unsettled(Address::ZERO).await.unwrap(), usdc(0));
}

#[tokio::test]
async fn many_channels_are_read_watched_and_claimed_with_the_standards_calls_alone() {
    let town = Town::open().await;
    town.chain.fund_eth(town.alice.address(), U256::from(10).pow(U256::from(18)));
    let (alice, bob) = (client(&town, &town.alice), client(&town, &town.bob));
    let all = [1, 2, 3].map(|salt| config(&town, salt));
    for one in &all {
        bob.deposit(one, &deposit(&town, &bob, one, 1_000_000)).await.unwrap();
    }
    let before = town.chain.head().0;
    assert_eq!(bob.withdrawals(before).await.unwrap(), (vec![], before));
    alice.initiate_withdraw(&all[1], usdc(1_000_000)).await.unwrap();
    let (ids, read) = bob.withdrawals(0).await.unwrap();
    assert_eq!((ids, read), (vec![bob.id(&all[1])], town.chain.head().0));

    town.chain.increase_time(DELAY);
    alice.finalize_withdraw(&all[1]).await.unwrap();
    let claims = all.each_ref().map(|one| claim(&town, &bob, one, 400_000));
    bob.claim_then_settle(&claims).await.unwrap().unwrap();
    assert_eq!(town.balance(town.bob.address()), PURSE + 800_000, "the empty channel costs the others nothing");
    let ids: Vec<B256> = all.iter().map(|one| bob.id(one)).collect();
    let statuses = bob.statuses(&ids).await.unwrap();
    assert_eq!(statuses.iter().map(|status| status.funds.claimed).collect::<Vec<_>>(), [400_000, 0, 400_000].map(usdc));
    assert!(statuses.iter().all(|status| status.withdrawal.is_none() && status.refunds == 0));
    assert_eq!(bob.claim_then_settle(&claims[1..2]).await.unwrap_err().code(), "channel_claim_above_balance");
}
