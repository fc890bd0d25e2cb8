//! A time as ISO 8601 in UTC.

use crate::codec::invalid::Invalid;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Prints as `2026-11-22T03:56:12Z`; parts of a second are dropped. That form,
/// with a year of four digits, is also what is read.
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

/// The day, counted from 1970-01-01, of a year, month and day: [`civil`] backwards.
fn days(year: i64, month: i64, date: i64) -> i64 {
    const ERA: i64 = 400 * 365 + 97;
    let year = year - i64::from(month <= 2);
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let from_march = (month + 9) % 12;
    let day = (153 * from_march + 2) / 5 + date - 1;
    ERA * era + 365 * year + year / 4 - year / 100 + day - 719_468
}

impl FromStr for Utc {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let field = |from: usize, to: usize| -> Option<i64> {
            let digits = text.get(from..to)?;
            let plain = digits.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten()
        };
        let read = || {
            let day = days(field(0, 4)?, field(5, 7)?, field(8, 10)?);
            let second = 3600 * field(11, 13)? + 60 * field(14, 16)? + field(17, 19)?;
            let seconds = DAY * day + second;
            let distance = Duration::from_secs(seconds.unsigned_abs());
            if seconds < 0 {
                UNIX_EPOCH.checked_sub(distance)
            } else {
                UNIX_EPOCH.checked_add(distance)
            }
        };
        // A date that does not exist, or other marks between the digits, prints otherwise.
        let time = read().map(Utc).filter(|time| time.to_string() == text);
        time.ok_or_else(|| Invalid::Time(text.to_owned()))
    }
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

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T03:56:12",
            "2026-11-22T03:56:12+",
            "2026-11-22 03:56:12Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-11-00T00:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T03:60:12Z",
            "+026-11-22T03:56:12Z",
            "2026-11-22T03:56:12Z ",
            "2026-11-2\u{663}03:56:12Z",
        ] {
            let said = text.parse::<Utc>().unwrap_err().to_string();
            assert!(said.contains("2026-11-22T03:56:12Z, found"), "{said}");
        }
    }

    proptest! {
        #[test]
        fn a_printed_time_is_read_back(seconds in -62_167_219_200..=253_402_300_799_i64) {
            let step = Duration::from_secs(seconds.unsigned_abs());
            let time = if seconds < 0 { UNIX_EPOCH - step } else { UNIX_EPOCH + step };
            prop_assert_eq!(Utc(time).to_string().parse(), Ok(Utc(time)));
        }

        #[test]
        fn any_text_is_a_time_or_refused(text in "\\PC{0,24}|[0-9TZ:-]{20}") {
            if let Ok(time) = text.parse::<Utc>() {
                prop_assert_eq!(time.to_string(), text);
            }
        }

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
