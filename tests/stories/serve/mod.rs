//! A store and its server: what it answers, to whom, and what it bears.

mod cured;
mod hostile;
mod pages;
mod powercuts;
mod protocol;
mod service;
mod unreadable;
