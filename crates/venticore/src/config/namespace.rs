//! The directory in which plan9port's programs post their services.

use std::path::PathBuf;

use super::environment::Environment;

/// What is known of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Namespace {
    /// `$NAMESPACE`, otherwise `namespace` of the file.
    given: Option<PathBuf>,
    /// `$DISPLAY`, `$USER`: what it is named after where nothing is given.
    display: Option<String>,
    user: Option<String>,
}

impl Namespace {
    /// What the environment says; `in_file` stands in for a missing `$NAMESPACE`.
    pub(super) fn of(environment: &Environment, in_file: Option<PathBuf>) -> Self {
        Namespace {
            given: environment.path("NAMESPACE").or(in_file),
            display: environment.text("DISPLAY"),
            user: environment.text("USER"),
        }
    }

    /// The directory: see [`Config::namespace`](super::Config::namespace).
    pub(super) fn directory(&self, login: Option<&str>) -> PathBuf {
        if let Some(given) = &self.given {
            return given.clone();
        }
        let display = self.display.as_deref().unwrap_or(":0").replace('/', "_");
        let screen = display.rsplit_once(":").filter(|(_, at)| {
            let digits = at.trim_start_matches(|c: char| c.is_ascii_digit());
            digits == ".0"
        });
        let display = match screen {
            Some(_) => display.trim_end_matches(".0"),
            None => &display,
        };
        let user = login.or(self.user.as_deref()).unwrap_or("none");
        format!("/tmp/ns.{user}.{display}").into()
    }
}
