//! How far a run has come, over all targets and partitions, for the progress
//! line.

use std::sync::{Mutex, PoisonError};

use crate::host::terminal::Terminal;

/// Done and to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    done: u64,
    whole: u64,
}

/// What one target has before it in one partition.
#[derive(Clone, Copy, Debug, Default)]
struct AssignmentProgress {
    /// Blocks to be read back.
    blocks: Span,
    /// Bytes of log to be copied.
    log: Span,
}

/// How far each seat of a run has come.
pub(super) struct RunProgress<'a> {
    terminal: &'a Terminal,
    seats: Mutex<Vec<AssignmentProgress>>,
}

impl<'a> RunProgress<'a> {
    /// Each seat has this many bytes of log before it.
    pub(super) fn new(terminal: &'a Terminal, logs: impl Iterator<Item = u64>) -> Self {
        let seats = logs.map(|whole| AssignmentProgress {
            log: Span { done: 0, whole },
            ..AssignmentProgress::default()
        });
        RunProgress {
            terminal,
            seats: Mutex::new(seats.collect()),
        }
    }

    /// A seat has read back some of its blocks.
    pub(super) fn read_back(&self, seat: usize, done: u64, whole: u64) {
        self.change(&[seat], |seat| {
            let done = done.min(whole);
            seat.blocks = Span { done, whole };
        });
    }

    /// A seat starts elsewhere, with this many bytes of log before it.
    pub(super) fn restarts(&self, seat: usize, whole: u64) {
        self.change(&[seat], |seat| seat.log = Span { done: 0, whole });
    }

    /// Seats have come to a place with this many bytes of log after it.
    pub(super) fn reached(&self, seats: &[usize], left: u64) {
        self.change(seats, |seat| {
            seat.log.done = seat.log.whole.saturating_sub(left);
        });
    }

    /// Seats are out of the run: what they had before them does not count.
    pub(super) fn lost(&self, seats: &[usize]) {
        self.change(seats, |seat| *seat = AssignmentProgress::default());
    }

    fn change(&self, numbers: &[usize], change: impl Fn(&mut AssignmentProgress)) {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        for &number in numbers {
            seats.get_mut(number).map(&change);
        }
        let blocks = sum(&seats, |seat| seat.blocks);
        let log = sum(&seats, |seat| seat.log);
        drop(seats);
        match blocks.done < blocks.whole {
            true => self.terminal.reading_back(blocks.done, blocks.whole),
            false => self.terminal.progress(log.done, log.whole),
        }
    }
}

fn sum(seats: &[AssignmentProgress], of: impl Fn(&AssignmentProgress) -> Span) -> Span {
    let add = |sum: Span, next: Span| Span {
        done: sum.done.saturating_add(next.done),
        whole: sum.whole.saturating_add(next.whole),
    };
    seats.iter().map(of).fold(Span::default(), add)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(progress: &RunProgress<'_>) -> (u64, u64) {
        let log = sum(&progress.seats.lock().unwrap(), |seat| seat.log);
        (log.done, log.whole)
    }

    #[test]
    fn targets_at_different_places_add_up_and_a_lost_one_does_not_count() {
        let (terminal, _) = Terminal::keeping("ventiprog");
        let progress = RunProgress::new(&terminal, [100, 40].into_iter());
        progress.reached(&[0], 90);
        progress.reached(&[1], 40);
        assert_eq!(log(&progress), (10, 140));
        progress.reached(&[0, 1], 20);
        assert_eq!(log(&progress), (100, 140));
        progress.lost(&[0]);
        assert_eq!(log(&progress), (20, 40));
        progress.restarts(1, 200);
        progress.reached(&[1], 0);
        assert_eq!(log(&progress), (200, 200));
    }

    #[test]
    fn more_than_was_expected_is_never_shown() {
        let (terminal, _) = Terminal::keeping("ventiprog");
        let progress = RunProgress::new(&terminal, [0].into_iter());
        progress.read_back(0, 71, 38);
        let seats = progress.seats.lock().unwrap();
        assert_eq!((seats[0].blocks.done, seats[0].blocks.whole), (38, 38));
    }
}
