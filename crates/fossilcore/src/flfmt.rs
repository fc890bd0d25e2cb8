//! The command flfmt: formats a partition to the root of an archive, once the
//! archive is proved to be there (fossil.md 3).

use std::ffi::OsString;
use std::io;

use eyre::{Result, WrapErr};

use crate::archive::{Archive, Depth, prove};
use crate::format::{Checked, Format, Job, Standing, Tag, check, old_undo, perform};
use crate::{fossilize, processes, venti};
use venticore::codec::dial::Dial;
use venticore::codec::operand::Operand;
use venticore::codec::score::{LabelledScore, Score, ScoreError};
use venticore::config::Config;
use venticore::host::holders;
use venticore::host::partition::Partition;
use venticore::host::terminal::Terminal;
use venticore::net::client::Client;
use venticore::status::{Failure, Status};

/// The name of a file system, unless told otherwise.
pub const LABEL: &str = "vfs";

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// How much is proved: `-c` is every block.
    pub depth: Depth,
    /// `--as-written`: go on where what is invalid was written so.
    pub as_written: bool,
    /// `-f`: overwrite what is no fossil.
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
    let (digits, shift) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (text.get(..at), 10),
        Some((at, 'm' | 'M')) => (text.get(..at), 20),
        Some((at, 'g' | 'G')) => (text.get(..at), 30),
        _ => (Some(text), 0),
    };
    let number = venticore::codec::wrcmd::number(digits.unwrap_or_default()).wrap_err("-b")?;
    Ok(number.saturating_mul(1 << shift))
}

/// A root score: 40 hex digits, `vac:` before them or not.
///
/// # Errors
/// Anything else.
pub fn root_score(text: &str) -> Result<Score> {
    let parsed: Result<LabelledScore, ScoreError> = text.parse();
    let labelled = parsed.wrap_err("rootscore")?;
    match labelled.label {
        Some(label) if !label.eq_ignore_ascii_case("vac") => {
            let text = format!(
                "rootscore: expected vac:SCORE or SCORE, found \"{}:\"",
                label.escape_default()
            );
            Err(Failure::report(Status::Usage, text))
        }
        _ => Ok(labelled.score),
    }
}

/// The venti: the one given, else `$venti`, else the configured source.
///
/// # Errors
/// There is none, or it is no address.
pub(crate) fn venti(given: Option<&str>, config: &Config) -> Result<(String, Dial)> {
    let text = match given {
        Some(text) => Some(text.trim().to_owned()),
        None => fossilize::reading_venti(config)?,
    };
    let text = text.filter(|text| !text.is_empty()).ok_or_else(|| {
        let text =
            "please set a venti: expected its address as an operand or in $venti, found none";
        Failure::report(Status::Usage, text)
    })?;
    let dial = config.dial(&text).wrap_err("venti")?;
    Ok((text, dial))
}

/// Opens a partition, for writing unless nothing is to be written.
pub(crate) fn open(operand: &OsString, dry_run: bool) -> Result<Partition> {
    let operand = Operand::try_from(operand.as_os_str())?;
    // What is in the log must be readable as words.
    fossilize::word(&operand)?;
    Ok(match dry_run {
        true => Partition::open(&operand)?,
        false => holders::open_rw(&operand)?,
    })
}

/// What is said of an archive that is all there, and has something invalid in it.
const AS_WRITTEN: &str = "the fossil wrote it so (it spoils the sizes of files from 2 GiB on), and \
     sending it again changes nothing; the rest was proved: give --as-written to go on";

/// How an archive is proved.
#[derive(Clone, Copy)]
pub(crate) struct Proving<'a> {
    pub(crate) depth: Depth,
    pub(crate) as_written: bool,
    pub(crate) terminal: &'a Terminal,
}

/// What is proved: an archive on a venti.
pub(crate) struct Source<'a> {
    pub(crate) score: Score,
    pub(crate) venti: &'a str,
    pub(crate) dial: &'a Dial,
}

impl Source<'_> {
    /// Connects to the venti.
    pub(crate) fn dial(&self, config: &Config) -> Result<Client> {
        Client::dial(self.dial, config.limits).wrap_err_with(|| self.dial.to_string())
    }

    /// Reads the root and what a format needs, and lays out the partition.
    pub(crate) fn plan(
        &self,
        client: &mut Client,
        partition: &Partition,
        block_size: Option<u64>,
        label: &[u8],
    ) -> Result<(Archive, Checked)> {
        let read = Archive::read(client, &self.score);
        let archive = read.map_err(|error| error.report(&self.score, self.dial))?;
        let format = Format::of(&archive, partition.len(), block_size, Tag::random(), label)
            .wrap_err_with(|| partition.operand().to_string())?;
        let checked = Checked {
            format,
            score: self.score,
            venti: self.venti.to_owned(),
            // It is still running, if it runs at all.
            old_venti: venti::running(partition.path()),
        };
        Ok((archive, checked))
    }

    /// Proves that what is below the root is there; says what was proved.
    pub(crate) fn prove(
        &self,
        client: &mut Client,
        archive: &Archive,
        how: &Proving<'_>,
        block_size: u64,
    ) -> Result<String> {
        let Proving {
            depth, terminal, ..
        } = *how;
        let tick = |_: &_| terminal.wait("proving the archive");
        let findings = prove(client, archive, depth, block_size, tick);
        terminal.clear();
        let findings = findings.wrap_err_with(|| self.dial.to_string())?;
        if findings.total > 0 || findings.total_invalid > 0 && !how.as_written {
            let way_out = match findings.total {
                0 => AS_WRITTEN,
                _ => "send the archive there again, or give another venti or score",
            };
            let text = format!("vac:{}: {}: {findings}: {way_out}", self.score, self.dial);
            return Err(Failure::report(Status::Unverified, text));
        }
        for invalid in &findings.invalid {
            terminal.report(&format!("vac:{}: {invalid}: left as it is", self.score));
        }
        let counts = findings.counts;
        let proved = match depth {
            Depth::Shallow => return Ok("only its root was looked at".to_owned()),
            Depth::Active => "its active tree is there",
            Depth::Every => "it is whole",
        };
        Ok(format!(
            "{proved}: {} directories, {} blocks read, {} asked for",
            findings.directories, counts.read, counts.probed
        ))
    }
}

/// Runs the command.
///
/// # Errors
/// Something cannot be proved or must not be overwritten: nothing was
/// written. Or what was begun did not end, and the message says how to go on.
pub fn run(tool: &str, options: &Options, config: &Config, terminal: &Terminal) -> Result<Status> {
    let score = root_score(&options.score)?;
    let (venti, dial) = venti(options.host.as_deref(), config)?;
    let source = Source {
        score,
        venti: &venti,
        dial: &dial,
    };
    let partition = open(&options.partition, options.dry_run)?;
    let operand = partition.operand();
    processes::prove_free(&partition, config)?;
    processes::claim(&partition)?;
    let job = Job {
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
