//! Logs of what runs for long: lines with the time, in two files of bounded size.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::SystemTime;

use crate::codec::utc::Utc;

use super::{StateDir, StateError, make_private, open_or_make};
use crate::text::one_line;

/// A log file. Once it is full it becomes `NAME.old`, in place of the one before.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    file: File,
    len: u64,
}

impl LogFile {
    /// The most bytes of one file.
    pub const MAX: u64 = 1 << 20;

    /// Adds a line: the time, who says it, and what.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn line(&mut self, who: &str, text: &str) -> io::Result<()> {
        if self.len >= Self::MAX {
            let mut old = self.path.clone().into_os_string();
            old.push(".old");
            match fs::rename(&self.path, &old) {
                // It was removed, or no other could be made the last time.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                renamed => renamed?,
            }
            (self.file, self.len) = open(&self.path).map_err(io::Error::other)?;
        }
        let now = Utc(SystemTime::now());
        let line = format!("{now} {who}: {}\n", one_line(text));
        self.file.write_all(line.as_bytes())?;
        self.len += line.len() as u64;
        Ok(())
    }
}

impl StateDir {
    /// A log in the directory, 0600, that is appended to.
    ///
    /// # Errors
    /// It cannot be opened or made.
    pub fn log(&self, name: &str) -> Result<LogFile, StateError> {
        let path = self.writable(name)?;
        let (file, len) = open(&path)?;
        Ok(LogFile { path, file, len })
    }
}

fn open(path: &std::path::Path) -> Result<(File, u64), StateError> {
    let (file, meta) = open_or_make(path, true)?;
    make_private(&file).map_err(|cause| StateError::write(path, cause))?;
    Ok((file, meta.len()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_full_log_makes_room_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        let mut log = state.log("l").unwrap();
        log.line("a", &"x".repeat(1 << 20)).unwrap();
        log.line("b", "two\nlines").unwrap();
        let text = fs::read_to_string(dir.path().join("l")).unwrap();
        assert!(text.ends_with("Z b: two lines\n"), "{text}");
        assert_eq!(text.lines().count(), 1);
        assert!(dir.path().join("l.old").exists());
        let mode = fs::metadata(dir.path().join("l")).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    #[test]
    fn a_log_that_was_removed_is_begun_again() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        let mut log = state.log("l").unwrap();
        log.line("a", &"x".repeat(1 << 20)).unwrap();
        fs::remove_file(dir.path().join("l")).unwrap();
        log.line("b", "two").unwrap();
        let text = fs::read_to_string(dir.path().join("l")).unwrap();
        assert!(text.ends_with("Z b: two\n"), "{text}");
    }
}
