//! Keeping what is about to be overwritten elsewhere.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{StateDir, StateError, make_private, open_plain, parent_of, sync_dir};

/// Names tried before a new file is given up.
const MAX_TRIES: usize = 100;

impl StateDir {
    /// Makes a new file of this name, or of this name and a number where there
    /// is one already, and says where it is. When this returns, the file
    /// outlasts a power cut. It belongs to us, also where the directory is
    /// another's: what is put back from it must be what we kept.
    ///
    /// # Errors
    /// [`StateError::Write`]: the file does not exist then.
    pub fn keep(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, StateError> {
        self.keep_with(name, |file| file.write_all(bytes))
    }

    /// The same for what `fill` writes, which need not be in memory as a whole.
    ///
    /// # Errors
    /// [`StateError::Write`], also with what `fill` fails with: the file does
    /// not exist then.
    pub fn keep_with(
        &self,
        name: &str,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<PathBuf, StateError> {
        for count in 0..MAX_TRIES {
            let path = match count {
                0 => self.writable(name)?,
                count => self.writable(&format!("{name}.{count}"))?,
            };
            let mut options = OpenOptions::new();
            match open_plain(&path, options.write(true).create_new(true).mode(0o600)) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(cause) => return Err(StateError::write(&path, cause)),
                Ok(file) => return filled(&path, file, fill).map(|()| path),
            }
        }
        let path = self.path_of(name);
        Err(StateError::write(
            &path,
            io::ErrorKind::AlreadyExists.into(),
        ))
    }
}

fn filled(
    path: &Path,
    mut file: File,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), StateError> {
    let dir = parent_of(path);
    let done = make_private(&file)
        .and_then(|_| fill(&mut file))
        .and_then(|()| file.sync_all())
        .and_then(|()| sync_dir(dir));
    done.map_err(|cause| {
        // A part of it would pass for the whole.
        let _ = fs::remove_file(path);
        StateError::write(path, cause)
    })
}
