//! Stories of the simulated market: news that is lost and nodes that come and go, floods, wrong clocks, a split network.

use super::{Event, Press, Received, Settings, World, news};
use crate::corpus::Dice;
use crate::discovery::Failure;
use haggle_catalog::{Entry, shard_of};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A minute in milliseconds.
const MINUTE: u64 = 60_000;
/// How long after the last publication all nodes are to hold the same.
const GRACE: u64 = 15 * MINUTE;
/// The same for a record that only reconciliation spreads, from one node: two and a half of its intervals.
const LATE_GRACE: u64 = 25 * MINUTE;

/// How far a market has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Converged {
    /// Nodes that are there.
    pub nodes: usize,
    /// Nodes that hold exactly what a node that knows everything would.
    pub equal: usize,
    /// Records that such a node holds.
    pub held: usize,
    /// Records missing, over all nodes.
    pub missing: usize,
    /// Records that should not be there, over all nodes.
    pub foreign: usize,
}

impl Converged {
    /// True if every node holds the same and nothing is missing.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.nodes > 0 && self.held > 0 && self.equal == self.nodes && self.missing == 0 && self.foreign == 0
    }
}

/// The law that a market is complete in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Law {
    /// Everything follows from it.
    pub seed: u64,
    /// Nodes.
    pub nodes: u32,
    /// Things that are published: listings, changes of them, withdrawals.
    pub publications: u64,
    /// Hundredths of the messages that each node loses.
    pub loss: u64,
    /// Hundredths of the nodes that go and come back.
    pub churn: u64,
    /// Minutes in which all this happens.
    pub minutes: u64,
}

impl Law {
    /// What the design promises to hold for: 5 % loss, 30 % churn.
    #[must_use]
    pub const fn of(seed: u64, nodes: u32, publications: u64) -> Self {
        Self { seed, nodes, publications, loss: 5, churn: 30, minutes: 20 }
    }
}

/// Publishes while nodes come and go, then waits 15 virtual minutes. Of the nodes that come back a third has lost its disk;
/// the last come back with the last publication.
///
/// # Errors
/// Never: what is made up is within its bounds.
pub fn law(law: Law) -> Result<(Converged, Received), Failure> {
    let settings = Settings { seed: law.seed, nodes: law.nodes, shards: 64, capacity: 1_000_000, loss: law.loss };
    let press = Press::new(law.seed, settings.shards, law.nodes)?;
    let mut world = World::new(settings);
    let mut dice = Dice::new(law.seed.rotate_left(9));
    let end = law.minutes * MINUTE;
    let some_node = |dice: &mut Dice| u32::try_from(dice.of(&(0..u64::from(law.nodes))));
    let mut moments: Vec<u64> = (0..law.publications).map(|_| dice.of(&(0..end))).collect();
    moments.sort_unstable();
    let mut listed = 0;
    for at in moments {
        let node = some_node(&mut dice)?;
        let made = match dice.next() % 10 {
            0 if listed > 0 => press.withdrawal(dice.next() % listed, news::at(at), true)?,
            1 | 2 if listed > 0 => press.listing(dice.next() % listed, news::at(at), true)?,
            _ => {
                listed += 1;
                press.listing(listed - 1, news::at(at), true)?
            }
        };
        world.plan_publication(at, node, made);
    }
    let mut nodes: Vec<u32> = (0..law.nodes).collect();
    for at in (1..nodes.len()).rev() {
        nodes.swap(at, usize::try_from(dice.of(&(0..at as u64 + 1)))?);
    }
    let going = usize::try_from(u64::from(law.nodes) * law.churn / 100)?;
    for (number, &node) in nodes.iter().take(going).enumerate() {
        let left = dice.of(&(0..end));
        let back = dice.of(&(left..end + 1));
        world.plan(left, Event::Leave { node });
        world.plan(back, Event::Return { node, empty: number % 3 == 0 });
    }
    // one that was away has 30 s to publish what it had to say
    world.run_until(end + MINUTE / 2);
    world.run_until(end + GRACE);
    Ok((world.complete(|_| true), world.received()))
}

/// What a flood left of a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flooded {
    /// Honest records that paid for room: all of them, everywhere.
    pub honest: Converged,
    /// Of the honest records that paid nothing and were there before, how many are gone, over all nodes.
    pub displaced: usize,
    /// Most records and remembered ids on any node.
    pub most_held: usize,
    /// Most records of the flood on any node.
    pub most_flood: usize,
    /// Bytes that each node received in the last ten minutes, when nobody published any more.
    pub idle_bytes: u64,
}

/// A thousand authors who paid for nothing flood one category with `each` listings, while honest agents go on.
///
/// # Errors
/// Never: what is made up is within its bounds.
pub fn flood(seed: u64, nodes: u32, authors: u64, each: u64, capacity: usize) -> Result<Flooded, Failure> {
    let settings = Settings { seed, nodes, shards: 8, capacity, loss: 5 };
    let press = Press::new(seed, settings.shards, nodes)?;
    let mut world = World::new(settings);
    let category = "flooded";
    let honest_free = capacity as u64 / 50;
    let is_free = |entry: &Entry| entry.slot.as_str() == "listing/free";
    let is_honest = |entry: &Entry| entry.is_paid();
    let mut number = 0;
    let mut publish = |world: &mut World, slot: &str, author: u64, moments: std::ops::Range<u64>, costed| {
        let at = world.dice.of(&moments);
        let node = u32::try_from(world.dice.of(&(0..u64::from(nodes)))).unwrap_or(0);
        number += 1;
        world.plan_publication(at, node, press.made_up(author, slot, category, news::at(at), costed));
    };
    for author in 0..honest_free {
        publish(&mut world, "listing/free", author, 0..MINUTE, false);
    }
    for author in 1_000_000..1_000_000 + authors {
        for slot in 0..each {
            publish(&mut world, &format!("listing/flood-{slot}"), author, 10 * MINUTE..20 * MINUTE, false);
        }
    }
    for author in 2_000_000..2_000_000 + capacity as u64 / 2 {
        publish(&mut world, "listing/paid", author, MINUTE..20 * MINUTE, true);
    }
    world.run_until(20 * MINUTE + GRACE);
    let honest = world.complete(is_honest);
    let before = world.received();
    world.run_until(20 * MINUTE + GRACE + 10 * MINUTE);
    let after = world.received();
    let idle = after.gossip + after.offers + after.sync - before.gossip - before.offers - before.sync;
    let flooded = shard_of(category.as_bytes(), settings.shards);
    let held = world.nodes.iter().map(|node| node.shelf.set(flooded).count());
    let of_flood =
        |node: &super::Node| node.shelf.iter().filter(|entry| entry.slot.as_str().starts_with("listing/flood")).count();
    let free = |node: &super::Node| node.shelf.iter().filter(|entry| is_free(entry)).count();
    let all_free = usize::try_from(honest_free)?;
    Ok(Flooded {
        honest,
        displaced: world.nodes.iter().map(|node| all_free - free(node)).sum(),
        most_held: held.max().unwrap_or(0),
        most_flood: world.nodes.iter().map(of_flood).max().unwrap_or(0),
        idle_bytes: idle / u64::from(nodes),
    })
}

/// Of a network whose clocks are wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skewed {
    /// What everybody should hold, whatever their clocks.
    pub converged: Converged,
    /// Nodes but the author's own that hold a record made an hour in the future.
    pub deceived: usize,
    /// Nodes but the author's own that hold one made 20 minutes in the future: at once, and 25 minutes after its time.
    pub early: [usize; 2],
}

/// One node's clock is an hour ahead, another's 20 minutes, a third one's 20 minutes behind.
///
/// # Errors
/// Never: what is made up is within its bounds.
pub fn skew(seed: u64, nodes: u32) -> Result<Skewed, Failure> {
    let settings = Settings { seed, nodes, shards: 8, capacity: 1000, loss: 5 };
    let press = Press::new(seed, settings.shards, nodes)?;
    let mut world = World::new(settings);
    for (node, minutes) in [(0, 60), (1, 20)] {
        world.nodes[node].ahead = Duration::from_secs(minutes * 60);
    }
    world.nodes[2].behind = Duration::from_secs(20 * 60);
    for author in 0..40 {
        let at = world.dice.of(&(0..5 * MINUTE));
        let node = u32::try_from(author % u64::from(nodes - 3))? + 3;
        world.plan_publication(at, node, press.made_up(author, "listing/a", "text", news::at(at), true));
    }
    let mut wrong = Vec::new();
    for (node, author, minutes) in [(0, 100, 60), (1, 101, 20)] {
        let made = news::at(5 * MINUTE + minutes * MINUTE);
        let news = press.made_up(author, "listing/a", "text", made, true);
        wrong.push(news.entry.id);
        world.plan_publication(5 * MINUTE, node, news);
    }
    let holders = |world: &World, which: usize| {
        world.nodes.iter().skip(3).filter(|node| node.shelf.get(&wrong[which]).is_some()).count()
    };
    world.run_until(6 * MINUTE);
    let at_once = holders(&world, 1);
    // ten minutes later its time has come: the clock may be ten minutes ahead
    world.run_until(15 * MINUTE + LATE_GRACE);
    let later = holders(&world, 1);
    let deceived = holders(&world, 0);
    // the author of the one is alone with it; the other one is still in the future of the node whose clock is behind
    let converged = world.complete(|entry| !wrong.contains(&entry.id));
    Ok(Skewed { converged, deceived, early: [at_once, later] })
}

/// A network that is split in two for ten minutes while both halves publish: how it stands at the end of the split, and 15
/// minutes after it healed.
///
/// # Errors
/// Never: what is made up is within its bounds.
pub fn partition(seed: u64, nodes: u32, publications: u64) -> Result<[Converged; 2], Failure> {
    let settings = Settings { seed, nodes, shards: 8, capacity: 100_000, loss: 5 };
    let press = Press::new(seed, settings.shards, nodes)?;
    let mut world = World::new(settings);
    for author in 0..publications {
        let at = world.dice.of(&(0..15 * MINUTE));
        let node = u32::try_from(world.dice.of(&(0..u64::from(nodes))))?;
        let category = format!("category-{}", author % 40);
        world.plan_publication(at, node, press.made_up(author, "listing/a", &category, news::at(at), true));
    }
    world.plan(5 * MINUTE, Event::Split { parts: 2 });
    world.plan(15 * MINUTE, Event::Split { parts: 1 });
    world.run_until(15 * MINUTE - 1);
    let split = world.complete(|_| true);
    world.run_until(15 * MINUTE + GRACE);
    Ok([split, world.complete(|_| true)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_market_of_200_nodes_that_loses_and_churns_is_complete_in_15_minutes() {
        let (converged, received) = law(Law::of(1, 200, 250)).unwrap();
        assert!(converged.holds(), "{converged:?} {received:?}");
        assert_eq!(converged.nodes, 200);
    }

    #[test]
    #[ignore = "half a minute of one core in release, many without: `cargo xtask test` runs this"]
    fn a_market_of_10_000_nodes_that_loses_and_churns_is_complete_in_15_minutes() {
        let (converged, received) = law(Law::of(7, 10_000, 300)).unwrap();
        assert!(converged.holds(), "{converged:?} {received:?}");
        assert_eq!(converged.nodes, 10_000);
    }

    #[test]
    fn the_same_seed_tells_the_same_story_and_another_seed_another() {
        let told = |seed| law(Law::of(seed, 30, 40)).unwrap();
        assert_eq!(told(5), told(5));
        assert_ne!(told(5).1, told(6).1);
    }

    #[test]
    fn what_gossip_loses_is_there_only_because_of_reconciliation() {
        let settings = Settings { seed: 3, nodes: 60, shards: 8, capacity: 10_000, loss: 5 };
        let press = Press::new(3, settings.shards, settings.nodes).unwrap();
        let mut world = World::new(settings);
        for author in 0..50 {
            let at = MINUTE + author;
            let made = press.made_up(author, "listing/a", "text", news::at(at), true);
            world.plan_publication(at, u32::try_from(author).unwrap(), made);
        }
        // a few seconds later gossip has done what it can, and nobody has reconciled since
        world.run_until(MINUTE + 5_000);
        let gossiped = world.complete(|_| true);
        assert!(gossiped.missing > 50 && gossiped.missing < 600, "{gossiped:?}");
        world.run_until(MINUTE + GRACE);
        assert!(world.complete(|_| true).holds());
    }

    #[test]
    fn a_flood_of_one_shard_by_a_thousand_authors_is_bounded_and_honest_listings_spread() {
        let capacity = 400;
        let flooded = flood(4, 25, 1000, 4, capacity).unwrap();
        assert_eq!((flooded.honest.missing, flooded.honest.held), (0, 200), "{flooded:?}");
        assert_eq!(flooded.displaced, 0, "{flooded:?}");
        assert!(flooded.most_flood <= capacity / 10, "{flooded:?}");
        assert!(flooded.most_held <= capacity + capacity / 10, "{flooded:?}");
        assert!(flooded.idle_bytes < 2 << 20, "{flooded:?}");
    }

    #[test]
    fn a_record_from_the_future_waits_until_its_time_has_come() {
        let skewed = skew(5, 40).unwrap();
        assert_eq!((skewed.deceived, skewed.early), (0, [0, 37]), "{skewed:?}");
        assert_eq!((skewed.converged.missing, skewed.converged.held), (0, 40), "{skewed:?}");
    }

    #[test]
    fn a_network_that_was_split_is_whole_again_in_15_minutes() {
        let [split, healed] = partition(6, 100, 200).unwrap();
        assert!(split.missing > 1000, "{split:?}");
        assert!(healed.holds(), "{healed:?}");
    }

    #[test]
    fn finding_nothing_costs_little_and_finding_twenty_not_much() {
        let [none, twenty] = [0, 20].map(|differences| super::super::sync_cost(4_000, differences, 7).unwrap());
        assert!(none.bytes < 1_300 && none.rounds == 2, "{none:?}");
        assert!(twenty.bytes < 40_000 && twenty.rounds <= 6, "{twenty:?}");
    }

    #[test]
    fn a_small_market_at_rest_costs_each_node_little() {
        let traffic = super::super::traffic(2_000, 7).unwrap();
        assert!((4.0..7.0).contains(&traffic.copies), "{traffic:?}");
        assert!(traffic.total() < 200.0, "{traffic:?}");
    }
}
