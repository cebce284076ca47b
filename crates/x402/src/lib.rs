//! haggle-x402
