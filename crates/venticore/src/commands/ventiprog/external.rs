//! The external engine: a wrarena program does the sending, arena by arena,
//! for each target by itself.

use std::sync::mpsc::{self, Sender};
use std::thread;

use eyre::Result;

use super::check::{self, CheckPolicy, CheckResult, Verdict};
use super::run::Run;
use crate::survey::part::{self, Part};
use crate::survey::record::StateFiles;

use super::target::Target;
use crate::codec::dial::Dial;
use crate::codec::target::TargetName;
use crate::copy::cursor::{Cursor, Start};
use crate::copy::external::{self, ArenaRest, Program};
use crate::copy::replicate::ReachedPlace;
use crate::host::terminal::Terminal;
use crate::net::client::{self, Client, Dialer};
use crate::source::Arena;
use crate::status::Status;

/// What has happened to a target.
enum TargetStep {
    /// What is on record in a partition was checked; the answer is where the
    /// program starts.
    Checked(Option<Box<CheckResult>>, Sender<Cursor>),
    /// It came to this place.
    Reached(ReachedPlace),
    /// It could not be checked, or the program failed; what was done before
    /// stands.
    Failed(Why),
}

/// Why a target did not get everything.
struct Why(Status, String);

/// Runs the program for every target, from where each one starts in each
/// partition.
pub(super) fn copy(run: &mut Run<'_>, starts: &[Start], program: &Program) {
    let uncounted = part::say_uncounted(&run.parts, run.terminal);
    run.status = run.status.worst(uncounted);
    refuse_others(&mut run.targets, &run.config.dialer, run.terminal);
    let wrcmds = run.record.wrcmds.clone();
    let server = Server {
        program,
        parts: &run.parts,
        how: CheckPolicy {
            wrcmds: &wrcmds,
            all: run.options.verify,
            trust: run.options.trust,
            dialer: &run.config.dialer,
        },
    };
    let (steps, inbox) = mpsc::channel();
    thread::scope(|scope| {
        for (seat, target) in run.targets.iter().enumerate() {
            if target.failure.is_some() {
                continue;
            }
            let (steps, server) = (steps.clone(), &server);
            let Some(dial) = target.name.dial().cloned() else {
                continue;
            };
            let name = target.name.clone();
            scope.spawn(move || {
                let own = starts.iter().filter(|start| start.target == name);
                let mut at = 0;
                let served = client::ClientError::of_panic(|| {
                    server.serve(own, &dial, &mut |part, step| {
                        at = part;
                        // Nobody listens any more when the run was given up.
                        let _ = steps.send((seat, part, step));
                    });
                    Ok(())
                });
                if let Err(error) = served {
                    let why = Why(error.status(), error.to_string());
                    let _ = steps.send((seat, at, TargetStep::Failed(why)));
                }
            });
        }
        drop(steps);
        for (seat, number, step) in inbox {
            let (Some(target), Some(part)) = (run.targets.get_mut(seat), run.parts.get(number))
            else {
                continue;
            };
            let mut own = starts.iter().filter(|start| start.target == target.name);
            let start = own.find(|start| start.partition == number);
            let start = start.map_or(Cursor::START, |start| start.at);
            enter(step, target, part, start, &mut run.record, run.terminal);
        }
    });
}

/// An external wrarena sends blocks, and a replica takes clumps as they stand in the log.
/// It dials by itself, and knows nothing of commands.
fn refuse_others(targets: &mut [Target], dialer: &Dialer, terminal: &Terminal) {
    for target in targets {
        let why = match target.name.dial() {
            None => "only the native engine writes replicas (-e native)",
            Some(dial) if dialer.via(dial).is_some() => {
                "only the native engine reaches a venti through a command, as [via] has it (-e native)"
            }
            Some(_) => continue,
        };
        terminal.say(&format!("{}: {why}", target.name));
        target.fail(Status::Failed, why.to_owned());
    }
}

/// Says and writes down what has happened to a target.
fn enter(
    step: TargetStep,
    target: &mut Target,
    part: &Part,
    start: Cursor,
    record: &mut StateFiles,
    terminal: &Terminal,
) {
    match step {
        TargetStep::Checked(checked, answer) => {
            let verdict = checked.map_or(Verdict::AsRecorded, |checked| {
                check::take_in(*checked, target, part, record, terminal)
            });
            let from = match verdict {
                Verdict::AsRecorded => start,
                Verdict::Anew(_) => Cursor::START,
            };
            target.reached.push(from);
            let _ = answer.send(from);
        }
        TargetStep::Reached(place) => {
            record.acknowledged(&target.name, part, place, &[], &[]);
            if let Some(reached) = target.reached.last_mut() {
                *reached = place.at;
            }
        }
        TargetStep::Failed(Why(status, why)) => {
            terminal.say(&format!("{}: {why}", target.name));
            target.fail(status, why);
        }
    }
}

/// What every target's thread needs.
struct Server<'a> {
    program: &'a Program,
    parts: &'a [Part],
    how: CheckPolicy<'a>,
}

impl Server<'_> {
    /// Sends what is new in every partition to one target.
    fn serve<'s>(
        &self,
        starts: impl Iterator<Item = &'s Start>,
        target: &Dial,
        tell: &mut dyn FnMut(usize, TargetStep),
    ) {
        for start in starts {
            let number = start.partition;
            let Some(part) = self.parts.get(number) else {
                continue;
            };
            if let Err(why) = self.serve_part(target, part, &mut |step| tell(number, step)) {
                return tell(number, TargetStep::Failed(why));
            }
        }
    }

    fn serve_part(
        &self,
        target: &Dial,
        part: &Part,
        tell: &mut dyn FnMut(TargetStep),
    ) -> Result<(), Why> {
        let checked = self.check(target, part);
        let checked = checked.map_err(|e| Why(e.status(), e.to_string()))?;
        let (answer, from) = mpsc::channel();
        tell(TargetStep::Checked(checked.map(Box::new), answer));
        match from.recv() {
            Ok(from) => self.send_part(target, part, from, tell),
            // The run was given up.
            Err(_) => Ok(()),
        }
    }

    /// Connects to a target of which something is on record, and looks at it.
    fn check(
        &self,
        target: &Dial,
        part: &Part,
    ) -> Result<Option<CheckResult>, client::ClientError> {
        let name = TargetName::from(target.clone());
        if self.how.wrcmds.get(&name, &part.name).is_none() {
            return Ok(None);
        }
        let mut client = Client::dial(target, self.how.dialer)?;
        check::check_venti(&mut client, target, part, self.how, &|_, _| ())
    }

    /// Sends every arena from a place on.
    fn send_part(
        &self,
        target: &Dial,
        part: &Part,
        from: Cursor,
        tell: &mut dyn FnMut(TargetStep),
    ) -> Result<(), Why> {
        for (number, arena) in part.arenas.iter().enumerate().skip(from.arena) {
            let offset = match number == from.arena {
                true => from.offset,
                false => 0,
            };
            if let Some((offset, last)) = send(self.program, target, part, arena, offset)? {
                let at = Cursor {
                    arena: number,
                    offset,
                };
                let last = Some(last);
                tell(TargetStep::Reached(ReachedPlace { at, last }));
            }
            if !part.synced && !arena.sealed {
                break;
            }
        }
        Ok(())
    }
}

/// Sends one arena from an offset on. Returns the place it came to, and the
/// score of the clump before it; nothing if there was nothing to send.
fn send(
    program: &Program,
    target: &Dial,
    part: &Part,
    arena: &Arena,
    from: u64,
) -> Result<Option<(u64, crate::codec::score::Score)>, Why> {
    if from >= arena.live.used {
        return Ok(None);
    }
    let stretch = ArenaRest::of(arena, from);
    let limits = &external::LIMITS;
    let opened = part.opened.as_ref().ok_or_else(|| {
        let why = "only the native engine reads replicas (-e native)";
        Why(Status::Failed, why.to_owned())
    })?;
    let end = external::run(program, target, opened, &stretch, limits);
    let end = end.map_err(|e| Why(e.status(), e.to_string()))?;
    if end == from {
        return Ok(None);
    }
    let last = part.before(arena, end).ok_or_else(|| {
        let why = format!(
            "arena {}: no clump ends at the end offset {end:#x}",
            arena.name
        );
        Why(Status::Failed, why)
    })?;
    Ok(Some((end, last.score)))
}
