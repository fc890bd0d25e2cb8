//! How long ago something was.

use std::fmt;
use std::time::{Duration, SystemTime};

/// How far ahead of this machine's clock a record may be: several machines keep one state
/// directory, and their clocks differ.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// Whether a time is one to come. A clock was set back since it was written down.
pub(super) fn is_future(time: SystemTime, now: SystemTime) -> bool {
    time.duration_since(now).is_ok_and(|ahead| ahead > SKEW)
}

/// How long ago a time was; none where it is one to come.
pub(super) fn of(time: SystemTime, now: SystemTime) -> Option<Duration> {
    let is_past = !is_future(time, now);
    is_past.then(|| now.duration_since(time).unwrap_or_default())
}

pub(super) fn hours(count: u64) -> Duration {
    Duration::from_secs(count.saturating_mul(3600))
}

/// A duration for people, in the largest unit of which there are two.
pub(super) struct Age(pub(super) Duration);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 3] = [(24 * 3600, "day"), (3600, "hour"), (60, "minute")];
        let seconds = self.0.as_secs();
        let unit = UNITS.into_iter().find(|(unit, _)| seconds >= 2 * unit);
        let (unit, name) = unit.unwrap_or((1, "second"));
        match seconds / unit {
            1 => write!(f, "1 {name}"),
            count => write!(f, "{count} {name}s"),
        }
    }
}

/// `6 hours ago`, or what a time to come is.
pub(super) fn ago(time: SystemTime, now: SystemTime) -> String {
    match of(time, now) {
        Some(age) => format!("{} ago", Age(age)),
        None => "in the future: a clock was set back".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn an_age_has_the_largest_unit_of_which_there_are_two() {
        for (seconds, text) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (119, "119 seconds"),
            (120, "2 minutes"),
            (7199, "119 minutes"),
            (7200, "2 hours"),
            (172_799, "47 hours"),
            (172_800, "2 days"),
            (u64::MAX, "213503982334601 days"),
        ] {
            assert_eq!(Age(Duration::from_secs(seconds)).to_string(), text);
        }
    }

    #[test]
    fn a_clock_that_is_a_little_ahead_is_not_one_that_was_set_back() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        assert_eq!(ago(now + SKEW, now), "0 seconds ago");
        assert!(ago(now + SKEW * 2, now).starts_with("in the future"));
        assert_eq!(of(now + SKEW * 2, now), None);
    }
}
