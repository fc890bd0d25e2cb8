//! The targets of a run: who they are, and what becomes of each.

use std::path::Path;

use eyre::{Report, Result, WrapErr};

use super::Options;
use super::readback::ReadBack;
use crate::codec::dial::Dial;
use crate::codec::wrcmd::WrCmd;
use crate::config::Config;
use crate::copy::cursor::Point;
use crate::copy::replicate;
use crate::status::{Failure, Status};

/// The host of the wrcmd, then those asked for; each once, and at least one.
pub(super) fn some_asked_for(
    wrcmd: Option<&WrCmd>,
    options: &Options,
    config: &Config,
) -> Result<Vec<Dial>> {
    let dials = asked_for(wrcmd, options, config)?;
    if dials.is_empty() {
        let cause = "no target: the wrcmd has no -h, and no venti was named; see ventiprog --help";
        return Err(Failure::report(Status::Usage, cause));
    }
    Ok(dials)
}

/// No target is named, and there is no wrcmd that could name one.
pub(super) fn none_named(dir: &Path) -> Report {
    let cause = format!(
        "no target: name the ventis to bring up to date (there is no wrcmd in {}); see ventiprog --help",
        dir.display()
    );
    Failure::report(Status::Usage, cause)
}

/// The host of the wrcmd, then the operands, else what the environment or the
/// configuration lists; each once.
pub(super) fn asked_for(
    wrcmd: Option<&WrCmd>,
    options: &Options,
    config: &Config,
) -> Result<Vec<Dial>> {
    let own = wrcmd.and_then(WrCmd::host).map(|host| config.dial(host));
    let own = own.transpose().wrap_err("wrcmd")?;
    let port = own.as_ref().map_or(Dial::VENTI, Dial::port);
    let asked = if options.targets.is_empty() {
        &config.targets
    } else {
        &options.targets
    };
    let mut dials: Vec<Dial> = own.into_iter().collect();
    for text in asked {
        let dial = Dial::parse(text, config.venti.as_deref(), port)
            .wrap_err_with(|| format!("target {text:?}"))?;
        if !dials.contains(&dial) {
            dials.push(dial);
        }
    }
    Ok(dials)
}

/// One target, and what has become of it so far.
pub(super) struct Target {
    pub(super) dial: Dial,
    pub(super) status: Status,
    /// Why it is out of the run.
    pub(super) failure: Option<String>,
    /// Clumps that are not on disk yet wait for the next run.
    pub(super) waits: bool,
    pub(super) tally: replicate::Tally,
    pub(super) damaged: u64,
    /// Clumps that are damaged in the source, and that it gave back in this run.
    pub(super) damaged_there: u64,
    pub(super) read_back: ReadBack,
    /// Where it is, in each partition that has been dealt with.
    pub(super) reached: Vec<Point>,
    pub(super) from: Option<String>,
    pub(super) seconds: f64,
    /// Nothing was on record of it before this run.
    pub(super) is_new: bool,
}

impl Target {
    pub(super) fn new(dial: Dial, is_new: bool) -> Self {
        Target {
            dial,
            is_new,
            status: Status::Done,
            failure: None,
            waits: false,
            tally: replicate::Tally::default(),
            damaged: 0,
            damaged_there: 0,
            read_back: ReadBack::default(),
            reached: Vec::new(),
            from: None,
            seconds: 0.0,
        }
    }

    /// Whether it is new and had every block, the newest too.
    pub(super) fn had_everything(&self) -> bool {
        let replicate::Tally { sent, present, .. } = self.tally;
        self.is_new && self.failure.is_none() && sent == 0 && present > 0
    }

    pub(super) fn fail(&mut self, status: Status, why: String) {
        self.status = self.status.worst(status);
        self.failure = Some(why);
    }
}
