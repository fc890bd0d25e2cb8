//! The source venti: which one it is, and what it is asked.

use eyre::{Result, WrapErr};

use super::Options;
use crate::codec::blocktype::{BLOCK_MAX, BlockName};
use crate::codec::dial::Dial;
use crate::config::Config;
use crate::host::terminal::Terminal;
use crate::net::client::{Client, ClientError};
use crate::net::page;
use crate::net::reach::Reach;
use crate::status::{Failure, Status};
use crate::survey::part::Part;

/// Who has the arenas that are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// This venti.
    Venti {
        /// Its address.
        dial: Dial,
        /// Only the address of the index page says so.
        by_page: bool,
    },
    /// No server writes the partitions.
    Offline,
    /// Nobody says.
    Unknown,
}

impl Origin {
    /// `-s`, `--offline`, `offline` of the configuration, `$venti`, `source` of
    /// the configuration, or the host of the index page at `url`: the first that
    /// says something.
    ///
    /// # Errors
    /// Both options were given, or an address is none.
    pub(super) fn of(options: &Options, config: &Config, url: Option<&str>) -> Result<Self> {
        match (&options.source, options.scope.offline) {
            (Some(_), true) => {
                let cause = "-s names a source venti and --offline says that there is none: give only one of them";
                return Err(Failure::report(Status::Usage, cause));
            }
            (None, true) => return Ok(Self::Offline),
            (None, false) if config.offline => return Ok(Self::Offline),
            _ => {}
        }
        let named = options.source.as_ref();
        let named = named.or(config.venti.as_ref()).or(config.source.as_ref());
        if let Some(text) = named {
            let dial = config.dial(text);
            let dial = dial.wrap_err_with(|| format!("source {text:?}"))?;
            return Ok(Self::Venti {
                dial,
                by_page: false,
            });
        }
        let dial = url.map(page::venti_of).transpose();
        let dial = dial.wrap_err("index page")?;
        Ok(dial.map_or(Self::Unknown, |dial| Self::Venti {
            dial,
            by_page: true,
        }))
    }

    pub(super) fn dial(&self) -> Option<&Dial> {
        match self {
            Self::Venti { dial, .. } => Some(dial),
            Self::Offline | Self::Unknown => None,
        }
    }

    /// How a message names it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Venti { dial, by_page } => match by_page {
                true => format!("{dial}, the host of the index page"),
                false => dial.to_string(),
            },
            Self::Offline | Self::Unknown => "not known".to_owned(),
        }
    }

    /// Asks the source to put what it has on disk, so that it is seen.
    pub(super) fn sync(&self, reach: &Reach, config: &Config, terminal: &Terminal) -> Contact {
        let dial = match self {
            Self::Venti { dial, .. } => dial,
            Self::Offline => return Contact::None,
            Self::Unknown => {
                terminal.detail(|| {
                    "no source venti known (-s, $venti, configuration): \
                     what it has not yet written to disk is not seen"
                        .to_owned()
                });
                return Contact::None;
            }
        };
        let synced = match reach.unknown(dial) {
            Some(cause) => Err(format!("cannot connect: {cause}")),
            None => synced(dial, config).map_err(|error| error.to_string()),
        };
        match synced {
            Ok(client) => Contact::Synced(Box::new(client)),
            Err(error) => {
                let way_out = match self {
                    Self::Venti { by_page: true, .. } => {
                        "; name the source venti (-s), or say that no server writes the partitions (--offline)"
                    }
                    _ => "",
                };
                terminal.say(&format!(
                    "source {}: not synced: {error}{way_out}",
                    self.shown()
                ));
                Contact::Failed
            }
        }
    }
}

fn synced(dial: &Dial, config: &Config) -> Result<Client, ClientError> {
    let mut client = Client::dial(dial, &config.dialer)?;
    client.sync()?;
    Ok(client)
}

/// How the source was reached.
pub(super) enum Contact {
    /// It was not asked.
    None,
    /// It was asked to sync, and did not.
    Failed,
    /// It has synced.
    Synced(Box<Client>),
}

impl Contact {
    pub(super) fn status(&self) -> Status {
        match self {
            Self::Failed => Status::Partly,
            Self::None | Self::Synced(_) => Status::Done,
        }
    }

    /// Whether the source has synced what this partition holds: it did, and it
    /// has the partition's newest block. If not, that is said.
    pub(super) fn covers(
        &mut self,
        origin: &Origin,
        part: &Part,
        terminal: &Terminal,
    ) -> (bool, Status) {
        // No server writes a replica.
        if part.opened.is_none() {
            return (true, Status::Done);
        }
        let Self::Synced(client) = self else {
            return (false, Status::Done);
        };
        let Some((score, block_type)) = part.newest() else {
            return (true, Status::Done);
        };
        let (source, name) = (origin.shown(), &part.name);
        match client.read(&score, block_type, BLOCK_MAX) {
            Ok(_) => (true, Status::Done),
            Err(error) if error.is_absent() => {
                terminal.say(&format!(
                    "source {source}: it does not have the newest block of {name} \
                     ({}): that is the partition of another venti; \
                     name the right source (-s) or partition (-p){}",
                    BlockName(block_type, score),
                    part.if_by_mistake
                ));
                (false, Status::Partly)
            }
            Err(error) => {
                terminal.say(&format!(
                    "source {source}: asked for the newest block of {name}: {error}"
                ));
                (true, Status::Partly)
            }
        }
    }
}
