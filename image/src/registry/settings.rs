//! How the client reaches the world. Nothing here reads the environment: the program says what it found there.

use std::sync::Arc;
use std::time::Duration;

use super::credentials::{Credentials, NoCredentials};
use super::hosts::Hosts;

/// How the client reaches the world.
#[derive(Clone)]
pub struct Settings {
    /// What the client calls itself.
    pub user_agent: String,
    /// Where user names and passwords come from.
    pub credentials: Arc<dyn Credentials>,
    /// Where registries really are.
    pub hosts: Hosts,
    /// Proxies.
    pub proxies: Proxies,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long nothing may happen on a connection.
    pub stall_timeout: Duration,
    /// The wait before the first repetition of a failed request; it doubles with each further one.
    pub retry_wait: Duration,
}

/// Proxies by the rules of the variables `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`. Loopback hosts are
/// always called directly.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http:`.
    pub http: Option<String>,
    /// For `https:`.
    pub https: Option<String>,
    /// Hosts, domains and networks without proxy, separated by commas.
    pub except: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            user_agent: concat!("rbuild/", env!("CARGO_PKG_VERSION")).to_owned(),
            credentials: Arc::new(NoCredentials),
            hosts: Hosts::default(),
            proxies: Proxies::default(),
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_mins(1),
            retry_wait: Duration::from_millis(250),
        }
    }
}

impl Proxies {
    /// Those that variables name, which `look_up` gives: each in small letters first, as curl and Go do.
    pub fn from_variables(look_up: impl Fn(&str) -> Option<String>) -> Self {
        let variable = |name: &str| {
            let upper = name.to_ascii_uppercase();
            look_up(name)
                .or_else(|| look_up(&upper))
                .filter(|value| !value.is_empty())
        };
        let all = variable("all_proxy");
        Self {
            http: variable("http_proxy").or_else(|| all.clone()),
            https: variable("https_proxy").or(all),
            except: variable("no_proxy"),
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("user_agent", &self.user_agent)
            .field("hosts", &self.hosts)
            .field("proxies", &self.proxies)
            .field("connect_timeout", &self.connect_timeout)
            .field("stall_timeout", &self.stall_timeout)
            .finish_non_exhaustive()
    }
}

/// A proxy's address may hold a password.
impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxies")
            .field("http", &self.http.is_some())
            .field("https", &self.https.is_some())
            .field("except", &self.except)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_in_small_letters_come_first() {
        let found = Proxies::from_variables(|name| match name {
            "http_proxy" => Some("http://small".into()),
            "HTTP_PROXY" => Some("http://large".into()),
            "HTTPS_PROXY" => Some(String::new()),
            "ALL_PROXY" => Some("http://all:secret@x".into()),
            "NO_PROXY" => Some("a,b".into()),
            _ => None,
        });
        assert_eq!(found.http.as_deref(), Some("http://small"));
        assert_eq!(found.https.as_deref(), Some("http://all:secret@x"));
        assert_eq!(found.except.as_deref(), Some("a,b"));
        assert!(!format!("{found:?}").contains("secret"));
    }
}
