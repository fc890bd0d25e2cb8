//! A store and its server.

mod powercuts;
