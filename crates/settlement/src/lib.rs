//! haggle-settlement
