//! The environment variables that the program reads: all of them, here.

use std::ffi::OsString;
use std::path::PathBuf;

use engine::images::Proxies;

use crate::cli::Global;
use crate::display::{Colors, DisplayError, Mode, Options};

/// Where everything is kept, if `--store` does not say.
const STORE: &str = "RBUILD_STORE";
/// The display, if `--progress` does not say.
const PROGRESS: &str = "BUILDKIT_PROGRESS";
/// Colours of live rows.
const COLORS: &str = "BUILDKIT_COLORS";
/// Not empty: no colours.
const NO_COLOR: &str = "NO_COLOR";
/// Lines of output under a running step.
const LOG_LINES: &str = "BUILDKIT_TTY_LOG_LINES";
/// Seconds since 1970: the time that everything built bears.
pub(crate) const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";
/// Where users keep their data.
const DATA_HOME: &str = "XDG_DATA_HOME";
/// The user's directory.
const HOME: &str = "HOME";
/// Where Docker's clients keep their settings, credentials among them.
const DOCKER_CONFIG: &str = "DOCKER_CONFIG";

/// Lines under a running step unless the environment says otherwise.
const DEFAULT_LOG_LINES: usize = 6;

/// Gives a variable's value.
type Lookup = dyn Fn(&str) -> Option<OsString>;

/// The environment, read through a function so that tests can give their own.
pub(crate) struct Settings {
    variable: Box<Lookup>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Settings")
    }
}

impl Settings {
    /// The program's environment.
    pub(crate) fn from_env() -> Self {
        Self {
            variable: Box::new(|name| std::env::var_os(name)),
        }
    }

    #[cfg(test)]
    pub(crate) fn fixed(variables: &'static [(&'static str, &'static str)]) -> Self {
        Self {
            variable: Box::new(|name| {
                let found = variables.iter().find(|(known, _)| *known == name)?;
                Some(found.1.into())
            }),
        }
    }

    /// A variable that the user named.
    pub(crate) fn lookup(&self, name: &str) -> Option<OsString> {
        (self.variable)(name)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.lookup(name)?.into_string().ok()
    }

    /// The store's directory: the flag, the variable, else `/var/lib/rbuild` for root and the user's data directory for
    /// others.
    pub(crate) fn store(&self, global: &Global, root: bool) -> PathBuf {
        let path = |name| {
            self.lookup(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let home = || {
            if root {
                return PathBuf::from("/var/lib/rbuild");
            }
            path(DATA_HOME)
                .or_else(|| Some(path(HOME)?.join(".local/share")))
                .map_or_else(|| PathBuf::from(".rbuild"), |data| data.join("rbuild"))
        };
        global
            .store
            .clone()
            .or_else(|| path(STORE))
            .unwrap_or_else(home)
    }

    /// The file in which Docker's clients keep the credentials of registries; it need not exist.
    pub(crate) fn credentials(&self) -> Option<PathBuf> {
        let path = |name| {
            self.lookup(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let directory = path(DOCKER_CONFIG).or_else(|| Some(path(HOME)?.join(".docker")));
        Some(directory?.join("config.json"))
    }

    /// The proxies that registries are reached through: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in
    /// small letters too.
    pub(crate) fn proxies(&self) -> Proxies {
        Proxies::from_variables(|name| self.text(name))
    }

    /// Whether what is written to a terminal may have colours.
    pub(crate) fn allows_colors(&self) -> bool {
        self.text(NO_COLOR).is_none_or(|value| value.is_empty())
    }

    /// The display's mode before the terminal is looked at.
    pub(crate) fn progress(&self, flag: Option<Mode>) -> Result<Mode, DisplayError> {
        match (flag, self.text(PROGRESS)) {
            (Some(mode), _) => Ok(mode),
            (None, Some(value)) if !value.is_empty() => Mode::from_env(&value),
            (None, _) => Ok(Mode::Auto),
        }
    }

    /// What displays need to know.
    pub(crate) fn display(&self, phase: &'static str, debug: bool) -> Options {
        Options {
            phase,
            debug,
            log_lines: self
                .text(LOG_LINES)
                .and_then(|lines| lines.parse().ok())
                .unwrap_or(DEFAULT_LOG_LINES),
            colors: Colors::choose(self.text(NO_COLOR).as_deref(), self.text(COLORS).as_deref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::LayersForm;

    fn global(store: Option<&str>) -> Global {
        Global {
            store: store.map(PathBuf::from),
            layers: LayersForm::Auto,
            debug: false,
        }
    }

    #[test]
    fn the_store_is_where_the_nearest_setting_says() {
        let all = Settings::fixed(&[
            ("RBUILD_STORE", "/env"),
            ("XDG_DATA_HOME", "/data"),
            ("HOME", "/home/me"),
        ]);
        assert_eq!(
            all.store(&global(Some("/flag")), true),
            PathBuf::from("/flag")
        );
        assert_eq!(all.store(&global(None), true), PathBuf::from("/env"));
        let user = Settings::fixed(&[("HOME", "/home/me")]);
        assert_eq!(
            user.store(&global(None), false),
            PathBuf::from("/home/me/.local/share/rbuild")
        );
        assert_eq!(
            user.store(&global(None), true),
            PathBuf::from("/var/lib/rbuild")
        );
    }

    #[test]
    fn credentials_are_where_docker_has_them() {
        let both = Settings::fixed(&[("DOCKER_CONFIG", "/config"), ("HOME", "/home/me")]);
        assert_eq!(both.credentials(), Some("/config/config.json".into()));
        let home = Settings::fixed(&[("DOCKER_CONFIG", ""), ("HOME", "/home/me")]);
        assert_eq!(
            home.credentials(),
            Some("/home/me/.docker/config.json".into())
        );
        assert_eq!(Settings::fixed(&[]).credentials(), None);
    }

    #[test]
    fn the_flag_wins_over_the_environment() {
        let settings = Settings::fixed(&[
            ("BUILDKIT_PROGRESS", "plain"),
            ("BUILDKIT_TTY_LOG_LINES", "3"),
        ]);
        assert_eq!(settings.progress(None).expect("a mode"), Mode::Plain);
        assert_eq!(
            settings.progress(Some(Mode::Tty)).expect("a mode"),
            Mode::Tty
        );
        assert_eq!(settings.display("Building", false).log_lines, 3);
        assert!(
            Settings::fixed(&[("BUILDKIT_PROGRESS", "loud")])
                .progress(None)
                .is_err()
        );
        assert_eq!(
            Settings::fixed(&[]).progress(None).expect("a mode"),
            Mode::Auto
        );
    }
}
