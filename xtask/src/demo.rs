//! stub
use std::ffi::OsString;
pub(crate) fn run(_: Vec<OsString>) -> eyre::Result<()> {
    Ok(())
}
