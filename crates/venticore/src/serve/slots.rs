//! The connections there are: bounded in number, and no idle one keeps another out.

use std::collections::BTreeMap;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A connection.
#[derive(Debug)]
pub(super) struct Guest {
    /// Its socket.
    pub(super) stream: TcpStream,
    /// Milliseconds since the slots were made until it last did something, at least 1;
    /// 0 if it never did.
    active: AtomicU64,
}

/// Places for connections.
#[derive(Debug)]
pub(super) struct Slots {
    most: usize,
    since: Instant,
    taken: Mutex<Taken>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Taken {
    /// By number, the oldest first.
    guests: BTreeMap<u64, Arc<Guest>>,
    next: u64,
    /// Threads that have not ended, of those sent away too.
    threads: usize,
    closed_for_others: u64,
}

/// A place that is taken; it is free when this is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    number: u64,
    /// Who has it.
    pub(super) guest: Arc<Guest>,
}

impl Slots {
    /// Room for this number of connections.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Slots {
            most,
            since: Instant::now(),
            taken: Mutex::default(),
            freed: Condvar::new(),
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a place to a connection. Where none is free, the connection that has asked
    /// for nothing for the longest is closed. None where those closed have not ended yet.
    pub(super) fn admit(self: &Arc<Self>, stream: TcpStream) -> Option<Slot> {
        let mut taken = self.taken();
        if taken.threads >= 2 * self.most {
            return None;
        }
        while taken.guests.len() >= self.most {
            taken.close_idlest();
        }
        let guest = Arc::new(Guest {
            stream,
            active: AtomicU64::new(0),
        });
        let number = taken.next;
        taken.next += 1;
        taken.threads += 1;
        taken.guests.insert(number, Arc::clone(&guest));
        Some(Slot {
            slots: Arc::clone(self),
            number,
            guest,
        })
    }

    /// Closes the connection that has asked for nothing for the longest.
    pub(super) fn close_idlest(&self) {
        self.taken().close_idlest();
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.taken().guests.len()
    }

    /// How many were closed to make room for others.
    pub(super) fn closed_for_others(&self) -> u64 {
        self.taken().closed_for_others
    }

    /// Takes what has come from each, and nothing more.
    pub(super) fn hang_up(&self) {
        for guest in self.taken().guests.values() {
            // One that is closed already has hung up itself.
            let _ = guest.stream.shutdown(Shutdown::Read);
        }
    }

    /// Waits until all have ended, at most this long. Says whether they have.
    pub(super) fn wait(&self, limit: Duration) -> bool {
        let taken = self.taken();
        let waited = self
            .freed
            .wait_timeout_while(taken, limit, |taken| taken.threads > 0);
        let (taken, _) = waited.unwrap_or_else(PoisonError::into_inner);
        taken.threads == 0
    }
}

impl Taken {
    fn close_idlest(&mut self) {
        let active = |guest: &Guest| guest.active.load(Ordering::Relaxed);
        let idlest = self.guests.iter().min_by_key(|(_, guest)| active(guest));
        let Some((&number, _)) = idlest else {
            return;
        };
        if let Some(guest) = self.guests.remove(&number) {
            // Its threads end by that, if they have not already.
            let _ = guest.stream.shutdown(Shutdown::Both);
            self.closed_for_others += 1;
        }
    }
}

impl Slot {
    /// It has asked for something just now.
    pub(super) fn is_active(&self) {
        let since = self.slots.since.elapsed().as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX).max(1);
        self.guest.active.store(since, Ordering::Relaxed);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken();
        taken.guests.remove(&self.number);
        taken.threads -= 1;
        self.slots.freed.notify_all();
    }
}
