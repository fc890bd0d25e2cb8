//! Whether a server has a block, by its answer to a probe.

use super::error;
use crate::codec::score::Score;

/// The answer to a probe (venti.md 7.5). It comes from the server's index:
/// what is present may still be damaged or lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The server has the block.
    Present {
        /// Its size in bytes.
        size: u32,
    },
    /// The server does not have the block under this type.
    Absent,
    /// The server said something that does not tell, escaped.
    NoAnswer(String),
}

impl Presence {
    /// What an error text tells about a block (venti.md 7.5).
    pub(super) fn of_error(text: String, score: &Score) -> Self {
        if error::says_absent(&text, score) {
            return Presence::Absent;
        }
        let size = text.strip_prefix("read too small").and_then(|rest| {
            let (_, last) = rest.rsplit_once(' ')?;
            last.parse().ok()
        });
        match size {
            Some(size) => Presence::Present { size },
            None => Presence::NoAnswer(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_believes_only_the_two_texts() {
        let abc = Score::of(b"abc");
        let says = |text: &str| Presence::of_error(text.to_owned(), &abc);
        let present = |size| Presence::Present { size };
        assert_eq!(
            says("read too small: asked for 0 need at least 33"),
            present(33)
        );
        assert_eq!(
            says("read too small 1: asked for 0 need at least 8192"),
            present(8192)
        );
        assert_eq!(
            says(&format!("no block with score {abc}/9 exists")),
            Presence::Absent
        );
        let other = format!("no block with score {}/0 exists", Score::ZERO);
        for text in [
            "unknown request",
            "read too small",
            "read too small: asked for 0 need at least",
            "clump is marked corrupt",
            &other,
            "",
        ] {
            assert_eq!(says(text), Presence::NoAnswer(text.to_owned()));
        }
    }
}
