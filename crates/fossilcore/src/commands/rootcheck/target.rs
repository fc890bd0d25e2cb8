//! One target: its connection, and one root after the other.

use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use super::Options;
use super::roots::AskedRoot;
use crate::archive::{Checking, RootCheck, RootFindings};
use venticore::codec::dial::Dial;
use venticore::codec::verified::Verdict;
use venticore::config::Config;
use venticore::net::client::{Client, ClientError};
use venticore::net::tree::{Counts, TreeError, Walker};

/// What has become of a root on a target.
pub(super) enum Outcome {
    /// It was looked at to its end.
    Decided(Box<Decided>),
    /// The walk was given up.
    Undecided {
        target: Dial,
        root: AskedRoot,
        error: TreeError,
    },
    /// The target was lost, or could not be reached: these roots were not decided.
    Lost {
        target: Dial,
        roots: Vec<AskedRoot>,
        error: ClientError,
    },
}

/// A root that was looked at to its end.
pub(super) struct Decided {
    pub(super) target: Dial,
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
    pub(super) dial: &'a Dial,
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
        let mut walker = Walker::new(self.memory, tick);
        let mut line = Connection {
            dial: self.dial,
            config: self.config,
            client: None,
            tries: 0,
            silences: 0,
        };
        for (number, root) in self.roots.iter().enumerate() {
            let target = self.dial.clone();
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
                None => Client::dial(self.dial, self.config.limits)?,
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
