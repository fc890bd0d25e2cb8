//! Bring ventis up to date with the arenas of another.

use std::process::ExitCode;

use eyre::{Result, WrapErr};
use lexopt::prelude::*;
use venticore::commands::ventiprog::{self, Options, Task};
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::state::StateDir;
use venticore::status::Status;
use venticore::tool::{self, Tool};

const TOOL: Tool = Tool {
    name: "ventiprog",
    version: env!("CARGO_PKG_VERSION"),
    synopsis: "\
[-jnqv] [--verify] [--trust] [-b rate] [-d dir] [-e engine] [-i indexurl] [-p partition ...] [-s sourceventi] [--offline] [--9fat image] [ventilist ...]
-l [-jv] [-d dir] [-i indexurl] [-p partition ...] [--offline] [--9fat image] [--older hours] [ventilist ...]
--forget target [-qv] [-d dir] [--9fat image]",
    help: "\
Bring the host of the wrcmd and every venti of the list, else of
$targetventis, up to date with the arenas of the source; then move the place
in the wrcmd. Without a wrcmd, one is built from the index page.

  -b, --rate RATE        bytes a second that each target is sent at most: 2M
  -d, --dir DIR          where wrcmd, wrcmds and rootscor lie
  -e, --engine ENGINE    who sends: native, or external, a wrarena program
  -i, --index URL        the source's index page, which names its partitions
  -p, --partition PART   an arena partition, besides that of the wrcmd; may be
                         repeated; with -l, list only these
  -s, --source HOST      the source venti, else $venti, else the host of the
                         index page; synced first
      --offline          no server writes the partitions: nothing is synced
  -n, --dry-run          say what would be sent, write nothing
  -j, --json             one JSON object a target, and one for the run
  -q, --quiet            no output at all when everything succeeds
  -v, --verbose          say more
  -l, --list             show the place of every target, and how far behind
      --older HOURS      with -l: status 3 if one has been behind that long (2d
                         is two days), or has damage on record
      --verify           read back everything that earlier runs recorded
      --trust            believe a wrcmd that no line in wrcmds confirms
      --9fat IMAGE       take wrcmd from a 9fat that nobody mounts, and bring
                         wrcmd and rootscor back to it
      --forget TARGET    retire a target: remove its lines from wrcmds, and
                         move the wrcmd to another if it is its host
  -h, --help             print this text
  -V, --version          print the version",
};

fn main() -> ExitCode {
    TOOL.run(run)
}

fn run(tool: &Tool, mut parser: lexopt::Parser) -> Result<Status> {
    let mut options = Options::default();
    let (mut quiet, mut verbose, mut older) = (false, false, None);
    let (mut list, mut forget) = (false, None);
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Err(tool.help()),
            Short('V') | Long("version") => return Err(tool.version()),
            Short('b') | Long("rate") => {
                options.rate = Some(ventiprog::rate(&parser.value()?.string()?).wrap_err("-b")?);
            }
            Short('d') | Long("dir") => options.dir = Some(StateDir::given(parser.value()?)?),
            Short('e') | Long("engine") => options.engine = Some(parser.value()?.string()?),
            Short('i') | Long("index") => options.index = Some(parser.value()?.string()?),
            Short('p') | Long("partition") => {
                options.partitions.push(parser.value()?.string()?);
            }
            Short('s') | Long("source") => options.source = Some(parser.value()?.string()?),
            Long("offline") => options.offline = true,
            Short('n') | Long("dry-run") => options.dry_run = true,
            Short('j') | Long("json") => options.json = true,
            Short('q') | Long("quiet") => quiet = true,
            Short('v') | Long("verbose") => verbose = true,
            Short('l') | Long("list") => list = true,
            Long("older") => {
                let hours = ventiprog::hours(&parser.value()?.string()?);
                older = Some(hours.wrap_err("--older")?);
            }
            Long("9fat") => options.nine_fat = Some(parser.value()?),
            Long("verify") => options.verify = true,
            Long("trust") => options.trust = true,
            Long("forget") => forget = Some(parser.value()?.string()?),
            Value(first) => {
                for word in tool::operands(&mut parser, first)? {
                    options.targets.push(word.string()?);
                }
            }
            _ => return Err(arg.unexpected().into()),
        }
    }
    if let Some(cause) = meaningless(&options, list, forget.is_some(), quiet) {
        return Err(tool.usage(&cause));
    }
    options.task = match (list, older, forget) {
        (true, older, None) => Task::List { older },
        (false, None, None) => Task::Replicate,
        (false, None, Some(target)) if !options.dry_run && options.targets.is_empty() => {
            Task::Forget(target)
        }
        (false, Some(_), None) => return Err(tool.usage("--older goes with -l")),
        (_, _, Some(_)) => {
            return Err(tool.usage("--forget takes one target, and not -l, -n or a ventilist"));
        }
    };
    let terminal = Terminal::new(tool.name, quiet, verbose);
    ventiprog::run(tool.name, &options, &Config::load()?, &terminal)
}

/// Why an option means nothing for what is to be done. None is ignored silently.
fn meaningless(options: &Options, list: bool, forget: bool, quiet: bool) -> Option<String> {
    let acts = [
        (options.rate.is_some(), "-b"),
        (options.engine.is_some(), "-e"),
        (options.source.is_some(), "-s"),
        (options.trust, "--trust"),
        (options.verify, "--verify"),
    ];
    let reads = [
        (options.json, "-j"),
        (options.index.is_some(), "-i"),
        (!options.partitions.is_empty(), "-p"),
        (options.offline, "--offline"),
    ];
    let (why, refused) = match (forget, list) {
        // What it does not go with at all is said elsewhere.
        (true, true) => return None,
        (true, false) => (
            "--forget only removes the lines of a target",
            [&acts[..], &reads].concat(),
        ),
        (false, true) => {
            let silent = [(options.dry_run, "-n"), (quiet, "-q")];
            let why = "-l only shows what is on record";
            (why, [&acts[..], &silent].concat())
        }
        (false, false) => {
            let verify = (options.dry_run && options.verify, "--verify");
            ("-n asks no target", vec![verify])
        }
    };
    let (_, option) = refused.into_iter().find(|(is_given, _)| *is_given)?;
    Some(format!("{why}: {option} goes without it"))
}
