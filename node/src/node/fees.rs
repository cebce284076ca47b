//! Listing fees: following what anybody pays, and paying those of this node's own listings.

use super::Inner;
use super::api::coded;
use super::views::hex;
use crate::adapters::faults::points;
use crate::adapters::trade::text;
use crate::error::NodeError;
use crate::records::AgentRow;
use haggle_base::network_file::LISTING_FEE_PERIOD;
use haggle_base::{Address, Coded as _, Hash, ListingFee, Text};
use haggle_escrow::{FeeReader, FeesRead, MAX_FEE_BLOCKS};
use haggle_gateway::ApiError;
use haggle_gateway::view::ListingFeeView;
use haggle_settlement::purse::{Purchase, PurchaseState, Wanted};
use haggle_settlement::till::TillConfig;
use haggle_x402::ExactFacts;
use std::sync::Arc;
use std::time::Duration;

/// How often the chain is asked for fees.
const USUAL: Duration = Duration::from_secs(300);
/// The same on a devnet, where somebody waits for it.
const ON_DEVNET: Duration = Duration::from_secs(2);
/// The pause while there is more to read.
const BETWEEN: Duration = Duration::from_millis(500);
/// A fee is paid again when the one before ends sooner than this.
const PAID_AHEAD: Duration = Duration::from_secs(24 * 3600);

/// Follows the fees that are paid, as long as the node runs.
pub(super) async fn follow_fees(inner: Arc<Inner>) {
    let Some(fee) = inner.file.listing_fee() else {
        if inner.config.market.pay_listing_fee {
            tracing::warn!("market.pay_listing_fee is on, and this network has no listing fee: nothing is paid");
        }
        return;
    };
    let is_devnet = inner.file.is_devnet();
    let deep = if is_devnet { 0 } else { TillConfig::new(ExactFacts::of(&inner.file)).confirmations };
    let confirmations = inner.config.chain.confirmations.max(deep);
    let reader = FeeReader::new(inner.reader.clone(), fee, confirmations);
    let usual = if is_devnet { ON_DEVNET } else { USUAL };
    // of a stop between a fee and what it changed
    if let Err(error) = inner.catalog.paid(&inner.fees.payers()).await {
        tracing::warn!(error.code = error.code(), "what is paid for is not charged: {error}");
    }
    let (mut pause, mut blocks) = (usual, MAX_FEE_BLOCKS);
    loop {
        match inner.read_fees(&reader, &mut blocks).await {
            Ok(0) => pause = usual,
            Ok(_) => pause = BETWEEN,
            Err(error) => {
                tracing::warn!(error.code = error.code(), "listing fees cannot be read: {error}");
                pause = (pause * 2).clamp(BETWEEN, USUAL);
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// Whether a fee is due.
enum Due {
    /// It was paid out of this wallet, and not so long ago.
    Until(Address),
    /// A payment of this name is.
    Now(Text<64>),
}

impl Inner {
    /// Reads some blocks; gives how many are left to be read. `blocks` is how many an endpoint gives at once.
    async fn read_fees(&self, reader: &FeeReader, blocks: &mut u64) -> Result<u64, NodeError> {
        let now = self.clock.now();
        self.fees.forget_old(now).await.map_err(|error| NodeError::room(&error))?;
        let from = match self.fees.cursor().map_err(|error| NodeError::room(&error))? {
            Some(cursor) => cursor,
            None => {
                let since = reader.since(now.minus(LISTING_FEE_PERIOD)).await;
                since.map_err(|error| NodeError::room(&error))?
            }
        };
        let read = reader.read(from, *blocks).await.map_err(|error| NodeError::room(&error))?;
        let FeesRead::Fees { paid, next, left } = read else {
            tracing::warn!(chain.block = from.block, "block {} left the chain: listing fees are read anew", from.block);
            self.fees.begin_anew().await.map_err(|error| NodeError::room(&error))?;
            return Ok(1);
        };
        if next == from {
            return Ok(left);
        }
        *blocks = next.block.saturating_sub(from.block).saturating_mul(2).clamp(1, MAX_FEE_BLOCKS);
        let payers = self.fees.take(&paid, next).await.map_err(|error| NodeError::room(&error))?;
        if !payers.is_empty() {
            tracing::info!(fees = paid.len(), "{} listing fees were paid", paid.len());
            self.catalog.paid(&payers).await.map_err(|error| NodeError::room(&error))?;
        }
        Ok(left)
    }

    /// Pays the fee of an agent's listing if this node pays fees, and it is not paid already for another day at least.
    ///
    /// # Errors
    /// `listing_fee_failed`; repeated, it is the same payment.
    pub(super) async fn pay_listing_fee(&self, row: &AgentRow) -> Result<(), ApiError> {
        let Some(fee) = self.file.listing_fee().filter(|_| self.config.market.pay_listing_fee) else { return Ok(()) };
        let Some(sink) = fee.sinks.first().copied() else { return Ok(()) };
        let key = match self.due_fee(row, sink, &fee)? {
            Due::Until(wallet) => {
                self.fees.expect(row.did, wallet);
                return Ok(());
            }
            Due::Now(key) => key,
        };
        self.fees.expect_no_more(&row.did);
        let _turn = self.paying.take(&format!("{} {key}", row.did)).await;
        let paid = self.transfer_fee(row, key, sink, &fee).await;
        match paid {
            Ok(Purchase { state: PurchaseState::Paid | PurchaseState::Signed, authorization, .. }) => {
                self.fees.expect(row.did, authorization.from);
                self.faults.at(points::LISTING_FEE_PAID);
                Ok(())
            }
            Ok(Purchase { state: PurchaseState::Lapsed, .. }) => Err(failed(&ApiError::of_code(
                "listing_fee_failed",
                "the transfer was not sent in time; nothing was paid",
            ))),
            Err(problem) => Err(failed(&problem)),
        }
    }

    /// What `haggle status` says of the network's listing fee.
    pub(super) fn listing_fee_view(&self) -> Option<ListingFeeView> {
        let fee = self.file.listing_fee()?;
        Some(ListingFeeView {
            amount: fee.amount,
            days: LISTING_FEE_PERIOD.as_secs() / (24 * 3600),
            sink: fee.sinks.first()?.to_string(),
            paid_here: self.config.market.pay_listing_fee,
        })
    }

    /// Whether a fee is due for an agent's listing. Payments are named by what is paid to whom, by when the agent was added,
    /// for a home that is restored from its seed has no word of the fees before, and by the number of the period.
    fn due_fee(&self, row: &AgentRow, sink: Address, fee: &ListingFee) -> Result<Due, ApiError> {
        let ends_after = self.clock.now().plus(PAID_AHEAD);
        let added = row.created.map_or(0, |created| created.as_millis()).to_be_bytes();
        let terms = Hash::of_fields(&[b"listing-fee", sink.as_slice(), &fee.amount.units().to_be_bytes(), &added]);
        let mut number = 0_u32;
        loop {
            let key = format!("listing-fee-{}-{number}", hex(&terms.as_bytes()[..8]));
            match self.purse.find(&row.did, &key).map_err(coded)? {
                Some(paid) if paid.state == PurchaseState::Paid => {
                    if paid.signed_at.plus(LISTING_FEE_PERIOD) > ends_after {
                        return Ok(Due::Until(paid.authorization.from));
                    }
                }
                _ => return Ok(Due::Now(text(&key))),
            }
            number += 1;
        }
    }

    async fn transfer_fee(
        &self,
        row: &AgentRow,
        key: Text<64>,
        sink: Address,
        fee: &ListingFee,
    ) -> Result<Purchase, ApiError> {
        let units = fee.amount.units().to_be_bytes();
        let request = Hash::of_fields(&[b"listing-fee", sink.as_slice(), &units]);
        let about = text(&format!("listing fee of {}", row.name.as_str()));
        let wanted = Wanted { agent: row.did, key, request, about };
        self.purse.transfer(&wanted, sink, fee.amount).await.map_err(coded)
    }
}

/// What its owner reads, in the words of the market's typed messages.
fn failed(problem: &ApiError) -> ApiError {
    let status = http::StatusCode::from_u16(problem.status).unwrap_or(http::StatusCode::PAYMENT_REQUIRED);
    let detail = format!("Failed to collect listing fee: {}", problem.detail);
    let hint = "send USDC to the agent's wallet, which `haggle wallet` shows (a new agent has one once it is added with \
                --draft), then `haggle publish` it; or set market.pay_listing_fee to false";
    ApiError { retryable: problem.retryable, ..ApiError::new(status, "listing_fee_failed", detail, hint) }
}
