//! The command flfmt: formats a partition to the root of an archive, once the
//! archive is proved to be there (fossil.md 3).

use std::ffi::OsString;
use std::io;

use eyre::{Result, WrapErr};

use crate::archive::Depth;
use crate::format::source::{ArchiveSource, LABEL, Proving, open};
use crate::format::{FormatJob, Standing, check, old_undo, perform};
use crate::processes;
use crate::rootline::root_score;
use crate::venti;
use venticore::codec::wrcmd;
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::status::{Failure, Status};

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How much is proved: `-c` is every block.
    pub depth: Depth,
    /// `--as-written`: go on where what is invalid was written so.
    pub as_written: bool,
    /// `-f`: overwrite what is not a fossil.
    pub force: bool,
    /// `-n`: write nothing.
    pub dry_run: bool,
    /// `-y`: do not ask.
    pub yes: bool,
    /// `-b`: the block size.
    pub block_size: Option<u64>,
    /// `-h`: the venti.
    pub host: Option<String>,
    /// `-l`: the name of the file system.
    pub label: Option<OsString>,
    /// `-v`: the score.
    pub score: String,
    /// The partition.
    pub partition: OsString,
}

/// A block size as flfmt takes it: a number of C, and k, m or g behind it.
///
/// # Errors
/// It is none.
pub fn block_size(text: &str) -> Result<u64> {
    wrcmd::scaled(text).wrap_err("-b")
}

/// Runs the command.
///
/// # Errors
/// Something cannot be proved or must not be overwritten: nothing was
/// written. Or what was begun did not end, and the message says how to go on.
pub fn run(tool: &str, options: &Options, config: &Config, terminal: &Terminal) -> Result<Status> {
    let score = root_score(&options.score).wrap_err("rootscore")?;
    let (venti, dial) = venti::chosen(options.host.as_deref(), "give -h HOST", config)?;
    let source = ArchiveSource {
        score,
        venti: &venti,
        dial: &dial,
    };
    let partition = open(&options.partition, options.dry_run)?;
    let operand = partition.operand();
    processes::prove_free(&partition, config)?;
    processes::claim(&partition)?;
    let job = FormatJob {
        tool,
        config,
        terminal,
        dir: None,
        partition: &partition,
        force: options.force,
    };
    let standing = Standing::of(&partition)?;
    let unfinished = old_undo(&job, &standing)?;
    if unfinished.is_none() {
        check(&partition, &standing, options.force)?;
    }
    let mut client = source.dial(config)?;
    let label = options.label.as_deref().unwrap_or(LABEL.as_ref());
    let label = label.as_encoded_bytes();
    let (archive, checked) = source.plan(&mut client, &partition, options.block_size, label)?;
    let block_size = checked.format.header.block_size.into();
    let how = Proving {
        depth: options.depth,
        as_written: options.as_written,
        terminal,
    };
    let proved = source.prove(&mut client, &archive, &how, block_size)?;
    drop(client);
    if options.dry_run {
        terminal.say(&format!(
            "{operand}: holds {standing}; would be formatted to vac:{score}, {proved}; nothing was written"
        ));
        return Ok(Status::Done);
    }
    let question = format!("{operand}: holds {standing}; are you sure?");
    let asks = !options.yes && !matches!(standing, Standing::Empty);
    if asks && !terminal.ask(&question, &mut io::stdin().lock())? {
        return Err(Failure::report(
            Status::Failed,
            format!("{operand}: the answer was not y: nothing was written"),
        ));
    }
    perform(&job, &checked, &|| {
        processes::prove_free(&partition, config)
    })?;
    for (number, source) in archive.sources.iter().enumerate() {
        terminal.detail(|| format!("root source {number}: {}", source.score));
    }
    terminal.detail(|| format!("{operand}: formatted to vac:{score}, {proved}"));
    Ok(Status::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use venticore::tool::status_of;

    #[test]
    fn block_sizes_are_those_of_the_c_tool() {
        for (text, size) in [
            ("8192", 8192),
            ("8k", 8192),
            ("0x1000", 4096),
            ("010K", 8192),
            ("1m", 1 << 20),
        ] {
            assert_eq!(block_size(text).unwrap(), size, "{text}");
        }
        for text in ["", "k", "8kk", "8q", "-1", "8 k", "\u{e9}"] {
            assert_eq!(
                status_of(&block_size(text).unwrap_err()),
                Status::Usage,
                "{text}"
            );
        }
    }

    #[test]
    fn a_root_score_may_have_one_label() {
        let digits = "F50B65b3911fc87ae786cc7970b2e34d1348bd00";
        for text in [
            digits.to_owned(),
            format!("vac:{digits}"),
            format!("VAC:{digits}"),
        ] {
            assert_eq!(
                root_score(&text).unwrap().to_string(),
                digits.to_lowercase()
            );
        }
        for text in [
            &digits[1..],
            &format!("{digits}0"),
            &format!("ext2:{digits}"),
            &format!("{digits} "),
            "",
        ] {
            assert_eq!(
                status_of(&root_score(text).unwrap_err()),
                Status::Usage,
                "{text}"
            );
        }
    }
}
