//! haggle-network
