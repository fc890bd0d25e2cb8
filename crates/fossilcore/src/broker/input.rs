//! What one client types: whole lines, and only those that a console may get.

use crate::console::line::CommandLine;

/// The most bytes of a line that is waited for; a longer one is not passed on.
const LIMIT: usize = 4096;

/// The beginning of a client's line.
#[derive(Debug, Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
    /// The line is too long: its end is waited for.
    overlong: bool,
}

impl Input {
    /// Takes bytes; gives the lines that are whole now, and what is to be said of
    /// those that are not passed on.
    pub(super) fn push(&mut self, bytes: &[u8]) -> (Vec<u8>, Vec<String>) {
        let (mut lines, mut refused) = (Vec::new(), Vec::new());
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.bytes.extend_from_slice(piece);
            if self.bytes.len() > LIMIT {
                self.overlong = true;
                self.bytes.clear();
            }
            if piece.ends_with(b"\n") {
                match self.line() {
                    Ok(line) => lines.extend(line),
                    Err(cause) => refused.push(cause),
                }
                self.bytes.clear();
                self.overlong = false;
            }
        }
        (lines, refused)
    }

    fn line(&self) -> Result<Vec<u8>, String> {
        if self.overlong {
            return Err(format!("line of more than {LIMIT} bytes not passed on"));
        }
        let bytes = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        // An empty line asks for a prompt.
        if bytes.iter().all(|&byte| byte == b' ') {
            return Ok(b"\n".to_vec());
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "line not passed on: no text")?;
        let line: Result<CommandLine, _> = text.parse();
        line.map(|line| format!("{line}\n").into_bytes())
            .map_err(|cause| format!("line not passed on: {cause}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_pass_and_no_traps() {
        let mut input = Input::default();
        assert_eq!(input.push(b"fsys ma"), (vec![], vec![]));
        let (lines, refused) = input.push(b"in df\r\n\ndf \x17\nfsys\nsync\nrest");
        assert_eq!(lines, b"fsys main df\n\nsync\n");
        assert_eq!(refused.len(), 2, "{refused:?}");
        let (lines, refused) = input.push(&[b'x'; 300]);
        assert!(lines.is_empty() && refused.is_empty());
        let (lines, refused) = input.push(b"\nepoch\n");
        assert_eq!(lines, b"epoch\n");
        assert!(
            refused[0].contains("at most 255 bytes, found 304"),
            "{refused:?}"
        );
        for _ in 0..100 {
            assert_eq!(input.push(&[b'x'; 1000]), (vec![], vec![]));
            assert!(input.bytes.len() <= LIMIT);
        }
        assert_eq!(input.push(b"\ndf\n").0, b"df\n");
    }
}
