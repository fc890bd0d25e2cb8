//! The score of a sealed arena: SHA-1 of all its bytes, by which `verifyarena` and a reader of
//! a copy find out that none has changed (venti.md 5).

use std::io;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use sha1::{Digest, Sha1};

use super::{Disk, Place, Store};
use crate::codec::score::Score;

/// Bytes that are read at a time.
const PIECE: u64 = 1 << 20;

impl Store {
    /// Computes the score of one sealed arena that has none, and writes it into the trailer.
    /// It takes its time: after each piece it waits as long as the piece took, by `is_over`,
    /// which ends it when it is true. False where there was nothing to do.
    pub fn seal_one(&self, is_over: &dyn Fn(Duration) -> bool) -> bool {
        if self.read_only().is_some() {
            return false;
        }
        let number = {
            // Not while a sync is on its way: then the trailer may not be there yet.
            let _synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
            self.ledger().to_be_scored()
        };
        let Some(number) = number else {
            return false;
        };
        let Some((place, disk)) = self.ground.arena(number) else {
            return false;
        };
        match Self::sum(place, disk.as_ref(), is_over) {
            Ok(Some(score)) => {
                self.ledger().set_score(number, score);
                self.flush_all().is_ok()
            }
            Ok(None) => false,
            Err(error) => {
                self.ledger().give_up_score(number);
                let name = &place.name;
                (self.settings.say)(&format!(
                    "arena {name}: its score cannot be computed: {error}"
                ));
                true
            }
        }
    }

    /// SHA-1 of an arena, its score taken as zeros. None where it was ended.
    fn sum(
        place: &Place,
        disk: &dyn Disk,
        is_over: &dyn Fn(Duration) -> bool,
    ) -> io::Result<Option<Score>> {
        let end = place.total() - Score::LEN as u64;
        let mut hash = Sha1::new();
        let mut at = 0;
        let mut piece = Vec::new();
        while at < end {
            let start = Instant::now();
            let len = usize::try_from(PIECE.min(end - at)).unwrap_or(0);
            piece.resize(len, 0);
            disk.read_at(&mut piece, place.head + at)?;
            hash.update(&piece);
            at += len as u64;
            if is_over(start.elapsed()) {
                return Ok(None);
            }
        }
        hash.update([0; Score::LEN]);
        Ok(Some(Score::from_bytes(hash.finalize().into())))
    }
}
