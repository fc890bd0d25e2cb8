//! Enough of 9P2000 to know that a file server answers: a version, an attach.
//! Messages to bytes and back; [`answers`] does the talking.

use std::io::{self, Read, Write};

/// The size of message that is offered; replies are shorter.
const MSIZE: u32 = 8192 + 24;

/// The version that is asked for.
const VERSION: &str = "9P2000";

/// No tag, for the first message.
const NO_TAG: u16 = 0xffff;

/// No fid, where nobody authenticates.
const NO_FID: u32 = 0xffff_ffff;

const T_VERSION: u8 = 100;
const R_VERSION: u8 = 101;
const T_ATTACH: u8 = 104;
const R_ATTACH: u8 = 105;
const R_ERROR: u8 = 107;

/// A message to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tmessage<'a> {
    /// Agree on a version and on the size of messages.
    Version,
    /// Take up a tree, without authentication.
    Attach {
        /// Who asks.
        user: &'a str,
        /// Which tree.
        tree: &'a str,
    },
}

impl Tmessage<'_> {
    /// The message: size, type, tag, fields; numbers little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        match self {
            Self::Version => {
                body.push(T_VERSION);
                body.extend(NO_TAG.to_le_bytes());
                body.extend(MSIZE.to_le_bytes());
                text(&mut body, VERSION);
            }
            Self::Attach { user, tree } => {
                body.push(T_ATTACH);
                body.extend(1u16.to_le_bytes());
                body.extend(0u32.to_le_bytes());
                body.extend(NO_FID.to_le_bytes());
                text(&mut body, user);
                text(&mut body, tree);
            }
        }
        let size = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
        [&size.to_le_bytes(), body.as_slice()].concat()
    }
}

/// A string: its length in two bytes, then the bytes. What is longer is cut.
fn text(body: &mut Vec<u8>, text: &str) {
    let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
    body.extend(len.to_le_bytes());
    body.extend(text.bytes().take(usize::from(len)));
}

/// A server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rmessage {
    /// The version that it speaks.
    Version(String),
    /// The tree is there.
    Attach,
    /// It refuses, and says why.
    Error(String),
}

impl Rmessage {
    /// Reads a message's type, tag and fields, without its size.
    ///
    /// # Errors
    /// It is none of those that can be answers.
    pub fn parse(body: &[u8]) -> io::Result<Self> {
        let bad = || odd(format!("expected an answer, found 9P {}", kind(body)));
        let fields = body.get(3..).ok_or_else(bad)?;
        match body.first() {
            Some(&R_VERSION) => Ok(Self::Version(string(fields.get(4..)).ok_or_else(bad)?)),
            Some(&R_ATTACH) if fields.len() == 13 => Ok(Self::Attach),
            Some(&R_ERROR) => Ok(Self::Error(string(Some(fields)).ok_or_else(bad)?)),
            _ => Err(bad()),
        }
    }
}

fn string(bytes: Option<&[u8]>) -> Option<String> {
    let (len, rest) = bytes?.split_first_chunk()?;
    let text = rest.get(..usize::from(u16::from_le_bytes(*len)))?;
    Some(String::from_utf8_lossy(text).into_owned())
}

/// Asks a server for its version and for a tree. That it refuses the tree is an
/// answer too: its text.
///
/// # Errors
/// It is not a 9P server, or does not answer; the limits are the stream's.
pub fn answers(
    stream: &mut (impl Read + Write),
    user: &str,
    tree: &str,
) -> io::Result<Option<String>> {
    match ask(stream, &Tmessage::Version)? {
        Rmessage::Version(version) if version == VERSION => {}
        Rmessage::Version(version) => {
            return Err(odd(format!("expected {VERSION}, found {version:?}")));
        }
        _ => return Err(odd("expected an answer, found another message".into())),
    }
    match ask(stream, &Tmessage::Attach { user, tree })? {
        Rmessage::Attach => Ok(None),
        Rmessage::Error(text) => Ok(Some(text)),
        Rmessage::Version(_) => Err(odd(format!(
            "expected an answer, found 9P type {R_VERSION}"
        ))),
    }
}

fn ask(stream: &mut (impl Read + Write), request: &Tmessage<'_>) -> io::Result<Rmessage> {
    let late = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "no answer in time"),
        _ => error,
    };
    stream.write_all(&request.to_bytes()).map_err(late)?;
    let mut size = [0; 4];
    stream.read_exact(&mut size).map_err(late)?;
    let size = u32::from_le_bytes(size);
    if !(7..=MSIZE).contains(&size) {
        return Err(odd(format!(
            "expected a 9P message of 7 to {MSIZE} bytes, found one of {size}: not a 9P server"
        )));
    }
    let mut body = vec![0; usize::try_from(size).unwrap_or(0).saturating_sub(4)];
    stream.read_exact(&mut body).map_err(late)?;
    Rmessage::parse(&body)
}

/// The type of a message, in words.
fn kind(body: &[u8]) -> String {
    body.first()
        .map_or("message without a type".into(), |ty| format!("type {ty}"))
}

/// What came is not what a server says.
fn odd(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_protocol() {
        let version = b"\x13\0\0\0\x64\xff\xff\x18\x20\0\0\x06\x009P2000";
        assert_eq!(Tmessage::Version.to_bytes(), version);
        let attach = Tmessage::Attach {
            user: "adm",
            tree: "main",
        };
        let bytes = b"\x1a\0\0\0\x68\x01\0\0\0\0\0\xff\xff\xff\xff\x03\0adm\x04\0main";
        assert_eq!(attach.to_bytes(), bytes);
        let reply = Rmessage::parse(b"\x65\xff\xff\x18\x20\0\0\x06\x009P2000");
        assert_eq!(reply.unwrap(), Rmessage::Version("9P2000".to_owned()));
        assert_eq!(
            Rmessage::parse(&[&[105, 1, 0][..], &[0; 13]].concat()).unwrap(),
            Rmessage::Attach
        );
        let refused = Rmessage::parse(b"\x6b\x01\0\x02\0no").unwrap();
        assert_eq!(refused, Rmessage::Error("no".to_owned()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
            let _ = Rmessage::parse(&bytes);
        }
    }

    #[test]
    fn a_size_beyond_what_was_offered_is_refused() {
        struct Stream;
        impl Read for Stream {
            fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
                bytes.fill(0xff);
                Ok(bytes.len())
            }
        }
        impl Write for Stream {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let error = answers(&mut Stream, "", "").unwrap_err();
        assert!(
            error.to_string().contains("found one of 4294967295"),
            "{error}"
        );
    }
}
