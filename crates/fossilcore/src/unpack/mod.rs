//! Files of an archive, made on this machine.
//!
//! A file is written under a name of its own and gets its name when all of it is there.
//! What stands there already is never written over, and no link is followed.

mod batch;
mod compare;
mod target;

use std::io;
use std::path::Path;
use std::rc::Rc;

use eyre::{Report, Result};

use crate::archive::{ArchiveItem, Contents, Folder};
use crate::disk::DirEntry;
use batch::CopyBatch;
use compare::Comparison;
use target::{Refusal, TargetTree};
use venticore::codec::tree::Entry;
use venticore::net::client::ClientError;
use venticore::net::tree::{Blocks, read_streams};
use venticore::status::{Failure, Status};
use venticore::text::in_lower_case;

/// Files that are copied together.
const TOGETHER: usize = 4096;

/// The most bytes of a symbolic link's target.
const LINK_MAX: u64 = 4095;

/// What became of something in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyOutcome {
    /// It is there, as it was.
    Copied,
    /// It was read again from the disk, and is as in the archive.
    Compared,
    /// It was read again from the disk, and is not as in the archive.
    Differs(String),
    /// It was not made, and nothing is wrong with the archive.
    Refused(String),
    /// It could not be written.
    Failed(String),
    /// It, or a part of it, is missing or damaged in the archive.
    Damaged(String),
    /// Only its name is in the archive.
    Unused,
}

/// What was done with one name.
#[derive(Debug)]
pub struct Done<'a> {
    /// Where it is in the archive.
    pub above: &'a Folder,
    /// Its name, mode and times; `None` where it is about the directory itself.
    pub info: Option<&'a DirEntry>,
    /// Bytes of it.
    pub size: u64,
    /// What became of it.
    pub outcome: CopyOutcome,
}

/// Takes what was done.
pub type TakeDone<'r> = dyn FnMut(&Done<'_>) + 'r;

/// A file to be copied.
struct FileCopy {
    above: Rc<Folder>,
    info: DirEntry,
    entry: Entry,
}

impl FileCopy {
    fn is_link(&self) -> bool {
        self.info.mode & DirEntry::LINK != 0
    }
}

/// A copy into a directory.
pub struct Unpack<'r> {
    target: TargetTree,
    report: Box<TakeDone<'r>>,
    /// What was copied is read again from the disk.
    compares: bool,
    /// Why nothing more can be written.
    full: Option<io::Error>,
}

impl<'r> Unpack<'r> {
    /// A copy of what is in `above` into this directory, which is made if it is not there.
    /// With `compares`, what was copied is read again from the disk.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub fn into(
        directory: &Path,
        above: &Rc<Folder>,
        compares: bool,
        report: impl FnMut(&Done<'_>) + 'r,
    ) -> io::Result<Self> {
        Ok(Unpack {
            target: TargetTree::open(directory, above)?,
            report: Box::new(report),
            compares,
            full: None,
        })
    }

    /// Copies everything.
    ///
    /// # Errors
    /// The venti was lost, or nothing more can be written; what becomes of single files is
    /// reported.
    pub fn run(&mut self, blocks: &mut dyn Blocks, contents: &mut Contents) -> Result<()> {
        loop {
            let mut jobs = Vec::new();
            while jobs.len() < TOGETHER && self.full.is_none() {
                let Some(found) = contents.next(blocks)? else {
                    break;
                };
                self.take(found, contents, &mut jobs);
            }
            let is_last = jobs.len() < TOGETHER;
            let copied = self.copy(blocks, jobs)?;
            if let Some(error) = self.full.take() {
                return Err(incomplete(&error));
            }
            if is_last || self.compares {
                self.target.sync().map_err(|error| incomplete(&error))?;
            }
            if self.compares {
                read_streams(blocks, &mut Comparison::of(self, copied))?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Copies these; gives back what is to be compared.
    fn copy(
        &mut self,
        blocks: &mut dyn Blocks,
        jobs: Vec<FileCopy>,
    ) -> Result<Vec<FileCopy>, ClientError> {
        let mut batch = CopyBatch::of(self, jobs);
        let read = read_streams(blocks, &mut batch);
        let copied = batch.copied();
        read.map(|()| copied)
    }

    /// Makes a directory, or puts a file on the list.
    fn take(&mut self, found: ArchiveItem, contents: &mut Contents, jobs: &mut Vec<FileCopy>) {
        match found {
            ArchiveItem::Directory {
                above,
                folder,
                info,
                ..
            } => {
                let outcome = match self.target.enter(&above, &folder, &info) {
                    Ok(None) => CopyOutcome::Copied,
                    Ok(Some(differs)) => CopyOutcome::Refused(differs),
                    Err(refusal) => {
                        contents.skip();
                        match self.outcome(refusal) {
                            CopyOutcome::Refused(text) => {
                                CopyOutcome::Refused(format!("{text}; nothing in it was copied"))
                            }
                            other => other,
                        }
                    }
                };
                self.say(&above, Some(&info), 0, outcome);
            }
            ArchiveItem::File { above, info, entry } => match self.check(&above, &info, &entry) {
                Ok(()) => {
                    self.target.hold(above.id);
                    jobs.push(FileCopy { above, info, entry });
                }
                Err(refusal) => {
                    let outcome = self.outcome(refusal);
                    self.say(&above, Some(&info), entry.size, outcome);
                }
            },
            ArchiveItem::Unused { above, info } => {
                self.say(&above, Some(&info), 0, CopyOutcome::Unused);
            }
            ArchiveItem::Lost { above, info, cause } => {
                let outcome = CopyOutcome::Damaged(cause.to_string());
                self.say(&above, Some(&info), 0, outcome);
            }
            ArchiveItem::LostNames { folder, cause } => {
                self.say(&folder, None, 0, CopyOutcome::Damaged(cause));
            }
            ArchiveItem::End(folder) => self.release(folder.id),
        }
    }

    /// Whether a file can be made, before anything of it is read.
    fn check(&mut self, above: &Folder, info: &DirEntry, entry: &Entry) -> Result<(), Refusal> {
        match not_made(info, entry) {
            Some(text) => Err(Refusal::Refused(text)),
            None => self.target.is_free(above.id, &info.elem),
        }
    }

    /// What a refusal comes to. A disk that takes nothing more ends the copy.
    fn outcome(&mut self, refusal: Refusal) -> CopyOutcome {
        match refusal {
            Refusal::Refused(text) => CopyOutcome::Refused(text),
            Refusal::Failed(error) => {
                let outcome = CopyOutcome::Failed(in_lower_case(&error));
                if is_full(&error) && self.full.is_none() {
                    self.full = Some(error);
                }
                outcome
            }
        }
    }

    /// Something in a directory is done with.
    fn release(&mut self, id: u64) {
        for (folder, error) in self.target.release(id) {
            let outcome = self.outcome(Refusal::Failed(error));
            self.say(&folder, None, 0, outcome);
        }
    }

    fn say(&mut self, above: &Folder, info: Option<&DirEntry>, size: u64, outcome: CopyOutcome) {
        (self.report)(&Done {
            above,
            info,
            size,
            outcome,
        });
    }
}

/// Why nothing of this name can be made.
#[must_use]
pub fn name_not_made(name: &[u8]) -> Option<String> {
    match target::check_name(name) {
        Err(Refusal::Refused(text)) => Some(text),
        _ => None,
    }
}

/// Why a file of an archive can be made nowhere, whatever its contents.
#[must_use]
pub fn not_made(info: &DirEntry, entry: &Entry) -> Option<String> {
    if let Some(text) = name_not_made(&info.elem) {
        return Some(text);
    }
    if info.mode & DirEntry::DEVICE != 0 {
        return Some("a device, which is not made".to_owned());
    }
    if info.mode & DirEntry::PIPE != 0 {
        return Some("a named pipe, which is not made".to_owned());
    }
    let is_odd = info.mode & DirEntry::LINK != 0 && !(1..=LINK_MAX).contains(&entry.size);
    let size = entry.size;
    is_odd.then(|| format!("expected a link of 1 to {LINK_MAX} bytes, found {size}"))
}

/// Why a link with this target, as long as the archive says it is, cannot be made.
#[must_use]
pub fn link_not_made(target: &[u8]) -> Option<String> {
    match batch::check_link(target) {
        Err(Refusal::Refused(text)) => Some(text),
        _ => None,
    }
}

/// Whether nothing more can be written, whatever it is.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem
    )
}

/// Why a copy ends before its end.
fn incomplete(error: &io::Error) -> Report {
    let text = format!("{}: the copy is not complete", in_lower_case(error));
    Failure::report(Status::Failed, text)
}
