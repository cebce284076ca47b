//! haggle-catalog
