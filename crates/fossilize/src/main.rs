//! Record and print the last archival score of a fossil partition.

use std::process::ExitCode;

use eyre::Result;
use fossilcore::commands::fossilize::{self, Options};
use lexopt::prelude::*;
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::state::StateDir;
use venticore::status::Status;
use venticore::tool::{self, Tool};

const TOOL: Tool = Tool {
    name: "fossilize",
    version: env!("CARGO_PKG_VERSION"),
    synopsis: "[-jnqs] [-t seconds] [-d dir] [--9fat image] [partition]",
    help: "\
Append the score of the last archival snapshot of a fossil partition to the
log rootscor, and print the same line: vac:SCORE PARTITION VENTI. The
partition is /dev/sdC0/fossil unless given.

  -s, --snapshot         take an archival snapshot on the fossil's console
                         first, and wait until it is complete and on disk
  -t, --timeout SECONDS  wait at most this time for an archive under way
  -d, --dir DIR          where rootscor lies
      --9fat IMAGE       copy rootscor and wrcmd to a 9fat that is not mounted
  -n, --dry-run          record nothing
  -j, --json             print a JSON object instead
  -q, --quiet            no progress
  -h, --help             print this text
  -V, --version          print the version

A partition is a file or block device, PATH:LO-HI for some of its bytes, or
DISK:NAME for a partition of a Plan 9 disk.",
};

fn main() -> ExitCode {
    TOOL.run(run)
}

fn run(tool: &Tool, parser: lexopt::Parser) -> Result<Status> {
    let mut options = Options::default();
    let mut quiet = false;
    let mut operands = tool.operands(parser, |option, parser| {
        match option {
            Short('t') | Long("timeout") => {
                options.wait = tool::seconds("-t", parser)?;
            }
            Short('d') | Long("dir") => options.dir = Some(StateDir::given(parser.value()?)?),
            Long("9fat") => options.nine_fat = Some(parser.value()?),
            Short('s') | Long("snapshot") => options.snapshot = true,
            Short('n') | Long("dry-run") => options.dry_run = true,
            Short('j') | Long("json") => options.json = true,
            Short('q') | Long("quiet") => quiet = true,
            _ => tool.common(option)?,
        }
        Ok(())
    })?;
    options.partition = operands.next();
    operands.end()?;
    let terminal = Terminal::new(tool.name, quiet, false);
    fossilize::run(tool.name, &options, &Config::load()?, &terminal)
}
