//! haggle-trade
