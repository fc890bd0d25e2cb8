//! The command foscons: a fossil's console, for people and scripts.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use eyre::{Result, WrapErr};
use rustix::event::{PollFd, PollFlags};

use crate::console::reply::{is_fence, is_prompt};
use crate::console::transport::{stream, wait};
use crate::console::{CommandLine, Console, ConsoleError, line, place, verdict};
use venticore::config::Config;
use venticore::host::terminal::Output;
use venticore::host::terminal::Terminal;
use venticore::status::{Failure, Status};
use venticore::text::line_of;
use venticore::tool::status_of;

/// What was asked for on the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-t`: how long a command may take.
    pub wait: Option<Duration>,
    /// `-c`: the console.
    pub console: Option<PathBuf>,
    /// The command, in words.
    pub command: Vec<String>,
}

/// Runs the command.
///
/// # Errors
/// No console is found, or more than one; it does not answer, or calls the command
/// an error.
pub fn run(options: &Options, config: &Config, terminal: &Terminal) -> Result<Status> {
    let limit = options.wait.unwrap_or(config.console);
    let command = match &options.command[..] {
        [] => None,
        // One word is a line as it would be typed.
        [line] => Some(line.clone()),
        words => {
            let words: Vec<String> = words.iter().map(|word| line::quote(word)).collect();
            Some(words.join(" "))
        }
    };
    if let Some(text) = &command {
        let _: CommandLine = text
            .parse()
            .map_err(|e| Failure::report(Status::Usage, format!("{text}: {e}")))?;
    }
    let path = match &options.console {
        Some(path) => path.clone(),
        None => only(config, terminal)?,
    };
    if command.is_none() && io::stdin().is_terminal() {
        let stream = stream(&path, limit).map_err(|cause| {
            let name = path.display().to_string();
            ConsoleError::Unreachable { name, cause }.report()
        })?;
        return interactive(stream, terminal);
    }
    let mut console = Console::open(&path, limit).map_err(|e| e.report())?;
    match command {
        Some(text) => one(&mut console, &text, terminal),
        None => each(&mut console, terminal),
    }
}

/// The only console there is.
fn only(config: &Config, terminal: &Terminal) -> Result<PathBuf> {
    let found = place::consoles(config)?;
    let mut places = found.consoles;
    for refused in &found.refused {
        terminal.say(&refused.to_string());
    }
    let dead: Vec<String> = names(places.iter().filter(|place| !place.served));
    places.retain(|place| place.served);
    match &places[..] {
        [place] => Ok(place.path.clone()),
        [] => {
            let mut text = format!(
                "no console in {} or {}",
                config.consoles.display(),
                place::namespace(config).display()
            );
            if !dead.is_empty() {
                text = format!("{text}: nobody serves {}", dead.join(", "));
            }
            Err(Failure::report(Status::Unreachable, text))
        }
        several => {
            let names = names(several.iter());
            let text = format!(
                "{} consoles, choose one with -c: {}",
                names.len(),
                names.join(" ")
            );
            Err(Failure::report(Status::Usage, text))
        }
    }
}

fn names<'a>(places: impl Iterator<Item = &'a place::FoundConsole>) -> Vec<String> {
    places
        .map(|place| place.path.display().to_string())
        .collect()
}

/// One command and its answer.
fn one(console: &mut Console, text: &str, terminal: &Terminal) -> Result<Status> {
    let line: CommandLine = text
        .parse()
        .map_err(|e| Failure::report(Status::Usage, format!("{text}: {e}")))?;
    let reply = console.ask(&line).map_err(|e| e.report())?;
    let mut output = terminal.output();
    output
        .write_all(reply.text.as_bytes())
        .and_then(|()| output.flush())
        .wrap_err("standard output")?;
    for said in reply.stderr.iter().chain(&reply.asides) {
        terminal.say(&format!("{}: {said}", console.name()));
    }
    if reply.dropped > 0 {
        let text = format!("{}: {} bytes more", console.name(), reply.dropped);
        terminal.say(&text);
    }
    match verdict::failure(&line, &reply.text) {
        None => Ok(Status::Done),
        Some(failure) => {
            let text = format!("{}: {line}: {failure}", console.name());
            Err(Failure::report(Status::Failed, text))
        }
    }
}

/// Each line of standard input.
fn each(console: &mut Console, terminal: &Terminal) -> Result<Status> {
    let mut status = Status::Done;
    for text in io::stdin().lock().lines() {
        let text = text.wrap_err("standard input")?;
        if text.trim().is_empty() {
            continue;
        }
        if let Err(error) = one(console, &text, terminal) {
            let of = status_of(&error);
            if of == Status::Unreachable {
                return Err(error);
            }
            terminal.say(&line_of(&error));
            status = status.worst(of);
        }
    }
    Ok(status)
}

/// Passes on what is typed and what is said, until either ends. The limit is the
/// user's patience.
fn interactive(mut console: File, terminal: &Terminal) -> Result<Status> {
    rustix::io::ioctl_fionbio(&console, true)?;
    let mut output = terminal.output();
    let (mut typed, mut screen) = (Vec::new(), Screen::default());
    let mut buffer = [0; 8192];
    loop {
        let stdin = rustix::stdio::stdin();
        let mut fds = [
            PollFd::new(&console, PollFlags::IN),
            PollFd::new(&stdin, PollFlags::IN),
        ];
        wait(&mut fds, None)?;
        let ready = [0, 1].map(|at| fds.get(at).is_some_and(|fd| !fd.revents().is_empty()));
        if ready[0] {
            match console.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    let text = screen.print(buffer.get(..count).unwrap_or(&[]));
                    say(&mut output, text.as_bytes())?;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e).wrap_err("console"),
            }
        }
        if ready[1] {
            let count = rustix::io::read(stdin, &mut buffer)?;
            if count == 0 {
                say(&mut output, b"\n")?;
                break;
            }
            typed.extend(buffer.iter().take(count));
            pass_on(&mut console, &mut typed, &mut screen, terminal)?;
        }
    }
    Ok(Status::Done)
}

fn say(output: &mut Output, bytes: &[u8]) -> Result<()> {
    let said = output.write_all(bytes).and_then(|()| output.flush());
    said.wrap_err("standard output")
}

/// Sends the whole lines that were typed, where they may be sent.
fn pass_on(
    console: &mut File,
    typed: &mut Vec<u8>,
    screen: &mut Screen,
    terminal: &Terminal,
) -> Result<()> {
    while let Some(end) = typed.iter().position(|&byte| byte == b'\n') {
        let bytes: Vec<u8> = typed.drain(..=end).collect();
        let Ok(text) = std::str::from_utf8(&bytes) else {
            // Another name than the one typed could be made or removed.
            terminal.say("expected a line of UTF-8 text, nothing was sent");
            continue;
        };
        let text = text.trim_end();
        if !text.is_empty()
            && let Err(error) = text.parse::<CommandLine>()
        {
            terminal.say(&error.to_string());
            continue;
        }
        let line = format!("{text}\n");
        let deadline = Instant::now() + Duration::from_secs(10);
        send(console, line.as_bytes(), deadline).wrap_err("console")?;
        screen.typed(text);
    }
    Ok(())
}

fn send(console: &mut File, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        match console.write(bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                let left = deadline.saturating_duration_since(Instant::now());
                let mut fds = [PollFd::new(&*console, PollFlags::OUT)];
                if wait(&mut fds, Some(left))? == 0 {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The most bytes of a line that has not ended; more is shown as a line.
const LINE: usize = 4096;

/// What the user's terminal shows of the stream: without the fences of others'
/// commands, without the echo of what was typed here, which is there already, and
/// without characters that would change the terminal.
#[derive(Debug, Default)]
struct Screen {
    /// The line of the stream that has not ended.
    line: Vec<u8>,
    /// What stands on the last line of the terminal.
    shown: String,
    /// Lines typed here whose echo has not come.
    typed: VecDeque<String>,
}

impl Screen {
    /// The user typed a line, and the cursor is below it.
    fn typed(&mut self, line: &str) {
        self.typed.push_back(line.to_owned());
        self.shown.clear();
    }

    /// Takes bytes of the stream; says what is to be printed.
    fn print(&mut self, stream: &[u8]) -> String {
        let mut print = String::new();
        for piece in stream.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() > LINE {
                let line = std::mem::take(&mut self.line);
                let line = visible(line.strip_suffix(b"\n").unwrap_or(&line));
                self.whole(&line, &mut print);
                continue;
            }
            let line = visible(&self.line);
            if is_prompt(&line) && line != self.shown {
                if !self.shown.is_empty() {
                    print.push('\n');
                }
                print.push_str(&line);
                self.shown = line;
            }
        }
        print
    }

    fn whole(&mut self, line: &str, print: &mut String) {
        if is_fence(line) {
            return;
        }
        let ours = self.typed.front().is_some_and(|typed| {
            let prompt = line.strip_suffix(typed.as_str());
            prompt.is_some_and(|prompt| prompt.is_empty() || is_prompt(prompt))
        });
        if ours {
            self.typed.pop_front();
            return;
        }
        let rest = line.strip_prefix(self.shown.as_str()).unwrap_or_else(|| {
            print.push('\n');
            line
        });
        print.push_str(rest);
        print.push('\n');
        self.shown.clear();
    }
}

/// A line as a terminal may be given it.
fn visible(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let shown = |c: char| if c.is_control() && c != '\t' { '?' } else { c };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_shows_what_a_terminal_would() {
        let mut screen = Screen::default();
        assert_eq!(screen.print(b"main: "), "main: ");
        // Another client asks.
        assert_eq!(
            screen.print(b"echo x''0123456789abcdef\nx0123456789abcdef\nmain: "),
            ""
        );
        assert_eq!(screen.print(b"sy"), "");
        assert_eq!(
            screen.print(b"nc\n\twrote\nmain: "),
            "sync\n\twrote\nmain: "
        );
        // We do.
        screen.typed("df");
        assert_eq!(screen.print(b"df\n\tused\nmain: "), "\tused\nmain: ");
        assert_eq!(screen.print(b"archive vac:1\n"), "archive vac:1\n");
        screen.typed("");
        assert_eq!(screen.print(b"\nmain: "), "main: ");
        assert_eq!(
            screen.print(b"\n!stderr: x\nmain: "),
            "\n!stderr: x\nmain: "
        );
    }

    #[test]
    fn a_typed_line_is_sent_as_it_is_or_not_at_all() {
        let (console, mut fossil) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut console = File::from(std::os::fd::OwnedFd::from(console));
        let (terminal, _) = Terminal::keeping("foscons");
        let mut screen = Screen::default();
        let mut typed = b"echo \xe4\necho \xc3\xa4\nec".to_vec();
        pass_on(&mut console, &mut typed, &mut screen, &terminal).unwrap();
        drop(console);
        let mut sent = Vec::new();
        fossil.read_to_end(&mut sent).unwrap();
        assert_eq!(
            (sent.as_slice(), typed.as_slice()),
            (&b"echo \xc3\xa4\n"[..], &b"ec"[..])
        );
    }

    #[test]
    fn a_console_cannot_fill_the_memory_or_change_the_terminal() {
        let mut screen = Screen::default();
        let mut shown = 0;
        for _ in 0..100 {
            shown += screen.print(&[b'x'; 8000]).matches('x').count();
            assert!(screen.line.len() <= LINE);
        }
        assert_eq!(shown, 800_000);
        screen.print(b"\n");
        assert_eq!(screen.print(b"\x1b]2;t\x07\0\ta\n"), "?]2;t??\ta\n");
        // A character may come in two pieces.
        assert_eq!(screen.print(b"\xc3"), "");
        assert_eq!(screen.print(b"\xa4\n"), "\u{e4}\n");
    }
}
