//! Paying strangers with one signed transfer of the token: x402's `exact` as a buyer, and direct transfers.
//!
//! A payment belongs to a key that the caller chose. It is signed once, on a reservation of the agent's budget, and is on
//! disk before it leaves; the same key gives the same signature again for as long as that one can still be used. Whether it
//! was used is read from the chain, never believed from the seller.
//!
//! ```text
//! (nothing) -> signed -> paid
//!                 \----> lapsed -> signed anew, with another nonce
//! ```

mod error;
mod payment;
mod port;
mod records;
mod settling;
mod signing;

use std::{fmt, sync::Arc, time::Duration};

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use haggle_base::{Did, Hash, Text, Timestamp, Usdc};
use haggle_store::Blobs;
use haggle_x402::{
    Atomic, ExactFacts, PaymentPayload, PaymentRequired, PaymentRequirements, Resource, Scheme, SettleResponse,
    choose::{Choice, Means, choose},
    exact::{self, ExactAuthorization},
    extensions::payment_identifier::{self, PaymentId},
};

use crate::{Settlement, SettlementError, ports::TxRef};

pub use error::PurseError;
pub use payment::{Answer, Purchase, PurchaseState};
pub use port::TokenChain;
use records::{Nonces, Purchases};

/// Names a payment: chosen by the caller, unique for the agent.
pub type PurchaseKey = Text<64>;

/// Longest time a signature stands, whatever the seller asks for: what it holds back is not free before.
const LONGEST_VALID: Duration = Duration::from_secs(3600);
/// How long a direct transfer's signature stands.
const TRANSFER_VALID: Duration = Duration::from_secs(600);
/// What a payment is for, before it is known what it costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Who pays.
    pub agent: Did,
    /// The payment's name.
    pub key: PurchaseKey,
    /// Hash of what is asked for: method, URL and body. The same key never pays for anything else.
    pub request: Hash,
    /// Whom or what it pays, in words: a URL, or the reason of a transfer.
    pub about: Text<2048>,
}

/// The seller's words that a payload has to repeat, as they are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Echo {
    accepted: PaymentRequirements,
    resource: Resource,
    extensions: Option<Value>,
}

/// The handle of the purse. Clones share everything.
#[derive(Clone)]
pub struct Purse {
    settlement: Settlement,
    facts: Arc<ExactFacts>,
    blobs: Blobs,
    chain: Arc<dyn TokenChain>,
}

impl fmt::Debug for Purse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Purse").field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl Purse {
    /// A purse over the books of `settlement`; `blobs` keeps what does not fit a row.
    #[must_use]
    pub fn new(settlement: Settlement, facts: ExactFacts, blobs: Blobs, chain: Arc<dyn TokenChain>) -> Self {
        Self { settlement, facts: Arc::new(facts), blobs, chain }
    }

    /// The payment of this name.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn find(&self, agent: &Did, key: &str) -> Result<Option<Purchase>, PurseError> {
        Ok(self.settlement.inner.store.get::<Purchases>(&(*agent, key.to_owned())).map_err(SettlementError::from)?)
    }

    /// The payment that this nonce belongs to: the `order` of a ledger entry.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn find_nonce(&self, nonce: &B256) -> Result<Option<Purchase>, PurseError> {
        let store = &self.settlement.inner.store;
        match store.get::<Nonces>(&(*nonce).into()).map_err(SettlementError::from)? {
            Some((agent, key)) => self.find(&agent, &key),
            None => Ok(None),
        }
    }

    /// Picks the way to pay `offer`: the cheapest that is understood, at most `max`.
    ///
    /// # Errors
    /// [`PurseError::NothingPayable`], [`PurseError::AboveMax`].
    pub fn choose<'a>(&self, offer: &'a PaymentRequired, max: Usdc) -> Result<&'a PaymentRequirements, PurseError> {
        let means = Means { facts: (*self.facts).clone(), schemes: vec![Scheme::Exact], budget: max };
        match choose(offer, &means) {
            Choice::Pay(entry) => Ok(entry),
            Choice::OverBudget { cheapest } => Err(PurseError::AboveMax { cheapest, max }),
            Choice::NothingKnown => Err(PurseError::NothingPayable),
        }
    }

    /// Signs the payment of `accepted`, an entry of `offer`, on the agent's budget, or gives the one that was signed under
    /// this key before.
    ///
    /// A new signature is made only if there is none, or the last one can no longer be used.
    ///
    /// # Errors
    /// [`PurseError::KeyTaken`] if the key paid for something else; what a reservation is refused for.
    pub async fn sign(
        &self,
        wanted: &Wanted,
        offer: &PaymentRequired,
        accepted: &PaymentRequirements,
    ) -> Result<Purchase, PurseError> {
        let amount = accepted.amount.to_usdc().ok_or(PurseError::NothingPayable)?;
        let from = self.address(&wanted.agent)?;
        let timeout = LONGEST_VALID.min(Duration::from_secs(accepted.max_timeout_seconds));
        let bounded = PaymentRequirements { max_timeout_seconds: timeout.as_secs(), ..accepted.clone() };
        let to = bounded.pay_to.parse().map_err(|_| PurseError::NothingPayable)?;
        let authorization =
            |nonce, now| ExactAuthorization::paying(&bounded, from, now, nonce).map_err(|_| PurseError::NothingPayable);
        let echo = Echo {
            accepted: accepted.clone(),
            resource: offer.resource.clone(),
            extensions: offer.rest.get("extensions").cloned(),
        };
        let echo = serde_json::to_vec(&echo).map_err(|_| PurseError::NothingPayable)?;
        let echo = self.blobs.put(&echo).map_err(SettlementError::from)?;
        self.once(wanted, to, amount, Some(echo), authorization).await
    }

    /// The payload of a signed payment, as it goes to the seller: the same every time.
    ///
    /// # Errors
    /// [`PurseError::NotForSale`] for a direct transfer; what was kept of the offer is damaged.
    pub fn payload(&self, purchase: &Purchase) -> Result<PaymentPayload, PurseError> {
        let echo = purchase.echo.ok_or(PurseError::NotForSale)?;
        let kept = self.blobs.get(&echo).map_err(SettlementError::from)?.ok_or(PurseError::Lost)?;
        let Echo { accepted, resource, extensions } = serde_json::from_slice(&kept).map_err(|_| PurseError::Lost)?;
        let asks_id = extensions.as_ref().is_some_and(|all| all.get(payment_identifier::KEY).is_some());
        let authorization = purchase.authorization.clone();
        let mut payload = exact::payload(accepted, &resource, authorization, &purchase.signature, extensions.as_ref())
            .map_err(|_| PurseError::Lost)?;
        if asks_id
            && let Ok(id) = PaymentId::try_from(format!("haggle-{}", Hash::of(purchase.nonce().as_slice())).as_str())
        {
            payment_identifier::attach(&mut payload, &id);
        }
        Ok(payload)
    }

    /// Keeps what the seller said became of the payment, and the transaction it named. The chain still decides.
    ///
    /// # Errors
    /// The store failed.
    pub async fn heard(&self, purchase: &Purchase, said: &SettleResponse) -> Result<Purchase, PurseError> {
        let kept = serde_json::to_vec(said).map_err(|_| PurseError::Lost)?;
        let kept = self.blobs.put(&kept).map_err(SettlementError::from)?;
        let tx = said.transaction.parse::<B256>().ok();
        self.edit(purchase, move |purchase| {
            purchase.said = Some(kept);
            purchase.tx = tx.or(purchase.tx);
        })
        .await
    }

    /// What the seller said became of the payment: with extension `offer-receipt`, its signed receipt.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn said(&self, purchase: &Purchase) -> Result<Option<SettleResponse>, PurseError> {
        let Some(hash) = purchase.said else { return Ok(None) };
        let kept = self.blobs.get(&hash).map_err(SettlementError::from)?.ok_or(PurseError::Lost)?;
        serde_json::from_slice(&kept).map(Some).map_err(|_| PurseError::Lost)
    }

    /// Keeps the answer that was paid for, so that the same key gives it again.
    ///
    /// # Errors
    /// The store failed.
    pub async fn answered(
        &self,
        purchase: &Purchase,
        status: u16,
        content_type: Text<128>,
        body: &[u8],
    ) -> Result<Purchase, PurseError> {
        let body = self.blobs.put(body).map_err(SettlementError::from)?;
        self.edit(purchase, move |purchase| purchase.answer = Some(Answer { status, content_type, body })).await
    }

    /// The body of a kept answer.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn body(&self, answer: &Answer) -> Result<Vec<u8>, PurseError> {
        self.blobs.get(&answer.body).map_err(SettlementError::from)?.ok_or(PurseError::Lost)
    }

    /// Sends `amount` to an address with a reason, once per key.
    ///
    /// # Errors
    /// What a reservation is refused for; `rpc_down` and `chain_outcome_unknown`: ask again with the same key.
    pub async fn transfer(&self, wanted: &Wanted, to: Address, amount: Usdc) -> Result<Purchase, PurseError> {
        let from = self.address(&wanted.agent)?;
        let authorization = |nonce, now: Timestamp| {
            Ok(ExactAuthorization {
                from,
                to,
                value: amount.into(),
                valid_after: Atomic::from_number(0),
                valid_before: Atomic::from_number(now.plus(TRANSFER_VALID).as_secs()),
                nonce,
                rest: Map::new(),
            })
        };
        let mut purchase = self.once(wanted, to, amount, None, authorization).await?;
        if purchase.state == PurchaseState::Signed {
            purchase = self.settle_up(&purchase).await?;
        }
        if purchase.state != PurchaseState::Signed {
            return Ok(purchase);
        }
        let signed = purchase.transfer(&self.facts).ok_or(PurseError::Lost)?;
        let sent = self.chain.transfer(&wanted.agent, &signed).await;
        if let Ok(TxRef { hash, .. }) = sent {
            purchase = self.edit(&purchase, move |purchase| purchase.tx = Some(hash)).await?;
        }
        let seen = self.settle_up(&purchase).await?;
        match (seen.state, sent) {
            (PurchaseState::Signed, Err(error)) => Err(SettlementError::from(error).into()),
            _ => Ok(seen),
        }
    }

    fn address(&self, agent: &Did) -> Result<Address, SettlementError> {
        self.settlement.payment_address(agent).ok_or(SettlementError::WalletMissing)
    }

    /// Changes what is kept beside the payment itself.
    async fn edit(
        &self,
        purchase: &Purchase,
        edit: impl FnOnce(&mut Purchase) + Send + 'static,
    ) -> Result<Purchase, PurseError> {
        let row = purchase.row();
        let edited = self
            .settlement
            .change(move |inner, change| {
                let mut purchase = inner.store.get::<Purchases>(&row)?.ok_or(SettlementError::ReservationUnknown)?;
                edit(&mut purchase);
                change.batch.put::<Purchases>(&row, &purchase)?;
                Ok(purchase)
            })
            .await?;
        Ok(edited)
    }
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
