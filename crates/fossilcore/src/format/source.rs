//! What a format is to: an archive on a venti, read and proved before anything is
//! written.

use std::ffi::OsString;

use eyre::{Result, WrapErr};

use super::job::CheckedFormat;
use super::plan::{Format, Tag};
use crate::archive::{Archive, Depth, prove};
use crate::{rootline, venti};
use venticore::codec::dial::Dial;
use venticore::codec::operand::Operand;
use venticore::codec::score::Score;
use venticore::config::Config;
use venticore::host::holders;
use venticore::host::partition::Partition;
use venticore::host::terminal::Terminal;
use venticore::net::client::Client;
use venticore::status::{Failure, Status};
use venticore::text::counted;

/// The name of a file system, unless told otherwise.
pub(crate) const LABEL: &str = "vfs";

/// Opens a partition, for writing unless nothing is to be written.
pub(crate) fn open(operand: &OsString, dry_run: bool) -> Result<Partition> {
    let operand = Operand::try_from(operand.as_os_str())?;
    // What is in the log must be readable as words.
    rootline::word(&operand)?;
    Ok(match dry_run {
        true => Partition::open(&operand)?,
        false => holders::open_rw(&operand)?,
    })
}

/// What is said of an archive that is all there, and has something invalid in it.
const AS_WRITTEN: &str = "the fossil wrote it so (it corrupts the size of a file of 2 GiB or more), and sending it again does not help; the rest was proved: give --as-written to go on";

/// How an archive is proved.
#[derive(Clone, Copy)]
pub(crate) struct Proving<'a> {
    pub(crate) depth: Depth,
    pub(crate) as_written: bool,
    pub(crate) terminal: &'a Terminal,
}

/// What is proved: an archive on a venti.
pub(crate) struct ArchiveSource<'a> {
    pub(crate) score: Score,
    pub(crate) venti: &'a str,
    pub(crate) dial: &'a Dial,
}

impl ArchiveSource<'_> {
    /// Connects to the venti.
    pub(crate) fn dial(&self, config: &Config) -> Result<Client> {
        Client::dial(self.dial, &config.dialer).wrap_err_with(|| self.dial.to_string())
    }

    /// Reads the root and what a format needs, and lays out the partition.
    pub(crate) fn plan(
        &self,
        client: &mut Client,
        partition: &Partition,
        block_size: Option<u64>,
        label: &[u8],
    ) -> Result<(Archive, CheckedFormat)> {
        let read = Archive::read(client, &self.score);
        let archive = read.map_err(|error| error.report(&self.score, self.dial))?;
        let format = Format::of(&archive, partition.len(), block_size, Tag::random(), label)
            .wrap_err_with(|| partition.operand().to_string())?;
        let checked = CheckedFormat {
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
            "{proved}: {}, {} read, {} asked for",
            counted(findings.directories, "directory", "directories"),
            counted(counts.read, "block", "blocks"),
            counts.probed
        ))
    }
}
