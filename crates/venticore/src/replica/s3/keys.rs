//! Where the key of an object store comes from.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::fs::OFlags;
use serde::Deserialize;

use crate::host::child::{self, ChildLimits, Listen};
use crate::replica::access::{AccessKey, KeySource, Secret};
use crate::text::{excerpt, path};

/// More than any key has, in bytes.
const MOST: u64 = 64 << 10;

/// How long a program may take that prints a key.
const PATIENCE: Duration = Duration::from_secs(60);

/// Gets the key.
///
/// # Errors
/// There is none, others could read it, or the program did not give one.
pub(super) fn key_of(source: &KeySource) -> io::Result<AccessKey> {
    match source {
        KeySource::None => Err(refused(
            "no key: expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or [s3] in the configuration".to_owned(),
        )),
        KeySource::Known(key) => Ok(key.clone()),
        KeySource::SecretFile { id, file } => Ok(AccessKey {
            id: id.clone(),
            secret: secret_in(file)?,
            token: None,
        }),
        KeySource::Program(words) => key_from(words),
    }
}

fn refused(cause: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, cause)
}

/// The secret in a file that nobody else can read.
fn secret_in(file: &Path) -> io::Result<Secret> {
    let name = path(file);
    let wrong = |error: io::Error| refused(format!("the file of the secret key {name}: {error}"));
    let opened = File::options()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(file);
    let opened = opened.map_err(wrong)?;
    let meta = opened.metadata().map_err(wrong)?;
    if !meta.is_file() || meta.mode() & 0o077 != 0 {
        return Err(refused(format!(
            "the file of the secret key {name}: expected a file with mode 0600, found mode {:04o}: chmod 600 it",
            meta.mode() & 0o7777
        )));
    }
    let mut text = String::new();
    opened.take(MOST).read_to_string(&mut text).map_err(wrong)?;
    match text.trim() {
        secret if !secret.is_empty() && !secret.contains(char::is_whitespace) => {
            Ok(Secret::new(secret))
        }
        _ => Err(refused(format!(
            "the file of the secret key {name}: expected one word"
        ))),
    }
}

/// What a program prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PrintedKey {
    access_key_id: String,
    secret_access_key: Secret,
    session_token: Option<Secret>,
}

/// A stream that the limit on a program's output bounds.
#[derive(Debug, Default)]
struct PrintedText(Vec<u8>);

impl Listen for PrintedText {
    fn hear(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn broke(&mut self, _: String) {}
}

fn key_from(words: &[String]) -> io::Result<AccessKey> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(refused("no key: the program has no name".to_owned()));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    let limits = ChildLimits {
        silence: PATIENCE,
        whole: PATIENCE,
        output: MOST,
    };
    let wrong = |cause: String| refused(format!("{program}, which prints the key: {cause}"));
    let ended = child::run::<PrintedText>(command, Vec::new(), &limits);
    let ended = ended.map_err(|fault| wrong(fault.to_string()))?;
    if !ended.status.success() {
        return Err(wrong(format!(
            "{}: {}",
            ended.status,
            excerpt(ended.stderr.0.trim_ascii(), 200)
        )));
    }
    // The parser's error would quote what was printed.
    let printed: PrintedKey = serde_json::from_slice(&ended.stdout.0).map_err(|_| {
        wrong(
            "expected a JSON object with AccessKeyId and SecretAccessKey, found another text"
                .to_owned(),
        )
    })?;
    Ok(AccessKey {
        id: printed.access_key_id,
        secret: printed.secret_access_key,
        token: printed.session_token,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        fs::write(&file, "s3cr3t\n").unwrap();
        let source = KeySource::SecretFile {
            id: "me".to_owned(),
            file: file.clone(),
        };
        for (mode, is_good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            match key_of(&source) {
                Ok(key) => assert!(is_good && key.secret == Secret::new("s3cr3t")),
                Err(error) => {
                    assert!(!is_good, "{error}");
                    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
                    assert!(error.to_string().contains("chmod 600"), "{error}");
                }
            }
        }
    }

    #[test]
    fn a_program_gives_the_key_and_what_it_printed_is_never_told() {
        let run = |text: &str| {
            let words = ["printf", "%s", text].map(str::to_owned);
            key_of(&KeySource::Program(words.into()))
        };
        let key =
            run(r#"{"Version":1,"AccessKeyId":"a","SecretAccessKey":"b","SessionToken":"c"}"#);
        let key = key.unwrap();
        assert_eq!((&*key.id, key.secret.clone()), ("a", Secret::new("b")));
        assert_eq!(key.token, Some(Secret::new("c")));
        assert!(format!("{key:?}").contains("secret: (secret)"));
        let error = run(r#"{"SecretAccessKey":"hidden"}"#).unwrap_err();
        assert!(!error.to_string().contains("hidden"), "{error}");
        let error = key_of(&KeySource::Program(vec!["false".to_owned()]));
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
