//! The pages, by HTTP/1.0: one request a connection, and nothing changes anything.

mod index;
mod metrics;
mod picture;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::Shared;
use super::slots::Slot;

/// The longest head of a request, in bytes.
const HEAD_MAX: usize = 8 * 1024;

/// How long the request may take to arrive.
const REQUEST: Duration = Duration::from_secs(10);

/// How long nothing of the page may be taken.
const PAGE: Duration = Duration::from_secs(20);

/// An answer.
struct WebPage {
    status: &'static str,
    content_type: &'static str,
    text: String,
}

const TEXT: &str = "text/plain; charset=utf-8";

impl WebPage {
    fn found(content_type: &'static str, text: String) -> Self {
        WebPage {
            status: "200 OK",
            content_type,
            text,
        }
    }

    fn error(status: &'static str) -> Self {
        WebPage {
            status,
            content_type: TEXT,
            text: format!("{status}\n"),
        }
    }
}

/// Answers the request on a connection. What goes wrong there is the client's affair.
pub(super) fn serve(shared: &Shared, slot: &Slot) {
    let stream = &slot.guest.stream;
    if answer(shared, slot, stream).is_ok() {
        super::connection::close(stream);
    }
}

fn answer(shared: &Shared, slot: &Slot, mut stream: &TcpStream) -> io::Result<()> {
    stream.set_write_timeout(Some(PAGE))?;
    let head = head(stream)?;
    slot.is_active();
    let (page, has_body) = match head {
        Some(head) => respond(shared, stream, &head),
        None => (WebPage::error("431 Request Header Fields Too Large"), true),
    };
    let mut out = format!(
        "HTTP/1.0 {}\r\nServer: ventiserve\r\nContent-Type: {}\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
        page.status,
        page.content_type,
        page.text.len()
    );
    if has_body {
        out += &page.text;
    }
    stream.write_all(out.as_bytes())
}

/// The head of the request, up to the empty line; none where it is too long.
fn head(mut stream: &TcpStream) -> io::Result<Option<Vec<u8>>> {
    let deadline = Instant::now() + REQUEST;
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    while !is_whole(&head) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => head.extend(&piece[..read]),
        }
        if head.len() > HEAD_MAX {
            return Ok(None);
        }
    }
    Ok(Some(head))
}

fn is_whole(head: &[u8]) -> bool {
    let ends = |end: &[u8]| head.windows(end.len()).any(|at| at == end);
    ends(b"\r\n\r\n") || ends(b"\n\n")
}

/// The page that is asked for, and whether it is wanted itself.
fn respond(shared: &Shared, stream: &TcpStream, head: &[u8]) -> (WebPage, bool) {
    let bad = || (WebPage::error("400 Bad Request"), true);
    let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let Ok(line) = str::from_utf8(line) else {
        return bad();
    };
    let mut words = line.split_ascii_whitespace();
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next())
    else {
        return bad();
    };
    if !version.starts_with("HTTP/1.") {
        return bad();
    }
    match method {
        "GET" => (page(shared, stream, target), true),
        "HEAD" => (page(shared, stream, target), false),
        _ => (WebPage::error("405 Method Not Allowed"), true),
    }
}

fn page(shared: &Shared, stream: &TcpStream, target: &str) -> WebPage {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    match path {
        "/" => {
            let host = stream.local_addr().map(|address| address.to_string());
            let host = host.unwrap_or_default();
            WebPage::found("text/html; charset=utf-8", picture::text(shared, &host))
        }
        "/index" => WebPage::found(TEXT, index::index(&shared.store.arenas())),
        "/storage" => WebPage::found(TEXT, index::storage_page(&shared.store.arenas())),
        "/metrics" => WebPage::found(
            "text/plain; version=0.0.4; charset=utf-8",
            metrics::text(shared),
        ),
        _ => WebPage::error("404 Not Found"),
    }
}
