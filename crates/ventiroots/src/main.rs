//! List the roots of archives that arenas hold.

use std::process::ExitCode;

use eyre::Result;
use lexopt::prelude::*;
use venticore::commands::ventiroots::{self, Options};
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::status::Status;
use venticore::tool::Tool;

const TOOL: Tool = Tool {
    name: "ventiroots",
    version: env!("CARGO_PKG_VERSION"),
    synopsis: "[-ajqv] [-h host] [--every-clump] partition ...",
    help: "\
List the roots of archives that arena partitions hold, oldest first: a line
`vac:SCORE TIME KIND NAME` for each. A root that a later one names as the one
before it is left out.

  -a, --all          list these roots too
  -h, --host HOST    ask this venti for each root: readable, missing or damaged
      --every-clump  read every clump, whatever the directories say
  -j, --json         one JSON object a root
  -q, --quiet        do not say how many are left out
  -v, --verbose      accepted, but has no effect
  --help             print this text
  -V, --version      print the version

A partition may be a file of one arena, or a replica, dir:PATH. KIND is fossil,
vac, ext2, ffs ...; TIME is when the venti stored the root.",
};

fn main() -> ExitCode {
    TOOL.run(run)
}

fn run(tool: &Tool, parser: lexopt::Parser) -> Result<Status> {
    let mut options = Options::default();
    let (mut quiet, mut verbose) = (false, false);
    let mut operands = tool.operands(parser, |option, parser| {
        match option {
            Short('a') | Long("all") => options.all = true,
            Short('j') | Long("json") => options.json = true,
            Short('h') | Long("host") => options.host = Some(parser.value()?.string()?),
            Long("every-clump") => options.every_clump = true,
            Short('q') | Long("quiet") => quiet = true,
            Short('v') | Long("verbose") => verbose = true,
            _ => tool.common(option)?,
        }
        Ok(())
    })?;
    options.partitions = vec![operands.expect("a partition")?];
    options.partitions.extend(operands);
    let terminal = Terminal::new(tool.name, quiet, verbose);
    ventiroots::run(&options, &Config::load()?, &terminal)
}
