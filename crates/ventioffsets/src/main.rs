//! Print where the arenas of a venti lie, from its index page or a partition.

use std::process::ExitCode;

use eyre::Result;
use lexopt::prelude::*;
use venticore::commands::ventioffsets::{self, Options};
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::status::Status;
use venticore::tool::Tool;

const TOOL: Tool = Tool {
    name: "ventioffsets",
    version: env!("CARGO_PKG_VERSION"),
    synopsis: "[-jv] [-w host] [indexurl | partition]",
    help: "\
Print where the arenas of a venti lie: a line `x NAME OFFSET PARTITION` for
each that holds clumps, in the order of the venti's index page at indexurl; or
for all of a partition, in the order of its table.

  -w, --wrarena HOST  print commands that send the arenas to HOST
  -j, --json          one JSON object an arena
  -v, --verbose       say which partitions could not be compared
  -h, --help          print this text
  -V, --version       print the version

Without an operand, the page is the one in the key index of the configuration,
and without that key http://127.0.0.1:8000/index.",
};

fn main() -> ExitCode {
    TOOL.run(run)
}

fn run(tool: &Tool, parser: lexopt::Parser) -> Result<Status> {
    let (options, verbose) = options(tool, parser)?;
    let terminal = Terminal::new(tool.name, true, verbose);
    ventioffsets::run(&options, &Config::load()?, &terminal)
}

fn options(tool: &Tool, parser: lexopt::Parser) -> Result<(Options, bool)> {
    let mut options = Options::default();
    let mut verbose = false;
    let mut operands = tool.operands(parser, |option, parser| {
        match option {
            Short('j') | Long("json") => options.json = true,
            Short('v') | Long("verbose") => verbose = true,
            Short('w') | Long("wrarena") => options.host = Some(parser.value()?.string()?),
            _ => tool.common(option)?,
        }
        Ok(())
    })?;
    options.from = operands.next();
    operands.end()?;
    Ok((options, verbose))
}
