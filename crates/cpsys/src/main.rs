//! The command cpsys: makes one machine's fossil what another's last archive was.

use std::process::ExitCode;

use eyre::Result;
use fossilcore::commands::cpsys::{self, Options};
use lexopt::prelude::*;
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::status::Status;
use venticore::tool::Tool;

const TOOL: Tool = Tool {
    name: "cpsys",
    version: env!("CARGO_PKG_VERSION"),
    synopsis: "[-nq] [-r remote] [-P partition] [-p partition] [-v venti] [--start] source dest",
    help: "\
Make the fossil of the machine dest a copy of the last archive of the machine
source: fossilize on dest records the last archive there, fossilize on source
prints the one to copy, and fosreset on dest formats the partition to it.

  -r, --remote REMOTE   how to reach the machines: ssh, rx, drawterm, a key of
                        [remotes] in the configuration, or a program that is
                        run as PROGRAM HOST COMMAND
  -P, --source-partition PARTITION
                        the partition on source, if not the default of fossilize
                        there
  -p, --partition PARTITION
                        the partition on dest, if not the same as on source
  -v, --venti VENTI     the venti that dest reads from, if not the same as for
                        source
  -n, --dry-run         only let dest prove the archive and print what it would
                        do
      --start           start the fossil on dest afterwards, with that venti
  -q, --quiet           only errors
  -h, --help            print this text
  -V, --version         print the version

dest loses all that it has not archived.",
};

fn main() -> ExitCode {
    TOOL.run(run)
}

fn run(tool: &Tool, parser: lexopt::Parser) -> Result<Status> {
    let mut options = Options::default();
    let mut quiet = false;
    let operands = tool.operands(parser, |option, parser| {
        match option {
            Short('r') | Long("remote") => options.remote = Some(parser.value()?.string()?),
            Short('p') | Long("partition") => options.partition = Some(parser.value()?.string()?),
            Short('P') | Long("source-partition") => {
                options.source_partition = Some(parser.value()?.string()?);
            }
            Short('v') | Long("venti") => options.venti = Some(parser.value()?.string()?),
            Short('n') | Long("dry-run") => options.dry_run = true,
            Long("start") => options.start = true,
            Short('q') | Long("quiet") => quiet = true,
            _ => tool.common(option)?,
        }
        Ok(())
    })?;
    let two = <[String; 2]>::try_from(operands.texts()?);
    [options.source, options.dest] =
        two.map_err(|_| tool.usage("expected two machines, source and dest"))?;
    let terminal = Terminal::new(tool.name, quiet, false);
    cpsys::run(&options, &Config::load()?, &terminal)
}
