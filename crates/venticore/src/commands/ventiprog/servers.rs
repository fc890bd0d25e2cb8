//! Which target is the source itself, and which server writes its partitions.

use std::net::SocketAddr;

use eyre::Result;

use super::origin::Origin;
use crate::codec::blocktype::{BLOCK_MAX, BlockType};
use crate::codec::dial::Dial;
use crate::codec::score::Score;
use crate::config::Config;
use crate::host::holders::{self, Process};
use crate::host::terminal::Terminal;
use crate::net::client::{Client, ClientError};
use crate::net::reach::{Listeners, LocalListener, Reach, Same};
use crate::status::{Failure, Status};
use crate::survey::part::Part;
use crate::survey::unseen;

/// Refuses a target that is certainly the source, by name or by address.
pub(super) fn refuse_source(origin: &Origin, targets: &[Dial], reach: &Reach) -> Result<()> {
    let Some(source) = origin.dial() else {
        return Ok(());
    };
    let is_source = |target: &&Dial| reach.same(source, target) == Same::Yes;
    match targets.iter().find(is_source) {
        Some(target) => Err(is_the_source(target, origin)),
        None => Ok(()),
    }
}

/// Names the targets, once, that are reached in clear text over networks of others.
pub(super) fn say_public(targets: &[Dial], reach: &Reach, terminal: &Terminal) {
    let at = |target: &Dial| Some(format!("{target} ({})", reach.public(target)?));
    let public: Vec<String> = targets.iter().filter_map(at).collect();
    if !public.is_empty() {
        terminal.report(&format!(
            "{}: a public address, and ventis speak in clear text and know no password: \
             reach it through ssh, by [via] in the configuration",
            public.join(", ")
        ));
    }
}

fn is_the_source(target: &Dial, origin: &Origin) -> eyre::Report {
    let source = origin.shown();
    let cause = format!(
        "{target}: is the source itself ({source}); name another target, or the right source with -s"
    );
    Failure::report(Status::Usage, cause)
}

/// Refuses a source that is a target on record: it has a copy, and not all that the
/// venti has whose partition it is.
pub(super) fn refuse_recorded(origin: &Origin, recorded: &[Dial], reach: &Reach) -> Result<()> {
    let Some(source) = origin.dial() else {
        return Ok(());
    };
    let is_source = |target: &&Dial| reach.same(source, target) == Same::Yes;
    let Some(target) = recorded.iter().find(is_source) else {
        return Ok(());
    };
    let cause = format!(
        "source {}: is {target}, a target on record; name the source venti (-s), \
         or forget that target first (--forget)",
        origin.shown()
    );
    Err(Failure::report(Status::Usage, cause))
}

/// Says which partitions are written by a server of this machine that is not the
/// source. What the source has synced is then not what they hold.
pub(super) fn say_other_server(
    origin: &Origin,
    parts: &mut [Part],
    page_port: Option<u16>,
    reach: &Reach,
    terminal: &Terminal,
) -> Status {
    let own = origin.dial().map_or(&[][..], |source| reach.own(source));
    if own.is_empty() || parts.iter().all(|part| part.writers.is_empty()) {
        return Status::Done;
    }
    let listeners = Listeners::here();
    let at_source = own.iter().filter_map(|&at| listeners.reached_by(at));
    let at_source: Vec<&LocalListener> = at_source.collect();
    let is_source = |writer: &Process| at_source.iter().any(|l| l.is_of(writer.pid));
    // Other programs than ventis listen somewhere as well: an emulator, for one.
    let is_other = |writer: &&Process| {
        let listens = listeners.of(writer.pid);
        let has_page = || listens.iter().any(|l| Some(l.address.port()) == page_port);
        !listens.is_empty() && (unseen::is_server(writer) || has_page())
    };
    let mut status = Status::Done;
    for part in parts {
        if at_source.is_empty() || part.writers.iter().any(is_source) {
            continue;
        }
        if let Some(writer) = part.writers.iter().find(is_other) {
            terminal.say(&format!(
                "{}: {writer} has it open for writing, and is not the server at the source's \
                 address ({}): that is the partition of another venti; \
                 name the right source (-s), partition (-p) or index page (-i){}",
                part.name,
                origin.shown(),
                part.if_by_mistake
            ));
            part.synced = false;
            status = Status::Partly;
        }
    }
    status
}

/// The venti server that listens at one of these addresses of this machine, by its name.
/// What listens there under another name may be a tunnel.
pub(super) fn venti_at(own: &[SocketAddr]) -> Option<Process> {
    let listeners = Listeners::here();
    let sockets: Vec<&LocalListener> = own
        .iter()
        .filter_map(|&at| listeners.reached_by(at))
        .collect();
    let mut ventis = unseen::servers().into_iter();
    ventis.find(|venti| sockets.iter().any(|socket| socket.is_of(venti.pid)))
}

/// Says which partitions a venti of this machine does not have open although it listens
/// at the source's address: it was moved to another disk, say, and what is read is the
/// old one, of which it still has every block.
pub(super) fn say_not_held(
    origin: &Origin,
    parts: &mut [Part],
    reach: &Reach,
    terminal: &Terminal,
) -> Status {
    let own = origin.dial().map_or(&[][..], |source| reach.own(source));
    if own.is_empty() || parts.iter().all(|part| !part.writers.is_empty()) {
        return Status::Done;
    }
    let Some(venti) = venti_at(own) else {
        return Status::Done;
    };
    let unseen = unseen::unseen_servers();
    if unseen.iter().any(|(process, _)| process.pid == venti.pid) {
        return Status::Done;
    }
    let mut status = Status::Done;
    for part in parts.iter_mut().filter(|part| part.writers.is_empty()) {
        let Some(opened) = &part.opened else {
            continue;
        };
        if holders::writes(venti.pid, opened.path()).is_some() {
            continue;
        }
        terminal.say(&format!(
            "{}: {venti}, the server at the source's address ({}), does not have it \
             open: what it stores is in another partition; name that (-p, or arenas or index in \
             the configuration){}",
            part.name,
            origin.shown(),
            part.if_by_mistake
        ));
        part.synced = false;
        status = Status::Partly;
    }
    status
}

/// Refuses a target at which a process listens that has one of the partitions
/// open for writing.
pub(super) fn refuse_holder(parts: &[Part], targets: &[Dial], reach: &Reach) -> Result<()> {
    let is_local = |target: &&Dial| !reach.own(target).is_empty();
    let local: Vec<&Dial> = targets.iter().filter(is_local).collect();
    if local.is_empty() || parts.iter().all(|part| part.writers.is_empty()) {
        return Ok(());
    }
    let listeners = Listeners::here();
    for part in parts {
        for writer in &part.writers {
            let listens = |target: &&&Dial| {
                let own = reach.own(target).iter();
                let mut sockets = own.filter_map(|&address| listeners.reached_by(address));
                sockets.any(|socket| socket.is_of(writer.pid))
            };
            if let Some(target) = local.iter().find(listens) {
                let name = &part.name;
                let cause = format!(
                    "{target}: is the source itself: {writer} listens there and has {name} \
                     open for writing; name another target, or the right partition with -p"
                );
                return Err(Failure::report(Status::Usage, cause));
            }
        }
    }
    Ok(())
}

/// Whether a target is certainly another server than the source: one at other
/// addresses, elsewhere or of a venti of its own here. What else listens here may be
/// a tunnel, and so may a command.
pub(super) fn is_another(source: &Dial, target: &Dial, reach: &Reach) -> bool {
    if reach.is_via(source) || reach.is_via(target) {
        return false;
    }
    let own = reach.own(target);
    if own.is_empty() {
        return reach.same(source, target) == Same::No && reach.unknown(target).is_none();
    }
    let listeners = Listeners::here();
    let ventis = unseen::servers();
    let is_venti = |&address: &SocketAddr| {
        let socket = listeners.reached_by(address);
        socket.is_some_and(|socket| ventis.iter().any(|venti| socket.is_of(venti.pid)))
    };
    reach.same(source, target) == Same::No && own.iter().all(is_venti)
}

/// Refuses a target that shares an address with the source, unless it lacks
/// the newest block of the source.
pub(super) fn refuse_suspect(
    origin: &Origin,
    parts: &[Part],
    targets: &[Dial],
    reach: &Reach,
    config: &Config,
) -> Result<()> {
    let Some(source) = origin.dial() else {
        return Ok(());
    };
    let newest = parts.iter().find_map(Part::newest);
    for target in targets {
        if reach.same(source, target) == Same::Perhaps && !lacks(target, newest, config) {
            return Err(is_the_source(target, origin));
        }
    }
    Ok(())
}

/// Whether a target says that it does not have a block, or cannot be reached.
fn lacks(target: &Dial, block: Option<(Score, BlockType)>, config: &Config) -> bool {
    let Some((score, block_type)) = block else {
        return false;
    };
    let client = Client::dial(target, &config.dialer);
    let found = client.and_then(|mut client| client.read(&score, block_type, BLOCK_MAX));
    let clears = |error: ClientError| error.is_absent() || error.status() == Status::Unreachable;
    found.is_err_and(clears)
}
