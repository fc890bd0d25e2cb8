//! All that knows venti, nothing that knows fossil.
//!
//! Its modules stand on floors: each uses only those listed before it, and the test
//! `floors` in the stories keeps it so.

pub mod nearest;
pub mod status;
pub mod text;

pub mod codec;

pub mod host;

pub mod source;

pub mod replica;

#[cfg(feature = "serve")]
pub mod store;

pub mod net;

#[cfg(feature = "serve")]
pub mod serve;

pub mod state;

pub mod copy;

pub mod config;

pub mod ninefat;

#[cfg(feature = "http")]
pub mod survey;

pub mod tool;

pub mod confedit;

pub mod commands;
