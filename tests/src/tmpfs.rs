//! A small file system in memory, which can be full or for reading only.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A mounted tmpfs, unmounted when dropped.
#[derive(Debug)]
pub struct Tmpfs(TempDir);

impl Tmpfs {
    /// One of this size, as mount(8) takes it; none where this system does not let us mount.
    ///
    /// # Panics
    ///
    /// When there is no directory to mount it at.
    #[must_use]
    pub fn mount(size: &str) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory for temporary files");
        let mounted = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={size},mode=700"),
                "none",
            ])
            .arg(directory.path())
            .stderr(Stdio::null())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then_some(Tmpfs(directory))
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// From here on it cannot be written.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub fn make_read_only(&self) {
        let mut remount = Command::new("mount");
        remount.args(["-o", "remount,ro"]).arg(self.path());
        assert!(remount.status().expect("mount").success());
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Left mounted, it is in nobody's way.
        let _ = Command::new("umount").arg(self.path()).status();
    }
}
