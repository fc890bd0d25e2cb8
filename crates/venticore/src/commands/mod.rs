//! What ventiprog, ventilag, wrarena, ventioffsets, ventiroots, ventiserve and venticonf do.

pub mod venticonf;
#[cfg(feature = "http")]
pub mod ventilag;
#[cfg(feature = "http")]
pub mod ventioffsets;
#[cfg(feature = "http")]
pub mod ventiprog;
pub mod ventiroots;
#[cfg(feature = "serve")]
pub mod ventiserve;
pub mod wrarena;
