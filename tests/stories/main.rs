//! What must be seen true, one module a story.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

mod client;
mod contract;
mod external;
mod index;
mod log;
mod real_arenas;
mod real_many;
mod real_ventiprog;
mod tidy;
mod ventiprog;
mod wrarena;
