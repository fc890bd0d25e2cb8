//! Random numbers: tokens that nothing else prints, and samples.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A number that another call, in whichever process, does not draw. The standard library
/// gets the keys behind it from the system without waiting, so that no caller has an
/// error to pass on.
#[must_use]
pub fn number() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A number below a limit, which is not 0.
#[must_use]
pub fn below(limit: u64) -> u64 {
    number() % limit
}
