//! Who on this machine accepts connections, by `/proc/net`: only Linux tells.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The most bytes of a table: some hundred thousand connections.
const TABLE_MAX: u64 = 16 << 20;

/// The state of a socket that accepts connections.
const LISTEN: &str = "0A";

/// A socket of this machine that accepts connections.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalListener {
    /// Where it listens; the address is unspecified for all addresses.
    pub address: SocketAddr,
    /// Its number, by which a process's descriptor names it.
    inode: u64,
}

/// All that accept connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listeners(Vec<LocalListener>);

impl Listeners {
    /// Those there are now; none where the system does not tell.
    #[must_use]
    pub fn here() -> Self {
        let read = |name| {
            let mut text = Vec::new();
            let file = File::open(Path::new("/proc/net").join(name));
            // What cannot be read is not known.
            let _ = file.and_then(|file| file.take(TABLE_MAX).read_to_end(&mut text));
            String::from_utf8_lossy(&text).into_owned()
        };
        Self::parse(&read("tcp"), &read("tcp6"))
    }

    /// The tables `tcp` and `tcp6`; lines that are not understood are passed over.
    pub(super) fn parse(tcp: &str, tcp6: &str) -> Self {
        let lines = tcp.lines().chain(tcp6.lines());
        Listeners(lines.filter_map(listener).collect())
    }

    /// The one that takes a connection to an address of this machine.
    #[must_use]
    pub fn reached_by(&self, address: SocketAddr) -> Option<&LocalListener> {
        let of_port = || self.0.iter().filter(|l| l.address.port() == address.port());
        let of_all = |v6| {
            let mut all = of_port().filter(move |l| l.address.ip().is_unspecified());
            all.find(|l| l.address.is_ipv6() == v6)
        };
        of_port()
            .find(|l| l.address.ip().to_canonical() == address.ip())
            .or_else(|| of_all(address.is_ipv6()))
            // One for all v6 addresses usually takes v4 as well. To 0.0.0.0 everyone is reached.
            .or_else(|| of_all(true))
            .or_else(|| of_port().next().filter(|_| address.ip().is_unspecified()))
    }

    /// Those that are sockets of this process, as far as that can be seen.
    #[must_use]
    pub fn of(&self, pid: u32) -> Vec<&LocalListener> {
        let sockets = sockets(pid);
        let all = self.0.iter();
        all.filter(|l| sockets.contains(&l.link())).collect()
    }

    /// Whether one listens at this port.
    #[must_use]
    pub fn any_at(&self, port: u16) -> bool {
        self.0.iter().any(|l| l.address.port() == port)
    }
}

impl LocalListener {
    /// Whether it is a socket of this process, as far as that can be seen.
    #[must_use]
    pub fn is_of(&self, pid: u32) -> bool {
        sockets(pid).contains(&self.link())
    }

    /// What a descriptor of it links to.
    fn link(&self) -> OsString {
        format!("socket:[{}]", self.inode).into()
    }
}

/// What the descriptors of a process link to.
fn sockets(pid: u32) -> HashSet<OsString> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
    let descriptors = descriptors.into_iter().flatten().flatten();
    let links = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
    links.map(PathBuf::into_os_string).collect()
}

/// `0: 0100007F:428A 00000000:0000 0A ... INODE ...`: number, local and remote
/// address, state; the number of the socket is the tenth field.
fn listener(line: &str) -> Option<LocalListener> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    if fields.get(3) != Some(&LISTEN) {
        return None;
    }
    let (ip, port) = fields.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(LocalListener {
        address: SocketAddr::new(address(ip)?, port),
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// Words of four bytes, each printed as the machine reads them.
fn address(text: &str) -> Option<IpAddr> {
    let words = text.as_bytes().chunks(8).map(|word| {
        let word = std::str::from_utf8(word).ok().filter(|w| w.len() == 8)?;
        u32::from_str_radix(word, 16).ok().map(u32::to_ne_bytes)
    });
    let bytes: Vec<u8> = words.collect::<Option<Vec<_>>>()?.concat();
    if let Ok(v4) = <[u8; 4]>::try_from(bytes.as_slice()) {
        return Some(Ipv4Addr::from(v4).into());
    }
    let v6 = <[u8; 16]>::try_from(bytes.as_slice()).ok()?;
    Some(Ipv6Addr::from(v6).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn who_listens_is_found_by_its_address_and_its_process() {
        let one = TcpListener::bind("127.0.0.1:0").unwrap();
        let all = TcpListener::bind("0.0.0.0:0").unwrap();
        let six = TcpListener::bind("[::1]:0");
        let listeners = Listeners::here();
        if listeners == Listeners::default() {
            return;
        }
        let one = one.local_addr().unwrap();
        assert_eq!(listeners.reached_by(one).unwrap().address, one);
        let other = SocketAddr::new("127.0.0.2".parse().unwrap(), one.port());
        assert_eq!(listeners.reached_by(other), None);
        let port = all.local_addr().unwrap().port();
        let found = listeners.reached_by(SocketAddr::new(one.ip(), port));
        assert_eq!(found.unwrap().address, all.local_addr().unwrap());
        assert!(found.unwrap().is_of(std::process::id()));
        assert!(!found.unwrap().is_of(1));
        let of = listeners.of(std::process::id());
        assert!(of.contains(&found.unwrap()), "{of:?}");
        assert!(of.iter().any(|listener| listener.address == one));
        assert_eq!(listeners.of(1).iter().find(|l| l.address == one), None);
        if let Ok(six) = six {
            let address = six.local_addr().unwrap();
            assert_eq!(listeners.reached_by(address).unwrap().address, address);
        }
    }

    #[test]
    fn lines_that_are_not_understood_are_passed_over() {
        let text = "  sl  local_address rem_address   st tx_queue\n\
                    0: 0100007F:428A 00000000:0000 01 0:0 0:0 0 0 0 11 1\n\
                    0: 01007F:428A 00000000:0000 0A 0:0 0:0 0 0 0 11 1\n\
                    0: zz00007F:428A 00000000:0000 0A 0:0 0:0 0 0 0 11 1\n\
                    0: 0100007F:428A 00000000:0000 0A\n\
                    \u{fffd}\n";
        assert_eq!(Listeners::parse(text, ""), Listeners::default());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in ".*") {
            let _ = listener(&text);
        }

        #[test]
        fn what_is_printed_is_read_back(ip: [u8; 4], port: u16, inode: u64) {
            let word = u32::from_ne_bytes(ip);
            let line = format!("0: {word:08X}:{port:04X} 0:0 0A 0:0 0:0 0 0 0 {inode} 1");
            let address = SocketAddr::from((ip, port));
            proptest::prop_assert_eq!(listener(&line), Some(LocalListener { address, inode }));
        }
    }
}
