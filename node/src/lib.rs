//! haggle
