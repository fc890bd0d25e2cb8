//! Start a fossil with the standard setup.

use std::process::ExitCode;

use eyre::Result;
use fossilcore::commands::fossilstart::{self, Options};
use lexopt::prelude::*;
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::state::StateDir;
use venticore::status::Status;
use venticore::tool::Tool;

const TOOL: Tool = Tool {
    name: "fossilstart",
    version: env!("CARGO_PKG_VERSION"),
    synopsis: "[-F] [-d dir] [-v venti] [partition] [srvname]",
    help: "\
Start a fossil on a partition (/dev/sdC0/fossil), with its console on the unix
socket $NAMESPACE/fscons, and serve it as $NAMESPACE/fossil; with a name, as
$NAMESPACE/SRVNAME with the console fscons.SRVNAME. Return when it serves, and
print both paths.

  -F, --foreground   stay until the fossil ends
  -d, --dir DIR      where the log lies
  -v, --venti VENTI  the venti it archives to
  -h, --help         print this text
  -V, --version      print the version

Without -v the venti is the one in the configuration, otherwise $venti.",
};

fn main() -> ExitCode {
    // The broker and the fossil to be are this program too.
    match fossilstart::behind(std::env::args_os().skip(1)) {
        Some(done) => TOOL.run(|_, _| done),
        None => TOOL.run(run),
    }
}

fn run(tool: &Tool, parser: lexopt::Parser) -> Result<Status> {
    let mut options = Options::default();
    let mut operands = tool.operands(parser, |option, parser| {
        match option {
            Short('F') | Long("foreground") => options.foreground = true,
            Short('d') | Long("dir") => options.dir = Some(StateDir::given(parser.value()?)?),
            Short('v') | Long("venti") => options.venti = Some(parser.value()?.string()?),
            _ => tool.common(option)?,
        }
        Ok(())
    })?;
    options.partition = operands.next();
    options.name = operands.text()?;
    operands.end()?;
    let terminal = Terminal::new(tool.name, false, false);
    fossilstart::run(&options, &Config::load()?, &terminal)
}
