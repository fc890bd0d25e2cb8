//! Programs that are not ours: an argument vector from the configuration, run to its end. No shell.

use std::process::Command;
use std::time::Duration;

use crate::host::child::{self, ChildLimits, Listen};
use crate::text::one_line;

/// The most bytes of what a program says that are repeated.
const SAID: usize = 500;

/// How long a program may take, and how much it may say.
const LIMITS: ChildLimits = ChildLimits {
    silence: Duration::from_secs(120),
    whole: Duration::from_secs(120),
    output: 1 << 20,
};

/// The beginning of what a program says.
#[derive(Default)]
struct ProgramOutput(Vec<u8>);

impl Listen for ProgramOutput {
    fn hear(&mut self, bytes: &[u8]) {
        let room = SAID.saturating_sub(self.0.len());
        self.0.extend(bytes.iter().take(room));
    }

    fn broke(&mut self, _why: String) {}
}

/// How a program came to no good end.
#[derive(Debug)]
pub(super) enum ProgramFailure {
    /// It is not there.
    Missing,
    /// It could not be run to its end, or says that it failed.
    Ended(String),
}

/// An argument vector with its places filled in: whole words only.
pub(super) fn fill(words: &[String], places: &[(&str, &str)]) -> Vec<String> {
    let filled = |word: &String| {
        let place = places.iter().find(|(place, _)| place == word);
        place.map_or_else(|| word.clone(), |(_, text)| (*text).to_owned())
    };
    words.iter().map(filled).collect()
}

/// Runs a program to its end; what it said on standard error, as one line.
pub(super) fn call(
    words: &[String],
    environment: &[(&str, &str)],
    input: Vec<u8>,
) -> Result<String, ProgramFailure> {
    let (program, arguments) = words.split_first().ok_or(ProgramFailure::Missing)?;
    let mut command = Command::new(program);
    command.args(arguments).envs(environment.iter().copied());
    let ended =
        child::run::<ProgramOutput>(command, input, &LIMITS).map_err(|fault| match fault {
            child::ChildFault::Start(e) if e.kind() == std::io::ErrorKind::NotFound => {
                ProgramFailure::Missing
            }
            fault => ProgramFailure::Ended(fault.to_string()),
        })?;
    let said = one_line(String::from_utf8_lossy(&ended.stderr.0).trim());
    match ended.status.success() {
        true => Ok(said),
        false => Err(ProgramFailure::Ended(format!("{}: {said}", ended.status))),
    }
}
