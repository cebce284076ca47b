//! Every operation of channels, and of what brings deposits to them.

use alloy::primitives::aliases::U40;
use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::signers::SignerSync as _;
use alloy::sol_types::{Eip712Domain, SolCall as _, SolStruct as _, SolValue as _, eip712_domain};
use haggle_devchain::DEV_CHAIN_ID;

use crate::stage::channel::{Channel, IChannel};
use crate::stage::collector::Erc3009Collector;
use crate::stage::{CHANNEL, COLLECTOR, Stage, Who, said, says};

mod signed {
    //! Types whose names the escrow's have too.
    alloy::sol! {
        struct Refund { bytes32 channelId; uint256 nonce; uint128 amount; }
        struct ClaimEntry { bytes32 channelId; uint128 maxClaimableAmount; uint128 totalClaimed; }
        struct ClaimBatch { ClaimEntry[] claims; }
    }
}

const DELAY: u64 = 24 * 3_600;

fn domain() -> Eip712Domain {
    eip712_domain! { name: "x402 Batch Settlement", version: "1", chain_id: DEV_CHAIN_ID, verifying_contract: CHANNEL, }
}

fn config(stage: &Stage, salt: u8) -> IChannel::ChannelConfig {
    IChannel::ChannelConfig {
        payer: stage.alice.address(),
        payerAuthorizer: if salt.is_multiple_of(2) { stage.alice.address() } else { Address::ZERO },
        receiver: stage.bob.address(),
        receiverAuthorizer: stage.carol.address(),
        token: stage.token,
        withdrawDelay: U40::from(DELAY),
        salt: B256::repeat_byte(salt),
    }
}

fn id(config: &IChannel::ChannelConfig) -> B256 {
    config.eip712_signing_hash(&domain())
}

fn deposit(stage: &Stage, config: &IChannel::ChannelConfig, amount: u64) -> Channel::depositCall {
    let (salt, before) = (U256::from(amount), stage.pair.now() + DELAY);
    let nonce = keccak256((id(config), salt).abi_encode());
    let payment = stage.payment(&stage.alice, COLLECTOR, amount, before, nonce);
    let data = (U256::ZERO, U256::from(before), salt, payment).abi_encode_params();
    Channel::depositCall {
        config: config.clone(),
        amount: u128::from(amount),
        collector_: COLLECTOR,
        collectorData: data.into(),
    }
}

fn row(stage: &Stage, config: &IChannel::ChannelConfig, most: u128, total: u128) -> IChannel::VoucherClaim {
    let voucher = said::Voucher { channelId: id(config), maxClaimableAmount: most };
    IChannel::VoucherClaim {
        voucher: IChannel::Voucher { channel: config.clone(), maxClaimableAmount: most },
        signature: says(&stage.alice, &voucher, &domain()),
        totalClaimed: total,
    }
}

impl Stage {
    async fn paid_in(&mut self, config: &IChannel::ChannelConfig, amount: u64) {
        let call = deposit(self, config, amount);
        self.done("deposit", Who::Dave, CHANNEL, &call).await;
    }

    async fn held(&self, config: &IChannel::ChannelConfig) {
        self.asks("a channel", CHANNEL, &Channel::channelsCall { channelId: id(config) }).await;
        self.asks("a withdrawal", CHANNEL, &Channel::pendingWithdrawalsCall { channelId: id(config) }).await;
        self.asks("its id", CHANNEL, &Channel::getChannelIdCall { config: config.clone() }).await;
    }
}

#[tokio::test]
#[ignore = "needs anvil from npm; cargo xtask test runs it"]
async fn channels_are_filled_and_claimed_alike() {
    let mut stage = Stage::set().await;
    let (one, two) = (config(&stage, 1), config(&stage, 2));
    let first = deposit(&stage, &one, 1_000_000);
    stage.done("deposit", Who::Dave, CHANNEL, &first).await;
    stage.fails("deposit again", Who::Dave, CHANNEL, &first).await;
    let mut wrong = deposit(&stage, &two, 1_000_000);
    wrong.config.withdrawDelay = U40::from(1);
    stage.fails("a delay too short", Who::Dave, CHANNEL, &wrong).await;
    let outside = Erc3009Collector::collectCall {
        payer: stage.alice.address(),
        token: stage.token,
        amount: U256::from(1),
        channelId: id(&one),
        collectorData: Bytes::new(),
    };
    stage.fails("collect from outside", Who::Dave, COLLECTOR, &outside).await;
    stage.paid_in(&two, 2_000_000).await;

    let claim = |rows| Channel::claimCall { voucherClaims: rows };
    let rows = vec![row(&stage, &one, 1_000, 1_000), row(&stage, &two, 2_000, 1_500)];
    stage.fails("a stranger's claim", Who::Dave, CHANNEL, &claim(rows.clone())).await;
    stage.done("claim", Who::Bob, CHANNEL, &claim(rows.clone())).await;
    stage.done("the same claim", Who::Bob, CHANNEL, &claim(rows)).await;
    let above = vec![row(&stage, &one, 2_000, 2_001)];
    stage.fails("a claim above the voucher", Who::Bob, CHANNEL, &claim(above)).await;

    let rows = vec![row(&stage, &one, 3_000, 3_000), row(&stage, &two, 4_000, 4_000)];
    let entries = rows.iter().map(|row| signed::ClaimEntry {
        channelId: id(&row.voucher.channel),
        maxClaimableAmount: row.voucher.maxClaimableAmount,
        totalClaimed: row.totalClaimed,
    });
    let batch = signed::ClaimBatch { claims: entries.collect() }.eip712_signing_hash(&domain());
    let signature: Bytes = stage.carol.key.sign_hash_sync(&batch).unwrap().as_bytes().into();
    let claim = Channel::claimWithSignatureCall { voucherClaims: rows, authorizerSignature: signature };
    stage.done("claim by signature", Who::Dave, CHANNEL, &claim).await;
    let settle = Channel::settleCall { receiver: stage.bob.address(), token_: stage.token };
    stage.done("settle", Who::Dave, CHANNEL, &settle).await;
    stage.done("settle nothing", Who::Dave, CHANNEL, &settle).await;

    let rows = vec![row(&stage, &one, 5_000, 5_000), row(&stage, &two, 5_000, 6_000)];
    let claim = Channel::claimAndSettleCall { voucherClaims: rows };
    stage.done("claim and settle, one row skipped", Who::Bob, CHANNEL, &claim).await;
    stage.fails("nothing to claim", Who::Bob, CHANNEL, &Channel::claimAndSettleCall { voucherClaims: vec![] }).await;
    stage.held(&one).await;
    stage.held(&two).await;
}

#[tokio::test]
#[ignore = "needs anvil from npm; cargo xtask test runs it"]
async fn channels_are_emptied_alike() {
    let mut stage = Stage::set().await;
    let (one, two) = (config(&stage, 1), config(&stage, 2));
    stage.paid_in(&one, 1_000_000).await;
    stage.paid_in(&two, 1_000_000).await;
    let start = Channel::initiateWithdrawCall { config: one.clone(), amount: 900_000 };
    stage.fails("a stranger's withdrawal", Who::Bob, CHANNEL, &start).await;
    stage.done("start a withdrawal", Who::Alice, CHANNEL, &start).await;
    stage.fails("start it again", Who::Alice, CHANNEL, &start).await;
    stage.held(&one).await;
    let finish = Channel::finalizeWithdrawCall { config: one.clone() };
    stage.fails("finish it too early", Who::Alice, CHANNEL, &finish).await;
    stage.pair.wait(DELAY);
    stage.done("finish it", Who::Alice, CHANNEL, &finish).await;

    let refund = Channel::refundCall { config: two.clone(), amount: 300_000 };
    stage.fails("a refund by the payer", Who::Alice, CHANNEL, &refund).await;
    stage.done("refund", Who::Bob, CHANNEL, &refund).await;
    stage.asks("the next refund", CHANNEL, &Channel::refundNonceCall { channelId: id(&two) }).await;
    let said = signed::Refund { channelId: id(&two), nonce: U256::from(1), amount: 700_000 };
    let by_signature = Channel::refundWithSignatureCall {
        config: two.clone(),
        amount: 700_000,
        nonce: U256::from(1),
        receiverAuthorizerSignature: says(&stage.carol, &said, &domain()),
    };
    stage.done("refund by signature", Who::Dave, CHANNEL, &by_signature).await;
    stage.fails("refund by signature again", Who::Dave, CHANNEL, &by_signature).await;

    let three = config(&stage, 4);
    let both = vec![
        deposit(&stage, &three, 5_000).abi_encode().into(),
        Channel::initiateWithdrawCall { config: three.clone(), amount: 5_000 }.abi_encode().into(),
    ];
    stage.done("both in one", Who::Alice, CHANNEL, &Channel::multicallCall { data: both.clone() }).await;
    stage.fails("both in one again", Who::Alice, CHANNEL, &Channel::multicallCall { data: both }).await;
    stage.held(&three).await;
}
