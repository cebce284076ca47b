//! haggle-escrow
