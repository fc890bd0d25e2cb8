//! A time as ISO 8601 in UTC.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// Prints as `2026-11-22T03:56:12Z`; parts of a second are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utc(pub SystemTime);

const DAY: i64 = 24 * 60 * 60;

impl Utc {
    /// Seconds since 1970, rounded down.
    fn seconds(self) -> i64 {
        match self.0.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            Err(e) => {
                let before = e.duration();
                let part = i64::from(before.subsec_nanos() > 0);
                -i64::try_from(before.as_secs()).unwrap_or(i64::MAX) - part
            }
        }
    }
}

/// Year, month and day of a day counted from 1970-01-01.
///
/// Counts in eras of 400 years that begin on the first of March, so that the
/// leap day is the last of its year.
fn civil(days: i64) -> (i64, i64, i64) {
    const ERA: i64 = 400 * 365 + 97;
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year = (day - day / 1460 + day / 36_524 - day / (ERA - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day + 2) / 153;
    let date = day - (153 * from_march + 2) / 5 + 1;
    let month = (from_march + 2) % 12 + 1;
    let january = i64::from(month <= 2);
    (400 * era + year + january, month, date)
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.seconds();
        let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn after(seconds: u64) -> String {
        Utc(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
    }

    #[test]
    fn known_times() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_319_772, "2026-11-22T03:56:12Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(after(seconds), text);
        }
        let before = UNIX_EPOCH - Duration::from_millis(1);
        assert_eq!(Utc(before).to_string(), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn days_follow_one_another() {
        let mut next = (0, 3, 1);
        for day in -719_468..200_000 {
            assert_eq!(civil(day), next);
            let (year, month, date) = next;
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 => 28 + i64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            next = match (month, date) {
                (12, 31) => (year + 1, 1, 1),
                (_, date) if date == length => (year, month + 1, 1),
                (_, date) => (year, month, date + 1),
            };
        }
    }

    proptest! {
        #[test]
        fn any_time_is_printed(seconds in any::<i64>()) {
            let step = Duration::from_secs(seconds.unsigned_abs());
            let time = if seconds < 0 { UNIX_EPOCH.checked_sub(step) } else { UNIX_EPOCH.checked_add(step) };
            if let Some(time) = time {
                prop_assert!(Utc(time).to_string().ends_with('Z'));
            }
        }
    }
}
