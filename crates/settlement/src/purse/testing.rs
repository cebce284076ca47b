//! Alice's purse, and a shop that asks her for money.

use serde_json::json;
use tempfile::TempDir;

use haggle_x402::{PaymentFlow, exact::Transfer};

use super::*;
use crate::testing::{Home, escrow, usdc};

/// Whom the shop wants paid.
pub(super) const SHOP: Address = Address::repeat_byte(0x5a);
/// How long a payment of the shop's may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

/// A home, Alice's purse in it, and the folder of its blobs.
pub(super) struct Shopper {
    pub(super) home: Home,
    pub(super) purse: Purse,
    folder: TempDir,
}

impl Shopper {
    pub(super) async fn with_balance(units: u64) -> Self {
        Self::over(Home::with_balance(units).await, tempfile::tempdir().unwrap())
    }

    fn over(home: Home, folder: TempDir) -> Self {
        let blobs = Blobs::open(folder.path()).unwrap();
        let purse = Purse::new(home.settlement.clone(), facts(), blobs, home.chain.clone());
        Self { home, purse, folder }
    }

    /// After a restart: only what was stored is left.
    pub(super) async fn restarted(self) -> Self {
        Self::over(self.home.restarted().await, self.folder)
    }

    pub(super) fn wanted(&self, key: &str, what: &str) -> Wanted {
        Wanted {
            agent: self.home.alice,
            key: Text::try_from(key).unwrap(),
            request: Hash::of(what.as_bytes()),
            about: Text::try_from(what).unwrap(),
        }
    }

    pub(super) async fn buy(&self, key: &str, units: u64) -> Result<Purchase, PurseError> {
        let offer = asks(units);
        let entry = self.purse.choose(&offer, usdc(units))?;
        self.purse.sign(&self.wanted(key, "http://shop/"), &offer, entry).await
    }

    /// What the shop can do with a payload.
    pub(super) fn transfer_in(&self, payload: &PaymentPayload) -> Transfer {
        Transfer::of(payload, &payload.accepted, &facts()).unwrap()
    }

    /// The shop submits a payload.
    pub(super) async fn submit(&self, payload: &PaymentPayload) -> Result<TxRef, crate::ports::ChainError> {
        self.submitted(&self.transfer_in(payload)).await
    }

    /// Anybody submits a transfer.
    pub(super) async fn submitted(&self, transfer: &Transfer) -> Result<TxRef, crate::ports::ChainError> {
        TokenChain::transfer(&*self.home.chain, &self.home.bob, transfer).await
    }

    pub(super) async fn reserved(&self) -> Usdc {
        self.home.settlement.wallet(&self.home.alice).await.unwrap().reserved
    }
}

pub(super) fn facts() -> ExactFacts {
    ExactFacts::new(31_337, escrow().token().clone())
}

/// A 402 answer that asks for so much, and knows payment identifiers.
pub(super) fn asks(units: u64) -> PaymentRequired {
    let entry = exact::requirement(&facts(), SHOP, usdc(units), PATIENCE, &PaymentFlow::Authorization).unwrap();
    let mut offer = PaymentRequired::new(Resource::new("http://shop/"), vec![entry]);
    payment_identifier::announce(&mut offer.rest, true);
    let extensions = offer.rest.get_mut("extensions").and_then(Value::as_object_mut).unwrap();
    extensions.insert("unheard-of".to_owned(), json!({"info": {"kept": 1}}));
    offer
}
