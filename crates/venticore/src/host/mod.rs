//! This machine: child programs, partitions and who has them open, the terminal.

pub mod child;
pub mod holders;
pub mod lock;
pub mod partition;
pub mod publish;
pub mod random;
pub mod relay;
#[cfg(feature = "serve")]
pub mod supervisor;
pub mod terminal;
