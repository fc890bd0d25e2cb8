//! Where blocks are sent: a venti, or a replica.

use std::fmt;
use std::str::FromStr;

use crate::codec::dial::Dial;
use crate::codec::invalid::Invalid;
use crate::codec::replica::ReplicaName;

/// The name of a target, by which it is known in `wrcmds`. Two texts for one target are
/// equal once parsed, as far as that can be told from the texts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TargetName {
    /// A venti, by its address.
    Venti(Dial),
    /// A replica, by its place.
    Replica(ReplicaName),
}

impl TargetName {
    /// Parses a text in which `$venti` may stand for an address or its host, and a port is
    /// filled in.
    ///
    /// # Errors
    /// As [`Dial::parse`] and [`ReplicaName`].
    pub fn parse(text: &str, venti: Option<&str>, port: u16) -> Result<Self, Invalid> {
        match ReplicaName::is_meant(text) {
            true => text.parse().map(Self::Replica),
            false => Dial::parse(text, venti, port).map(Self::Venti),
        }
    }

    /// The address, if it is a venti.
    #[must_use]
    pub fn dial(&self) -> Option<&Dial> {
        match self {
            Self::Venti(dial) => Some(dial),
            Self::Replica(_) => None,
        }
    }
}

impl From<Dial> for TargetName {
    fn from(dial: Dial) -> Self {
        Self::Venti(dial)
    }
}

impl FromStr for TargetName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text, None, Dial::VENTI)
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Venti(dial) => dial.fmt(f),
            Self::Replica(name) => name.fmt(f),
        }
    }
}
