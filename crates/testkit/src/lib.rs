//! haggle-testkit
