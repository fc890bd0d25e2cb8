//! Blocks that a target has and cannot give back are sent to it again. A server that
//! reads what it has before it acknowledges a write stores them again; another one
//! acknowledges and keeps what it has. So they are read back after that.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::readback::{Broken, ReadBack};
use crate::codec::arena::clump::ClumpHeader;
use crate::codec::blocktype::{BlockName, BlockType};
use crate::codec::dial::Dial;
use crate::codec::score::Score;
use crate::codec::wrcmds::Unreadable;
use crate::net::client::{Client, ClientError, Dialer};
use crate::source::Arena;
use crate::source::log::{ClumpLog, Directory, What};
use crate::survey::part::Part;

/// What has become of a block that was to be sent again.
enum Sent {
    /// The target gives it back now.
    Whole,
    /// It does not.
    InVain,
}

/// Sends again what reading back has found damaged, and reads it back. This has a
/// connection of its own: a server that refuses the blocks is checked to the end all
/// the same.
pub(super) fn cure(dial: &Dial, dialer: &Dialer, part: &Part, read_back: &mut ReadBack) {
    let broken = std::mem::take(&mut read_back.broken);
    if broken.is_empty() {
        return;
    }
    let sent = send_again(dial, dialer, part, &broken);
    for block in broken {
        let Broken {
            score,
            block_type,
            why,
        } = &block;
        let name = BlockName(*block_type, *score);
        let damaged = format!("{name} is damaged there ({why})");
        let told = match &sent {
            Err(error) => format!("{damaged}; it could not be sent again: {error}"),
            Ok(sent) => match sent.get(&block.block()) {
                Some(Sent::Whole) => {
                    read_back.is_cured(*score, *block_type);
                    format!(
                        "{name} was damaged there ({why}); it was sent again, \
                         and is whole now"
                    )
                }
                Some(Sent::InVain) => format!(
                    "{damaged}; sending it again does not help: if it holds only this backup and \
                     the source has no damage, start that server with empty arenas and run again, \
                     or restore its arenas from a copy"
                ),
                None => format!(
                    "{damaged}; the source has no whole copy to send again: restore the arenas \
                     of that server from a copy"
                ),
            },
        };
        read_back.tell(told);
    }
}

/// Sends blocks of which the source has a whole copy, and reads them back.
fn send_again(
    dial: &Dial,
    dialer: &Dialer,
    part: &Part,
    broken: &[Broken],
) -> Result<HashMap<(Score, BlockType), Sent>, ClientError> {
    let mut client = Client::dial(dial, dialer)?;
    let mut sought: HashSet<(Score, BlockType)> = broken.iter().map(Broken::block).collect();
    let mut sent = Vec::new();
    for arena in &part.arenas {
        for offset in places(part, arena, &sought) {
            let Some((block, data)) = block_at(part, arena, offset) else {
                continue;
            };
            if sought.remove(&block) {
                client.write(block.1, &block.0, &data)?;
                sent.push(block);
            }
        }
    }
    client.sync()?;
    let mut fates = HashMap::new();
    client.read_many(sent.iter().copied(), |number, found| {
        let fate = match found {
            Ok(_) => Sent::Whole,
            Err(_) => Sent::InVain,
        };
        if let Some(&block) = sent.get(number) {
            fates.insert(block, fate);
        }
        ControlFlow::Continue(())
    })?;
    Ok(fates)
}

/// Where the clumps of these blocks begin in an arena, by its directory, and by the log
/// where no trailer counts it yet.
fn places(part: &Part, arena: &Arena, sought: &HashSet<(Score, BlockType)>) -> Vec<u64> {
    let mut places = Vec::new();
    let mut directory = Directory::new(Arc::clone(&part.source), arena);
    directory.each(arena.live.used, |at, entry| {
        let header = ClumpHeader::from_entry(entry).ok();
        let block = header.and_then(|header| Some((header.score, header.block_type()?)));
        places.extend(block.filter(|block| sought.contains(block)).map(|_| at));
    });
    if arena.sealed {
        return places;
    }
    let log = ClumpLog::open(Arc::clone(&part.source), arena, arena.live.used, false);
    for item in log.into_iter().flatten() {
        if let What::Clump {
            header, block_type, ..
        } = &item.what
            && sought.contains(&(header.score, *block_type))
        {
            places.push(item.offset);
        }
    }
    places
}

/// The block of the clump at an offset, if it is whole.
fn block_at(part: &Part, arena: &Arena, offset: u64) -> Option<((Score, BlockType), Vec<u8>)> {
    let mut log = ClumpLog::open(Arc::clone(&part.source), arena, offset, false).ok()?;
    let item = log.next()?;
    let What::Clump {
        header, block_type, ..
    } = &item.what
    else {
        return None;
    };
    let data = header.block(log.stored(&item).ok()?).ok()?.into_owned();
    Some(((header.score, *block_type), data))
}

impl ReadBack {
    /// A block that was damaged is whole now.
    fn is_cured(&mut self, score: Score, block_type: BlockType) {
        self.damaged = self.damaged.saturating_sub(1);
        self.cured += 1;
        let block = (score, block_type);
        self.unreadable
            .retain(|of| Unreadable::block(of) != Some(block));
    }
}
