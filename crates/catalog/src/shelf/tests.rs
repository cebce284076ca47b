//! Stories of the shelf.
