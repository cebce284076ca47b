//! haggle-a2a
