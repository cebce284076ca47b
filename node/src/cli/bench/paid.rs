//! What a voucher adds to a call: the same agent's work, free and paid for by voucher, between the two nodes of this
//! process. The chain runs in another one.

use super::parts::failed;
use crate::cli::CliError;
use crate::config::{A2a, Budget, Config, Payments};
use crate::devnet::{funded_seed, network_file};
use crate::{AgentDraft, Node, Worker};
use haggle_base::{NetworkFile, Seed, Usdc};
use haggle_bench::load::{Load, Until, median};
use haggle_bench::pairs::{CALLERS, TEXT_BYTES};
use haggle_bench::processor;
use haggle_bench::raw::Raw;
use haggle_devchain::DevChain;
use haggle_gateway::NodeApi;
use haggle_gateway::view::PayRequest;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Agents that are paid; a buyer has at most eight channels with each.
const SELLERS: usize = 8;
/// What a call costs.
const PRICE: Usdc = Usdc::from_units(10);
/// Calls' worth of deposit that the agents ask for: each of the 64 channels holds at least 6,250 calls, which is more than
/// are made on it. A deposit is the chain's work and the first call's; what is measured is the call after it.
const DEPOSIT_CALLS: u64 = 100_000;
/// Turns of each.
const ROUNDS: usize = 5;
/// Calls of one turn where processor time is read.
const CALLS: u64 = 4000;
/// Length of one turn where rates are.
const TURN: Duration = Duration::from_secs(3);
const SEED: u64 = 7;

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Paid {
    /// Processor time of a free call, both ends together, in microseconds.
    pub(super) free_us: f64,
    /// The same of a paid one.
    pub(super) paid_us: f64,
    /// Paid calls a second, on 64 channels.
    pub(super) paid_rate: f64,
    /// Raw libp2p requests a second from as many callers.
    pub(super) raw_rate: f64,
}

/// The market's network file, with money for its two nodes.
pub(super) fn market(chain: &DevChain) -> Result<NetworkFile, CliError> {
    for number in 1..=2 {
        funded_seed(chain, SEED, number)?;
    }
    network_file(chain, SEED)
}

/// A market of two nodes.
struct Pair {
    seller: Node,
    buyer: Node,
    /// The agents' DIDs, the free one first.
    agents: Vec<String>,
    _folder: tempfile::TempDir,
}

impl Pair {
    async fn start(rpc: &str, mut network: NetworkFile) -> Result<Self, CliError> {
        let folder = tempfile::Builder::new().prefix("haggle-bench-").tempdir().map_err(failed)?;
        let config = Config {
            budget: Budget { per_call: Usdc::from_units(10_000_000), per_day: Usdc::from_units(90_000_000) },
            payments: Payments { claim_at: Usdc::MAX, deposit_calls: DEPOSIT_CALLS, ..Payments::default() },
            a2a: A2a { open_calls_per_caller: 4 * CALLERS, ..A2a::default() },
            ..Config::default()
        };
        let node = async |name: &str, number: u32, network| {
            let seed = Seed::devnet(SEED, number);
            let home = folder.path().join(name);
            let node = Node::builder(home).config(config.clone()).network(network).chain(rpc).seed(seed);
            node.local().start().await.map_err(failed)
        };
        let seller = node("seller", 1, network.clone()).await?;
        let mut agents = Vec::new();
        for number in 0..=SELLERS {
            let price = if number == 0 { Usdc::ZERO } else { PRICE };
            let echo = Worker::new(|input, _call| async move { Ok(input) });
            let draft = AgentDraft::new(&format!("echo-{number}")).price(price);
            agents.push(seller.serve(draft, echo).await.map_err(failed)?.did);
        }
        network.bootstrap = seller.addresses();
        let buyer = node("buyer", 2, network).await?;
        while buyer.find("").await.map_err(failed)?.len() < agents.len() {
            buyer.changed().await;
        }
        Ok(Self { seller, buyer, agents, _folder: folder })
    }

    async fn end(self) {
        self.buyer.shutdown().await;
        self.seller.shutdown().await;
    }

    /// Calls the free agent, or the others in turn.
    async fn call(&self, callers: usize, until: Until, paid: bool, turn: &str) -> Result<Load, CliError> {
        let api: &Arc<dyn NodeApi> = &self.buyer.api();
        let text = &"x".repeat(TEXT_BYTES);
        let load = Load::run((0..callers).collect(), until, |caller: usize, number| async move {
            let agent = if paid { &self.agents[1 + caller % SELLERS] } else { &self.agents[0] };
            let request = PayRequest {
                url: agent.clone(),
                message: Some(json!({ "text": text })),
                rail: paid.then(|| "channel".to_owned()),
                ..PayRequest::default()
            };
            let answer = api.pay(&format!("{turn}-{number}"), request).await;
            let cost = if paid { PRICE } else { Usdc::ZERO };
            (caller, answer.is_ok_and(|answer| answer.cost == cost))
        })
        .await;
        if load.errors() > 0 {
            return Err(failed(format!("{} of {} calls failed", load.errors(), load.calls())));
        }
        Ok(load)
    }

    /// Processor time of one call in microseconds.
    async fn spent(&self, calls: u64, paid: bool, turn: &str) -> Result<f64, CliError> {
        let begun = processor::of_process();
        let load = self.call(CALLERS, Until::Calls(calls), paid, turn).await?;
        Ok((processor::of_process() - begun).as_secs_f64() * 1e6 / load.calls() as f64)
    }
}

pub(super) async fn run(quick: bool, rpc: &str, network: &str) -> Result<Paid, CliError> {
    let (rounds, calls, turn) = if quick { (1, 64, TURN / 30) } else { (ROUNDS, CALLS, TURN) };
    let pair = Pair::start(rpc, serde_json::from_str(network).map_err(failed)?).await?;
    let (raw, size) = (Raw::start().await, TEXT_BYTES + 200);
    pair.call(CALLERS, Until::Calls(calls), false, "warm-free").await?;
    pair.call(CALLERS, Until::Calls(calls), true, "warm-paid").await?;
    let mut figures: [Vec<f64>; 4] = Default::default();
    for round in 0..rounds {
        figures[0].push(pair.spent(calls, false, &format!("free-{round}")).await?);
        figures[1].push(pair.spent(calls, true, &format!("paid-{round}")).await?);
        figures[2].push(pair.call(CALLERS, Until::Over(turn), true, &format!("rate-{round}")).await?.rate());
        let plain = Load::run(vec![(); CALLERS], Until::Over(turn), |(), _| async {
            ((), raw.call(vec![7; size]).await.len() == size)
        });
        figures[3].push(plain.await.rate());
    }
    pair.end().await;
    let [free_us, paid_us, paid_rate, raw_rate] = figures.map(median);
    Ok(Paid { free_us, paid_us, paid_rate, raw_rate })
}
