//! What a build is asked for, beside the Dockerfile.

use std::collections::{BTreeMap, BTreeSet};

use super::reference;
use crate::plan::{Network, Platform};
use crate::remote::RemoteSource;

/// The options of a build that decide its plan.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The stage to build, by name or number; `None` for the last.
    pub target: Option<String>,
    /// `--build-arg`: names and values, the last of one name counting. One without a value sets nothing.
    pub build_args: Vec<(String, Option<String>)>,
    /// `--label`: labels of the image.
    pub labels: Vec<(String, String)>,
    /// The network of steps that do not choose one.
    pub network: Network,
    /// `--build-context`: what takes the place of stages and images, by their full names ([`context_name`]), those of
    /// one platform among them.
    pub contexts: BTreeMap<String, NamedContext>,
    /// `--allow`: what steps may ask for.
    pub entitlements: BTreeSet<Entitlement>,
    /// The platform of the image.
    pub platform: Platform,
    /// Whether the names of steps tell their platforms, as there are images for several.
    pub names_platforms: bool,
    /// The platform that builds.
    pub build_platform: Platform,
}

/// A named context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// A directory of the caller's.
    Directory,
    /// Files on the network.
    Remote(RemoteSource),
    /// An image: the reference for the caller to look up.
    Image(String),
}

/// What stands between the name of a named context and the platform that it is for.
const FOR_PLATFORM: &str = "::";

/// The full name of a named context; `None` for what is none. `scratch` and `context` have a meaning of their own.
/// `NAME::OS/ARCH` is the name of one that takes the place of `NAME` for a platform.
pub fn context_name(name: &str) -> Option<String> {
    // An address of a registry can have the mark, too.
    let (name, platform) = match name.rsplit_once(FOR_PLATFORM) {
        Some((before, platform)) if platform.contains('/') => {
            match Platform::parse(platform, &Platform::default()) {
                Some(platform) => (before, Some(platform)),
                None => (name, None),
            }
        }
        _ => (name, None),
    };
    let reserved = matches!(name, "scratch" | "context");
    let full = reference::normalise(name).ok().filter(|_| !reserved)?;
    Some(match platform {
        Some(platform) => for_platform(&full, &platform),
        None => full,
    })
}

fn for_platform(full: &str, platform: &Platform) -> String {
    format!("{full}{FOR_PLATFORM}{}", platform.text())
}

/// The short form of a full name of a named context.
pub fn familiar(name: &str) -> String {
    match name.rsplit_once(FOR_PLATFORM) {
        Some((name, platform)) if platform.contains('/') && !platform.contains(']') => {
            format!("{}{FOR_PLATFORM}{platform}", reference::familiar(name))
        }
        _ => reference::familiar(name).to_owned(),
    }
}

/// A power that a step has only if the build allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entitlement {
    /// `RUN --network=host`.
    NetworkHost,
    /// `RUN --security=insecure`.
    SecurityInsecure,
}

impl Entitlement {
    /// As it is written behind `--allow`.
    pub fn name(self) -> &'static str {
        match self {
            Self::NetworkHost => "network.host",
            Self::SecurityInsecure => "security.insecure",
        }
    }
}

/// Proxy variables: known without being declared, and no part of any key.
const PROXIES: [&str; 5] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];

/// Other names that a build takes without their being declared.
const PREDEFINED: [&str; 12] = [
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDOSVERSION",
    "BUILDARCH",
    "BUILDVARIANT",
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETOSVERSION",
    "TARGETARCH",
    "TARGETVARIANT",
    "TARGETSTAGE",
    "SOURCE_DATE_EPOCH",
];

impl Options {
    /// Build arguments by name.
    pub(super) fn arguments(&self) -> BTreeMap<&str, &str> {
        let given = self.build_args.iter();
        given
            .filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)))
            .collect()
    }

    /// The named context that takes the place of a stage or an image on a platform: one for that platform, else one for
    /// all (BuildKit's `dockerui`).
    pub(super) fn context(&self, name: &str, platform: &Platform) -> Option<(&str, &NamedContext)> {
        if self.contexts.is_empty() {
            return None;
        }
        let full = context_name(name)?;
        let own = self.contexts.get_key_value(&for_platform(&full, platform));
        let found = own.or_else(|| self.contexts.get_key_value(&full));
        found.map(|(name, context)| (name.as_str(), context))
    }

    /// Whether steps may ask for this. A network that the whole build has is allowed.
    pub(super) fn allows(&self, entitlement: Entitlement) -> bool {
        let is_given = entitlement == Entitlement::NetworkHost && self.network == Network::Host;
        is_given || self.entitlements.contains(&entitlement)
    }

    /// The proxy variables of commands, in both cases, as BuildKit passes them.
    pub(super) fn proxies(&self) -> Vec<(String, String)> {
        let mut list = Vec::new();
        for proxy in PROXIES {
            let given = self.arguments();
            let mut matching = given
                .iter()
                .filter(|(name, value)| name.eq_ignore_ascii_case(proxy) && !value.is_empty());
            if let Some((_, value)) = matching.next_back() {
                list.push((proxy.to_owned(), (*value).to_owned()));
                list.push((proxy.to_ascii_lowercase(), (*value).to_owned()));
            }
        }
        list
    }
}

/// Whether a build argument has a meaning without being declared.
pub(super) fn is_predefined(name: &str) -> bool {
    PREDEFINED.contains(&name)
        || name.starts_with("BUILDKIT_")
        || PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name))
}

impl Platform {
    /// `os/architecture[/variant]`.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{}/{}", self.os, self.architecture);
        if !self.variant.is_empty() {
            text.push('/');
            text.push_str(&self.variant);
        }
        text
    }

    /// Reads a platform; what is not said is as in `default`.
    pub(crate) fn parse(text: &str, default: &Self) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let valid = |part: &&str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        };
        if !parts.iter().all(valid) {
            return None;
        }
        let lower: Vec<String> = parts.iter().map(|part| part.to_ascii_lowercase()).collect();
        let platform = match lower.as_slice() {
            [os] if matches!(os.as_str(), "linux" | "windows" | "darwin" | "freebsd") => Self {
                os: os.clone(),
                ..default.clone()
            },
            [architecture] => Self::normalised(&default.os, architecture, ""),
            [os, architecture] => Self::normalised(os, architecture, ""),
            [os, architecture, variant] => Self::normalised(os, architecture, variant),
            _ => return None,
        };
        Some(platform)
    }

    /// With the names that Go uses, and without a variant that says nothing.
    pub(super) fn normalised(os: &str, architecture: &str, variant: &str) -> Self {
        let (architecture, variant) = match (architecture, variant) {
            ("i386" | "386", _) => ("386", ""),
            ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
            ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
            ("aarch64" | "arm64", "8" | "v8") => ("arm64", ""),
            ("aarch64" | "arm64", variant) => ("arm64", variant),
            ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
            ("armel", _) | ("arm", "6") => ("arm", "v6"),
            ("arm", "5") => ("arm", "v5"),
            ("arm", "8") => ("arm", "v8"),
            other => other,
        };
        Self {
            os: if os == "macos" { "darwin" } else { os }.to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_read_as_containerd_reads_them() {
        let default = Platform::normalised("linux", "amd64", "");
        let cases = [
            ("linux/amd64", Some("linux/amd64")),
            ("linux/x86_64", Some("linux/amd64")),
            ("arm64", Some("linux/arm64")),
            ("linux", Some("linux/amd64")),
            ("linux/arm64/v8", Some("linux/arm64")),
            ("linux/arm/v6", Some("linux/arm/v6")),
            ("Linux/ARM", Some("linux/arm/v7")),
            ("", None),
            ("linux/", None),
            ("linux/a b", None),
            ("linux/a/b/c", None),
        ];
        for (text, expected) in cases {
            let found = Platform::parse(text, &default).map(|platform| platform.text());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn names_of_contexts_can_have_a_platform() {
        let full = "docker.io/library/a:latest";
        let of = |platform: &str| Some(format!("{full}::{platform}"));
        assert_eq!(context_name("a").as_deref(), Some(full));
        assert_eq!(context_name("a::linux/aarch64"), of("linux/arm64"));
        assert_eq!(context_name("a::linux/arm/v6"), of("linux/arm/v6"));
        assert_eq!(
            context_name("[::1]:5000/a").as_deref(),
            Some("[::1]:5000/a:latest")
        );
        for name in ["a::linux", "a::", "a::x y/z", "scratch::linux/arm64"] {
            assert_eq!(context_name(name), None, "{name}");
        }
        assert_eq!(familiar(full), "a");
        assert_eq!(familiar("[::1]:5000/a:latest"), "[::1]:5000/a");
        assert_eq!(
            familiar("docker.io/x/a:1::linux/arm64"),
            "x/a:1::linux/arm64"
        );
    }

    #[test]
    fn proxies_come_in_both_cases() {
        let options = Options {
            build_args: vec![
                ("http_proxy".to_owned(), Some("x".to_owned())),
                ("NO_PROXY".to_owned(), None),
                ("ALL_PROXY".to_owned(), Some(String::new())),
            ],
            ..Options::default()
        };
        let pairs = [("HTTP_PROXY", "x"), ("http_proxy", "x")];
        assert_eq!(
            options.proxies(),
            pairs.map(|(n, v)| (n.to_owned(), v.to_owned()))
        );
    }
}
