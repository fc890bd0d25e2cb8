//! How ventis are reached: directly, or through a command.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Timeouts;
use crate::codec::dial::Dial;

/// How ventis are reached: the time limits, and the commands through which some of them
/// are. It comes from the configuration, so no caller can leave the commands out.
#[derive(Clone, Debug, Default)]
pub struct Dialer {
    /// How long to wait for what.
    pub limits: Timeouts,
    via: Arc<BTreeMap<Dial, Vec<String>>>,
}

impl Dialer {
    /// With these limits; the ventis of the table are reached by these words: a program
    /// and its arguments.
    #[must_use]
    pub fn new(limits: Timeouts, via: BTreeMap<Dial, Vec<String>>) -> Self {
        let via = Arc::new(via);
        Dialer { limits, via }
    }

    /// The same with other limits.
    #[must_use]
    pub fn within(&self, limits: Timeouts) -> Self {
        let via = Arc::clone(&self.via);
        Dialer { limits, via }
    }

    /// The words of the command through which this venti is reached, if it is. Its address
    /// then means something to that command, or nothing.
    #[must_use]
    pub fn via(&self, dial: &Dial) -> Option<&[String]> {
        self.via.get(dial).map(Vec::as_slice)
    }
}

impl From<Timeouts> for Dialer {
    fn from(limits: Timeouts) -> Self {
        Dialer::new(limits, BTreeMap::new())
    }
}
