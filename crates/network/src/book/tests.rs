//! Stories of the peer book.
