//! Halt fossils in order, and say when it is safe to end them.

use std::process::ExitCode;

use eyre::Result;
use fossilcore::commands::foshalt::{self, Options};
use lexopt::prelude::*;
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::status::Status;
use venticore::tool::{self, Tool};

const TOOL: Tool = Tool {
    name: "foshalt",
    version: env!("CARGO_PKG_VERSION"),
    synopsis: "[-fknq] [-t seconds] [console ...]",
    help: "\
Sync and halt all file systems of the fossils with these consoles; if none is
named, of all consoles found (/srv/fscons*, $NAMESPACE/fscons*). Print a line
for each file system that is halted, proved by a second halt. Exit status 0
means that all file systems are halted: it is safe to end the processes.

  -f, --force            halt even if an archive is under way
  -k, --kill             end the processes once all is halted, and wait for them
  -n, --dry-run          print what would be halted
  -q, --quiet            no progress
  -t, --timeout SECONDS  wait at most this time for an archive (1800)
  -h, --help             print this text
  -V, --version          print the version",
};

fn main() -> ExitCode {
    TOOL.run(run)
}

fn run(tool: &Tool, parser: lexopt::Parser) -> Result<Status> {
    let mut options = Options::default();
    let mut quiet = false;
    let operands = tool.operands(parser, |option, parser| {
        match option {
            Short('f') | Long("force") => options.force = true,
            Short('k') | Long("kill") => options.kill = true,
            Short('n') | Long("dry-run") => options.dry_run = true,
            Short('q') | Long("quiet") => quiet = true,
            Short('t') | Long("timeout") => {
                options.wait = Some(tool::seconds("-t", parser)?);
            }
            _ => tool.common(option)?,
        }
        Ok(())
    })?;
    options.consoles = operands.map(Into::into).collect();
    let terminal = Terminal::new(tool.name, quiet, false);
    foshalt::run(&options, &Config::load()?, &terminal)
}
