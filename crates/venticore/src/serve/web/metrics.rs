//! The page `/metrics`, in the text format of Prometheus.

use crate::serve::Shared;
use crate::serve::arenas::Sums;

/// The page: base units, and HELP and TYPE before each sample. No score and no name of a
/// store is in it.
pub(super) fn text(shared: &Shared) -> String {
    let mut page = String::new();
    for (name, help, value) in gauges(shared) {
        sample(&mut page, "gauge", name, help, value);
    }
    for (name, help, value) in counters(shared) {
        sample(&mut page, "counter", name, help, value);
    }
    page
}

/// A name, what it says, and its value.
type Sample = (&'static str, &'static str, u64);

#[rustfmt::skip]
fn gauges(shared: &Shared) -> [Sample; 13] {
    let store = &shared.store;
    let sums = Sums::of(&store.arenas());
    let connections = shared.connections();
    let is_read_only = u64::from(store.read_only().is_some());
    [
        ("arenas", "Arenas.", sums.arenas),
        ("arenas_sealed", "Arenas that nothing is added to.", sums.sealed),
        ("size_bytes", "Room in all arenas.", sums.size),
        ("used_bytes", "Room taken by logs and directories.", sums.storage),
        ("free_bytes", "Room left for logs.", store.room()),
        ("blocks", "Blocks in the logs.", sums.clumps),
        ("blocks_bytes", "Bytes of those blocks.", sums.data),
        ("blocks_stored_bytes", "Bytes of those blocks as they are stored.", sums.stored),
        ("index_bytes", "Memory that the index takes.", store.index_bytes()),
        ("cache_bytes", "Memory that the cache of blocks takes.", store.cache_counts().bytes),
        ("unsynced", "Blocks added that a power cut would lose.", store.unsynced()),
        ("read_only", "1 if no block can be added.", is_read_only),
        ("connections", "Connections.", connections.open),
    ]
}

#[rustfmt::skip]
fn counters(shared: &Shared) -> [Sample; 15] {
    let (counts, connections) = (shared.store.counts(), shared.connections());
    let cache = shared.store.cache_counts();
    [
        ("stored_total", "Blocks added.", counts.stored),
        ("stored_bytes_total", "Bytes of blocks added.", counts.stored_bytes),
        ("duplicates_total", "Writes of blocks that were there.", counts.duplicates),
        ("healed_total", "Blocks added that were there damaged.", counts.healed),
        ("reads_total", "Blocks read.", counts.reads),
        ("read_bytes_total", "Bytes of blocks read.", counts.read_bytes),
        ("cache_hits_total", "Blocks read that were not decoded again.", cache.hits),
        ("cache_misses_total", "Blocks read that were decoded; 0 without a cache.", cache.misses),
        ("probes_total", "Questions whether a block is there.", counts.probes),
        ("absent_total", "Blocks asked for that are not there.", counts.absent),
        ("syncs_total", "Syncs that reached the disk.", counts.syncs),
        ("damaged_total", "Clumps found damaged.", counts.damaged),
        ("connections_taken_total", "Connections taken.", connections.taken),
        ("connections_refused_total", "Connections of addresses not let in.", connections.refused),
        ("connections_closed_total", "Connections closed for others.", connections.closed),
    ]
}

fn sample(page: &mut String, kind: &str, name: &str, help: &str, value: u64) {
    let name = format!("ventiserve_{name}");
    *page += &format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
}
