//! What can go wrong with an index page, told in one line.

use std::fmt;
use std::time::Duration;

use crate::codec::arena::Name;
use crate::status::Status;

/// An error of [`fetch`](crate::net::page::fetch), [`Page::parse`](super::Page::parse) or
/// [`ArenaRow::check`](super::ArenaRow::check). Displayed as one line without
/// control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageError {
    /// The text is not the URL of an index page; the part of it that is wrong.
    Url(String),
    /// No address, or none that could be connected to.
    Unreachable(String),
    /// It took longer than this.
    Slow(Duration),
    /// The connection was lost before the whole answer had come.
    Lost(String),
    /// What answers does not speak HTTP; what it said, shown.
    NotHttp(String),
    /// An answer that is not a page.
    Status {
        /// The HTTP status.
        status: u16,
        /// Where a redirection leads.
        location: Option<String>,
    },
    /// The page has more than this many bytes.
    TooLong(u64),
    /// A page without a byte.
    Empty,
    /// A page in HTML.
    Html,
    /// Another page; how it begins, shown.
    NotIndex(String),
    /// The server did not say that it emptied a cache, at this URL.
    NotEmptied(String),
    /// The page ends where this line should be, or inside it.
    Cut {
        /// Number of the line, from 1.
        line: usize,
    },
    /// A line that is not understood.
    Line {
        /// Number of the line, from 1.
        line: usize,
        /// What should be there.
        expected: String,
        /// What is there, shown.
        found: String,
    },
    /// The page lists more than this many of these.
    TooMany(usize, &'static str),
    /// Page and partition do not agree on an arena.
    Differs {
        /// The arena.
        arena: Name,
        /// What the page says.
        page: String,
        /// What the partition says.
        partition: String,
    },
}

impl PageError {
    /// The exit status it stands for.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Url(_) => Status::Usage,
            Self::Unreachable(_) | Self::Slow(_) | Self::Lost(_) => Status::Unreachable,
            _ => Status::Failed,
        }
    }
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(found) => write!(f, "expected http://HOST:PORT/index, found {found}"),
            Self::Unreachable(cause) => write!(f, "cannot connect: {cause}"),
            Self::Slow(limit) => write!(f, "no complete page within {limit:?}"),
            Self::Lost(cause) => write!(f, "connection lost: {cause}"),
            Self::NotHttp(found) if found.starts_with("\"venti-") => write!(
                f,
                "expected an http server, found {found}, a venti's own port: give the port of its httpaddr"
            ),
            Self::NotHttp(found) => write!(f, "expected an http server, found {found}"),
            Self::Status { status, location } => {
                write!(f, "expected status 200, found {status}")?;
                if let Some(location) = location {
                    write!(f, ", redirected to {location}, which is not followed")?;
                }
                f.write_str(": the page of a venti is http://HOST:PORT/index")
            }
            Self::TooLong(limit) => {
                write!(f, "expected a page of at most {limit} bytes, found more")
            }
            Self::Empty => f.write_str("expected an index page, found nothing"),
            Self::Html => f.write_str(
                "expected an index page, found html: give the /index of a venti's httpaddr",
            ),
            Self::NotIndex(found) => write!(
                f,
                "expected an index page, which begins with index=, found {found}: give the /index of a venti's httpaddr"
            ),
            Self::NotEmptied(url) => {
                write!(f, "expected \"emptied ...\" from {url}, found another page")
            }
            Self::Cut { line } => write!(
                f,
                "line {line}: expected more, found the end: the page was cut short, fetch it again"
            ),
            Self::Line {
                line,
                expected,
                found,
            } => write!(f, "line {line}: expected {expected}, found {found}"),
            Self::TooMany(limit, what) => {
                write!(f, "expected at most {limit} {what}, found more")
            }
            Self::Differs {
                arena,
                page,
                partition,
            } => write!(
                f,
                "arena {arena}: expected {page} as on the index page, found {partition} in the partition"
            ),
        }
    }
}

impl std::error::Error for PageError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::index::quoted;

    #[test]
    fn every_error_is_one_line_in_lower_case() {
        let errors = [
            (PageError::Url("\"x\"".to_owned()), Status::Usage),
            (
                PageError::Unreachable("refused".to_owned()),
                Status::Unreachable,
            ),
            (PageError::Slow(Duration::from_secs(3)), Status::Unreachable),
            (PageError::Lost("closed".to_owned()), Status::Unreachable),
            (
                PageError::NotHttp(quoted(b"venti-04:02-x\n")),
                Status::Failed,
            ),
            (
                PageError::Status {
                    status: 302,
                    location: Some(quoted(b"/else")),
                },
                Status::Failed,
            ),
            (PageError::TooLong(1), Status::Failed),
            (PageError::Empty, Status::Failed),
            (PageError::Html, Status::Failed),
            (
                PageError::NotIndex(quoted(b"a\r\n\x1b[2J\xff")),
                Status::Failed,
            ),
            (
                PageError::NotEmptied("http://x/y".to_owned()),
                Status::Failed,
            ),
            (PageError::Cut { line: 3 }, Status::Failed),
            (PageError::TooMany(1, "arenas"), Status::Failed),
        ];
        for (error, kind) in errors {
            let line = error.to_string();
            assert!(!line.chars().any(char::is_control), "{line}");
            assert!(line.starts_with(|c: char| c.is_lowercase()), "{line}");
            assert_eq!(error.status(), kind, "{line}");
        }
    }

    #[test]
    fn an_excerpt_says_that_it_is_one() {}

    #[test]
    fn a_ventis_own_port_is_recognised() {
        let text = PageError::NotHttp(quoted(b"venti-04:02-libventi\n")).to_string();
        assert!(text.contains("httpaddr"), "{text}");
    }
}
