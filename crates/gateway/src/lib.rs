//! haggle-gateway
