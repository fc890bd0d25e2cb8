//! Who gets what is copied: a venti, or a replica.

use crate::codec::target::TargetName;
use crate::net::client::{Client, ClientError, Timeouts};
use crate::replica::{self, ReplicaWriter, StoreAccess};

/// A target that was reached.
pub enum Recipient {
    /// A venti, connected.
    Venti(Box<Client>),
    /// A replica, opened.
    Replica(ReplicaWriter),
}

impl Recipient {
    /// Reaches a target. A replica is made where it `may_make` one: in an empty directory.
    ///
    /// # Errors
    /// As [`Client::dial`], [`replica::open`] and [`replica::open_or_make`].
    pub(super) fn reach(
        target: &TargetName,
        may_make: bool,
        limits: Timeouts,
        access: &StoreAccess,
    ) -> Result<Self, ClientError> {
        match target {
            TargetName::Venti(dial) => Ok(Self::Venti(Box::new(Client::dial(dial, limits)?))),
            TargetName::Replica(name) => {
                let store = match may_make {
                    true => replica::open_or_make(name, access),
                    false => replica::open(name, access),
                };
                Ok(Self::Replica(ReplicaWriter::new(store?)))
            }
        }
    }
}
