//! Which server an address leads to: names are looked up all at once, each of
//! them once, within a limit; addresses of this machine are told apart by who
//! listens there.

mod listeners;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

pub use listeners::{Listeners, LocalListener};

use crate::codec::dial::Dial;
use crate::net::addresses::look_up;
use crate::net::client::Dialer;

/// The most addresses of one name that are looked at.
const ADDRESSES: usize = 64;

/// Where some ventis are.
#[derive(Debug)]
pub struct Reach {
    found: Vec<ReachedVenti>,
    /// Those that are reached through a command. Their addresses are another machine's
    /// business, so they say nothing of who they are.
    via: BTreeSet<Dial>,
}

/// One venti, and where it is.
#[derive(Debug)]
struct ReachedVenti {
    dial: Dial,
    ends: BTreeSet<Endpoint>,
    /// The addresses of it that are this machine's.
    own: Vec<SocketAddr>,
    /// Why it has no address.
    unknown: Option<String>,
}

/// One place that an address leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Endpoint {
    /// A socket of this machine that accepts connections.
    Listener(LocalListener),
    /// A port of this machine. Nobody is seen to listen there.
    Here(u16),
    /// An address of another machine.
    Elsewhere(SocketAddr),
}

/// Whether two addresses lead to one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Same {
    /// All that is known of one is true of the other.
    Yes,
    /// They have an address in common, and not all.
    Perhaps,
    /// They have none in common, or one of them is not known.
    No,
}

impl Reach {
    /// Looks up all of them that are not reached through a command, and waits as long as
    /// for a connection at most. What is not known by then counts as unknown.
    #[must_use]
    pub fn look_up<'a>(dials: impl IntoIterator<Item = &'a Dial>, dialer: &Dialer) -> Self {
        let resolve = |dial: &Dial| look_up(dial);
        let listeners = Listeners::here;
        let is_via = |dial: &&Dial| dialer.via(dial).is_some();
        let (via, dials): (Vec<_>, Vec<_>) = dials.into_iter().partition(is_via);
        let limit = dialer.limits.connect;
        let direct = Self::look_up_by(dials, limit, resolve, &Here { is_own, listeners });
        Reach {
            via: via.into_iter().cloned().collect(),
            ..direct
        }
    }

    fn look_up_by<'a>(
        dials: impl IntoIterator<Item = &'a Dial>,
        limit: Duration,
        resolve: impl Fn(&Dial) -> io::Result<Vec<SocketAddr>> + Clone + Send + 'static,
        here: &Here,
    ) -> Self {
        let mut sought: Vec<&Dial> = Vec::new();
        for dial in dials {
            if !sought.contains(&dial) {
                sought.push(dial);
            }
        }
        let hosts = resolve_hosts(&sought, limit, resolve);
        // Who listens tells servers at one port apart.
        let shared = |dial: &&Dial| sought.iter().filter(|d| d.port() == dial.port()).count() > 1;
        let listeners = match sought.iter().any(shared) {
            true => (here.listeners)(),
            false => Listeners::default(),
        };
        let found = sought.iter().filter_map(|dial| {
            let host = hosts.iter().find(|host| host.name == dial.host())?;
            let ips = host.addresses.as_deref().unwrap_or_default().iter();
            let all = ips.map(|ip| SocketAddr::new(ip.to_canonical(), dial.port()));
            let (own, others): (Vec<_>, Vec<_>) = all.partition(|at| (here.is_own)(at.ip()));
            Some(ReachedVenti {
                dial: (*dial).clone(),
                ends: ends(&own, others, &listeners),
                own,
                unknown: host.addresses.as_ref().err().map(ToString::to_string),
            })
        });
        Reach {
            found: found.collect(),
            via: BTreeSet::new(),
        }
    }

    /// Whether a venti is reached through a command, so that only what it is asked can tell
    /// who it is.
    #[must_use]
    pub fn is_via(&self, dial: &Dial) -> bool {
        self.via.contains(dial)
    }

    /// Why one of those that were looked up has no address, if it has none.
    #[must_use]
    pub fn unknown(&self, dial: &Dial) -> Option<&str> {
        let found = self.found.iter().find(|found| found.dial == *dial)?;
        found.unknown.as_deref()
    }

    fn ends(&self, dial: &Dial) -> Option<&BTreeSet<Endpoint>> {
        let found = self.found.iter().find(|found| found.dial == *dial)?;
        Some(&found.ends)
    }

    /// Whether two of those that were looked up are one server.
    #[must_use]
    pub fn same(&self, one: &Dial, other: &Dial) -> Same {
        if one == other {
            return Same::Yes;
        }
        match (self.ends(one), self.ends(other)) {
            (Some(one), Some(other)) if one.is_disjoint(other) => Same::No,
            (Some(one), Some(other)) if one == other => Same::Yes,
            (Some(_), Some(_)) => Same::Perhaps,
            _ => Same::No,
        }
    }

    /// An address of one of those looked up that is in no private network: whatever is sent
    /// there passes through others' hands.
    #[must_use]
    pub fn public(&self, dial: &Dial) -> Option<IpAddr> {
        self.ends(dial)?.iter().find_map(|end| match end {
            Endpoint::Elsewhere(at) if !is_private(at.ip()) => Some(at.ip()),
            _ => None,
        })
    }

    /// The addresses of one of those looked up that are of this machine.
    #[must_use]
    pub fn own(&self, dial: &Dial) -> &[SocketAddr] {
        let found = self.found.iter().find(|found| found.dial == *dial);
        found.map_or(&[], |found| &found.own)
    }
}

/// A host, and its addresses or why there are none.
struct Host {
    name: String,
    addresses: io::Result<Vec<IpAddr>>,
}

/// The addresses of each host, each looked up by a thread of its own that may
/// stay behind: a look-up knows no limit.
fn resolve_hosts(
    dials: &[&Dial],
    limit: Duration,
    resolve: impl Fn(&Dial) -> io::Result<Vec<SocketAddr>> + Clone + Send + 'static,
) -> Vec<Host> {
    let deadline = Instant::now().checked_add(limit);
    let mut hosts: Vec<Host> = Vec::new();
    let (send, results) = mpsc::channel();
    let mut waiting = 0_usize;
    for dial in dials {
        if hosts.iter().any(|host| host.name == dial.host()) {
            continue;
        }
        let number = hosts.len();
        let literal = dial.host().parse::<IpAddr>();
        let is_name = literal.is_err();
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the name look-up took too long");
        hosts.push(Host {
            name: dial.host().to_owned(),
            addresses: literal.map(|ip| vec![ip]).map_err(late),
        });
        if is_name {
            let (dial, resolve, send) = ((*dial).clone(), resolve.clone(), send.clone());
            let look_up = move || {
                // Nobody listens after the limit.
                let _ = send.send((number, resolve(&dial)));
            };
            waiting += usize::from(thread::Builder::new().spawn(look_up).is_ok());
        }
    }
    while waiting > 0 {
        let left = deadline.map_or(limit, |at| at.saturating_duration_since(Instant::now()));
        let Ok((number, result)) = results.recv_timeout(left) else {
            break;
        };
        waiting -= 1;
        if let Some(host) = hosts.get_mut(number) {
            let ips =
                |found: Vec<SocketAddr>| found.iter().take(ADDRESSES).map(SocketAddr::ip).collect();
            host.addresses = result.map(ips);
        }
    }
    hosts
}

/// This machine; another one in tests.
struct Here {
    is_own: fn(IpAddr) -> bool,
    listeners: fn() -> Listeners,
}

/// Where addresses lead. Of a machine's own those count where somebody listens, if
/// there are such.
fn ends(own: &[SocketAddr], others: Vec<SocketAddr>, listeners: &Listeners) -> BTreeSet<Endpoint> {
    let of_all = own.iter().map(|&address| listeners.reached_by(address));
    let mut ends: BTreeSet<Endpoint> = of_all.flatten().cloned().map(Endpoint::Listener).collect();
    if ends.is_empty() {
        ends.extend(own.iter().map(|address| Endpoint::Here(address.port())));
    }
    ends.extend(others.into_iter().map(Endpoint::Elsewhere));
    ends
}

/// Whether an address is used within somebody's own network: every network may give it out,
/// it is of one link only, or it is of a provider's own network (100.64.0.0/10), which private
/// networks over others use too.
fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            shared || ip.is_private() || ip.is_link_local() || ip.is_loopback()
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_loopback(),
    }
}

/// Whether a connection to this address stays on this machine: then it is also the
/// address from which this machine would connect. Nothing is sent.
fn is_own(ip: IpAddr) -> bool {
    let any = match ip {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let from = || {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((ip, Dial::VENTI))?;
        socket.local_addr()
    };
    ip.is_loopback() || ip.is_unspecified() || from().is_ok_and(|from| from.ip() == ip)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    const LIMIT: Duration = Duration::from_secs(60);

    fn dial(text: &str) -> Dial {
        text.parse().unwrap()
    }

    /// A name system with these names.
    fn names(name: &str) -> io::Result<Vec<SocketAddr>> {
        let addresses: &[&str] = match name {
            "localhost" => &["[::1]:1", "127.0.0.1:1"],
            "own" => &["127.0.1.1:1", "192.0.2.100:1"],
            "a" => &["192.0.2.1:1", "[2001:db8::1]:1"],
            "both" => &["192.0.2.1:1", "192.0.2.2:1"],
            "b" => &["192.0.2.2:1"],
            "mapped" => &["[::ffff:192.0.2.2]:1"],
            _ => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(addresses.iter().map(|text| text.parse().unwrap()).collect())
    }

    /// A machine with the address 192.0.2.100, and these that listen.
    fn machine(listeners: fn() -> Listeners) -> Here {
        Here {
            is_own: |ip| ip.is_loopback() || ip.is_unspecified() || ip.to_string() == "192.0.2.100",
            listeners,
        }
    }

    #[test]
    fn an_own_address_is_told_from_others() {
        for own in ["127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::"] {
            assert!(is_own(own.parse().unwrap()), "{own}");
        }
        for other in ["203.0.113.7", "2001:db8::7", "255.255.255.255", "224.0.0.1"] {
            assert!(!is_own(other.parse().unwrap()), "{other}");
        }
    }

    #[test]
    fn an_address_of_a_private_network_is_told_from_a_public_one() {
        let private = [
            "10.0.0.1",
            "172.31.0.1",
            "192.168.7.7",
            "169.254.1.1",
            "100.127.0.1",
            "127.0.0.1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ];
        for text in private {
            assert!(is_private(text.parse().unwrap()), "{text}");
        }
        for text in [
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "2001:db8::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(!is_private(text.parse().unwrap()), "{text}");
        }
        let dials = ["both", "own", "unknown"].map(dial);
        let reach = reach(&dials, Listeners::default);
        let public = dials.each_ref().map(|dial| reach.public(dial));
        assert_eq!(public, [Some("192.0.2.1".parse().unwrap()), None, None]);
    }

    #[test]
    fn what_is_reached_through_a_command_is_not_looked_up_and_not_compared() {
        let dials = ["localhost:1", "127.0.0.1:1"].map(dial);
        let words = vec!["ssh".to_owned()];
        let via = [(dials[0].clone(), words)].into();
        let dialer = Dialer::new(crate::net::client::Timeouts::default(), via);
        let reach = Reach::look_up(&dials, &dialer);
        assert_eq!(reach.same(&dials[0], &dials[1]), Same::No);
        assert_eq!(reach.same(&dials[0], &dials[0]), Same::Yes);
        assert_eq!(
            dials.each_ref().map(|dial| reach.is_via(dial)),
            [true, false]
        );
        assert_eq!(dials.each_ref().map(|dial| reach.own(dial).len()), [0, 1]);
        assert_eq!(
            dials.each_ref().map(|dial| reach.unknown(dial)),
            [None, None]
        );
    }

    fn reach(dials: &[Dial], listeners: fn() -> Listeners) -> Reach {
        let resolve = |dial: &Dial| names(dial.host());
        Reach::look_up_by(dials, LIMIT, resolve, &machine(listeners))
    }

    fn same(one: &str, other: &str, listeners: fn() -> Listeners) -> Same {
        let dials = [dial(one), dial(other)];
        reach(&dials, listeners).same(&dials[0], &dials[1])
    }

    #[test]
    fn all_addresses_of_this_machine_are_one_where_the_ports_agree() {
        let own = [
            "localhost",
            "own",
            "127.0.0.1",
            "192.0.2.100",
            "0.0.0.0",
            "::1",
        ];
        for (one, other) in own.iter().flat_map(|one| own.map(|other| (one, other))) {
            assert_eq!(
                same(one, other, Listeners::default),
                Same::Yes,
                "{one} {other}"
            );
        }
        assert_eq!(
            same("localhost:1", "127.0.0.1:2", Listeners::default),
            Same::No
        );
        assert_eq!(same("localhost", "b", Listeners::default), Same::No);
    }

    #[test]
    fn two_that_listen_at_different_addresses_of_this_machine_are_two() {
        // 127.0.0.1:17034 and 127.0.0.2:17034
        let two = || {
            let one = "0: 0100007F:428A 0:0 0A 0:0 0:0 0 0 0 11 1";
            let other = "1: 0200007F:428A 0:0 0A 0:0 0:0 0 0 0 12 1";
            Listeners::parse(&format!("{one}\n{other}\n"), "")
        };
        assert_eq!(same("127.0.0.1", "127.0.0.2", two), Same::No);
        assert_eq!(same("127.0.0.1", "localhost", two), Same::Yes);
        // 0.0.0.0:17034
        let all = || Listeners::parse("0: 00000000:428A 0:0 0A 0:0 0:0 0 0 0 11 1\n", "");
        assert_eq!(same("127.0.0.1", "127.0.0.2", all), Same::Yes);
    }

    #[test]
    fn one_address_in_common_is_a_suspicion() {
        assert_eq!(same("a", "both", Listeners::default), Same::Perhaps);
        assert_eq!(same("a", "b", Listeners::default), Same::No);
        assert_eq!(same("both", "b", Listeners::default), Same::Perhaps);
        assert_eq!(same("mapped", "b", Listeners::default), Same::Yes);
        assert_eq!(same("unknown", "b", Listeners::default), Same::No);
        assert_eq!(same("unknown", "unknown", Listeners::default), Same::Yes);
    }

    #[test]
    fn a_name_is_looked_up_once() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let of_thread = Arc::clone(&asked);
        let resolve = move |dial: &Dial| {
            of_thread.lock().unwrap().push(dial.host().to_owned());
            names(dial.host())
        };
        let dials = ["a:1", "a:2", "b:1", "a:1", "192.0.2.1:1"].map(dial);
        let reach = Reach::look_up_by(&dials, LIMIT, resolve, &machine(Listeners::default));
        let mut asked = asked.lock().unwrap().clone();
        asked.sort();
        assert_eq!(asked, ["a", "b"]);
        assert_eq!(reach.same(&dials[0], &dials[4]), Same::Perhaps);
    }

    #[test]
    fn a_dead_name_server_holds_up_no_address() {
        let (never, ends) = mpsc::channel::<()>();
        let ends = Arc::new(Mutex::new(ends));
        let resolve = move |_: &Dial| {
            let _ = ends.lock().unwrap().recv();
            Err(io::ErrorKind::NotFound.into())
        };
        let dials = ["dead1", "dead2", "127.0.0.1", "::1"].map(dial);
        let limit = Duration::from_millis(1);
        let reach = Reach::look_up_by(&dials, limit, resolve, &machine(Listeners::default));
        assert_eq!(reach.same(&dials[2], &dials[3]), Same::Yes);
        assert_eq!(reach.same(&dials[0], &dials[1]), Same::No);
        drop(never);
    }
}
