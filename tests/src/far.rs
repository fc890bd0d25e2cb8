//! Other machines, played by directories of this one: each has commands of its
//! own, and what stands in for ssh runs them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::command;
use crate::surroundings::Surroundings;

/// Some machines, and the program that reaches them, `reach HOST COMMAND`.
#[derive(Debug)]
pub struct Far {
    directory: TempDir,
}

impl Far {
    /// No machines yet.
    ///
    /// # Panics
    ///
    /// When files cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory for temporary files");
        let far = Far { directory };
        let root = far.path("").display().to_string();
        // A machine that is not there is what ssh makes of it.
        let reach = format!(
            "#!/bin/sh\n\
             echo \"$1: $2\" >>{root}/calls\n\
             cd {root}/\"$1\" 2>/dev/null || {{ echo no route to \"$1\" >&2; exit 255; }}\n\
             exec env -i PATH=\"$PWD/bin:$PATH\" $(cat environment) sh -c \"$2\"\n"
        );
        executable(&far.path("reach"), &reach);
        far
    }

    /// Where a file of the test lies.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Adds a machine with our commands.
    ///
    /// # Panics
    ///
    /// When files cannot be made.
    pub fn machine(&self, host: &str) {
        let bin = self.path(host).join("bin");
        fs::create_dir_all(&bin).expect("our own directory");
        let surroundings = self.surroundings(host);
        surroundings.make();
        let mut environment = String::new();
        for (name, value) in surroundings.environment() {
            environment += &format!("{name}={}\n", value.display());
        }
        fs::write(self.path(host).join("environment"), environment).expect("our own directory");
        command::install(&bin);
    }

    /// What a command on a machine sees.
    pub(crate) fn surroundings(&self, host: &str) -> Surroundings {
        Surroundings::below(&self.path(host))
    }

    /// Gives a machine this configuration.
    ///
    /// # Panics
    ///
    /// When the file cannot be written.
    pub fn configure(&self, host: &str, toml: &str) {
        self.surroundings(host).configure(toml);
    }

    /// Runs a command line there; what it prints.
    ///
    /// # Panics
    ///
    /// When it fails.
    #[must_use]
    pub fn run(&self, host: &str, line: &str) -> String {
        let mut command = Command::new(self.path("reach"));
        let output = self
            .surroundings(host)
            .around(&mut command)
            .args([host, line])
            .output()
            .expect("our own program");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{host}: {line}: {}: {said}",
            output.status
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Puts a shell script in the place of a command of a machine.
    ///
    /// # Panics
    ///
    /// When the file cannot be made.
    pub fn script(&self, host: &str, name: &str, text: &str) {
        let path = self.path(host).join("bin").join(name);
        let _ = fs::remove_file(&path);
        executable(&path, &format!("#!/bin/sh\n{text}\n"));
    }

    /// The table of the configuration by which they are reached, with these
    /// further keys.
    #[must_use]
    pub fn config(&self, keys: &str) -> String {
        let reach = self.path("reach").display().to_string();
        format!(
            "remote = 'reach'\n[remotes.reach]\n\
             command = [{reach:?}, '{{host}}', '{{command}}']\n{keys}"
        )
    }

    /// The calls so far, `HOST: COMMAND`.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }
}

impl Default for Far {
    fn default() -> Self {
        Self::new()
    }
}

fn executable(path: &Path, text: &str) {
    fs::write(path, text).expect("our own directory");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("our own file");
}
