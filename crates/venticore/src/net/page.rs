//! Getting an index page from a venti's HTTP server, which is plain HTTP
//! without authentication (venti.md 9).

use std::io::{self, ErrorKind, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use ureq::http::{Response, Uri, header};
use ureq::{Agent, Body, Timeout};

use crate::codec::dial::Dial;
use crate::codec::index::{Page, PageError, quoted};
use crate::net::client::Timeouts;
use crate::text::in_lower_case;

/// The most bytes of a page that are taken.
pub const PAGE_MAX: u64 = 64 * 1024 * 1024;

/// The pages beside the index page that empty what a venti gives back from
/// memory: blocks, and pieces of its disk.
const EMPTYING: [&str; 2] = ["emptylumpcache", "emptydcache"];

/// The most bytes that are taken of an answer to one of them.
const ANSWER_MAX: u64 = 4096;

/// The port of HTTP where a URL names none.
const HTTP: u16 = 80;

/// How long something that is not an HTTP server may take to say what it is.
const GREETING: Duration = Duration::from_secs(1);

/// Gets the index page at `url`, `http://HOST:PORT/index`.
///
/// Redirections are not followed, proxies are not used, the content type is
/// not looked at. `limits.connect` holds for the name look-up and for the
/// connection, `limits.silence` for everything together.
///
/// # Errors
/// [`PageError`], whose [`PageError::status`] says what it means for the run.
pub fn fetch(url: &str, limits: Timeouts) -> Result<Page, PageError> {
    let uri = uri(url)?;
    let answer = agent(limits)
        .get(&uri)
        .call()
        .map_err(|error| of_call(error, &uri, limits))?;
    let mut body = page_body(answer)?;
    let text = body
        .with_config()
        .limit(PAGE_MAX)
        .read_to_vec()
        .map_err(|error| of_body(error, limits))?;
    Page::parse(&text)
}

/// Has the venti of an index page empty its caches, so that blocks come from
/// its disk. Nothing that is not on its way to the disk is dropped. The limits
/// of [`fetch`] hold for each cache. A ventiserve has none, and reads each block from the
/// file it is in.
///
/// # Errors
/// [`PageError::NotEmptied`]: the server does not have such pages; otherwise as [`fetch`].
pub fn empty_caches(url: &str, limits: Timeouts) -> Result<(), PageError> {
    let base = url.strip_suffix("/index");
    let base = base.ok_or_else(|| PageError::Url(quoted(url.as_bytes())))?;
    for page in EMPTYING {
        let uri = uri(&format!("{base}/{page}"))?;
        let answer = agent(limits).get(&uri).call();
        let answer = answer.map_err(|error| of_call(error, &uri, limits))?;
        let status = answer.status().as_u16();
        if status == 404 && is_ventiserve(&answer) {
            return Ok(());
        }
        let mut body = answer.into_body();
        let text = body.with_config().limit(ANSWER_MAX).read_to_vec();
        match text {
            Ok(text) if status == 200 && text.starts_with(b"emptied ") => {}
            Ok(_) | Err(ureq::Error::BodyExceedsLimit(_)) => {
                return Err(PageError::NotEmptied(uri.to_string()));
            }
            Err(error) => return Err(of_body(error, limits)),
        }
    }
    Ok(())
}

fn is_ventiserve(answer: &Response<Body>) -> bool {
    let name = answer.headers().get(header::SERVER);
    name.is_some_and(|name| name == "ventiserve")
}

/// The venti on the host of an index page, at the usual port.
///
/// # Errors
/// The URL is none of an index page, or its host is none that can be dialled.
pub fn venti_of(url: &str) -> Result<Dial, PageError> {
    let uri = uri(url)?;
    let host = uri.host().unwrap_or_default();
    let dial = Dial::with_default_port(host, Dial::VENTI);
    dial.map_err(|_| PageError::Url(quoted(url.as_bytes())))
}

/// The port at which an index page is asked for.
///
/// # Errors
/// The URL is none of an index page.
pub fn port_of(url: &str) -> Result<u16, PageError> {
    Ok(uri(url)?.port_u16().unwrap_or(HTTP))
}

fn uri(url: &str) -> Result<Uri, PageError> {
    let wrong = || PageError::Url(quoted(url.as_bytes()));
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let authority = uri.authority().ok_or_else(wrong)?;
    let host = authority.host();
    // What is not a port would be passed over, and port 80 asked.
    let port = authority.as_str() == host || authority.port_u16().is_some();
    let plain = uri.scheme_str() == Some("http") && !authority.as_str().contains('@');
    if plain && port && !host.is_empty() {
        Ok(uri)
    } else {
        Err(wrong())
    }
}

fn agent(limits: Timeouts) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .user_agent("ventiprog")
        .timeout_resolve(Some(limits.connect))
        .timeout_connect(Some(limits.connect))
        .timeout_global(Some(limits.silence))
        .build()
        .new_agent()
}

/// The body of an answer that says it is the page.
fn page_body(answer: Response<Body>) -> Result<Body, PageError> {
    let status = answer.status();
    if status.as_u16() == 200 {
        return Ok(answer.into_body());
    }
    let location = answer.headers().get(header::LOCATION);
    Err(PageError::Status {
        status: status.as_u16(),
        location: location.map(|location| quoted(location.as_bytes())),
    })
}

/// What it means that no answer came.
fn of_call(error: ureq::Error, uri: &Uri, limits: Timeouts) -> PageError {
    let error = match error {
        ureq::Error::Protocol(error) => PageError::NotHttp(in_lower_case(&error)),
        ureq::Error::LargeResponseHeader(..) => {
            PageError::NotHttp("a header without an end".into())
        }
        error => of_body(error, limits),
    };
    match error {
        PageError::NotHttp(_) | PageError::Lost(_) => {
            greeting(uri, limits).map_or(error, PageError::NotHttp)
        }
        error => error,
    }
}

/// What it means that the page did not come, or not all of it.
fn of_body(error: ureq::Error, limits: Timeouts) -> PageError {
    match error {
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            PageError::Unreachable(format!("no connection within {:?}", limits.connect))
        }
        ureq::Error::Timeout(_) => PageError::Slow(limits.silence),
        ureq::Error::HostNotFound => PageError::Unreachable("host not found".to_owned()),
        ureq::Error::BodyExceedsLimit(limit) => PageError::TooLong(limit),
        ureq::Error::Io(error) => of_io(&error),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => PageError::Url(in_lower_case(&error)),
        ureq::Error::Protocol(error) => PageError::NotHttp(in_lower_case(&error)),
        error => PageError::Lost(in_lower_case(&error)),
    }
}

fn of_io(error: &io::Error) -> PageError {
    match error.kind() {
        ErrorKind::UnexpectedEof => {
            PageError::Lost("closed before the page was complete".to_owned())
        }
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => {
            PageError::Lost(in_lower_case(error))
        }
        _ => PageError::Unreachable(in_lower_case(error)),
    }
}

/// What a server says before it is asked, which an HTTP server does not: a
/// venti tells its versions. One more connection, on which nothing is sent.
fn greeting(uri: &Uri, limits: Timeouts) -> Option<String> {
    let host = uri.host()?.trim_matches(['[', ']']);
    let mut addresses = (host, uri.port_u16().unwrap_or(80))
        .to_socket_addrs()
        .ok()?;
    let patience = GREETING.min(limits.connect);
    let mut stream = TcpStream::connect_timeout(&addresses.next()?, patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    let mut said = [0; 64];
    let count = stream.read(&mut said).ok()?;
    let said = said.get(..count).filter(|said| !said.is_empty())?;
    Some(quoted(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_venti_of_a_page_is_on_its_host() {
        for (url, venti) in [
            ("http://127.0.0.1:8000/index", "tcp!127.0.0.1!17034"),
            (
                "http://Venti.example.org/index",
                "tcp!venti.example.org!17034",
            ),
            ("http://[::1]:8000/index", "tcp!::1!17034"),
        ] {
            assert_eq!(venti_of(url).unwrap().to_string(), venti);
        }
        assert!(venti_of("venti:8000").is_err());
    }

    #[test]
    fn only_plain_http_is_asked() {
        for url in [
            "http://127.0.0.1:8000/index",
            "http://127.1:8000/index",
            "http://[::1]:8000/index",
            "http://venti/index",
            "HTTP://venti/index",
        ] {
            assert!(uri(url).is_ok(), "{url}");
        }
        for url in [
            "",
            "index",
            "/index",
            "venti:8000",
            "venti:8000/index",
            "https://venti/index",
            "file:///index",
            "http://",
            "http:///index",
            "http://:8000/index",
            "http://me:secret@venti/index",
            "http://venti/a b",
            "http://venti:99999/index",
            "http://venti:/index",
            "http://[::1]:x/index",
            "tcp!venti!8000",
        ] {
            let error = uri(url).map(|_| url).unwrap_err();
            assert!(matches!(error, PageError::Url(_)), "{url}: {error}");
        }
    }
}
