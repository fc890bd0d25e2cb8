//! Format a fossil partition to an archive that is proved to be there.

use std::process::ExitCode;

use eyre::Result;
use fossilcore::archive::Depth;
use fossilcore::commands::flfmt::{self, Options};
use lexopt::prelude::*;
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::status::Status;
use venticore::tool::Tool;

const TOOL: Tool = Tool {
    name: "flfmt",
    version: env!("CARGO_PKG_VERSION"),
    synopsis: "[-cfny] [-b blocksize] [-h host] [-l label] -v score file",
    help: "\
Format a partition to the root of a fossil's archive. Before anything is
written, the venti is proved to have the archive. What is overwritten is kept
in an undo file, and the command that puts it back is printed.

  -v, --venti-root SCORE   the root: vac:SCORE or SCORE
  -h, --host HOST          the venti; $venti unless given
  -b, --block-size SIZE    the block size, with k; the archive's own unless given
  -l, --label LABEL        the name of the file system; vfs unless given
  -c, --check              read every block of the archive
      --as-written         go on if the fossil itself wrote invalid contents
  -f, --force              overwrite what is not a fossil
  -y, --yes                do not ask
  -n, --dry-run            prove everything, write nothing
  --help                   print this text
  -V, --version            print the version

Without -v the C tool makes an empty file system; this one does not.",
};

fn main() -> ExitCode {
    TOOL.run(run)
}

fn run(tool: &Tool, parser: lexopt::Parser) -> Result<Status> {
    let mut options = Options::default();
    let mut score = None;
    let mut operands = tool.operands(parser, |option, parser| {
        match option {
            Short('v') | Long("venti-root") => score = Some(parser.value()?.string()?),
            Short('h') | Long("host") => options.host = Some(parser.value()?.string()?),
            Short('b') | Long("block-size") => {
                let size = flfmt::block_size(&parser.value()?.string()?)?;
                options.block_size = Some(size);
            }
            Short('l') | Long("label") => options.label = Some(parser.value()?),
            Short('c') | Long("check") => options.depth = Depth::Every,
            Long("as-written") => options.as_written = true,
            Short('f') | Long("force") => options.force = true,
            Short('y') | Long("yes") => options.yes = true,
            Short('n') | Long("dry-run") => options.dry_run = true,
            _ => tool.common(option)?,
        }
        Ok(())
    })?;
    options.partition = operands.expect("a partition")?;
    operands.end()?;
    let missing = "expected -v score: an empty file system is made by the flfmt of Plan 9";
    options.score = score.ok_or_else(|| tool.usage(missing))?;
    let terminal = Terminal::new(tool.name, false, true);
    flfmt::run(tool.name, &options, &Config::load()?, &terminal)
}
