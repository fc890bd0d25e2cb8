//! The boot sector: the fields that say where things are.

use nom::bytes::complete::{tag, take};
use nom::number::complete::{le_u8, le_u16, le_u32};
use nom::{IResult, Parser};

use super::SECTOR;

/// The fields of the boot sector that say where things are.
pub(super) struct Boot {
    pub(super) sector_len: u16,
    pub(super) sectors_per_cluster: u8,
    pub(super) reserved: u16,
    pub(super) tables: u8,
    pub(super) root_slots: u16,
    pub(super) total16: u16,
    pub(super) table16: u16,
    pub(super) total32: u32,
    pub(super) table32: u32,
    pub(super) flags: u16,
    pub(super) version: u16,
    pub(super) root_cluster: u32,
    pub(super) info: u16,
    pub(super) volume: u32,
}

impl Boot {
    /// Reads the first sector; none where it has no signature.
    pub(super) fn parse(sector: &[u8; SECTOR]) -> Option<Self> {
        boot(sector).ok().map(|(_, boot)| boot)
    }

    /// True where FAT32 is meant, by the fields.
    pub(super) fn is_32(&self) -> bool {
        self.table16 == 0
    }

    /// Sectors in one allocation table.
    pub(super) fn table_sectors(&self) -> u64 {
        match self.is_32() {
            true => self.table32.into(),
            false => self.table16.into(),
        }
    }

    /// Sectors in the file system. Plan 9's disk/format fills in both fields.
    pub(super) fn sectors(&self) -> u64 {
        match self.total16 {
            0 => self.total32.into(),
            total => total.into(),
        }
    }
}

fn boot(input: &[u8]) -> IResult<&[u8], Boot> {
    let (input, _jump_and_maker) = take(11usize)(input)?;
    let (input, sector_len) = le_u16(input)?;
    let (input, sectors_per_cluster) = le_u8(input)?;
    let (input, reserved) = le_u16(input)?;
    let (input, tables) = le_u8(input)?;
    let (input, root_slots) = le_u16(input)?;
    let (input, total16) = le_u16(input)?;
    let (input, _media) = le_u8(input)?;
    let (input, table16) = le_u16(input)?;
    let (input, _track_and_heads) = take(4usize)(input)?;
    let (input, _hidden) = le_u32(input)?;
    let (input, total32) = le_u32(input)?;
    let extended = table16 == 0;
    let (input, table32) = only(extended, le_u32).parse(input)?;
    let (input, flags) = only(extended, le_u16).parse(input)?;
    let (input, version) = only(extended, le_u16).parse(input)?;
    let (input, root_cluster) = only(extended, le_u32).parse(input)?;
    let (input, info) = only(extended, le_u16).parse(input)?;
    let (input, _backup_and_reserved) = take(if extended { 14usize } else { 0 })(input)?;
    let (input, _drive_state_and_mark) = take(3usize)(input)?;
    let (input, volume) = le_u32(input)?;
    let rest = SECTOR - 2 - if extended { 71 } else { 43 };
    let (input, _code) = take(rest)(input)?;
    let (input, _signature) = tag(&[0x55, 0xaa][..])(input)?;
    let boot = Boot {
        sector_len,
        sectors_per_cluster,
        reserved,
        tables,
        root_slots,
        total16,
        table16,
        total32,
        table32,
        flags,
        version,
        root_cluster,
        info,
        volume,
    };
    Ok((input, boot))
}

/// A field that only FAT32 has; 0 elsewhere.
fn only<'a, T: Default>(
    there: bool,
    mut field: impl Parser<&'a [u8], Output = T, Error = nom::error::Error<&'a [u8]>>,
) -> impl Parser<&'a [u8], Output = T, Error = nom::error::Error<&'a [u8]>> {
    move |input| match there {
        true => field.parse(input),
        false => Ok((input, T::default())),
    }
}
