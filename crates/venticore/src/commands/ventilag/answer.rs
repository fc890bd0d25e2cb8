//! Could I restore today, from where, and how old would it be?

use std::fmt;
use std::time::SystemTime;

use super::age::{self, ago};
use super::roots::{FileSystem, HeldRoot, Holder, Holding};
use crate::codec::target::TargetName;
use crate::codec::utc::Utc;
use crate::text::printable;

/// How sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Certainty {
    /// Every block was read back.
    Yes,
    /// A venti acknowledged all of it.
    Probably,
    /// Nothing is known, or something speaks against it.
    Perhaps,
    /// Nothing is there that is on record.
    No,
}

impl Certainty {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Probably => "probably",
            Self::Perhaps => "perhaps",
            Self::No => "no",
        }
    }
}

/// A root that was read back whole.
#[derive(Clone, Debug)]
pub(super) struct ReadBackRoot {
    pub(super) target: TargetName,
    pub(super) recorded: Option<SystemTime>,
    /// When it was read back.
    pub(super) time: SystemTime,
}

/// The answer for one file system, or, where no root is on record, for all that is stored.
#[derive(Clone, Debug)]
pub(super) struct RestoreAnswer {
    pub(super) word: Certainty,
    /// Where from.
    pub(super) target: Option<TargetName>,
    /// What would be restored: the partition of the file system.
    pub(super) partition: Option<String>,
    /// It would be as it was then.
    pub(super) as_of: Option<SystemTime>,
    /// Why that is believed; none where no root is on record.
    pub(super) holding: Option<Holding>,
    /// An older root that was read back, where this one was not.
    pub(super) proof: Option<ReadBackRoot>,
    /// Whether any root is on record.
    pub(super) has_roots: bool,
    /// The newest root was looked for, and is not all there: this is about an older one.
    pub(super) lacks_newest: bool,
}

impl RestoreAnswer {
    /// For a file system.
    pub(super) fn of(file_system: &FileSystem, holders: &[Holder]) -> Self {
        let best = |root: &HeldRoot| root.best(holders);
        let newest = file_system.roots.first();
        let mut roots = file_system.roots.iter();
        let good = roots.find(|root| best(root).is_some_and(|(_, holding)| holding.is_good()));
        let mut roots = file_system.roots.iter();
        let possible = || roots.find(|root| best(root).is_some_and(|(_, h)| h.is_possible()));
        // Of a root that only rootcheck was given, nothing else is known.
        let is_recorded = file_system.partition.is_some();
        let root = good.or_else(|| is_recorded.then(possible)?);
        let found = root.and_then(|root| Some((root, best(root)?)));
        let Some((root, (number, holding))) = found else {
            return RestoreAnswer {
                partition: file_system.partition.clone(),
                has_roots: true,
                ..Self::none()
            };
        };
        let is_proved = matches!(holding, Holding::Whole(_));
        RestoreAnswer {
            word: match holding {
                Holding::Whole(_) => Certainty::Yes,
                good if good.is_good() => Certainty::Probably,
                _ => Certainty::Perhaps,
            },
            target: holders.get(number).map(|holder| holder.dial.clone()),
            partition: file_system.partition.clone(),
            as_of: root.recorded,
            holding: Some(holding),
            proof: if is_proved {
                None
            } else {
                proof(file_system, holders)
            },
            has_roots: true,
            lacks_newest: newest.is_some_and(|root| root.is_lost(holders)),
        }
    }

    /// Where no root is on record: by what the targets have acknowledged.
    pub(super) fn without_roots(holders: &[Holder]) -> Self {
        type Until = fn(&Holder) -> Option<SystemTime>;
        let lossy: Until = |holder| holder.acknowledged.and(holder.has_until);
        let whole: Until = |holder| {
            let acknowledged = holder.acknowledged.filter(|_| !holder.has_loss);
            acknowledged.and(holder.has_until)
        };
        let heard: Until = |holder| holder.acknowledged;
        let kinds = [
            (Certainty::Probably, None, whole),
            (Certainty::Perhaps, Some(Holding::Doubtful), lossy),
            (Certainty::Perhaps, Some(Holding::Unknown), heard),
        ];
        for (word, holding, time) in kinds {
            let copies = holders.iter().filter(|holder| holder.is_copy);
            let times = copies.filter_map(|holder| Some((holder, time(holder)?)));
            if let Some((holder, as_of)) = times.max_by_key(|(_, time)| *time) {
                return RestoreAnswer {
                    word,
                    target: Some(holder.dial.clone()),
                    as_of: Some(as_of),
                    holding,
                    ..Self::none()
                };
            }
        }
        Self::none()
    }

    fn none() -> Self {
        RestoreAnswer {
            word: Certainty::No,
            target: None,
            partition: None,
            as_of: None,
            holding: None,
            proof: None,
            has_roots: false,
            lacks_newest: false,
        }
    }

    /// Whether what would be restored is that many hours old, or nothing can be; where no
    /// root is on record, nothing says how old one should be.
    pub(super) fn is_late(&self, hours: u64, now: SystemTime) -> bool {
        let is_old = |time| age::of(time, now).is_none_or(|age| age >= age::hours(hours));
        let is_recorded = self.has_roots && self.partition.is_some();
        // What has no date may be of any age.
        is_recorded && (self.word == Certainty::No || self.as_of.is_none_or(is_old))
    }

    /// What would be restored.
    fn what(&self) -> String {
        match (&self.partition, self.has_roots) {
            (Some(partition), _) => printable(partition.as_bytes()),
            (None, true) => "a root that was given to rootcheck".to_owned(),
            (None, false) if self.holding == Some(Holding::Unknown) => {
                "what it acknowledged".into()
            }
            (None, false) => "all that the source had on disk".to_owned(),
        }
    }

    /// The sentence, with times as they are in state files.
    pub(super) fn sentence(&self, now: SystemTime) -> Sentence<'_> {
        Sentence {
            answer: self,
            now,
            time: |time| Utc(time).to_string(),
        }
    }
}

/// The newest root that was read back whole.
fn proof(file_system: &FileSystem, holders: &[Holder]) -> Option<ReadBackRoot> {
    file_system.roots.iter().find_map(|root| {
        let (number, holding) = root.best(holders)?;
        let Holding::Whole(time) = holding else {
            return None;
        };
        Some(ReadBackRoot {
            target: holders.get(number)?.dial.clone(),
            recorded: root.recorded,
            time,
        })
    })
}

/// The answer in words, on one line.
pub(super) struct Sentence<'a> {
    pub(super) answer: &'a RestoreAnswer,
    pub(super) now: SystemTime,
    /// How a time is written.
    pub(super) time: fn(SystemTime) -> String,
}

impl Sentence<'_> {
    fn time(&self, time: Option<SystemTime>) -> String {
        match time {
            Some(time) => format!("{} ({})", (self.time)(time), ago(time, self.now)),
            None => "at a time that is not on record".to_owned(),
        }
    }

    /// Why the answer is believed, or not.
    pub(super) fn reason(&self) -> String {
        match self.answer.holding {
            Some(Holding::Whole(time)) => {
                format!("every block was read back there {}", self.time(Some(time)))
            }
            Some(Holding::Present(time)) => format!(
                "that venti said that it has every block {}; they were not read",
                self.time(Some(time))
            ),
            Some(Holding::Acknowledged) => "acknowledged there, not yet read back".to_owned(),
            Some(Holding::Doubtful) => {
                "acknowledged there, but blocks are on record as lost or missing there".to_owned()
            }
            Some(_) => "nothing on record says whether all of it is there".to_owned(),
            None if self.answer.target.is_some() => {
                "acknowledged there; no root is on record".into()
            }
            None if self.answer.has_roots => {
                "no target has a root that is on record, as far as is known".to_owned()
            }
            None => "no target has acknowledged anything".to_owned(),
        }
    }

    /// The older root that was read back, where there is one.
    pub(super) fn proof(&self) -> Option<String> {
        let proof = self.answer.proof.as_ref()?;
        Some(format!(
            "an older root, as it was {}, was read back whole from {} {}",
            self.time(proof.recorded),
            proof.target,
            self.time(Some(proof.time))
        ))
    }
}

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = self.answer;
        f.write_str(answer.word.text())?;
        if answer.lacks_newest && answer.target.is_some() {
            f.write_str(", but not the newest root")?;
        }
        match &answer.target {
            Some(target) => write!(
                f,
                ", from {target}: {} as it was {}; {}",
                answer.what(),
                self.time(answer.as_of),
                self.reason()
            )?,
            None => write!(f, ": {}", self.reason())?,
        }
        match self.proof() {
            Some(proof) => write!(f, "; {proof}"),
            None => Ok(()),
        }
    }
}
