//! Bring ventis up to date with the arenas of another.

use std::process::ExitCode;

use eyre::{Result, WrapErr};
use lexopt::prelude::*;
use venticore::commands::ventiprog::{self, Options, Task};
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::state::StateDir;
use venticore::status::Status;
use venticore::tool::Tool;

const TOOL: Tool = Tool {
    name: "ventiprog",
    version: env!("CARGO_PKG_VERSION"),
    synopsis: "\
[-jnqv] [--check] [--verify] [--trust] [-b rate] [-d dir] [-e engine] [-i indexurl] [-p partition ...] [-s sourceventi] [--offline] [--9fat image] [ventilist ...]
--forget target [-qv] [-d dir] [--9fat image]",
    help: "\
Bring the host of the wrcmd and every venti of the list up to date with the
arenas of the source; then move the place in the wrcmd. Without a list, the
ventis in $targetventis are taken. Without a wrcmd, one is made. In place of a
venti, dir:PATH is a replica: the arenas as files in a directory.

  -b, --rate RATE        send each target at most RATE bytes a second, as 2M
  -d, --dir DIR          where wrcmd, wrcmds and rootscor lie
  -e, --engine ENGINE    what sends: native, or external, a wrarena program
  -i, --index URL        the source's index page, which names its partitions
  -p, --partition PART   an arena partition, besides the one in the wrcmd; may
                         be repeated
  -s, --source HOST      the source venti, which is synced first; otherwise
                         $venti, or the host of the index page
      --offline          no server writes the partitions: nothing is synced
  -n, --dry-run          say what would be sent, write nothing
      --check            say of each thing that a run needs whether it is there,
                         and what the run would send; write nothing
  -j, --json             one JSON object a target, and one for the run
  -q, --quiet            no output at all when everything succeeds
  -v, --verbose          say more
      --verify           read back everything that earlier runs recorded
      --trust            trust a wrcmd that no line in wrcmds confirms
      --9fat IMAGE       take wrcmd from a 9fat that is not mounted, and copy
                         wrcmd and rootscor back to it
      --forget TARGET    retire a target: remove its lines from wrcmds, and
                         move the wrcmd to another if it is its host
  -h, --help             print this text
  -V, --version          print the version",
};

/// What is said of the options with which it once listed the targets.
const MOVED: &str = "-l and --older are now a command of their own: ventilag shows how far \
                     behind each target is, and --warn is what --older was";

fn main() -> ExitCode {
    TOOL.run(run)
}

fn run(tool: &Tool, parser: lexopt::Parser) -> Result<Status> {
    let mut options = Options::default();
    let (mut quiet, mut verbose, mut forget) = (false, false, None);
    let operands = tool.operands(parser, |option, parser| {
        match option {
            Short('b') | Long("rate") => {
                options.rate = Some(ventiprog::rate(&parser.value()?.string()?).wrap_err("-b")?);
            }
            Short('d') | Long("dir") => options.dir = Some(StateDir::given(parser.value()?)?),
            Short('e') | Long("engine") => options.engine = Some(parser.value()?.string()?),
            Short('i') | Long("index") => options.scope.index = Some(parser.value()?.string()?),
            Short('p') | Long("partition") => {
                options.scope.partitions.push(parser.value()?.string()?);
            }
            Short('s') | Long("source") => options.source = Some(parser.value()?.string()?),
            Long("offline") => options.scope.offline = true,
            Short('n') | Long("dry-run") => options.dry_run = true,
            Long("check") => (options.check, options.dry_run) = (true, true),
            Short('j') | Long("json") => options.json = true,
            Short('q') | Long("quiet") => quiet = true,
            Short('v') | Long("verbose") => verbose = true,
            Short('l') | Long("list" | "older") => return Err(tool.usage(MOVED)),
            Long("9fat") => options.nine_fat = Some(parser.value()?),
            Long("verify") => options.verify = true,
            Long("trust") => options.trust = true,
            Long("forget") => forget = Some(parser.value()?.string()?),
            _ => tool.common(option)?,
        }
        Ok(())
    })?;
    options.scope.targets = operands.texts()?;
    options.task = Task::of(forget, &options).map_err(|cause| tool.usage(&cause))?;
    let terminal = Terminal::new(tool.name, quiet, verbose);
    let config = Config::load();
    if options.check {
        return ventiprog::check_all(tool.name, &options, config, &terminal);
    }
    ventiprog::run(tool.name, &options, &config?, &terminal)
}
