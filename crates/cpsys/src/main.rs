//! The command cpsys: makes one machine's fossil what another's last archive was.

use std::process::ExitCode;

use eyre::Result;
use fossilcore::commands::cpsys::{self, Options};
use lexopt::prelude::*;
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::status::Status;
use venticore::tool::{self, Tool};

const TOOL: Tool = Tool {
    name: "cpsys",
    version: env!("CARGO_PKG_VERSION"),
    synopsis: "[-nq] [-r remote] [-P partition] [-p partition] [-v venti] [--start] source dest",
    help: "\
Reset the fossil of the machine dest to the last archive of that of the
machine source. There, fossilize puts on record what dest has, fossilize on
source tells its last archive, and fosreset on dest formats to that.

  -r, --remote REMOTE   reach the machines so: ssh, rx, drawterm, a key of
                        [remotes] in the configuration, or a program that is
                        run as PROGRAM HOST COMMAND
  -P, --source-partition PARTITION
                        the partition on source; the default there unless given
  -p, --partition PARTITION
                        the partition on dest; that of source unless given
  -v, --venti VENTI     the venti that dest reads from; that of source unless
                        given
  -n, --dry-run         let dest prove and tell what it would do, and no more
      --start           start the fossil on dest afterwards, on that venti
  -q, --quiet           only errors
  -h, --help            print this text
  -V, --version         print the version

dest loses all that it has not archived.",
};

fn main() -> ExitCode {
    TOOL.run(run)
}

fn run(tool: &Tool, mut parser: lexopt::Parser) -> Result<Status> {
    let mut options = Options::default();
    let (mut quiet, mut operands) = (false, Vec::new());
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Err(tool.help()),
            Short('V') | Long("version") => return Err(tool.version()),
            Short('r') | Long("remote") => options.remote = Some(parser.value()?.string()?),
            Short('p') | Long("partition") => options.partition = Some(parser.value()?.string()?),
            Short('P') | Long("source-partition") => {
                options.source_partition = Some(parser.value()?.string()?);
            }
            Short('v') | Long("venti") => options.venti = Some(parser.value()?.string()?),
            Short('n') | Long("dry-run") => options.dry_run = true,
            Long("start") => options.start = true,
            Short('q') | Long("quiet") => quiet = true,
            Value(first) => operands = tool::operands(&mut parser, first)?,
            _ => return Err(arg.unexpected().into()),
        }
    }
    let mut hosts = operands.into_iter().map(|operand| operand.string());
    let (Some(source), Some(dest), None) = (hosts.next(), hosts.next(), hosts.next()) else {
        return Err(tool.usage("expected two machines, source and dest"));
    };
    options.source = source?;
    options.dest = dest?;
    let terminal = Terminal::new(tool.name, quiet, false);
    cpsys::run(&options, &Config::load()?, &terminal)
}
