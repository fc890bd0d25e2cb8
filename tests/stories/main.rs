//! One module a story.

mod client;
