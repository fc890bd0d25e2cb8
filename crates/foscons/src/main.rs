//! A fossil's console: one command and its answer, or interactive.

use std::process::ExitCode;

use eyre::Result;
use fossilcore::commands::foscons::{self, Options};
use lexopt::prelude::*;
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::status::Status;
use venticore::tool::{self, Tool};

const TOOL: Tool = Tool {
    name: "foscons",
    version: env!("CARGO_PKG_VERSION"),
    synopsis: "[-t seconds] [-c console] [command ...]",
    help: "\
Give a fossil's console a command and print its answer. Without a command, on
a terminal, pass on what is typed and what the console says. If standard input
is not a terminal, take a command from each line of it.

  -t, --timeout SECONDS  wait at most this time for an answer (120)
  -c, --console CONSOLE  the console, where there are several
  -h, --help             print this text
  -V, --version          print the version

A console is a unix socket, a terminal or any path that can be read and
written. Without -c it is the only one of /srv/fscons* and $NAMESPACE/fscons*;
if there are more, they are listed.",
};

fn main() -> ExitCode {
    TOOL.run(run)
}

fn run(tool: &Tool, parser: lexopt::Parser) -> Result<Status> {
    let mut options = Options::default();
    let words = tool.words(parser, |option, parser| {
        match option {
            Short('t') | Long("timeout") => {
                options.wait = Some(tool::seconds("-t", parser)?);
            }
            Short('c') | Long("console") => options.console = Some(parser.value()?.into()),
            _ => tool.common(option)?,
        }
        Ok(())
    })?;
    let words = words.into_iter().map(ValueExt::string);
    options.command = words.collect::<Result<_, _>>()?;
    let terminal = Terminal::new(tool.name, true, false);
    foscons::run(&options, &Config::load()?, &terminal)
}
