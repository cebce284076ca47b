//! `demo`: a whole market and one paid trade on it, in one command.

use super::args::{Demo, Globals};
use super::devnet::{commands, keep, unless_stopped};
use super::orders::{MAX_INPUT, fits_a_call, follow, fresh_key};
use super::terminal::{self, Progress};
use super::{CliError, Exit};
use crate::devnet::{Conservation, Devnet, NodeProcess, Options, eventually, listings_seen};
use haggle_base::Usdc;
use haggle_gateway::view::{AgentView, HireRequest, ListingPage, ListingQuery, ListingView, OrderView};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

#[cfg(feature = "bench")]
mod strangers;

/// The document when none is named: haggle's own README, as it was when this program was built.
const README: &str = include_str!("../../../README.md");
/// Seed of the demo's keys.
const SEED: u64 = 7;
/// Nodes before the late one.
const NODES: u32 = 5;
/// Which node sells, which buys, which only watches; counted from 1.
const SELLER: usize = 2;
const WATCHER: usize = 3;
const BUYER: usize = 5;
/// Longest wait for the trade.
const TRADE_PATIENCE: Duration = Duration::from_secs(90);

/// The one object of `demo --json`.
#[derive(Debug, Serialize)]
struct Report {
    nodes: usize,
    ready_seconds: f64,
    trade_seconds: f64,
    order: OrderPart,
    buyer: BuyerPart,
    seller: SellerPart,
    result: Value,
    escrow: EscrowPart,
    conservation: Conservation,
    third_node: ThirdPart,
    late_joiner: LatePart,
}

#[derive(Debug, Serialize)]
struct OrderPart {
    id: String,
    state: String,
    price: Usdc,
    fee: Usdc,
}

#[derive(Debug, Serialize)]
struct BuyerPart {
    did: String,
    paid: Usdc,
}

#[derive(Debug, Serialize)]
struct SellerPart {
    did: String,
    received: Usdc,
}

#[derive(Debug, Serialize)]
struct EscrowPart {
    fund_tx: String,
    release_tx: String,
}

#[derive(Debug, Serialize)]
struct ThirdPart {
    did: String,
    attestations: u64,
    success_rate: Option<String>,
}

#[derive(Debug, Serialize)]
struct LatePart {
    listings_total: u64,
    listings_seen: u64,
    /// From the start of its process until it answered.
    up_seconds: f64,
    /// From the start of its process until it saw every listing.
    complete_seconds: f64,
}

pub(super) async fn run(globals: &Globals, args: Demo) -> Result<(), CliError> {
    let document = read_document(args.file.as_deref())?;
    fits_a_call(&json!({"text": document}))?;
    let temporary = tempfile::Builder::new()
        .prefix("haggle-demo-")
        .tempdir()
        .map_err(|cause| CliError::failure("file_error", cause.to_string(), "give a directory with --dir"))?;
    let dir = args.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let began = Instant::now();
    let mut market = Devnet::start(Options::here(dir.clone(), SEED)?).await?;
    let traded = Box::pin(unless_stopped(&dir, trade(globals, &mut market, &document, &args, began))).await;
    let report = match traded {
        Ok(Some(report)) => report,
        stopped_or_failed => {
            market.shutdown().await;
            let stopped = || CliError::failure("interrupted", "the demo was stopped before its end", "run it again");
            return Err(stopped_or_failed.err().unwrap_or_else(stopped));
        }
    };
    if globals.json {
        terminal::json(&report);
    } else {
        print_report(globals, &market, &report, &dir, args.keep);
    }
    if args.keep {
        keep(&mut market).await;
    }
    market.shutdown().await;
    judge(&report)
}

async fn trade(
    globals: &Globals,
    market: &mut Devnet,
    document: &str,
    args: &Demo,
    began: Instant,
) -> Result<Report, CliError> {
    let silent = globals.json || globals.quiet;
    let progress = Progress::start(silent, "starting five nodes");
    market.add_nodes(NODES).await?;
    progress.say("putting agents on the market");
    let agents = market.publish_demo_agents().await?;
    let listings = agents.len() as u64 + bring_strangers(market, args, &progress).await?;
    progress.say("waiting until every node sees every listing");
    market.until_all_see(listings).await?;
    let ready = began.elapsed();
    drop(progress);
    if !silent {
        terminal::done(format!(
            "a chain, {NODES} nodes, {listings} listings seen by all of them: {:.1} s",
            ready.as_secs_f64()
        ));
    }

    let began = Instant::now();
    let listing = find_digest(market.node(BUYER)).await?;
    let buyer = first_wallet(market.node(BUYER)).await?;
    let seller_before = balance_of(market.node(SELLER), &listing.agent).await?;
    if !silent {
        print_find(&listing, &buyer.1, &seller_before);
    }
    let order = buy(globals, market.node(BUYER), &listing, document).await?;
    let traded = began.elapsed();
    let buyer_after = balance_of(market.node(BUYER), &buyer.0).await?;
    let seller_after = balance_of(market.node(SELLER), &listing.agent).await?;

    let progress = Progress::start(silent, "asking a node that took no part");
    let seen = third_opinion(market.node(WATCHER), &listing.agent).await?;
    let third = first_wallet(market.node(WATCHER)).await?;
    progress.say("letting a sixth node join");
    let began = Instant::now();
    let late = market.add_node().await?;
    let up = began.elapsed();
    late.until_sees(listings).await?;
    let complete = began.elapsed();
    let listings_seen = listings_seen(late.client()?).await?;
    drop(progress);

    let lost = || {
        CliError::failure(
            "conservation_broken",
            "a balance moved the wrong way",
            "this is a defect: keep the directory and report it",
        )
    };
    Ok(Report {
        nodes: NODES as usize,
        ready_seconds: seconds(ready),
        trade_seconds: seconds(traded),
        order: OrderPart {
            id: order.id.clone().unwrap_or_default(),
            state: order.state.clone(),
            price: order.price,
            fee: order.fee,
        },
        buyer: BuyerPart { did: buyer.0, paid: buyer.1.checked_sub(buyer_after).ok_or_else(lost)? },
        seller: SellerPart { did: listing.agent, received: seller_after.checked_sub(seller_before).ok_or_else(lost)? },
        result: order.output.clone().unwrap_or(Value::Null),
        escrow: EscrowPart {
            fund_tx: order.fund_tx.unwrap_or_default(),
            release_tx: order.settle_tx.unwrap_or_default(),
        },
        conservation: market.conservation()?,
        third_node: ThirdPart {
            did: third.0,
            attestations: seen.reputation.attestations,
            success_rate: seen.reputation.success_rate,
        },
        late_joiner: LatePart {
            listings_total: listings,
            listings_seen,
            up_seconds: seconds(up),
            complete_seconds: seconds(complete),
        },
    })
}

/// Fills the market with listings of strangers, if that is asked for; how many.
#[cfg(feature = "bench")]
async fn bring_strangers(market: &Devnet, args: &Demo, progress: &Progress) -> Result<u64, CliError> {
    if args.listings > 0 {
        progress.say("signing listings of strangers, and letting them spread");
        let strangers = strangers::Strangers::bring(market.network(), SEED, args.listings, market.nodes()).await?;
        market.until_all_see(args.listings).await?;
        strangers.leave().await?;
    }
    Ok(args.listings)
}

/// Without the bench there is nobody who makes listings up.
#[cfg(not(feature = "bench"))]
#[expect(clippy::unused_async, reason = "with the bench it waits")]
async fn bring_strangers(_: &Devnet, _: &Demo, _: &Progress) -> Result<u64, CliError> {
    Ok(0)
}

async fn find_digest(node: &NodeProcess) -> Result<ListingView, CliError> {
    let query = ListingQuery {
        q: Some("document word count".to_owned()),
        category: Some("text".to_owned()),
        ..ListingQuery::default()
    };
    let page: ListingPage = node.client()?.get_with("/v1/listings", &query).await?;
    page.items.into_iter().find(|listing| listing.name == "digest").ok_or_else(|| {
        CliError::failure("listing_not_found", "node 5 does not find the digest agent", "look at the nodes' logs")
    })
}

async fn buy(
    globals: &Globals,
    node: &NodeProcess,
    listing: &ListingView,
    document: &str,
) -> Result<OrderView, CliError> {
    let client = node.client()?;
    let key = fresh_key()?;
    let request =
        HireRequest { listing: listing.id.clone(), input: json!({"text": document}), max_price: None, buyer: None };
    let order: OrderView = client.post_once("/v1/orders", &key, &request).await?;
    let order = follow(globals, client, &order.key, TRADE_PATIENCE).await?;
    if order.state != "settled" {
        return Err(CliError {
            exit: Exit::Payment,
            ..CliError::failure(
                order.problem.as_deref().unwrap_or("order_failed"),
                order.problem_detail.unwrap_or_else(|| format!("the order ended {}", order.state)),
                "look at the nodes' logs with --dir",
            )
        });
    }
    Ok(order)
}

async fn first_wallet(node: &NodeProcess) -> Result<(String, Usdc), CliError> {
    let wallets = node.wallets().await?;
    wallets
        .items
        .into_iter()
        .next()
        .map(|wallet| (wallet.agent, wallet.balance))
        .ok_or_else(|| CliError::failure("agent_not_found", "the node has no agent", "start the demo anew"))
}

async fn balance_of(node: &NodeProcess, did: &str) -> Result<Usdc, CliError> {
    let wallets = node.wallets().await?;
    wallets.items.into_iter().find(|wallet| wallet.agent == did).map(|wallet| wallet.balance).ok_or_else(|| {
        CliError::failure("agent_not_found", format!("the node has no agent {did}"), "start the demo anew")
    })
}

/// Waits until a node that took no part has computed a success rate of its own.
async fn third_opinion(node: &NodeProcess, did: &str) -> Result<AgentView, CliError> {
    let client = node.client()?;
    let path = format!("/v1/agents/{did}");
    eventually("a third node to rate the seller", || async {
        let agent: AgentView = client.get(&path).await?;
        let rated = agent.reputation.success_rate.is_some() && agent.reputation.attestations >= 2;
        Ok(rated.then_some(agent))
    })
    .await
}

fn print_find(listing: &ListingView, buyer: &Usdc, seller: &Usdc) {
    terminal::heading("node 5 searches its own copy of the market");
    terminal::pairs([
        ("found", format!("{}, {} USDC a call", listing.name, listing.price)),
        ("sold by", listing.agent.clone()),
        ("buyer has", format!("{buyer} USDC")),
        ("seller has", format!("{seller} USDC")),
    ]);
    terminal::heading("the order's life");
}

fn print_report(globals: &Globals, market: &Devnet, report: &Report, dir: &Path, stays: bool) {
    terminal::done(format!("traded in {:.1} s", report.trade_seconds));
    terminal::heading("result");
    terminal::line(serde_json::to_string_pretty(&report.result).unwrap_or_default());
    terminal::heading("money");
    let held = if report.conservation.holds() { "not one unit made or lost" } else { "MONEY WAS MADE OR LOST" };
    terminal::pairs([
        ("buyer paid", format!("{} USDC ({} + fee {})", report.buyer.paid, report.order.price, report.order.fee)),
        ("seller received", format!("{} USDC", report.seller.received)),
        ("fund", report.escrow.fund_tx.clone()),
        ("release", report.escrow.release_tx.clone()),
        ("issued, accounted", format!("{}, {}: {held}", report.conservation.issued, report.conservation.accounted)),
    ]);
    terminal::heading("what others think now");
    terminal::pairs([
        (
            "node 3 says",
            format!(
                "success rate {} from {} attestations that it checked against its own chain reads",
                report.third_node.success_rate.as_deref().unwrap_or("unknown"),
                report.third_node.attestations
            ),
        ),
        (
            "a sixth node joined",
            format!(
                "it sees {} of {} listings, {:.1} s after it was started ({:.1} s until it answered)",
                report.late_joiner.listings_seen,
                report.late_joiner.listings_total,
                report.late_joiner.complete_seconds,
                report.late_joiner.up_seconds
            ),
        ),
    ]);
    terminal::aside(
        "A seller that posts a false delivery on chain is disputed by the buyer's node; the devnet's arbitrator rules.",
    );
    if stays {
        terminal::next(globals.quiet, &commands(market, dir));
        terminal::aside("the market runs until Ctrl-C");
    } else {
        let next = [
            ("haggle demo --keep".to_owned(), "the same, and the market stays for you to try"),
            ("haggle devnet up".to_owned(), "a market of your own to work on"),
        ];
        terminal::next(globals.quiet, &next);
    }
}

/// The demo's own promises: a report that breaks one is a failure, however nice it looks.
fn judge(report: &Report) -> Result<(), CliError> {
    if !report.conservation.holds() {
        return Err(CliError::failure(
            "conservation_broken",
            "issued and accounted differ",
            "this is a defect: keep the directory and report it",
        ));
    }
    if report.late_joiner.listings_seen < report.late_joiner.listings_total {
        return Err(CliError::failure(
            "listings_missing",
            "the sixth node does not see every listing",
            "this is a defect: keep the directory and report it",
        ));
    }
    Ok(())
}

fn read_document(file: Option<&Path>) -> Result<String, CliError> {
    let Some(path) = file else {
        return Ok(README.to_owned());
    };
    let unreadable = |cause: std::io::Error| {
        CliError::failure("invalid_input", format!("{}: {cause}", path.display()), "give a text file")
    };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_INPUT {
        return Err(CliError::failure(
            "input_too_large",
            format!("{} has {size} bytes; at most 512 KiB fit a call", path.display()),
            "give a smaller document",
        ));
    }
    let path = PathBuf::from(path);
    std::fs::read_to_string(&path).map_err(unreadable)
}

/// Seconds with two digits, for people and programs alike.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 100.0).round() / 100.0
}
