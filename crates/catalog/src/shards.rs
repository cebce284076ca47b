//! Sets of shards: which part of the market a node holds, and which part a session has compared.

use std::fmt;

use haggle_base::List;

use crate::{door::shard_of, wire::MAX_SHARDS};

/// Which shards a node holds in a network of at most 64 of them.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Shards(u64);

impl Shards {
    /// None.
    pub const NONE: Self = Self(0);

    /// Every shard of a network of so many.
    #[must_use]
    pub fn all(count: u16) -> Self {
        (0..count).collect()
    }

    /// Those that listings of these categories lie in, in a network of so many.
    #[must_use]
    pub fn of_categories<'a>(categories: impl IntoIterator<Item = &'a str>, count: u16) -> Self {
        categories.into_iter().map(|category| shard_of(category.as_bytes(), count)).collect()
    }

    /// What a peer says that it holds: numbers below `count`, each higher than the one before.
    pub(crate) fn said(numbers: &[u16], count: u16) -> Option<Self> {
        let is_ascending = numbers.windows(2).all(|pair| matches!(pair, [low, high] if low < high));
        let fits = numbers.last().is_none_or(|last| *last < count);
        (is_ascending && fits).then(|| numbers.iter().copied().collect())
    }

    /// As [`Self::said`] reads it.
    pub(crate) fn to_list(self) -> List<u16, MAX_SHARDS> {
        let mut list = List::new();
        for shard in self {
            // a set has 64 members at most, and the list room for as many
            let _full = list.push(shard);
        }
        list
    }

    /// Whether the shard is one of them.
    #[must_use]
    pub const fn contains(self, shard: u16) -> bool {
        shard < 64 && self.0 & (1 << shard) != 0
    }

    /// Whether all of `others` are among them.
    #[must_use]
    pub const fn covers(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Those in both.
    #[must_use]
    pub const fn shared_with(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// Those that are not in `others`.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// How many there are.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// One bit for each.
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    pub(crate) const fn of_bits(bits: u64) -> Self {
        Self(bits)
    }
}

impl FromIterator<u16> for Shards {
    /// Numbers from 64 on are no shards of any network, and left out.
    fn from_iter<I: IntoIterator<Item = u16>>(numbers: I) -> Self {
        let bit = |shard: u16| 1_u64.checked_shl(shard.into()).unwrap_or(0);
        Self(numbers.into_iter().fold(0, |bits, shard| bits | bit(shard)))
    }
}

impl IntoIterator for Shards {
    type Item = u16;
    type IntoIter = Numbers;

    fn into_iter(self) -> Numbers {
        Numbers(self.0)
    }
}

/// The numbers of a set, the lowest first.
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Iterator for Numbers {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        let lowest = (self.0 != 0).then(|| self.0.trailing_zeros())?;
        self.0 &= self.0 - 1;
        u16::try_from(lowest).ok()
    }
}

impl fmt::Debug for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(*self).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_into_it_in_order() {
        let set: Shards = [63, 0, 7, 7, 64, 1000].into_iter().collect();
        assert_eq!(set.into_iter().collect::<Vec<_>>(), [0, 7, 63]);
        assert_eq!((set.len(), set.contains(7), set.contains(64)), (3, true, false));
        let all = Shards::all(64);
        assert!(all.covers(set) && !set.covers(all) && all.len() == 64);
        assert_eq!(all.without(set).shared_with(set), Shards::NONE);
        assert_eq!(Shards::said(set.to_list().as_slice(), 64), Some(set));
    }

    #[test]
    fn what_is_no_set_of_this_network_is_refused() {
        for numbers in [&[4][..], &[1, 1], &[2, 1], &[0, 64]] {
            assert_eq!(Shards::said(numbers, 4), None, "{numbers:?}");
        }
        assert_eq!(Shards::said(&[], 4), Some(Shards::NONE));
    }
}
