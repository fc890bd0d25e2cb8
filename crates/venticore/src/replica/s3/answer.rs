//! What a server has answered, and what that means.

use std::io;
use std::sync::Arc;

use md5::{Digest, Md5};

use super::cache::{CHUNK, CachedChunk};
use crate::text::excerpt;

/// Bytes of a code that are told.
const TOLD: usize = 60;

/// An answer, its body as far as it was wanted.
#[derive(Debug, Default)]
pub(super) struct StoreReply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    pub(super) etag: Option<String>,
    /// The sum in the tag is of other bytes, since the server encrypts them.
    pub(super) is_encrypted: bool,
}

impl StoreReply {
    /// The answer, if it is one that says yes.
    pub(super) fn success(self, subject: &str) -> io::Result<Self> {
        match self.status {
            200 | 204 | 206 => Ok(self),
            _ => Err(self.refusal(subject)),
        }
    }

    /// The code of an error in the body, printable. A server that has begun to answer with
    /// 200 tells of an error in this way.
    pub(super) fn error_code(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.body);
        let (_, error) = text.split_once("<Error")?;
        let (_, code) = error.split_once("<Code>")?;
        let (code, _) = code.split_once("</Code>")?;
        Some(excerpt(code.trim().as_bytes(), TOLD))
    }

    /// The error that it is.
    pub(super) fn refusal(&self, subject: &str) -> io::Error {
        let code = self.error_code().unwrap_or_default();
        let (kind, hint) = meaning(self.status, &code);
        let code = match code.is_empty() {
            true => String::new(),
            false => format!(" {code}"),
        };
        io::Error::new(
            kind,
            format!("{subject}: the server answers {}{code}{hint}", self.status),
        )
    }

    /// Whether its tag is not the sum of something else.
    pub(super) fn has_sum(&self, sum: &[u8; 16]) -> bool {
        let Some(etag) = &self.etag else {
            return true;
        };
        let tag = etag.trim_start_matches("W/").trim_matches('"');
        let is_sum = tag.len() == 32 && tag.bytes().all(|byte| byte.is_ascii_hexdigit());
        let hex: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        !is_sum || self.is_encrypted || tag.eq_ignore_ascii_case(&hex)
    }

    /// Its body in chunks.
    pub(super) fn chunks(&self) -> Vec<CachedChunk> {
        let len = usize::try_from(CHUNK).unwrap_or(usize::MAX);
        self.body.chunks(len).map(Arc::from).collect()
    }
}

/// What a status and a code mean, and what helps.
fn meaning(status: u16, code: &str) -> (io::ErrorKind, &'static str) {
    use io::ErrorKind::{ConnectionAborted, NotADirectory, NotFound, Other, PermissionDenied};
    match (status, code) {
        (_, "RequestTimeTooSkewed" | "RequestExpired") => (
            PermissionDenied,
            ": the clock of this machine and of the server differ: set the one that is wrong",
        ),
        (_, "ExpiredToken" | "TokenRefreshRequired" | "InvalidToken") => (
            PermissionDenied,
            ": the key is not valid any more: get a new one",
        ),
        (_, "NoSuchBucket") => (NotADirectory, ": make the bucket first"),
        (
            _,
            "SlowDown" | "InternalError" | "RequestTimeout" | "ServiceUnavailable" | "BadDigest",
        ) => (ConnectionAborted, ""),
        // A key that has expired is 400, and the answer to HEAD has no code.
        (401 | 403, _) | (400, "") => (
            PermissionDenied,
            ": check the key, its secret, the region and the rights of its owner",
        ),
        (301 | 302 | 307 | 308, _) => (
            Other,
            ": the bucket is elsewhere: check the URL and the region",
        ),
        (404, _) => (NotFound, ""),
        // Another writer was at the same object.
        (408 | 409 | 425 | 429 | 500..=599, _) => (ConnectionAborted, ""),
        _ => (Other, ""),
    }
}

/// The MD5 of some bytes.
pub(super) fn md5(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}

/// Bytes in base64.
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32| char::from(DIGITS.get(bits as usize & 63).copied().unwrap_or(b'='));
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (at, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            text.push(if at > three.len() {
                '='
            } else {
                digit(bits >> shift)
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(status: u16, body: &str) -> StoreReply {
        StoreReply {
            status,
            body: body.as_bytes().to_vec(),
            ..StoreReply::default()
        }
    }

    #[test]
    fn an_error_is_one_line_that_says_what_helps() {
        for (status, code, kind, text) in [
            (
                503,
                "SlowDown",
                io::ErrorKind::ConnectionAborted,
                "put of x: the server answers 503 SlowDown",
            ),
            (
                403,
                "RequestTimeTooSkewed",
                io::ErrorKind::PermissionDenied,
                "put of x: the server answers 403 RequestTimeTooSkewed: the clock of this machine and of the server differ: set the one that is wrong",
            ),
            (
                400,
                "ExpiredToken",
                io::ErrorKind::PermissionDenied,
                "put of x: the server answers 400 ExpiredToken: the key is not valid any more: get a new one",
            ),
            (
                404,
                "NoSuchBucket",
                io::ErrorKind::NotADirectory,
                "put of x: the server answers 404 NoSuchBucket: make the bucket first",
            ),
            (
                404,
                "NoSuchKey",
                io::ErrorKind::NotFound,
                "put of x: the server answers 404 NoSuchKey",
            ),
        ] {
            let body = format!(
                "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>https://h/b?X-Amz-Signature=1</Message></Error>"
            );
            let error = answer(status, &body).success("put of x").unwrap_err();
            assert_eq!((error.kind(), &*error.to_string()), (kind, text));
        }
        let error = StoreReply {
            status: 400,
            ..StoreReply::default()
        };
        let error = error.refusal("look");
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
        let error = answer(500, "<Error><Code>a\n\u{1b}[31m</Code>").refusal("x");
        assert_eq!(
            error.to_string(),
            "x: the server answers 500 a\\n\\u{1b}[31m"
        );
    }

    #[test]
    fn only_a_tag_that_is_a_sum_can_be_wrong() {
        let sum = md5(b"abc");
        let with = |etag: &str| StoreReply {
            etag: Some(etag.to_owned()),
            ..StoreReply::default()
        };
        assert!(with("\"900150983cd24fb0d6963f7d28e17f72\"").has_sum(&sum));
        assert!(with("\"900150983cd24fb0d6963f7d28e17f72-2\"").has_sum(&sum));
        assert!(with("").has_sum(&sum) && StoreReply::default().has_sum(&sum));
        let wrong = with("\"000150983cd24fb0d6963f7d28e17f72\"");
        assert!(!wrong.has_sum(&sum));
        assert!(
            StoreReply {
                is_encrypted: true,
                ..wrong
            }
            .has_sum(&sum)
        );
    }

    #[test]
    fn bytes_are_in_base64() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }

    proptest! {
        #[test]
        fn no_body_panics(status: u16, body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut hostile = b"<Error><Code>".to_vec();
            hostile.extend(body);
            hostile.extend(b"</Code>");
            let found = StoreReply { status, body: hostile, ..StoreReply::default() };
            let text = found.refusal("x").to_string();
            prop_assert!(!text.chars().any(char::is_control) && text.len() < 1000);
        }
    }
}
