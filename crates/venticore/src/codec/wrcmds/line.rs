//! One line of the file, and what it says.

use crate::codec::invalid::Invalid;
use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use super::{DamagedStretch, Open, Problem, Progress, Unreadable};
use crate::codec::arena::Name;
use crate::codec::blocktype::BlockType;
use crate::codec::score::Score;
use crate::codec::target::TargetName;
use crate::codec::utc::Utc;
use crate::codec::wrcmd::{self, WrCmd, is_blank};

/// One line: its bytes, what ends it, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WrcmdsLine {
    pub(super) text: Vec<u8>,
    pub(super) end: &'static str,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A blank line, or a comment that is not ours.
    Other,
    Place(PlaceComment),
    Damage(Box<DamagedStretch>),
    /// A stretch that is damaged in the source and that the target has whole.
    Spared(Box<DamagedStretch>),
    /// The wrcmd as it was last obeyed or written.
    Seen(Box<WrCmd>),
    Unreadable(Box<Unreadable>),
    Command(Box<Command>),
}

/// A wrarena line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) wrcmd: WrCmd,
    pub(super) target: TargetName,
}

impl WrcmdsLine {
    /// The most bytes a line may have.
    pub(super) const MAX_LEN: usize = WrCmd::MAX_LEN;

    pub(super) fn other(text: &str) -> Self {
        WrcmdsLine {
            text: text.as_bytes().to_vec(),
            end: "\n",
            kind: Kind::Other,
        }
    }

    pub(super) fn parse(raw: &[u8]) -> Result<Self, Problem> {
        let (text, end) = if let Some(text) = raw.strip_suffix(b"\r\n") {
            (text, "\r\n")
        } else if let Some(text) = raw.strip_suffix(b"\n") {
            (text, "\n")
        } else {
            (raw, "")
        };
        if text.len() > Self::MAX_LEN {
            return Err(Problem::LongLine(text.len()));
        }
        if let Some(&byte) = text.iter().find(|b| b.is_ascii_control() && **b != b'\t') {
            return Err(Problem::Control(byte));
        }
        Ok(WrcmdsLine {
            text: text.to_vec(),
            end,
            kind: Kind::of(text)?,
        })
    }

    pub(super) fn is_blank(&self) -> bool {
        self.text.iter().all(|&b| is_blank(char::from(b)))
    }

    pub(super) fn command(&self) -> Option<&Command> {
        match &self.kind {
            Kind::Command(command) => Some(command),
            _ => None,
        }
    }

    pub(super) fn unreadable(&self) -> Option<&Unreadable> {
        match &self.kind {
            Kind::Unreadable(block) => Some(block),
            _ => None,
        }
    }

    pub(super) fn damage(&self) -> Option<&DamagedStretch> {
        match &self.kind {
            Kind::Damage(damage) => Some(damage),
            _ => None,
        }
    }

    pub(super) fn spared(&self) -> Option<&DamagedStretch> {
        match &self.kind {
            Kind::Spared(damage) => Some(damage),
            _ => None,
        }
    }

    /// A comment of ours that belongs to the wrarena line after it.
    pub(super) fn is_own(&self) -> bool {
        matches!(
            self.kind,
            Kind::Place(_) | Kind::Damage(_) | Kind::Spared(_) | Kind::Unreadable(_)
        )
    }

    /// The wrcmd that this line remembers.
    pub(super) fn seen(&self) -> Option<&WrCmd> {
        match &self.kind {
            Kind::Seen(wrcmd) => Some(wrcmd),
            _ => None,
        }
    }

    /// The text of the line that remembers a wrcmd.
    pub(super) fn text_of_seen(wrcmd: &WrCmd) -> String {
        format!("# {SEEN} {}", wrcmd.line())
    }
}

/// The word before a stretch that is damaged in the source and whole on the target.
const SPARED: &str = "damaged-here";

/// The word before a wrcmd that is remembered.
const SEEN: &str = "seen";

impl Kind {
    fn of(text: &[u8]) -> Result<Self, Problem> {
        let trimmed = text.trim_ascii_start();
        match trimmed.strip_prefix(b"#") {
            Some(comment) => Self::of_comment(comment),
            None if trimmed.is_empty() => Ok(Kind::Other),
            None => Command::parse(text).map(|command| Kind::Command(Box::new(command))),
        }
    }

    fn of_comment(comment: &[u8]) -> Result<Self, Problem> {
        // What is not text is not ours, and kept as it is.
        let Ok(comment) = std::str::from_utf8(comment) else {
            return Ok(Kind::Other);
        };
        let comment = comment.trim_start_matches(is_blank);
        let (word, rest) = comment.split_once(is_blank).unwrap_or((comment, ""));
        let rest = rest.trim_start_matches(is_blank);
        match word {
            "place" => PlaceComment::parse(rest).map(Kind::Place),
            "damaged" => {
                DamagedStretch::parse(rest, false).map(|damage| Kind::Damage(Box::new(damage)))
            }
            "accepted" => {
                DamagedStretch::parse(rest, true).map(|damage| Kind::Damage(Box::new(damage)))
            }
            SPARED => {
                DamagedStretch::parse(rest, false).map(|damage| Kind::Spared(Box::new(damage)))
            }
            // What is no command is the operator's own remark.
            SEEN => Ok(WrCmd::parse(rest).map_or(Kind::Other, |seen| Kind::Seen(Box::new(seen)))),
            "unreadable" => Unreadable::parse(rest).map(|block| Kind::Unreadable(Box::new(block))),
            _ if rest.starts_with("magic=") => Err(Problem::Word(word.to_owned())),
            _ => Ok(Kind::Other),
        }
    }
}

impl fmt::Display for Kind {
    /// The comment line, where it is one of ours.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Place(mark) => mark.fmt(f),
            Kind::Damage(damage) => damage.fmt(f),
            Kind::Spared(damage) => damage.write(SPARED, f),
            Kind::Unreadable(block) => block.fmt(f),
            Kind::Other | Kind::Seen(_) | Kind::Command(_) => Ok(()),
        }
    }
}

impl Command {
    fn parse(text: &[u8]) -> Result<Self, Problem> {
        let wrcmd = WrCmd::parse(text).map_err(Problem::Command)?;
        let host = wrcmd.host().ok_or(Problem::NoHost)?;
        let target = host.parse().map_err(|e| Problem::Invalid("-h", e))?;
        Ok(Command { wrcmd, target })
    }
}

/// What the `place` comment of a line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PlaceComment {
    pub(super) magic: Option<u32>,
    pub(super) last: Option<Score>,
    pub(super) acknowledged: Option<SystemTime>,
    pub(super) before: Option<Score>,
    pub(super) open: Option<Open>,
    pub(super) arena: Option<Name>,
}

impl PlaceComment {
    /// What is known of a place beside the place itself.
    pub(super) fn of(place: &Progress) -> Self {
        PlaceComment {
            magic: place.magic,
            last: place.last,
            acknowledged: place.acknowledged,
            before: place.before,
            open: place.open.clone(),
            arena: place.arena.clone(),
        }
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        let mut fields = CommentFields::split(text)?;
        let mark = PlaceComment {
            magic: fields.known("magic", magic)?,
            last: fields.known("last", score)?,
            acknowledged: fields.known("time", time)?,
            before: fields.known_if_there("before", score)?,
            open: fields.known_if_there("open", open)?,
            arena: fields.arena(),
        };
        fields.end()?;
        Ok(mark)
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for PlaceComment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let acknowledged = self.acknowledged.map(Utc);
        // A time that would not be read back is worse than none.
        let time = acknowledged.filter(|time| time.to_string().parse::<Utc>().is_ok());
        write!(
            f,
            "# place magic={} last={} time={} before={}",
            shown_magic(self.magic),
            shown(self.last, "none"),
            shown(time, "unknown"),
            shown(self.before, "none"),
        )?;
        if let Some(Open { head, offset, last }) = &self.open {
            write!(f, " open={head}:{offset:#x}:{}", shown(*last, "none"))?;
        }
        match &self.arena {
            Some(arena) => write!(f, " arena={arena}"),
            None => Ok(()),
        }
    }
}

impl DamagedStretch {
    fn parse(text: &str, accepted: bool) -> Result<Self, Problem> {
        let mut fields = CommentFields::split(text)?;
        let damage = DamagedStretch {
            accepted,
            magic: magic("magic", fields.take("magic")?)?,
            head: number("head", fields.take("head")?)?,
            offset: number("offset", fields.take("offset")?)?,
            len: number("len", fields.take("len")?)?,
            // An arena counts its clumps in 32 bits; sums of these do not overflow.
            clumps: fields
                .number_if_there("clumps")?
                .unwrap_or(1)
                .min(u32::MAX.into()),
            block_type: fields.known("type", block_type)?,
            score: fields.known("score", score)?,
            arena: fields.arena().ok_or(Problem::Missing("arena"))?,
        };
        fields.end()?;
        Ok(damage)
    }

    /// The comment line that says the target has these blocks whole.
    pub(super) fn to_spared(&self) -> String {
        Kind::Spared(Box::new(self.clone())).to_string()
    }

    fn write(&self, word: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "# {word} magic={} head={} offset={:#x} len={}",
            shown_magic(Some(self.magic)),
            self.head,
            self.offset,
            self.len,
        )?;
        if self.clumps != 1 {
            write!(f, " clumps={}", self.clumps)?;
        }
        write!(
            f,
            " type={} score={} arena={}",
            shown(self.block_type.map(type_word), "unknown"),
            shown(self.score, "unknown"),
            self.arena,
        )
    }
}

impl fmt::Display for DamagedStretch {
    /// The comment line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(if self.accepted { "accepted" } else { "damaged" }, f)
    }
}

impl Unreadable {
    fn parse(text: &str) -> Result<Self, Problem> {
        let mut fields = CommentFields::split(text)?;
        let unreadable = Unreadable {
            block_type: fields.known("type", block_type)?,
            score: fields.known("score", score)?,
        };
        fields.end()?;
        Ok(unreadable)
    }
}

impl fmt::Display for Unreadable {
    /// The comment line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "# unreadable type={} score={}",
            shown(self.block_type.map(type_word), "unknown"),
            shown(self.score, "unknown"),
        )
    }
}

fn shown(value: Option<impl fmt::Display>, without: &str) -> String {
    value.map_or_else(|| without.to_owned(), |value| value.to_string())
}

fn shown_magic(magic: Option<u32>) -> String {
    shown(magic.map(|magic| format!("{magic:#010x}")), "unknown")
}

/// A block type as one word.
fn type_word(of: BlockType) -> String {
    match of {
        BlockType::Pointer(level) => format!("pointer{level}"),
        other => other.to_string(),
    }
}

/// The fields of a comment of ours: `key=value`, the arena's name last.
struct CommentFields<'a> {
    found: BTreeMap<&'a str, &'a str>,
    arena: Option<&'a str>,
}

impl<'a> CommentFields<'a> {
    fn split(text: &'a str) -> Result<Self, Problem> {
        let mut fields = CommentFields {
            found: BTreeMap::new(),
            arena: None,
        };
        let mut rest = text.trim_start_matches(is_blank);
        while !rest.is_empty() {
            if let Some(name) = rest.strip_prefix("arena=") {
                fields.arena = Some(name);
                break;
            }
            let (word, after) = rest.split_once(is_blank).unwrap_or((rest, ""));
            let pair = word.split_once('=');
            let (key, value) = pair.ok_or_else(|| Problem::Field(word.to_owned()))?;
            if fields.found.insert(key, value).is_some() {
                return Err(Problem::Field(word.to_owned()));
            }
            rest = after.trim_start_matches(is_blank);
        }
        Ok(fields)
    }

    fn take(&mut self, key: &'static str) -> Result<&'a str, Problem> {
        self.found.remove(key).ok_or(Problem::Missing(key))
    }

    /// The value of a field that may be `none` or `unknown`.
    fn known<T>(&mut self, key: &'static str, read: Read<T>) -> Result<Option<T>, Problem> {
        match self.take(key)? {
            "none" | "unknown" => Ok(None),
            value => read(key, value).map(Some),
        }
    }

    fn known_if_there<T>(&mut self, key: &'static str, of: Read<T>) -> Result<Option<T>, Problem> {
        if self.found.contains_key(key) {
            self.known(key, of)
        } else {
            Ok(None)
        }
    }

    fn number_if_there(&mut self, key: &'static str) -> Result<Option<u64>, Problem> {
        let text = self.found.remove(key);
        text.map(|text| number(key, text)).transpose()
    }

    fn arena(&self) -> Option<Name> {
        self.arena.map(|name| Name::from_field(name.as_bytes()))
    }

    fn end(self) -> Result<(), Problem> {
        match self.found.first_key_value() {
            Some((key, value)) => Err(Problem::Field(format!("{key}={value}"))),
            None => Ok(()),
        }
    }
}

type Read<T> = fn(&'static str, &str) -> Result<T, Problem>;

fn number(key: &'static str, text: &str) -> Result<u64, Problem> {
    wrcmd::number(text).map_err(|e| Problem::Invalid(key, e))
}

fn magic(key: &'static str, text: &str) -> Result<u32, Problem> {
    let too_large = |_| Problem::Invalid(key, Invalid::TooLarge(text.to_owned()));
    u32::try_from(number(key, text)?).map_err(too_large)
}

fn score(key: &'static str, text: &str) -> Result<Score, Problem> {
    text.parse().map_err(|e| Problem::Invalid(key, e))
}

fn open(key: &'static str, text: &str) -> Result<Open, Problem> {
    let mut parts = text.splitn(3, ':');
    let mut part = || parts.next().unwrap_or_default();
    Ok(Open {
        head: number(key, part())?,
        offset: number(key, part())?,
        last: match part() {
            "none" => None,
            text => Some(score(key, text)?),
        },
    })
}

fn time(_: &'static str, text: &str) -> Result<SystemTime, Problem> {
    let time = text
        .parse::<Utc>()
        .map_err(|e| Problem::Invalid("time", e))?;
    Ok(time.0)
}

fn block_type(_: &'static str, text: &str) -> Result<BlockType, Problem> {
    BlockType::all()
        .find(|&of| type_word(of) == text)
        .ok_or_else(|| Problem::Type(text.to_owned()))
}
