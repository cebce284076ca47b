//! Receipts of orders and payments, for whoever wants to check them without this node.

use super::Inner;
use super::api::coded;
use crate::receipt;
use haggle_base::{Did, OrderId, cbor, cose};
use haggle_gateway::ApiError;
use haggle_settlement::facts::SettledFact;
use haggle_settlement::purse::{Purchase, PurchaseState};
use haggle_trade::proof::SETTLEMENT_KIND;
use haggle_trade::{OrderProof, OrderView, Settlement};
use haggle_x402::PaymentProof;
use serde_json::Value;

/// Why there is no receipt.
pub(super) fn nothing(detail: &'static str, hint: &'static str) -> ApiError {
    ApiError::new(http::StatusCode::CONFLICT, "no_receipt", detail, hint)
}

impl Inner {
    /// The receipt of an order that is over; see [`haggle_gateway::NodeApi::order_receipt`].
    pub(super) fn receipt_of_order(&self, view: &OrderView) -> Result<Value, ApiError> {
        let unsettled = || nothing("the chain has not closed this order yet", "follow it with `haggle order wait`");
        let order = view.id.ok_or_else(unsettled)?;
        let settled = self.settlement.facts_of(&order).map_err(coded)?.settled.ok_or_else(unsettled)?;
        let (agent, case) = match view.hire {
            Some(hire) => (view.buyer, self.buyer.case(hire)),
            None => (view.provider, self.desk.case(&order)),
        };
        let case = case.map_err(coded)?;
        let delivery = case.receipt.ok_or_else(|| {
            nothing("the seller signed no receipt: nothing was delivered", "the chain shows that the money went back")
        })?;
        let proof = OrderProof {
            arbitration: self.file.arbitration,
            terms: case.terms.into(),
            delivery: delivery.into(),
            settlement: self.sign_settlement(&agent, order, &settled)?.into(),
        };
        receipt::of_order(&proof).map_err(coded)
    }

    /// What our agent says of the end of its order, as the chain has it.
    fn sign_settlement(&self, agent: &Did, order: OrderId, settled: &SettledFact) -> Result<Vec<u8>, ApiError> {
        let said = Settlement {
            order,
            closed_by: settled.closed_by,
            paid: settled.paid,
            fee: settled.fee,
            refunded: settled.refunded,
            tx: settled.place.tx,
            block: settled.place.block,
            at: settled.place.time,
        };
        let keys = self.keys.get(agent).ok_or_else(|| ApiError::internal(&"the keys of our own agent are not here"))?;
        let bytes = cbor::to_vec(&said).map_err(coded)?;
        Ok(cose::sign(SETTLEMENT_KIND, &bytes, &keys.agent))
    }

    /// The receipt of a payment that a seller signed for; see [`haggle_gateway::NodeApi::payment_receipt`].
    pub(super) fn receipt_of_payment(&self, purchase: &Purchase) -> Result<Value, ApiError> {
        if purchase.state != PurchaseState::Paid {
            return Err(nothing("the chain does not show this payment", "ask again when its state is `paid`"));
        }
        if purchase.echo.is_none() {
            return Err(nothing("a direct transfer has no receipt", "its transaction is the proof"));
        }
        let unsigned = || nothing("the seller gave no receipt", "the transaction is the only proof of this payment");
        let said = self.purse.said(purchase).map_err(coded)?.ok_or_else(unsigned)?;
        let payload = self.purse.payload(purchase).map_err(coded)?;
        let proof = PaymentProof::of(&payload, &said).map_err(coded)?;
        receipt::of_payment(&proof).map_err(coded)
    }
}
