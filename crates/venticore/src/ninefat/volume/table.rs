//! The allocation table: which clusters are free, and which follows which.

use std::io;
use std::ops::Range;

use super::{Bad, Bytes, Kind, RESERVED, Shape};

/// The allocation table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    kind: Kind,
    clusters: u32,
    bytes: Vec<u8>,
}

impl Table {
    /// Reads the first copy.
    pub(super) fn read(bytes: &impl Bytes, shape: &Shape) -> io::Result<Self> {
        let len = shape.table.end - shape.table.start;
        let mut table = Table {
            kind: shape.kind,
            clusters: shape.clusters,
            bytes: vec![0; usize::try_from(len).unwrap_or(0)],
        };
        bytes.read_at(&mut table.bytes, shape.table.start)?;
        Ok(table)
    }

    /// The number as it stands in the table.
    pub(crate) fn raw(&self, cluster: u32) -> Option<u32> {
        let at = usize::try_from(cluster).ok()?;
        let byte = |at: usize| self.bytes.get(at).copied().map(u32::from);
        match self.kind {
            Kind::Fat12 => {
                let at = at + at / 2;
                let pair = byte(at)? | byte(at + 1)? << 8;
                Some(if cluster.is_multiple_of(2) {
                    pair & 0xfff
                } else {
                    pair >> 4
                })
            }
            Kind::Fat16 => Some(byte(2 * at)? | byte(2 * at + 1)? << 8),
            Kind::Fat32 => {
                let word = self.bytes.get(4 * at..)?.first_chunk::<4>()?;
                Some(u32::from_le_bytes(*word) & 0x0fff_ffff)
            }
        }
    }

    pub(crate) fn link(&self, cluster: u32) -> Link {
        let end = match self.kind {
            Kind::Fat12 => 0xff8,
            Kind::Fat16 => 0xfff8,
            Kind::Fat32 => 0x0fff_fff8,
        };
        match self.raw(cluster) {
            Some(0) => Link::Free,
            Some(n) if n >= end => Link::End,
            Some(n) if self.numbers().contains(&n) => Link::Next(n),
            _ => Link::Other,
        }
    }

    /// The numbers of all clusters.
    pub(crate) fn numbers(&self) -> Range<u32> {
        RESERVED..RESERVED + self.clusters
    }

    /// Where the number of a cluster stands in the table.
    pub(crate) fn place_of(&self, cluster: u32) -> Range<u64> {
        let bits = u64::from(cluster) * self.kind.bits();
        bits / 8..(bits + self.kind.bits()).div_ceil(8)
    }

    /// Another copy of the table.
    pub(crate) fn copy_at(&self, bytes: &impl Bytes, at: u64) -> io::Result<Self> {
        let mut copy = self.clone();
        bytes.read_at(&mut copy.bytes, at)?;
        Ok(copy)
    }

    pub(crate) fn free(&self) -> usize {
        self.numbers()
            .filter(|&n| self.link(n) == Link::Free)
            .count()
    }

    /// The clusters of a file or directory, from its first one on.
    pub(crate) fn chain(&self, first: u32) -> Result<Vec<u32>, Bad> {
        let mut chain = Vec::new();
        let mut at = first;
        loop {
            if !self.numbers().contains(&at) || chain.len() > self.numbers().len() {
                return Err(format!("its clusters from {first} on come to no end"));
            }
            chain.push(at);
            match self.link(at) {
                Link::Next(next) => at = next,
                Link::End => return Ok(chain),
                Link::Free | Link::Other => {
                    return Err(format!(
                        "its cluster {at} is free or bad in the allocation table"
                    ));
                }
            }
        }
    }
}

/// What an entry of the table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Free,
    /// The file goes on in this cluster.
    Next(u32),
    /// The file ends here.
    End,
    /// A bad cluster, or a number that is none.
    Other,
}
