//! What became of strangers' signed transfers: made, void, taken back, or paid by a wallet contract.

use alloy::consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy::eips::eip2718::Encodable2718 as _;
use alloy::primitives::{Bytes, TxKind, U256};
use alloy::rpc::client::RpcClient;
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolCall as _;
use haggle_base::eip712::{TransferWithAuthorization, digest};
use haggle_base::{Address, B256, Coded as _, PaymentKey};
use haggle_devchain::Taken;
use haggle_escrow::{TransferClient, TransferPlace, TransferStanding};

use crate::town::{PURSE, Town};

const PRICE: u64 = 20_000;

fn eve(town: &Town) -> TransferClient {
    TransferClient::new(town.reader(), &town.eve).unwrap()
}

/// Alice's transfer to bob, good for ten minutes.
fn paying(town: &Town, nonce: u8) -> TransferWithAuthorization {
    TransferWithAuthorization {
        from: town.alice.address(),
        to: town.bob.address(),
        value: U256::from(PRICE),
        validAfter: U256::ZERO,
        validBefore: U256::from(town.chain.head().1 + 600),
        nonce: B256::repeat_byte(nonce),
    }
}

fn signed(town: &Town, by: &PaymentKey, transfer: &TransferWithAuthorization) -> Vec<u8> {
    by.sign_digest(&digest(transfer, town.token())).as_bytes().to_vec()
}

fn made(standing: TransferStanding) -> TransferPlace {
    match standing {
        TransferStanding::Made(place) => place,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_transfer_is_found_again_where_it_was_made() {
    let town = Town::open().await;
    let eve = eve(&town);
    let transfer = paying(&town, 1);
    assert_eq!(eve.standing(&transfer).await.unwrap(), TransferStanding::Open);
    let tx = eve.transfer(&transfer, &signed(&town, &town.alice, &transfer)).await.unwrap();
    town.chain.mine(30);
    let place = made(eve.standing(&transfer).await.unwrap());
    assert_eq!((place.tx, place.block), (tx.hash, tx.block));
    assert_eq!(eve.place(tx.hash, tx.block).await.unwrap(), place);
    assert_eq!(eve.reader().block_hash(place.block).await.unwrap(), Some(place.block_hash));
    assert_eq!(eve.reader().block_hash(9_999).await.unwrap(), None);
}

#[tokio::test]
async fn a_nonce_that_was_used_for_something_else_is_void() {
    let town = Town::open().await;
    let eve = eve(&town);
    let first = paying(&town, 1);
    eve.transfer(&first, &signed(&town, &town.alice, &first)).await.unwrap();
    let elsewhere = TransferWithAuthorization { to: town.eve.address(), ..first.clone() };
    let more = TransferWithAuthorization { value: U256::from(PRICE + 1), ..first.clone() };
    for other in [elsewhere, more] {
        assert_eq!(eve.standing(&other).await.unwrap(), TransferStanding::Void);
    }
    // Another payer's nonce of the same bytes is another nonce.
    let hers = TransferWithAuthorization { from: town.eve.address(), ..first };
    assert_eq!(eve.standing(&hers).await.unwrap(), TransferStanding::Open);
}

alloy::sol! {
    #[derive(Debug)]
    struct Call3 { address target; bool allowFailure; bytes callData; }
    function aggregate3(Call3[] calls) external payable;
    function transferWithAuthorization(
        address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, bytes signature
    ) external;
}

/// Eve's first transaction, with any call.
async fn send(town: &Town, to: Address, input: Vec<u8>) {
    let signer = PrivateKeySigner::from_slice(&*town.eve.secret_bytes()).unwrap();
    let unsigned = TxEip1559 {
        chain_id: town.config().chain_id,
        gas_limit: 1_000_000,
        max_fee_per_gas: 100_000_000_000,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(to),
        input: input.into(),
        ..TxEip1559::default()
    };
    let signature = signer.sign_hash_sync(&unsigned.signature_hash()).unwrap();
    let signed: TxEnvelope = unsigned.into_signed(signature).into();
    let rpc = RpcClient::new(town.chain.transport(), true);
    let _hash: B256 = rpc.request("eth_sendRawTransaction", (Bytes::from(signed.encoded_2718()),)).await.unwrap();
}

#[tokio::test]
async fn two_nonces_of_one_transaction_do_not_count_as_two_payments() {
    let town = Town::open().await;
    let eve = eve(&town);
    // Alice pays bob once, and uses up the second nonce by paying herself, in one transaction.
    let (first, second) = (paying(&town, 1), paying(&town, 2));
    let to_herself = TransferWithAuthorization { to: town.alice.address(), ..second.clone() };
    let token = town.chain.deployment().unwrap().token;
    let calls = [&to_herself, &first].map(|transfer| Call3 {
        target: token,
        allowFailure: false,
        callData: transferWithAuthorizationCall {
            from: transfer.from,
            to: transfer.to,
            value: transfer.value,
            validAfter: transfer.validAfter,
            validBefore: transfer.validBefore,
            nonce: transfer.nonce,
            signature: signed(&town, &town.alice, transfer).into(),
        }
        .abi_encode()
        .into(),
    });
    let multicall = town.chain.deployment().unwrap().multicall;
    send(&town, multicall, aggregate3Call { calls: calls.to_vec() }.abi_encode()).await;
    assert_eq!(town.balance(town.bob.address()), PURSE + PRICE);
    made(eve.standing(&first).await.unwrap());
    assert_eq!(eve.standing(&second).await.unwrap(), TransferStanding::Void, "bob was paid once");
}

#[tokio::test]
async fn a_transfer_that_leaves_the_chain_is_open_again_and_can_be_made_again() {
    let town = Town::open().await;
    let eve = eve(&town);
    let transfer = paying(&town, 1);
    let signature = signed(&town, &town.alice, &transfer);
    let tx = eve.transfer(&transfer, &signature).await.unwrap();
    let place = eve.place(tx.hash, tx.block).await.unwrap();
    town.chain.reorg(1, Taken::Lost).unwrap();
    assert_ne!(eve.reader().block_hash(place.block).await.unwrap(), Some(place.block_hash));
    assert_eq!(eve.standing(&transfer).await.unwrap(), TransferStanding::Open);
    // The sender may bring the first transaction in again while it is asked: then the second one is refused. What counts
    // is where the transfer stands.
    if let Err(error) = eve.transfer(&transfer, &signature).await {
        assert!(["reverted_authorization_used", "reverted_on_chain"].contains(&error.code()), "{error}");
    }
    made(eve.standing(&transfer).await.unwrap());
    assert_eq!(town.balance(town.bob.address()), PURSE + PRICE);
}

/// A wallet contract that accepts every signature: it answers ERC-1271's word to whatever it is asked.
const ANYTHING_GOES: &str = "0x631626ba7e60e01b60005260206000f3";

#[tokio::test]
async fn a_wallet_contract_pays_by_its_own_word() {
    let town = Town::open().await;
    let eve = eve(&town);
    let wallet = Address::repeat_byte(0x5a);
    town.chain.mint_usdc(wallet, PURSE).unwrap();
    let transfer = TransferWithAuthorization { from: wallet, ..paying(&town, 1) };
    let word = vec![7; 300];
    assert_eq!(eve.would_pass(&transfer, &word).await.unwrap_err().code(), "reverted_bad_signature", "no contract yet");
    let rpc = RpcClient::new(town.chain.transport(), true);
    let _done: Option<()> = rpc.request("anvil_setCode", (wallet, ANYTHING_GOES)).await.unwrap();
    eve.transfer(&transfer, &word).await.unwrap();
    made(eve.standing(&transfer).await.unwrap());
    assert_eq!(town.balance(wallet), PURSE - PRICE);
}

#[tokio::test]
async fn of_two_senders_of_one_transfer_one_makes_it() {
    let town = Town::open().await;
    let (eve, bob) = (eve(&town), TransferClient::new(town.reader(), &town.bob).unwrap());
    let transfer = paying(&town, 1);
    let signature = signed(&town, &town.alice, &transfer);
    let (one, two) = tokio::join!(eve.transfer(&transfer, &signature), bob.transfer(&transfer, &signature));
    assert_eq!([one.is_ok(), two.is_ok()].iter().filter(|made| **made).count(), 1);
    assert_eq!(town.balance(town.bob.address()), PURSE + PRICE);
}
