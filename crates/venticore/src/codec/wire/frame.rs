//! Frames: a length, then a message of that many bytes (venti.md 7.2).

use super::{HEAD, Version, WireError, kind};
use crate::codec::blocktype::BLOCK_MAX;

/// The first message in `bytes` and the bytes it took with its length; `None`
/// when it is not all there yet.
///
/// `most` bounds the message by its type, so that a length that cannot be
/// right is refused before the rest is waited for or room is made for it.
///
/// # Errors
/// [`WireError::Length`] for a message over the bound, [`WireError::Body`] for
/// one without type and tag.
pub fn unframe(
    version: Version,
    bytes: &[u8],
    most: impl Fn(u8) -> usize,
) -> Result<Option<(&[u8], usize)>, WireError> {
    let Some((length, rest)) = split_length(version, bytes) else {
        return Ok(None);
    };
    let found = u64::from(length);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length < HEAD {
        return Err(WireError::Body {
            message: "message",
            found: length,
        });
    }
    match rest.first().map(|&kind| most(kind)) {
        Some(most) if length > most => Err(WireError::Length { found, most }),
        _ => Ok(rest
            .get(..length)
            .map(|message| (message, version.length_size() + length))),
    }
}

/// The bytes of the message that follows, type and tag included, by its length at the
/// front of `bytes`; `None` when the length is not all there yet.
#[must_use]
pub fn message_length(version: Version, bytes: &[u8]) -> Option<usize> {
    let (length, _) = split_length(version, bytes)?;
    Some(usize::try_from(length).unwrap_or(usize::MAX))
}

fn split_length(version: Version, bytes: &[u8]) -> Option<(u32, &[u8])> {
    match version {
        Version::V02 => {
            let (length, rest) = bytes.split_first_chunk()?;
            Some((u32::from(u16::from_be_bytes(*length)), rest))
        }
        Version::V04 => {
            let (length, rest) = bytes.split_first_chunk()?;
            Some((u32::from_be_bytes(*length), rest))
        }
    }
}

/// Appends a frame whose body is written by `body`.
pub(super) fn push_frame(
    version: Version,
    kind: u8,
    tag: u8,
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let start = out.len();
    let result = try_push(version, kind, tag, out, body);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

fn try_push(
    version: Version,
    kind: u8,
    tag: u8,
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let start = out.len();
    out.resize(start + version.length_size(), 0);
    out.extend([kind, tag]);
    body(out)?;
    let (length, size) = length_bytes(version, out.len() - start - version.length_size())?;
    out[start..start + size].copy_from_slice(&length[4 - size..]);
    Ok(())
}

/// A length as the last `size` of four bytes.
fn length_bytes(version: Version, length: usize) -> Result<([u8; 4], usize), WireError> {
    let most = version.message_max();
    match u32::try_from(length) {
        Ok(n) if length <= most => Ok((n.to_be_bytes(), version.length_size())),
        _ => Err(WireError::TooLong {
            field: "a message",
            found: length,
            most,
        }),
    }
}

/// The bytes of a Twrite before its data, so that the data need not be copied.
#[derive(Clone, Copy, Debug)]
pub struct WriteHead {
    bytes: [u8; WriteHead::MAX],
    start: usize,
}

impl WriteHead {
    /// Length (04), type, tag, block type, padding.
    const MAX: usize = size_of::<u32>() + WriteHead::MESSAGE;
    /// The part that counts in the length.
    const MESSAGE: usize = HEAD + 1 + 3;

    /// The head of a write of `size` bytes under this disk type.
    ///
    /// # Errors
    /// [`WireError::TooLong`] for more than [`BLOCK_MAX`] bytes.
    pub fn new(version: Version, tag: u8, ty: u8, size: usize) -> Result<Self, WireError> {
        if size > BLOCK_MAX as usize {
            return Err(WireError::TooLong {
                field: "a block",
                found: size,
                most: BLOCK_MAX as usize,
            });
        }
        let (length, _) = length_bytes(version, Self::MESSAGE + size)?;
        let mut bytes = [0; Self::MAX];
        bytes[..4].copy_from_slice(&length);
        bytes[4..7].copy_from_slice(&[kind::TWRITE, tag, ty]);
        Ok(WriteHead {
            bytes,
            start: 4 - version.length_size(),
        })
    }

    /// The bytes to send.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::wire::Request;
    use proptest::prelude::*;

    fn any(_: u8) -> usize {
        65537
    }

    #[test]
    fn a_frame_is_taken_when_it_is_all_there() {
        let sync = [0, 2, 16, 12, 0xff];
        assert_eq!(
            unframe(Version::V02, &sync, any),
            Ok(Some((&sync[2..4], 4)))
        );
        for cut in 0..4 {
            assert_eq!(unframe(Version::V02, &sync[..cut], any), Ok(None));
        }
        let sync = [0, 0, 0, 2, 16, 12];
        assert_eq!(unframe(Version::V04, &sync, any), Ok(Some((&sync[4..], 6))));
    }

    #[test]
    fn a_length_is_judged_before_its_message_has_come() {
        fn judge(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, WireError> {
            unframe(Version::V04, bytes, |kind| usize::from(kind) + 2)
        }
        assert!(judge(&[0, 0, 0, 1, 9]).is_err());
        assert!(judge(&[0, 0, 0, 0]).is_err());
        assert_eq!(judge(&[0, 0, 0, 11, 9]), Ok(None));
        assert_eq!(
            judge(&[0, 0, 0, 12, 9]),
            Err(WireError::Length {
                found: 12,
                most: 11
            })
        );
        assert!(judge(&[0xff, 0xff, 0xff, 0xff, 9]).is_err());
    }

    #[test]
    fn the_head_of_a_write_is_the_beginning_of_its_request() {
        for version in [Version::V02, Version::V04] {
            for data in [&b"hello"[..], &[7; BLOCK_MAX as usize]] {
                let mut whole = Vec::new();
                let request = Request::Write { ty: 13, data };
                request.encode(version, 5, &mut whole).unwrap();
                let head = WriteHead::new(version, 5, 13, data.len()).unwrap();
                assert_eq!([head.as_bytes(), data].concat(), whole);
            }
            assert!(WriteHead::new(version, 5, 13, BLOCK_MAX as usize + 1).is_err());
        }
    }

    #[test]
    fn a_message_too_long_for_its_version_leaves_nothing_behind() {
        let mut out = vec![1];
        let data = &[0; 65530][..];
        let request = Request::Write { ty: 13, data };
        assert!(request.encode(Version::V02, 0, &mut out).is_err());
        assert_eq!(out, [1]);
        assert!(request.encode(Version::V04, 0, &mut out).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_cut_or_refused(bytes: Vec<u8>, four: bool) {
            let version = if four { Version::V04 } else { Version::V02 };
            if let Ok(Some((message, used))) = unframe(version, &bytes, any) {
                prop_assert_eq!(message.len() + version.length_size(), used);
                prop_assert!(used <= bytes.len());
            }
        }
    }
}
