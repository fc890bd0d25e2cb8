//! Prove that roots are whole on ventis.

use std::process::ExitCode;

use eyre::Result;
use fossilcore::commands::rootcheck::{self, Options};
use lexopt::prelude::*;
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::state::StateDir;
use venticore::status::Status;
use venticore::tool::Tool;

const TOOL: Tool = Tool {
    name: "rootcheck",
    version: env!("CARGO_PKG_VERSION"),
    synopsis: "[-acjnqv] [-d dir] [-h host ...] [score ...]",
    help: "\
Prove that roots are whole on ventis: every block that a root leads to is read
back from the venti, and its hash is compared with the score that leads to it.
Without a score, the newest root of each partition in rootscor is checked. With
- for the score, scores are read from standard input. A line is printed for each
root and venti:

  vac:SCORE VENTI VERDICT BLOCKS BYTES

  -h, --host HOST          a venti, in place of the targets; may be repeated;
                           dir:PATH is a replica
  -d, --dir DIR            the state directory
  -a, --ask                ask whether the venti has the data, do not read it:
                           the verdict is present, and never whole
  -c, --check-history      also check the history of a fossil, below /archive
      --as-written         do not count contents that were already invalid when
                           they were written
  -n, --dry-run            print what would be checked
  -j, --json               print JSON, an object a line
  -q, --quiet              no progress, and nothing about roots without damage
  -v, --verbose            say more
  --help                   print this text
  -V, --version            print the version

Verdicts go to the file verified in the state directory.",
};

fn main() -> ExitCode {
    TOOL.run(run)
}

fn run(tool: &Tool, parser: lexopt::Parser) -> Result<Status> {
    let mut options = Options::default();
    let mut verbose = false;
    let operands = tool.operands(parser, |option, parser| {
        match option {
            Short('h') | Long("host") => options.hosts.push(parser.value()?.string()?),
            Short('d') | Long("dir") => options.dir = Some(StateDir::given(parser.value()?)?),
            Short('a') | Long("ask") => options.ask = true,
            Short('c') | Long("check-history") => options.history = true,
            Long("as-written") => options.as_written = true,
            Short('n') | Long("dry-run") => options.dry_run = true,
            Short('j') | Long("json") => options.json = true,
            Short('q') | Long("quiet") => options.quiet = true,
            Short('v') | Long("verbose") => verbose = true,
            _ => tool.common(option)?,
        }
        Ok(())
    })?;
    for score in operands {
        options.scores.push(score.string()?);
    }
    let terminal = Terminal::new(tool.name, options.quiet, verbose);
    rootcheck::run(tool.name, &options, &Config::load()?, &terminal)
}
