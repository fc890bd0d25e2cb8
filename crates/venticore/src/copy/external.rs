//! An external `wrarena` as the engine: run on one arena, and believed only as
//! far as its words and its exit status go (venti.md 10.2).
//!
//! It is called in the only form in which plan9port's works incrementally,
//!
//! ```text
//! PROGRAM ... -o 0 -h tcp!HOST!PORT PATH:HEAD-END 0xFROM
//! ```
//!
//! where HEAD and END count from the start of the file or device that the
//! partition is in: so a range of a file and a part of a Plan 9 disk will do
//! too. No shell is involved.
//!
//! # What this engine cannot promise
//!
//! An offset that [`run`] returns stands for less than one of our own:
//!
//! - Nobody has seen the target acknowledge anything. All wrarenas print the
//!   offset before their last writes are done, plan9port's before its sync,
//!   and Bell Labs' syncs before its last writes are done. Exit status 0 is all
//!   there is to say that those succeeded; that is why it is insisted on.
//! - The program gives neither a count of blocks nor a score of what came back from the target.
//! - An offset between the last clump and the end of the data section is
//!   echoed as it was given. The caller, who knows what the log holds, must
//!   see that `from` is a place in it, and compare the result with its end.
//! - A directory that cannot be read ends the copy with status 0, and an older
//!   trailer hides the clumps after it: the result is then less than the log
//!   holds, and is a place to go on from. A directory entry with a wrong size
//!   moves it.
//!
//! Damage that the program names makes the run an error, so nothing is to be
//! recorded: plan9port's gives up the rest of an arena at a wrong score. It also
//! names clumps that the server itself has given up, before `from` too: an
//! arena with one of these needs the built-in engine.

mod error;
mod said;

use crate::text::excerpt;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub use error::{ExternalError, ExternalFault};

use crate::codec::dial::Dial;
use crate::host::child::{self, ChildLimits, Exited};
use crate::host::partition::Partition;
use crate::source::Arena;
use said::{Said, SaidParser};

/// A program and the arguments that come before ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    name: OsString,
    arguments: Vec<OsString>,
}

impl Program {
    /// A program from an argument vector.
    ///
    /// # Errors
    /// [`ExternalFault::Empty`] when the first word is missing.
    pub fn new(argv: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Self, ExternalError> {
        let mut words = argv.into_iter().map(Into::into);
        let name = words.next().unwrap_or_default();
        let program = Program {
            arguments: words.collect(),
            name,
        };
        if program.name.is_empty() {
            return Err(program.error(ExternalFault::Empty));
        }
        Ok(program)
    }

    fn error(&self, fault: ExternalFault) -> ExternalError {
        ExternalError {
            program: excerpt(self.name.as_bytes(), said::SHOWN),
            fault,
        }
    }
}

impl Default for Program {
    /// `wrarena`, wherever `$PATH` has one.
    fn default() -> Self {
        Program {
            name: "wrarena".into(),
            arguments: Vec::new(),
        }
    }
}

/// What the program is to send: one arena, from an offset on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArenaRest {
    /// The arena's head block, bytes from the start of the partition.
    pub head: u64,
    /// The end of its trailer block.
    pub end: u64,
    /// Bytes of its data section: no offset is past that.
    pub size: u64,
    /// Where to start, bytes from the start of the data section.
    pub from: u64,
}

impl ArenaRest {
    /// An arena from an offset in its log on.
    #[must_use]
    pub fn of(arena: &Arena, from: u64) -> Self {
        ArenaRest {
            head: arena.head,
            end: arena.base() + arena.size + u64::from(arena.block_size),
            size: arena.size,
            from,
        }
    }
}

/// What a program is given at most: two hours of silence, since a wrarena says
/// nothing between its start and its end, a day in all, 256 MiB on each stream.
pub const LIMITS: ChildLimits = ChildLimits {
    silence: Duration::from_secs(2 * 60 * 60),
    whole: Duration::from_secs(24 * 60 * 60),
    output: 256 << 20,
};

/// Runs the program on one arena and returns its end offset: where the next
/// run is to start. It is killed, with all processes of its group, when it
/// outlives a limit.
///
/// # Errors
/// The program could not be started, was silent too long, failed, named a
/// damaged clump, or did not say exactly one end offset that can be. Nothing
/// is to be recorded then.
pub fn run(
    program: &Program,
    target: &Dial,
    partition: &Partition,
    stretch: &ArenaRest,
    limits: &ChildLimits,
) -> Result<u64, ExternalError> {
    let mut command = Command::new(&program.name);
    command
        .args(&program.arguments)
        .args(arguments(target, partition, stretch));
    let ended = child::run(command, Vec::new(), limits).map_err(ExternalFault::from);
    ended
        .and_then(|ended| offset(ended, stretch))
        .map_err(|fault| program.error(fault))
}

/// The arguments that name target, arena and place.
fn arguments(target: &Dial, partition: &Partition, stretch: &ArenaRest) -> Vec<OsString> {
    let host = target.to_string();
    let operand = operand(partition.path(), partition.start(), stretch);
    let from = format!("{:#x}", stretch.from).into();
    let words = ["-o", "0", "-h", &host].map(OsString::from);
    words.into_iter().chain([operand, from]).collect()
}

/// The arena as `PATH:HEAD-END`, where the partition begins at `start`. The C
/// tools split at the last colon, so a path may have some of its own.
fn operand(path: &Path, start: u64, stretch: &ArenaRest) -> OsString {
    let mut operand = OsString::new();
    if path.as_os_str().as_bytes().starts_with(b"-") {
        operand.push("./");
    }
    operand.push(path);
    let (head, end) = (start + stretch.head, start + stretch.end);
    operand.push(format!(":{head}-{end}"));
    operand
}

/// The one end offset of a run that went well.
fn offset(ended: Exited<SaidParser>, stretch: &ArenaRest) -> Result<u64, ExternalFault> {
    let (stdout, stderr) = (ended.stdout.finish(), ended.stderr.finish());
    if ended.status.success() {
        return judge(&stdout, &stderr, stretch);
    }
    Err(match stderr.no_connection {
        Some(text) => ExternalFault::Unreachable(text),
        None => ExternalFault::Failed {
            status: ended.status,
            last: stderr.last,
        },
    })
}

/// The one end offset, from the words of a program that exited with status 0.
fn judge(stdout: &Said, stderr: &Said, stretch: &ArenaRest) -> Result<u64, ExternalFault> {
    if let Some(text) = stderr.damage.as_ref().or(stdout.damage.as_ref()) {
        return Err(ExternalFault::Damaged {
            text: text.clone(),
            lines: stderr.damaged + stdout.damaged,
        });
    }
    if let Some(why) = stdout.unread.as_ref().or(stderr.unread.as_ref()) {
        return Err(ExternalFault::Unread(why.clone()));
    }
    match (stdout.end, stdout.ends, &stdout.unfit, &stdout.bare) {
        (_, _, Some(text), _) => Err(ExternalFault::Unfit(text.clone())),
        (_, 2.., _, _) => Err(ExternalFault::Several(stdout.ends)),
        (Some(_), _, _, Some(text)) => Err(ExternalFault::Unfit(text.clone())),
        (Some(found), _, _, _) => plausible(found, stretch),
        (None, _, _, Some(text)) => Err(ExternalFault::Bare(text.clone())),
        (None, _, _, None) => Err(ExternalFault::Nothing(stdout.last.clone())),
    }
}

fn plausible(found: u64, stretch: &ArenaRest) -> Result<u64, ExternalFault> {
    let (from, size) = (stretch.from, stretch.size);
    if (from..=size).contains(&found) {
        Ok(found)
    } else {
        Err(ExternalFault::Implausible { found, from, size })
    }
}

#[cfg(test)]
mod tests;
