//! The messages (venti.md 7.2), each read and written in wire order.

use super::frame::push_frame;
use super::{DATA_MAX, HEAD, TEXT_MAX, Version, WireError};
use crate::score::Score;

const RERROR: u8 = 1;
const TPING: u8 = 2;
const RPING: u8 = 3;
const THELLO: u8 = 4;
const RHELLO: u8 = 5;
const TGOODBYE: u8 = 6;
const TREAD: u8 = 12;
const RREAD: u8 = 13;
pub(super) const TWRITE: u8 = 14;
const RWRITE: u8 = 15;
const TSYNC: u8 = 16;
const RSYNC: u8 = 17;

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
    /// [`printable`](super::printable).
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
    /// [`WireError::Type`] for what is no request, [`WireError::Body`] for a
    /// body of the wrong length.
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
        let mut fields = Fields(body);
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
    /// [`WireError::Type`] for what is no reply, [`WireError::Body`] for a
    /// body of the wrong length.
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
        let mut fields = Fields(body);
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
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
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
mod tests {
    use super::*;
    use crate::wire::{VersionLine, unframe};
    use proptest::prelude::*;

    const V02: Version = Version::V02;
    const V04: Version = Version::V04;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u32> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
        let pair = |pair: &[u32]| u8::try_from(pair[0] << 4 | pair[1]).unwrap();
        digits.chunks(2).map(pair).collect()
    }

    fn no_limit(_: u8) -> usize {
        usize::MAX
    }

    #[track_caller]
    fn is_request(version: Version, tag: u8, request: &Request<'_>, hex: &str) {
        let expected = bytes(hex);
        let mut out = Vec::new();
        request.encode(version, tag, &mut out).unwrap();
        assert_eq!(out, expected);
        let (message, used) = unframe(version, &expected, no_limit).unwrap().unwrap();
        assert_eq!(used, expected.len());
        assert_eq!(Request::decode(message), Ok((tag, *request)));
    }

    #[track_caller]
    fn is_reply(version: Version, tag: u8, reply: &Reply<'_>, hex: &str) {
        let expected = bytes(hex);
        let mut out = Vec::new();
        reply.encode(version, tag, &mut out).unwrap();
        assert_eq!(out, expected);
        let (message, used) = unframe(version, &expected, Reply::length_max)
            .unwrap()
            .unwrap();
        assert_eq!(used, expected.len());
        assert_eq!(Reply::decode(message), Ok((tag, *reply)));
    }

    fn abc() -> Score {
        Score::of(b"abc")
    }

    const ABC: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";

    #[test]
    fn every_request_is_these_bytes() {
        let hello = Request::Hello {
            version: b"02",
            uid: b"user",
            strength: 0,
            crypto: b"",
            codec: b"",
        };
        is_request(
            V02,
            0,
            &hello,
            "000f 04 00 0002 3032 0004 75736572 00 00 00",
        );
        let hello = Request::Hello {
            version: b"04",
            uid: b"",
            strength: 1,
            crypto: &[2, 3],
            codec: &[4],
        };
        is_request(
            V04,
            9,
            &hello,
            "0000000e 04 09 0002 3034 0000 01 02 0203 01 04",
        );
        is_request(V02, 1, &Request::Ping, "0002 02 01");
        is_request(V04, 2, &Request::Goodbye, "00000002 06 02");
        is_request(V02, 255, &Request::Sync, "0002 10 ff");
        is_request(
            V02,
            3,
            &Request::Write {
                ty: 13,
                data: b"abc",
            },
            "0009 0e 03 0d 000000 616263",
        );
        let read = |count| Request::Read {
            score: abc(),
            ty: 2,
            count,
        };
        is_request(V02, 4, &read(8192), &format!("001a 0c 04 {ABC} 02 00 2000"));
        is_request(
            V04,
            4,
            &read(65536),
            &format!("0000001c 0c 04 {ABC} 02 00 00010000"),
        );
    }

    #[test]
    fn a_small_count_may_come_in_four_bytes() {
        let message = bytes(&format!("0c 04 {ABC} 02 00 00000007"));
        let read = Request::Read {
            score: abc(),
            ty: 2,
            count: 7,
        };
        assert_eq!(Request::decode(&message), Ok((4, read)));
    }

    #[test]
    fn every_reply_is_these_bytes() {
        is_reply(
            V02,
            1,
            &Reply::Error(b"read only"),
            "000d 01 01 0009 72656164206f6e6c79",
        );
        is_reply(V04, 2, &Reply::Ping, "00000002 03 02");
        let hello = Reply::Hello {
            sid: b"anonymous",
            rcrypto: 0,
            rcodec: 0,
        };
        is_reply(V02, 0, &hello, "000f 05 00 0009 616e6f6e796d6f7573 00 00");
        is_reply(V04, 5, &Reply::Read(b"abc"), "00000005 0d 05 616263");
        is_reply(V04, 5, &Reply::Read(b""), "00000002 0d 05");
        is_reply(V02, 6, &Reply::Write(abc()), &format!("0016 0f 06 {ABC}"));
        is_reply(V02, 7, &Reply::Sync, "0002 11 07");
    }

    #[test]
    fn bodies_of_the_wrong_length_are_refused() {
        for hex in [
            "",
            "01",
            "01 01",
            "01 01 00",
            "01 01 0002 61",
            "01 01 0001 61 62",
            "03 01 00",
            "05 00 0000 00",
            "05 00 0000 00 00 00",
            "11 01 00",
        ] {
            assert!(Reply::decode(&bytes(hex)).is_err(), "{hex}");
        }
        let score = |n: usize| bytes(&format!("0f 06 {}", "00".repeat(n)));
        assert!(Reply::decode(&score(19)).is_err());
        assert!(Reply::decode(&score(20)).is_ok());
        assert!(Reply::decode(&score(21)).is_err());
        for n in [23, 25, 27] {
            assert!(Request::decode(&bytes(&format!("0c 06 {}", "00".repeat(n)))).is_err());
        }
        assert!(Request::decode(&bytes("0e 01 0d 0000")).is_err());
        let mut long = bytes("01 01 0401");
        long.resize(4 + 1025, b'x');
        assert!(Reply::decode(&long).is_err());
        long[3] = 0;
        long.pop();
        assert!(Reply::decode(&long).is_ok());
        assert_eq!(
            Reply::decode(&bytes("0e 01 0d 000000"))
                .unwrap_err()
                .to_string(),
            "expected a reply, found message type 14"
        );
    }

    #[test]
    fn the_bound_of_each_reply_admits_its_longest() {
        let text = [b'x'; TEXT_MAX];
        let data = [0; DATA_MAX];
        let sid = Reply::Hello {
            sid: &text,
            rcrypto: 0,
            rcodec: 0,
        };
        for reply in [
            Reply::Error(&text),
            sid,
            Reply::Read(&data),
            Reply::Write(abc()),
            Reply::Sync,
            Reply::Ping,
        ] {
            let mut out = Vec::new();
            reply.encode(V04, 1, &mut out).unwrap();
            assert_eq!(out.len(), 4 + Reply::length_max(reply.kind()));
            assert!(out.len() <= 4 + REPLY_MAX);
        }
    }

    /// Two sessions recorded from a real server: every message is read, and
    /// written again as the same bytes.
    #[test]
    fn recorded_sessions_go_both_ways() {
        let text = include_str!("../../../../tests/golden/venti/wire-sessions.json");
        let sessions: serde_json::Value = serde_json::from_str(text).unwrap();
        for version in [V02, V04] {
            let session = sessions[version.text()].as_array().unwrap();
            assert!(session.len() > 20);
            for (at, message) in session.iter().enumerate() {
                let bytes = bytes(message["hex"].as_str().unwrap());
                let from_server = message["dir"] == "<";
                match at {
                    0 | 1 => replay_line(version, &bytes, from_server),
                    _ => replay(version, &bytes, from_server),
                }
            }
        }
    }

    fn replay_line(version: Version, bytes: &[u8], from_server: bool) {
        let line = VersionLine::parse(bytes.strip_suffix(b"\n").unwrap()).unwrap();
        let expected = if from_server { V04 } else { version };
        assert_eq!(line.choose(), Some(expected));
        assert_eq!(format!("{line}\n").as_bytes(), bytes);
    }

    fn replay(version: Version, bytes: &[u8], from_server: bool) {
        let Some((message, used)) = unframe(version, bytes, no_limit).unwrap() else {
            return assert!(bytes.is_empty(), "the close at the end");
        };
        assert_eq!(used, bytes.len());
        let mut out = Vec::new();
        if from_server {
            let (tag, reply) = Reply::decode(message).unwrap();
            reply.encode(version, tag, &mut out).unwrap();
        } else {
            let (tag, request) = Request::decode(message).unwrap();
            request.encode(version, tag, &mut out).unwrap();
        }
        assert_eq!(out, bytes);
    }

    fn some(most: usize) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 0..=most)
    }

    proptest! {
        #[test]
        fn requests_go_both_ways(
            four: bool, tag: u8, ty: u8, count: u32, score: [u8; 20],
            (a, b, c, d) in (some(1024), some(20), some(255), some(20)),
        ) {
            let version = if four { V04 } else { V02 };
            let score = Score::from_bytes(score);
            let hello = Request::Hello { version: &a, uid: &b, strength: ty, crypto: &c, codec: &d };
            let write = Request::Write { ty, data: &a };
            let read = Request::Read { score, ty, count };
            for request in [hello, write, read] {
                let mut out = Vec::new();
                request.encode(version, tag, &mut out).unwrap();
                let (message, _) = unframe(version, &out, no_limit).unwrap().unwrap();
                prop_assert_eq!(Request::decode(message), Ok((tag, request)));
            }
        }

        #[test]
        fn replies_go_both_ways(four: bool, tag: u8, text in some(1024), data in some(9000)) {
            let version = if four { V04 } else { V02 };
            let hello = Reply::Hello { sid: &text, rcrypto: tag, rcodec: 1 };
            for reply in [Reply::Error(&text), hello, Reply::Read(&data), Reply::Write(abc())] {
                let mut out = Vec::new();
                reply.encode(version, tag, &mut out).unwrap();
                let (message, _) = unframe(version, &out, Reply::length_max).unwrap().unwrap();
                prop_assert_eq!(Reply::decode(message), Ok((tag, reply)));
            }
        }

        #[test]
        fn any_bytes_are_a_message_or_refused(kind in 0u8..20, mut message in some(80)) {
            message.insert(0, kind);
            let frame = |encode: &dyn Fn(&mut Vec<u8>)| {
                let mut out = Vec::new();
                encode(&mut out);
                out[4..].to_vec()
            };
            if let Ok((tag, reply)) = Reply::decode(&message) {
                prop_assert_eq!(frame(&|out| reply.encode(V04, tag, out).unwrap()), message);
            } else if let Ok((tag, request)) = Request::decode(&message) {
                // The padding and the width of a count are not kept.
                let again = frame(&|out| request.encode(V04, tag, out).unwrap());
                prop_assert_eq!(Request::decode(&again), Ok((tag, request)));
            }
        }
    }
}
