//! The place of a replica in an object store: `s3:URL/BUCKET/PREFIX`.

use std::fmt;
use std::str::FromStr;

use crate::codec::invalid::Invalid;

/// The longest name of a bucket, in bytes.
const LONGEST: usize = 63;

/// A bucket of a server, and what the keys of a replica begin with there. Two texts for
/// one place are equal once parsed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketName {
    is_https: bool,
    /// In lower case. An address of IPv6 has brackets, which are for a shell: it needs a name.
    host: String,
    /// None where it is the usual one.
    port: Option<u16>,
    bucket: String,
    /// Words between slashes; nothing for the whole bucket.
    prefix: String,
}

impl BucketName {
    /// What begins the name of a replica in a bucket.
    pub const S3: &str = "s3:";

    /// The URL of the server, without a slash at its end.
    #[must_use]
    pub fn endpoint(&self) -> String {
        let scheme = if self.is_https { "https" } else { "http" };
        let port = self.port.map(|port| format!(":{port}"));
        format!("{scheme}://{}{}", self.host, port.unwrap_or_default())
    }

    /// The bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The key of an object of the replica.
    #[must_use]
    pub fn key(&self, object: &str) -> String {
        match self.prefix.is_empty() {
            true => object.to_owned(),
            false => format!("{}/{object}", self.prefix),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let url = text.strip_prefix(Self::S3)?;
        let (scheme, rest) = url.split_once("://")?;
        let is_https = match &*scheme.to_ascii_lowercase() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let (authority, path) = rest.split_once('/')?;
        let (host, port) = host_and_port(authority)?;
        let mut words = path.split('/').filter(|word| !word.is_empty());
        let bucket = words.next()?.to_owned();
        let prefix: Vec<&str> = words.collect();
        let usual = if is_https { 443 } else { 80 };
        let are_good = prefix.iter().copied().all(is_word) && is_word(&bucket);
        (are_good && bucket.len() <= LONGEST).then(|| BucketName {
            is_https,
            host,
            port: port.filter(|&port| port != usual),
            bucket,
            prefix: prefix.join("/"),
        })
    }
}

/// Whether this is a word of a key that a URL and a line of wrcmds have as it is.
fn is_word(word: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~+=@,:".contains(&byte);
    word.bytes().all(is_good) && word != "." && word != ".."
}

fn host_and_port(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !host.bytes().all(is_good) || host.split('.').any(str::is_empty) {
        return None;
    }
    let host = host.to_ascii_lowercase();
    let number = |port: &str| match port.bytes().all(|byte| byte.is_ascii_digit()) {
        true => port.parse::<u16>().ok().filter(|&port| port > 0),
        false => None,
    };
    match port {
        Some(port) => Some((host, Some(number(port)?))),
        None => Some((host, None)),
    }
}

impl FromStr for BucketName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text).ok_or_else(|| Invalid::Bucket(text.to_owned()))
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}/{}", Self::S3, self.endpoint(), self.bucket)?;
        match self.prefix.is_empty() {
            true => Ok(()),
            false => write!(f, "/{}", self.prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_texts_of_one_place_are_equal() {
        for (text, name) in [
            (
                "s3:HTTPS://S3.Example.org:443//venti//a/b/",
                "s3:https://s3.example.org/venti/a/b",
            ),
            ("s3:http://127.0.0.1:80/venti/", "s3:http://127.0.0.1/venti"),
        ] {
            assert_eq!(text.parse::<BucketName>().unwrap().to_string(), name);
        }
        let name: BucketName = "s3:https://h:8443/b/a".parse().unwrap();
        assert_eq!(name.endpoint(), "https://h:8443");
        assert_eq!((name.bucket(), &*name.key("x/head")), ("b", "a/x/head"));
    }

    #[test]
    fn a_text_that_says_more_or_less_is_refused() {
        for text in [
            "s3:",
            "s3:bucket",
            "s3://bucket/prefix",
            "s3:https://host",
            "s3:https://host/",
            "s3:ftp://host/b",
            "s3:https:///b",
            "s3:https://me:secret@host/b",
            "s3:https://host:/b",
            "s3:https://host:0/b",
            "s3:https://host:+1/b",
            "s3:https://host:99999/b",
            "s3:https://host/b?x=1",
            "s3:https://host/b/#x",
            "s3:https://host/b/../c",
            "s3:https://host/./c",
            "s3:https://host/b/a b",
            "s3:https://host/b/a%2fb",
            "s3:https://host/b/\u{e4}",
            "s3:https://a..b/b",
            "s3:https://[::1]/b",
            "s3:https://[::1]x/b",
        ] {
            let error = text.parse::<BucketName>().unwrap_err();
            assert_eq!(error, Invalid::Bucket(text.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn any_place_goes_both_ways(
            scheme in "https?", host in "[a-z0-9-]{1,9}(\\.[a-z]{2,5}){0,2}", port in proptest::option::of(1..=u16::MAX),
            bucket in "[a-z0-9][a-z0-9.-]{2,20}", prefix in "(/[A-Za-z0-9_=+,@:~-]{1,8}){0,3}/?"
        ) {
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            let text = format!("s3:{scheme}://{host}{port}/{bucket}{prefix}");
            let name: BucketName = text.parse().unwrap();
            let again: BucketName = name.to_string().parse().unwrap();
            prop_assert_eq!(&again, &name);
            prop_assert!(!again.to_string().ends_with('/'));
        }

        #[test]
        fn no_text_panics(text in "s3:(https?://)?.{0,40}") {
            if let Ok(name) = text.parse::<BucketName>() {
                prop_assert_eq!(name.to_string().parse::<BucketName>(), Ok(name));
            }
        }
    }
}
