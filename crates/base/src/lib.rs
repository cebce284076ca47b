//! haggle-base
