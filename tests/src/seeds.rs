//! Random schedules by the thousand, each determined by its seed.
//!
//! `VENTI_SCHEDULES` sets how many are played, `VENTI_SCHEDULE` plays the one of that seed.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// How many schedules there are unless `VENTI_SCHEDULES` says otherwise.
const SCHEDULES: u64 = 10_000;

/// Threads that work on them.
const WORKERS: usize = 2;

/// Plays the schedule of each seed. Each thread has what `start` gives it. Prints how often
/// what was seen, as `play` returns it.
///
/// # Panics
///
/// When a schedule does; the others end after the one that they play.
pub fn play<W, S>(start: impl Fn() -> W + Sync, play: impl Fn(&W, u64) -> S + Sync)
where
    S: IntoIterator<Item = (&'static str, u64)>,
{
    let (first, end) = match number("VENTI_SCHEDULE") {
        Some(seed) => (seed, seed + 1),
        None => (0, number("VENTI_SCHEDULES").unwrap_or(SCHEDULES)),
    };
    let (next, failed) = (AtomicU64::new(first), AtomicBool::new(false));
    let seen = Mutex::new(BTreeMap::new());
    let work = || {
        let with = start();
        while !failed.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            let _flag = Flag(&failed);
            let seen_here = play(&with, seed);
            let mut seen = seen.lock().expect("no thread panics while it counts");
            for (what, times) in seen_here {
                *seen.entry(what).or_insert(0_u64) += times;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(work);
        }
    });
    println!("{:#?}", seen.into_inner().expect("no thread panicked"));
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect(variable))
}

/// Tells the other threads of a schedule that failed.
struct Flag<'a>(&'a AtomicBool);

impl Drop for Flag<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}
