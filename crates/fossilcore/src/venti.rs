//! The venti of a fossil: the one that it archives to, as far as anybody says.
//!
//! A running fossil keeps the one it was started with, whatever the environment
//! of other commands and the configuration say by now. Its console tells a venti
//! that it was given there; the rest is in its process: its arguments, and
//! `$venti` of its environment.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use venticore::config::Config;
use venticore::holders::Holders;
use venticore::partition::Partition;

use crate::console::kin;
use crate::console::systems::System;
use crate::processes;

/// The most bytes of a process's arguments or environment that are read: both
/// together have at most a quarter of the stack.
const WORDS_MAX: u64 = 4 << 20;

/// The venti of the fossil on a partition: what its console said, else what the
/// running fossil was started with, else what the next one would be.
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
