//! Stories of DID proofs.
