//! Read or write the configuration that a fossil partition holds.

use std::process::ExitCode;

use eyre::Result;
use fossilcore::commands::conf::REGION;
use venticore::confedit;
use venticore::confedit::Options;
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::status::Status;
use venticore::tool::Tool;

const TOOL: Tool = Tool {
    name: "fossilconf",
    version: env!("CARGO_PKG_VERSION"),
    synopsis: "[-fnqw] [-d dir] partition [config]",
    help: "\
Print the configuration that a fossil partition holds: the text at 127 KiB
that `fossil -f partition` executes, without its first line.

  -w, --write    write the text of the file config, or of standard input
  -n, --dry-run  show as a diff what -w would change, and write nothing
  -f, --force    overwrite what is not a configuration; write an empty text
  -d, --dir DIR  keep the old text in DIR, not in the state directory
  -q, --quiet    say nothing but errors
  -h, --help     print this text
  -V, --version  print the version

There is room for 1010 bytes.",
};

fn main() -> ExitCode {
    TOOL.run(run)
}

fn run(tool: &Tool, parser: lexopt::Parser) -> Result<Status> {
    let options = Options::parse(tool, parser)?;
    let terminal = Terminal::new(tool.name, options.quiet, !options.quiet);
    confedit::run(&options, &REGION, &Config::load()?, &terminal)
}
