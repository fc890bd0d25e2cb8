//! Replicas: an archive as a folder of objects that never change (docs/formats.md).
//!
//! Each arena has a folder. Its log lies there in stretches whose names say which bytes they
//! are, so that the order in which they came, and who wrote them, does not matter: a
//! reader puts together what goes on without a gap from the first byte on. What was
//! written is never replaced, and the log of a sealed arena, with what is before and after
//! it, is the arena byte for byte.

mod access;
mod chain;
mod directory;
mod filter;
mod opened;
mod proof;
#[cfg(feature = "s3")]
mod s3;
mod source;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use crate::codec::replica::{ArenaFolder, FORM, MARKER, ObjectName, ReplicaName};

pub use access::{AccessKey, KeySource, Secret, StoreAccess};
pub use chain::Chain;
pub use filter::Filter;
pub use opened::OpenedSource;
pub use proof::{Proof, Proven, prove};
pub use source::ReplicaSource;
pub use writer::{Appended, ReplicaWriter};

use directory::DirectoryStore;
use filter::FilteredStore;

/// Bytes of an object that is read whole, at most.
const LONGEST_OBJECT: u64 = 100 << 20;

/// An object of an arena, as a listing has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Which one.
    pub object: ObjectName,
    /// Its size in bytes, where a listing tells.
    pub size: Option<u64>,
}

/// Where objects are kept. Their names are a folder, `/` and an object's name
/// ([`crate::codec::replica`]).
///
/// Each call is one of the errors of [`io::Error`]; those that may pass, such as a lost
/// connection, have the kinds that networks have.
pub trait ObjectStore: Send + Sync {
    /// Whether nothing is in it: a replica may be made there.
    ///
    /// # Errors
    /// It cannot be listed.
    fn is_empty(&self) -> io::Result<bool>;

    /// Whether a listing costs nothing to speak of: then every run looks at all of them.
    fn lists_at_once(&self) -> bool {
        false
    }

    /// The folders that are there, without any other thing that may lie beside them.
    ///
    /// # Errors
    /// They cannot be listed.
    fn folders(&self) -> io::Result<Vec<ArenaFolder>>;

    /// The objects of an arena; none where it has no folder yet.
    ///
    /// # Errors
    /// They cannot be listed.
    fn list(&self, arena: &ArenaFolder) -> io::Result<Vec<Listed>>;

    /// Stores an object for good before it returns. The same bytes under the same name
    /// are fine.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`]: other bytes are there, and stay. Others: it may
    /// be there or not, but never a part of it.
    fn put(&self, object: &str, bytes: &[u8]) -> io::Result<()>;

    /// All of an object, of at most some 100 MiB.
    ///
    /// # Errors
    /// As [`ObjectStore::read`]; it is larger.
    fn get(&self, object: &str) -> io::Result<Vec<u8>>;

    /// Fills `buf` from an object, from this offset on.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`]: there is no such object.
    /// [`io::ErrorKind::UnexpectedEof`]: it is shorter.
    fn read(&self, object: &str, buf: &mut [u8], offset: u64) -> io::Result<()>;
}

/// Whether an error may be gone when the same is asked again: the other side did not answer,
/// or the connection was lost.
#[must_use]
pub fn may_pass(error: &io::Error) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable,
        NetworkDown, NetworkUnreachable, NotConnected, StaleNetworkFileHandle, TimedOut,
    };
    matches!(
        error.kind(),
        BrokenPipe
            | ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | NetworkDown
            | NetworkUnreachable
            | NotConnected
            | StaleNetworkFileHandle
            | TimedOut
    )
}

/// Opens the replica of this name, which is one already.
///
/// # Errors
/// [`io::ErrorKind::NotFound`], where the place or its marker is missing: a disk that is not
/// mounted looks like that.
pub fn open(name: &ReplicaName, access: &StoreAccess) -> io::Result<Arc<dyn ObjectStore>> {
    let store = store_of(name, access)?;
    see_marker(name, store.as_ref())?;
    Ok(store)
}

/// Opens the replica of this name, or makes it where nothing is: in a directory that is there,
/// or below a prefix of a bucket that is there.
///
/// # Errors
/// As [`open`]; [`io::ErrorKind::DirectoryNotEmpty`] where it is not a replica and
/// has other things in it.
pub fn open_or_make(name: &ReplicaName, access: &StoreAccess) -> io::Result<Arc<dyn ObjectStore>> {
    let store = store_of(name, access)?;
    if store.is_empty()? {
        store.put(MARKER, FORM.as_bytes())?;
    }
    see_own_marker(name, store.as_ref()).map(|()| store)
}

/// Whether a store that has something in it is a replica, and not something else.
fn see_own_marker(name: &ReplicaName, store: &dyn ObjectStore) -> io::Result<()> {
    match see_marker(name, store) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(io::Error::new(
            io::ErrorKind::DirectoryNotEmpty,
            match name {
                ReplicaName::Directory(_) => format!(
                    "expected a replica, which has a file {MARKER}, or an empty directory to make one in"
                ),
                ReplicaName::Bucket(_) => format!(
                    "expected a replica, which has an object {MARKER}, or nothing below this prefix to make one in"
                ),
            },
        )),
        seen => seen,
    }
}

/// Looks whether a replica of this name is there, and writes nothing: false where nothing is,
/// and one may be made.
///
/// # Errors
/// As [`open_or_make`].
pub fn is_made(name: &ReplicaName, access: &StoreAccess) -> io::Result<bool> {
    let store = store_of(name, access)?;
    match store.is_empty()? {
        true => Ok(false),
        false => see_own_marker(name, store.as_ref()).map(|()| true),
    }
}

fn store_of(name: &ReplicaName, access: &StoreAccess) -> io::Result<Arc<dyn ObjectStore>> {
    let store: Arc<dyn ObjectStore> = match name {
        ReplicaName::Directory(path) => Arc::new(DirectoryStore::new(path)?),
        #[cfg(feature = "s3")]
        ReplicaName::Bucket(name) => Arc::new(s3::BucketStore::new(name, access)?),
        #[cfg(not(feature = "s3"))]
        ReplicaName::Bucket(_) => return Err(io::ErrorKind::Unsupported.into()),
    };
    Ok(match &access.filter {
        Some(filter) => Arc::new(FilteredStore::new(store, filter.clone())),
        None => store,
    })
}

/// Whether a store is a replica of the form that is known here.
fn see_marker(name: &ReplicaName, store: &dyn ObjectStore) -> io::Result<()> {
    let mut form = vec![0; FORM.len()];
    match store.read(MARKER, &mut form, 0) {
        Ok(()) if form == FORM.as_bytes() => Ok(()),
        Ok(()) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "expected {FORM:?} in {MARKER}, found {:?}; what passed a filter is read with it (filter in the configuration)",
                String::from_utf8_lossy(&form)
            ),
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(io::Error::new(
            io::ErrorKind::NotFound,
            match name {
                ReplicaName::Directory(_) => {
                    format!("expected a replica, which has a file {MARKER}: is the disk mounted?")
                }
                ReplicaName::Bucket(_) => {
                    format!("expected a replica, which has an object {MARKER}")
                }
            },
        )),
        Err(error) => Err(error),
    }
}
