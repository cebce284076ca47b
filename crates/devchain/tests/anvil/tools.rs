//! Every operation of the token, the registry, the anchor and Multicall3.

use alloy::primitives::{Address, B256, Bytes, Signature, U256, keccak256};
use alloy::signers::SignerSync as _;
use alloy::sol_types::{SolCall as _, SolStruct as _, eip712_domain};
use haggle_devchain::DEV_CHAIN_ID;

use crate::stage::anchor::Anchor;
use crate::stage::multicall::Multicall3;
use crate::stage::registry::Registry8004;
use crate::stage::token::TestUSDC;
use crate::stage::{MULTICALL, Stage, Who, said, says};

#[tokio::test]
#[ignore = "needs anvil from npm; cargo xtask test runs it"]
async fn the_token_moves_alike() {
    let mut stage = Stage::set().await;
    let token = stage.token;
    let (alice, bob) = (stage.alice.address(), stage.bob.address());
    let value = U256::from(1_000);
    stage.fails("a stranger's mint", Who::Bob, token, &TestUSDC::mintCall { to: bob, value }).await;
    stage.done("transfer", Who::Alice, token, &TestUSDC::transferCall { to: bob, value }).await;
    stage.fails("too much", Who::Carol, token, &TestUSDC::transferCall { to: bob, value }).await;
    stage.done("approve", Who::Alice, token, &TestUSDC::approveCall { spender: bob, value }).await;
    let take = TestUSDC::transferFromCall { from: alice, to: bob, value };
    stage.done("take", Who::Bob, token, &take).await;
    stage.fails("take again", Who::Bob, token, &take).await;

    let (deadline, usdc) = (U256::from(stage.pair.now() + 1_000), stage.usdc());
    let permit = said::Permit { owner: alice, spender: bob, value, nonce: U256::ZERO, deadline };
    let signature = stage.alice.key.sign_hash_sync(&permit.eip712_signing_hash(&usdc)).unwrap();
    let bytes =
        TestUSDC::permit_0Call { owner: alice, spender: bob, value, deadline, signature: signature.as_bytes().into() };
    stage.done("permit", Who::Dave, token, &bytes).await;
    stage.fails("permit again", Who::Dave, token, &bytes).await;
    let permit = said::Permit { owner: alice, spender: bob, value, nonce: U256::from(1), deadline };
    let signature = stage.alice.key.sign_hash_sync(&permit.eip712_signing_hash(&usdc)).unwrap();
    let (v, r, s) = (27 + u8::from(signature.v()), signature.r().into(), signature.s().into());
    stage
        .done(
            "permit in parts",
            Who::Dave,
            token,
            &TestUSDC::permit_1Call { owner: alice, spender: bob, value, deadline, v, r, s },
        )
        .await;

    let nonce = B256::repeat_byte(1);
    let payment = said::TransferWithAuthorization {
        from: alice,
        to: bob,
        value,
        validAfter: U256::ZERO,
        validBefore: deadline,
        nonce,
    };
    let signature = stage.alice.key.sign_hash_sync(&payment.eip712_signing_hash(&usdc)).unwrap();
    let (v, r, s) = (27 + u8::from(signature.v()), signature.r().into(), signature.s().into());
    let exact = TestUSDC::transferWithAuthorization_1Call {
        from: alice,
        to: bob,
        value,
        validAfter: U256::ZERO,
        validBefore: deadline,
        nonce,
        v,
        r,
        s,
    };
    stage.done("an exact payment", Who::Dave, token, &exact).await;
    let again = TestUSDC::transferWithAuthorization_0Call {
        from: alice,
        to: bob,
        value,
        validAfter: U256::ZERO,
        validBefore: deadline,
        nonce,
        signature: signature.as_bytes().into(),
    };
    stage.fails("the same in one piece", Who::Dave, token, &again).await;

    let nonce = B256::repeat_byte(2);
    let receive = TestUSDC::receiveWithAuthorization_0Call {
        from: alice,
        to: bob,
        value,
        validAfter: U256::ZERO,
        validBefore: deadline,
        nonce,
        signature: stage.payment(&stage.alice, bob, 1_000, deadline.to(), nonce),
    };
    stage.fails("received by another", Who::Dave, token, &receive).await;
    stage.done("received", Who::Bob, token, &receive).await;
    let nonce = B256::repeat_byte(4);
    let payment = stage.payment(&stage.alice, bob, 1_000, deadline.to(), nonce);
    let parts = Signature::from_raw(&payment).unwrap();
    let (v, r, s) = (27 + u8::from(parts.v()), parts.r().into(), parts.s().into());
    let receive = TestUSDC::receiveWithAuthorization_1Call {
        from: alice,
        to: bob,
        value,
        validAfter: U256::ZERO,
        validBefore: deadline,
        nonce,
        v,
        r,
        s,
    };
    stage.done("received in parts", Who::Bob, token, &receive).await;
    stage.fails("received twice", Who::Bob, token, &receive).await;
    let nonce = B256::repeat_byte(5);
    let payment = said::TransferWithAuthorization {
        from: alice,
        to: bob,
        value,
        validAfter: U256::ZERO,
        validBefore: deadline,
        nonce,
    };
    let whole = TestUSDC::transferWithAuthorization_0Call {
        from: alice,
        to: bob,
        value,
        validAfter: U256::ZERO,
        validBefore: deadline,
        nonce,
        signature: says(&stage.alice, &payment, &usdc),
    };
    stage.done("an exact payment in one piece", Who::Dave, token, &whole).await;
    let nonce = B256::repeat_byte(6);
    let word = says(&stage.alice, &said::CancelAuthorization { authorizer: alice, nonce }, &usdc);
    let parts = Signature::from_raw(&word).unwrap();
    let (v, r, s) = (27 + u8::from(parts.v()), parts.r().into(), parts.s().into());
    let cancel = TestUSDC::cancelAuthorization_0Call { authorizer: alice, nonce, v, r, s };
    stage.done("cancelled in parts", Who::Dave, token, &cancel).await;
    stage.fails("cancelled twice", Who::Dave, token, &cancel).await;
    let nonce = B256::repeat_byte(3);
    let signature = says(&stage.alice, &said::CancelAuthorization { authorizer: alice, nonce }, &usdc);
    let cancel = TestUSDC::cancelAuthorization_1Call { authorizer: alice, nonce, signature };
    stage.done("cancel", Who::Dave, token, &cancel).await;
    stage.fails("cancel again", Who::Dave, token, &cancel).await;
    for account in [alice, bob, stage.dave.address()] {
        stage.asks("a balance", token, &TestUSDC::balanceOfCall { account }).await;
    }
}

#[tokio::test]
#[ignore = "needs anvil from npm; cargo xtask test runs it"]
async fn agents_are_registered_and_rated_alike() {
    let mut stage = Stage::set().await;
    let (registry, wallet) = (stage.registry, stage.carol.address());
    stage.done("an agent", Who::Bob, registry, &Registry8004::register_0Call {}).await;
    let entry = Registry8004::MetadataEntry { metadataKey: "libp2p.peerId".into(), metadataValue: vec![1, 2].into() };
    let card = Registry8004::register_1Call { agentURI: "https://example.org/card".into(), metadata: vec![entry] };
    stage.done("an agent with a card and metadata", Who::Bob, registry, &card).await;
    let card = Registry8004::register_2Call { agentURI: "https://example.org/card".into() };
    stage.done("an agent with a card", Who::Bob, registry, &card).await;
    let agent = U256::ZERO;
    let set = Registry8004::setMetadataCall { agentId: agent, metadataKey: "k".into(), metadataValue: vec![7].into() };
    stage.done("metadata", Who::Bob, registry, &set).await;
    stage.fails("a stranger's metadata", Who::Alice, registry, &set).await;

    let home = eip712_domain! {
        name: "ERC8004IdentityRegistry", version: "1", chain_id: DEV_CHAIN_ID, verifying_contract: registry,
    };
    let deadline = U256::from(stage.pair.now() + 60);
    let said = said::AgentWalletSet { agentId: agent, newWallet: wallet, owner: stage.bob.address(), deadline };
    let signature = says(&stage.carol, &said, &home);
    let set = Registry8004::setAgentWalletCall { agentId: agent, newWallet: wallet, deadline, signature };
    stage.done("a wallet", Who::Bob, registry, &set).await;
    stage.fails("a stranger's wallet", Who::Alice, registry, &set).await;
    let give = Registry8004::giveFeedbackCall {
        agentId: agent,
        value: -5,
        valueDecimals: 1,
        tag1: "haggle".into(),
        tag2: String::new(),
        endpoint: "e".into(),
        feedbackURI: String::new(),
        feedbackHash: B256::repeat_byte(5),
    };
    stage.done("feedback", Who::Alice, registry, &give).await;
    stage.fails("feedback on oneself", Who::Bob, registry, &give).await;
    stage
        .asks(
            "a summary",
            registry,
            &Registry8004::getSummaryCall {
                agentId: agent,
                clientAddresses: vec![stage.alice.address()],
                tag1: "haggle".into(),
                tag2: String::new(),
            },
        )
        .await;
    stage
        .asks(
            "no clients",
            registry,
            &Registry8004::getSummaryCall {
                agentId: agent,
                clientAddresses: Vec::new(),
                tag1: String::new(),
                tag2: String::new(),
            },
        )
        .await;
    let (from, to) = (stage.bob.address(), stage.alice.address());
    let hand_over = Registry8004::transferFromCall { from, to, tokenId: agent };
    stage.done("handed over", Who::Bob, registry, &hand_over).await;
    stage.fails("handed over again", Who::Bob, registry, &hand_over).await;
    let approve = Registry8004::approveCall { to: wallet, tokenId: agent };
    stage.fails("a former owner's approval", Who::Bob, registry, &approve).await;
    stage.done("an approval", Who::Alice, registry, &approve).await;
    stage.asks("whom it approves", registry, &Registry8004::getApprovedCall { tokenId: agent }).await;
    let (from, to) = (to, from);
    let taken = Registry8004::safeTransferFrom_0Call { from, to, tokenId: agent };
    stage.fails("taken by nobody it approved", Who::Dave, registry, &taken).await;
    stage.done("taken", Who::Carol, registry, &taken).await;
    let (from, to) = (to, from);
    let all = Registry8004::setApprovalForAllCall { operator: wallet, approved: true };
    stage.done("an operator", Who::Bob, registry, &all).await;
    let data = Bytes::from(vec![1, 2, 3]);
    let taken = Registry8004::safeTransferFrom_1Call { from, to, tokenId: agent, data: data.clone() };
    stage.done("taken by the operator", Who::Carol, registry, &taken).await;
    let back = Registry8004::safeTransferFrom_1Call { from: to, to: registry, tokenId: agent, data };
    stage.fails("to a contract that takes none", Who::Alice, registry, &back).await;
    stage.asks("the owner", registry, &Registry8004::ownerOfCall { tokenId: agent }).await;
    stage.asks("the card", registry, &Registry8004::tokenURICall { agentId: U256::from(1) }).await;
    stage.asks("the wallet", registry, &Registry8004::getAgentWalletCall { agentId: agent }).await;
}

#[tokio::test]
#[ignore = "needs anvil from npm; cargo xtask test runs it"]
async fn roots_and_calls_together_work_alike() {
    let mut stage = Stage::set().await;
    let anchor = stage.anchor;
    let leaf = B256::repeat_byte(4);
    let root = keccak256([&[0], &leaf[..]].concat());
    let post = Anchor::postCall { root, cid: vec![1; 36].into() };
    stage.done("a root", Who::Bob, anchor, &post).await;
    stage.fails("no root", Who::Bob, anchor, &Anchor::postCall { root: B256::ZERO, cid: Bytes::new() }).await;
    stage.fails("a long name", Who::Bob, anchor, &Anchor::postCall { root, cid: vec![1; 65].into() }).await;
    for attestation in [leaf, root] {
        let publisher = stage.bob.address();
        stage
            .asks(
                "a proof",
                anchor,
                &Anchor::verifyCall { publisher, epoch: U256::ZERO, attestation, proof: Vec::new() },
            )
            .await;
    }

    let supply = Bytes::from(TestUSDC::totalSupplyCall {}.abi_encode());
    let calls = |token: Address, anchor: Address| {
        vec![
            Multicall3::Call { target: token, callData: supply.clone() },
            Multicall3::Call { target: anchor, callData: vec![1, 2, 3, 4].into() },
        ]
    };
    let calls = calls(stage.token, anchor);
    let any = Multicall3::tryAggregateCall { requireSuccess: false, calls: calls.clone() };
    stage.done("calls that may fail", Who::Dave, MULTICALL, &any).await;
    stage.asks("what they answer", MULTICALL, &any).await;
    let all = Multicall3::tryAggregateCall { requireSuccess: true, calls };
    stage.fails("calls that must not fail", Who::Dave, MULTICALL, &all).await;
    let one = Multicall3::Call3 { target: stage.token, allowFailure: false, callData: supply };
    stage.done("three parts", Who::Dave, MULTICALL, &Multicall3::aggregate3Call { calls: vec![one] }).await;
    let account = stage.bob.address();
    stage.asks("ether", MULTICALL, &Multicall3::getEthBalanceCall { account }).await;
}
