//! Sixteen bytes that stand for a set of ids, kept up to date as ids come and go.

use haggle_base::{Hash, RecordId};

/// Bytes of a digest.
pub const DIGEST_BYTES: usize = 16;

/// What stands for a shard's set. Equal sets have equal digests.
pub type Digest = [u8; DIGEST_BYTES];

/// The sum of a set's ids, modulo 2^256, and their number. Each id may be in the set once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    /// Little-endian limbs.
    limbs: [u64; 4],
    count: u64,
}

impl Sum {
    /// Of these ids.
    #[must_use]
    pub fn of<'a>(ids: impl IntoIterator<Item = &'a RecordId>) -> Self {
        let mut sum = Self::default();
        ids.into_iter().for_each(|id| sum.add(id));
        sum
    }

    /// An id comes into the set.
    pub fn add(&mut self, id: &RecordId) {
        let mut carry = false;
        for (limb, more) in self.limbs.iter_mut().zip(limbs(id)) {
            let (sum, over) = limb.overflowing_add(more);
            let (sum, over_by_carry) = sum.overflowing_add(carry.into());
            *limb = sum;
            carry = over || over_by_carry;
        }
        self.count = self.count.wrapping_add(1);
    }

    /// An id leaves the set.
    pub fn subtract(&mut self, id: &RecordId) {
        let mut borrow = false;
        for (limb, less) in self.limbs.iter_mut().zip(limbs(id)) {
            let (rest, under) = limb.overflowing_sub(less);
            let (rest, under_by_borrow) = rest.overflowing_sub(borrow.into());
            *limb = rest;
            borrow = under || under_by_borrow;
        }
        self.count = self.count.wrapping_sub(1);
    }

    /// The first bytes of the blake3 of sum and number, both little-endian.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut bytes = [0; 40];
        for (part, limb) in bytes.chunks_mut(8).zip(self.limbs.iter().chain([&self.count])) {
            part.copy_from_slice(&limb.to_le_bytes());
        }
        let mut digest = [0; DIGEST_BYTES];
        digest.copy_from_slice(&Hash::of(&bytes).as_bytes()[..DIGEST_BYTES]);
        digest
    }
}

fn limbs(id: &RecordId) -> [u64; 4] {
    let mut limbs = [0; 4];
    for (limb, part) in limbs.iter_mut().zip(id.as_bytes().chunks_exact(8)) {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(part);
        *limb = u64::from_le_bytes(bytes);
    }
    limbs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(bytes: [u8; 32]) -> RecordId {
        Hash::from_bytes(bytes).into()
    }

    #[test]
    fn what_came_and_left_leaves_no_trace_and_order_does_not_matter() {
        let ids = [id([0xff; 32]), id([0xfe; 32]), id([1; 32])];
        let [a, b, c] = ids;
        let mut sum = Sum::of([&a, &b, &c]);
        assert_eq!(sum, Sum::of([&c, &a, &b]));
        assert_ne!(sum.digest(), Sum::of([&a, &b]).digest());
        sum.subtract(&c);
        assert_eq!(sum, Sum::of([&b, &a]));
        sum.subtract(&a);
        sum.subtract(&b);
        assert_eq!(sum, Sum::default());
    }

    #[test]
    fn the_number_of_ids_counts_beside_their_sum() {
        let (zero, one) = (id([0; 32]), id([1; 32]));
        assert_ne!(Sum::of([&one]).digest(), Sum::of([&zero, &one]).digest());
    }
}
