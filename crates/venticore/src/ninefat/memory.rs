//! What was last exchanged with which image, in the file `ninefat` of the state
//! directory: one JSON object a line.
//!
//! Times would not do: a FAT's times are local, in steps of two seconds, and a
//! clock may be wrong. So the contents are compared with what they were.

use serde::{Deserialize, Serialize};

use crate::codec::score::Score;
use crate::state::{self, StateDir};

const FILE: &str = "ninefat";
const SCHEMA: u32 = 1;

/// Images that are remembered; the oldest are forgotten.
const MOST: usize = 32;
const FILE_MAX: usize = 1 << 20;

/// The bytes before a place in a log by which it is recognised.
const TAIL: usize = 4096;

/// What is known of one image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    schema: u32,
    /// The path of the image, and where in it the file system begins.
    image: String,
    /// The number the file system got when it was formatted.
    volume: u32,
    /// The fingerprint of the wrcmd that both sides had.
    pub(super) wrcmd: Option<String>,
    /// How far our rootscor was exported.
    log: u64,
    /// The fingerprint of what is before that place.
    log_tail: String,
    /// The length of the rootscor there, after that.
    pub(super) log_there: u64,
    /// What is to be said once was said.
    pub(super) told: bool,
}

/// A text by which contents are recognised.
pub(super) fn fingerprint(bytes: &[u8]) -> String {
    Score::of(bytes).to_string()
}

fn tail(log: &[u8]) -> &[u8] {
    log.get(log.len().saturating_sub(TAIL)..).unwrap_or(log)
}

impl Memory {
    /// What is known of this image; nothing where the file cannot be understood,
    /// which costs no more than that everything is compared again.
    pub(super) fn of(
        state: &StateDir,
        image: &str,
        volume: u32,
    ) -> Result<Self, state::StateError> {
        let all = all(state)?;
        let ours = all
            .into_iter()
            .find(|m| m.image == image && m.volume == volume);
        Ok(ours.unwrap_or_else(|| Memory {
            schema: SCHEMA,
            image: image.to_owned(),
            volume,
            ..Memory::default()
        }))
    }

    pub(super) fn save(&self, state: &StateDir) -> Result<(), state::StateError> {
        let mut all = all(state)?;
        if all.contains(self) {
            return Ok(());
        }
        all.retain(|m| m.image != self.image);
        all.push(self.clone());
        let first = all.len().saturating_sub(MOST);
        let mut text = String::new();
        for memory in all.iter().skip(first) {
            text += &serde_json::to_string(memory).unwrap_or_default();
            text.push('\n');
        }
        state.replace(FILE, text.as_bytes())
    }

    /// How much of our log was exported, if it still begins with that.
    pub(super) fn exported(&self, log: &[u8]) -> Option<usize> {
        let at = usize::try_from(self.log).ok().filter(|&at| at > 0)?;
        let before = log.get(..at)?;
        (fingerprint(tail(before)) == self.log_tail).then_some(at)
    }

    /// Our log was exported, and theirs is `there` bytes long now.
    pub(super) fn set_exported(&mut self, log: &[u8], there: u64) {
        self.log = log.len() as u64;
        self.log_tail = fingerprint(tail(log));
        self.log_there = there;
    }
}

fn all(state: &StateDir) -> Result<Vec<Memory>, state::StateError> {
    let text = state.read(FILE, FILE_MAX)?.unwrap_or_default();
    let lines = text.split(|&byte| byte == b'\n');
    let known = lines.filter_map(|line| serde_json::from_slice::<Memory>(line).ok());
    Ok(known.filter(|memory| memory.schema == SCHEMA).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_known_again() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(directory.path()).unwrap();
        let mut memory = Memory::of(&state, "/a:0", 7).unwrap();
        assert_eq!(memory.exported(b"one\n"), None);
        memory.set_exported(b"one\n", 9);
        memory.wrcmd = Some(fingerprint(b"x"));
        memory.save(&state).unwrap();
        Memory::of(&state, "/b:0", 7).unwrap().save(&state).unwrap();
        assert_eq!(Memory::of(&state, "/a:0", 7).unwrap(), memory);
        // Formatted again.
        assert_eq!(Memory::of(&state, "/a:0", 8).unwrap().wrcmd, None);
        assert_eq!(memory.exported(b"one\ntwo\n"), Some(4));
        assert_eq!(memory.exported(b"two\ntwo\n"), None);
        assert_eq!(memory.exported(b"on"), None);
    }

    #[test]
    fn a_file_that_is_not_ours_is_no_memory() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(directory.path()).unwrap();
        std::fs::write(directory.path().join(FILE), "{\"schema\":2}\nwhat\n\0\n").unwrap();
        let memory = Memory::of(&state, "/a:0", 7).unwrap();
        memory.save(&state).unwrap();
        for n in 0..40 {
            Memory::of(&state, &format!("/{n}"), 7)
                .unwrap()
                .save(&state)
                .unwrap();
        }
        assert_eq!(all(&state).unwrap().len(), MOST);
    }
}
