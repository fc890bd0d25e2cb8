//! What a command that a test starts sees of the machine: the system's own files,
//! and nothing of anybody's ventis and fossils.
//!
//! | where a command looks | what is there |
//! |---|---|
//! | `$HOME` | a directory of the test |
//! | `$NAMESPACE`, else `/tmp/ns.USER.DISPLAY` | `ns` in it |
//! | `/n/9fat`, `$STATE_DIRECTORY`, else `/var/lib/ventiprog` | `state` in it |
//! | `$VENTIPROG_CONFIG`, else `/etc/ventiprog.toml` and that of the user | `ventiprog.toml` in it |
//! | `/srv` | `srv` in it |
//! | `/dev/sdC0/fossil` | `fossil` in it |
//! | `http://127.0.0.1:8000/index` | a port where nothing listens |
//! | `$venti`, `$targetventis`, `$PLAN9` | nothing, unless the test sets them |
//!
//! All but the first four have no variable, so they are keys of the configuration,
//! and whatever configuration a test gives is completed with them.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process;

/// The names that `tempfile` gives to the directories of tests begin so.
const SCRATCH: &str = ".tmp";
/// Where nothing listens.
const NO_INDEX: &str = "http://127.0.0.1:1/index";
/// The keys and variables whose paths have to be the test's own.
const KEYS: [&str; 3] = ["dir", "namespace", "consoles"];
const VARIABLES: [&str; 6] = [
    "HOME",
    "NAMESPACE",
    "STATE_DIRECTORY",
    "TMPDIR",
    "VENTIPROG_CONFIG",
    "XDG_CONFIG_HOME",
];

/// Where a command finds what is not among its arguments.
#[derive(Clone, Debug)]
pub struct Surroundings {
    home: PathBuf,
    configuration: PathBuf,
    namespace: PathBuf,
    state: PathBuf,
    consoles: PathBuf,
    fossil: PathBuf,
}

impl Surroundings {
    /// Everything in a directory of the test.
    #[must_use]
    pub fn below(directory: &Path) -> Self {
        Surroundings {
            home: directory.to_owned(),
            configuration: directory.join("ventiprog.toml"),
            namespace: directory.join("ns"),
            state: directory.join("state"),
            consoles: directory.join("srv"),
            fossil: directory.join("fossil"),
        }
    }

    /// Everything where a machine has it whose root is this directory.
    #[must_use]
    pub fn of_machine(root: &Path) -> Self {
        // A root that is `/` is that of a chroot.
        let below = |path: &str| root.join(path);
        Surroundings {
            home: below("root"),
            configuration: below("etc/ventiprog.toml"),
            namespace: below("tmp/ns"),
            state: below("var/lib/ventiprog"),
            consoles: below("srv"),
            fossil: below("dev/sdC0/fossil"),
        }
    }

    /// Makes the namespace, which is its user's alone, and an empty configuration.
    ///
    /// # Panics
    /// When they cannot be made.
    pub fn make(&self) {
        fs::create_dir_all(&self.namespace).expect("a directory of the test");
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(&self.namespace, private).expect("a directory of the test");
        self.configure("");
    }

    /// Writes the configuration, completed.
    ///
    /// # Panics
    /// See [`Surroundings::completed`]; or it cannot be written.
    pub fn configure(&self, toml: &str) {
        fs::write(&self.configuration, self.completed(toml)).expect("a directory of the test");
    }

    /// A configuration, with the keys that it lacks. A text that is no TOML is
    /// left as it is: no command goes on with it.
    ///
    /// # Panics
    /// It names a path that is not a test's own where the machine's would be.
    #[must_use]
    pub fn completed(&self, toml: &str) -> String {
        let Ok(given) = toml.parse::<toml::Table>() else {
            return toml.to_owned();
        };
        let fossil = given.get("fossil").and_then(|table| table.get("partition"));
        for key in KEYS {
            assert_own(key, given.get(key).and_then(toml::Value::as_str));
        }
        assert_own("partition", fossil.and_then(toml::Value::as_str));
        let mut keys = String::new();
        let ours = [&self.state, &self.namespace, &self.consoles];
        for (key, path) in KEYS.into_iter().zip(ours) {
            if !given.contains_key(key) {
                keys += &format!("{key} = {}\n", literal(path));
            }
        }
        if !given.contains_key("default_index") {
            keys += &format!("default_index = '{NO_INDEX}'\n");
        }
        let has = |key| {
            given
                .get("fossil")
                .is_some_and(|table| table.get(key).is_some())
        };
        let mut lines = Vec::new();
        if !has("partition") {
            lines.push(format!("partition = {}\n", literal(&self.fossil)));
        }
        // So that the tests run in a container.
        if !has("private") {
            lines.push("private = true\n".to_owned());
        }
        if !given.contains_key("fossil") {
            let lines: String = lines.iter().map(|line| format!("fossil.{line}")).collect();
            return format!("{keys}{lines}{toml}");
        }
        let heading = "[fossil]\n";
        assert!(
            toml.contains(heading) || lines.len() < 2,
            "expected {heading:?}: {toml}"
        );
        keys + &toml.replacen(heading, &format!("{heading}{}", lines.concat()), 1)
    }

    /// Takes a variable that leads to one of these.
    ///
    /// # Panics
    /// It leads to a path that is not a test's own.
    pub(crate) fn note(&mut self, name: &OsStr, value: &OsStr) {
        let Some(name) = name.to_str().filter(|name| VARIABLES.contains(name)) else {
            return;
        };
        assert_ne!(name, "VENTIPROG_CONFIG", "a configuration is given as text");
        assert_own(name, Some(value.to_str().unwrap_or_default()));
        match name {
            "NAMESPACE" => self.namespace = value.into(),
            "STATE_DIRECTORY" => self.state = value.into(),
            _ => {}
        }
    }

    /// The variables, but for `PATH`.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("HOME", self.home.clone().into()),
            ("NAMESPACE", self.namespace.clone().into()),
            ("STATE_DIRECTORY", self.state.clone().into()),
            ("TZ", "UTC".into()),
            ("VENTIPROG_CONFIG", self.configuration.clone().into()),
        ]
    }

    /// Gives a program these variables, `PATH`, and no others.
    pub fn around<'a>(&self, command: &'a mut process::Command) -> &'a mut process::Command {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(self.environment())
    }
}

/// A path as TOML has it.
fn literal(path: &Path) -> String {
    format!("'{}'", path.display())
}

/// A path, if it is given, is in a scratch directory, or nowhere.
#[track_caller]
fn assert_own(name: &str, path: Option<&str>) {
    let Some(path) = path.map(Path::new) else {
        return;
    };
    let is_scratch = |name: &OsStr| name.as_encoded_bytes().starts_with(SCRATCH.as_bytes());
    let is_own =
        path.iter().any(is_scratch) || path.starts_with("/nonexistent") || path == Path::new("");
    assert!(
        is_own,
        "{name}: expected a scratch directory, found {path:?}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(toml: &str) -> toml::Table {
        let ours = Surroundings::below(Path::new("/.tmp1"));
        ours.completed(toml).parse().unwrap()
    }

    #[test]
    fn every_configuration_is_completed() {
        for toml in [
            "",
            "source = 'a'\n[limits]\nsync = 1\n",
            "[fossil]\nopen = '-c 1'\n[fossils.a]\nopen = ''\n",
            "[limits]\nsync = 1\n[fossil]\n",
        ] {
            let keys = keys(toml);
            for (key, path) in KEYS.into_iter().zip(["state", "ns", "srv"]) {
                assert_eq!(
                    keys[key].as_str(),
                    Some(&*format!("/.tmp1/{path}")),
                    "{toml}"
                );
            }
            let partition = keys["fossil"]["partition"].as_str();
            assert_eq!(partition, Some("/.tmp1/fossil"), "{toml}");
            assert_eq!(keys["default_index"].as_str(), Some(NO_INDEX));
            for (key, value) in toml.parse::<toml::Table>().unwrap() {
                assert!(key == "fossil" || keys[&key] == value, "{toml}");
            }
        }
        let own = keys("dir = '/x/.tmp2/d'\n[fossil]\npartition = '/x/.tmp2/p'\n");
        assert_eq!(own["dir"].as_str(), Some("/x/.tmp2/d"));
        assert_eq!(own["fossil"]["partition"].as_str(), Some("/x/.tmp2/p"));
    }

    #[test]
    #[should_panic(expected = "expected a scratch directory")]
    fn the_machines_state_is_nobodys_test_directory() {
        let _ = keys("dir = '/n/9fat'\n");
    }

    #[test]
    #[should_panic(expected = "expected a scratch directory")]
    fn the_machines_fossil_is_nobodys_test_partition() {
        let _ = keys("[fossil]\npartition = '/dev/sdC0/fossil'\n");
    }

    #[test]
    #[should_panic(expected = "expected a scratch directory")]
    fn the_users_namespace_is_nobodys_test_namespace() {
        let mut ours = Surroundings::below(Path::new("/.tmp1"));
        ours.note("NAMESPACE".as_ref(), "/tmp/ns.root.:0".as_ref());
    }
}
