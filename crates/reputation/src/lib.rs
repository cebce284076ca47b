//! haggle-reputation
