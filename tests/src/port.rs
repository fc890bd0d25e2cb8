//! Ports on loopback for servers that cannot be given a listener, and for those
//! that are not there.

use std::net::TcpListener;
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below those that systems give out by themselves, so that no connection
/// and no other listener of a story comes upon one.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port that nothing listens on; each call has another.
#[must_use]
pub fn free() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // Another run of the tests, at the same time, begins elsewhere.
    let offset = process::id().wrapping_mul(97) % u32::from(COUNT);
    loop {
        let number = u32::from(TAKEN.fetch_add(1, Ordering::Relaxed)) + offset;
        let port = FIRST + u16::try_from(number % u32::from(COUNT)).unwrap_or(0);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        let mut ports: Vec<u16> = (0..50).map(|_| free()).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 50);
    }
}
