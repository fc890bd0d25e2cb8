//! How far behind each target is, how fresh, and how well verified.

use std::path::PathBuf;
use std::process::ExitCode;

use eyre::{Result, WrapErr};
use lexopt::prelude::*;
use venticore::commands::ventilag::{self, Options};
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::state::StateDir;
use venticore::status::Status;
use venticore::tool::{Tool, status_of};

const TOOL: Tool = Tool {
    name: "ventilag",
    version: env!("CARGO_PKG_VERSION"),
    synopsis: "\
[-jqv] [-d dir] [-i indexurl] [-p partition ...] [--offline] [--9fat image] [--warn hours] [--crit hours] [--nagios] [--metrics file] [--page file] [ventilist ...]",
    help: "\
Show whether an archive could be restored today, from where, and how old it
would be. Show also how far behind the source each target of ventiprog is, since
when, and where the newest roots were read back. The targets are the
ventis of the list, or, without one, of $targetventis; and those on record. Only
the state files and the source are read; no target is asked.

  -d, --dir DIR          where wrcmd, wrcmds and rootscor lie
  -i, --index URL        the source's index page, which names its partitions
  -p, --partition PART   show only this arena partition; may be repeated
      --offline          no server writes the partitions
      --9fat IMAGE       take wrcmd from a 9fat that is not mounted
      --warn HOURS       status 3 if a target has been behind that long (2d is
                         two days), or has damage on record, or the newest root
                         that could be restored is that old
      --crit HOURS       the same, for a second and longer time
      --nagios           one line with performance data, and the exit status of
                         a monitoring plugin: 0, 1, 2 or 3
      --metrics FILE     write metrics for node_exporter's textfile collector; the
                         file - is standard output
      --page FILE        write a page for people: one HTML file, without script
  -j, --json             one JSON object a target and partition, for the newest
                         root of each file system, and for the answer
  -q, --quiet            no output at all if the exit status is 0
  -v, --verbose          say why a run would not continue from a place
  -h, --help             print this text
  -V, --version          print the version",
};

fn main() -> ExitCode {
    TOOL.run(plugin)
}

/// A monitoring system reads standard output alone, and has exit statuses of its own: a
/// call with `--nagios` that fails says so there.
fn plugin(tool: &Tool, parser: lexopt::Parser) -> Result<Status> {
    let outcome = run(tool, parser);
    let is_plugin = std::env::args_os().any(|word| word == "--nagios");
    match outcome {
        Err(failure) if is_plugin && status_of(&failure) != Status::Done => {
            ventilag::failed(&failure)
        }
        outcome => outcome,
    }
}

fn run(tool: &Tool, parser: lexopt::Parser) -> Result<Status> {
    let mut options = Options::default();
    let (mut quiet, mut verbose) = (false, false);
    let operands = tool.operands(parser, |option, parser| {
        match option {
            Short('d') | Long("dir") => options.dir = Some(StateDir::given(parser.value()?)?),
            Short('i') | Long("index") => options.scope.index = Some(parser.value()?.string()?),
            Short('p') | Long("partition") => {
                options.scope.partitions.push(parser.value()?.string()?);
            }
            Long("offline") => options.scope.offline = true,
            Long("9fat") => options.nine_fat = Some(parser.value()?),
            Long("warn") => options.warn = Some(hours("--warn", parser)?),
            Long("crit") => options.crit = Some(hours("--crit", parser)?),
            Long("nagios") => options.nagios = true,
            Long("metrics") => options.metrics = Some(file(parser)?),
            Long("page") => options.page = Some(file(parser)?),
            Short('j') | Long("json") => options.json = true,
            Short('q') | Long("quiet") => quiet = true,
            Short('v') | Long("verbose") => verbose = true,
            _ => tool.common(option)?,
        }
        Ok(())
    })?;
    options.scope.targets = operands.texts()?;
    if let Some(cause) = options.refused() {
        return Err(tool.usage(cause));
    }
    let terminal = Terminal::new(tool.name, quiet, verbose);
    ventilag::run(tool.name, &options, &Config::load()?, &terminal)
}

fn hours(option: &'static str, parser: &mut lexopt::Parser) -> Result<u64> {
    ventilag::hours(&parser.value()?.string()?).wrap_err(option)
}

/// The name of a file to be written.
fn file(parser: &mut lexopt::Parser) -> Result<PathBuf> {
    let name = parser.value()?;
    if name.is_empty() {
        return Err(lexopt::Error::from("expected a file, found an empty name").into());
    }
    Ok(name.into())
}
