//! Through which commands ventis are reached: the table `[via]`.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Deserializer};

use super::value::{self, Checked, ProgramWords, VentiName};
use crate::codec::dial::Dial;

/// The words of a command for each of some ventis.
#[derive(Clone, Debug, Default)]
pub(super) struct Via(pub(super) BTreeMap<Dial, Vec<String>>);

impl Via {
    /// The keys of this table, and the keys of `below` that it does not have.
    pub(super) fn over(self, below: Via) -> Via {
        Via(below.0.into_iter().chain(self.0).collect())
    }
}

impl<'de> Deserialize<'de> for Via {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let table = HashMap::<Checked<VentiName>, ProgramWords>::deserialize(from)?;
        let mut named: BTreeMap<Dial, (String, Vec<String>)> = BTreeMap::new();
        for (name, ProgramWords(words)) in table {
            let name = name.0;
            let dial: Dial = name.parse().map_err(value::wrong)?;
            if let Some((other, _)) = named.insert(dial, (name.clone(), words)) {
                let (one, other) = (name.clone().min(other.clone()), name.max(other));
                let text =
                    format!("[via]: {one:?} and {other:?} name one venti: expected each once");
                return Err(value::wrong(text));
            }
        }
        let words = named.into_iter().map(|(dial, (_, words))| (dial, words));
        Ok(Via(words.collect()))
    }
}
