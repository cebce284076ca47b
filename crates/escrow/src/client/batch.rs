//! Many orders in one transaction: rows that fail are skipped and cost the others nothing.

use std::collections::HashMap;

use alloy::primitives::Bytes;
use alloy::rpc::types::TransactionReceipt;
use alloy::sol_types::SolCall as _;
use haggle_base::{EvmSignature, Order, OrderId};

use super::{EscrowClient, bytes, check_amounts};
use crate::bindings::{Escrow, IEscrow};
use crate::error::{EscrowError, Skip};
use crate::facts::{EscrowEvent, event};
use crate::order::to_binding;
use crate::sender::Tx;
use crate::status::{OnChain, Status};

/// Rows of one batch: what fits a transaction of 128 KiB with room.
pub const MAX_BATCH: usize = 100;

/// Gas a transaction may use at all, by EIP-7825.
const TX_GAS_LIMIT: u64 = 1 << 24;

/// An order to be funded together with others.
#[derive(Debug, Clone)]
pub struct ToFund {
    /// The agreement.
    pub order: Order,
    /// The buyer's signature over the payment.
    pub buyer: EvmSignature,
    /// The provider's signature over the order id.
    pub provider: Option<EvmSignature>,
}

/// An order to be released together with others.
#[derive(Debug, Clone)]
pub struct ToRelease {
    /// The agreement.
    pub order: Order,
    /// The buyer's signature over `Release`.
    pub buyer: EvmSignature,
}

/// What became of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// Our transaction did it.
    Mined,
    /// The chain was already there, and the row was not sent.
    AlreadyDone(OnChain),
    /// The contract skipped it.
    Skipped(Skip),
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchSent {
    /// The transaction; `None` if no row had to be sent.
    pub tx: Option<Tx>,
    /// One for each row, in the order they were given.
    pub rows: Vec<Row>,
}

impl EscrowClient {
    /// Funds many orders, as [`Self::fund`] does each.
    ///
    /// # Errors
    /// [`EscrowError::BatchTooLarge`]; as [`Self::fund`], and then no row was funded.
    pub async fn fund_batch(&self, rows: &[ToFund]) -> Result<BatchSent, EscrowError> {
        rows.iter().try_for_each(|row| check_amounts(&row.order))?;
        let call = |open: &[usize]| {
            let rows = open.iter().filter_map(|at| rows.get(*at)).map(|row| IEscrow::Funding {
                order: to_binding(&row.order),
                buyerAuth: bytes(&row.buyer),
                providerSig: row.provider.as_ref().map(bytes).unwrap_or_default(),
            });
            Escrow::fundBatchCall { rows: rows.collect() }.abi_encode().into()
        };
        self.batch(rows.iter().map(|row| &row.order), |status| status >= Status::Funded, call).await
    }

    /// Releases many orders, as [`Self::release`] does each. Neighbouring rows of one provider share one transfer.
    ///
    /// # Errors
    /// [`EscrowError::BatchTooLarge`]; as [`Self::fund`], and then no row was released.
    pub async fn release_batch(&self, rows: &[ToRelease]) -> Result<BatchSent, EscrowError> {
        let call = |open: &[usize]| {
            let rows = open
                .iter()
                .filter_map(|at| rows.get(*at))
                .map(|row| IEscrow::Settlement { order: to_binding(&row.order), buyerSig: bytes(&row.buyer) });
            Escrow::releaseBatchCall { rows: rows.collect() }.abi_encode().into()
        };
        self.batch(rows.iter().map(|row| &row.order), |status| status >= Status::Settled, call).await
    }

    /// Sends the rows that are not `there` yet, and reads from the logs what became of them.
    async fn batch(
        &self,
        orders: impl ExactSizeIterator<Item = &Order>,
        there: fn(Status) -> bool,
        call: impl Fn(&[usize]) -> Bytes,
    ) -> Result<BatchSent, EscrowError> {
        if orders.len() > MAX_BATCH {
            return Err(EscrowError::BatchTooLarge { rows: orders.len(), max: MAX_BATCH });
        }
        let ids: Vec<OrderId> = orders.map(|order| self.order_id(order)).collect();
        let mut rows = vec![Row::Mined; ids.len()];
        let mut open = Vec::new();
        for (at, (id, row)) in ids.iter().zip(&mut rows).enumerate() {
            let before = self.status(id).await?;
            if there(before.status) { *row = Row::AlreadyDone(before) } else { open.push(at) }
        }
        if open.is_empty() {
            return Ok(BatchSent { tx: None, rows });
        }
        let cap = self.config().gas_cap.saturating_mul(u64::try_from(open.len()).unwrap_or(u64::MAX)).min(TX_GAS_LIMIT);
        let receipt = self.sender.send_encoded(self.escrow_address(), call(&open), cap).await?;
        let skipped = self.skipped(&receipt);
        for (id, row) in ids.iter().zip(&mut rows) {
            if let (Row::Mined, Some(reason)) = (*row, skipped.get(id)) {
                *row = Row::Skipped(*reason);
            }
        }
        Ok(BatchSent { tx: Some(Tx::of(&receipt)), rows })
    }

    /// The orders that were skipped and not done by another row of theirs.
    fn skipped(&self, receipt: &TransactionReceipt) -> HashMap<OrderId, Skip> {
        let escrow = self.escrow_address();
        let mut skipped = HashMap::new();
        let said = receipt.inner.logs().iter().filter(|log| log.address() == escrow).filter_map(event);
        let (done, not): (Vec<_>, Vec<_>) =
            said.partition(|event| matches!(event, EscrowEvent::Funded { .. } | EscrowEvent::Settled { .. }));
        for event in not {
            if let EscrowEvent::FundSkipped { order, reason } | EscrowEvent::ReleaseSkipped { order, reason } = event {
                skipped.insert(order, reason);
            }
        }
        for order in done.iter().filter_map(EscrowEvent::order) {
            skipped.remove(order);
        }
        skipped
    }
}
