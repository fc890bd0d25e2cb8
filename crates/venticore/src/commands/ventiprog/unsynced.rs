//! What a run cannot see because no source is asked to sync: blocks that a server keeps
//! in its memory.

use std::os::unix::fs::MetadataExt;

use super::origin::Origin;
use crate::codec::dial::Dial;
use crate::host::holders::Sight;
use crate::host::terminal::Terminal;
use crate::net::reach::Listeners;
use crate::status::Status;
use crate::survey::part::Part;
use crate::survey::unseen;

/// Says of each partition that a server seems to write, where no source is asked to
/// sync: none is known, or the caller says that there is none, which only a process
/// that is seen to write the partition contradicts.
pub(super) fn say_unsynced(
    origin: &Origin,
    parts: &[Part],
    sight: Sight,
    terminal: &Terminal,
) -> Status {
    let unseen = "what it has not yet written to disk is not sent";
    let mut status = Status::Done;
    for part in parts {
        let seen = part.writers.first();
        let seen = seen.map(|writer| format!("{writer} has it open for writing"));
        let said = match origin {
            Origin::Venti { .. } => None,
            Origin::Unknown => unknown(part, seen, sight).map(|(why, way_out)| {
                format!("{why}, and no source venti is known: {unseen}; name it (-s){way_out}")
            }),
            Origin::Offline => seen.map(|why| {
                format!(
                    "{why}, but --offline says that no server does: {unseen}; \
                     name the source venti (-s) instead of --offline"
                )
            }),
        };
        if let Some(said) = said {
            terminal.say(&format!("{}: {said}", part.name));
            status = Status::Partly;
        }
    }
    status
}

/// Why a server seems to write a partition, and what helps besides naming it.
fn unknown(part: &Part, seen: Option<String>, sight: Sight) -> Option<(String, &'static str)> {
    let offline = ", or say that no server writes the partition (--offline)";
    let seen = seen.map(|why| (why, ""));
    seen.or_else(|| Some((may_be_live(part, sight)?, offline)))
}

/// Why a server may write a partition although none is seen to.
fn may_be_live(part: &Part, sight: Sight) -> Option<String> {
    if sight == Sight::Full {
        return None;
    }
    let servers = unseen::unseen_servers();
    let opened = part.opened.as_ref()?;
    let owner = std::fs::metadata(opened.path()).ok()?.uid();
    let device = opened.is_block_device();
    // A file is written by its owner's server at most; a device by anyone's.
    let mut servers = servers.iter().filter(|(_, user)| device || *user == owner);
    if let Some((server, _)) = servers.next() {
        return Some(format!(
            "{server} may write it (its open files cannot be seen: run as root to be sure)"
        ));
    }
    let port = Dial::VENTI;
    (device && Listeners::here().any_at(port))
        .then(|| format!("the server at port {port} of this machine may write it ({sight})"))
}
