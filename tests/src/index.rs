//! The index page of a venti's HTTP server, made from partitions.

use crate::arena::Partition;

/// The text of the page of a venti with these partitions, under these names. Arenas
/// without clumps are not on it.
#[must_use]
pub fn page(partitions: &[(&Partition, &str)]) -> String {
    let mut page = "index=main version=1 blocksize=8192 tabsize=524288\n\
                    \tbuckets=415 div=10349319\n\
                    \tsect=isect0. for buckets [0,415) buckmax=215\n"
        .to_owned();
    let mut start = 1 << 20;
    for (partition, file) in partitions {
        for arena in partition.arenas().iter().filter(|a| !a.clumps().is_empty()) {
            let (name, base, counters) = (arena.name(), arena.base(), arena.counters());
            let (end, listed) = (start + arena.size(), base + arena.total());
            let sealed = match counters.sealed {
                true => " mem=sealed disk=sealed",
                false => "",
            };
            let (clumps, used) = (u64::from(counters.clumps), counters.used);
            let count = format!(
                "clumps={} compressed clumps=0 data={} compressed data={} storage={}",
                grouped(clumps),
                grouped(counters.uncompressed),
                grouped(used - 38 * clumps),
                grouped(used + 25 * clumps)
            );
            let lines = format!(
                "arena={name} at index [{start},{end})\n\
                 \tarena='{name}' on {file} at [{base},{listed})\n\
                 \tversion=5 created=1795315575 modified=1795315575{sealed}\n\
                 \twritten: {count}\n\tindexed: {count}\n"
            );
            page += &lines;
            start = end;
        }
    }
    page
}

/// As the page writes numbers: `122,880`.
fn grouped(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1000), number % 1000),
    }
}
