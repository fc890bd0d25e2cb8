//! A fossil's console: reaching it, asking it, knowing what it said
//! (fossil.md 6).
//!
//! Nothing here sleeps. What is waited for has a limit, and stands in the message
//! when the limit ends the wait.

pub mod dialogue;
pub mod end;
pub mod kin;
pub mod line;
pub mod place;
pub mod reply;
pub mod systems;
pub mod transport;
pub mod trust;
pub mod verdict;

pub use dialogue::{Console, ConsoleError};
pub use line::CommandLine;
