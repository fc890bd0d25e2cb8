//! The addresses of a name.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::codec::dial::Dial;

/// The most addresses of one name that are tried.
const ADDRESSES: usize = 8;

/// The addresses of a place, found within `limit`. A name look-up has no time limit of
/// its own, so it is left to a thread that may stay behind.
///
/// # Errors
/// It has none, or they are not known within the limit.
pub fn within(dial: &Dial, limit: Duration) -> io::Result<Vec<SocketAddr>> {
    let mut found = if dial.host().parse::<IpAddr>().is_ok() {
        look_up(dial)?
    } else {
        let (send, receive) = mpsc::channel();
        let dial = dial.clone();
        thread::Builder::new().spawn(move || send.send(look_up(&dial)))?;
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the name look-up took too long");
        receive.recv_timeout(limit).map_err(late)??
    };
    found.truncate(ADDRESSES);
    Ok(found)
}

/// The addresses of a place, at least one. Asks the name system, so it may block for
/// as long as that does.
///
/// # Errors
/// Whatever the look-up says; `NotFound` for a name without addresses.
pub fn look_up(dial: &Dial) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<_> = match (dial.host(), dial.port()).to_socket_addrs() {
        Ok(found) => found.collect(),
        // A machine without /etc/hosts, or whose name server is down.
        Err(_) if dial.host() == "localhost" => {
            let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            let with_port = |address| SocketAddr::new(address, dial.port());
            loopback.map(with_port).into()
        }
        Err(error) => return Err(error),
    };
    if found.is_empty() {
        let cause = "the host has no address";
        return Err(io::Error::new(io::ErrorKind::NotFound, cause));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_hosts_need_no_name_server() {
        let at = |text: &str| look_up(&text.parse().unwrap()).unwrap();
        assert!(
            at("localhost:3")
                .iter()
                .all(|found| found.ip().is_loopback())
        );
        assert_eq!(at("127.0.0.1:1"), ["127.0.0.1:1".parse().unwrap()]);
        assert_eq!(at("[::1]:2"), ["[::1]:2".parse().unwrap()]);
    }
}
