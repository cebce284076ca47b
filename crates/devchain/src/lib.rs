//! haggle-devchain
