//! What the rc script `ventiprog` would do wrong with a line.

use std::fmt;

use super::WrCmd;

/// Something the rc script `ventiprog` would do wrong with a line that we read well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hazard {
    /// This word, before the clump offset, has a `0x`.
    CutShort(String),
    /// The clump offset is absent or does not begin with `0x`.
    NeverMoves,
    /// There is no host with two `!` in it.
    NoTarget,
    /// This word, which is not the host, has a `!`.
    Mangled(String),
    /// An option begins with an en dash.
    EnDash,
}

impl fmt::Display for Hazard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutShort(word) => write!(
                f,
                "the rc ventiprog cuts the line at the first 0x, which is in {word:?}: write -o in decimal"
            ),
            Self::NeverMoves => f.write_str(
                "the rc ventiprog never moves a clump offset without 0x: write it in hexadecimal",
            ),
            Self::NoTarget => f.write_str(
                "the rc ventiprog puts its targets between two !, and the host has no two: write -h tcp!HOST!17034",
            ),
            Self::Mangled(word) => write!(
                f,
                "the rc ventiprog replaces everything from the first ! to the last, and {word:?} has one"
            ),
            Self::EnDash => f.write_str(
                "an option begins with an en dash, which only this program reads: write -",
            ),
        }
    }
}

impl WrCmd {
    /// What the rc script `ventiprog` would do wrong with this line (fossil.md 7.1).
    ///
    /// The script replaces everything from the first `0x` on by the new clump
    /// offset, and everything from the first `!` to the last by its target.
    #[must_use]
    pub fn script_hazards(&self) -> Vec<Hazard> {
        let mut found = Vec::new();
        let last = self.clump_offset.map(|(at, _)| at);
        if let Some(cut) = self.words_but(last).find(|word| word.contains("0x")) {
            found.push(Hazard::CutShort(cut.to_owned()));
        }
        if !last.is_some_and(|at| self.piece(at).starts_with("0x")) {
            found.push(Hazard::NeverMoves);
        }
        let bangs = self.host().map_or(0, |host| host.matches('!').count());
        if bangs < 2 {
            found.push(Hazard::NoTarget);
        }
        if let Some(word) = self.words_but(self.host).find(|word| word.contains('!')) {
            found.push(Hazard::Mangled(word.to_owned()));
        }
        if self.en_dash {
            found.push(Hazard::EnDash);
        }
        found
    }

    fn words_but(&self, excluded: Option<usize>) -> impl Iterator<Item = &str> {
        let pieces = self.pieces.iter().enumerate();
        pieces
            .filter(move |(at, _)| Some(*at) != excluded)
            .map(|(_, piece)| piece.as_str())
    }
}
