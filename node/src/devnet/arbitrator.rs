//! The devnet's arbitrator: one key that rules on countered disputes by checking schema and hash again.
//!
//! It reads the chain, asks every node of the market what it can show of the order, and rules by
//! [`haggle_trade::judge`]. It keeps nothing: what it has to do follows from the chain.

use super::{Written, written_in};
use crate::cli::CliError;
use crate::cli::client::Client;
use crate::home::Home;
use alloy_primitives::aliases::U96;
use alloy_primitives::hex;
use haggle_base::{Arbitration, Coded, Hash, NetworkFile, OrderId, PaymentKey, Seed};
use haggle_devchain::DevChain;
use haggle_escrow::{ChainReader, Cursor, EscrowClient, EscrowConfig, EscrowEvent, Polled, Reach, Watcher};
use haggle_gateway::view::CaseView;
use haggle_trade::terms::Agreement;
use haggle_trade::{Case, Venue, judge};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How often it looks at the chain.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Disputes it has open at once; more are found again when these are ruled on.
const MAX_OPEN: usize = 256;
/// The devnet's windows for a counter and for a ruling, in seconds of chain time.
const WINDOW_SECS: u32 = 3_600;
/// Each side's bond: a tenth of the price.
const BOND_BPS: u16 = 1_000;

/// The arbitrator's key: that of no node.
pub(super) fn key(seed: u64) -> PaymentKey {
    Seed::devnet(seed, 0).payment_key(0)
}

/// The rules that the devnet's network file names.
pub(super) fn rules(seed: u64) -> Arbitration {
    Arbitration {
        arbitrator: key(seed).address(),
        bond_bps: BOND_BPS,
        counter_secs: WINDOW_SECS,
        rule_secs: WINDOW_SECS,
        silent_bps: 0,
    }
}

/// A running arbitrator; dropping it ends it.
#[derive(Debug)]
pub(super) struct Arbitrator(JoinHandle<()>);

impl Drop for Arbitrator {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Arbitrator {
    /// Starts it for the market whose nodes `devnet.json` in `dir` names.
    pub(super) fn start(chain: &DevChain, network: &NetworkFile, seed: u64, dir: PathBuf) -> Result<Self, CliError> {
        let key = key(seed);
        chain.fund_eth(key.address(), super::money::one_ether());
        let reader = ChainReader::new(EscrowConfig::for_network(network, vec![chain.rpc_url()])).map_err(unusable)?;
        let bench = Bench {
            watcher: Watcher::new(reader.clone()),
            client: EscrowClient::new(reader, &key).map_err(unusable)?,
            venue: Venue::from(network),
            dir,
        };
        Ok(Self(tokio::spawn(bench.sit())))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err, which gives values")]
fn unusable(error: haggle_escrow::EscrowError) -> CliError {
    CliError::failure(error.code(), error.to_string(), error.hint())
}

struct Bench {
    watcher: Watcher,
    client: EscrowClient,
    venue: Venue,
    dir: PathBuf,
}

impl Bench {
    async fn sit(self) {
        let mut cursor = None;
        let mut open = BTreeSet::new();
        loop {
            if let Err(error) = self.read(&mut cursor, &mut open).await {
                tracing::debug!(error.code = error.code(), "the arbitrator cannot read the chain: {error}");
            }
            let mut left = BTreeSet::new();
            for order in std::mem::take(&mut open) {
                match self.rule(&order).await {
                    Ok(()) => {}
                    Err(problem) => {
                        tracing::debug!(order.id = %order, "no ruling on {order} yet: {problem}");
                        left.insert(order);
                    }
                }
            }
            open = left;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Reads on, and notes what has to be ruled on.
    async fn read(
        &self,
        cursor: &mut Option<Cursor>,
        open: &mut BTreeSet<OrderId>,
    ) -> Result<(), haggle_escrow::EscrowError> {
        let from = match *cursor {
            Some(from) => from,
            None => self.watcher.beginning().await?,
        };
        if open.len() >= MAX_OPEN {
            return Ok(());
        }
        match self.watcher.poll(from, Reach::default()).await? {
            Polled::Rewind { to } => *cursor = Some(to),
            Polled::Facts { facts, next } => {
                for fact in facts {
                    match fact.event {
                        EscrowEvent::Countered { order } => {
                            open.insert(order);
                        }
                        EscrowEvent::Settled { order, .. } => {
                            open.remove(&order);
                        }
                        _ => {}
                    }
                }
                *cursor = Some(next);
            }
        }
        Ok(())
    }

    /// Rules on one order; what stands in the way is said and tried again.
    async fn rule(&self, order: &OrderId) -> Result<(), String> {
        let facts = self.watcher.facts_of(order).await.map_err(|error| error.to_string())?;
        let posted = facts.iter().rev().find_map(|fact| match &fact.event {
            EscrowEvent::Delivered { deliverable, .. } => Some(Hash::from_bytes(deliverable.0)),
            _ => None,
        });
        let cases = self.cases(order).await;
        let ruling = judge::rule(order, posted.as_ref(), &cases, &self.venue).map_err(|error| error.to_string())?;
        let fields = cases
            .iter()
            .filter_map(|case| Agreement::open_from_buyer(&case.terms, &self.venue).ok())
            .find(|agreement| agreement.id == *order)
            .ok_or("nobody shows the terms")?
            .order;
        let pay: U96 = ruling.pay.to_u96();
        self.client.rule(&fields, pay).await.map_err(|error| error.to_string())?;
        tracing::info!(order.id = %order, ruling.why = ruling.why, "the arbitrator gives the seller of {order} {pay} units");
        Ok(())
    }

    /// What the nodes of the market show of an order.
    async fn cases(&self, order: &OrderId) -> Vec<Case> {
        let Ok(Written { homes, .. }) = written_in(&self.dir) else { return Vec::new() };
        let mut cases = Vec::new();
        for home in homes {
            let Ok(client) = Client::for_home(&Home::at(home), None, None) else { continue };
            if let Ok(shown) = client.get::<CaseView>(&format!("/v1/orders/{order}/case")).await {
                cases.extend(read_case(&shown));
            }
        }
        cases
    }
}

fn read_case(shown: &CaseView) -> Option<Case> {
    let read = |text: &Option<String>| text.as_ref().and_then(|text| hex::decode(text).ok());
    Some(Case {
        terms: hex::decode(&shown.terms).ok()?,
        schema: read(&shown.schema),
        output: read(&shown.output),
        receipt: read(&shown.receipt),
        evidence: read(&shown.evidence),
    })
}
