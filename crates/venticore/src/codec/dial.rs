//! Dial strings: where a venti listens (venti.md 7, design.md "Dial strings").
//!
//! Read: `tcp!host!port`, `net!host!service`, `tcp!host`, `host!port`, `host`,
//! `host:port`, `[v6]:port`, a bare v6 address, and `$venti` where the caller
//! gives its value. A Plan 9 network directory before them
//! (`/net.alt/tcp!host!port`) chooses among the network stacks of that machine:
//! it is read and means nothing here. Written: `tcp!HOST!PORT` and nothing else.

use crate::codec::invalid::Invalid;
use core::net::{IpAddr, Ipv6Addr};
use std::fmt;
use std::str::FromStr;

/// A host and a port: the place of a server, and the key of a target.
///
/// Two texts for one place are equal once parsed, as far as that can be told
/// without a name look-up: names are lower-cased, v6 addresses are written in
/// their shortest form and the port is filled in. The host is made of letters,
/// digits, `.`, `-`, `_` (and `:`, `%` in v6 addresses), so a printed dial
/// string needs no quoting but that for `!`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dial {
    host: String,
    port: u16,
}

/// Ports known by name without a services file.
const SERVICES: [(&str, u16); 3] = [("venti", Dial::VENTI), ("9fs", 564), ("fossil", 564)];

/// The longest host name the name system can carry.
const HOST_MAX: usize = 253;

impl Dial {
    /// The conventional port of a venti, used where a text names none.
    pub const VENTI: u16 = 17034;

    /// Parses a text in which `$venti` may stand for the whole or for the host.
    ///
    /// `venti` is the value of that variable, `None` (or nothing) when unset. A
    /// port beside `$venti` beats the one in the value; without either it is
    /// 17034.
    ///
    /// # Errors
    /// [`Invalid::VentiUnset`] when the text needs the value and there is none,
    /// and every other kind for a text or a value of the wrong form.
    pub fn parse_with(text: &str, venti: Option<&str>) -> Result<Self, Invalid> {
        Self::parse(text, venti, Self::VENTI)
    }

    /// Parses a text that takes this port unless it brings its own.
    ///
    /// # Errors
    /// As `FromStr`; `$venti` is refused.
    pub fn with_default_port(text: &str, port: u16) -> Result<Self, Invalid> {
        DialWords::split(text)?.fill(port)
    }

    /// Parses a text with both: a value for `$venti` and a port to fill in.
    ///
    /// # Errors
    /// As [`Dial::parse_with`].
    pub fn parse(text: &str, venti: Option<&str>, port: u16) -> Result<Self, Invalid> {
        let words = DialWords::split(text)?;
        match words.host.strip_prefix('$') {
            None => words.fill(port),
            Some("venti") => {
                let value = venti.filter(|v| !v.is_empty()).ok_or(Invalid::VentiUnset)?;
                let inner = DialWords::split(value)?;
                let port_text = words.port.or(inner.port);
                DialWords {
                    host: inner.host,
                    port: port_text,
                }
                .fill(port)
            }
            Some(_) => Err(Invalid::DialVariable(words.host.to_owned())),
        }
    }

    /// The host: a name in lower case, or an address; v6 without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, never 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the text alone says that it is the machine itself: another one
    /// for each machine that reads it. Nothing is looked up.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        const NAMES: [&str; 5] = [
            "localhost",
            "localhost.localdomain",
            "localhost6",
            "ip6-localhost",
            "ip6-loopback",
        ];
        let address: Result<IpAddr, _> = self.host.parse();
        match address {
            Ok(address) => address.is_loopback() || address.is_unspecified(),
            Err(_) => NAMES.contains(&self.host.as_str()) || self.host.ends_with(".localhost"),
        }
    }
}

impl fmt::Display for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tcp!{}!{}", self.host, self.port)
    }
}

impl FromStr for Dial {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::with_default_port(text, Self::VENTI)
    }
}

/// Host and port as typed, nothing filled in or checked.
struct DialWords<'a> {
    host: &'a str,
    port: Option<&'a str>,
}

impl<'a> DialWords<'a> {
    fn new(host: &'a str, port: Option<&'a str>) -> Self {
        DialWords { host, port }
    }

    fn split(text: &'a str) -> Result<Self, Invalid> {
        if text.contains("://") {
            return Err(Invalid::DialUrl {
                port: Dial::VENTI,
                url: text.to_owned(),
            });
        }
        if text.contains(',') || text.split_whitespace().nth(1).is_some() {
            return Err(Invalid::DialList(text.to_owned()));
        }
        let text = without_directory(text)?;
        let fields: Vec<&str> = text.splitn(4, '!').collect();
        match fields[..] {
            [bare] => Self::split_bare(bare),
            [net, host] if is_net(net) => Ok(Self::new(host, None)),
            [host, port] => Ok(Self::new(host, Some(port))),
            [net, host, port] if is_net(net) => Ok(Self::new(host, Some(port))),
            [net, _, _] => Err(Invalid::DialNet(net.to_owned())),
            _ => Err(Invalid::DialForm(text.to_owned())),
        }
    }

    /// The forms without `!`: `host`, `host:port`, `v6`, `[v6]`, `[v6]:port`.
    fn split_bare(text: &'a str) -> Result<Self, Invalid> {
        let wrong = || Invalid::DialForm(text.to_owned());
        if text.starts_with('[') {
            let (host, after) = text.split_at(text.find(']').ok_or_else(wrong)? + 1);
            return match after.strip_prefix(':') {
                Some(port) => Ok(Self::new(host, Some(port))),
                None if after.is_empty() => Ok(Self::new(host, None)),
                None => Err(wrong()),
            };
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Ok(Self::new(text, None));
        };
        match v6(text) {
            Some(_) if v6(host).is_some() && port_number(port).is_some() => {
                Err(Invalid::DialAmbiguous(text.to_owned()))
            }
            Some(_) => Ok(Self::new(text, None)),
            None if host.contains(':') => Err(wrong()),
            None => Ok(Self::new(host, Some(port))),
        }
    }

    fn fill(&self, default: u16) -> Result<Dial, Invalid> {
        Ok(Dial {
            host: host(self.host)?,
            port: match self.port {
                Some(text) => {
                    port_number(text).ok_or_else(|| Invalid::DialPort(text.to_owned()))?
                }
                None => default,
            },
        })
    }
}

fn is_net(word: &str) -> bool {
    word == "tcp" || word == "net"
}

/// A text without the network directory, such as `/net.alt` or `#I1`, before
/// its network.
fn without_directory(text: &str) -> Result<&str, Invalid> {
    let Some((net, _)) = text
        .split_once('!')
        .filter(|_| text.starts_with(['/', '#']))
    else {
        return Ok(text);
    };
    let (directory, word) = net.rsplit_once('/').unwrap_or(("", net));
    let plain = |b: u8| is_name_byte(b) || matches!(b, b'/' | b'#');
    match directory.bytes().all(plain) && is_net(word) {
        true => Ok(text.get(net.len() - word.len()..).unwrap_or_default()),
        false => Err(Invalid::DialNet(net.to_owned())),
    }
}

fn port_number(text: &str) -> Option<u16> {
    if let Some((_, port)) = SERVICES.iter().find(|(name, _)| *name == text) {
        return Some(*port);
    }
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|&port| port != 0)
}

/// The canonical form of a host. A word of digits alone is taken for a
/// misplaced port, not for an address.
fn host(text: &str) -> Result<String, Invalid> {
    let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    if let Some(address) = v6(inner.unwrap_or(text)) {
        return Ok(address);
    }
    let good = (1..=HOST_MAX).contains(&text.len())
        && text.bytes().all(is_name_byte)
        && !text.starts_with('-')
        && !text.bytes().all(|b| b.is_ascii_digit());
    if good {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(Invalid::DialHost(text.to_owned()))
    }
}

fn is_name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')
}

/// The shortest form of a v6 address, with its zone if it has one.
fn v6(text: &str) -> Option<String> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    let address: Ipv6Addr = address.parse().ok()?;
    match zone {
        None => Some(address.to_string()),
        Some(zone) if !zone.is_empty() && zone.len() <= 15 && zone.bytes().all(is_name_byte) => {
            Some(format!("{address}%{zone}"))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical(text: &str) -> String {
        match text.parse::<Dial>() {
            Ok(dial) => dial.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn every_accepted_form_has_one_canonical_form() {
        for (text, expected) in [
            ("tcp!venti.example.org!17034", "tcp!venti.example.org!17034"),
            ("net!Venti.Example.ORG!venti", "tcp!venti.example.org!17034"),
            ("tcp!host", "tcp!host!17034"),
            ("host!17035", "tcp!host!17035"),
            ("host!9fs", "tcp!host!564"),
            ("host!fossil", "tcp!host!564"),
            ("host", "tcp!host!17034"),
            ("host:1", "tcp!host!1"),
            ("host:venti", "tcp!host!17034"),
            ("192.168.1.123:65535", "tcp!192.168.1.123!65535"),
            ("[::1]:17035", "tcp!::1!17035"),
            ("[2001:DB8:0:0::5]", "tcp!2001:db8::5!17034"),
            ("::1", "tcp!::1!17034"),
            ("2001:db8::5:abcd", "tcp!2001:db8::5:abcd!17034"),
            ("1:2:3:4:5:6:7:8", "tcp!1:2:3:4:5:6:7:8!17034"),
            ("tcp!2001:db8::5:1234!1", "tcp!2001:db8::5:1234!1"),
            ("tcp![::1]!1", "tcp!::1!1"),
            ("tcp!fe80::1%eth0!1", "tcp!fe80::1%eth0!1"),
            ("tcp!host!017034", "tcp!host!17034"),
            ("/net.alt/tcp!host!17035", "tcp!host!17035"),
            ("/net/net!Host!venti", "tcp!host!17034"),
            ("/n/far/net/tcp!host", "tcp!host!17034"),
            ("/net.alt/tcp!2001:db8::5!1", "tcp!2001:db8::5!1"),
            ("#I1/tcp!host!1", "tcp!host!1"),
        ] {
            assert_eq!(canonical(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_refused_is_refused_with_the_reason() {
        let host = |found: &str| format!("expected a host name or address, found {found:?}");
        for text in [
            "",
            "*",
            "/net/tcp",
            "a&b",
            "-host",
            "a$b",
            "$venti",
            "a;b",
            "a`b",
            "a'b",
            "h\u{f6}st",
            "17034",
            "a%b",
            "[host]",
        ] {
            let full = format!("tcp!{text}!1");
            assert_eq!(canonical(&full), host(text), "{full:?}");
        }
        for text in ["tcp!a b!1", "a\tb", "a\nb", "/net alt/tcp!host!1"] {
            let list = Err(Invalid::DialList(text.to_owned()));
            assert_eq!(text.parse::<Dial>(), list, "{text:?}");
        }
        assert_eq!(canonical(&"a".repeat(254)), host(&"a".repeat(254)));
        for port in ["0", "65536", "+1", "-1", "", "http", "1 ", "0x1"] {
            let text = format!("tcp!host!{port}");
            assert_eq!(
                text.parse::<Dial>(),
                Err(Invalid::DialPort(port.to_owned())),
                "{text}"
            );
        }
        for text in ["tcp!a!1!2", "[::1", "[::1]x", "a:b:c", "::1:17034:x"] {
            assert_eq!(
                text.parse::<Dial>(),
                Err(Invalid::DialForm(text.to_owned())),
                "{text}"
            );
        }
        assert_eq!(
            canonical("udp!host!1"),
            "expected network tcp or net, found \"udp\""
        );
        for net in [
            "/net.alt/udp",
            "/net.alt/host",
            "/net.alt/",
            "/net'/tcp",
            "#I1",
        ] {
            let text = format!("{net}!host!1");
            let expected = Err(Invalid::DialNet(net.to_owned()));
            assert_eq!(text.parse::<Dial>(), expected, "{text}");
        }
        for text in ["/net.alt/host", "/net.alt/tcp", "net.alt/tcp!1"] {
            let refused = text.parse::<Dial>();
            assert!(matches!(refused, Err(Invalid::DialHost(_))), "{text}");
        }
        assert_eq!(
            canonical("::1:564"),
            "\"::1:564\" may be an address or an address and a port, \
             write tcp!address!port or [address]:port"
        );
        assert_eq!(
            canonical("tcp!a!1!\u{1b}"),
            "expected tcp!host!port, found \"tcp!a!1!\\u{1b}\""
        );
    }

    #[test]
    fn the_variable_is_filled_in_by_the_caller() {
        let with = |text, venti| Dial::parse_with(text, venti).map(|d| d.to_string());
        let full = |text: &str| Ok(text.to_owned());
        assert_eq!(with("$venti", Some("tcp!a!1")), full("tcp!a!1"));
        assert_eq!(with("tcp!$venti!venti", Some("a:1")), full("tcp!a!17034"));
        assert_eq!(with("net!$venti", Some("a:1")), full("tcp!a!1"));
        assert_eq!(with("$venti:2", Some("a")), full("tcp!a!2"));
        assert_eq!(with("$venti", Some("/net.alt/tcp!a!1")), full("tcp!a!1"));
        assert_eq!(with("/net/tcp!$venti!2", Some("a")), full("tcp!a!2"));
        assert_eq!(with("b", None), full("tcp!b!17034"));
        assert_eq!(with("$venti", None), Err(Invalid::VentiUnset));
        assert_eq!(with("$venti", Some("")), Err(Invalid::VentiUnset));
        let again = Invalid::DialHost("$venti".to_owned());
        assert_eq!(with("$venti", Some("$venti")), Err(again));
        let other = Invalid::DialVariable("$auth".to_owned());
        assert_eq!(with("tcp!$auth!1", Some("a")), Err(other));
        assert_eq!(
            Dial::parse("$venti", Some("a"), 7).unwrap().to_string(),
            "tcp!a!7"
        );
    }

    #[test]
    fn a_default_port_fills_in_only_what_is_missing() {
        let with = |text| Dial::with_default_port(text, 7).unwrap().port();
        assert_eq!(with("host"), 7);
        assert_eq!(with("::1"), 7);
        assert_eq!(with("tcp!host"), 7);
        assert_eq!(with("host:8"), 8);
        assert_eq!(with("tcp!host!venti"), 17034);
    }

    #[test]
    fn a_loopback_is_known_by_its_text() {
        for text in [
            "localhost",
            "127.1.2.3",
            "::1",
            "0.0.0.0",
            "venti.localhost",
            "LOCALHOST",
        ] {
            assert!(text.parse::<Dial>().unwrap().is_loopback(), "{text}");
        }
        for text in ["fs", "10.0.0.1", "fe80::1", "localhost.example.org"] {
            assert!(!text.parse::<Dial>().unwrap().is_loopback(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn printed_text_is_read_back(
            host in "[a-zA-Z_][a-zA-Z0-9._-]{0,20}|([0-9]{1,3}\\.){3}[0-9]{1,3}",
            port in 1u16..,
        ) {
            let dial: Dial = format!("{host}:{port}").parse().unwrap();
            prop_assert_eq!(dial.host(), host.to_lowercase());
            prop_assert_eq!(dial.port(), port);
            prop_assert_eq!(dial.to_string().parse(), Ok(dial));
        }

        #[test]
        fn a_network_directory_means_nothing(
            directory in "(/[a-zA-Z0-9._-]{1,9}){1,3}|#[a-zA-Z][0-9]{1,2}",
            net in "tcp|net",
            rest in "[a-z][a-z0-9.]{0,9}(![0-9]{1,6})?",
        ) {
            let bare = format!("{net}!{rest}").parse::<Dial>();
            prop_assert_eq!(format!("{directory}/{net}!{rest}").parse::<Dial>(), bare);
        }

        #[test]
        fn printed_addresses_are_read_back(address: [u16; 8], port in 1u16..) {
            let address = Ipv6Addr::from(address);
            let dial: Dial = format!("[{address}]:{port}").parse().unwrap();
            prop_assert_eq!(dial.host().parse(), Ok(address));
            prop_assert_eq!(dial.to_string().parse(), Ok(dial));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[a-z0-9:!.%$\\[\\]*-]{0,12}|.*") {
            match text.parse::<Dial>() {
                Ok(dial) => prop_assert_eq!(dial.to_string().parse(), Ok(dial)),
                Err(error) => prop_assert!(!error.to_string().contains(char::is_control)),
            }
        }
    }
}
