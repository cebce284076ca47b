//! Trade's memory: reputation makes the attestations, the catalog spreads them.

use crate::keyring::Keyring;
use async_trait::async_trait;
use haggle_base::{B256, Did, Hash, NetworkFile, Parties, Side, Signed, cbor};
use haggle_catalog::{Catalog, Origin};
use haggle_reputation::attest::rating_by_outcome;
use haggle_reputation::{Reputation, SettledOrder};
use haggle_trade::PortError;
use haggle_trade::ports::{Attestor, SettledFacts};
use std::fmt;
use std::sync::Arc;

/// Largest encoded parties that are read back.
const MAX_PARTIES: usize = 512;

/// Signs and publishes what our side of a settled order has to say.
pub(crate) struct Publisher {
    pub(crate) reputation: Reputation,
    pub(crate) catalog: Catalog,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) network: NetworkFile,
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("network", &self.network.id).finish_non_exhaustive()
    }
}

#[async_trait]
impl Attestor for Publisher {
    async fn attest(&self, facts: SettledFacts, own_side: Side) -> Result<(), PortError> {
        let agent: Did = match own_side {
            Side::Buyer => facts.buyer,
            Side::Provider => facts.provider,
        };
        let keys = self.keys.get(&agent).ok_or_else(|| PortError {
            code: "wallet_missing",
            hint: "restore the agent's keys in this home",
            retryable: false,
            detail: format!("the keys of {agent} are not here"),
        })?;
        let parties: Parties =
            cbor::from_slice(&facts.parties, MAX_PARTIES).map_err(|error| PortError::new(&error, false))?;
        let settled = SettledOrder {
            chain_id: self.network.chain_id,
            escrow: self.network.escrow,
            order: facts.id,
            parties,
            terms_rest: facts.terms_rest,
            capability: facts.capability,
            amount: facts.amount,
            paid: facts.paid,
            fee: facts.fee,
            closed_by: facts.closed_by,
            latency_ms: facts.latency_ms,
            request_hash: facts.request_hash,
            response_hash: facts.response_hash,
            provider_consent: Some(facts.provider_consent),
        };
        let rating = facts.rating.or_else(|| rating_by_outcome(own_side, facts.closed_by));
        let sign = |digest: &B256| Some(keys.payment.sign_digest(digest));
        let records = self
            .reputation
            .attest(&settled, own_side, rating, sign)
            .map_err(|error| PortError::new(&error, error.is_retryable()))?;
        for record in records {
            let signed = Signed::sign(&record, &keys.agent).map_err(|error| PortError::new(&error, false))?;
            let id = Hash::of(signed.bytes());
            let put = self.catalog.put(signed.bytes().to_vec(), Origin::Local).await;
            let outcome = put.map_err(|error| PortError::new(&error, true))?;
            tracing::debug!(order.id = %facts.id, "attested {id} for order {}: {outcome:?}", facts.id);
        }
        Ok(())
    }
}
