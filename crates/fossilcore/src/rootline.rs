//! The line of fossilize, `vac:SCORE PARTITION VENTI`, and its entry in `rootscor`.

use std::path::Path;
use std::time::SystemTime;

use eyre::{Result, WrapErr};

use venticore::codec::operand::Operand;
use venticore::config::Config;
use venticore::host::terminal::Terminal;
use venticore::ninefat::Home;
use venticore::state::{Access, Stamp, StateDir};
use venticore::status::{Failure, Status};
use venticore::text::one_line;

/// `vac:SCORE PARTITION VENTI`; without the last where it is not known.
pub(crate) fn line(score: &str, partition: &str, venti: Option<&str>) -> String {
    match venti {
        Some(venti) => format!("{score} {partition} {venti}"),
        None => format!("{score} {partition}"),
    }
}

/// A partition as one word of the line: absolute, since the record is read from
/// other directories too.
pub(crate) fn word(operand: &Operand) -> Result<String> {
    let path = std::path::absolute(operand.as_os_str()).wrap_err_with(|| operand.to_string())?;
    let plain = |text: &&str| !text.contains(|c: char| c.is_whitespace() || c.is_control());
    let word = path.to_str().filter(plain).map(str::to_owned);
    word.ok_or_else(|| {
        let cause = "expected a partition's name without blanks, since the record is read as words";
        let path = path.display();
        Failure::report(
            Status::Usage,
            format!("{path}: {cause}: give it another by a link"),
        )
    })
}

/// Appends these lines to the log. A 9fat that nobody mounts gets them with the next
/// run of fossilize or ventiprog.
pub(crate) fn record(
    tool: &str,
    dir: Option<&Path>,
    config: &Config,
    lines: &[String],
    terminal: &Terminal,
) -> Result<()> {
    let home = Home::open(config, dir, terminal)?;
    let recorded = append(tool, home.state(), lines, terminal);
    home.close(recorded.map(|()| Status::Done), terminal)?;
    Ok(())
}

/// Appends these lines to the log of a state directory that is open.
pub(crate) fn append(
    tool: &str,
    state: &StateDir,
    lines: &[String],
    terminal: &Terminal,
) -> Result<()> {
    let uname = rustix::system::uname();
    let host = one_line(&uname.nodename().to_string_lossy());
    let stamp = Stamp {
        time: SystemTime::now(),
        host: &host,
        tool,
    };
    let access = state.append_rootscor(&stamp, lines, StateDir::ROOTSCOR_WAIT)?;
    if access != Access::Private {
        let path = state.path_of(StateDir::ROOTSCOR);
        terminal.say(&format!("{}: {access}", path.display()));
    }
    Ok(())
}
