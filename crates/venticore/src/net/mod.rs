//! Other machines: a venti, hash trees read through it, its index page, and which
//! names lead to one server.

pub mod addresses;
pub mod client;
#[cfg(feature = "http")]
pub mod page;
pub mod reach;
pub mod tree;
