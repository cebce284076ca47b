//! Laws of channels.
