//! What a market of a given size costs each node, and what it costs two nodes to find out what differs.

use super::{News, Press, Settings, World, news, node::Node, session};
use crate::discovery::Failure;
use serde::{Deserialize, Serialize};

/// Nodes; what each receives does not depend on their number, but on the mesh.
const NODES: u32 = 10;
/// Shards of the network.
const SHARDS: u16 = 64;
/// Room for every listing of the largest market.
const CAPACITY: usize = 4_000_000;
/// Virtual time that is looked at.
const WINDOW_MILLIS: u64 = 3600 * 1000;
/// How often an author signs a listing anew: half its life of seven days.
const REFRESH_MILLIS: u64 = 7 * 24 * 3600 * 1000 / 2;
/// Hundredths of the messages that each node loses.
const LOSS: u64 = 5;

/// What each node receives in a second; it sends as much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Listings of the market.
    pub listings: u64,
    /// Bytes of records by gossip, copies included.
    pub gossip: f64,
    /// Bytes of offers.
    pub offers: f64,
    /// Bytes of reconciliation, with what it repairs.
    pub sync: f64,
    /// Copies of each message.
    pub copies: f64,
}

impl Traffic {
    /// All together.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.gossip + self.offers + self.sync
    }
}

/// An hour of a market in which every listing is renewed at half its life, and 5 % of the messages are lost.
///
/// # Errors
/// Never: what is made up is within its bounds.
pub fn traffic(listings: u64, seed: u64) -> Result<Traffic, Failure> {
    let settings = Settings { seed, nodes: NODES, shards: SHARDS, capacity: CAPACITY, loss: LOSS };
    let press = Press::new(seed, SHARDS, NODES)?;
    let mut world = World::new(settings);
    let made = |number: u64, at: u64| {
        let category = format!("category-{}", number % 1000);
        press.made_up(number, "listing/made-up", &category, news::at(at), true)
    };
    for number in 0..listings {
        let News { entry, .. } = made(number, 0);
        world.nodes.iter_mut().for_each(|node| node.shelf.restore(std::sync::Arc::clone(&entry)));
    }
    let renewed = listings * WINDOW_MILLIS / REFRESH_MILLIS;
    for number in 0..renewed {
        let (at, node) = (world.dice.of(&(1..WINDOW_MILLIS)), world.dice.of(&(0..u64::from(NODES))));
        world.plan_publication(at, u32::try_from(node)?, made(number, at));
    }
    world.run_until(WINDOW_MILLIS);
    let received = world.received();
    let each = |bytes: u64| bytes as f64 / f64::from(NODES) / (WINDOW_MILLIS / 1000) as f64;
    Ok(Traffic {
        listings,
        gossip: each(received.gossip),
        offers: each(received.offers),
        sync: each(received.sync),
        copies: received.copies as f64 / received.deliveries.max(1) as f64,
    })
}

/// What finding out costs, both ways, without the records themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncCost {
    /// Records that one side or the other lacks.
    pub differences: u64,
    /// Bytes.
    pub bytes: u64,
    /// Round trips.
    pub rounds: u32,
}

/// Reconciles two nodes of `held` listings each, made over seven days, of which so many differ at random (all of them at
/// most): each side has half of them.
///
/// # Errors
/// The session broke.
pub fn sync_cost(held: u64, differences: u64, seed: u64) -> Result<SyncCost, Failure> {
    let differences = differences.min(2 * held);
    let settings = Settings { seed, nodes: 2, shards: SHARDS, capacity: CAPACITY, loss: 0 };
    let press = Press::new(seed, SHARDS, 2)?;
    let (mut one, mut other) = (Node::new(&settings), Node::new(&settings));
    let now = 2 * REFRESH_MILLIS;
    let mut dice = crate::corpus::Dice::new(seed);
    for number in 0..held + differences / 2 {
        let category = format!("category-{}", number % 1000);
        let entry = press.made_up(number, "listing/made-up", &category, news::at(dice.of(&(0..now))), true).entry;
        if number >= differences / 2 {
            one.shelf.restore(std::sync::Arc::clone(&entry));
        }
        if number < held {
            other.shelf.restore(entry);
        }
    }
    let outcome = session::between(&mut one, &mut other, now, |_| 1024, |_| None, None);
    if outcome.broken || u64::from(outcome.moved) != differences / 2 * 2 {
        return Err("the two did not become equal".into());
    }
    // the last turn only says that all is done
    Ok(SyncCost { differences, bytes: outcome.bytes, rounds: outcome.turns / 2 })
}
