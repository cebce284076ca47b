//! Signing once: reservation, signature and row in one step.

use std::sync::Arc;

use alloy_primitives::{Address, B256, keccak256};

use haggle_base::{Hash, Timestamp, Usdc, eip712::digest};
use haggle_x402::{ExactFacts, exact::ExactAuthorization};

use super::{
    Purchase, PurchaseState, Purse, PurseError, Wanted,
    records::{Nonces, OpenPurchases, Purchases},
};
use crate::{
    SettlementError,
    books::Change,
    budget::{command, event},
    handle::{Inner, reservation_key, reserve_now},
};

/// How often a payment reads the balance again because the chain moved meanwhile.
const BALANCE_READS: usize = 3;

impl Purse {
    /// Reserves, signs and stores in one step, unless there is a payment of this key that can still be used.
    pub(super) async fn once(
        &self,
        wanted: &Wanted,
        to: Address,
        amount: Usdc,
        echo: Option<Hash>,
        authorization: impl Fn(B256, Timestamp) -> Result<ExactAuthorization, PurseError>,
    ) -> Result<Purchase, PurseError> {
        let from = self.address(&wanted.agent)?;
        for read in 1.. {
            let known = self.find(&wanted.agent, &wanted.key)?;
            if let Some(known) = &known {
                if known.request != wanted.request {
                    return Err(PurseError::KeyTaken);
                }
                if known.state != PurchaseState::Lapsed {
                    return Ok(known.clone());
                }
            }
            let attempt = known.map_or(0, |known| known.attempt + 1);
            let nonce = nonce_of(wanted, &to, amount, attempt);
            let moved = self.settlement.inner.books.lock().await.chain_changes;
            let balance = self.settlement.inner.chain.balance(from).await.map_err(SettlementError::from)?;
            let chain_now = self.settlement.chain_now().await?;
            let now = chain_now.max(self.settlement.inner.clock.now());
            let draft = Draft { attempt, amount, echo, balance, authorization: authorization(nonce, now)? };
            let (wanted, facts) = (wanted.clone(), Arc::clone(&self.facts));
            let signed = self.settlement.change(move |inner, change| {
                if change.chain_changes() != moved && read < BALANCE_READS {
                    return Ok(None);
                }
                sign_now(inner, change, &facts, wanted, draft).map(Some)
            });
            if let Some(purchase) = signed.await? {
                return Ok(purchase);
            }
        }
        Err(PurseError::Lost)
    }
}

/// All of a payment but its signature.
struct Draft {
    attempt: u32,
    amount: Usdc,
    echo: Option<Hash>,
    balance: Usdc,
    authorization: ExactAuthorization,
}

/// The nonce follows from what is paid under which key: even a home restored from its seed alone cannot pay it twice.
fn nonce_of(wanted: &Wanted, to: &Address, amount: Usdc, attempt: u32) -> B256 {
    let agent = wanted.agent.to_string();
    let parts: [&[u8]; 7] = [
        b"haggle purse 1",
        wanted.request.as_bytes(),
        to.as_slice(),
        &amount.units().to_be_bytes(),
        &attempt.to_be_bytes(),
        agent.as_bytes(),
        wanted.key.as_bytes(),
    ];
    keccak256(parts.concat())
}

fn sign_now(
    inner: &Inner,
    change: &mut Change<'_>,
    facts: &ExactFacts,
    wanted: Wanted,
    draft: Draft,
) -> Result<Purchase, SettlementError> {
    let Draft { attempt, amount, echo, balance, authorization } = draft;
    let (agent, nonce) = (wanted.agent, authorization.nonce);
    let row = (agent, wanted.key.as_str().to_owned());
    if let Some(known) = inner.store.get::<Purchases>(&row)?
        && (known.attempt, known.state) != (attempt.wrapping_sub(1), PurchaseState::Lapsed)
    {
        // somebody with the same key was faster
        return if known.request == wanted.request { Ok(known) } else { Err(SettlementError::ReservationTaken) };
    }
    let reservation = reservation_key(&format!("purse:{nonce}"))?;
    reserve_now(inner, change, reservation.clone(), agent, amount, balance)?;
    let now = change.now();
    let order = nonce.into();
    let command = command::Authorise { key: reservation.clone(), order, deposit: amount };
    match change.agent(&agent).budget.authorise(&command, now) {
        event::Authorise::Granted => {}
        event::Authorise::OverPerCall { limit } => return Err(SettlementError::BudgetPerCall { limit }),
        event::Authorise::OverPerDay { limit, left } => return Err(SettlementError::BudgetPerDay { limit, left }),
        event::Authorise::AlreadyGranted | event::Authorise::OtherOrder { .. } => {
            return Err(SettlementError::AlreadyAuthorised { order });
        }
        event::Authorise::Unknown | event::Authorise::Expired | event::Authorise::OverReserved { .. } => {
            return Err(SettlementError::ReservationUnknown);
        }
    }
    change.keep_reservation(&agent, &reservation);
    let message = authorization.message().map_err(|_| SettlementError::OrderAmountInvalid)?;
    let signature = inner.wallet.sign(&agent, &digest(&message, facts.domain()))?;
    let ends = u64::try_from(message.validBefore).map_or(Timestamp::MAX, Timestamp::from_secs);
    let purchase = Purchase {
        agent,
        key: wanted.key,
        request: wanted.request,
        about: wanted.about,
        attempt,
        amount,
        authorization,
        signature,
        ends,
        reservation,
        signed_at: now,
        echo,
        state: PurchaseState::Signed,
        tx: None,
        said: None,
        answer: None,
    };
    change.batch.put::<Purchases>(&row, &purchase)?;
    change.batch.put::<OpenPurchases>(&row, &0)?;
    change.batch.put::<Nonces>(&nonce.into(), &row)?;
    Ok(purchase)
}
