//! Programs through which every object passes: what encrypts, say.

use std::io;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Listed, ObjectStore};
use crate::codec::replica::ArenaFolder;
use crate::host::child::{self, ChildLimits, Listen};
use crate::text::excerpt;

/// The most bytes that come out of a program: more than any object holds.
const MOST: u64 = 80 << 20;

/// The most bytes of its standard error that are shown.
const TOLD: usize = 200;

/// Bytes of objects that are kept as they were read, the last ones.
const KEPT: usize = 40 << 20;

/// How long a program may take for an object.
const LIMITS: ChildLimits = ChildLimits {
    silence: Duration::from_secs(300),
    whole: Duration::from_secs(1800),
    output: MOST,
};

/// The two programs, each with its arguments: bytes on standard input, bytes on standard
/// output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// What an object passes on its way to the store.
    pub write: Vec<String>,
    /// What it passes on its way back.
    pub read: Vec<String>,
}

/// A store behind a filter. Sizes are not known without reading.
pub(super) struct FilteredStore {
    inner: Arc<dyn ObjectStore>,
    filter: Filter,
    /// Objects as they were before the filter, the newest at the end.
    kept: Mutex<Vec<(String, Arc<[u8]>)>>,
}

impl FilteredStore {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, filter: Filter) -> Self {
        FilteredStore {
            inner,
            filter,
            kept: Mutex::new(Vec::new()),
        }
    }

    /// All of an object.
    fn whole(&self, object: &str) -> io::Result<Arc<[u8]>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = kept.iter().position(|(name, _)| name == object) {
            let found = kept.remove(at);
            let bytes = Arc::clone(&found.1);
            kept.push(found);
            return Ok(bytes);
        }
        let stored = self.inner.get(object)?;
        let bytes: Arc<[u8]> = pass(&self.filter.read, stored)?.into();
        kept.push((object.to_owned(), Arc::clone(&bytes)));
        let mut size: usize = kept.iter().map(|(_, bytes)| bytes.len()).sum();
        while size > KEPT && kept.len() > 1 {
            size -= kept.remove(0).1.len();
        }
        Ok(bytes)
    }
}

impl ObjectStore for FilteredStore {
    fn is_empty(&self) -> io::Result<bool> {
        self.inner.is_empty()
    }

    fn lists_at_once(&self) -> bool {
        self.inner.lists_at_once()
    }

    fn folders(&self) -> io::Result<Vec<ArenaFolder>> {
        self.inner.folders()
    }

    fn list(&self, arena: &ArenaFolder) -> io::Result<Vec<Listed>> {
        let listed = self.inner.list(arena)?.into_iter();
        Ok(listed.map(|of| Listed { size: None, ..of }).collect())
    }

    fn put(&self, object: &str, bytes: &[u8]) -> io::Result<()> {
        let filtered = pass(&self.filter.write, bytes.to_vec())?;
        // What cannot be read back is not a backup, and would be found out a night later.
        if pass(&self.filter.read, filtered.clone())? != bytes {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the filter does not give back what it was given",
            ));
        }
        match self.inner.put(object, &filtered) {
            // What encrypts makes other bytes of the same each time.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                match *self.whole(object)? == *bytes {
                    true => Ok(()),
                    false => Err(error),
                }
            }
            put => put,
        }
    }

    fn get(&self, object: &str) -> io::Result<Vec<u8>> {
        Ok(self.whole(object)?.to_vec())
    }

    fn read(&self, object: &str, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let bytes = self.whole(object)?;
        let start = usize::try_from(offset).ok();
        let range = start.and_then(|start| Some(start..start.checked_add(buf.len())?));
        let found = range.and_then(|range| bytes.get(range));
        buf.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// What a stream of a program said.
#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
    broke: Option<String>,
}

impl Listen for Stream {
    fn hear(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn broke(&mut self, why: String) {
        self.broke = Some(why);
    }
}

/// Bytes through a program, which must end well.
fn pass(words: &[String], bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    let Some((program, arguments)) = words.split_first() else {
        return Ok(bytes);
    };
    let mut command = Command::new(program);
    command.args(arguments);
    let failed = |why: &dyn std::fmt::Display| io::Error::other(format!("filter {program}: {why}"));
    let ended = child::run::<Stream>(command, bytes, &LIMITS).map_err(|error| failed(&error))?;
    if let Some(why) = ended.stdout.broke {
        return Err(failed(&why));
    }
    if !ended.status.success() {
        let said = ended.stderr.bytes.trim_ascii();
        let said = said.split(|&byte| byte == b'\n').next().unwrap_or(said);
        let said = excerpt(said, TOLD);
        return Err(failed(&format!("{}: {said}", ended.status)));
    }
    Ok(ended.stdout.bytes)
}
