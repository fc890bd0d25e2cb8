//! How a server says that it does not have a block.
//!
//! The protocol has one error for everything, and a text. plan9port's text for
//! a block that it lacks is known; other servers use their own words. They are
//! learnt by asking for a block that cannot exist, once for each type on a
//! connection, and only when a text comes that is not known.

use super::error::says_absent;
use crate::codec::blocktype::BlockType;
use crate::codec::score::Score;

/// What is known of a server's words.
#[derive(Default)]
pub(super) struct ServerWords {
    learnt: Vec<(BlockType, AbsentAnswer)>,
}

/// What a server says when it is asked for a block that cannot exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AbsentAnswer {
    /// This text, escaped, without the score.
    Text(String),
    /// No error: its refusals do not tell what it lacks.
    NoError,
}

impl AbsentAnswer {
    /// An escaped error text about a block with this score.
    pub(super) fn of_text(text: &str, score: &Score) -> Self {
        let text = text.to_ascii_lowercase();
        AbsentAnswer::Text(text.replace(&score.to_string(), ""))
    }
}

impl ServerWords {
    /// Whether what a text says of a block can be told.
    pub(super) fn can_tell(&self, ty: BlockType, score: &Score, text: &str) -> bool {
        says_absent(text, score) || self.answer(ty).is_some()
    }

    /// Remembers what the server said to a question for a block of this type
    /// that cannot exist.
    pub(super) fn learn(&mut self, ty: BlockType, answer: AbsentAnswer) {
        if self.answer(ty).is_none() {
            self.learnt.push((ty, answer));
        }
    }

    /// Whether a text says that the server lacks a block, or says nothing that
    /// could be told from that: the block is to be sent again then.
    pub(super) fn say_absent(&self, ty: BlockType, score: &Score, text: &str) -> bool {
        says_absent(text, score)
            || self.answer(ty).is_some_and(|answer| {
                *answer == AbsentAnswer::NoError || *answer == AbsentAnswer::of_text(text, score)
            })
    }

    /// The same, where only a plain answer counts.
    pub(super) fn say_plainly_absent(&self, ty: BlockType, score: &Score, text: &str) -> bool {
        self.answer(ty) != Some(&AbsentAnswer::NoError) && self.say_absent(ty, score, text)
    }

    fn answer(&self, ty: BlockType) -> Option<&AbsentAnswer> {
        let mut learnt = self.learnt.iter();
        learnt.find(|(of, _)| *of == ty).map(|(_, answer)| answer)
    }
}

/// A score that no block has: for one to have it, somebody would have to find
/// a block for a score that is given.
pub(super) fn impossible(score: &Score) -> Score {
    let mut bytes = *score.as_bytes();
    for byte in &mut bytes {
        *byte = !*byte;
    }
    Score::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_words_are_learnt_for_each_type() {
        let (one, other) = (Score::of(b"one"), Score::of(b"other"));
        let data = BlockType::Data;
        let mut words = ServerWords::default();
        let known = format!("no block with score {one}/0 exists");
        assert!(words.can_tell(data, &one, &known));
        assert!(words.say_absent(data, &one, &known));
        let text = |score: &Score| format!("Score {score} is not here");
        assert!(!words.can_tell(data, &one, &text(&one)));
        assert!(!words.say_absent(data, &one, &text(&one)));
        let upper = text(&impossible(&one)).to_uppercase();
        words.learn(data, AbsentAnswer::of_text(&upper, &impossible(&one)));
        assert!(words.say_absent(data, &other, &text(&other)));
        assert!(words.say_plainly_absent(data, &other, &text(&other)));
        assert!(!words.say_absent(data, &other, "disk error"));
        assert!(words.can_tell(data, &other, "disk error"));
        assert!(!words.can_tell(BlockType::Root, &other, "disk error"));
    }

    #[test]
    fn where_nothing_can_be_learnt_a_refusal_is_no_damage() {
        let (score, data) = (Score::of(b"one"), BlockType::Data);
        let mut words = ServerWords::default();
        words.learn(data, AbsentAnswer::NoError);
        assert!(words.say_absent(data, &score, "disk error"));
        assert!(!words.say_plainly_absent(data, &score, "disk error"));
    }

    #[test]
    fn the_impossible_is_another_score() {
        let score = Score::of(b"one");
        assert_ne!(impossible(&score), score);
        assert_eq!(impossible(&impossible(&score)), score);
    }
}
