//! What a target's own index page says that it holds, compared with what it has
//! acknowledged. A server whose disk is full acknowledges what it does not
//! keep, and gives it back from memory until it is restarted; its page counts
//! only what it keeps.

use super::readback::clumps_before;
use super::run::Run;
use super::target::Target;
use crate::codec::index;
use crate::net::page;
use crate::status::Status;

/// Asks the page of each target for which the configuration names one, and
/// names the targets that hold less than they have acknowledged.
pub(super) fn check(run: &mut Run<'_>) {
    let pages = &run.config.target_index;
    for target in run.targets.iter_mut().filter(|t| t.failure.is_none()) {
        let of_target =
            |(name, _): &(&String, _)| run.config.dial(name).is_ok_and(|dial| dial == target.dial);
        let Some((_, url)) = pages.iter().find(of_target) else {
            continue;
        };
        let acknowledged = acknowledged(target, &run.parts);
        let (status, cause) = match page::fetch(url, run.config.limits) {
            Ok(page) => match held(&page) {
                held if held >= acknowledged => continue,
                held => (Status::Unverified, short(held, acknowledged)),
            },
            Err(error) => (Status::Partly, format!("{url}: {error}")),
        };
        run.terminal.say(&format!("{}: {cause}", target.dial));
        target.status = target.status.worst(status);
    }
}

/// Blocks that the target has acknowledged, without those that the source lacks.
fn acknowledged(target: &Target, parts: &[super::source::Part]) -> u64 {
    let reached = target.reached.iter().zip(parts);
    let clumps = reached.flat_map(|(&at, part)| clumps_before(part, at));
    clumps.sum::<u64>().saturating_sub(target.damaged)
}

fn held(page: &index::Page) -> u64 {
    let arenas = page.arenas.iter();
    arenas.map(|arena| u64::from(arena.written.clumps)).sum()
}

fn short(held: u64, acknowledged: u64) -> String {
    format!(
        "has acknowledged {acknowledged} blocks, and its index page counts {held}: \
         its disk may be full; make room there, restart it, then run ventiprog --verify"
    )
}
