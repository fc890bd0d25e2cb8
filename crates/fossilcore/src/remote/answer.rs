//! What a far command has said, and how it ended.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use venticore::host::child::{Exited, Listen};
use venticore::status::Status;
use venticore::text::excerpt;

/// How much of a line is shown.
const SHOWN: usize = 300;

/// How many lines are shown.
const LINES: usize = 20;

/// The status with which ssh itself fails.
const SSH_FAILED: i32 = 255;

/// A stream, whole: the limit on a program's output bounds it.
#[derive(Debug, Default)]
pub(super) struct Captured {
    bytes: Vec<u8>,
    broke: Option<String>,
}

impl Listen for Captured {
    fn hear(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn broke(&mut self, why: String) {
        self.broke = Some(why);
    }
}

/// How a far command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteEnd {
    /// With this exit status.
    Status(i32),
    /// With this text, as commands of Plan 9 fail.
    Text(String),
    /// Nobody told: the way there broke off, or never led there.
    Unknown(String),
}

impl RemoteEnd {
    /// The status of a command of this suite that ended so.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        match self {
            Self::Status(code) => Status::from_code(*code),
            _ => None,
        }
    }

    /// It ended well.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status() == Some(Status::Done)
    }
}

impl fmt::Display for RemoteEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(code) => write!(f, "exit status {code}"),
            Self::Text(text) => write!(f, "status \"{text}\""),
            Self::Unknown(why) => f.write_str(why),
        }
    }
}

/// What a far command has said, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteOutput {
    /// How.
    pub end: RemoteEnd,
    /// The lines of its standard output.
    pub stdout: Vec<String>,
    /// The lines of its standard error, and of the program that led there;
    /// printable, no more than can be shown.
    pub stderr: Vec<String>,
}

impl RemoteOutput {
    /// With a mark, the line that it begins tells how the command ended; without,
    /// the program that led there does.
    pub(super) fn new(ended: Exited<Captured>, mark: Option<&str>) -> Self {
        let mut stdout = lines(&ended.stdout.bytes);
        let broke = ended.stdout.broke.map(RemoteEnd::Unknown);
        let end = match mark {
            None => of_program(ended.status),
            Some(mark) => told(&mut stdout, mark, ended.status),
        };
        RemoteOutput {
            end: broke.unwrap_or(end),
            stdout,
            stderr: few(&lines(&ended.stderr.bytes)),
        }
    }
}

/// How the program ended that brings the far command's status.
fn of_program(status: ExitStatus) -> RemoteEnd {
    match (status.code(), status.signal()) {
        (Some(SSH_FAILED), _) => RemoteEnd::Unknown(format!(
            "no connection, or it was lost: exit status {SSH_FAILED}"
        )),
        (Some(code), _) => RemoteEnd::Status(code),
        (None, Some(signal)) => RemoteEnd::Unknown(format!("ended by signal {signal}")),
        (None, None) => RemoteEnd::Unknown(status.to_string()),
    }
}

/// The status that the far shell printed, as the last line of all.
fn told(stdout: &mut Vec<String>, mark: &str, status: ExitStatus) -> RemoteEnd {
    let last = stdout.last().and_then(|line| line.strip_prefix(mark));
    let Some(text) = last.map(|text| text.trim().to_owned()) else {
        let why = match of_program(status) {
            RemoteEnd::Unknown(why) => why,
            end => format!("{end}, and the shell there did not say how the command ended"),
        };
        return RemoteEnd::Unknown(why);
    };
    stdout.pop();
    match text.parse() {
        Ok(code) => RemoteEnd::Status(code),
        Err(_) if text.is_empty() => RemoteEnd::Status(0),
        Err(_) => RemoteEnd::Text(excerpt(text.as_bytes(), SHOWN)),
    }
}

fn lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().map(|line| line.trim_end_matches('\r'));
    lines.map(str::to_owned).collect()
}

/// The last lines that are not empty, each as far as it can be shown.
fn few(lines: &[String]) -> Vec<String> {
    let said = lines.iter().filter(|line| !line.trim().is_empty());
    let mut said: Vec<String> = said
        .rev()
        .take(LINES)
        .map(|line| excerpt(line.as_bytes(), SHOWN))
        .collect();
    said.reverse();
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(stdout: &str, code: i32, brings_status: bool) -> RemoteOutput {
        let heard = |text: &str| Captured {
            bytes: text.into(),
            broke: None,
        };
        let ended = Exited {
            status: ExitStatus::from_raw(code << 8),
            stdout: heard(stdout),
            stderr: heard("one\n\n\x1b[1mtwo\n"),
        };
        RemoteOutput::new(ended, (!brings_status).then_some("far-status-1:"))
    }

    #[test]
    fn a_status_comes_from_the_program_or_from_the_last_line() {
        assert_eq!(answer("x\n", 0, true).end, RemoteEnd::Status(0));
        assert_eq!(
            answer("x\nfar-status-1: 0\n", 4, true).end,
            RemoteEnd::Status(4)
        );
        let told = answer("x\nfar-status-1: 4\n", 0, false);
        assert_eq!(told.end, RemoteEnd::Status(4));
        assert_eq!(told.stdout, ["x"]);
        assert_eq!(
            answer("far-status-1: \r\n", 0, false).end,
            RemoteEnd::Status(0)
        );
        let text = answer("far-status-1: fosreset 12: no.venti\n", 0, false).end;
        assert_eq!(text, RemoteEnd::Text("fosreset 12: no.venti".into()));
    }

    #[test]
    fn without_a_word_of_its_end_nothing_is_known() {
        for (stdout, code, brings) in [
            ("x\n", 0, false),
            ("far-status-1: 0\nx\n", 0, false),
            // Of another call, or of a login profile.
            ("far-status-2: 0\n", 0, false),
            ("far-status: 0\n", 0, false),
            ("", 0, false),
            ("x\n", 255, true),
        ] {
            let end = answer(stdout, code, brings).end;
            assert!(matches!(end, RemoteEnd::Unknown(_)), "{stdout:?}");
        }
    }

    #[test]
    fn what_is_shown_is_printable_and_short() {
        assert_eq!(answer("", 0, true).stderr, ["one", "\\u{1b}[1mtwo"]);
        assert_eq!(excerpt("x".repeat(1000).as_bytes(), SHOWN).len(), SHOWN + 3);
        let many: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        assert_eq!(few(&many).first().map(String::as_str), Some("80"));
    }
}
