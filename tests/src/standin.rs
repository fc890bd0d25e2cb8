//! A stand-in for fossil's console: what the real one was seen to do
//! (`golden/fossil/transcripts`), and faults on demand.
//!
//! It knows the commands that the suite gives, holds partitions open as a fossil
//! does, and writes their super blocks when it archives. All else it
//! answers as a transcript does, if it was given one. The program
//! `stand-in-fossil` is this on the controlling terminal.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use venticore::codec::score::Score;

/// What a stand-in does at a command, in place of answering.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Says nothing any more: no prompt.
    Hang,
    /// Answers so much later.
    Late(Duration),
    /// Ends at once.
    Die,
    /// Answers with an error text.
    Error(String),
    /// Prints so many bytes first, in lines.
    Flood(usize),
    /// Prints this between two characters of the command's echo.
    Aside(String),
    /// Says this on standard error alone, then answers as ever.
    Stderr(String),
}

/// Whether there is an archiver, and what it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Archiver {
    /// It archives: says so at once, and records it with the next sync.
    #[default]
    Works,
    /// There is none: the fossil was opened without its venti.
    None,
    /// It tries, and tries again.
    Retries,
}

/// What a stand-in does.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Faults, by the command they come with.
    pub faults: HashMap<String, Fault>,
    /// Answers to commands that it does not know, one after the other.
    pub recorded: HashMap<String, VecDeque<String>>,
    /// Its archiver.
    pub archiver: Archiver,
    /// Whether it knows nothing but what is recorded.
    pub replays: bool,
    /// The score of what it archives; another each time unless given.
    pub score: Option<Score>,
}

impl Script {
    /// Adds a fault.
    #[must_use]
    pub fn at(mut self, command: &str, fault: Fault) -> Self {
        self.faults.insert(command.to_owned(), fault);
        self
    }

    /// Plays a transcript: answers as it has it, and in no other way.
    #[must_use]
    pub fn playing(mut self, transcript: &str) -> Self {
        self.replays = true;
        for (command, answer) in answers(transcript) {
            self.recorded.entry(command).or_default().push_back(answer);
        }
        self
    }

    /// The script as a word for the program `stand-in-fossil`.
    #[must_use]
    pub fn to_word(&self) -> String {
        let mut text = match self.archiver {
            Archiver::Works => String::from("works"),
            Archiver::None => String::from("none"),
            Archiver::Retries => String::from("retries"),
        };
        if let Some(score) = &self.score {
            write!(text, "={score}").expect("a string");
        }
        for (command, fault) in &self.faults {
            let (kind, value) = match fault {
                Fault::Hang => ("hang", String::new()),
                Fault::Late(time) => ("late", time.as_millis().to_string()),
                Fault::Die => ("die", String::new()),
                Fault::Error(text) => ("error", text.clone()),
                Fault::Flood(bytes) => ("flood", bytes.to_string()),
                Fault::Aside(text) => ("aside", text.clone()),
                Fault::Stderr(text) => ("stderr", text.clone()),
            };
            write!(text, "\u{1e}{command}\u{1f}{kind}\u{1f}{value}").expect("a string");
        }
        text
    }

    /// The inverse of [`Script::to_word`].
    ///
    /// # Panics
    ///
    /// When it is none.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        let mut parts = word.split('\u{1e}');
        let first = parts.next().unwrap_or_default();
        let (archiver, score) = first.split_once('=').unwrap_or((first, ""));
        let mut script = Script {
            archiver: match archiver {
                "none" => Archiver::None,
                "retries" => Archiver::Retries,
                _ => Archiver::Works,
            },
            score: score.parse().ok(),
            ..Script::default()
        };
        for part in parts {
            let fields: Vec<&str> = part.split('\u{1f}').collect();
            let [command, kind, value] = fields[..] else {
                panic!("{part:?}: not a fault");
            };
            let fault = match kind {
                "hang" => Fault::Hang,
                "late" => Fault::Late(Duration::from_millis(value.parse().expect("a time"))),
                "die" => Fault::Die,
                "error" => Fault::Error(value.to_owned()),
                "flood" => Fault::Flood(value.parse().expect("a size")),
                "aside" => Fault::Aside(value.to_owned()),
                _ => Fault::Stderr(value.to_owned()),
            };
            script = script.at(command, fault);
        }
        script
    }
}

/// The commands of a transcript and their answers, without echo and prompt.
///
/// # Panics
///
/// When it is not one.
#[must_use]
pub fn answers(transcript: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/fossil/transcripts");
    let path = path.join(format!("{transcript}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let json: Value = serde_json::from_str(&text).expect("a transcript");
    let steps = json["steps"].as_array().expect("steps");
    let answer = |step: &Value| {
        let command = step["send"].as_str()?.trim_end_matches('\n').to_owned();
        let console = step["console"].as_str()?;
        let (_, answer) = console.split_once('\n')?;
        let end = answer.rfind('\n').map_or(0, |at| at + 1);
        Some((command, answer.get(..end)?.to_owned()))
    };
    steps.iter().filter_map(answer).collect()
}

/// One file system.
#[derive(Debug)]
struct System {
    name: String,
    device: PathBuf,
    open: Option<File>,
    halted: bool,
    /// A score that was said and is not yet on disk.
    unrecorded: Option<[u8; 20]>,
}

/// The stand-in: the rest of a process, or a thread of a test.
#[derive(Debug)]
pub struct StandIn<W> {
    console: Arc<Mutex<W>>,
    script: Script,
    prompt: String,
    systems: Vec<System>,
    services: Vec<String>,
    listening: Vec<String>,
    archives: u8,
    ended: bool,
}

impl<W: Write> StandIn<W> {
    /// One that prints here.
    #[must_use]
    pub fn new(console: W, script: Script) -> Self {
        StandIn {
            console: Arc::new(Mutex::new(console)),
            script,
            prompt: "prompt".to_owned(),
            systems: Vec::new(),
            services: Vec::new(),
            listening: Vec::new(),
            archives: 0,
            ended: false,
        }
    }

    fn print(&self, text: &str) {
        let mut console = self.console.lock().unwrap_or_else(PoisonError::into_inner);
        // A console that nobody has any more takes nothing.
        let _ = console.write_all(text.as_bytes());
        let _ = console.flush();
    }

    /// Reads the console to its end, or until a fault ends it; says whether one did.
    pub fn serve(&mut self, mut input: impl Read) -> bool {
        self.print(&format!("{}: ", self.prompt));
        let (mut line, mut buffer) = (Vec::new(), [0; 2048]);
        while let Ok(count @ 1..) = input.read(&mut buffer) {
            for &byte in buffer.get(..count).unwrap_or_default() {
                self.take(byte, &mut line);
                if self.ended {
                    return true;
                }
            }
        }
        false
    }

    fn take(&mut self, byte: u8, line: &mut Vec<u8>) {
        match byte {
            b'\n' => {
                self.print("\n");
                let text = String::from_utf8_lossy(line).into_owned();
                line.clear();
                if !text.is_empty() {
                    self.execute(&text);
                }
                if !self.ended {
                    self.print(&format!("{}: ", self.prompt));
                }
            }
            0x17 => hang(),
            // As the real one: what does not fit is dropped, not the line.
            _ if line.len() < 255 => {
                line.push(byte);
                self.echo(byte, line);
            }
            _ => {}
        }
    }

    fn echo(&self, byte: u8, line: &[u8]) {
        let mut console = self.console.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = console.write_all(&[byte]);
        drop(console);
        for (command, fault) in &self.script.faults {
            if let Fault::Aside(text) = fault
                && line.len() == command.len() / 2
                && command.as_bytes().starts_with(line)
            {
                self.print(text);
            }
        }
    }

    fn execute(&mut self, line: &str) {
        match self.script.faults.get(line).cloned() {
            Some(Fault::Hang) => hang(),
            Some(Fault::Late(time)) => thread::sleep(time),
            Some(Fault::Die) => {
                self.ended = true;
                return;
            }
            Some(Fault::Error(text)) => {
                self.print(&format!("{text}\n"));
                return;
            }
            Some(Fault::Flood(bytes)) => {
                for number in 0..bytes / 64 {
                    self.print(&format!("{number:063}\n"));
                }
            }
            Some(Fault::Stderr(text)) => eprintln!("{text}"),
            Some(Fault::Aside(_)) | None => {}
        }
        let words = line.replace("''", "");
        let words: Vec<&str> = words.split_whitespace().collect();
        let answer = match words[..] {
            [first, ..] if first.starts_with('#') => String::new(),
            ["fsys"] if self.systems.is_empty() => {
                self.ended = true;
                return;
            }
            ["echo", ..] => format!("{}\n", words[1..].join(" ")),
            _ if self.script.replays => self.recorded(line),
            ["fsys", name, ref rest @ ..] => self.fsys(name, rest, line),
            ["printconfig"] => self.printconfig(),
            ["srv", .., name] => self.srv(name),
            ["listen", address] => self.listen(address),
            _ => self.recorded(line),
        };
        self.print(&answer);
    }

    fn recorded(&mut self, line: &str) -> String {
        if let Some(answers) = self.script.recorded.get_mut(line) {
            let answer = answers.pop_front().unwrap_or_default();
            answers.push_back(answer.clone());
            return answer;
        }
        let first = line.split_whitespace().next().unwrap_or_default();
        format!("{first}: - eh?\n")
    }

    fn fsys(&mut self, name: &str, rest: &[&str], line: &str) -> String {
        if name == "all" {
            return self.all(rest);
        }
        let known = self.systems.iter().position(|system| system.name == name);
        match (rest, known) {
            (["config", ..], Some(_)) => format!("fsys: '{name}' already exists\n"),
            (["config", device], None) => {
                self.systems.push(System {
                    name: name.to_owned(),
                    device: device.trim_matches('\'').into(),
                    open: None,
                    halted: false,
                    unrecorded: None,
                });
                String::new()
            }
            (_, None) => format!("fsys: '{name}' not found\n"),
            (["open", options @ ..], Some(at)) => self.open(at, !options.contains(&"-r")),
            ([], Some(at)) if self.systems[at].open.is_some() => {
                self.prompt = name.to_owned();
                String::new()
            }
            (_, Some(at)) if self.systems[at].open.is_none() => {
                format!("fsys: '{name}' not open\n")
            }
            (["unhalt"], Some(at)) => {
                self.systems[at].halted = false;
                String::new()
            }
            (_, Some(at)) if self.systems[at].halted => format!("file system {name} is halted\n"),
            (["halt"], Some(at)) => {
                self.systems[at].halted = true;
                String::new()
            }
            (["sync"], Some(at)) => self.sync(at),
            (["epoch"], Some(_)) => "\tlow 1 hi 3\n".to_owned(),
            (["snap", "-a"], Some(at)) => self.archive(at),
            (["snaptime", ..], Some(_)) => String::new(),
            _ => self.recorded(line),
        }
    }

    /// On each in turn; of errors only the last is printed.
    fn all(&mut self, rest: &[&str]) -> String {
        let names: Vec<String> = self.systems.iter().map(|s| s.name.clone()).collect();
        let (mut said, mut error) = (String::new(), String::new());
        for name in names {
            let answer = self.fsys(&name, rest, "");
            match answer.starts_with('\t') || answer.is_empty() {
                true => said.push_str(&answer),
                false => error = answer,
            }
        }
        said + &error
    }

    fn open(&mut self, at: usize, writes: bool) -> String {
        let system = &mut self.systems[at];
        match OpenOptions::new()
            .read(true)
            .write(writes)
            .open(&system.device)
        {
            Ok(file) => {
                system.open = Some(file);
                String::new()
            }
            Err(_) => format!(
                "fsOpen: open {}: No such file or directory\n",
                system.device.display()
            ),
        }
    }

    fn sync(&mut self, at: usize) -> String {
        let system = &mut self.systems[at];
        if let (Some(score), Some(file)) = (system.unrecorded.take(), &system.open) {
            put(file, 30, &[0xff; 4]);
            put(file, 34, &score);
        }
        format!("\t{} sync: wrote 1 blocks\n", system.name)
    }

    fn archive(&mut self, at: usize) -> String {
        self.archives += 1;
        let score = self.script.score.map(|score| *score.as_bytes());
        let score = score.unwrap_or([self.archives; 20]);
        let archiver = self.script.archiver;
        let system = &mut self.systems[at];
        let file = system.open.as_ref().expect("it is open");
        let high = get(file, 10) + 2;
        put(file, 10, &high.to_be_bytes());
        let root = get(file, 22).to_be_bytes();
        match archiver {
            Archiver::None => put(file, 26, &root),
            Archiver::Retries => {
                put(file, 30, &root);
                eprintln!("archiveBlock 0x7: venti i/o error");
            }
            Archiver::Works => {
                put(file, 30, &root);
                system.unrecorded = Some(score);
                let hex: String = score.iter().map(|byte| format!("{byte:02x}")).collect();
                return format!("archive vac:{hex}\n");
            }
        }
        String::new()
    }

    fn printconfig(&self) -> String {
        let line = |s: &System| format!("\tfsys {} config {}\n", s.name, s.device.display());
        self.systems.iter().map(line).collect()
    }

    fn srv(&mut self, name: &str) -> String {
        if self.services.iter().any(|known| known == name) {
            return format!("srv: already serving '{name}'\n");
        }
        // Without one a file of the directory it was started in would be removed.
        let Some(namespace) = std::env::var_os("NAMESPACE").filter(|path| !path.is_empty()) else {
            return "srv: $NAMESPACE: expected a directory\n".to_owned();
        };
        let path = Path::new(&namespace).join(name);
        let _ = std::fs::remove_file(&path);
        match UnixListener::bind(&path) {
            Ok(listener) => {
                thread::spawn(move || nine(&listener));
                self.services.push(name.to_owned());
                String::new()
            }
            Err(_) => "Bad file descriptor\n".to_owned(),
        }
    }

    fn listen(&mut self, address: &str) -> String {
        if self.listening.iter().any(|known| known == address) {
            return format!("listen: already serving '{address}'\n");
        }
        self.listening.push(address.to_owned());
        String::new()
    }
}

/// Answers 9P version and attach messages.
fn nine(listener: &UnixListener) {
    for mut stream in listener.incoming().flatten() {
        let mut size = [0; 4];
        while stream.read_exact(&mut size).is_ok() {
            let len = u32::from_le_bytes(size) as usize;
            let mut body = vec![0; len.saturating_sub(4)];
            if stream.read_exact(&mut body).is_err() || body.len() < 3 {
                break;
            }
            let reply = match body[0] {
                // Rversion says what Tversion said.
                100 => [&size[..], &[101], &body[1..]].concat(),
                // Rattach: tag, a qid of a directory.
                _ => [&[20, 0, 0, 0, 105], &body[1..3], &[0x80; 13]].concat(),
            };
            let _ = stream.write_all(&reply);
        }
    }
}

fn hang() -> ! {
    loop {
        thread::park();
    }
}

/// Where the super block's fields begin.
fn superblock(file: &File) -> u64 {
    let mut header = [0; 12];
    file.read_exact_at(&mut header, 131_072).expect("a header");
    let size = u64::from(u16::from_be_bytes([header[6], header[7]]));
    let block = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
    size * u64::from(block)
}

fn get(file: &File, at: u64) -> u32 {
    let mut bytes = [0; 4];
    let at = superblock(file) + at;
    file.read_exact_at(&mut bytes, at).expect("a super block");
    u32::from_be_bytes(bytes)
}

fn put(file: &File, at: u64, bytes: &[u8]) {
    let at = superblock(file) + at;
    file.write_all_at(bytes, at).expect("a super block");
}
