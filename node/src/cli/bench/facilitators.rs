//! Our facilitator beside the npm one: the same payments, the same chain, in turns.

use super::parts::failed;
use super::rivals::start;
use crate::cli::CliError;
use crate::cli::terminal::Progress;
use crate::devnet::{Devnet, Options};
use haggle_base::{Clock as _, Seed, SystemClock, Usdc};
use haggle_bench::exact::{AMOUNT, Payments};
use haggle_bench::http::{Connection, post};
use haggle_bench::load::{Load, Until, median};
use haggle_devchain::DevAccount;
use haggle_x402::ExactFacts;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::process::Command;

/// Turns of each.
const ROUNDS: usize = 3;
/// How many ask a facilitator at one time.
const CALLERS: usize = 16;
/// Length of one turn of verifying.
const TURN: Duration = Duration::from_secs(3);
/// Payments that are verified again and again.
const VERIFIED: u64 = 256;
/// Payments settled in one turn.
const SETTLED: u64 = 200;
/// Payments each facilitator settles before anything is measured.
const WARM_UP: u64 = 20;
/// What the payer starts with.
const PURSE: Usdc = Usdc::from_units(1_000_000_000);
const SEED: u64 = 7;

/// Payments a second of each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facilitators {
    pub(super) verified: f64,
    pub(super) verified_by_other: f64,
    pub(super) settled: f64,
    /// At its best: one caller or many.
    pub(super) settled_by_other: f64,
}

/// A facilitator's base.
struct Place {
    server: SocketAddr,
    token: String,
}

pub(super) async fn run(folder: &Path, quick: bool, progress: &Progress) -> Result<Facilitators, CliError> {
    let script = folder.join("x402-js/shop.mjs");
    if !folder.join("x402-js/node_modules").is_dir() {
        let hint = format!("run `npm ci --prefix {}`, then try again", folder.join("x402-js").display());
        return Err(CliError::failure("peers_missing", "the npm facilitator is not installed", hint));
    }
    progress.say("a chain and a node come up, and the npm facilitator beside them");
    let home = tempfile::Builder::new().prefix("haggle-bench-").tempdir().map_err(failed)?;
    let mut devnet = Devnet::start(Options::here(home.path().join("devnet"), SEED)?).await?;
    devnet.add_nodes(1).await?;
    let client = devnet.node(1).client()?;
    let server = client.base().trim_start_matches("http://").parse().map_err(failed)?;
    let ours = Place { server, token: client.token().to_owned() };
    let (clerk, owner) = (DevAccount::numbered(0), DevAccount::numbered(1).address());
    let facts = ExactFacts::of(devnet.network());
    let mut program = Command::new("node");
    program.arg(script).env("KEY", clerk.key().to_string()).args(["--rpc", &devnet.chain().rpc_url()]);
    program.args(["--asset", &facts.token().address.to_string(), "--pay-to", &owner.to_string()]);
    let (_other, server) = start(program).await?;
    let other = Place { server, token: String::new() };

    let payer = Seed::devnet(SEED, 99).payment_key(0);
    devnet.chain().mint_usdc(payer.address(), PURSE.units()).map_err(failed)?;
    let mut payments = Payments::new(facts, payer, owner, SystemClock.now()).map_err(failed)?;
    let (rounds, share) = if quick { (1, 20) } else { (ROUNDS, 1) };
    let mut counted = 0;

    let bodies = payments.sign(VERIFIED).map_err(failed)?;
    let mut rates: [Vec<f64>; 5] = Default::default();
    for round in 0..=rounds {
        progress.say(&format!("payments verified and settled, round {round} of {rounds}"));
        let turn = if round == 0 { TURN / 10 } else { TURN / share };
        let verified = ask(&ours, "/verify", &bodies, CALLERS, Until::Over(turn)).await?;
        let by_other = ask(&other, "/verify", &bodies, CALLERS, Until::Over(turn)).await?;
        let count = if round == 0 { WARM_UP } else { SETTLED / u64::from(share) };
        let mut settle = async |place: &Place, callers: usize| {
            let fresh = payments.sign(count).map_err(failed)?;
            let load = ask(place, "/settle", &fresh, callers, Until::Calls(count)).await?;
            counted += load.calls() - load.errors();
            Ok::<_, CliError>(load)
        };
        let settled = settle(&ours, CALLERS).await?;
        let (alone, many) = (settle(&other, 1).await?, settle(&other, CALLERS).await?);
        if verified.errors() + by_other.errors() + settled.errors() + alone.errors() > 0 {
            return Err(failed("a good payment was refused"));
        }
        if round > 0 {
            let loads = [verified, by_other, settled, alone, many];
            rates.iter_mut().zip(loads).for_each(|(rates, load)| rates.push(load.rate()));
        }
    }
    let earned = devnet.chain().balance_usdc(owner).map_err(failed)?;
    if earned != counted * AMOUNT.units() {
        return Err(failed(format!("{counted} payments were told to be settled, and {earned} units came")));
    }
    devnet.shutdown().await;
    let [verified, verified_by_other, settled, alone, many] = rates.map(median);
    Ok(Facilitators { verified, verified_by_other, settled, settled_by_other: alone.max(many) })
}

/// Asks with one body after the other, round and round.
async fn ask(place: &Place, path: &str, bodies: &[String], callers: usize, until: Until) -> Result<Load, CliError> {
    let requests: Vec<Vec<u8>> = bodies.iter().map(|body| post(place.server, path, &place.token, body)).collect();
    let mut connections = Vec::new();
    for _ in 0..callers {
        connections.push(Connection::open(place.server).await.map_err(failed)?);
    }
    let load = Load::run(connections, until, |mut connection, number| {
        let at = usize::try_from(number).unwrap_or_default() % requests.len();
        let request = &requests[at];
        async move {
            let answer = connection.ask(request).await;
            let is_good = answer.is_ok_and(|(status, body)| status == 200 && says_yes(&body));
            (connection, is_good)
        }
    });
    Ok(load.await)
}

fn says_yes(body: &[u8]) -> bool {
    let answer: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    answer["isValid"] == true || answer["success"] == true
}
