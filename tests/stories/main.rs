//! What must be seen true, one module a story.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

mod fixture;
mod fossil;
mod real;
mod repository;
mod serve;
mod ventiprog;
