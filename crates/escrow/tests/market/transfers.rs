//! Signed transfers: anybody sends them, the payer needs no gas, and none is made twice.

use haggle_base::eip712::{TransferWithAuthorization, digest};
use haggle_base::{B256, U256};
use haggle_escrow::{EscrowError, TransferClient, TransferStanding};

use crate::town::{PURSE, Town, usdc};

fn transfer(town: &Town, units: u64, nonce: u8) -> TransferWithAuthorization {
    TransferWithAuthorization {
        from: town.alice.address(),
        to: town.bob.address(),
        value: U256::from(units),
        validAfter: U256::ZERO,
        validBefore: U256::from(town.chain.head().1 + 600),
        nonce: B256::repeat_byte(nonce),
    }
}

#[tokio::test]
async fn anybody_sends_a_signed_transfer_once() {
    let town = Town::open().await;
    let eve = TransferClient::new(town.reader(), &town.eve).unwrap();
    let payment = transfer(&town, 20_000, 1);
    let signature = town.alice.sign_digest(&digest(&payment, town.token()));

    eve.would_pass(&payment, signature.as_bytes()).await.unwrap();
    assert!(!eve.reader().authorization_used(town.alice.address(), payment.nonce).await.unwrap());
    eve.transfer(&payment, signature.as_bytes()).await.unwrap();
    assert!(eve.reader().authorization_used(town.alice.address(), payment.nonce).await.unwrap());
    assert_eq!(eve.reader().balance_of(town.bob.address()).await.unwrap(), usdc(PURSE + 20_000));

    for sent in [
        eve.would_pass(&payment, signature.as_bytes()).await,
        eve.transfer(&payment, signature.as_bytes()).await.map(drop),
    ] {
        assert!(matches!(sent, Err(EscrowError::Reverted(_))), "{sent:?}");
    }
    assert_eq!(eve.reader().balance_of(town.bob.address()).await.unwrap(), usdc(PURSE + 20_000));
}

#[tokio::test]
async fn a_signature_for_something_else_moves_nothing() {
    let town = Town::open().await;
    let eve = TransferClient::new(town.reader(), &town.eve).unwrap();
    let signature = town.alice.sign_digest(&digest(&transfer(&town, 1, 2), town.token()));
    let dearer = transfer(&town, 2, 2);
    assert!(matches!(eve.transfer(&dearer, signature.as_bytes()).await, Err(EscrowError::Reverted(_))));
    // of the form that only a wallet contract could take
    assert!(matches!(eve.would_pass(&dearer, &[7; 70]).await, Err(EscrowError::Reverted(_))));
    assert_eq!(eve.reader().balance_of(town.bob.address()).await.unwrap(), usdc(PURSE));
}

#[tokio::test]
async fn a_transfer_is_found_whoever_sent_it_and_another_with_its_nonce_is_told_apart() {
    let town = Town::open().await;
    let (bob, eve) = (&town.bob, TransferClient::new(town.reader(), &town.eve).unwrap());
    let payment = transfer(&town, 20_000, 3);
    assert_eq!(eve.standing(&payment).await.unwrap(), TransferStanding::Open);
    let signature = town.alice.sign_digest(&digest(&payment, town.token()));
    let bob = TransferClient::new(town.reader(), bob).unwrap();
    let sent = bob.transfer(&payment, signature.as_bytes()).await.unwrap();
    town.chain.mine(3);
    let TransferStanding::Made(place) = eve.standing(&payment).await.unwrap() else { panic!("it was made") };
    assert_eq!((place.tx, place.block), (sent.hash, sent.block));
    assert_eq!(eve.place(sent.hash, sent.block).await.unwrap(), place);
    assert_eq!(eve.standing(&transfer(&town, 1, 3)).await.unwrap(), TransferStanding::Void);
}
