//! A file tree that goes into a real venti and comes back: `tree` in a
//! directory, with its score beside it in `tree.vac`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Plan9, Venti, fed};
use crate::tree::{Node, nodes};

impl Plan9 {
    /// Puts the tree of this directory into a venti.
    ///
    /// # Panics
    ///
    /// When that fails.
    pub fn vac(&self, directory: &Path, venti: &Venti) {
        // vac adds to a file that is there.
        let _ = fs::remove_file(directory.join("tree.vac"));
        let mut vac = self.command("vac");
        vac.current_dir(directory);
        vac.args(["-f", "tree.vac", "-h", &venti.address(), "tree"]);
        let _ = fed(&mut vac, b"");
    }

    /// That tree as it comes back from a venti.
    ///
    /// # Panics
    ///
    /// When it does not.
    #[must_use]
    pub fn unvac(&self, directory: &Path, venti: &str) -> BTreeMap<PathBuf, Node> {
        let to = tempfile::tempdir_in(directory).expect("a directory for the tree");
        let mut unvac = self.command("unvac");
        unvac.current_dir(to.path()).args(["-h", venti]);
        let _ = fed(unvac.arg(directory.join("tree.vac")), b"");
        nodes(&to.path().join("tree"))
    }
}
