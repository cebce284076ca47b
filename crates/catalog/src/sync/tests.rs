//! Stories of sync.
