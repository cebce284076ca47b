//! What a channel came to, signed by the agent that it pays.

use alloy_primitives::B256;

use haggle_base::{Did, EvmSignature, Usdc, eip712::channel::ChannelConfig};
use haggle_x402::{
    BatchSettled, ChannelProof, ChannelReceipt, SignedVoucher,
    batch::{
        self, code,
        receipt::{self, Said},
    },
};

use super::{ChannelSale, Inner, Map, Selling, Slot, Taken};
use crate::{SettlementError, channels::refusal::Refusal};

impl Selling {
    /// The proof of what a channel paid an agent of this home; `None` if no voucher of it is held.
    ///
    /// # Errors
    /// `channel_unknown`; `wallet_missing` if the agent's key is not here.
    pub fn receipt(&self, channel: &B256) -> Result<Option<ChannelProof>, SettlementError> {
        let inner = &self.inner;
        let slot = inner.slots.read().get(channel).cloned().ok_or(SettlementError::ChannelUnknown)?;
        let (agent, config, standing, voucher) = {
            let open = slot.lock();
            let Some(held) = &open.held else { return Ok(None) };
            (open.row.agent, open.row.channel.clone(), standing(&open), held.signature)
        };
        let receipt = inner.say(&agent, channel, standing)?;
        let facts = &inner.config.facts;
        let (chain_id, contract) = (facts.chain_id(), facts.contract());
        Ok(Some(ChannelProof { chain_id, contract, channel: (&config).into(), voucher, receipt }))
    }
}

impl Inner {
    /// A payer asks for a receipt, with a voucher over exactly what was charged. It is for who can sign on the channel, and
    /// for a channel that is known: nothing is looked up for it.
    pub(super) fn receipt(
        &self,
        sale: &ChannelSale,
        channel: &ChannelConfig,
        voucher: &SignedVoucher,
    ) -> Result<Taken, Refusal> {
        let slot = self.known(channel, voucher)?.ok_or_else(|| Refusal::of(code::CHANNEL_NOT_FOUND))?;
        if slot.lock().row.agent != sale.seller {
            return Err(Refusal::of(code::RECEIVER_MISMATCH));
        }
        if !self.config.facts.is_signed_by(voucher, channel.payerAuthorizer) {
            return Err(Refusal::of(code::VOUCHER_SIGNATURE));
        }
        let (state, standing) = {
            let open = slot.lock();
            if voucher.max_claimable != open.charged() {
                return Err(Refusal::with(code::CUMULATIVE_MISMATCH, (open.state(), open.proof())));
            }
            (open.state(), standing(&open))
        };
        let receipt = self.say(&sale.seller, &voucher.channel_id, standing)?;
        let said = serde_json::to_value(receipt).map_err(|_| SettlementError::OrderAmountInvalid)?;
        let rest = Map::from_iter([(receipt::FIELD.to_owned(), said)]);
        let extra = BatchSettled { charged_amount: None, channel_state: Some(state), rest };
        let told = batch::batch_settled(&self.config.facts, channel.payer, None, None, &extra)?;
        Ok(Taken::Receipt(Box::new(told)))
    }

    fn say(&self, agent: &Did, id: &B256, standing: (Usdc, Usdc)) -> Result<ChannelReceipt, SettlementError> {
        let (charged, claimed) = standing;
        let issued_at = self.settlement.inner.clock.now().as_secs();
        let sign = |digest: &B256| -> Result<EvmSignature, SettlementError> {
            Ok(self.settlement.inner.wallet.sign(agent, digest)?)
        };
        ChannelReceipt::sign(&self.config.facts, id, &Said { seller: *agent, charged, claimed, issued_at }, sign)
    }
}

/// Charged and claimed. A home that was restored from an old copy holds a voucher that was overtaken: what was claimed was
/// charged.
fn standing(slot: &Slot) -> (Usdc, Usdc) {
    let (charged, claimed) = (slot.charged(), slot.row.seen.claimed);
    (charged, claimed.min(charged))
}
