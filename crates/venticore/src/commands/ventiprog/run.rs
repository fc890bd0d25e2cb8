//! One run, and what it starts from.

use std::time::Instant;

use eyre::Result;

use super::Options;
use super::engine::Engine;
use super::preflight::Preflight;
use super::target::Target;
use crate::codec::wrcmd::WrCmd;
use crate::config::Config;
use crate::copy::cursor::{self};
use crate::host::terminal::Terminal;
use crate::status::Status;
use crate::survey::part::Part;
use crate::survey::record::StateFiles;

/// One run, with everything that was given for it.
pub(super) struct Run<'a> {
    pub(super) options: &'a Options,
    pub(super) config: &'a Config,
    pub(super) terminal: &'a Terminal,
    pub(super) record: StateFiles,
    pub(super) engine: Engine,
    pub(super) parts: Vec<Part>,
    pub(super) targets: Vec<Target>,
    /// The wrcmd this run starts from: as found, or built; none where no target is a venti.
    pub(super) wrcmd: Option<WrCmd>,
    /// What has happened to the source.
    pub(super) status: Status,
    /// Something other than damage keeps the wrcmd where it is.
    pub(super) incomplete: bool,
    /// Clumps that were decompressed and hashed.
    pub(super) decoded: u64,
    pub(super) start: Instant,
}

impl<'a> Run<'a> {
    pub(super) fn prepare(
        options: &'a Options,
        config: &'a Config,
        terminal: &'a Terminal,
        record: StateFiles,
    ) -> Result<Self> {
        let wrcmd = record.wrcmd.as_ref();
        if wrcmd.is_some_and(WrCmd::had_en_dash) {
            terminal.say("wrcmd: an option begins with an en dash, read as -");
        }
        let engine = Engine::choose(options.engine.as_deref(), config)?;
        let preflight = Preflight::new(options, config, terminal, &record)?;
        let found = preflight.find()?;
        let targets = preflight.targets(&found);
        let wrcmd = match wrcmd {
            Some(wrcmd) => Some(wrcmd.clone()),
            None => first_wrcmd(&targets, &found.parts)?,
        };
        Ok(Run {
            options,
            config,
            terminal,
            record,
            engine,
            parts: found.parts,
            targets,
            wrcmd,
            status: found.status,
            incomplete: found.incomplete,
            decoded: 0,
            start: Instant::now(),
        })
    }
}

/// The first wrcmd. Scripts read it, and know no replicas.
fn first_wrcmd(targets: &[Target], parts: &[Part]) -> Result<Option<WrCmd>> {
    let venti = targets.iter().find_map(|target| target.name.dial());
    let first = venti.zip(parts.iter().find(|part| part.opened.is_some()));
    first
        .map(|(venti, part)| cursor::build_wrcmd(venti, &part.rules))
        .transpose()
}
