//! The laws of the ledger: no bound is ever passed, a known sender has room while its half has, and nothing goes but by rule.

use std::collections::{BTreeMap, BTreeSet};

use haggle_base::{Hash, Timestamp};
use proptest::prelude::*;

use super::super::ledger::{Deposit, Held, Ledger, Limits};
use super::super::wire::{Half, Refusal};
use super::{START, key, node};

const LIMITS: Limits =
    Limits { bytes: 40 * 1024, recipients: 6, recipients_of_node: 4, half: 12 * 1024, sender: 6 * 1024, receipts: 8 };

/// What happens to a ledger.
#[derive(Clone, Debug)]
enum Step {
    Greet { agent: u32, node: u8 },
    Leave { to: u32, from: u32, bytes: usize, is_known: bool, lives: u64 },
    Take { at: usize },
    Pass { secs: u64 },
    Receipt { sender: u32, letter: u8 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let leave = (0..8_u32, 10..20_u32, 1..6000_usize, any::<bool>(), 1..500_u64);
    let step = prop_oneof![
        2 => (0..8_u32, 0..3_u8).prop_map(|(agent, node)| Step::Greet { agent, node }),
        12 => leave.prop_map(|(to, from, bytes, is_known, lives)| Step::Leave { to, from, bytes, is_known, lives }),
        2 => (0..64_usize).prop_map(|at| Step::Take { at }),
        1 => (1..100_u64).prop_map(|secs| Step::Pass { secs }),
        2 => (0..4_u32, any::<u8>()).prop_map(|(sender, letter)| Step::Receipt { sender, letter }),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn no_bound_is_passed_and_nothing_goes_but_by_rule(steps in steps()) {
        let mut ledger = Ledger::new(LIMITS);
        let mut now: Timestamp = START;
        let mut held: BTreeMap<(haggle_base::Did, u64), Held> = BTreeMap::new();
        let mut seats = BTreeSet::new();
        let mut names = 0_u64;
        for step in steps {
            match step {
                Step::Greet { agent, node: number } => {
                    let agent = key(agent).did();
                    if ledger.greet(agent, node(number), now).is_ok() {
                        seats.insert(agent);
                    } else {
                        prop_assert!(!seats.contains(&agent), "a place is not lost to another");
                    }
                }
                Step::Leave { to, from, bytes, is_known, lives } => {
                    for place in ledger.over(now, 1000) {
                        prop_assert!(held.remove(&place).is_some_and(|gone| gone.expires <= now));
                        ledger.remove(&place);
                    }
                    names += 1;
                    let to = key(to).did();
                    let half = if is_known { Half::Known } else { Half::Open };
                    let letter = Held {
                        id: Hash::of(&names.to_be_bytes()),
                        from: key(from).did(),
                        size: Held::size_of(bytes),
                        half,
                        expires: now.plus(std::time::Duration::from_secs(lives)),
                    };
                    let sum = |of: &dyn Fn(&Held) -> bool, to| -> u64 {
                        held.iter().filter(|((agent, _), held)| *agent == to && of(held)).map(|(_, held)| held.size).sum()
                    };
                    let total: u64 = held.values().map(|held| held.size).sum();
                    let fits = sum(&|held| held.from == letter.from, to) + letter.size <= LIMITS.sender
                        && sum(&|held| held.half == half, to) + letter.size <= LIMITS.half
                        && seats.contains(&to);
                    match ledger.room_for(&to, &letter) {
                        Deposit::Room { number, evicted } => {
                            prop_assert!(fits);
                            prop_assert!(evicted.is_empty() || total + letter.size > LIMITS.bytes);
                            let own = sum(&|_| true, to) + letter.size;
                            for place in &evicted {
                                prop_assert!(place.0 != to && sum(&|_| true, place.0) > own, "of one who takes more");
                                let gone = ledger.remove(place);
                                prop_assert_eq!(gone.as_ref(), held.get(place));
                            }
                            for place in &evicted {
                                held.remove(place);
                            }
                            ledger.add(to, number, letter.clone());
                            prop_assert!(held.insert((to, number), letter).is_none());
                        }
                        // while the keeper has room, only the bounds of its half and its own refuse a sender
                        Deposit::Refused(Refusal::KeeperFull) => {
                            prop_assert!(fits && total + letter.size > LIMITS.bytes);
                        }
                        Deposit::Refused(_) => prop_assert!(!fits),
                        Deposit::Known => prop_assert!(false, "every name is new"),
                    }
                }
                Step::Take { at } => {
                    if let Some(place) = held.keys().nth(at).copied() {
                        prop_assert_eq!(ledger.remove(&place), held.remove(&place));
                    }
                }
                Step::Pass { secs } => now = now.plus(std::time::Duration::from_secs(secs)),
                Step::Receipt { sender, letter } => {
                    let _gone = ledger.add_receipt(key(sender).did(), Hash::of(&[letter]), now);
                }
            }
            let (bytes, letters, recipients) = ledger.sums();
            prop_assert_eq!((bytes, letters), (held.values().map(|held| held.size).sum(), held.len()));
            prop_assert!(bytes <= LIMITS.bytes && recipients <= LIMITS.recipients);
            for agent in &seats {
                for half in [Half::Known, Half::Open] {
                    let numbers: Vec<u64> = ledger.letters(agent, half).map(|(number, _)| number).collect();
                    prop_assert!(numbers.is_sorted(), "the oldest first");
                    prop_assert!(ledger.letters(agent, half).map(|(_, size)| size).sum::<u64>() <= LIMITS.half);
                }
            }
            let receipts: usize = (0..4).map(|sender| ledger.receipts(&key(sender).did()).count()).sum();
            prop_assert!(receipts <= LIMITS.receipts);
        }
    }
}
