//! A 9fat that is mounted: the table `[mount]`.

use serde::Deserialize;

use super::value;

/// A 9fat that is mounted as the state directory while a command runs. In the
/// words of both commands, `{partition}` and `{dir}` stand for those.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// The partition, as mount(8) takes it.
    #[serde(deserialize_with = "value::one::<value::Word, _, _>")]
    pub partition: String,
    /// What mounts it.
    #[serde(default = "Mount::command", deserialize_with = "value::program")]
    pub command: Vec<String>,
    /// What unmounts it.
    #[serde(default = "Mount::unmount", deserialize_with = "value::program")]
    pub unmount: Vec<String>,
}

impl Mount {
    fn command() -> Vec<String> {
        // A FAT has no modes: those of the mount keep others out.
        let words = [
            "mount",
            "-t",
            "vfat",
            "-o",
            "umask=077",
            "--",
            "{partition}",
            "{dir}",
        ];
        words.map(str::to_owned).into()
    }

    fn unmount() -> Vec<String> {
        ["umount", "--", "{dir}"].map(str::to_owned).into()
    }
}
