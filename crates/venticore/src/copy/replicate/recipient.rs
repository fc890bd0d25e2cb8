//! Who gets what is copied: a venti, or a replica.

use crate::codec::target::TargetName;
use crate::net::client::{Client, ClientError, Dialer};
use crate::replica::{self, ReplicaWriter, StoreAccess};

/// How targets are reached.
#[derive(Clone, Copy, Debug)]
pub struct TargetAccess<'a> {
    /// Ventis.
    pub ventis: &'a Dialer,
    /// Replicas.
    pub replicas: &'a StoreAccess,
}

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
        access: TargetAccess<'_>,
    ) -> Result<Self, ClientError> {
        match target {
            TargetName::Venti(dial) => {
                Ok(Self::Venti(Box::new(Client::dial(dial, access.ventis)?)))
            }
            TargetName::Replica(name) => {
                let store = match may_make {
                    true => replica::open_or_make(name, access.replicas),
                    false => replica::open(name, access.replicas),
                };
                Ok(Self::Replica(ReplicaWriter::new(store?)))
            }
        }
    }
}
