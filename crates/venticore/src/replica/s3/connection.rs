//! Requests to a server, made again where that may help.
//!
//! A signed URL is a key for as long as it is valid. None leaves this module, and no error
//! of the HTTP client is told that could have one in its text.

use std::fs;
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use ureq::http::{HeaderMap, Response, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Timeout};

use super::answer::StoreReply;
use super::keys::key_of;
use super::range::ByteRange;
use crate::codec::bucket::BucketName;
use crate::host::random;
use crate::replica::access::{KeySource, StoreAccess};
use crate::replica::may_pass;
use crate::text::{in_lower_case, path};

/// How long a signed request is valid.
const VALID: Duration = Duration::from_secs(15 * 60);

/// The longest pause between two attempts.
const PAUSE: Duration = Duration::from_secs(16);

/// Bytes of an error that are taken.
const ERROR: u64 = 64 << 10;

/// Bytes of a file of certificates at most.
const CERTIFICATES: u64 = 16 << 20;

/// Bytes a second that are enough: a transfer may take as long as that takes.
const SLOWEST: u64 = 16 << 10;

/// What is wanted of an answer.
pub(super) enum Wanted<'a> {
    /// Its head.
    Nothing,
    /// Its body, up to this number of bytes.
    Body(u64),
    /// These bytes of an object.
    Range(ByteRange),
    /// That this is stored.
    Stored(&'a [u8]),
}

/// How a server is spoken to.
pub(super) struct StoreConnection {
    agent: Agent,
    bucket: Bucket,
    keys: KeySource,
    /// The key that is used now.
    credentials: Mutex<Credentials>,
    silence: Duration,
    retries: u32,
    backoff: Duration,
}

impl StoreConnection {
    /// Without a request.
    pub(super) fn new(name: &BucketName, access: &StoreAccess) -> io::Result<Self> {
        let style = match access.path_style {
            true => UrlStyle::Path,
            false => UrlStyle::VirtualHost,
        };
        let endpoint = name.endpoint().parse().map_err(io::Error::other)?;
        let bucket = Bucket::new(
            endpoint,
            style,
            name.bucket().to_owned(),
            access.region.clone(),
        );
        let bucket = bucket.map_err(|error| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "the bucket cannot be in a URL: {}: see path_style",
                    in_lower_case(&error)
                ),
            )
        })?;
        Ok(StoreConnection {
            agent: agent(access)?,
            bucket,
            credentials: Mutex::new(credentials(&access.keys)?),
            keys: access.keys.clone(),
            silence: access.silence,
            retries: access.retries,
            backoff: access.backoff,
        })
    }

    pub(super) fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// Does something until it succeeds, or an error comes that stays, or it was done
    /// often enough.
    pub(super) fn again<T>(&self, once: impl Fn(&Credentials) -> io::Result<T>) -> io::Result<T> {
        let mut pause = self.backoff;
        let mut is_new = !matches!(self.keys, KeySource::Program(_));
        let mut left = self.retries;
        loop {
            let key = self.key();
            let error = match once(&key) {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if error.kind() == io::ErrorKind::PermissionDenied && !is_new {
                is_new = true;
                *self
                    .credentials
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = credentials(&self.keys)?;
                continue;
            }
            if left == 0 || !may_pass(&error) {
                return Err(error);
            }
            left -= 1;
            let half = u64::try_from(pause.as_millis() / 2).unwrap_or(0);
            thread::sleep(Duration::from_millis(half + random::below(half + 1)));
            pause = (pause * 2).min(PAUSE);
        }
    }

    fn key(&self) -> Credentials {
        let key = self.credentials.lock();
        key.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One request and its answer.
    ///
    /// # Errors
    /// There was no answer, or not all of it. What the server refused is an answer.
    pub(super) fn ask<'a>(
        &self,
        action: &mut impl S3Action<'a>,
        want: &Wanted<'_>,
        subject: &str,
    ) -> io::Result<StoreReply> {
        let url = action.sign(VALID);
        let headers = action.headers_mut().iter();
        let lost = |error: ureq::Error| self.lost(error, subject);
        let response = match want {
            Wanted::Stored(bytes) => {
                let request = headers.fold(self.agent.put(url.as_str()), |of, (key, value)| {
                    of.header(key, value)
                });
                let whole = self.limit(bytes.len() as u64);
                let request = request.config().timeout_global(Some(whole)).build();
                request.send(*bytes)
            }
            _ => {
                let start = match want {
                    Wanted::Nothing => self.agent.head(url.as_str()),
                    _ => self.agent.get(url.as_str()),
                };
                let request = headers.fold(start, |of, (key, value)| of.header(key, value));
                let expected = match want {
                    Wanted::Range(range) => range.to - range.from,
                    Wanted::Body(most) => *most,
                    _ => 0,
                };
                let whole = self.limit(expected);
                let request = request.config().timeout_global(Some(whole)).build();
                request.call()
            }
        };
        self.read(response.map_err(lost)?, want, subject)
    }

    /// How long a request that has this number of bytes may take in all.
    fn limit(&self, bytes: u64) -> Duration {
        self.silence + Duration::from_secs(bytes / SLOWEST)
    }

    fn read(
        &self,
        response: Response<Body>,
        want: &Wanted<'_>,
        subject: &str,
    ) -> io::Result<StoreReply> {
        let status = response.status().as_u16();
        let headers = response.headers();
        let range = text(headers, header::CONTENT_RANGE.as_str());
        let encryption = text(headers, "x-amz-server-side-encryption");
        let customer = text(headers, "x-amz-server-side-encryption-customer-algorithm");
        let mut answer = StoreReply {
            status,
            body: Vec::new(),
            etag: text(headers, header::ETAG.as_str()),
            is_encrypted: customer.is_some() || encryption.is_some_and(|of| of != "AES256"),
        };
        let length = text(headers, header::CONTENT_LENGTH.as_str());
        let length: Option<u64> = length.and_then(|length| length.parse().ok());
        let body = response.into_body();
        let lost = |error: io::Error| self.lost(ureq::Error::from(error), subject);
        match want {
            Wanted::Nothing => {}
            Wanted::Range(asked) if matches!(status, 200 | 206) => {
                let named = |error: io::Error| io::Error::other(format!("{subject}: {error}"));
                let part = asked.of_answer(status, range.as_deref()).map_err(named)?;
                answer.body = part.of(body.into_reader(), length).map_err(lost)?;
            }
            Wanted::Body(most) if status == 200 => {
                answer.body = up_to(body, *most).map_err(lost)?;
                if answer.body.len() as u64 > *most {
                    return Err(io::Error::other(format!(
                        "{subject}: the answer has more than {most} bytes"
                    )));
                }
            }
            Wanted::Stored(_) if status == 200 => {
                answer.body = up_to(body, ERROR).map_err(lost)?;
            }
            // The status tells, whatever else may come.
            _ => answer.body = up_to(body, ERROR).unwrap_or_default(),
        }
        Ok(answer)
    }

    /// What it means that there was no answer. Texts of the client may have the URL in them.
    fn lost(&self, error: ureq::Error, subject: &str) -> io::Error {
        use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, Other, TimedOut};
        let (kind, cause) = match error {
            ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
                (TimedOut, "no connection in time".to_owned())
            }
            ureq::Error::Timeout(_) => (
                TimedOut,
                format!(
                    "no answer in time, which is {:?} and what its bytes take",
                    self.silence
                ),
            ),
            ureq::Error::HostNotFound => (HostUnreachable, "host not found".to_owned()),
            ureq::Error::ConnectionFailed => (ConnectionRefused, "cannot connect".to_owned()),
            ureq::Error::Io(error) => {
                let inner = error
                    .get_ref()
                    .and_then(|of| of.downcast_ref::<ureq::Error>());
                match inner {
                    Some(ureq::Error::Timeout(_)) => {
                        (TimedOut, "not all of the answer came in time".to_owned())
                    }
                    Some(_) => (ConnectionReset, "connection lost".to_owned()),
                    None if may_pass(&error) => (error.kind(), in_lower_case(&error)),
                    None if error.kind() == io::ErrorKind::UnexpectedEof => {
                        (ConnectionReset, "connection lost".to_owned())
                    }
                    None => (Other, in_lower_case(&error)),
                }
            }
            ureq::Error::Rustls(error) => (Other, format!("TLS: {}", in_lower_case(&error))),
            ureq::Error::Tls(cause) => (Other, format!("TLS: {cause}")),
            ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => (
                ConnectionReset,
                "the answer is not whole, or not HTTP".to_owned(),
            ),
            _ => (Other, "the request cannot be made".to_owned()),
        };
        io::Error::new(kind, format!("{subject}: {cause}"))
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

/// A body up to one byte more than is allowed.
fn up_to(body: Body, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    body.into_reader().take(most + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn credentials(keys: &KeySource) -> io::Result<Credentials> {
    let key = key_of(keys)?;
    let secret = key.secret.reveal();
    Ok(match &key.token {
        Some(token) => Credentials::new_with_token(&*key.id, secret, token.reveal()),
        None => Credentials::new(&*key.id, secret),
    })
}

fn agent(access: &StoreAccess) -> io::Result<Agent> {
    let tls = TlsConfig::builder();
    let tls = match &access.certificates {
        None => tls,
        Some(file) => tls.root_certs(certificates(file).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("certificates {}: {error}", path(file)),
            )
        })?),
    };
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .user_agent("ventiprog")
        .timeout_resolve(Some(access.connect))
        .timeout_connect(Some(access.connect))
        .timeout_per_read(Some(access.silence))
        .timeout_per_write(Some(access.silence))
        .tls_config(tls.build());
    Ok(config.build().new_agent())
}

fn certificates(file: &std::path::Path) -> io::Result<RootCerts> {
    let mut text = Vec::new();
    let opened = fs::File::open(file)?;
    opened.take(CERTIFICATES).read_to_end(&mut text)?;
    let mut found = Vec::new();
    for item in parse_pem(&text) {
        match item {
            Ok(PemItem::Certificate(of)) => found.push(of),
            Ok(_) => {}
            Err(_) => return Err(io::Error::other("expected certificates in PEM")),
        }
    }
    match found.is_empty() {
        true => Err(io::Error::other("expected certificates in PEM, found none")),
        false => Ok(RootCerts::new_with_certs(&found)),
    }
}
