//! How the rooms' own types look in the API.

use super::Inner;
use haggle_base::{Coded, Did, FeePayer, Usdc, Verified};
use haggle_catalog::{ListingBody, PricingModel};
use haggle_escrow::{EndpointReport, Standing, Trust};
use haggle_gateway::ApiError;
use haggle_gateway::view::{
    EndpointStatus, ListingView, OrderView, PeerView, QuoteView, Reputation, StepView, WalletView,
};
use haggle_network::PeerFacts;
use haggle_trade::buyer::PriceQuote;
use std::fmt::Write as _;

/// What does not protect a buyer yet, said wherever an agent is shown.
pub(super) const NOTICE: &str = "The escrow returns your money when nothing is delivered in time. A delivery that is posted \
on chain and does not fit is disputed by your node where the network names an arbitrator; where it names none, the seller \
is paid after the review window: buy small from strangers.";

/// Digits of a cost that no success ever paid for.
const NO_SUCCESS: Usdc = Usdc::from_units(u64::MAX);

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // writing to a string cannot fail
        let _written = write!(text, "{byte:02x}");
        text
    })
}

pub(super) fn endpoint(report: EndpointReport) -> EndpointStatus {
    EndpointStatus {
        host: report.host,
        standing: report.standing.as_str().to_owned(),
        block: report.head,
        behind: report.behind,
        failures: report.failures,
        contradictions: report.contradictions,
    }
}

pub(super) fn peer(facts: &PeerFacts) -> PeerView {
    PeerView {
        peer: facts.peer.to_string(),
        addresses: facts.addrs.clone(),
        version: (!facts.agent_version.is_empty()).then(|| facts.agent_version.clone()),
        dids: facts.dids.iter().map(ToString::to_string).collect(),
        connected_since: facts.connected_since.map(haggle_base::Timestamp::to_rfc3339),
        path: facts.path.map(|path| path.as_str().to_owned()),
    }
}

impl Inner {
    /// How far the RPCs' word is taken, with those named that are not believed.
    pub(super) fn chain_trust(&self) -> String {
        let endpoints = self.reader.endpoints();
        if let (Trust::Single, [one]) = (self.reader.trust(), endpoints.as_slice()) {
            return format!("one RPC, {}, is trusted with what it says", one.host);
        }
        let mut text = self.reader.trust().explained().to_owned();
        for odd in endpoints.iter().filter(|endpoint| endpoint.standing != Standing::Fresh) {
            let why = match odd.standing {
                Standing::Fresh => continue,
                Standing::Lagging => "is behind",
                Standing::Down => "does not answer",
                Standing::SetAside => "contradicts the others and is not believed",
                Standing::OtherChain => "serves another chain",
            };
            // writing to a string cannot fail
            let _written = write!(text, "; {} {why}", odd.host);
        }
        text
    }

    pub(super) fn reputation_view(&self, did: &Did) -> Reputation {
        let figures = self.reputation.figures(did);
        let called = figures.total_calls > 0;
        Reputation {
            attestations: figures.attestations,
            total_calls: figures.total_calls,
            success_rate: figures.success_rate.map(|rate| rate.to_string()),
            avg_response_ms: figures.avg_response_ms,
            uptime_24h: called.then(|| u8::from(figures.uptime_24h.millionths() > 0)),
            trust_score: called.then(|| figures.trust_score.to_string()),
            net: figures.net,
        }
    }

    pub(super) fn listing_view(&self, listing: &Verified<ListingBody>) -> ListingView {
        let (record, body, author) = (listing.record(), listing.body(), listing.author());
        let name = record.slot.as_str();
        let standing = haggle_catalog::Figures {
            total_calls: self.reputation.figures(&author).total_calls,
            successes: self.reputation.figures(&author).successes,
            ..haggle_catalog::Figures::default()
        };
        ListingView {
            id: listing.id().to_string(),
            agent: author.to_string(),
            name: haggle_catalog::body::listing_name(name).to_owned(),
            description: body.description.as_str().to_owned(),
            category: body.category.as_str().to_owned(),
            tags: body.tags.iter().map(|tag| tag.as_str().to_owned()).collect(),
            regions: body.regions.iter().map(|region| region.as_str().to_owned()).collect(),
            pricing: match &body.pricing {
                PricingModel::PerCall => "per_call",
                PricingModel::PerUnit { .. } => "per_unit",
                PricingModel::Outcome => "outcome",
                PricingModel::Subscription { .. } => "subscription",
            }
            .to_owned(),
            price: body.price,
            cost_per_success: standing.cost_per_success(body.price).unwrap_or(NO_SUCCESS),
            payable: self.catalog.binding(&author).address().is_some(),
            reputation: self.reputation_view(&author),
            online: self.is_online(&author),
            liveness: self.liveness_view(&author),
            expires: record.expires.to_rfc3339(),
            explanation: None,
        }
    }

    pub(super) fn quote_view(&self, quote: &PriceQuote) -> QuoteView {
        let payer = match self.file.fee.payer {
            FeePayer::Buyer => "buyer",
            FeePayer::Seller => "seller",
        };
        QuoteView {
            listing: quote.listing.to_string(),
            seller: quote.provider.to_string(),
            price: quote.price,
            fee: quote.fee,
            fee_payer: payer.to_owned(),
            total: quote.deposit,
            expires: quote.expires.to_rfc3339(),
            payment: format!(
                "{} USDC go into the escrow contract and reach the seller when you accept the result, or return to you \
                 when nothing is delivered within {} s",
                quote.deposit, quote.deliver_within_secs
            ),
            rounds: u32::from(quote.rounds),
        }
    }

    pub(super) fn order_view(&self, order: &haggle_trade::OrderView) -> OrderView {
        let listed = order
            .listing
            .and_then(|listing| self.catalog.listing(&listing).ok().flatten())
            .map_or(Usdc::ZERO, |listing| listing.body().price);
        let price = order.price.unwrap_or(listed);
        let fee = order.fee.unwrap_or(Usdc::ZERO);
        let output = order
            .output
            .and_then(|hash| self.buyer.payload(&hash).ok().flatten())
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let key = match order.hire {
            Some(hire) => self.buyer.key_of(hire).ok().flatten().unwrap_or_else(|| hire.to_string()),
            None => order.id.map(|id| id.to_string()).unwrap_or_default(),
        };
        OrderView {
            key,
            id: order.id.map(|id| id.to_string()),
            role: if order.hire.is_some() { "buyer" } else { "provider" }.to_owned(),
            state: order.state.to_string(),
            listing: order.listing.map(|listing| listing.to_string()).unwrap_or_default(),
            buyer: order.buyer.to_string(),
            seller: order.provider.to_string(),
            price,
            fee,
            total: order.deposit.unwrap_or_else(|| price.checked_add(fee).unwrap_or(price)),
            steps: order
                .lines
                .iter()
                .map(|line| StepView {
                    step: line.step.as_str().to_owned(),
                    at: line.at.to_rfc3339(),
                    note: note(line.step.as_str()).to_owned(),
                    tx: line.tx.map(|tx| tx.hash.to_string()),
                })
                .collect(),
            fund_tx: order.fund_tx.map(|tx| tx.hash.to_string()),
            settle_tx: order.ending.and_then(|ending| ending.tx).map(|tx| tx.hash.to_string()),
            waits_for: order.awaits_output.then(|| "output".to_owned()),
            waits_until: order.clocks.filter(|_| order.awaits_output).map(|clocks| clocks.deliver_by.to_rfc3339()),
            input: None,
            output,
            problem: order.failure.as_ref().map(|code| code.as_str().to_owned()),
            problem_detail: order.failure.as_ref().map(|code| explain(code.as_str()).to_owned()),
            reason: order.reason.as_ref().map(|reason| reason.as_str().to_owned()),
        }
    }

    pub(super) async fn wallet_view(&self, agent: &Did) -> Result<WalletView, ApiError> {
        let wallet = self.settlement.wallet(agent).await.map_err(|error| ApiError::from_coded(&error as &dyn Coded))?;
        Ok(WalletView {
            agent: agent.to_string(),
            address: wallet.address.to_string(),
            balance: wallet.on_chain,
            reserved: wallet.reserved,
            available: wallet.available,
            per_call: wallet.limits.per_call,
            per_day: wallet.limits.per_day,
            spent_today: wallet.committed_today,
            budget: format!(
                "at most {} USDC a call and {} USDC a day, fees included",
                wallet.limits.per_call, wallet.limits.per_day
            ),
        })
    }
}

/// A step in plain words; names who signed.
fn note(step: &str) -> &'static str {
    match step {
        "reserved" => "the buyer set the money aside in its budget",
        "quoted" => "the seller signed a price",
        "terms_signed" => "the buyer signed the terms",
        "input_sent" => "the seller signed the same terms; the input may leave",
        "input_held" => "the input is here and fits",
        "order_countersigned" => "the seller holds the input and signed the on-chain order",
        "authorised" => "the buyer signed the payment; it is on disk before it leaves",
        "fund_submitted" => "the buyer's payment is here and goes to the escrow",
        "funded" => "the escrow holds the money",
        "executed" => "the work is done and on disk",
        "receipt_signed" => "the seller signed for what it delivers",
        "receipt_held" => "the result and the seller's signed receipt are here",
        "checked" => "the result was held against the promised schema",
        "release_signed" => "the buyer signed the release",
        "release_held" => "the buyer's release is here and goes to the escrow",
        "released" => "the escrow paid the seller",
        "delivered_on_chain" => "the seller posted the delivery on chain",
        "complained" => "this side's owner wants a dispute",
        "dispute_signed" => "the buyer wrote down what is wrong and signed its bond",
        "disputed" => "the escrow holds the buyer's dispute: the provider may stand against it",
        "counter_wanted" => "this side's owner wants to stand against a dispute",
        "counter_signed" => "the seller signed its bond against the dispute",
        "countered" => "the escrow holds both bonds: the arbitrator rules",
        "taken_back" => "the chain took back the blocks in which the order ended",
        "settled" => "the escrow paid out",
        "refunded" => "the escrow paid the buyer back",
        "attested" => "this side signed what it has to say about the other",
        "stopped" => "nobody waits for the result any more: the seller stops and pays back what was paid",
        "work_failed" => "there is no result; the money goes back",
        "failed" => "given up before any money moved",
        "closed" => "the money set aside is free again",
        _ => "",
    }
}

pub(super) fn explain(code: &str) -> &'static str {
    match code {
        "schema_mismatch" => {
            "the result does not fit the promised schema: nothing is released; what is posted on chain all the same is \
             disputed"
        }
        "delivery_mismatch" => "what the seller posted on chain is not what it handed over",
        "not_handed_over" => "the seller posted a delivery on chain and handed nothing over",
        "by_hand" => "disputed by its owner",
        "dispute_uncountered" => "the seller did not stand against the dispute: everything came back",
        "ruling_refunded" => "the arbitrator ruled for the buyer: everything came back",
        "timeout" => "there was no answer in time; nothing was paid, or it came back",
        "cancelled" => "given up by its owner",
        _ => "",
    }
}
