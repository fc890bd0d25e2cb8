//! List an archive of vac or a fossil, or copy files out of it.

use std::process::ExitCode;

use eyre::Result;
use fossilcore::commands::rootget::{self, Options};
use lexopt::prelude::*;
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::status::Status;
use venticore::tool::Tool;

const TOOL: Tool = Tool {
    name: "rootget",
    version: env!("CARGO_PKG_VERSION"),
    synopsis: "[-cjnqv] [-h host] [-o dir] score [path ...]",
    help: "\
Copy files out of an archive that vac or a fossil made: all of it, or what the
paths name, into the directory of -o. A file gets its name only when it is
complete, and no file is overwritten.

  -h, --host HOST    the venti, $venti unless given; or part:PATH, a partition
                     with its arenas; or dir:PATH, a replica
  -o, --output DIR   the directory to copy into; the current one unless given;
                     with -, one file is written to standard output
  -n, --list         list, and write nothing
  -c, --check        with -n, also read every block; without -n, read every file
                     back from the disk and compare it with the archive
  -j, --json         print JSON, an object a line
  -q, --quiet        print nothing if the run succeeds
  -v, --verbose      name each file when it is copied
  --help             print this text
  -V, --version      print the version

The score is vac:SCORE, SCORE, a file with such a line, or - for such a line on
standard input.",
};

fn main() -> ExitCode {
    TOOL.run(run)
}

fn run(tool: &Tool, parser: lexopt::Parser) -> Result<Status> {
    let mut options = Options::default();
    let mut verbose = false;
    let mut operands = tool.operands(parser, |option, parser| {
        match option {
            Short('h') | Long("host") => options.host = Some(parser.value()?.string()?),
            Short('o') | Long("output") => options.output = Some(parser.value()?),
            Short('n') | Long("list") => options.list = true,
            Short('c') | Long("check") => options.check = true,
            Short('j') | Long("json") => options.json = true,
            Short('q') | Long("quiet") => options.quiet = true,
            Short('v') | Long("verbose") => verbose = true,
            _ => tool.common(option)?,
        }
        Ok(())
    })?;
    options.score = operands.expect("a score")?;
    options.paths = operands.collect();
    let terminal = Terminal::new(tool.name, options.quiet, verbose);
    rootget::run(&options, &Config::load()?, &terminal)
}
