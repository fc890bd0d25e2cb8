//! The addresses of a name.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::Error;
use crate::codec::dial::Dial;

/// The most addresses of one name that are tried.
const ADDRESSES: usize = 8;

/// The addresses of a place. A name look-up knows no time limit, so it is left
/// to a thread that may stay behind.
///
/// # Errors
/// [`Error::Unreachable`]: it has none, or they are not known within the limit.
pub fn resolve(dial: &Dial, limit: Duration) -> Result<Vec<SocketAddr>, Error> {
    let mut found = if dial.host().parse::<IpAddr>().is_ok() {
        dial.resolve()
    } else {
        resolve_within(dial.clone(), limit)
    }
    .map_err(Error::Unreachable)?;
    found.truncate(ADDRESSES);
    Ok(found)
}

fn resolve_within(dial: Dial, limit: Duration) -> io::Result<Vec<SocketAddr>> {
    let (tell, told) = mpsc::channel();
    thread::Builder::new().spawn(move || tell.send(dial.resolve()))?;
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the name look-up took too long");
    told.recv_timeout(limit).map_err(late)?
}
