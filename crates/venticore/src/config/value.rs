//! What a value of the configuration file must be: checked while the file is read, so
//! that each mistake is found by every command, and with its line.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::marker::PhantomData;
use std::path::PathBuf;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use crate::codec::dial::Dial;
use crate::codec::index::{PageError, quoted};
use crate::codec::operand::Operand;
use crate::codec::replica::ReplicaName;

/// The usual port of an index page.
const HTTP: u16 = 80;

/// What an error of this module begins with, to be told from one of the parser.
pub(super) const WRONG: &str = "wrong value: ";

/// A kind of text.
pub(super) trait Kind {
    /// What is wrong with a text.
    fn check(text: &str) -> Result<(), String>;
}

/// The address of a venti, or `$venti`.
#[derive(PartialEq, Eq, Hash)]
pub(super) enum Address {}

/// A venti's address, or a replica.
pub(super) enum TargetText {}

/// The address of a venti itself: `$venti` may stand for another one each time.
#[derive(PartialEq, Eq, Hash)]
pub(super) enum VentiName {}

/// A name by which other machines reach this one, without a port.
pub(super) enum HostName {}

/// The URL of an index page.
pub(super) enum IndexPage {}

/// The same, which ends in `/index`: there are other pages beside it.
pub(super) enum TargetPage {}

/// A partition as on a command line.
pub(super) enum PartitionText {}

/// Who sends.
pub(super) enum EngineName {}

/// Anything but nothing.
#[derive(PartialEq, Eq, Hash)]
pub(super) enum Word {}

/// One word of characters that print.
pub(super) enum PrintableWord {}

/// Options of a console's command: one line.
pub(super) enum Options {}

impl Kind for Address {
    fn check(text: &str) -> Result<(), String> {
        // Whether $venti is set is another matter.
        let dial = Dial::parse_with(text, Some("localhost"));
        dial.map(drop).map_err(|error| error.to_string())
    }
}

impl Kind for TargetText {
    fn check(text: &str) -> Result<(), String> {
        match ReplicaName::is_meant(text) {
            true => {
                let name = text.parse::<ReplicaName>();
                name.map(drop).map_err(|error| error.to_string())
            }
            false => Address::check(text),
        }
    }
}

impl Kind for VentiName {
    fn check(text: &str) -> Result<(), String> {
        if ReplicaName::is_meant(text) {
            return Err(format!(
                "expected the address of a venti, found the replica {text:?}, which no command leads to"
            ));
        }
        let dial = text.parse::<Dial>();
        dial.map(drop).map_err(|error| error.to_string())
    }
}

impl Kind for HostName {
    fn check(text: &str) -> Result<(), String> {
        let dial = format!("tcp!{text}!{}", Dial::VENTI).parse::<Dial>();
        dial.map(drop).map_err(|_| {
            format!("expected a host name or address without a port, such as fs.example.org, found {text:?}")
        })
    }
}

impl Kind for IndexPage {
    fn check(text: &str) -> Result<(), String> {
        // A person or a password has no place in it.
        let authority = text.strip_prefix("http://").and_then(|rest| {
            let authority = rest.split('/').next()?;
            (!authority.contains(['@', '!'])).then_some(authority)
        });
        let dial = authority.map(|authority| Dial::with_default_port(authority, HTTP));
        match dial {
            Some(Ok(_)) => Ok(()),
            _ => Err(PageError::Url(quoted(text.as_bytes())).to_string()),
        }
    }
}

impl Kind for TargetPage {
    fn check(text: &str) -> Result<(), String> {
        IndexPage::check(text)?;
        match text.ends_with("/index") {
            true => Ok(()),
            false => Err(format!("expected http://HOST:PORT/index, found {text:?}")),
        }
    }
}

impl Kind for PartitionText {
    fn check(text: &str) -> Result<(), String> {
        text.parse::<Operand>()
            .map(drop)
            .map_err(|error| error.to_string())
    }
}

impl Kind for EngineName {
    fn check(text: &str) -> Result<(), String> {
        match text {
            "native" | "external" => Ok(()),
            _ => Err(format!("expected native or external, found {text:?}")),
        }
    }
}

impl Kind for Word {
    fn check(text: &str) -> Result<(), String> {
        match text.contains('\0') || text.trim().is_empty() {
            true => Err(format!("expected a name, found {text:?}")),
            false => Ok(()),
        }
    }
}

impl Kind for PrintableWord {
    fn check(text: &str) -> Result<(), String> {
        match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(()),
            false => Err(format!("expected a word, found {text:?}")),
        }
    }
}

impl Kind for Options {
    fn check(text: &str) -> Result<(), String> {
        match text.contains(|c: char| c.is_control() && c != '\t') {
            true => Err(format!("expected options in one line, found {text:?}")),
            false => Ok(()),
        }
    }
}

/// A text that was checked.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Checked<K>(pub(super) String, PhantomData<K>);

/// Checks a text where it is read: the parser then knows its line, also in a list.
struct Check<K>(PhantomData<K>);

impl<K: Kind> Visitor<'_> for Check<K> {
    type Value = Checked<K>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Checked<K>, E> {
        K::check(text).map_err(wrong)?;
        Ok(Checked(text.to_owned(), PhantomData))
    }
}

impl<'de, K: Kind> Deserialize<'de> for Checked<K> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(Check(PhantomData))
    }
}

pub(super) fn wrong<E: Error>(cause: impl fmt::Display) -> E {
    E::custom(format!("{WRONG}{cause}"))
}

/// A text of this kind.
pub(super) fn one<'de, K: Kind, T: From<String>, D: Deserializer<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Checked::<K>::deserialize(from)?.0.into())
}

/// A list of texts of this kind.
pub(super) fn list<'de, K: Kind, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Vec<String>>, D::Error> {
    let texts = Vec::<Checked<K>>::deserialize(from)?;
    Ok(Some(texts.into_iter().map(|text| text.0).collect()))
}

/// A table with keys and values of these kinds.
pub(super) fn table<'de, K: Kind + Eq + Hash, V: Kind, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<HashMap<String, String>>, D::Error> {
    let table = HashMap::<Checked<K>, Checked<V>>::deserialize(from)?;
    let pairs = table.into_iter().map(|(key, value)| (key.0, value.0));
    Ok(Some(pairs.collect()))
}

/// The path of a directory.
pub(super) fn directory<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(from)?;
    match path.as_os_str().is_empty() {
        true => Err(wrong("expected a directory, found an empty name")),
        false => Ok(Some(path)),
    }
}

/// The words of a program, where a table has one for each of its keys.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct ProgramWords(#[serde(deserialize_with = "program")] pub(super) Vec<String>);

/// The words of a program: its name and its arguments.
pub(super) fn program<'de, T: From<Vec<String>>, D: Deserializer<'de>>(
    from: D,
) -> Result<T, D::Error> {
    let words = Vec::<String>::deserialize(from)?;
    match words.first().is_none_or(String::is_empty) {
        true => Err(wrong(format!(
            "expected a program and its arguments, found {words:?}"
        ))),
        false => Ok(words.into()),
    }
}

/// A number that is not 0.
pub(super) fn positive<'de, N, D>(from: D) -> Result<Option<N>, D::Error>
where
    N: Deserialize<'de> + Default + PartialEq,
    D: Deserializer<'de>,
{
    let number = N::deserialize(from)?;
    match number == N::default() {
        true => Err(wrong("expected at least 1, found 0")),
        false => Ok(Some(number)),
    }
}
