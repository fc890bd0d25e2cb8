//! What a run prints: the commands, or JSON; and with `-v` what each target got.

use std::io::Write;

use eyre::{Result, WrapErr};
use serde::Serialize;

use super::run::Run;
use super::target::Target;
use crate::exit::{Output, Status};
use crate::wrcmd::WrCmd;

/// The version of the JSON lines.
pub(super) const SCHEMA: u32 = 1;

/// Prints the end of a run; the commands only where the place may have moved.
pub(super) fn tell(run: &Run<'_>, new: &WrCmd, complete: bool, status: Status) -> Result<()> {
    for target in &run.targets {
        if run.options.dry_run {
            run.terminal.say(&would_send(target));
        } else {
            run.terminal.detail(|| was_sent(target));
        }
    }
    let mut output = run.terminal.output();
    if run.options.json {
        json(&mut output, run, new, complete, status)?;
    } else if complete {
        if let Some(old) = &run.record.wrcmd {
            writeln!(output, "{}", old.line()).wrap_err("standard output")?;
        }
        writeln!(output, "{}", new.line()).wrap_err("standard output")?;
    }
    output.flush().wrap_err("standard output")
}

fn would_send(target: &Target) -> String {
    format!(
        "{}: would send {} clumps, {} bytes, save what it has already",
        target.dial, target.tally.sent, target.tally.bytes
    )
}

fn was_sent(target: &Target) -> String {
    format!(
        "{}: {} blocks sent, {} bytes, {} there already, {} damaged in the source, {} read back",
        target.dial,
        target.tally.sent,
        target.tally.bytes,
        target.tally.present,
        target.damaged,
        target.read_back.right
    )
}

fn json(
    output: &mut Output,
    run: &Run<'_>,
    new: &WrCmd,
    complete: bool,
    status: Status,
) -> Result<()> {
    for target in &run.targets {
        json_line(output, &TargetLine::of(target, run))?;
    }
    json_line(
        output,
        &RunLine {
            schema: SCHEMA,
            old: run.record.wrcmd.as_ref().map(WrCmd::line),
            new: complete.then(|| new.line()),
            dry_run: run.options.dry_run,
            decoded: run.decoded,
            seconds: run.start.elapsed().as_secs_f64(),
            status: status.code(),
        },
    )
}

#[derive(Serialize)]
struct TargetLine<'a> {
    schema: u32,
    target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    sent: u64,
    bytes: u64,
    present: u64,
    damaged: u64,
    read_back: u64,
    missing: u64,
    unreadable: u64,
    seconds: f64,
    status: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl<'a> TargetLine<'a> {
    fn of(target: &'a Target, run: &Run<'_>) -> Self {
        let reached = target.reached.last().copied();
        let part = target.reached.len().checked_sub(1);
        let part = part.and_then(|number| run.parts.get(number));
        let to = part.zip(reached).and_then(|(part, at)| part.shown(at));
        TargetLine {
            schema: SCHEMA,
            target: target.dial.to_string(),
            from: target.from.as_deref(),
            to,
            sent: target.tally.sent,
            bytes: target.tally.bytes,
            present: target.tally.present,
            damaged: target.damaged,
            read_back: target.read_back.right,
            missing: target.read_back.missing,
            unreadable: target.read_back.damaged,
            seconds: target.seconds,
            status: target.status.code(),
            error: target.failure.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct RunLine {
    schema: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<String>,
    /// Where it did not move, and would not have, there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<String>,
    dry_run: bool,
    /// Clumps that were decompressed and hashed, for all targets together.
    decoded: u64,
    seconds: f64,
    status: u8,
}

/// One object, one line.
pub(super) fn json_line(output: &mut Output, line: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(line)?;
    writeln!(output, "{text}").wrap_err("standard output")
}
