//! What must be seen true, one module a story.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

mod client;
mod contract;
mod disk;
mod external;
mod fossilast;
mod fossilize;
mod index;
mod log;
mod many;
mod readback;
mod real_arenas;
mod real_fossil;
mod real_ventiprog;
mod remembered;
mod rollover;
mod site;
mod tidy;
mod ventiprog;
mod wrarena;
