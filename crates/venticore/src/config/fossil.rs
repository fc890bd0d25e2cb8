//! How a fossil is started: the tables `[fossil]` and `[fossils.NAME]`.

use serde::Deserialize;

use super::value;

/// How a fossil is started: `[fossil]` or `[fossils.NAME]`. What is absent is
/// as the rc script fossilstart has it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Fossil {
    /// The partition of a command that is given none; in `[fossil]` alone.
    #[serde(default, deserialize_with = "value::one::<value::PartitionText, _, _>")]
    pub partition: Option<String>,
    /// Whether no process outside this container can open the partition; in
    /// `[fossil]` alone.
    pub private: Option<bool>,
    /// The program and its first arguments.
    #[serde(default, deserialize_with = "value::program")]
    pub program: Option<Vec<String>>,
    /// The venti it archives to.
    #[serde(default, deserialize_with = "value::one::<value::Address, _, _>")]
    pub venti: Option<String>,
    /// The options of `open`.
    #[serde(default, deserialize_with = "value::one::<value::Options, _, _>")]
    pub open: Option<String>,
    /// The options of `snaptime`; empty: it is not given.
    #[serde(default, deserialize_with = "value::one::<value::Options, _, _>")]
    pub snaptime: Option<String>,
    /// The options of `srv`.
    #[serde(default, deserialize_with = "value::one::<value::Options, _, _>")]
    pub srv: Option<String>,
    /// The address to listen at; absent: none.
    #[serde(default, deserialize_with = "value::one::<value::Word, _, _>")]
    pub listen: Option<String>,
}

impl Fossil {
    /// The keys of this table, and the keys of `below` that it does not have.
    pub(super) fn over(self, below: Fossil) -> Fossil {
        Fossil {
            partition: self.partition.or(below.partition),
            private: self.private.or(below.private),
            program: self.program.or(below.program),
            venti: self.venti.or(below.venti),
            open: self.open.or(below.open),
            snaptime: self.snaptime.or(below.snaptime),
            srv: self.srv.or(below.srv),
            listen: self.listen.or(below.listen),
        }
    }
}
