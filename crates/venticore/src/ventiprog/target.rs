//! The targets of a run: who they are, and what becomes of each.

use std::path::Path;

use eyre::{Report, Result, WrapErr};

use super::Options;
use super::readback::ReadBack;
use crate::config::Config;
use crate::dial::Dial;
use crate::exit::{Failure, Status};
use crate::places::Point;
use crate::replicate;
use crate::wrcmd::WrCmd;

/// The host of the wrcmd, then those asked for; each once, and at least one.
pub(super) fn targets(
    wrcmd: Option<&WrCmd>,
    options: &Options,
    config: &Config,
) -> Result<Vec<Target>> {
    let dials = asked_for(wrcmd, options, config)?;
    if dials.is_empty() {
        let cause = "no target: the wrcmd has no -h, and no venti was named; see ventiprog --help";
        return Err(Failure::report(Status::Usage, cause));
    }
    Ok(dials.into_iter().map(Target::new).collect())
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

/// The venti whose arenas are read: `-s`, else `$venti`, else the configured one.
pub(super) fn source_venti(options: &Options, config: &Config) -> Result<Option<Dial>> {
    let text = options
        .source
        .as_ref()
        .or(config.venti.as_ref())
        .or(config.source.as_ref());
    text.map(|text| {
        config
            .dial(text)
            .wrap_err_with(|| format!("source {text:?}"))
    })
    .transpose()
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
}

impl Target {
    pub(super) fn new(dial: Dial) -> Self {
        Target {
            dial,
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

    pub(super) fn fail(&mut self, status: Status, why: String) {
        self.status = self.status.worst(status);
        self.failure = Some(why);
    }
}

/// Refuses a target that is the source, by name or by address.
pub(super) fn refuse_source(source: Option<&Dial>, targets: &[Target]) -> Result<()> {
    let Some(source) = source else {
        return Ok(());
    };
    let addresses = source.resolve().unwrap_or_default();
    let is_source = |target: &&Target| {
        let found = target.dial.resolve().unwrap_or_default();
        target.dial == *source || found.iter().any(|address| addresses.contains(address))
    };
    match targets.iter().find(is_source) {
        Some(Target { dial, .. }) => Err(Failure::report(
            Status::Usage,
            format!("{dial}: is the source itself ({source}); name another venti"),
        )),
        None => Ok(()),
    }
}
