//! Text in an HTML document.

use std::time::SystemTime;

use crate::codec::utc::Utc;
use crate::commands::ventilag::age::ago;
pub(super) use crate::text::html::{bytes, count, escaped, name, page};

/// A time, to the minute.
pub(super) fn time(time: SystemTime) -> String {
    let exact = Utc(time).to_string();
    let to_minutes = exact.get(..16).unwrap_or(&exact).replace('T', " ");
    format!("<time datetime=\"{exact}\">{to_minutes} UTC</time>")
}

/// A time, and how long ago it was.
pub(super) fn since(of: SystemTime, now: SystemTime) -> String {
    let (time, ago) = (time(of), ago(of, now));
    format!("{time} <span class=\"count\">({ago})</span>")
}
