//! The requests outstanding on a connection, by tag.

use super::Operation;

/// The most requests outstanding at once.
///
/// Tags are one byte; the reference client goes up to 256. Fewer keep what one
/// slow target holds back small (240 blocks of 56 KiB are 13 MiB in a server's
/// buffers), more gain nothing: at 8 KiB this is 2 MiB under way, enough for
/// 1 Gbit/s at 15 ms. The replies to a full window of writes (6 KiB) fit into
/// any socket buffer, so neither side can block the other for good.
pub const WINDOW: usize = 240;

/// What is outstanding: for each tag in use the request, and the caller's
/// number for it. The first tag given out is 0, as a hello needs.
pub(super) struct RequestWindow {
    slots: Vec<Option<(Operation, usize)>>,
    free: Vec<u8>,
}

impl RequestWindow {
    pub(super) fn new() -> Self {
        RequestWindow {
            slots: vec![None; WINDOW],
            free: (0..=u8::MAX).take(WINDOW).rev().collect(),
        }
    }

    pub(super) fn outstanding(&self) -> usize {
        WINDOW - self.free.len()
    }

    pub(super) fn room(&self) -> usize {
        self.free.len()
    }

    /// A tag for this request; `None` when the window is full.
    pub(super) fn open(&mut self, asked: Operation, number: usize) -> Option<u8> {
        let tag = self.free.pop()?;
        self.slots[usize::from(tag)] = Some((asked, number));
        Some(tag)
    }

    /// The request this tag was for, now answered; `None` for a tag not in use.
    pub(super) fn close(&mut self, tag: u8) -> Option<(Operation, usize)> {
        let answered = self.slots.get_mut(usize::from(tag))?.take()?;
        self.free.push(tag);
        Some(answered)
    }

    /// Some request that is outstanding.
    pub(super) fn any(&self) -> Option<Operation> {
        let mut in_use = self.slots.iter().flatten();
        in_use.next().map(|(asked, _)| *asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_unique_and_come_back() {
        let mut window = RequestWindow::new();
        let mut tags: Vec<u8> = (0..WINDOW)
            .map(|n| window.open(Operation::Sync, n).unwrap())
            .collect();
        assert_eq!(tags[0], 0);
        assert_eq!(window.open(Operation::Sync, 0), None);
        assert_eq!(window.outstanding(), WINDOW);
        let (last, number) = (tags[WINDOW - 1], WINDOW - 1);
        tags.sort_unstable();
        tags.dedup();
        assert_eq!(tags.len(), WINDOW);
        assert_eq!(window.close(last), Some((Operation::Sync, number)));
        assert_eq!(window.close(last), None);
        assert_eq!(window.close(255), None);
        assert_eq!(window.open(Operation::Hello, 7), Some(last));
    }
}
