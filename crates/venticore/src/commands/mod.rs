//! What ventiprog, ventilag, wrarena, ventioffsets, ventiroots and venticonf do.

pub mod venticonf;
#[cfg(feature = "http")]
pub mod ventilag;
#[cfg(feature = "http")]
pub mod ventioffsets;
#[cfg(feature = "http")]
pub mod ventiprog;
pub mod ventiroots;
pub mod wrarena;
