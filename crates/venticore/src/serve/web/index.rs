//! The pages `/index` and `/storage`, as plan9port's venti has them (venti.md 9.1, 9.2).

use std::fmt::Write;
use std::path;

use crate::codec::arena::trailer::Counters;
use crate::codec::replica::ReplicaName;
use crate::serve::arenas::{Sums, storage, stored};
use crate::store::ArenaState;
use crate::text::{grouped, one_line};

/// What the index is called: it has no partitions, and is in memory.
const NAME: &str = "ventiserve";

/// The address in the index at which the first arena begins.
const FIRST: u64 = 1 << 20;

/// The block size that is said of an index, and the bytes of its table.
const BLOCK_SIZE: u32 = 8192;
const TABLE_SIZE: u32 = 512 * 1024;

/// `/index`: each arena that has clumps.
pub(super) fn index(arenas: &[ArenaState]) -> String {
    // What comes after the first line are index sections, of which there has to be one.
    let mut page = format!(
        "index={NAME} version=1 blocksize={BLOCK_SIZE} tabsize={TABLE_SIZE}\n\
         \tbuckets=1 div=4294967295\n\
         \tsect=memory for buckets [0,1) buckmax=0\n"
    );
    let mut address = FIRST;
    for arena in arenas {
        let end = address.saturating_add(arena.size);
        if arena.live.clumps > 0 {
            // It cannot fail.
            let _ = row(&mut page, arena, address, end);
        }
        address = end;
    }
    page
}

fn row(page: &mut String, arena: &ArenaState, from: u64, to: u64) -> std::fmt::Result {
    let (name, block) = (&arena.name, u64::from(arena.block_size));
    let base = arena.head + block;
    // Whoever reads this was started in another directory.
    let partition = match ReplicaName::is_meant(&arena.partition) {
        true => arena.partition.clone(),
        false => {
            let path = path::absolute(&arena.partition).unwrap_or_default();
            one_line(&path.to_string_lossy())
        }
    };
    writeln!(page, "arena={name} at index [{from},{to})")?;
    writeln!(
        page,
        "\tarena='{name}' on {partition} at [{base},{})",
        base + arena.size + 2 * block
    )?;
    let sealed = match arena.live.sealed {
        true => " mem=sealed disk=sealed",
        false => "",
    };
    writeln!(
        page,
        "\tversion={} created={} modified={}{sealed}",
        arena.version.number(),
        arena.created,
        arena.modified
    )?;
    if let Some(score) = arena.score {
        writeln!(page, "\tscore={score}")?;
    }
    for set in ["written", "indexed"] {
        writeln!(page, "\t{set}: {}", counters(arena.live))?;
    }
    Ok(())
}

fn counters(of: Counters) -> String {
    format!(
        "clumps={} compressed clumps={} data={} compressed data={} storage={}",
        of.clumps,
        of.compressed,
        grouped(of.uncompressed),
        grouped(stored(of)),
        grouped(storage(of)),
    )
}

/// `/storage`: what all arenas come to.
pub(super) fn storage_page(arenas: &[ArenaState]) -> String {
    let sums = Sums::of(arenas);
    format!(
        "index={NAME}\n\
         total arenas={} active={}\n\
         total space={} used={}\n\
         clumps={} compressed clumps={} data={} compressed data={}\n",
        grouped(sums.arenas),
        grouped(sums.active),
        grouped(sums.size),
        grouped(sums.storage),
        grouped(sums.clumps),
        grouped(sums.compressed),
        grouped(sums.data),
        grouped(sums.stored),
    )
}
