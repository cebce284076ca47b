//! The storm: two homes on the real chain use every rail at once, and die at random steps. Whatever died when, every
//! purchase is answered once and paid once, no voucher is lost, and every unit is somewhere.
//!
//! `HAGGLE_STORM=10000` makes ten thousand runs; `HAGGLE_STORM_SEED` makes others.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a story that cannot go on stops")]

mod homes;
mod keyring;
mod mortal;
mod port;
mod world;

use mortal::{Dice, Side};
use world::{Ground, Plan, run};

/// Runs that each machine makes.
const RUNS: u64 = 1_000;
/// Chains that runs are spread over, each with a thread of its own.
const CHAINS: u64 = 2;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn no_storm_loses_a_voucher_settles_twice_or_makes_a_unit() {
    let (runs, seed) = (number("HAGGLE_STORM").unwrap_or(RUNS), number("HAGGLE_STORM_SEED").unwrap_or(1));
    let threads: Vec<_> = (0..CHAINS)
        .map(|chain| {
            std::thread::spawn(move || {
                let ground = Ground::lay();
                let mut deaths = 0;
                for number in (chain..runs).step_by(usize::try_from(CHAINS).unwrap()) {
                    deaths += run(&ground, number, &Plan::thrown(&mut Dice::new((seed << 32) + number)));
                }
                deaths
            })
        })
        .collect();
    let deaths: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    eprintln!("{runs} runs, {deaths} deaths");
    assert!(deaths as u64 >= runs / 2, "most runs have a death in them: {deaths} in {runs}");
}

/// Every step at which either home can die, one after the other.
#[test]
fn no_single_step_is_a_bad_one_to_die_at() {
    let ground = Ground::lay();
    for side in [Side::Buyer, Side::Seller] {
        let mut step = 0;
        // until a life is long enough for everything
        while run(&ground, (1 << 40) + step + if side == Side::Buyer { 1 << 20 } else { 0 }, &Plan::at(side, step)) > 0
        {
            step += 1;
        }
        assert!(step > 50, "{side:?} has {step} steps");
    }
}
