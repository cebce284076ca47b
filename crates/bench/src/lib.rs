//! haggle-bench
