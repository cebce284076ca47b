//! The till: x402 payments of the scheme `exact`, from the offer to the receipt, each worked for and settled once.
//!
//! A [`Sale`] is offered with [`Till::offer`]. A payment that comes for it is taken with [`Till::take`], which gives a
//! [`Ticket`] to exactly one caller: verified, reserved on disk, and in the flow `upfront` already settled. Whoever holds
//! the ticket does the work and hands the answer in with [`Till::worked`], or gives up with [`Till::failed`]. The same
//! payment again gets the stored answer, or waits for it; also when it buys nothing any more ([`Till::again`]).
//!
//! ```text
//! upfront        take: verify -> reserve -> settle -> [ticket] -> worked: store the answer -> receipt
//! authorization  take: verify -> reserve -> [ticket] -> worked: store the answer -> settle -> receipt
//! ```
//!
//! What holds, whatever is killed when (`docs/protocols/x402-exact.md` has the table of crash points):
//! - A payment is one of chain, token, payer and nonce. It has one row, one ticket at a time, and buys one request.
//! - What may have been sent is looked up on the chain before anything is sent again.
//! - An answer is on disk before it leaves, and before an `authorization` is settled.
//! - Money that came in is booked in the same transaction as the payment's row; a block that leaves the chain takes the
//!   booking back.

mod again;
mod answer;
mod credit;
mod facilitator;
mod follow;
mod money;
mod record;
mod refused;
mod sale;
mod seats;
mod take;
mod work;

#[cfg(test)]
mod laws;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use again::Asked;
pub use credit::CreditLimits;
pub(crate) use record::{SpendKey, spend_key};
pub use refused::Refused;
pub use sale::{Caller, MAX_RESOURCE, Sale};
pub use seats::Waiting;
pub use take::Taken;
pub use work::{MAX_ANSWER, Ticket};

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use alloy_primitives::Address;
use haggle_base::Timestamp;
use haggle_store::{Blobs, Store};
use haggle_x402::{
    ChainRef, ExactFacts, PaymentFlow, PaymentRequired, PaymentRequirements, Reason, Resource, exact,
    extensions::{offer_receipt, payment_identifier},
};

use crate::{Settlement, SettlementError, ports::exact::ExactChain};
use credit::{Credit, Debt};
use record::{Flow, IdKey, TillLosses, TillOpen, TillPayment, TillPayments};
use seats::Seats;

/// Settings of the till.
#[derive(Debug, Clone)]
pub struct TillConfig {
    /// The chain and the token.
    pub facts: ExactFacts,
    /// How long a payment should stay valid, as buyers are told.
    pub timeout: Duration,
    /// How much longer a payment has to be valid than now, for settling takes time.
    pub margin: Duration,
    /// How much work is done before it is paid.
    pub credit: CreditLimits,
    /// Blocks after which a payment is no longer looked after.
    pub confirmations: u64,
    /// How long answers are kept, and payments whose work was not done.
    pub keep: Duration,
    /// Whether a buyer has to send a payment identifier.
    pub require_id: bool,
    /// Payments that may be worked on at one time.
    pub most_at_once: usize,
}

impl TillConfig {
    /// Five minutes to pay, six seconds to settle, the default credit, 20 blocks, answers kept for a day.
    #[must_use]
    pub fn new(facts: ExactFacts) -> Self {
        Self {
            facts,
            timeout: Duration::from_secs(300),
            margin: Duration::from_secs(6),
            credit: CreditLimits::default(),
            confirmations: 20,
            keep: Duration::from_secs(24 * 3600),
            require_id: false,
            most_at_once: 4096,
        }
    }
}

/// The handle of the till. Clones share everything.
#[derive(Clone)]
pub struct Till {
    inner: Arc<Inner>,
}

struct Inner {
    settlement: Settlement,
    chain: Arc<dyn ExactChain>,
    blobs: Blobs,
    config: TillConfig,
    credit: Mutex<Credit>,
    seats: Seats<SpendKey>,
    ids: Seats<IdKey>,
    /// Where the last look at open payments ended.
    looked: Mutex<Option<SpendKey>>,
    /// Held while the chain is followed, so that two callers do not do the same.
    following: tokio::sync::Mutex<()>,
}

impl fmt::Debug for Till {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Till").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl Till {
    /// Opens the till on the books of `settlement`. Long answers go to `blobs`.
    ///
    /// What was on its way to the chain is not looked at here: call [`Till::follow_once`] when the chain can be reached.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn open(
        settlement: Settlement,
        chain: Arc<dyn ExactChain>,
        blobs: Blobs,
        config: TillConfig,
    ) -> Result<Self, SettlementError> {
        let credit = load_credit(&settlement.inner.store)?;
        let inner = Inner {
            settlement,
            chain,
            blobs,
            config,
            credit: Mutex::new(credit),
            seats: Seats::default(),
            ids: Seats::default(),
            looked: Mutex::default(),
            following: tokio::sync::Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Asks for a payment. `others` are the entries of rails beside this one; `refused` is why the last payment was not
    /// taken, if one came.
    ///
    /// # Errors
    /// [`Reason::Requirements`] if the seller's key is not in this home or the price is nothing.
    pub fn offer(
        &self,
        sale: &Sale,
        others: Vec<PaymentRequirements>,
        refused: Option<&Refused>,
    ) -> Result<PaymentRequired, Refused> {
        let wants_upfront = refused.is_some_and(|refused| refused.reason == Reason::Flow);
        let flow = if !wants_upfront && self.has_credit(sale) { Flow::Authorization } else { Flow::Upfront };
        let mut accepts = vec![self.inner.requirement(sale, flow)?];
        accepts.extend(others);
        let text = refused.map_or("Payment required", |refused| refused.reason.word());
        let mut asked = PaymentRequired::new(Resource::new(sale.resource.as_str()), accepts).with_error(text);
        payment_identifier::announce(&mut asked.rest, self.inner.config.require_id);
        self.sign_offers(sale, &mut asked)?;
        Ok(asked)
    }

    /// The chain and token the till takes.
    #[must_use]
    pub fn facts(&self) -> &ExactFacts {
        &self.inner.config.facts
    }

    fn has_credit(&self, sale: &Sale) -> bool {
        let (limits, now) = (&self.inner.config.credit, self.inner.now());
        let listing = (&sale.seller, &sale.listing);
        self.inner.credit().has_room(limits, &sale.caller, listing, sale.amount.units(), now)
    }

    fn sign_offers(&self, sale: &Sale, asked: &mut PaymentRequired) -> Result<(), Refused> {
        let until = self.inner.now().plus(self.inner.config.timeout);
        let mut offers = Vec::with_capacity(asked.accepts.len());
        for (index, entry) in asked.accepts.iter().enumerate() {
            let offer = offer_receipt::Offer::of(entry, sale.resource.as_str(), Some(until));
            let digest = offer_receipt::Statement::digest(&offer);
            let signature = self.inner.settlement.inner.wallet.sign(&sale.seller, &digest).map_err(|_| no_seller())?;
            let mut signed = offer_receipt::Signed::new(offer, &signature);
            signed.accept_index = Some(index);
            offers.push(signed);
        }
        offer_receipt::put_offers(asked, &offers).map_err(|_| Refused::because(Reason::Requirements, "no offer"))
    }
}

impl Inner {
    fn store(&self) -> &Store {
        &self.settlement.inner.store
    }

    fn now(&self) -> Timestamp {
        self.settlement.inner.clock.now()
    }

    fn credit(&self) -> MutexGuard<'_, Credit> {
        self.credit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn network(&self) -> ChainRef {
        self.config.facts.network()
    }

    fn payment(&self, key: &SpendKey) -> Result<Option<TillPayment>, SettlementError> {
        Ok(self.store().get::<TillPayments>(key)?)
    }

    /// What a sale asks for, in one flow.
    fn requirement(&self, sale: &Sale, flow: Flow) -> Result<PaymentRequirements, Refused> {
        let pay_to: Address = self.settlement.payment_address(&sale.seller).ok_or_else(no_seller)?;
        let flow = match flow {
            Flow::Upfront => PaymentFlow::Upfront,
            Flow::Authorization => PaymentFlow::Authorization,
        };
        exact::requirement(&self.config.facts, pay_to, sale.amount, self.config.timeout, &flow)
            .map_err(|_| Refused::because(Reason::Requirements, "what is free needs no payment"))
    }
}

/// Whether the till knows a payment.
pub(crate) fn has_row(store: &Store, key: &SpendKey) -> Result<bool, haggle_store::StoreError> {
    store.contains::<TillPayments>(key)
}

fn no_seller() -> Refused {
    Refused::because(Reason::Requirements, "the seller's payment key is not in this home")
}

/// What is owed from before a restart: work whose payment is not on the chain, and losses.
fn load_credit(store: &Store) -> Result<Credit, SettlementError> {
    use std::ops::Bound::Unbounded;

    let mut credit = Credit::default();
    let mut lost = BTreeSet::new();
    for ((at, key), loss) in store.range::<TillLosses>(Unbounded, usize::MAX)? {
        credit.restore_loss(at, loss);
        lost.insert(key);
    }
    for (key, _) in store.range::<TillOpen>(Unbounded, usize::MAX)? {
        if !lost.contains(&key)
            && let Some(payment) = store.get::<TillPayments>(&key)?
            && let Some(debt) = debt_of(&payment, false)
        {
            credit.restore(key, debt);
        }
    }
    Ok(credit)
}

/// What a payment owes while it is not settled; nothing if it was to be paid before the work.
fn debt_of(payment: &TillPayment, proven: bool) -> Option<Debt> {
    let sold = payment.sold.as_ref().filter(|sold| sold.flow == Flow::Authorization)?;
    Some(Debt {
        payer: payment.transfer.from.into_array(),
        caller: sold.caller.clone(),
        seller: sold.seller,
        listing: sold.listing.clone(),
        units: payment.transfer.value.units(),
        proven,
    })
}
