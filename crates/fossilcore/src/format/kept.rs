//! The undo files of a state directory: found, listed, and removed when the
//! configuration says that there are too many or that they are too old.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use venticore::codec::utc::Utc;
use venticore::config;
use venticore::host::partition::Partition;
use venticore::host::terminal::Terminal;
use venticore::text::one_line;

use super::ChangeError;
use super::undo::UndoFile;

/// How the name of an undo file ends.
pub(super) const SUFFIX: &str = "undo";

/// The most undo files that are looked at.
const LOOKED_AT: usize = 256;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The undo files in a directory, the newest first.
pub(super) fn newest_first(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().contains(&format!(".{SUFFIX}")))
        .collect();
    // Names begin with the tool, then the time.
    let time = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.split_once('.').map(|(_, rest)| rest.to_owned())
    };
    paths.sort_by_key(|path| std::cmp::Reverse(time(path)));
    paths.truncate(LOOKED_AT);
    paths
}

/// A line for each undo file of a directory, the newest first: file, partition,
/// when it was made, the last archive before, bytes. Or why a file is none.
#[must_use]
pub fn listed(dir: &Path) -> Vec<Result<String, (PathBuf, ChangeError)>> {
    let line = |path: PathBuf| match UndoFile::open(&path) {
        Ok(undo) => {
            let old = undo
                .old
                .map_or("none".to_owned(), |old| format!("vac:{old}"));
            let bytes = fs::metadata(&path).map_or(0, |meta| meta.len());
            let line = format!(
                "{} {} {} {old} {bytes}",
                path.display(),
                undo.partition,
                Utc(undo.time)
            );
            Ok(one_line(&line))
        }
        Err(error) => Err((path, error)),
    };
    newest_first(dir).into_iter().map(line).collect()
}

/// Removes undo files of a partition after a format of it that ended: those beyond
/// the number, and those older than the age, that the configuration keeps. The one just
/// made stays, and so do the undo files of other partitions, whose formats may not
/// have ended.
pub(super) fn prune(
    dir: &Path,
    kept: config::Undo,
    partition: &Partition,
    made: &Path,
    terminal: &Terminal,
) {
    let (keep, days) = (kept.keep, kept.days);
    if keep.is_none() && days.is_none() {
        return;
    }
    let operand = partition.operand().to_string();
    let mut count = 1;
    for path in newest_first(dir) {
        let Ok(undo) = UndoFile::open(&path) else {
            continue;
        };
        let same = undo.partition == operand && undo.length == partition.len();
        if !same || path == made {
            continue;
        }
        count += 1;
        let age = SystemTime::now().duration_since(undo.time);
        let is_old = days.is_some_and(|days| age.is_ok_and(|age| age > DAY.saturating_mul(days)));
        if !is_old && keep.is_none_or(|keep| count <= keep) {
            continue;
        }
        match fs::remove_file(&path) {
            Ok(()) => terminal.detail(|| format!("{}: an old undo file, removed", path.display())),
            Err(error) => terminal.say(&format!("{}: cannot be removed: {error}", path.display())),
        }
    }
}
