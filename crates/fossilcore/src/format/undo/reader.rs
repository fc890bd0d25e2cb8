//! Reading an undo file from its first byte to its last.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use sha1::{Digest, Sha1};

use super::{END, FIRST, HEAD, Stored, UndoRecord};
use crate::format::CHUNK;
use crate::format::ChangeError;

/// The most bytes of the text.
const TEXT_MAX: u64 = 64 << 10;

/// Reads a file and hashes what was read.
pub(super) struct HashingReader {
    input: BufReader<File>,
    hash: Sha1,
    at: u64,
}

impl HashingReader {
    pub(super) fn of(file: File) -> Self {
        HashingReader {
            input: BufReader::new(file),
            hash: Sha1::new(),
            at: 0,
        }
    }

    /// The lines up to the empty one.
    pub(super) fn text(&mut self) -> Result<String, ChangeError> {
        let mut text = Vec::new();
        while !text.ends_with(b"\n\n") {
            let room = TEXT_MAX.saturating_sub(text.len() as u64);
            let count = (&mut self.input).take(room).read_until(b'\n', &mut text)?;
            if count == 0 || !text.starts_with(FIRST.as_bytes()) {
                return Err(ChangeError::Format("another kind of file".into()));
            }
        }
        self.hash.update(&text);
        self.at += text.len() as u64;
        String::from_utf8(text).map_err(|_| ChangeError::Format("bytes that are not text".into()))
    }

    fn take(&mut self, len: usize) -> Result<Vec<u8>, ChangeError> {
        let mut bytes = vec![0; len];
        self.input
            .read_exact(&mut bytes)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    ChangeError::Format("the end of the file too early".into())
                }
                _ => error.into(),
            })?;
        self.hash.update(&bytes);
        self.at += len as u64;
        Ok(bytes)
    }

    /// The next record and its side; `None` at the end.
    pub(super) fn record(&mut self) -> Result<Option<(usize, UndoRecord)>, ChangeError> {
        let kind = self.take(1)?;
        let kind = kind.first().copied().unwrap_or(END);
        if kind == END {
            return Ok(None);
        }
        let odd = |what: &str| ChangeError::Format(what.to_owned());
        let numbers = self.take(HEAD - 1)?;
        let number = |from: usize, len: usize| {
            let bytes = numbers.iter().skip(from).take(len);
            bytes.fold(0_u64, |n, &byte| n << 8 | u64::from(byte))
        };
        let (at, len) = (number(0, 8), number(8, 8));
        let stored = u32::try_from(number(16, 4)).unwrap_or(u32::MAX);
        let how = match kind & 0x0f {
            0 => Stored::Zeros,
            1 => Stored::Plain,
            2 => Stored::Packed,
            _ => return Err(odd("a record of an unknown kind")),
        };
        let fits = match how {
            Stored::Zeros => stored == 0,
            Stored::Plain => u64::from(stored) == len && len <= CHUNK as u64,
            Stored::Packed => u64::from(stored) < len && len <= CHUNK as u64,
        };
        if !fits || len == 0 {
            return Err(odd("a record of an invalid length"));
        }
        let place = self.at;
        self.take(usize::try_from(stored).unwrap_or(0))?;
        let record = UndoRecord {
            how,
            at,
            len,
            place,
            stored,
        };
        Ok(Some((usize::from(kind >> 4), record)))
    }

    /// Checks that the hash follows, and nothing else.
    pub(super) fn end(self) -> Result<(), ChangeError> {
        let expected = self.hash.finalize();
        let mut found = Vec::new();
        self.input.take(64).read_to_end(&mut found)?;
        match *expected == *found {
            true => Ok(()),
            false => Err(ChangeError::Format(
                "a hash that does not match its bytes: it was cut short or damaged".into(),
            )),
        }
    }
}
