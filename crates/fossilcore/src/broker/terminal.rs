//! The pseudo-terminal that a fossil has for its console.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// A pair: our end, which does not block, and the fossil's, which is raw.
///
/// # Errors
/// The system has none left.
pub(super) fn pair() -> io::Result<(File, File)> {
    let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&near)?;
    unlockpt(&near)?;
    let name = ptsname(&near, Vec::new())?;
    let far = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(i32::try_from(OFlags::NOCTTY.bits()).unwrap_or(0))
        .open(std::ffi::OsStr::from_bytes(name.as_bytes()))?;
    let mut modes = tcgetattr(&far)?;
    modes.make_raw();
    tcsetattr(&far, OptionalActions::Now, &modes)?;
    rustix::io::ioctl_fionbio(&near, true)?;
    Ok((near.into(), far))
}
