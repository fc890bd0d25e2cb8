//! Which targets go together, and what becomes of those that fail.

use crate::copy::cursor::Cursor;
use std::collections::HashSet;
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, never, select, unbounded};

use super::collect;
use super::note::{Departure, How, Member, Report};
use super::pipeline::Share;
use super::recipient::{Recipient, TargetAccess};
use super::{
    Assignment, CopyJob, Event, Manner, ReachedPlace, SendFrom, SourceDamage, TargetOutcome,
    Trouble,
};
use crate::net::client;

/// How long a target that is ready waits for others that are to start at the
/// same place: one walk serves all that are there by then.
const PATIENCE: Duration = Duration::from_secs(2);

/// Notes that may wait: those who tell more wait for the one who keeps the
/// books, so that these do not fill memory.
const NOTES: usize = 128;

/// A target's thread has connected and looked at it, or has failed to.
struct Arrival<F> {
    seat: usize,
    /// It was connected.
    met: bool,
    result: Result<(Option<Recipient>, Option<F>), client::ClientError>,
}

/// A look at a target that has just been connected, before anything is sent:
/// by the number of its seat.
pub type Look<'a, F> = dyn Fn(usize, &mut Recipient) -> Result<F, client::ClientError> + Sync + 'a;

/// Copies everything from each seat's place to the end of what may be entered.
///
/// Each target is connected and looked at in a thread of its own; those that
/// are ready for the same place within two seconds share one walk. A target
/// that fails is dialled again if it had been connected, and dropped when that
/// has failed often enough; the others go on.
pub fn run<F: Send>(
    jobs: &[CopyJob],
    seats: &[Assignment],
    manner: Manner,
    access: TargetAccess<'_>,
    look: &Look<'_, F>,
    on_event: &mut dyn FnMut(Event<'_, F>),
) -> Vec<TargetOutcome> {
    let (notes, inbox) = bounded(NOTES);
    let (arrivals, arrived) = unbounded();
    thread::scope(|scope| {
        let mut books = Books {
            scope,
            jobs,
            seats,
            manner,
            access,
            look,
            notes,
            arrivals,
            on_event,
            accounts: seats.iter().map(Account::new).collect(),
            waiting: Vec::new(),
            told: HashSet::new(),
            running: seats.len(),
            share: share(seats),
            walks: 0,
        };
        let first = seats.iter().enumerate().filter(|(_, s)| s.after.is_none());
        for (seat, _) in first {
            books.approach(seat, Duration::ZERO);
        }
        books.keep(&inbox, &arrived);
        // Nobody waits to tell more.
        drop(inbox);
        books
            .accounts
            .into_iter()
            .map(|account| account.outcome)
            .collect()
    })
}

/// What a run may use for the targets of these seats.
fn share(seats: &[Assignment]) -> Share {
    let targets: HashSet<_> = seats.iter().map(|seat| seat.target.as_ref()).collect();
    Share::here(targets.len())
}

/// What is known of one target.
struct Account {
    /// Where it would go on.
    start: SendFrom,
    /// Its answers to probes have not been found useless.
    believable: bool,
    /// It has been looked at.
    looked: bool,
    /// It is being connected.
    approaching: bool,
    /// When it was first dialled.
    began: Option<Instant>,
    /// It had been connected: it is a venti, and may come back.
    met: bool,
    tries: u32,
    outcome: TargetOutcome,
    /// Damage in what it was given and has not yet acknowledged.
    damage: Vec<SourceDamage>,
    /// Of such damage, that whose blocks the target gave back.
    there: Vec<SourceDamage>,
}

impl Account {
    fn new(seat: &Assignment) -> Self {
        Account {
            start: seat.start.clone(),
            believable: true,
            looked: false,
            approaching: false,
            began: None,
            met: false,
            tries: 0,
            outcome: TargetOutcome::default(),
            damage: Vec::new(),
            there: Vec::new(),
        }
    }

    /// It has the blocks of these damaged clumps.
    fn found(&mut self, places: &HashSet<Cursor>) {
        let found = self
            .damage
            .extract_if(.., |damage| places.contains(&damage.at));
        let found: Vec<SourceDamage> = found.collect();
        self.outcome.there += found.len() as u64;
        self.there.extend(found);
    }

    /// The damage before a place, which the target has now acknowledged. A group
    /// that has not noticed yet that the target failed tells of some that the next
    /// one tells of again.
    fn settle(&mut self, place: Cursor) -> (Vec<SourceDamage>, Vec<SourceDamage>) {
        let before = |list: &mut Vec<SourceDamage>| {
            let mut settled: Vec<SourceDamage> =
                list.extract_if(.., |damage| damage.at < place).collect();
            settled.sort_by_key(|damage| damage.at);
            settled.dedup();
            settled
        };
        (before(&mut self.damage), before(&mut self.there))
    }

    /// What it was given and has not acknowledged is given again.
    fn unsettle(&mut self) {
        self.damage.clear();
        self.there.clear();
    }
}

/// A target that is connected and has not started yet.
struct Waiting {
    seat: usize,
    recipient: Option<Recipient>,
    since: Instant,
}

struct Books<'scope, 'env, 'a, F> {
    scope: &'scope Scope<'scope, 'env>,
    jobs: &'scope [CopyJob],
    seats: &'scope [Assignment],
    manner: Manner,
    access: TargetAccess<'scope>,
    look: &'scope Look<'scope, F>,
    notes: Sender<Report>,
    arrivals: Sender<Arrival<F>>,
    on_event: &'a mut dyn FnMut(Event<'_, F>),
    accounts: Vec<Account>,
    waiting: Vec<Waiting>,
    /// The first places whose damage has been told, with their jobs.
    told: HashSet<(usize, Cursor)>,
    /// Seats that have not come to their end.
    running: usize,
    share: Share,
    /// Walks that have not come to their end.
    walks: usize,
}

impl<'scope, F: Send + 'scope> Books<'scope, '_, '_, F> {
    /// Connects a target, after a pause if it has failed before.
    fn approach(&mut self, number: usize, pause: Duration) {
        let (Some(seat), Some(account)) = (self.seats.get(number), self.accounts.get_mut(number))
        else {
            return;
        };
        account.approaching = true;
        account.began.get_or_insert_with(Instant::now);
        let look = (!account.looked).then_some(self.look);
        let (arrivals, access) = (self.arrivals.clone(), self.access);
        self.scope.spawn(move || {
            thread::sleep(pause);
            let mut met = false;
            let mut connect = || {
                let Some(target) = &seat.target else {
                    return Ok((None, None));
                };
                let mut recipient = Recipient::reach(target, seat.is_new, access)?;
                met = true;
                let found = look.map(|look| look(number, &mut recipient)).transpose()?;
                Ok((Some(recipient), found))
            };
            let result = client::ClientError::of_panic(&mut connect);
            // Nobody keeps books any more when the run was given up.
            let _ = arrivals.send(Arrival {
                seat: number,
                met,
                result,
            });
        });
    }

    fn arrived(&mut self, arrival: Arrival<F>) {
        let number = arrival.seat;
        let Some(account) = self.accounts.get_mut(number) else {
            return;
        };
        account.approaching = false;
        match arrival.result {
            Ok((recipient, found)) => {
                account.met = true;
                if let Some(found) = found {
                    account.looked = true;
                    (self.on_event)(Event::Found {
                        seat: number,
                        found,
                        start: &mut account.start,
                    });
                }
                self.waiting.push(Waiting {
                    seat: number,
                    recipient,
                    since: Instant::now(),
                });
            }
            Err(error) => self.failed(number, error, arrival.met),
        }
    }

    /// The job and the place at which a target is to start.
    fn place_of(&self, number: usize) -> Option<(usize, Cursor)> {
        let seat = self.seats.get(number)?;
        Some((seat.job, self.accounts.get(number)?.start.from))
    }

    /// Starts those that need not wait any longer, all at one place together.
    fn start_groups(&mut self) {
        while self.walks < self.share.walks {
            let ready = self.waiting.iter().find(|waiting| {
                let place = self.place_of(waiting.seat);
                let mut accounts = self.accounts.iter().enumerate();
                waiting.since.elapsed() >= PATIENCE
                    || !accounts.any(|(number, account)| {
                        account.approaching && self.place_of(number) == place
                    })
            });
            let Some(place) = ready.and_then(|ready| self.place_of(ready.seat)) else {
                return;
            };
            let (members, rest) = std::mem::take(&mut self.waiting)
                .into_iter()
                .partition(|waiting| self.place_of(waiting.seat) == Some(place));
            self.waiting = rest;
            self.start_group(place, members);
        }
    }

    fn start_group(&mut self, (job, from): (usize, Cursor), members: Vec<Waiting>) {
        let members = members.into_iter().filter_map(|waiting| {
            let account = self.accounts.get(waiting.seat)?;
            Some(Member {
                seat: waiting.seat,
                recipient: waiting.recipient,
                start: account.start.clone(),
                believable: account.believable,
            })
        });
        let members: Vec<Member> = members.collect();
        let Some(job) = self.jobs.get(job).map(|found| (job, found)) else {
            return;
        };
        self.walks += 1;
        let (scope, notes) = (self.scope, self.notes.clone());
        let how = (self.manner, self.share);
        scope.spawn(move || collect::run_group(scope, job, members, from, how, &notes));
    }

    fn keep(&mut self, inbox: &Receiver<Report>, arrived: &Receiver<Arrival<F>>) {
        while self.running > 0 {
            self.start_groups();
            // With all walks under way, it is the end of one that is waited for.
            let may_start = self.walks < self.share.walks;
            let waiting = self.waiting.iter().filter(|_| may_start);
            let since = waiting.map(|waiting| waiting.since).min();
            let patience =
                since.map_or_else(never, |since| crossbeam_channel::at(since + PATIENCE));
            select! {
                recv(inbox) -> note => match note {
                    Ok(note) => self.enter(note),
                    Err(_) => return,
                },
                recv(arrived) -> arrival => match arrival {
                    Ok(arrival) => self.arrived(arrival),
                    Err(_) => return,
                },
                recv(patience) -> _ => {}
            }
        }
    }

    fn enter(&mut self, note: Report) {
        match note {
            Report::Block(score) => (self.on_event)(Event::Block(score)),
            Report::Progress(walked) => (self.on_event)(Event::Progress {
                seats: &walked.seats,
                at: walked.at,
                decoded: walked.decoded,
            }),
            Report::Damage(job, damage, seats) => {
                for damage in damage {
                    self.damage(job, &damage, &seats);
                }
            }
            Report::There(seat, places) => {
                if let Some(account) = self.accounts.get_mut(seat) {
                    account.found(&places);
                }
            }
            Report::Late(damage, seats) => {
                for seat in seats {
                    if let Some(account) = self.accounts.get_mut(seat) {
                        account.outcome.late = Some(damage.clone());
                    }
                }
            }
            Report::Start(error, seats) => {
                for seat in seats {
                    if let Some(account) = self.accounts.get_mut(seat) {
                        account.outcome.trouble = Some(Trouble::Start(error.clone()));
                    }
                }
            }
            Report::Acknowledged(seat, place) => self.acknowledged(seat, place),
            Report::Ended(seat, ended) => self.ended(seat, ended),
            Report::WalkEnded => self.walks = self.walks.saturating_sub(1),
        }
    }

    fn damage(&mut self, job: usize, damage: &SourceDamage, seats: &[usize]) {
        if self.told.len() < self.manner.told && self.told.insert((job, damage.at)) {
            (self.on_event)(Event::Damage(damage));
        }
        for &seat in seats {
            match self.accounts.get_mut(seat) {
                Some(account) if damage.block_is_whole => account.outcome.odd += 1,
                Some(account) => account.damage.push(damage.clone()),
                None => {}
            }
        }
    }

    fn acknowledged(&mut self, seat: usize, place: ReachedPlace) {
        let Some(account) = self.accounts.get_mut(seat) else {
            return;
        };
        account.start.from = place.at;
        account.tries = 0;
        account.outcome.place = Some(place);
        let (damage, there) = account.settle(place.at);
        (self.on_event)(Event::Acknowledged {
            seat,
            place,
            damage: &damage,
            there: &there,
        });
        account.outcome.lost += damage.iter().map(|damage| damage.clumps).sum::<u64>();
    }

    fn ended(&mut self, seat: usize, ended: Departure) {
        let Some(account) = self.accounts.get_mut(seat) else {
            return;
        };
        account.outcome.tally += ended.tally;
        account.start.lacks = ended.lacks;
        account.believable = ended.believable;
        match ended.how {
            How::Current => {
                let rest = std::mem::take(&mut account.damage);
                account.outcome.lost += rest.iter().map(|damage| damage.clumps).sum::<u64>();
                self.leave(seat);
            }
            How::Behind => {
                account.unsettle();
                self.approach(seat, Duration::ZERO);
            }
            // Without probes it may do.
            How::Nonsense => {
                account.unsettle();
                self.approach(seat, Duration::ZERO);
            }
            How::Failed(error) => {
                account.unsettle();
                self.failed(seat, error, true);
            }
        }
    }

    /// A target has failed: once more after a pause, or it is out.
    fn failed(&mut self, seat: usize, error: client::ClientError, met: bool) {
        let Some(account) = self.accounts.get_mut(seat) else {
            return;
        };
        account.met |= met;
        let again = account.met && error.may_pass() && account.tries < self.manner.retries;
        if again {
            let factor = 2u32.pow(account.tries.min(7));
            let after = self.manner.backoff.saturating_mul(factor);
            account.tries += 1;
            (self.on_event)(Event::Retry {
                seat,
                error: &error,
                after,
            });
            self.approach(seat, after);
        } else {
            (self.on_event)(Event::Lost {
                seat,
                error: &error,
            });
            account.outcome.trouble = Some(Trouble::Target(error));
            self.leave(seat);
        }
    }

    /// A seat has come to its end: those that come after it may start, or
    /// need not be tried.
    fn leave(&mut self, seat: usize) {
        self.running -= 1;
        let Some(account) = self.accounts.get_mut(seat) else {
            return;
        };
        let began = account.began.unwrap_or_else(Instant::now);
        account.outcome.took = began.elapsed();
        let failed = account.outcome.trouble.is_some();
        for (number, next) in self.seats.iter().enumerate() {
            if next.after != Some(seat) {
                continue;
            }
            match (failed, self.accounts.get_mut(number)) {
                (true, Some(account)) => {
                    account.outcome.trouble = Some(Trouble::NotTried);
                    self.leave(number);
                }
                _ => self.approach(number, Duration::ZERO),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::arena::Name;

    #[test]
    fn damage_that_two_groups_tell_of_is_one() {
        let damage = |offset| SourceDamage {
            at: Cursor { arena: 0, offset },
            arena: Name::from_field(b"a"),
            len: 1,
            clumps: 1,
            score: None,
            block_type: None,
            why: "gone".to_owned(),
            block_is_whole: false,
        };
        let mut account = Account::new(&Assignment {
            job: 0,
            target: None,
            is_new: false,
            start: SendFrom::default(),
            after: None,
        });
        account.damage = [30, 10, 20, 30, 90].map(damage).into();
        account.there = [40, 40, 60].map(damage).into();
        let (settled, there) = account.settle(Cursor {
            arena: 0,
            offset: 50,
        });
        assert_eq!(settled, [10, 20, 30].map(damage));
        assert_eq!(there, [damage(40)]);
        assert_eq!(account.damage, [damage(90)]);
        assert_eq!(account.there, [damage(60)]);
    }
}
