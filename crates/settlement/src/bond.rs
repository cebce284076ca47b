//! Bonds: what each side of a dispute puts up, bound to the order, the side and the evidence.

use alloy_primitives::{B256, U256};

use haggle_base::{
    Did, EvmSignature, Order, Side, Timestamp, Usdc,
    eip712::{BOND_BUYER, BOND_PROVIDER, Bond, ReceiveWithAuthorization, digest},
};

use crate::{SettlementError, handle::Settlement};

impl Settlement {
    /// The agent's bond for its side of a dispute about `evidence`, good until chain time `until`. Its nonce is the digest
    /// of order, side and evidence, so that the token takes it once, however often it is signed. Without a bond in the
    /// order it is the signature over that digest.
    ///
    /// # Errors
    /// `not_a_party`, `wallet_missing`, `insufficient_funds` if the wallet does not hold it, `rpc_down`.
    pub async fn sign_bond(
        &self,
        agent: &Did,
        order: &Order,
        side: Side,
        evidence: B256,
        until: Timestamp,
    ) -> Result<EvmSignature, SettlementError> {
        let (party, side) = match side {
            Side::Buyer => (order.buyer, BOND_BUYER),
            Side::Provider => (order.provider, BOND_PROVIDER),
        };
        self.own(agent, party)?;
        let id = self.escrow().order_id(order);
        let nonce = digest(&Bond { orderId: *id.as_b256(), side, evidence }, self.escrow().escrow_domain());
        if order.bond.is_zero() {
            return Ok(self.inner.wallet.sign(agent, &nonce)?);
        }
        let wanted = Usdc::try_from(order.bond).map_err(|_| SettlementError::OrderAmountInvalid)?;
        let wallet = self.wallet(agent).await?;
        if wallet.available < wanted {
            return Err(SettlementError::InsufficientFunds { available: wallet.available });
        }
        let payment = ReceiveWithAuthorization {
            from: party,
            to: self.escrow().escrow(),
            value: U256::from(order.bond),
            validAfter: U256::ZERO,
            validBefore: U256::from(until.as_secs()),
            nonce,
        };
        Ok(self.inner.wallet.sign(agent, &digest(&payment, self.escrow().token_domain()))?)
    }
}
