//! Reset a fossil partition to an archive, or undo that.

use std::process::ExitCode;

use eyre::Result;
use fossilcore::archive::Depth;
use fossilcore::commands::fosreset::{self, Options};
use fossilcore::halt::Consoles;
use lexopt::prelude::*;
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::state::StateDir;
use venticore::status::Status;
use venticore::tool::Tool;

const TOOL: Tool = Tool {
    name: "fosreset",
    version: env!("CARGO_PKG_VERSION"),
    synopsis: "\
[-cfnyq] [-d dir] rootscore [partition] [ventiaddr]
[-nyq] -u undofile [partition]
[-d dir] -u",
    help: "\
Make a partition the fossil of an archive: prove that the venti has the
archive, end the fossils that hold the partition, keep what will be
overwritten in an undo file, and format. The partition is /dev/sdC0/fossil and
the venti $venti unless given. With - for the score, the line that fossilize
printed is read from standard input.

  -c, --check       read every block of the archive, history included
      --shallow     look at the root only
      --as-written  go on if the fossil itself wrote invalid contents
  -f, --force       overwrite what is not a fossil
  -n, --dry-run     prove everything; halt and write nothing
  -y, --yes         do not ask
  -q, --quiet       print only errors and what will be lost
  -d, --dir DIR     where rootscor and the undo files lie
  -u, --undo FILE   put back what an undo file has; as the last word, list them
  -h, --help        print this text
  -V, --version     print the version

A partition is a file or block device, PATH:LO-HI for some of its bytes, or
DISK:NAME for a partition of a Plan 9 disk.",
};

fn main() -> ExitCode {
    TOOL.run(run)
}

fn run(tool: &Tool, parser: lexopt::Parser) -> Result<Status> {
    let mut options = Options::default();
    let mut quiet = false;
    let (mut check, mut shallow) = (false, false);
    let mut operands = tool.operands(parser, |option, parser| {
        match option {
            Short('c') | Long("check") => check = true,
            Long("shallow") => shallow = true,
            Long("as-written") => options.as_written = true,
            Short('f') | Long("force") => options.force = true,
            Short('n') | Long("dry-run") => options.dry_run = true,
            Short('y') | Long("yes") => options.yes = true,
            Short('q') | Long("quiet") => quiet = true,
            Short('d') | Long("dir") => options.dir = Some(StateDir::given(parser.value()?)?),
            Short('u') | Long("undo") => match parser.value() {
                Ok(file) => options.undo = Some(file.into()),
                // As the last word it asks what there is.
                Err(lexopt::Error::MissingValue { .. }) => options.list = true,
                Err(error) => return Err(error.into()),
            },
            _ => tool.common(option)?,
        }
        Ok(())
    })?;
    options.depth = match (check, shallow) {
        (true, true) => return Err(tool.usage("expected one of -c and --shallow, found both")),
        (true, false) => Depth::Every,
        (false, true) => Depth::Shallow,
        (false, false) => Depth::Active,
    };
    if (options.undo.is_some() || options.list)
        && (check || shallow || options.as_written || options.force)
    {
        return Err(tool.usage("expected none of -c, --shallow, --as-written and -f with -u"));
    }
    if options.undo.is_none() && !options.list {
        options.score = operands.expect("a root score")?.string()?;
    }
    options.partition = operands.next();
    if options.undo.is_none() {
        options.venti = operands.text()?;
    }
    operands.end()?;
    let terminal = Terminal::new(tool.name, quiet, !quiet);
    let config = Config::load()?;
    let consoles = Consoles {
        config: &config,
        terminal: &terminal,
    };
    fosreset::run(tool.name, &options, &config, &terminal, &consoles)
}
