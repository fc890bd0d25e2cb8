//! One target: its connection, and one root after the other.

#[cfg(feature = "serve")]
use std::ffi::OsString;
use std::io;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use super::Options;
use super::roots::AskedRoot;
use crate::archive::{Checking, RootCheck, RootFindings};
use venticore::codec::dial::Dial;
use venticore::codec::replica::ReplicaName;
use venticore::codec::target::TargetName;
use venticore::codec::verified::Verdict;
use venticore::config::Config;
use venticore::net::client::{Client, ClientError};
use venticore::net::tree::{Counts, TreeError, Walker};
use venticore::replica::StoreAccess;
#[cfg(feature = "serve")]
use venticore::serve::LocalServer;
#[cfg(feature = "serve")]
use venticore::text::line_of;

/// What has become of a root on a target.
pub(super) enum Outcome {
    /// It was looked at to its end.
    Decided(Box<Decided>),
    /// The walk was given up.
    Undecided {
        target: TargetName,
        root: AskedRoot,
        error: TreeError,
    },
    /// The target was lost, or could not be reached: these roots were not decided.
    Lost {
        target: TargetName,
        roots: Vec<AskedRoot>,
        error: ClientError,
    },
}

/// A root that was looked at to its end.
pub(super) struct Decided {
    pub(super) target: TargetName,
    pub(super) root: AskedRoot,
    pub(super) findings: RootFindings,
}

impl Decided {
    /// How many blocks were looked at.
    pub(super) fn blocks(&self) -> u64 {
        self.findings.counts.read + self.findings.counts.probed
    }

    /// `None` where the score does not belong to a root.
    pub(super) fn verdict(&self, options: &Options) -> Option<Verdict> {
        let RootFindings {
            other_type: None,
            missing,
            damaged,
            invalid,
            ..
        } = self.findings
        else {
            return None;
        };
        let invalid = if options.as_written { 0 } else { invalid };
        Some(match (missing, damaged + invalid) {
            (0, 0) if options.ask => Verdict::Present,
            (0, 0) => Verdict::Whole,
            (_, 0) => Verdict::Missing,
            _ => Verdict::Damaged,
        })
    }
}

/// Where a target's outcomes go.
pub(super) struct Verdicts(Sender<Outcome>);

impl Verdicts {
    pub(super) fn new(sender: Sender<Outcome>) -> Self {
        Verdicts(sender)
    }

    /// Where nobody takes outcomes any more, the run is at its end.
    fn send(&self, outcome: Outcome) {
        let _ = self.0.send(outcome);
    }
}

/// What is to be checked on one target.
pub(super) struct TargetCheck<'a> {
    pub(super) target: &'a TargetName,
    pub(super) roots: &'a [AskedRoot],
    pub(super) how: Checking,
    /// The most bytes of scores that are remembered.
    pub(super) memory: usize,
    pub(super) config: &'a Config,
}

impl TargetCheck<'_> {
    /// The memory of one target, of this number of them.
    pub(super) fn memory_of_one(targets: usize) -> usize {
        Walker::MEMORY / targets.max(1)
    }

    /// Checks one root after the other.
    pub(super) fn run(&self, verdicts: &Verdicts, tick: impl FnMut(&Counts)) {
        match Reached::of(self.target, &self.config.replicas) {
            Ok(reached) => self.roots_at(reached.dial(), verdicts, tick),
            Err(error) => verdicts.send(Outcome::Lost {
                target: self.target.clone(),
                roots: self.roots.to_vec(),
                error,
            }),
        }
    }

    fn roots_at(&self, dial: &Dial, verdicts: &Verdicts, tick: impl FnMut(&Counts)) {
        let mut walker = Walker::new(self.memory, tick);
        let mut line = Connection {
            dial,
            config: self.config,
            client: None,
            tries: 0,
            silences: 0,
        };
        for (number, root) in self.roots.iter().enumerate() {
            let target = self.target.clone();
            let mut at = 0;
            let mut check = RootCheck::new(root.score, self.how, &walker);
            let checked = ClientError::of_panic(|| {
                Ok(line.hold(|client| {
                    let done = check.run(client, &mut walker);
                    let now = walker.counts();
                    let moved = at != now.read + now.probed;
                    at = now.read + now.probed;
                    (done, moved)
                }))
            });
            let checked = checked.unwrap_or_else(|error| Err(error.into()));
            match (checked, &mut line.client) {
                (Ok(()), Some(client)) => {
                    let findings = check.finish(client, &walker);
                    if findings.total() > 0 {
                        walker.forget();
                    }
                    verdicts.send(Outcome::Decided(Box::new(Decided {
                        target,
                        root: root.clone(),
                        findings,
                    })));
                }
                (Ok(()), None) => {}
                (Err(TreeError::Client(error)), _) => {
                    verdicts.send(Outcome::Lost {
                        target,
                        roots: self.roots.get(number..).unwrap_or_default().to_vec(),
                        error,
                    });
                    return;
                }
                (Err(error), _) => {
                    walker.forget();
                    verdicts.send(Outcome::Undecided {
                        target,
                        root: root.clone(),
                        error,
                    });
                }
            }
        }
    }
}

/// What is dialled for a target.
enum Reached<'a> {
    Venti(&'a Dial),
    /// A replica, which this process serves to itself.
    #[cfg(feature = "serve")]
    Replica(LocalServer),
}

impl<'a> Reached<'a> {
    fn of(target: &'a TargetName, access: &StoreAccess) -> Result<Self, ClientError> {
        match target {
            TargetName::Venti(dial) => Ok(Self::Venti(dial)),
            TargetName::Replica(name) => Self::replica(name, access),
        }
    }

    #[cfg(feature = "serve")]
    fn replica(name: &ReplicaName, access: &StoreAccess) -> Result<Self, ClientError> {
        let operand = OsString::from(name.to_string());
        // What is wrong with it shows in the roots.
        let server = LocalServer::start(&operand, access, |_| ());
        let server = server.map_err(|error| match error.downcast::<io::Error>() {
            Ok(error) => error,
            Err(error) => io::Error::other(line_of(&error)),
        })?;
        Ok(Self::Replica(server))
    }

    #[cfg(not(feature = "serve"))]
    fn replica(_: &ReplicaName, _: &StoreAccess) -> Result<Self, ClientError> {
        Err(io::Error::from(io::ErrorKind::Unsupported).into())
    }

    fn dial(&self) -> &Dial {
        match self {
            Self::Venti(dial) => dial,
            #[cfg(feature = "serve")]
            Self::Replica(server) => server.dial(),
        }
    }
}

/// The line to a target, dialled again where it is lost.
struct Connection<'a> {
    dial: &'a Dial,
    config: &'a Config,
    client: Option<Client>,
    /// Times that it was dialled again since the check came any further.
    tries: u32,
    /// Times that the target was silent.
    silences: u32,
}

impl Connection<'_> {
    /// Does something over the line, and goes on with it over another one where it is lost
    /// in the middle. `part` also says whether it came any further.
    fn hold(
        &mut self,
        mut part: impl FnMut(&mut Client) -> (Result<(), TreeError>, bool),
    ) -> Result<(), TreeError> {
        loop {
            let mut client = match self.client.take() {
                Some(client) => client,
                None => Client::dial(self.dial, &self.config.dialer)?,
            };
            let (done, moved) = part(&mut client);
            let error = match done {
                Err(TreeError::Client(error)) if error.may_pass() => error,
                done => {
                    self.client = Some(client);
                    return done;
                }
            };
            self.tries = if moved { 1 } else { self.tries + 1 };
            self.silences += u32::from(matches!(error, ClientError::Silent { .. }));
            if self.tries.max(self.silences) > self.config.retries {
                return Err(error.into());
            }
            thread::sleep(self.pause());
        }
    }

    /// Twice as long each time.
    fn pause(&self) -> Duration {
        const DOUBLED: u32 = 10;
        let factor = 1_u32 << self.tries.saturating_sub(1).min(DOUBLED);
        self.config.backoff.saturating_mul(factor)
    }
}
