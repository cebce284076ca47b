//! haggle-store
