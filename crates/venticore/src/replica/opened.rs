//! Arenas to be read, wherever they are: a partition, a file, a replica.

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;

use eyre::{Result, WrapErr};

use super::{ReplicaSource, StoreAccess};
use crate::codec::replica::ReplicaName;
use crate::host::partition::Partition;
use crate::source::ReadAt;

/// What an operand names.
pub struct OpenedSource {
    /// Its bytes.
    pub source: Arc<dyn ReadAt>,
    /// The same as a partition, where it is one and not a replica.
    pub partition: Option<Arc<Partition>>,
    /// What is wrong with it, as far as that was seen.
    pub notes: Vec<String>,
}

impl OpenedSource {
    /// Opens a partition, a file or a replica to be read.
    ///
    /// # Errors
    /// It is not an operand, or it cannot be opened.
    pub fn named(operand: &OsStr, access: &StoreAccess) -> Result<Self> {
        match operand.to_str().filter(|text| ReplicaName::is_meant(text)) {
            Some(text) => {
                let name: ReplicaName = text.parse()?;
                let opened =
                    ReplicaSource::open(&name, access).wrap_err_with(|| name.to_string())?;
                Ok(OpenedSource {
                    notes: opened.notes().to_vec(),
                    source: Arc::new(opened),
                    partition: None,
                })
            }
            None => Ok(Self::of(Partition::named(operand)?)),
        }
    }

    fn of(partition: Partition) -> Self {
        let partition = Arc::new(partition);
        OpenedSource {
            source: Arc::clone(&partition) as Arc<dyn ReadAt>,
            partition: Some(partition),
            notes: Vec::new(),
        }
    }
}

impl ReadAt for OpenedSource {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.source.read_at(buf, offset)
    }

    fn size(&self) -> u64 {
        self.source.size()
    }

    fn is_hole(&self, offset: u64, len: usize) -> bool {
        self.source.is_hole(offset, len)
    }
}
