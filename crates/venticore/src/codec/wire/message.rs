//! The messages (venti.md 7.2), each read and written in wire order.

use super::frame::push_frame;
use super::kind::{
    RERROR, RHELLO, RPING, RREAD, RSYNC, RWRITE, TGOODBYE, THELLO, TPING, TREAD, TSYNC, TWRITE,
};
use super::{DATA_MAX, HEAD, TEXT_MAX, Version, WireError};
use crate::codec::score::Score;

/// A string with its length.
const TEXT: usize = size_of::<u16>() + TEXT_MAX;

/// The longest reply, type and tag included.
pub const REPLY_MAX: usize = HEAD + DATA_MAX;

/// What a client sends. Strings and data are borrowed from the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Tping: answered with an error by real servers.
    Ping,
    /// Thello: the first message, with tag 0.
    Hello {
        /// The version agreed on, two digits.
        version: &'a [u8],
        /// The user; not used by servers, may be empty.
        uid: &'a [u8],
        /// Ignored by servers.
        strength: u8,
        /// Must be empty: a long list kills the server.
        crypto: &'a [u8],
        /// Must be empty, as `crypto`.
        codec: &'a [u8],
    },
    /// Tgoodbye: the server closes at once and replies outstanding are lost.
    Goodbye,
    /// Tread.
    Read {
        /// The block.
        score: Score,
        /// Its type by disk number.
        ty: u8,
        /// The largest size wanted, in bytes.
        count: u32,
    },
    /// Twrite.
    Write {
        /// The type by disk number.
        ty: u8,
        /// The block.
        data: &'a [u8],
    },
    /// Tsync.
    Sync,
}

/// What a server answers. Strings and data are borrowed from the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// Rerror: the server's text, as it came; show it with
    /// [`printable`](crate::text::printable).
    Error(&'a [u8]),
    /// Rping.
    Ping,
    /// Rhello.
    Hello {
        /// The server's name for itself.
        sid: &'a [u8],
        /// Always 0.
        rcrypto: u8,
        /// Always 0.
        rcodec: u8,
    },
    /// Rread: the whole block.
    Read(&'a [u8]),
    /// Rwrite: the score of what arrived.
    Write(Score),
    /// Rsync.
    Sync,
}

impl<'a> Request<'a> {
    /// Parses a message without its frame length: tag and request.
    ///
    /// # Errors
    /// [`WireError::Type`] for a message that is not a request,
    /// [`WireError::Body`] for a body of the wrong length.
    pub fn decode(message: &'a [u8]) -> Result<(u8, Self), WireError> {
        let (kind, tag, body) = split_head(message)?;
        let name = Self::name_of(kind).ok_or(WireError::Type {
            expected: "request",
            found: kind,
        })?;
        let wrong = || WireError::Body {
            message: name,
            found: message.len(),
        };
        let request = Self::decode_body(kind, body).ok_or_else(wrong)?;
        Ok((tag, request))
    }

    fn decode_body(kind: u8, body: &'a [u8]) -> Option<Self> {
        let mut fields = BodyReader(body);
        let request = match kind {
            TPING => Self::Ping,
            THELLO => Self::Hello {
                version: fields.text()?,
                uid: fields.text()?,
                strength: fields.u8()?,
                crypto: fields.list()?,
                codec: fields.list()?,
            },
            TGOODBYE => Self::Goodbye,
            TREAD => Self::Read {
                score: fields.score()?,
                ty: fields.u8()?,
                count: {
                    fields.bytes(1)?;
                    fields.count()?
                },
            },
            TWRITE => Self::Write {
                ty: fields.u8()?,
                data: {
                    fields.bytes(3)?;
                    fields.rest()
                },
            },
            TSYNC => Self::Sync,
            _ => return None,
        };
        fields.end().map(|()| request)
    }

    /// Appends the message with its frame length.
    ///
    /// # Errors
    /// [`WireError::TooLong`] for a value that does not fit; nothing is
    /// appended then.
    pub fn encode(&self, version: Version, tag: u8, out: &mut Vec<u8>) -> Result<(), WireError> {
        push_frame(version, self.kind(), tag, out, |out| {
            match self {
                Self::Ping | Self::Goodbye | Self::Sync => {}
                Self::Hello {
                    version,
                    uid,
                    strength,
                    crypto,
                    codec,
                } => {
                    push_text(out, version)?;
                    push_text(out, uid)?;
                    out.push(*strength);
                    push_list(out, crypto)?;
                    push_list(out, codec)?;
                }
                Self::Read { score, ty, count } => {
                    out.extend(score.as_bytes());
                    out.extend([*ty, 0]);
                    push_count(out, *count);
                }
                Self::Write { ty, data } => {
                    out.extend([*ty, 0, 0, 0]);
                    out.extend_from_slice(data);
                }
            }
            Ok(())
        })
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Ping => TPING,
            Self::Hello { .. } => THELLO,
            Self::Goodbye => TGOODBYE,
            Self::Read { .. } => TREAD,
            Self::Write { .. } => TWRITE,
            Self::Sync => TSYNC,
        }
    }

    fn name_of(kind: u8) -> Option<&'static str> {
        Some(match kind {
            TPING => "Tping",
            THELLO => "Thello",
            TGOODBYE => "Tgoodbye",
            TREAD => "Tread",
            TWRITE => "Twrite",
            TSYNC => "Tsync",
            _ => return None,
        })
    }
}

impl<'a> Reply<'a> {
    /// Parses a message without its frame length: tag and reply.
    ///
    /// # Errors
    /// [`WireError::Type`] for a message that is not a reply,
    /// [`WireError::Body`] for a body of the wrong length.
    pub fn decode(message: &'a [u8]) -> Result<(u8, Self), WireError> {
        let (kind, tag, body) = split_head(message)?;
        let name = Self::name_of(kind).ok_or(WireError::Type {
            expected: "reply",
            found: kind,
        })?;
        let wrong = || WireError::Body {
            message: name,
            found: message.len(),
        };
        let reply = Self::decode_body(kind, body).ok_or_else(wrong)?;
        Ok((tag, reply))
    }

    fn decode_body(kind: u8, body: &'a [u8]) -> Option<Self> {
        let mut fields = BodyReader(body);
        let reply = match kind {
            RERROR => Self::Error(fields.text()?),
            RPING => Self::Ping,
            RHELLO => Self::Hello {
                sid: fields.text()?,
                rcrypto: fields.u8()?,
                rcodec: fields.u8()?,
            },
            RREAD => Self::Read(fields.rest()).within_limits()?,
            RWRITE => Self::Write(fields.score()?),
            RSYNC => Self::Sync,
            _ => return None,
        };
        fields.end().map(|()| reply)
    }

    fn within_limits(self) -> Option<Self> {
        match self {
            Self::Read(data) if data.len() > DATA_MAX => None,
            _ => Some(self),
        }
    }

    /// Appends the message with its frame length.
    ///
    /// # Errors
    /// [`WireError::TooLong`] for a value that does not fit; nothing is
    /// appended then.
    pub fn encode(&self, version: Version, tag: u8, out: &mut Vec<u8>) -> Result<(), WireError> {
        push_frame(version, self.kind(), tag, out, |out| {
            match self {
                Self::Ping | Self::Sync => {}
                Self::Error(text) => push_text(out, text)?,
                Self::Hello {
                    sid,
                    rcrypto,
                    rcodec,
                } => {
                    push_text(out, sid)?;
                    out.extend([*rcrypto, *rcodec]);
                }
                Self::Read(data) => out.extend_from_slice(data),
                Self::Write(score) => out.extend(score.as_bytes()),
            }
            Ok(())
        })
    }

    /// The most bytes a reply of this type may have, type and tag included:
    /// the bound for [`unframe`](super::unframe).
    #[must_use]
    pub fn length_max(kind: u8) -> usize {
        HEAD + match kind {
            RERROR => TEXT,
            RHELLO => TEXT + 1 + 1,
            RREAD => DATA_MAX,
            RWRITE => Score::LEN,
            _ => 0,
        }
    }

    /// The name of the message, `Rread` and so on.
    #[must_use]
    pub fn name(&self) -> &'static str {
        Self::name_of(self.kind()).unwrap_or("reply")
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Error(_) => RERROR,
            Self::Ping => RPING,
            Self::Hello { .. } => RHELLO,
            Self::Read(_) => RREAD,
            Self::Write(_) => RWRITE,
            Self::Sync => RSYNC,
        }
    }

    fn name_of(kind: u8) -> Option<&'static str> {
        Some(match kind {
            RERROR => "Rerror",
            RPING => "Rping",
            RHELLO => "Rhello",
            RREAD => "Rread",
            RWRITE => "Rwrite",
            RSYNC => "Rsync",
            _ => return None,
        })
    }
}

/// Type, tag, body.
fn split_head(message: &[u8]) -> Result<(u8, u8, &[u8]), WireError> {
    match message {
        [kind, tag, body @ ..] => Ok((*kind, *tag, body)),
        _ => Err(WireError::Body {
            message: "message",
            found: message.len(),
        }),
    }
}

/// What is left of a body; each method takes one field off its front.
struct BodyReader<'a>(&'a [u8]);

impl<'a> BodyReader<'a> {
    fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(field)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn score(&mut self) -> Option<Score> {
        self.array().map(Score::from_bytes)
    }

    /// A string: u16 length, then at most 1024 bytes.
    fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.u16()?);
        self.bytes(length).filter(|text| text.len() <= TEXT_MAX)
    }

    /// A list: u8 length, then that many bytes.
    fn list(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.bytes(length.into())
    }

    /// The last field of a Tread, two or four bytes wide.
    fn count(&mut self) -> Option<u32> {
        match self.0.len() {
            2 => self.u16().map(u32::from),
            _ => self.array().map(u32::from_be_bytes),
        }
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

fn push_text(out: &mut Vec<u8>, text: &[u8]) -> Result<(), WireError> {
    match u16::try_from(text.len()) {
        Ok(length) if text.len() <= TEXT_MAX => {
            out.extend(length.to_be_bytes());
            out.extend_from_slice(text);
            Ok(())
        }
        _ => Err(WireError::TooLong {
            field: "a string",
            found: text.len(),
            most: TEXT_MAX,
        }),
    }
}

fn push_list(out: &mut Vec<u8>, list: &[u8]) -> Result<(), WireError> {
    let length = u8::try_from(list.len()).map_err(|_| WireError::TooLong {
        field: "a list",
        found: list.len(),
        most: u8::MAX.into(),
    })?;
    out.push(length);
    out.extend_from_slice(list);
    Ok(())
}

/// Two bytes where they suffice, as the reference client does.
fn push_count(out: &mut Vec<u8>, count: u32) {
    match u16::try_from(count) {
        Ok(count) => out.extend(count.to_be_bytes()),
        Err(_) => out.extend(count.to_be_bytes()),
    }
}

#[cfg(test)]
mod tests;
