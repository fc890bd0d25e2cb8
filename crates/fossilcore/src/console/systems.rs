//! The file systems of a fossil, as its console lists them.

use std::path::{Path, PathBuf};

use super::dialogue::{Console, ConsoleError};

/// One file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// Its name, as in `fsys NAME sync`.
    pub name: String,
    /// The partition, as the fossil was told.
    pub partition: PathBuf,
    /// Its venti, where it was told one.
    pub venti: Option<String>,
}

impl System {
    /// The file systems of a console.
    ///
    /// # Errors
    /// As [`Console::question`].
    pub fn list(console: &mut Console) -> Result<Vec<Self>, ConsoleError> {
        let reply = console.question("printconfig")?;
        Ok(Self::parse(&reply.text))
    }

    /// Reads what `printconfig` prints: lines `fsys NAME config PARTITION` and
    /// `fsys NAME venti ADDRESS` behind a tab. Names are not quoted there.
    #[must_use]
    pub fn parse(text: &str) -> Vec<Self> {
        let mut systems: Vec<System> = Vec::new();
        for line in text.lines() {
            let mut words = line.trim_start().splitn(4, ' ');
            let words = [words.next(), words.next(), words.next(), words.next()];
            match words {
                [Some("fsys"), Some(name), Some("config"), partition] => systems.push(System {
                    name: name.to_owned(),
                    partition: partition.unwrap_or_default().into(),
                    venti: None,
                }),
                [Some("fsys"), Some(name), Some("venti"), Some(address)] => {
                    let of = systems.iter_mut().find(|system| system.name == name);
                    if let Some(system) = of {
                        system.venti = Some(address.to_owned());
                    }
                }
                _ => {}
            }
        }
        systems
    }

    /// Whether its partition is this one, by whatever path.
    #[must_use]
    pub fn is_on(&self, partition: &Path) -> bool {
        let same = |path: &Path| path.canonicalize().ok();
        self.partition == partition
            || same(&self.partition).is_some_and(|ours| same(partition) == Some(ours))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_that_of_the_transcript() {
        // config-open.txt
        let text = "\tfsys main config a.part\n\tfsys main venti tcp!127.0.0.1!18211\n\
                    \tfsys two config /a b/c.part\n";
        let systems = System::parse(text);
        assert_eq!(systems.len(), 2);
        assert_eq!(systems[0].venti.as_deref(), Some("tcp!127.0.0.1!18211"));
        assert_eq!(systems[1].partition, Path::new("/a b/c.part"));
        assert!(System::parse("").is_empty());
    }
}
