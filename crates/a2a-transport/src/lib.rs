//! haggle-a2a-transport
