//! Strangers' signed transfers, made by eve who only pays the gas.

use alloy::primitives::{Bytes, U256};
use alloy::rpc::client::RpcClient;
use haggle_base::eip712::{TransferWithAuthorization, digest};
use haggle_base::{Address, B256, PaymentKey};
use haggle_devchain::Taken;
use haggle_escrow::{ExactClient, SignedTransfer, TransferError, TransferRefused, TransferSignature, TransferStanding};

use crate::town::{PURSE, Town, usdc};

const PRICE: u64 = 20_000;

fn eve(town: &Town) -> ExactClient {
    ExactClient::new(town.reader(), &town.eve).unwrap()
}

/// `payer`'s transfer to bob, good for five minutes.
fn transfer(town: &Town, payer: &PaymentKey, nonce: u8) -> SignedTransfer {
    let now = town.chain.head().1;
    signed(town, payer, payer.address(), (now - 600, now + 300), nonce)
}

fn signed(town: &Town, signer: &PaymentKey, from: Address, (after, before): (u64, u64), nonce: u8) -> SignedTransfer {
    let message = TransferWithAuthorization {
        from,
        to: town.bob.address(),
        value: U256::from(PRICE),
        validAfter: U256::from(after),
        validBefore: U256::from(before),
        nonce: B256::repeat_byte(nonce),
    };
    SignedTransfer {
        from,
        to: message.to,
        value: usdc(PRICE),
        valid_after: message.validAfter,
        valid_before: message.validBefore,
        nonce: message.nonce,
        signature: TransferSignature::Key(signer.sign_digest(&digest(&message, &town.token))),
    }
}

fn in_one_piece(mut transfer: SignedTransfer) -> SignedTransfer {
    if let TransferSignature::Key(signature) = transfer.signature {
        transfer.signature = TransferSignature::Contract(Bytes::copy_from_slice(signature.as_bytes()));
    }
    transfer
}

fn refused(error: TransferError) -> TransferRefused {
    match error {
        TransferError::Refused(refused) => refused,
        TransferError::Chain(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_transfer_is_made_once_in_either_form_and_found_again() {
    let town = Town::open().await;
    let eve = eve(&town);
    for (nonce, one_piece) in [(1, false), (2, true)] {
        let mut paying = transfer(&town, &town.alice, nonce);
        if one_piece {
            paying = in_one_piece(paying);
        }
        eve.simulate(&paying).await.unwrap();
        assert_eq!(eve.standing(&paying).await.unwrap(), TransferStanding::Open);
        let mined = eve.transfer(&paying).await.unwrap();
        assert_eq!(eve.standing(&paying).await.unwrap(), TransferStanding::Paid(mined));
        assert_eq!(eve.block_hash(mined.block).await.unwrap(), Some(mined.block_hash));
        assert_eq!(refused(eve.simulate(&paying).await.unwrap_err()), TransferRefused::Used);
        assert_eq!(refused(eve.transfer(&paying).await.unwrap_err()), TransferRefused::Used);
    }
    assert_eq!(town.balance(town.bob.address()), PURSE + 2 * PRICE);
    assert_eq!(eve.block_hash(9_999).await.unwrap(), None);
    town.assert_conserved();
}

#[tokio::test]
async fn what_the_token_refuses_is_told_by_class_and_nothing_moves() {
    let town = Town::open().await;
    let eve = eve(&town);
    let now = town.chain.head().1;
    let alice = town.alice.address();
    let poor = PaymentKey::from_bytes(&[0x77; 32]).unwrap();
    let cases = [
        (signed(&town, &town.alice, alice, (now - 600, now), 1), TransferRefused::Expired),
        (signed(&town, &town.alice, alice, (now + 600, now + 900), 2), TransferRefused::NotYetValid),
        (signed(&town, &town.eve, alice, (0, now + 300), 3), TransferRefused::Signature),
        (signed(&town, &poor, poor.address(), (0, now + 300), 4), TransferRefused::Funds),
    ];
    for (paying, why) in cases {
        assert_eq!(refused(eve.simulate(&paying).await.unwrap_err()), why);
        assert_eq!(refused(eve.transfer(&paying).await.unwrap_err()), why);
        assert_eq!(refused(eve.simulate(&in_one_piece(paying.clone())).await.unwrap_err()), why);
        assert_eq!(eve.standing(&paying).await.unwrap(), TransferStanding::Open);
    }
    assert_eq!(town.balance(town.bob.address()), PURSE);
}

#[tokio::test]
async fn a_nonce_that_was_used_for_something_else_is_void() {
    let town = Town::open().await;
    let eve = eve(&town);
    let first = transfer(&town, &town.alice, 1);
    eve.transfer(&first).await.unwrap();
    let another = SignedTransfer { to: town.eve.address(), ..first.clone() };
    assert_eq!(eve.standing(&another).await.unwrap(), TransferStanding::Void);
    let more = SignedTransfer { value: usdc(PRICE + 1), ..first.clone() };
    assert_eq!(eve.standing(&more).await.unwrap(), TransferStanding::Void);
    // Another payer's nonce of the same bytes is another nonce.
    let hers = SignedTransfer { from: town.eve.address(), ..first };
    assert_eq!(eve.standing(&hers).await.unwrap(), TransferStanding::Open);
}

#[tokio::test]
async fn of_two_senders_of_one_transfer_one_is_told_that_it_is_used() {
    let town = Town::open().await;
    let (eve, bob) = (eve(&town), ExactClient::new(town.reader(), &town.bob).unwrap());
    let paying = transfer(&town, &town.alice, 1);
    let (one, two) = tokio::join!(eve.transfer(&paying), bob.transfer(&paying));
    let made = [&one, &two].iter().filter(|made| made.is_ok()).count();
    assert_eq!(made, 1);
    for client in [&eve, &bob] {
        assert!(matches!(client.standing(&paying).await.unwrap(), TransferStanding::Paid(_)));
    }
    assert_eq!(town.balance(town.bob.address()), PURSE + PRICE);
}

#[tokio::test]
async fn a_transfer_that_leaves_the_chain_is_open_again() {
    let town = Town::open().await;
    let eve = eve(&town);
    let paying = transfer(&town, &town.alice, 1);
    let mined = eve.transfer(&paying).await.unwrap();
    town.chain.reorg(1, Taken::Lost).unwrap();
    assert_ne!(eve.block_hash(mined.block).await.unwrap(), Some(mined.block_hash));
    assert_eq!(eve.standing(&paying).await.unwrap(), TransferStanding::Open);
    let again = eve.transfer(&paying).await.unwrap();
    assert_eq!(eve.standing(&paying).await.unwrap(), TransferStanding::Paid(again));
}

/// A wallet contract that accepts every signature: it answers ERC-1271's word to whatever it is asked.
const ANYTHING_GOES: &str = "0x631626ba7e60e01b60005260206000f3";

#[tokio::test]
async fn a_wallet_contract_pays_by_its_own_word() {
    let town = Town::open().await;
    let eve = eve(&town);
    let wallet = Address::repeat_byte(0x5a);
    town.chain.mint_usdc(wallet, PURSE).unwrap();
    let now = town.chain.head().1;
    let mut paying = signed(&town, &town.alice, wallet, (0, now + 300), 1);
    assert_eq!(refused(eve.simulate(&paying).await.unwrap_err()), TransferRefused::Signature, "no contract yet");
    let rpc = RpcClient::new(town.chain.transport(), true);
    let _done: Option<()> = rpc.request("anvil_setCode", (wallet, ANYTHING_GOES)).await.unwrap();
    paying.signature = TransferSignature::Contract(Bytes::from(vec![7; 300]));
    eve.transfer(&paying).await.unwrap();
    assert!(matches!(eve.standing(&paying).await.unwrap(), TransferStanding::Paid(_)));
    assert_eq!(town.balance(wallet), PURSE - PRICE);
}

#[tokio::test]
async fn many_transfers_at_once_all_arrive() {
    let town = Town::open().await;
    let eve = eve(&town);
    let calls: Vec<_> = (1..=40)
        .map(|nonce| {
            let (eve, paying) = (eve.clone(), transfer(&town, &town.alice, nonce));
            tokio::spawn(async move { eve.transfer(&paying).await })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(town.balance(town.bob.address()), PURSE + 40 * PRICE);
}
