//! Bring ventis up to date with the arenas of another.

use std::process::ExitCode;

use eyre::Result;
use lexopt::prelude::*;
use venticore::config::Config;
use venticore::exit::{self, Status, Tool};
use venticore::terminal::Terminal;
use venticore::ventiprog::{self, Options};

const TOOL: Tool = Tool {
    name: "ventiprog",
    version: env!("CARGO_PKG_VERSION"),
    synopsis: "[-jnqv] [-d dir] [-s sourceventi] [ventilist ...]",
    help: "\
Send what is new in a venti's arenas to the host of the wrcmd and to every
venti of the list, else of $targetventis; then move the place in the wrcmd.

  -d, --dir DIR      where wrcmd and rootscor lie
  -s, --source HOST  the venti whose arenas are read, else $venti; synced first
  -n, --dry-run      say what would be sent, write nothing
  -j, --json         one JSON object a target, and one for the run
  -q, --quiet        no progress
  -v, --verbose      say more
  -h, --help         print this text
  -V, --version      print the version",
};

fn main() -> ExitCode {
    TOOL.run(run)
}

fn run(tool: &Tool, mut parser: lexopt::Parser) -> Result<Status> {
    let mut options = Options::default();
    let (mut quiet, mut verbose) = (false, false);
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Err(tool.help()),
            Short('V') | Long("version") => return Err(tool.version()),
            Short('n') | Long("dry-run") => options.dry_run = true,
            Short('j') | Long("json") => options.json = true,
            Short('q') | Long("quiet") => quiet = true,
            Short('v') | Long("verbose") => verbose = true,
            Short('d') | Long("dir") => options.dir = Some(parser.value()?.into()),
            Short('s') | Long("source") => options.source = Some(parser.value()?.string()?),
            Value(first) => {
                for word in exit::operands(&mut parser, first)? {
                    options.targets.push(word.string()?);
                }
            }
            _ => return Err(arg.unexpected().into()),
        }
    }
    let terminal = Terminal::new(tool.name, quiet, verbose);
    ventiprog::run(tool.name, &options, &Config::load()?, &terminal)
}
