//! The external engine: a wrarena program does the sending, arena by arena,
//! for each target by itself.

use std::sync::mpsc;
use std::thread;

use eyre::Result;

use super::source::Part;
use super::{Run, Target};
use crate::arena::Arena;
use crate::config::Config;
use crate::dial::Dial;
use crate::exit::{Failure, Status, external_status};
use crate::external::{self, Program, Stretch};
use crate::places::{Point, Start};
use crate::replicate::{At, Place};

/// Who does the sending.
pub(super) enum Engine {
    /// We do.
    Native,
    /// This program does.
    External(Program),
}

impl Engine {
    /// The engine asked for, else the configured one.
    ///
    /// # Errors
    /// There is no such engine, or the configured program has no name.
    pub(super) fn choose(asked: Option<&str>, config: &Config) -> Result<Self> {
        match asked.or(config.engine.as_deref()) {
            None | Some("native") => Ok(Self::Native),
            Some("external") => Ok(Self::External(match &config.wrarena {
                Some(argv) => Program::new(argv)?,
                None => Program::default(),
            })),
            Some(other) => Err(Failure::report(
                Status::Usage,
                format!("expected the engine native or external, found {other:?}"),
            )),
        }
    }
}

/// What the program has done for a target.
enum Step {
    /// It came to this place.
    Reached(Place),
    /// It failed, and what it had done before stands.
    Failed(external::Error),
    /// The place it gave is none.
    NoPlace(String),
}

/// Runs the program for every target that is still in the run.
pub(super) fn copy(run: &mut Run<'_>, number: usize, starts: &[Start], program: &Program) {
    let Some(part) = run.parts.get(number) else {
        return;
    };
    let synced = run.synced;
    let (steps, inbox) = mpsc::channel();
    thread::scope(|scope| {
        for (seat, target) in run.targets.iter_mut().enumerate() {
            let start = starts.iter().find(|start| start.target == target.dial);
            let Some(start) = start.filter(|_| target.failure.is_none()) else {
                continue;
            };
            target.reached.push(start.at);
            let (steps, dial, at) = (steps.clone(), target.dial.clone(), start.at);
            scope.spawn(move || {
                serve(program, &dial, part, at, synced, &mut |step| {
                    // Nobody listens any more when the run was given up.
                    let _ = steps.send((seat, step));
                });
            });
        }
        drop(steps);
        for (seat, step) in inbox {
            let Some(target) = run.targets.get_mut(seat) else {
                continue;
            };
            match step {
                Step::Reached(place) => {
                    run.record.acknowledged(&target.dial, part, place, &[]);
                    if let Some(reached) = target.reached.last_mut() {
                        *reached = Point::new(place.at.arena, place.at.offset);
                    }
                }
                Step::Failed(error) => failed(target, external_status(&error), &error.to_string()),
                Step::NoPlace(why) => failed(target, Status::Failed, &why),
            }
            if let Some(why) = &target.failure {
                run.terminal.say(&format!("{}: {why}", target.dial));
            }
        }
    });
}

fn failed(target: &mut Target, status: Status, why: &str) {
    target.fail(status, why.to_owned());
}

/// Sends every arena from a place on to one target.
fn serve(
    program: &Program,
    target: &Dial,
    part: &Part,
    from: Point,
    synced: bool,
    tell: &mut dyn FnMut(Step),
) {
    for (number, arena) in part.arenas.iter().enumerate().skip(from.arena) {
        let offset = match number == from.arena {
            true => from.offset,
            false => 0,
        };
        match send(program, target, part, arena, offset) {
            Ok(None) => {}
            Ok(Some((offset, last))) => tell(Step::Reached(Place {
                at: At {
                    arena: number,
                    offset,
                },
                last: Some(last),
            })),
            Err(step) => return tell(step),
        }
        if !synced && !arena.sealed {
            return;
        }
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
) -> Result<Option<(u64, crate::score::Score)>, Step> {
    if from >= arena.live.used {
        return Ok(None);
    }
    let stretch = Stretch::of(arena, from);
    let limits = external::Limits::default();
    let end = external::run(program, target, &part.opened, &stretch, &limits);
    let end = end.map_err(Step::Failed)?;
    if end == from {
        return Ok(None);
    }
    let last = part.before(arena, end).ok_or_else(|| {
        Step::NoPlace(format!(
            "arena {}: the end offset {end:#x} is no place where a clump ends",
            arena.name
        ))
    })?;
    Ok(Some((end, last.score)))
}
