//! What must be seen true, one module a story.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails")]

mod apart;
mod asked;
mod broker;
mod client;
mod conf;
mod console;
mod contract;
mod cpsys;
mod disk;
mod examples;
mod external;
mod faults;
mod format;
mod fosreset;
mod fossilast;
mod fossilize;
mod index;
mod kills;
mod listing;
mod log;
mod manual;
mod many;
mod ninefat;
mod pages;
mod places_told;
mod readback;
mod real_arenas;
mod real_conf;
mod real_console;
mod real_fossil;
mod real_many;
mod real_reset;
mod real_ventiprog;
mod remembered;
mod rollover;
mod schedules;
mod site;
mod tidy;
mod tree;
mod units;
mod unmet;
mod ventiprog;
mod workflow;
mod wrarena;
