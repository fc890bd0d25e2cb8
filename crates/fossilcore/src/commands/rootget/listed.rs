//! A line for one thing in an archive, as text and as JSON.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::disk::DirEntry;
use venticore::codec::utc::Utc;
use venticore::text::{counted, printable};

/// The version of the JSON lines.
const SCHEMA: u32 = 1;

/// Something in an archive.
pub(super) struct ListedName<'a> {
    path: &'a [u8],
    info: Option<&'a DirEntry>,
    size: u64,
    state: Option<&'a str>,
    cause: Option<&'a str>,
}

/// The same as JSON.
#[derive(Serialize)]
struct JsonListed<'a> {
    schema: u32,
    path: String,
    /// The bytes of a path that is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid: Option<String>,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
}

impl<'a> ListedName<'a> {
    pub(super) fn of(path: &'a [u8], info: Option<&'a DirEntry>, size: u64) -> Self {
        ListedName {
            path,
            info,
            size,
            state: None,
            cause: None,
        }
    }

    /// The same, with what became of it.
    pub(super) fn and_state(self, state: &'a str, cause: Option<&'a str>) -> Self {
        ListedName {
            state: Some(state),
            cause,
            ..self
        }
    }

    /// What it is.
    pub(super) fn kind(&self) -> &'static str {
        let mode = self.info.map_or(DirEntry::DIRECTORY, |info| info.mode);
        let kinds = [
            (DirEntry::DIRECTORY, "directory"),
            (DirEntry::LINK, "link"),
            (DirEntry::DEVICE, "device"),
            (DirEntry::PIPE, "pipe"),
        ];
        let kind = kinds.into_iter().find(|(bit, _)| mode & bit != 0);
        kind.map_or("file", |(_, kind)| kind)
    }

    /// As `ls -l` has it.
    pub(super) fn text(&self) -> String {
        let Some(info) = self.info else {
            return printable(self.path);
        };
        let letter = match self.kind() {
            "directory" => 'd',
            "link" => 'l',
            "device" => 'D',
            "pipe" => 'p',
            _ => '-',
        };
        let bits = ["---", "--x", "-w-", "-wx", "r--", "r-x", "rw-", "rwx"];
        let mode = usize::try_from(info.mode).unwrap_or(0);
        let mode: String = [6, 3, 0]
            .iter()
            .filter_map(|shift| bits.get(mode >> shift & 7).copied())
            .collect();
        format!(
            "{letter}{mode} {:<8} {:<8} {:>12} {} {}",
            word(&info.uid),
            word(&info.gid),
            self.size,
            Utc(time(info.mtime)),
            printable(self.path)
        )
    }

    pub(super) fn json(&self) -> String {
        let text = std::str::from_utf8(self.path);
        let line = JsonListed {
            schema: SCHEMA,
            path: String::from_utf8_lossy(self.path).into_owned(),
            path_hex: text.is_err().then(|| hex(self.path)),
            kind: self.kind(),
            mode: self.info.map(|info| format!("{:04o}", info.mode & 0o777)),
            uid: self.info.map(|info| printable(&info.uid)),
            gid: self.info.map(|info| printable(&info.gid)),
            size: self.size,
            mtime: self.info.map(|info| Utc(time(info.mtime)).to_string()),
            state: self.state,
            cause: self.cause,
        };
        serde_json::to_string(&line).unwrap_or_default()
    }
}

/// What was copied or listed, in words.
pub(super) fn totals(files: u64, directories: u64, bytes: u64) -> String {
    let files = counted(files, "file", "files");
    let directories = counted(directories, "directory", "directories");
    let bytes = counted(bytes, "byte", "bytes");
    format!("{files}, {directories}, {bytes}")
}

/// The last line: numbers by their names.
pub(super) fn summary(numbers: &[(&str, u64)]) -> String {
    let mut line = serde_json::Map::new();
    line.insert("schema".to_owned(), SCHEMA.into());
    for (name, number) in numbers {
        line.insert((*name).to_owned(), (*number).into());
    }
    serde_json::Value::Object(line).to_string()
}

/// A name as one word.
fn word(name: &[u8]) -> String {
    match &*printable(name) {
        "" => "-".to_owned(),
        name => name.replace(' ', "\\u{20}"),
    }
}

fn time(seconds: u32) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
