//! Other machines: a venti, hash trees read through it, its index page, and which
//! names lead to one server.

pub mod addresses;
pub mod client;
#[cfg(feature = "http")]
pub mod page;
pub mod reach;
pub mod tree;

use std::io;

/// Whether an error may be gone when the same is asked again: the other side did not answer,
/// or the connection was lost.
#[must_use]
pub fn may_pass(error: &io::Error) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable,
        NetworkDown, NetworkUnreachable, NotConnected, StaleNetworkFileHandle, TimedOut,
    };
    matches!(
        error.kind(),
        BrokenPipe
            | ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | NetworkDown
            | NetworkUnreachable
            | NotConnected
            | StaleNetworkFileHandle
            | TimedOut
    )
}
