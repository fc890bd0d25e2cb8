//! Read or write the configuration that a venti partition holds.

use std::process::ExitCode;

use eyre::Result;
use venticore::commands::venticonf::REGION;
use venticore::confedit;
use venticore::confedit::Options;
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::status::Status;
use venticore::tool::Tool;

const TOOL: Tool = Tool {
    name: "venticonf",
    version: env!("CARGO_PKG_VERSION"),
    synopsis: "[-fnqw] [-d dir] partition [config]",
    help: "\
Print the configuration that a venti partition holds: the text at 248 KiB
that `venti -c partition` reads, without its first line.

  -w, --write    write the text of the file config, or of standard input
  -n, --dry-run  show as a diff what -w would change, and write nothing
  -f, --force    overwrite what is not a configuration; write an empty text
  -d, --dir DIR  keep the old text in DIR, not in the state directory
  -q, --quiet    say nothing but errors
  -h, --help     print this text
  -V, --version  print the version

There is room for 8179 bytes. A last line without a newline gets one.",
};

fn main() -> ExitCode {
    TOOL.run(run)
}

fn run(tool: &Tool, parser: lexopt::Parser) -> Result<Status> {
    let options = Options::parse(tool, parser)?;
    let terminal = Terminal::new(tool.name, options.quiet, !options.quiet);
    confedit::run(&options, &REGION, &Config::load()?, &terminal)
}
