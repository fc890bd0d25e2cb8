//! The end of a log, in whole lines.

use std::io::{self, Read, Seek, SeekFrom};

use super::{StateDir, StateError};

impl StateDir {
    /// The lines in the last `most` bytes of a file; without a file: nothing.
    ///
    /// # Errors
    /// [`StateError::Read`], [`StateError::NotAFile`], [`StateError::Link`].
    pub(super) fn read_tail(&self, name: &str, most: u64) -> Result<Vec<u8>, StateError> {
        let Some((path, mut file, meta)) = self.open_to_read(name)? else {
            return Ok(Vec::new());
        };
        let mut bytes = Vec::new();
        let start = meta.len().saturating_sub(most);
        let mut tail = || -> io::Result<()> {
            // From the byte before, so that a line that begins at the start is whole.
            let before = start.saturating_sub(1);
            file.seek(SeekFrom::Start(before))?;
            let count = meta.len().saturating_sub(before);
            Read::by_ref(&mut file)
                .take(count)
                .read_to_end(&mut bytes)?;
            Ok(())
        };
        tail().map_err(|cause| StateError::read(&path, cause))?;
        let cut = match start {
            0 => 0,
            _ => bytes
                .iter()
                .position(|&byte| byte == b'\n')
                .unwrap_or(bytes.len()),
        };
        Ok(bytes.split_off(cut))
    }
}
