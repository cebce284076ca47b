//! haggle-testnet
