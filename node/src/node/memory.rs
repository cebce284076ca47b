//! Memory that was freed goes back to the system also while a node rests.

use std::hint::black_box;
use std::time::Duration;

/// How often memory may go back.
const EVERY: Duration = Duration::from_secs(10);
/// More than any block that the allocator cuts from a page shared with others: a block of this size has a page alone.
const BLOCK: usize = 1 << 20;

/// The allocator of the binary (mimalloc) keeps what was freed for a second and then waits for an occasion to give it back: a
/// thread that frees a whole page. A node at rest frees none, and would keep what its start took for a minute or more. Here is
/// the occasion. Nothing is written to the block, so that the system never finds memory for it.
pub(super) async fn give_back() {
    let mut look = tokio::time::interval(EVERY);
    loop {
        look.tick().await;
        drop(black_box(Vec::<u8>::with_capacity(BLOCK)));
    }
}
