//! Print where the arenas of a venti lie, from its index page or a partition.

use std::process::ExitCode;

use eyre::Result;
use lexopt::prelude::*;
use venticore::commands::ventioffsets::{self, Options};
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::status::Status;
use venticore::tool::{self, Tool};

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

Without an operand the page is `index` of the configuration, else
http://127.0.0.1:8000/index.",
};

fn main() -> ExitCode {
    TOOL.run(run)
}

fn run(tool: &Tool, parser: lexopt::Parser) -> Result<Status> {
    let (options, verbose) = options(tool, parser)?;
    let terminal = Terminal::new(tool.name, true, verbose);
    ventioffsets::run(&options, &Config::load()?, &terminal)
}

fn options(tool: &Tool, mut parser: lexopt::Parser) -> Result<(Options, bool)> {
    let mut options = Options::default();
    let mut verbose = false;
    let mut operands = Vec::new();
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Err(tool.help()),
            Short('V') | Long("version") => return Err(tool.version()),
            Short('j') | Long("json") => options.json = true,
            Short('v') | Long("verbose") => verbose = true,
            Short('w') | Long("wrarena") => options.host = Some(parser.value()?.string()?),
            Value(first) => operands = tool::operands(&mut parser, first)?,
            _ => return Err(arg.unexpected().into()),
        }
    }
    let mut operands = operands.into_iter();
    options.from = operands.next();
    match operands.next() {
        Some(extra) => Err(tool.usage(&format!("unexpected operand {}", extra.display()))),
        None => Ok((options, verbose)),
    }
}
