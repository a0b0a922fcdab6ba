//! The environment variables that the program reads: all of them, here.

use std::ffi::OsString;
use std::path::PathBuf;

use engine::images::Proxies;
use engine::retention::{Collection, Durability, Retention};

use crate::args::quantity;
use crate::cli::Global;
use crate::display::{Colors, DisplayError, Mode, Options};
use crate::error::Error;

/// Where everything is kept, if `--store` does not say.
const STORE: &str = "RBUILD_STORE";
/// The display, if `--progress` does not say.
const PROGRESS: &str = "BUILDKIT_PROGRESS";
/// Colours of live rows.
const COLORS: &str = "BUILDKIT_COLORS";
/// What outlasts a power failure: `image` (what was reported done) or `none`.
const SYNC: &str = "RBUILD_SYNC";
/// The space that the cache may take: `off`, or limits as those of `rbuild prune`, `max-used-space=50GB,…`.
const GC: &str = "RBUILD_GC";
/// Not empty: no colours.
const NO_COLOR: &str = "NO_COLOR";
/// Lines of output under a running step.
const LOG_LINES: &str = "BUILDKIT_TTY_LOG_LINES";
/// Seconds since 1970: the time that everything built bears.
pub(crate) const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";
/// The socket of the user's SSH agent.
pub(crate) const SSH_AUTH_SOCK: &str = "SSH_AUTH_SOCK";
/// Where users keep their data.
const DATA_HOME: &str = "XDG_DATA_HOME";
/// The user's directory.
const HOME: &str = "HOME";
/// Where users keep their settings.
const CONFIG_HOME: &str = "XDG_CONFIG_HOME";
/// Where users keep what is gone after a restart.
const RUNTIME_DIR: &str = "XDG_RUNTIME_DIR";
/// Where Docker's clients keep their settings, credentials among them.
const DOCKER_CONFIG: &str = "DOCKER_CONFIG";
/// The one file with credentials, as Podman's tools have it.
const REGISTRY_AUTH_FILE: &str = "REGISTRY_AUTH_FILE";
/// Where registries are configured, if `--registries` does not say.
const REGISTRIES: &str = "RBUILD_REGISTRIES";
/// Where the system's registries are configured.
const SYSTEM_REGISTRIES: &str = "/etc/rbuild/registries";

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

    /// A path; an empty one counts as none.
    fn path(&self, name: &str) -> Option<PathBuf> {
        self.lookup(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    }

    /// The store's directory: the flag, the variable, else `/var/lib/rbuild` for root and the user's data directory for
    /// others.
    pub(crate) fn store(&self, global: &Global, root: bool) -> PathBuf {
        let home = || {
            if root {
                return PathBuf::from("/var/lib/rbuild");
            }
            self.path(DATA_HOME)
                .or_else(|| Some(self.path(HOME)?.join(".local/share")))
                .map_or_else(|| PathBuf::from(".rbuild"), |data| data.join("rbuild"))
        };
        global
            .store
            .clone()
            .or_else(|| self.path(STORE))
            .unwrap_or_else(home)
    }

    /// The files with credentials of registries, the most important first; they need not exist. `$REGISTRY_AUTH_FILE`
    /// alone if it is set, else Docker's `config.json` and Podman's places for `auth.json` (containers-auth.json(5)).
    pub(crate) fn credentials(&self, root: bool) -> Vec<PathBuf> {
        if let Some(only) = self.path(REGISTRY_AUTH_FILE) {
            return vec![only];
        }
        let docker = self
            .path(DOCKER_CONFIG)
            .or_else(|| Some(self.path(HOME)?.join(".docker")));
        let runtime = self
            .path(RUNTIME_DIR)
            .map(|directory| directory.join("containers"))
            .or_else(|| root.then(|| PathBuf::from("/run/containers/0")));
        let config = self.config_home().map(|config| config.join("containers"));
        let podman = [runtime, config].into_iter().flatten();
        docker
            .map(|directory| directory.join("config.json"))
            .into_iter()
            .chain(podman.map(|directory| directory.join("auth.json")))
            .collect()
    }

    /// The directories with the configuration of registries, the most important first: the flag's or the variable's
    /// alone, else the user's and the system's.
    pub(crate) fn registries(&self, global: &Global) -> Vec<PathBuf> {
        if let Some(only) = global.registries.clone().or_else(|| self.path(REGISTRIES)) {
            return vec![only];
        }
        let own = self.config_home();
        own.map(|config| config.join("rbuild/registries"))
            .into_iter()
            .chain([SYSTEM_REGISTRIES.into()])
            .collect()
    }

    fn config_home(&self) -> Option<PathBuf> {
        self.path(CONFIG_HOME)
            .or_else(|| Some(self.path(HOME)?.join(".config")))
    }

    /// The proxies that registries are reached through: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in
    /// small letters too.
    pub(crate) fn proxies(&self) -> Proxies {
        Proxies::from_variables(|name| self.text(name))
    }

    /// How surely and how long the store keeps things.
    pub(crate) fn retention(&self) -> Result<Retention, Error> {
        let given = |name| self.text(name).filter(|value| !value.is_empty());
        let durability = match given(SYNC).as_deref() {
            None | Some("image") => Durability::Image,
            Some("none") => Durability::None,
            Some(other) => {
                let message = format!("{SYNC}: `{other}` is neither `image` nor `none`");
                return Err(Error::Usage(message));
            }
        };
        let collection = match given(GC).as_deref() {
            None => Collection::Shares,
            Some("off") => Collection::Off,
            Some(limits) => Collection::Limits(
                quantity::limits(limits).map_err(|error| Error::Usage(format!("{GC}: {error}")))?,
            ),
        };
        Ok(Retention {
            durability,
            collection,
        })
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
            registries: None,
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
    fn credentials_are_where_other_tools_have_them() {
        let paths = |variables| Settings::fixed(variables).credentials(true);
        assert_eq!(
            paths(&[
                ("DOCKER_CONFIG", "/config"),
                ("XDG_RUNTIME_DIR", "/run/user/7"),
                ("XDG_CONFIG_HOME", "/home/me/conf"),
                ("HOME", "/home/me"),
            ]),
            [
                "/config/config.json",
                "/run/user/7/containers/auth.json",
                "/home/me/conf/containers/auth.json",
            ]
            .map(PathBuf::from)
        );
        assert_eq!(
            paths(&[("DOCKER_CONFIG", ""), ("HOME", "/home/me")]),
            [
                "/home/me/.docker/config.json",
                "/run/containers/0/auth.json",
                "/home/me/.config/containers/auth.json",
            ]
            .map(PathBuf::from)
        );
        assert_eq!(
            Settings::fixed(&[("HOME", "/home/me")]).credentials(false),
            [
                "/home/me/.docker/config.json",
                "/home/me/.config/containers/auth.json",
            ]
            .map(PathBuf::from)
        );
        assert_eq!(
            paths(&[("REGISTRY_AUTH_FILE", "/auth"), ("HOME", "/home/me")]),
            [PathBuf::from("/auth")]
        );
    }

    #[test]
    fn registries_are_configured_where_the_nearest_setting_says() {
        let all = Settings::fixed(&[("RBUILD_REGISTRIES", "/env"), ("HOME", "/home/me")]);
        let flag = Global {
            registries: Some("/flag".into()),
            ..global(None)
        };
        assert_eq!(all.registries(&flag), [PathBuf::from("/flag")]);
        assert_eq!(all.registries(&global(None)), [PathBuf::from("/env")]);
        let home = Settings::fixed(&[("HOME", "/home/me")]);
        assert_eq!(
            home.registries(&global(None)),
            [
                "/home/me/.config/rbuild/registries",
                "/etc/rbuild/registries"
            ]
            .map(PathBuf::from)
        );
    }

    #[test]
    fn retention_is_read_whole_or_refused() {
        let of = |variables| Settings::fixed(variables).retention();
        let default = of(&[]).expect("the default");
        assert_eq!(default.durability, Durability::Image);
        assert_eq!(default.collection, Collection::Shares);
        let given = of(&[("RBUILD_SYNC", "none"), ("RBUILD_GC", "max-used-space=1kb")]);
        let given = given.expect("both make sense");
        assert_eq!(given.durability, Durability::None);
        let Collection::Limits(limits) = given.collection else {
            panic!("{given:?}");
        };
        assert_eq!(limits.max_used, 1024);
        for variable in [
            ("RBUILD_SYNC", "maybe"),
            ("RBUILD_GC", "max=1"),
            ("RBUILD_GC", "max-used-space=0"),
        ] {
            let variables: &'static [_] = Box::leak(Box::new([variable]));
            assert!(of(variables).is_err(), "{variable:?}");
        }
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
