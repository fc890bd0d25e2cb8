//! What ventiprog, wrarena, ventioffsets and venticonf do.

pub mod venticonf;
pub mod ventioffsets;
pub mod ventiprog;
pub mod wrarena;
