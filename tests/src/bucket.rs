//! An object store in a thread: one bucket that speaks S3, and does what servers do when they
//! are at fault.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use md5::{Digest, Md5};

/// The key that is let in.
pub const KEY: &str = "AKIDSTORIES";

/// What its requests are signed with. The bucket does not check that.
pub const SECRET: &str = "s3cr3t-of-the-stories";

/// The name of the bucket.
pub const NAME: &str = "archive";

/// A fault of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This status and this code.
    Status(u16, &'static str),
    /// The status 200, and an error in the body; nothing is done.
    ErrorIn200(&'static str),
    /// Everything is done, and the connection ends without an answer.
    NoAnswer,
    /// Half of the body comes, and the connection ends.
    HalfABody,
    /// The connection ends while the body of the request comes.
    HalfARequest,
    /// An answer whose tag is the sum of something else.
    WrongTag,
    /// The object is stored with other bytes, and its tag is their sum.
    OtherBytes,
    /// The tag is that of an encrypted object.
    Encrypted,
    /// Nothing is answered for this time.
    Silent(Duration),
}

/// When a fault occurs.
#[derive(Clone, Debug)]
struct Planned {
    method: &'static str,
    /// A part of the path and the query.
    of: String,
    times: usize,
    fault: Fault,
}

#[derive(Debug, Default)]
struct Store {
    objects: BTreeMap<String, Vec<u8>>,
    /// Objects that a listing does not have.
    hidden: Vec<String>,
    planned: Vec<Planned>,
    /// Method, key, and what of the query is not a signature.
    requests: Vec<String>,
    page: usize,
    ignores_ranges: bool,
    ignores_conditions: bool,
    /// The host and the token of each request.
    addressed: BTreeSet<(String, Option<String>)>,
    /// What a request had that it should not have, or lacked.
    wrong: Vec<String>,
}

/// A running server. It stops when dropped.
#[derive(Debug)]
pub struct Bucket {
    address: SocketAddr,
    store: Arc<Mutex<Store>>,
    stop: Arc<AtomicBool>,
}

impl Bucket {
    /// Starts one.
    ///
    /// # Panics
    /// When there is no port.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let bucket = Bucket {
            address: listener.local_addr().expect("an address"),
            store: Arc::new(Mutex::new(Store {
                page: 1000,
                ..Store::default()
            })),
            stop: Arc::new(AtomicBool::new(false)),
        };
        let (store, stop) = (Arc::clone(&bucket.store), Arc::clone(&bucket.stop));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let store = Arc::clone(&store);
                thread::spawn(move || serve(&stream, &store));
            }
        });
        bucket
    }

    /// The name of a replica in it.
    #[must_use]
    pub fn replica(&self, prefix: &str) -> String {
        format!("s3:http://{}/{NAME}/{prefix}", self.address)
    }

    /// The same where the bucket is the first word of the host's name, and this the rest.
    #[must_use]
    pub fn replica_at(&self, host: &str, prefix: &str) -> String {
        format!("s3:http://{host}:{}/{NAME}/{prefix}", self.address.port())
    }

    /// Its objects.
    #[must_use]
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.lock().objects.clone()
    }

    /// Puts an object there, or another in its place.
    pub fn set(&self, key: &str, bytes: &[u8]) {
        self.lock().objects.insert(key.to_owned(), bytes.to_vec());
    }

    /// Takes an object away.
    pub fn remove(&self, key: &str) {
        self.lock().objects.remove(key);
    }

    /// Leaves an object out of listings.
    pub fn hide(&self, key: &str) {
        self.lock().hidden.push(key.to_owned());
    }

    /// Has a fault occur for requests with this method that have this in their path or query.
    pub fn plan(&self, method: &'static str, of: &str, times: usize, fault: Fault) {
        let of = of.to_owned();
        self.lock().planned.push(Planned {
            method,
            of,
            times,
            fault,
        });
    }

    /// Has no more faults.
    pub fn plan_nothing(&self) {
        self.lock().planned.clear();
    }

    /// Lists so many objects at once.
    pub fn set_page(&self, page: usize) {
        self.lock().page = page;
    }

    /// Answers a range with all.
    pub fn ignore_ranges(&self) {
        self.lock().ignores_ranges = true;
    }

    /// Overwrites, whatever a condition says.
    pub fn ignore_conditions(&self) {
        self.lock().ignores_conditions = true;
    }

    /// The requests since the last call: method and what was asked for.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().requests)
    }

    /// The hosts and the tokens that requests had.
    #[must_use]
    pub fn addressed(&self) -> BTreeSet<(String, Option<String>)> {
        self.lock().addressed.clone()
    }

    /// What was wrong with requests.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        self.lock().wrong.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

/// A request.
struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    fn host(&self) -> &str {
        self.headers.get("host").map_or("", String::as_str)
    }
}

/// An answer.
#[derive(Default)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn error(status: u16, code: &str) -> Self {
        let body = format!(
            "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>\u{1b}[31mnothing for\nyou</Message></Error>"
        );
        Answer {
            status,
            headers: Vec::new(),
            body: body.into_bytes(),
        }
    }
}

fn serve(stream: &TcpStream, store: &Mutex<Store>) {
    let mut reader = BufReader::new(stream);
    while let Some(mut request) = head(&mut reader) {
        let fault = planned(store, &request);
        let length = request.headers.get("content-length");
        let length: u64 = length.and_then(|text| text.parse().ok()).unwrap_or(0);
        let wanted = match fault {
            Some(Fault::HalfARequest) => length / 2,
            _ => length,
        };
        let read = (&mut reader).take(wanted).read_to_end(&mut request.body);
        if read.is_err() || fault == Some(Fault::HalfARequest) {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
        if let Some(Fault::Silent(time)) = fault {
            thread::sleep(time);
            return;
        }
        let mut answer = match fault {
            Some(Fault::Status(status, code)) => Answer::error(status, code),
            Some(Fault::ErrorIn200(code)) => Answer {
                status: 200,
                ..Answer::error(200, code)
            },
            _ => answer_to(
                &mut store.lock().unwrap_or_else(PoisonError::into_inner),
                &request,
                fault,
            ),
        };
        if fault == Some(Fault::WrongTag) {
            answer.headers.retain(|(name, _)| *name != "ETag");
            answer.headers.push(("ETag", format!("\"{:032x}\"", 7)));
        }
        if fault == Some(Fault::Encrypted) {
            answer.headers.retain(|(name, _)| *name != "ETag");
            answer.headers.push(("ETag", format!("\"{:032x}\"", 8)));
            answer
                .headers
                .push(("x-amz-server-side-encryption", "aws:kms".to_owned()));
        }
        if fault == Some(Fault::NoAnswer) || !send(stream, &request, &answer, fault) {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

fn send(mut stream: &TcpStream, request: &Request, answer: &Answer, fault: Option<Fault>) -> bool {
    let mut text = format!("HTTP/1.1 {} Some words\r\n", answer.status);
    for (name, value) in &answer.headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("Content-Length: {}\r\n\r\n", answer.body.len());
    let mut bytes = text.into_bytes();
    if request.method != "HEAD" {
        let half = answer.body.len() / 2;
        let is_half = fault == Some(Fault::HalfABody);
        let body = if is_half {
            &answer.body[..half]
        } else {
            &answer.body
        };
        bytes.extend(body);
    }
    stream.write_all(&bytes).is_ok() && fault != Some(Fault::HalfABody)
}

/// Reads the head of a request.
fn head(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    Some(Request {
        method,
        path: decoded(path),
        query: pairs
            .map(|(key, value)| (decoded(key), decoded(value)))
            .collect(),
        headers,
        body: Vec::new(),
    })
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let digits = (byte == b'%').then(|| after.get(..2)).flatten();
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(of) => {
                bytes.push(of);
                rest = &after[2..];
            }
            None => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => encoded.push(char::from(byte)),
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

/// The key that a request is about; nothing for the bucket itself.
fn key_of(request: &Request) -> Option<&str> {
    let path = request.path.strip_prefix('/')?;
    let host = request.host().strip_prefix(NAME);
    if host.is_some_and(|rest| rest.starts_with('.')) {
        return Some(path);
    }
    let key = path.strip_prefix(NAME)?;
    Some(key.strip_prefix('/').unwrap_or(key))
}

fn planned(store: &Mutex<Store>, request: &Request) -> Option<Fault> {
    let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
    let prefix = request.query.get("prefix").map_or("", String::as_str);
    let text = format!("{} {prefix}", request.path);
    let is_it =
        |of: &&mut Planned| of.method == request.method && text.contains(&of.of) && of.times > 0;
    let found = store.planned.iter_mut().find(is_it)?;
    found.times -= 1;
    Some(found.fault)
}

/// What a request for this server has to have.
fn check(store: &mut Store, request: &Request) {
    let get = |name: &str| request.query.get(name).map_or("", String::as_str);
    let signed: Vec<&str> = get("X-Amz-SignedHeaders").split(';').collect();
    let mut needed = vec!["host"];
    if request.method == "PUT" {
        needed.extend(["content-md5", "if-none-match"]);
    }
    let valid: u64 = get("X-Amz-Expires").parse().unwrap_or(u64::MAX);
    let is_good = get("X-Amz-Credential").starts_with(&format!("{KEY}/"))
        && get("X-Amz-Signature").len() == 64
        && needed.iter().all(|name| signed.contains(name))
        && valid <= 900;
    if !is_good {
        let wrong = format!("{} {}: {:?}", request.method, request.path, request.query);
        store.wrong.push(wrong);
    }
}

fn answer_to(store: &mut Store, request: &Request, fault: Option<Fault>) -> Answer {
    check(store, request);
    let token = request.query.get("X-Amz-Security-Token").cloned();
    store.addressed.insert((request.host().to_owned(), token));
    let Some(key) = key_of(request) else {
        return Answer::error(404, "NoSuchBucket");
    };
    let prefix = request.query.get("prefix").map_or("", String::as_str);
    let what = if key.is_empty() { prefix } else { key };
    store.requests.push(format!("{} {what}", request.method));
    match (&*request.method, key) {
        ("GET", "") => listing(store, request),
        ("GET" | "HEAD", key) => match store.objects.get(key) {
            None => Answer::error(404, "NoSuchKey"),
            Some(object) => object_or_part(object, request, store.ignores_ranges),
        },
        ("PUT", key) => put(store, key, request, fault),
        _ => Answer::error(405, "MethodNotAllowed"),
    }
}

fn object_or_part(object: &[u8], request: &Request, ignores_ranges: bool) -> Answer {
    let all = Answer {
        status: 200,
        headers: vec![("ETag", tag(object))],
        body: object.to_vec(),
    };
    let range = request.headers.get("range").filter(|_| !ignores_ranges);
    let Some((from, to)) = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'))
    else {
        return all;
    };
    let (from, to): (usize, usize) = (from.parse().unwrap_or(0), to.parse().unwrap_or(0));
    if from >= object.len() {
        return Answer::error(416, "InvalidRange");
    }
    let end = (to + 1).min(object.len());
    let range = format!("bytes {from}-{}/{}", end - 1, object.len());
    Answer {
        status: 206,
        headers: vec![("Content-Range", range)],
        body: object[from..end].to_vec(),
    }
}

fn tag(bytes: &[u8]) -> String {
    let sum: [u8; 16] = Md5::digest(bytes).into();
    let hex: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

fn put(store: &mut Store, key: &str, request: &Request, fault: Option<Fault>) -> Answer {
    let is_conditional = request
        .headers
        .get("if-none-match")
        .is_some_and(|of| of == "*");
    if is_conditional && !store.ignores_conditions && store.objects.contains_key(key) {
        return Answer::error(412, "PreconditionFailed");
    }
    let expected = request
        .headers
        .get("content-md5")
        .map_or("", String::as_str);
    let sum: [u8; 16] = Md5::digest(&request.body).into();
    if from_base64(expected) != sum {
        return Answer::error(400, "BadDigest");
    }
    let mut body = request.body.clone();
    if fault == Some(Fault::OtherBytes) {
        body[0] ^= 1;
    }
    let answer = Answer {
        status: 200,
        headers: vec![("ETag", tag(&body))],
        body: Vec::new(),
    };
    store.objects.insert(key.to_owned(), body);
    answer
}

fn from_base64(text: &str) -> Vec<u8> {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let values = text
        .bytes()
        .filter_map(|byte| digits.iter().position(|&digit| digit == byte));
    let (mut bits, mut count, mut bytes) = (0_usize, 0, Vec::new());
    for value in values {
        bits = (bits << 6 | value) & 0xf_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap_or(0));
        }
    }
    bytes
}

/// A page of a listing, with folders where there is a delimiter.
fn listing(store: &Store, request: &Request) -> Answer {
    let get = |name: &str| request.query.get(name).map_or("", String::as_str);
    let (prefix, after) = (get("prefix"), get("continuation-token"));
    let most = get("max-keys").parse().unwrap_or(1000).min(store.page);
    let delimiter = get("delimiter");
    let mut entries: BTreeMap<String, Option<usize>> = BTreeMap::new();
    for (key, object) in &store.objects {
        let Some(rest) = key.strip_prefix(prefix) else {
            continue;
        };
        if store.hidden.contains(key) {
            continue;
        }
        match rest.split_once('/').filter(|_| delimiter == "/") {
            Some((folder, _)) => entries.insert(format!("{prefix}{folder}/"), None),
            None => entries.insert(key.clone(), Some(object.len())),
        };
    }
    let mut left = entries.iter().filter(|(name, _)| name.as_str() > after);
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><EncodingType>url</EncodingType>",
    );
    let mut last = "";
    for (name, size) in left.by_ref().take(most) {
        last = name;
        let name = encoded(name);
        text += &match size {
            Some(size) => format!(
                "<Contents><Key>{name}</Key><ETag>&quot;x&quot;</ETag><Size>{size}</Size></Contents>"
            ),
            None => format!("<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>"),
        };
    }
    let is_more = left.next().is_some();
    text += &format!("<IsTruncated>{is_more}</IsTruncated>");
    if is_more {
        text += &format!("<NextContinuationToken>{last}</NextContinuationToken>");
    }
    text += "</ListBucketResult>";
    Answer {
        status: 200,
        headers: vec![("Content-Type", "application/xml".to_owned())],
        body: text.into_bytes(),
    }
}
