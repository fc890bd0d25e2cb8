//! The verdicts on roots, `verified`: only ever appended to, and read from its end.

use std::time::Duration;

use super::{Access, StateDir, StateError};
use crate::codec::verified::Verified;

impl StateDir {
    /// The most bytes of `verified` that are read, those at its end: some thirty thousand
    /// verdicts.
    pub const VERIFIED_READ: u64 = 4 << 20;

    /// Appends these verdicts to `verified`, a line each, in a single write, synced. No
    /// lines: nothing is written.
    ///
    /// Another writer that has the file locked is waited for as long as `wait`; see
    /// [`StateDir::ROOTSCOR_WAIT`].
    ///
    /// # Errors
    /// [`StateError::Entry`] for a NUL or newline in the name of a tool,
    /// [`StateError::Busy`] after the wait, [`StateError::Write`]: nothing of the verdicts
    /// is in the file.
    pub fn append_verified(
        &self,
        verdicts: &[Verified],
        wait: Duration,
    ) -> Result<Access, StateError> {
        let mut entry = String::new();
        for verdict in verdicts {
            if verdict.tool.contains(['\n', '\0']) {
                return Err(StateError::Entry(verdict.tool.clone()));
            }
            entry.push_str(&verdict.to_string());
            entry.push('\n');
        }
        if entry.is_empty() {
            return Ok(Access::Private);
        }
        self.append_entry(Self::VERIFIED, entry.into_bytes(), wait)
    }

    /// The newest verdicts, oldest first: those in the last [`StateDir::VERIFIED_READ`]
    /// bytes. Comments and lines of another form are passed over. Without a file:
    /// none.
    ///
    /// # Errors
    /// [`StateError::Read`], [`StateError::NotAFile`], [`StateError::Link`].
    pub fn read_verified(&self) -> Result<Vec<Verified>, StateError> {
        let lines = self.read_tail(Self::VERIFIED, Self::VERIFIED_READ)?;
        Ok(Verified::all(&lines).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::codec::score::Score;
    use crate::codec::verified::Verdict;

    const WAIT: Duration = Duration::from_secs(1);

    fn verdict(number: u64) -> Verified {
        Verified {
            score: Score::of(&number.to_be_bytes()),
            target: "venti1".parse().unwrap(),
            verdict: Verdict::Whole,
            blocks: number,
            bytes: 0,
            time: UNIX_EPOCH,
            tool: "rootcheck".to_owned(),
        }
    }

    #[test]
    fn verdicts_are_only_added_and_only_their_owner_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(StateDir::VERIFIED);
        let state = StateDir::open(dir.path()).unwrap();
        assert_eq!(state.read_verified().unwrap(), []);
        state.append_verified(&[], WAIT).unwrap();
        assert!(!path.exists());
        state
            .append_verified(&[verdict(1), verdict(2)], WAIT)
            .unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&path), 0o600);
        let first = fs::read_to_string(&path).unwrap();
        // A hand that left no newline, and opened the file to others.
        File::options()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"# by hand")
            .unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        let access = state.append_verified(&[verdict(3)], WAIT).unwrap();
        assert_eq!(access, Access::Tightened(0o644));
        let all = fs::read_to_string(&path).unwrap();
        assert_eq!(all, format!("{first}# by hand\n{}\n", verdict(3)));
        let read = state.read_verified().unwrap();
        assert_eq!(read, [verdict(1), verdict(2), verdict(3)]);
        let odd = Verified {
            tool: "a\nb".to_owned(),
            ..verdict(4)
        };
        let refused = state.append_verified(&[odd], WAIT);
        assert!(matches!(refused, Err(StateError::Entry(_))));
        let reading = StateDir::existing(dir.path()).unwrap().unwrap();
        assert!(reading.append_verified(&[verdict(5)], WAIT).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), all);
    }

    #[test]
    fn of_a_long_file_the_end_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(StateDir::VERIFIED);
        let state = StateDir::open(dir.path()).unwrap();
        let line = verdict(7).to_string().len() as u64 + 1;
        let lines = StateDir::VERIFIED_READ / line;
        let last = format!("{}\n", verdict(7)).repeat(usize::try_from(lines).unwrap());
        let rest = StateDir::VERIFIED_READ - lines * line;
        // The first line read whole begins a few bytes behind the start, or at it.
        for cut in [0, 1, rest] {
            let file = File::create(&path).unwrap();
            file.set_len(1 << 40).unwrap();
            let mut file = File::options().append(true).open(&path).unwrap();
            let junk = "x".repeat(usize::try_from(cut).unwrap());
            file.write_all(format!("{junk}\n{last}").as_bytes())
                .unwrap();
            let read = state.read_verified().unwrap();
            assert_eq!(read.len() as u64, lines, "{cut}");
        }
        // One line, longer than what is read.
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(state.read_verified().unwrap(), []);
    }
}
