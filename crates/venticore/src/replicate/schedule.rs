//! Which targets go together, and what becomes of those that fail.

use std::collections::{BTreeMap, HashSet};
use std::thread::{self, Scope};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::collect::{self, Member};
use super::{At, Damage, Event, Job, Manner, Outcome, Place, Seat, Tally, Trouble};
use crate::arena::log::StartError;
use crate::client;

/// What the threads of a run tell the one that keeps the books.
pub(super) enum Note {
    Block(crate::score::Score),
    Progress(u64),
    Damage(Damage, Vec<usize>),
    Late(Damage, Vec<usize>),
    Start(StartError, Vec<usize>),
    Acknowledged(usize, Place),
    Ended(usize, Ended),
}

/// How a target left its group.
pub(super) struct Ended {
    pub(super) tally: Tally,
    pub(super) how: How,
}

pub(super) enum How {
    /// It was given everything, and acknowledged it.
    Current,
    /// It was slower than the others, and acknowledged what it was given.
    Behind,
    /// It failed; `met` says that it had been connected this time.
    Failed { error: client::Error, met: bool },
}

/// Copies everything from each seat's place to the end of what may be entered.
///
/// A target that fails is dialled again if it had been connected, and dropped
/// when that has failed often enough; the others go on.
pub fn run(
    job: &Job,
    seats: &[Seat],
    manner: Manner,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Vec<Outcome> {
    let (notes, inbox) = unbounded();
    thread::scope(|scope| {
        let mut books = Books {
            scope,
            job,
            seats,
            manner,
            notes,
            on_event,
            accounts: seats.iter().map(Account::new).collect(),
            told: HashSet::new(),
            running: seats.len(),
        };
        books.start_groups();
        books.keep(&inbox);
        books
            .accounts
            .into_iter()
            .map(|account| account.outcome)
            .collect()
    })
}

/// What is known of one target.
struct Account {
    /// Where it would go on.
    from: At,
    /// It had been connected: it is a venti, and may come back.
    met: bool,
    tries: u32,
    outcome: Outcome,
    /// Damage in what it was given and has not yet acknowledged.
    damage: Vec<Damage>,
}

impl Account {
    fn new(seat: &Seat) -> Self {
        Account {
            from: seat.from,
            met: false,
            tries: 0,
            outcome: Outcome::default(),
            damage: Vec::new(),
        }
    }

    /// The damage before a place, which the target has now acknowledged.
    fn settle(&mut self, place: At) -> Vec<Damage> {
        let (settled, left) = std::mem::take(&mut self.damage)
            .into_iter()
            .partition(|damage| damage.at < place);
        self.damage = left;
        settled
    }
}

struct Books<'scope, 'env, 'a> {
    scope: &'scope Scope<'scope, 'env>,
    job: &'scope Job,
    seats: &'scope [Seat],
    manner: Manner,
    notes: Sender<Note>,
    on_event: &'a mut dyn FnMut(Event<'_>),
    accounts: Vec<Account>,
    /// Places whose damage has been told.
    told: HashSet<At>,
    running: usize,
}

impl Books<'_, '_, '_> {
    fn start_groups(&mut self) {
        let mut groups: BTreeMap<At, Vec<usize>> = BTreeMap::new();
        for (number, seat) in self.seats.iter().enumerate() {
            groups.entry(seat.from).or_default().push(number);
        }
        for (from, members) in groups {
            self.start(from, &members, Duration::ZERO);
        }
    }

    /// Starts a group, after a pause if it is one that failed before.
    fn start(&mut self, from: At, members: &[usize], pause: Duration) {
        let members: Vec<Member> = members
            .iter()
            .filter_map(|&number| {
                let seat = self.seats.get(number)?;
                Some(Member {
                    seat: number,
                    target: seat.target.clone(),
                    probe_to: seat.probe_to,
                })
            })
            .collect();
        let (scope, job, manner, notes) = (self.scope, self.job, self.manner, self.notes.clone());
        scope.spawn(move || {
            thread::sleep(pause);
            collect::run_group(scope, job, members, from, manner, &notes);
        });
    }

    fn keep(&mut self, inbox: &Receiver<Note>) {
        while self.running > 0 {
            match inbox.recv() {
                Ok(note) => self.enter(note),
                Err(_) => return,
            }
        }
    }

    fn enter(&mut self, note: Note) {
        match note {
            Note::Block(score) => (self.on_event)(Event::Block(score)),
            Note::Progress(bytes) => (self.on_event)(Event::Progress(bytes)),
            Note::Damage(damage, seats) => self.damage(&damage, &seats),
            Note::Late(damage, seats) => {
                for seat in seats {
                    if let Some(account) = self.accounts.get_mut(seat) {
                        account.outcome.late = Some(damage.clone());
                    }
                }
            }
            Note::Start(error, seats) => {
                for seat in seats {
                    if let Some(account) = self.accounts.get_mut(seat) {
                        account.outcome.trouble = Some(Trouble::Start(error.clone()));
                    }
                }
            }
            Note::Acknowledged(seat, place) => self.acknowledged(seat, place),
            Note::Ended(seat, ended) => self.ended(seat, ended),
        }
    }

    fn damage(&mut self, damage: &Damage, seats: &[usize]) {
        if self.told.insert(damage.at) {
            (self.on_event)(Event::Damage(damage));
        }
        for &seat in seats {
            if let Some(account) = self.accounts.get_mut(seat) {
                account.damage.push(damage.clone());
            }
        }
    }

    fn acknowledged(&mut self, seat: usize, place: Place) {
        let Some(account) = self.accounts.get_mut(seat) else {
            return;
        };
        account.from = place.at;
        account.tries = 0;
        account.outcome.place = Some(place);
        let damage = account.settle(place.at);
        (self.on_event)(Event::Acknowledged {
            seat,
            place,
            damage: &damage,
        });
        account.outcome.damage.extend(damage);
    }

    fn ended(&mut self, seat: usize, ended: Ended) {
        let Some(account) = self.accounts.get_mut(seat) else {
            return;
        };
        account.outcome.tally += ended.tally;
        let from = account.from;
        match ended.how {
            How::Current => {
                let rest = std::mem::take(&mut account.damage);
                account.outcome.damage.extend(rest);
                self.running -= 1;
            }
            How::Behind => {
                account.damage.clear();
                self.start(from, &[seat], Duration::ZERO);
            }
            How::Failed { error, met } => {
                account.damage.clear();
                account.met |= met;
                let again = account.met
                    && error.kind() == client::Kind::Transient
                    && account.tries < self.manner.retries;
                if again {
                    let factor = 2u32.pow(account.tries.min(7));
                    let after = self.manner.backoff.saturating_mul(factor);
                    account.tries += 1;
                    (self.on_event)(Event::Retry {
                        seat,
                        error: &error,
                        after,
                    });
                    self.start(from, &[seat], after);
                } else {
                    (self.on_event)(Event::Lost {
                        seat,
                        error: &error,
                    });
                    account.outcome.trouble = Some(Trouble::Target(error));
                    self.running -= 1;
                }
            }
        }
    }
}
