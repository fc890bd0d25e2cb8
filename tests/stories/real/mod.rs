//! Against plan9port's own programs; run by `cargo xtask test --real`.

mod arenas;
mod bothways;
mod buckets;
mod conf;
mod console;
mod evening;
mod fossil;
mod full;
mod many;
mod reset;
mod rootcheck;
mod rootget;
mod roots;
mod serve;
mod source;
mod ventilag;
mod ventiprog;
mod workflow;
