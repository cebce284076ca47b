//! Names that have numbers, each held once: the table that finds a number holds numbers alone.

use std::hash::{BuildHasher, Hash, RandomState};

use hashbrown::HashTable;

/// Names by number, and numbers by name.
#[derive(Debug)]
pub(super) struct Numbered<K> {
    names: Vec<K>,
    numbers: HashTable<u32>,
    hasher: RandomState,
}

impl<K> Default for Numbered<K> {
    fn default() -> Self {
        Self { names: Vec::new(), numbers: HashTable::new(), hasher: RandomState::new() }
    }
}

impl<K: Copy + Eq + Hash> Numbered<K> {
    /// The number of a name.
    pub(super) fn number_of(&self, name: &K) -> Option<u32> {
        self.numbers.find(self.hasher.hash_one(name), |number| self.name(*number) == Some(*name)).copied()
    }

    /// The name that has, or had last, a number.
    pub(super) fn name(&self, number: u32) -> Option<K> {
        self.names.get(number as usize).copied()
    }

    /// How many numbers have been given.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The number of a name, the next one if it has none; `None` if there are four thousand million.
    pub(super) fn number(&mut self, name: K) -> Option<u32> {
        match self.number_of(&name) {
            Some(number) => Some(number),
            None => {
                let next = u32::try_from(self.names.len()).ok()?;
                self.names.push(name);
                self.write_down(&name, next);
                Some(next)
            }
        }
    }

    /// Gives a number that was taken back, to a name that has none.
    pub(super) fn give_again(&mut self, number: u32, name: K) {
        if let Some(last) = self.names.get_mut(number as usize) {
            *last = name;
            self.write_down(&name, number);
        }
    }

    /// Takes a name's number back.
    pub(super) fn take_back(&mut self, name: &K) -> Option<u32> {
        let Self { names, numbers, hasher } = self;
        let is_it = |number: &u32| names.get(*number as usize) == Some(name);
        numbers.find_entry(hasher.hash_one(name), is_it).ok().map(|found| found.remove().0)
    }

    fn write_down(&mut self, name: &K, number: u32) {
        let Self { names, numbers, hasher } = self;
        let hash = |number: &u32| names.get(*number as usize).map_or(0, |name| hasher.hash_one(name));
        numbers.insert_unique(hasher.hash_one(name), number, hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_keeps_its_number_while_the_table_grows() {
        let mut numbered = Numbered::default();
        for name in 0..1000_u32 {
            assert_eq!(numbered.number(name * 3), Some(name));
            assert_eq!(numbered.number(name * 3), Some(name), "it has one");
        }
        assert_eq!((numbered.len(), numbered.number_of(&1)), (1000, None));
        for name in 0..1000 {
            assert_eq!((numbered.number_of(&(name * 3)), numbered.name(name)), (Some(name), Some(name * 3)));
        }
    }

    #[test]
    fn a_number_that_was_taken_back_is_given_to_another_name() {
        let mut numbered = Numbered::default();
        assert_eq!((numbered.number("one"), numbered.number("two")), (Some(0), Some(1)));
        assert_eq!((numbered.take_back(&"one"), numbered.take_back(&"one")), (Some(0), None));
        assert_eq!((numbered.number_of(&"one"), numbered.name(0)), (None, Some("one")), "the last one who had it");
        numbered.give_again(0, "three");
        assert_eq!(
            (numbered.number_of(&"three"), numbered.name(0), numbered.number("one")),
            (Some(0), Some("three"), Some(2))
        );
        numbered.give_again(9, "nobody");
        assert_eq!((numbered.number_of(&"nobody"), numbered.len()), (None, 3), "a number that was never given");
    }
}
