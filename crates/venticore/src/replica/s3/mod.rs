//! A replica in the bucket of an object store that speaks S3.
//!
//! Servers differ: some overwrite what a condition protects, some ignore checksums, some
//! answer a range with another status. So nothing here rests on any of them alone. An object
//! is looked for before it is written, what is there is compared, and what was
//! written is read back like all else.

mod answer;
mod cache;
mod connection;
mod keys;
mod range;

use std::collections::HashSet;
use std::io;

use rusty_s3::S3Action;
use rusty_s3::actions::{GetObject, HeadObject, ListObjectsV2, PutObject};

use super::access::StoreAccess;
use super::{LONGEST_OBJECT, Listed, ObjectStore};
use crate::codec::bucket::BucketName;
use crate::codec::replica::{ArenaFolder, ObjectName};
use cache::{CHUNK, CachedChunk, ChunkCache};
use connection::{StoreConnection, Wanted};
use range::ByteRange;

/// Pages of one listing at most, of a thousand entries each.
const PAGES: usize = 1000;

/// Bytes of one page at most.
const PAGE: u64 = 8 << 20;

/// The objects below a prefix of a bucket.
pub(super) struct BucketStore {
    name: BucketName,
    connection: StoreConnection,
    cache: ChunkCache,
}

impl BucketStore {
    /// Without a request.
    ///
    /// # Errors
    /// There is no key, or certificates cannot be read.
    pub(super) fn new(name: &BucketName, access: &StoreAccess) -> io::Result<Self> {
        Ok(BucketStore {
            name: name.clone(),
            connection: StoreConnection::new(name, access)?,
            cache: ChunkCache::default(),
        })
    }

    /// Everything that begins with this below the prefix: the names of objects and their
    /// sizes, and the names of folders, without what they all begin with.
    fn listing(&self, folder: &str, first_only: bool) -> io::Result<FoundObjects> {
        let start = self.name.key(folder);
        let mut found = FoundObjects::default();
        let mut tokens = HashSet::new();
        let mut token: Option<String> = None;
        for _ in 0..PAGES {
            let page = self.page(&start, token.as_deref(), first_only)?;
            for entry in page.contents {
                let name = entry.key.strip_prefix(&start);
                // Some tools make an object for a folder.
                if let (Some(name), Some(size)) = (name.filter(|name| !name.is_empty()), entry.size)
                {
                    found.objects.push((name.to_owned(), size));
                }
            }
            for entry in page.common_prefixes {
                let name = entry.prefix.strip_prefix(&start);
                let name = name.and_then(|name| name.strip_suffix('/'));
                found.folders.extend(name.map(str::to_owned));
            }
            match page.next_continuation_token {
                Some(next) if !first_only => {
                    if !tokens.insert(next.clone()) {
                        return Err(nonsense("the listing goes in a circle"));
                    }
                    token = Some(next);
                }
                _ => return Ok(found),
            }
        }
        Err(nonsense("the listing has more than 1000 pages"))
    }

    fn page(
        &self,
        start: &str,
        token: Option<&str>,
        first_only: bool,
    ) -> io::Result<rusty_s3::actions::ListObjectsV2Response> {
        let subject = match start {
            "" => "listing".to_owned(),
            start => format!("listing of {start}"),
        };
        self.connection.again(|key| {
            let bucket = self.connection.bucket();
            let mut action = ListObjectsV2::new(bucket, Some(key));
            if !start.is_empty() {
                action.with_prefix(start);
            }
            action.with_delimiter("/");
            if first_only {
                action.with_max_keys(2);
            }
            if let Some(token) = token {
                action.with_continuation_token(token);
            }
            let answer = self
                .connection
                .ask(&mut action, &Wanted::Body(PAGE), &subject)?;
            let answer = answer.success(&subject)?;
            if answer.error_code().is_some() {
                return Err(answer.refusal(&subject));
            }
            let text = std::str::from_utf8(&answer.body).ok();
            text.and_then(|text| ListObjectsV2::parse_response(text).ok())
                .ok_or_else(|| nonsense(&format!("{subject}: the answer is not a listing")))
        })
    }

    /// Whether there is such an object.
    fn has(&self, object: &str) -> io::Result<bool> {
        let key = self.name.key(object);
        self.connection.again(|credentials| {
            let mut action = HeadObject::new(self.connection.bucket(), Some(credentials), &key);
            let answer = self.connection.ask(&mut action, &Wanted::Nothing, "look")?;
            match answer.status {
                404 => Ok(false),
                _ => answer.success("look").map(|_| true),
            }
        })
    }

    /// One attempt to store an object that was not there.
    fn put_once(
        &self,
        object: &str,
        bytes: &[u8],
        credentials: &rusty_s3::Credentials,
    ) -> io::Result<PutResult> {
        let key = self.name.key(object);
        let subject = "put";
        let mut action = PutObject::new(self.connection.bucket(), Some(credentials), &key);
        let sum = answer::md5(bytes);
        let headers = action.headers_mut();
        headers.insert("content-md5", answer::base64(&sum));
        headers.insert("if-none-match", "*");
        let want = Wanted::Stored(bytes);
        let answer = self.connection.ask(&mut action, &want, subject)?;
        if answer.status == 412 {
            return Ok(PutResult::Before);
        }
        let answer = answer.success(subject)?;
        if answer.error_code().is_some() {
            return Err(answer.refusal(subject));
        }
        match answer.has_sum(&sum) {
            true => Ok(PutResult::Now),
            false => Ok(PutResult::Otherwise),
        }
    }

    /// Whether an object has these bytes and no others, as the server gives it now.
    fn holds(&self, object: &str, bytes: &[u8]) -> io::Result<bool> {
        let mut at = 0;
        while at <= bytes.len() as u64 {
            let chunks = self.fetch(object, ByteRange::of(at, 16 * CHUNK))?;
            let got: Vec<u8> = chunks.concat();
            let from = usize::try_from(at).unwrap_or(usize::MAX);
            let rest = bytes.get(from..).unwrap_or_default();
            if (got.len() as u64) < 16 * CHUNK {
                return Ok(got == rest);
            }
            if !rest.starts_with(&got) {
                return Ok(false);
            }
            at += got.len() as u64;
        }
        Ok(false)
    }

    /// The chunks of a range of an object, as far as it goes.
    fn fetch(&self, object: &str, range: ByteRange) -> io::Result<Vec<CachedChunk>> {
        let key = self.name.key(object);
        let subject = format!("get of {object}");
        self.connection.again(|credentials| {
            let mut action = GetObject::new(self.connection.bucket(), Some(credentials), &key);
            action.headers_mut().insert("range", range.header());
            let answer = self
                .connection
                .ask(&mut action, &Wanted::Range(range), &subject)?;
            match answer.status {
                416 => Ok(Vec::new()),
                _ => Ok(answer.success(&subject)?.chunks()),
            }
        })
    }

    /// A chunk of an object, from the cache or from the server.
    fn chunk(&self, object: &str, number: u64, wanted: u64) -> io::Result<Option<CachedChunk>> {
        if let Some(chunk) = self.cache.get(object, number) {
            return Ok(Some(chunk));
        }
        let count = self.cache.ahead(object, number).max(wanted);
        let range = ByteRange::of(number * CHUNK, count * CHUNK);
        let chunks = self.fetch(object, range)?;
        let first = chunks.first().cloned();
        self.cache.add(object, number, chunks);
        Ok(first)
    }
}

/// What a listing has.
#[derive(Default)]
struct FoundObjects {
    objects: Vec<(String, u64)>,
    folders: Vec<String>,
}

/// What became of an object that was put.
enum PutResult {
    /// It is there.
    Now,
    /// There was one already.
    Before,
    /// It is there, and the server has another sum of it.
    Otherwise,
}

/// What a server said that no server should.
fn nonsense(what: &str) -> io::Error {
    io::Error::other(what.to_owned())
}

impl ObjectStore for BucketStore {
    fn get(&self, object: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        loop {
            let chunks = self.fetch(object, ByteRange::of(bytes.len() as u64, 16 * CHUNK))?;
            let before = bytes.len() as u64;
            chunks
                .iter()
                .for_each(|chunk| bytes.extend_from_slice(chunk));
            match bytes.len() as u64 {
                after if after > LONGEST_OBJECT => return Err(io::ErrorKind::FileTooLarge.into()),
                after if after < before + 16 * CHUNK => return Ok(bytes),
                _ => {}
            }
        }
    }

    fn is_empty(&self) -> io::Result<bool> {
        let found = self.listing("", true)?;
        Ok(found.objects.is_empty() && found.folders.is_empty())
    }

    fn folders(&self) -> io::Result<Vec<ArenaFolder>> {
        let found = self.listing("", false)?;
        let parsed = found.folders.iter().map(|name| ArenaFolder::parse(name));
        let folders: HashSet<ArenaFolder> = parsed.flatten().collect();
        Ok(folders.into_iter().collect())
    }

    fn list(&self, arena: &ArenaFolder) -> io::Result<Vec<Listed>> {
        let found = self.listing(&format!("{arena}/"), false)?;
        let listed = found.objects.iter().filter_map(|(name, size)| {
            let object = ObjectName::parse(name)?;
            Some(Listed {
                object,
                size: Some(*size),
            })
        });
        Ok(listed.collect())
    }

    fn put(&self, object: &str, bytes: &[u8]) -> io::Result<()> {
        if !self.has(object)? {
            let stored = self
                .connection
                .again(|credentials| self.put_once(object, bytes, credentials))?;
            match stored {
                PutResult::Now => return Ok(()),
                PutResult::Before => {}
                PutResult::Otherwise if self.holds(object, bytes)? => return Ok(()),
                PutResult::Otherwise => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "the server has stored other bytes than were sent",
                    ));
                }
            }
        }
        match self.holds(object, bytes)? {
            true => Ok(()),
            false => Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "other bytes are there under the same name, and are not replaced",
            )),
        }
    }

    fn read(&self, object: &str, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset + buf.len() as u64;
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let number = at / CHUNK;
            let wanted = end.div_ceil(CHUNK) - number;
            let chunk = self.chunk(object, number, wanted.min(16))?;
            let within = usize::try_from(at - number * CHUNK).unwrap_or(usize::MAX);
            let bytes = chunk.as_ref().and_then(|chunk| chunk.get(within..));
            let bytes = bytes.filter(|bytes| !bytes.is_empty()).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("{object} ends before byte {at}"),
                )
            })?;
            let len = bytes.len().min(rest.len());
            let (now, later) = rest.split_at_mut(len);
            now.copy_from_slice(bytes.get(..len).unwrap_or_default());
            at += len as u64;
            rest = later;
        }
        Ok(())
    }
}
