//! The venti of a fossil: the one that it archives to, as far as anybody says, and
//! how it is written where other machines read it.
//!
//! A running fossil keeps the one it was started with, whatever the environment
//! of other commands and the configuration say by now. Its console tells a venti
//! that it was given there; the rest is in its process: its arguments, and
//! `$venti` of its environment.

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use eyre::{Result, WrapErr};

use crate::console::kin;
use crate::console::systems::System;
use crate::processes;
use venticore::codec::dial::Dial;
use venticore::config::Config;
use venticore::host::holders::Holders;
use venticore::host::partition::Partition;
use venticore::net::addresses;
use venticore::status::{Failure, Status};

/// The most bytes of a process's arguments or environment that are read: both
/// together have at most a quarter of the stack.
const WORDS_MAX: u64 = 4 << 20;

/// The venti of the fossil on a partition: what its console said, otherwise what the
/// running fossil was started with, otherwise what the next one would be.
pub(crate) fn of(partition: &Partition, console: Option<&str>, config: &Config) -> Option<String> {
    let console = console.map(str::to_owned);
    console
        .or_else(|| running(partition.path()))
        .or_else(|| to_be_started(config))
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}

/// What the fossil that has a partition open was started with; `None` where none
/// has, or it cannot be seen.
pub(crate) fn running(partition: &Path) -> Option<String> {
    let holders = Holders::of(partition).ok()?;
    // What a broker of ours started is a fossil under any name.
    let kin = kin::all();
    let is_kin = |pid: u32| {
        let mut pids = kin.iter().map(|kin| kin.pid.as_raw_nonzero().get());
        pids.any(|kin| kin.unsigned_abs() == pid)
    };
    let mut holders = holders.processes.iter();
    holders.find_map(|fossil| {
        if !processes::is_fossil(fossil) && !is_kin(fossil.pid) {
            return None;
        }
        let process = Path::new("/proc").join(fossil.pid.to_string());
        let words = |name| words(&process.join(name)).unwrap_or_default();
        in_arguments(&words("cmdline"), partition).or_else(|| variable(&words("environ")))
    })
}

/// A venti in a line that is copied to other machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordedVenti {
    pub(crate) text: String,
    /// It is a loopback, which is another machine for each that reads it.
    pub(crate) is_loopback: bool,
}

/// How a venti is written for others: as it is here, but that a loopback becomes a
/// name of this host, and `$venti` its value.
///
/// # Errors
/// It is not an address, or the value of the key `address` is not one.
pub(crate) fn written(text: &str, config: &Config) -> Result<RecordedVenti> {
    let dial = config.dial(text).wrap_err("venti")?;
    let text = match text.contains('$') {
        true => dial.to_string(),
        false => text.to_owned(),
    };
    let known = match (&config.address, dial.is_loopback()) {
        (_, false) => Some(text.clone()),
        (Some(name), true) => {
            let named: Dial = format!("tcp!{name}!{}", dial.port())
                .parse()
                .wrap_err("address")?;
            Some(named.to_string())
        }
        (None, true) => own_name(dial.port(), config.dialer.limits.connect),
    };
    Ok(RecordedVenti {
        is_loopback: known.is_none(),
        text: known.unwrap_or(text),
    })
}

/// The venti that commands talk to: `$venti`, otherwise the source of the
/// configuration, as it is written there.
pub(crate) fn reading_venti(config: &Config) -> Result<Option<String>> {
    let venti = config.venti.as_ref().or(config.source.as_ref());
    let venti = venti
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty());
    venti
        .map(|text| {
            config.dial(&text).wrap_err("venti")?;
            Ok(text)
        })
        .transpose()
}

/// The venti: the one given, otherwise [`reading_venti`]; as it is written, and as it is
/// dialled. `how` says how one is given.
///
/// # Errors
/// None is named, or its text is not an address.
pub(crate) fn chosen(given: Option<&str>, how: &str, config: &Config) -> Result<(String, Dial)> {
    let text = match given {
        Some(text) => Some(text.trim().to_owned()),
        None => reading_venti(config)?,
    };
    let text = text.filter(|text| !text.is_empty()).ok_or_else(|| {
        let text = format!(
            "please set a venti: expected an address, found none: {how}, or set $venti, or source \
             in the configuration"
        );
        Failure::report(Status::Usage, text)
    })?;
    let dial = config.dial(&text).wrap_err("venti")?;
    Ok((text, dial))
}

/// A name of this host under which a server answers at a port, so that it does for
/// other machines: the host's own, otherwise the address it reaches others from.
fn own_name(port: u16, limit: Duration) -> Option<String> {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_string_lossy().into_owned();
    let mut names = [Some(name), outgoing().map(|ip| ip.to_string())].into_iter();
    names.find_map(|name| {
        let dial: Dial = format!("tcp!{}!{port}", name?).parse().ok()?;
        let addresses = addresses::within(&dial, limit).ok()?;
        let mut others = addresses.into_iter().filter(|at| !at.ip().is_loopback());
        let answers = others.any(|at| TcpStream::connect_timeout(&at, limit).is_ok());
        (answers && !dial.is_loopback()).then(|| dial.to_string())
    })
}

/// The address of this host on the way out. Nothing is sent: the address that is
/// reserved for documentation is only looked for in the table of routes.
fn outgoing() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// What fossilstart would give it.
fn to_be_started(config: &Config) -> Option<String> {
    let own = config.fossil(None).venti;
    own.or_else(|| config.venti.clone())
        .or_else(|| config.source.clone())
}

/// `fsys NAME venti ADDRESS` behind a `-c`, for the file system on a partition.
fn in_arguments(words: &[String], partition: &Path) -> Option<String> {
    let mut told = String::new();
    let mut rest = words.iter().skip(1);
    while let Some(word) = rest.next() {
        let line = match word.strip_prefix("-c") {
            Some("") => rest.next().map(String::as_str),
            attached => attached,
        };
        told.extend(line.into_iter().flat_map(|line| [line, "\n"]));
    }
    let systems = System::parse(&told);
    let on_it = systems.iter().find(|system| system.is_on(partition));
    on_it?.venti.clone()
}

/// `$venti`, or the first element of it where rc has a list there.
fn variable(environment: &[String]) -> Option<String> {
    let value = environment
        .iter()
        .find_map(|one| one.strip_prefix("venti="))?;
    let mut words = value.split(|c: char| c == '\x01' || c.is_ascii_whitespace());
    words.find(|word| !word.is_empty()).map(str::to_owned)
}

/// The words of such a file, each of which ends with a byte 0.
fn words(path: &Path) -> io::Result<Vec<String>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(WORDS_MAX).read_to_end(&mut bytes)?;
    let words = bytes.split(|&byte| byte == 0);
    Ok(words
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn an_argument_names_the_venti_of_one_file_system() {
        let words = list(&[
            "fossil",
            "-t",
            "-c",
            "fsys main config /dev/a",
            "-cfsys two config /dev/b\nfsys two venti tcp!v!17035",
        ]);
        let of = |path: &str| in_arguments(&words, Path::new(path));
        assert_eq!(of("/dev/a"), None);
        assert_eq!(of("/dev/b").as_deref(), Some("tcp!v!17035"));
        assert_eq!(in_arguments(&list(&["fossil", "-c"]), Path::new("/")), None);
    }

    #[test]
    fn a_variable_is_the_first_word_of_its_value() {
        let of = |value: &str| variable(&list(&["A=venti=x", value]));
        assert_eq!(of("venti=tcp!v!1").as_deref(), Some("tcp!v!1"));
        assert_eq!(of("venti=one\x01two").as_deref(), Some("one"));
        assert_eq!(of("venti="), None);
        assert_eq!(of("ventiprog=1"), None);
    }
}
