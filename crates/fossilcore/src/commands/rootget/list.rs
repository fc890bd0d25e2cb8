//! The list of what is in an archive, and with `-c` the proof that all of it is there.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::ops::{ControlFlow, Range};
use std::rc::Rc;

use eyre::{Report, Result, WrapErr};

use super::Options;
use super::listed::{ListedName, summary, totals};
use crate::archive::{ArchiveItem, Contents, Folder};
use crate::disk::DirEntry;
use crate::unpack::{link_not_made, name_not_made, not_made};
use venticore::codec::score::Score;
use venticore::codec::tree::Entry;
use venticore::host::terminal::{Output, Terminal};
use venticore::net::tree::{
    BadBlock, Blocks, Leaf, Leaves, StreamPart, StreamReader, read_streams,
};
use venticore::status::Status;
use venticore::text::printable;

/// Files that are checked together.
const TOGETHER: usize = 4096;

/// The most files that are remembered as whole, so that what several snapshots share is
/// read once.
const KNOWN_MAX: usize = 1 << 20;

/// A stream that was read: where it begins, and how it is laid out.
type StreamKey = (Score, u64, u8, u16);

/// A list in the making.
pub(super) struct Listing<'a> {
    options: &'a Options,
    terminal: &'a Terminal,
    output: Output,
    files: u64,
    directories: u64,
    bytes: u64,
    damaged: u64,
    /// Files that no copy would make.
    not_made: u64,
    status: Status,
    /// What is to be checked.
    unchecked: Vec<(Rc<Folder>, DirEntry, Entry)>,
    known: HashSet<StreamKey>,
}

impl<'a> Listing<'a> {
    pub(super) fn new(options: &'a Options, terminal: &'a Terminal) -> Self {
        Listing {
            options,
            terminal,
            output: terminal.output(),
            files: 0,
            directories: 0,
            bytes: 0,
            damaged: 0,
            not_made: 0,
            status: Status::Done,
            unchecked: Vec::new(),
            known: HashSet::new(),
        }
    }

    pub(super) fn worsen(&mut self, status: Status) {
        self.status = self.status.worst(status);
    }

    /// Lists all of this.
    pub(super) fn run(&mut self, blocks: &mut dyn Blocks, contents: &mut Contents) -> Result<()> {
        while let Some(found) = contents.next(blocks)? {
            self.take(found).wrap_err("standard output")?;
            if self.unchecked.len() >= TOGETHER {
                self.check(blocks)?;
            }
            self.terminal.files(self.files, self.bytes);
            if self.output.is_closed() && !self.options.check {
                break;
            }
        }
        self.check(blocks)
    }

    fn take(&mut self, found: ArchiveItem) -> io::Result<()> {
        match found {
            ArchiveItem::Directory { above, info, .. } => {
                self.directories += 1;
                self.line(&above, &info, 0)?;
                let cause = name_not_made(&info.elem).filter(|_| self.options.check);
                if let Some(cause) = cause {
                    self.refused(&above, &info.elem, &cause);
                }
            }
            ArchiveItem::File { above, info, entry } => {
                self.files += 1;
                self.bytes += entry.size;
                self.line(&above, &info, entry.size)?;
                if !self.options.check {
                    return Ok(());
                }
                if let Some(cause) = not_made(&info, &entry) {
                    self.refused(&above, &info.elem, &cause);
                }
                if is_link(&info) || !self.known.contains(&key(&entry)) {
                    self.unchecked.push((above, info, entry));
                }
            }
            ArchiveItem::Unused { above, info } => {
                let path = printable(&above.path_of(&info.elem));
                let text = "the archive has its name, but not its contents";
                self.terminal.detail(|| format!("{path}: {text}"));
            }
            ArchiveItem::Lost { above, info, cause } => self.damaged(&above, &info.elem, &cause),
            ArchiveItem::LostNames { folder, cause } => {
                self.damaged(&folder, b"", &cause);
            }
            ArchiveItem::End(_) => {}
        }
        Ok(())
    }

    /// Prints the line of a name. Its path is made only for that: it may be long.
    fn line(&mut self, above: &Folder, info: &DirEntry, size: u64) -> io::Result<()> {
        if self.options.quiet && !self.options.json {
            return Ok(());
        }
        let path = above.path_of(&info.elem);
        let listed = ListedName::of(&path, Some(info), size);
        let line = match self.options.json {
            true => listed.json(),
            false => listed.text(),
        };
        writeln!(self.output, "{line}")
    }

    fn damaged(&mut self, above: &Folder, name: &[u8], cause: &str) {
        self.damaged += 1;
        self.worsen(Status::Unverified);
        let path = match &*printable(&above.path_of(name)) {
            "" => "the root directory".to_owned(),
            path => path.to_owned(),
        };
        self.terminal.say(&format!("{path}: damaged: {cause}"));
    }

    /// A file that a copy would leave out.
    fn refused(&mut self, above: &Folder, name: &[u8], cause: &str) {
        self.not_made += 1;
        self.worsen(Status::Failed);
        let path = printable(&above.path_of(name));
        self.terminal
            .say(&format!("{path}: would not be copied: {cause}"));
    }

    /// Reads everything that was listed and not read yet.
    fn check(&mut self, blocks: &mut dyn Blocks) -> Result<()> {
        let files = std::mem::take(&mut self.unchecked);
        let mut checker = Checker {
            files: &files,
            next: 0,
            damaged: Vec::new(),
            links: HashMap::new(),
        };
        read_streams(blocks, &mut checker)?;
        let (damaged, links) = (checker.damaged, checker.links);
        let mut bad = HashSet::new();
        for (id, damage) in damaged {
            if let Some((above, info, _)) = files.get(id) {
                bad.insert(id);
                self.damaged(above, &info.elem, &damage.to_string());
            }
        }
        for (id, target) in links {
            let cause = link_not_made(&target).filter(|_| !bad.contains(&id));
            if let Some(((above, info, _), cause)) = files.get(id).zip(cause) {
                self.refused(above, &info.elem, &cause);
            }
        }
        for (id, (_, _, entry)) in files.iter().enumerate() {
            if !bad.contains(&id) && self.known.len() < KNOWN_MAX {
                self.known.insert(key(entry));
            }
        }
        Ok(())
    }

    /// What all of it came to.
    pub(super) fn end(mut self) -> Result<Status> {
        self.terminal.clear();
        let (files, directories, bytes) = (self.files, self.directories, self.bytes);
        if self.options.json {
            let line = summary(&[
                ("files", files),
                ("directories", directories),
                ("bytes", bytes),
                ("damaged", self.damaged),
                ("status", self.status.code().into()),
            ]);
            writeln!(self.output, "{line}").wrap_err("standard output")?;
        }
        let flushed = self.output.flush();
        flushed.map_err(|error| Report::new(error).wrap_err("standard output"))?;
        if self.options.check {
            let what = match (self.damaged, self.not_made) {
                (0, 0) => "all there, every block read".to_owned(),
                (0, left) => format!("every block read, {left} would not be copied"),
                (damaged, 0) => format!("{damaged} damaged"),
                (damaged, left) => format!("{damaged} damaged, {left} would not be copied"),
            };
            let totals = totals(files, directories, bytes);
            self.terminal.report(&format!("{totals}: {what}"));
        }
        Ok(self.status)
    }
}

fn is_link(info: &DirEntry) -> bool {
    info.mode & DirEntry::LINK != 0
}

fn key(entry: &Entry) -> StreamKey {
    (entry.score, entry.size, entry.depth, entry.stored_dsize)
}

/// Reads files, and keeps nothing of them.
struct Checker<'f> {
    files: &'f [(Rc<Folder>, DirEntry, Entry)],
    next: usize,
    damaged: Vec<(usize, BadBlock)>,
    /// What the links point to, by the number of the file.
    links: HashMap<usize, Vec<u8>>,
}

impl StreamReader for Checker<'_> {
    fn next(&mut self) -> Option<StreamPart> {
        let id = self.next;
        let (_, _, entry) = self.files.get(id)?;
        self.next += 1;
        Some(StreamPart {
            entry: *entry,
            id,
            leaves: Leaves::All,
        })
    }

    fn leaf(&mut self, leaf: Leaf<'_>) {
        let file = self.files.get(leaf.id);
        let Some((_, _, entry)) =
            file.filter(|(_, info, entry)| is_link(info) && not_made(info, entry).is_none())
        else {
            return;
        };
        let target = self.links.entry(leaf.id).or_default();
        target.resize(usize::try_from(entry.size).unwrap_or(0), 0);
        let at = usize::try_from(leaf.number * entry.dsize()).unwrap_or(usize::MAX);
        for (to, byte) in target.iter_mut().skip(at).zip(leaf.data) {
            *to = *byte;
        }
    }

    fn damage(&mut self, id: usize, _leaves: Range<u64>, damage: BadBlock) -> ControlFlow<()> {
        self.damaged.push((id, damage));
        ControlFlow::Break(())
    }

    fn end(&mut self, _id: usize) {}
}
