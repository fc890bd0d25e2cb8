//! How other machines are reached: the tables `[remotes.NAME]`.

use serde::Deserialize;

use super::value;

/// How a command is run on another machine: `[remotes.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remote {
    /// The argument vector, with `{host}` and `{command}`.
    #[serde(deserialize_with = "value::program")]
    pub command: Vec<String>,
    /// The shell there, for which the command is quoted.
    #[serde(default)]
    pub shell: Shell,
    /// Its exit status is the command's. Where it is not, the shell there is made
    /// to print it.
    #[serde(default)]
    pub status: bool,
    /// The commands there are the rc scripts: they read no score from standard
    /// input, and have no options.
    #[serde(default)]
    pub scripts: bool,
}

/// A shell on another machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shell {
    /// The shell of Unix.
    #[default]
    Sh,
    /// The shell of Plan 9.
    Rc,
}
